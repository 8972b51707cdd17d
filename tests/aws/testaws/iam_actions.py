"""The IAM actions that a call requires."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from moto.utilities.utils import get_partition

# On a call that plays somebody else: neither logged nor subject to faults.
QUIET_HEADER = "x-test-aws-quiet"

# The versions of API Gateway. Their actions are HTTP methods, but for those of routing rules.
GATEWAYS = ("apigateway", "apigatewayv2")

_READS = ("Describe", "Get", "List", "Search", "Lookup", "BatchGet", "Simulate", "Test", "Filter")

# They do not change anything in the account that an operator sees.
_READ_OPERATIONS = {("lambda", "Invoke"), ("apigatewayv2", "ExportApi")}

_PREFIX = {"service-quotas": "servicequotas", "resourcegroupstaggingapi": "tag"}

_RENAMED = {("lambda", "Invoke"): "InvokeFunction"}

# The additional action that a create call with tags requires, by service.
_TAG_ACTION = {
    "cloudwatch": "cloudwatch:TagResource",
    "ec2": "ec2:CreateTags",
    "elasticache": "elasticache:AddTagsToResource",
    "events": "events:TagResource",
    "iam": "iam:TagRole",
    "lambda": "lambda:TagResource",
    "logs": "logs:TagResource",
    "ssm": "ssm:AddTagsToResource",
}


def is_mutating(service: str, operation: str) -> bool:
    if (service, operation) in _READ_OPERATIONS:
        return False
    return not operation.startswith(_READS)


def resource(service: str, region: str, path: str) -> str | None:
    """The ARN that a call of API Gateway needs its action for: the path, without the `/v2` of version 2. Only the ARN
    in the path of a tag call stays percent-encoded. The other services' ARNs are not derived."""
    if service not in GATEWAYS:
        return None
    path = path.removeprefix("/v2")
    path = path if path.startswith("/tags/") else unquote(path)
    return f"arn:{get_partition(region)}:apigateway:{region}::{path}"


def actions(service: str, operation: str, method: str, params: dict[str, Any]) -> list[str]:
    """The call's own action, followed by the actions that its parameters require."""
    if service in GATEWAYS:
        return [f"apigateway:{operation if 'RoutingRule' in operation else method}"]
    prefix = _PREFIX.get(service, service)
    found = [f"{prefix}:{_RENAMED.get((service, operation), operation)}"]
    tagged = params.get("Tags") or params.get("TagSpecifications") or params.get("tags")
    tag_action = _TAG_ACTION.get(service)
    if tagged and tag_action and operation not in ("CreateTags", "DeleteTags") and "Tag" not in operation:
        found.append(tag_action)
    if service == "lambda" and operation in ("CreateFunction", "UpdateFunctionConfiguration"):
        if params.get("Role"):
            found.append("iam:PassRole")
        if params.get("VpcConfig"):
            found += ["ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs"]
    if operation == "RunInstances" and str(params.get("ImageId")).startswith("resolve:ssm:"):
        found.append("ssm:GetParameters")
    targets = params.get("Targets") or [] if operation == "PutTargets" else []
    if any(target.get("RoleArn") for target in targets):
        found.append("iam:PassRole")
    return found
