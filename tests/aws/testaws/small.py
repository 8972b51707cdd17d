"""EventBridge, CloudWatch Logs, SSM and Service Quotas: the checks moto leaves out."""

from __future__ import annotations

import re
from typing import Any

from moto.events.models import events_backends
from moto.logs.models import logs_backends
from moto.ssm.models import ssm_backends

from .errors import AwsError
from .gateway import operation
from .wire import ACCOUNT, Call
from .world import World

# --- EventBridge


def _check_schedule(text: str) -> None:
    refused = AwsError("ValidationException", "Parameter ScheduleExpression is not valid.", 400)
    rate = re.fullmatch(r"rate\((\d+) (minute|minutes|hour|hours|day|days)\)", text)
    if rate:
        count, unit = int(rate.group(1)), rate.group(2)
        if count < 1 or (count == 1) == unit.endswith("s"):
            raise refused
        return
    cron = re.fullmatch(r"cron\((\S+) (\S+) (\S+) (\S+) (\S+) (\S+)\)", text)
    if not cron or ("?" not in (cron.group(3), cron.group(5))):
        raise refused
    for value, (low, high) in zip(
        cron.groups(), ((0, 59), (0, 23), (1, 31), (1, 12), (1, 7), (1970, 2199)), strict=True
    ):
        if any(not low <= int(number) <= high for number in re.findall(r"(?<!/)\b\d+\b", value)):
            raise refused


def _rule(call: Call, member: str) -> Any:
    """The rule a request names, on the default bus."""
    rules = events_backends[ACCOUNT][call.region].describe_event_bus("default").rules
    return next((rule for rule in rules.values() if rule.name == call.params[member]), None)


@operation("events", "PutRule")
def put_rule(world: World, call: Call) -> Any:
    if call.get("ScheduleExpression"):
        _check_schedule(call.params["ScheduleExpression"])
    backend = events_backends[ACCOUNT][call.region]
    existing = _rule(call, "Name")
    arn = existing.arn if existing else None
    kept = backend.tagger.list_tags_for_resource(arn)["Tags"] if arn else None
    response = call.moto()
    if response.status < 300 and arn is not None:
        # On an existing rule AWS ignores the tags of the call.
        backend.tagger.delete_all_tags_for_resource(arn)
        if kept:
            backend.tagger.tag_resource(arn, kept)
    return response


@operation("events", "PutTargets")
def put_targets(world: World, call: Call) -> Any:
    rule = _rule(call, "Rule")
    if rule is not None:
        present = {target["Id"] for target in rule.targets} | {target["Id"] for target in call.params["Targets"]}
        if len(present) > 5:
            raise AwsError("LimitExceededException", "The requested resource exceeds the maximum number allowed.", 400)
    return call.moto()


@operation("events", "DeleteRule")
def delete_rule(world: World, call: Call) -> Any:
    backend = events_backends[ACCOUNT][call.region]
    rule = _rule(call, "Name")
    response = call.moto()
    if response.status < 300 and rule is not None:
        backend.tagger.delete_all_tags_for_resource(rule.arn)
    return response


# --- CloudWatch Logs

RETENTION = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)


@operation("logs", "PutRetentionPolicy")
def put_retention_policy(world: World, call: Call) -> Any:
    if call.get("retentionInDays") not in RETENTION:
        raise AwsError(
            "InvalidParameterException",
            f"1 validation error detected: Value '{call.get('retentionInDays')}' at 'retentionInDays' failed to "
            f"satisfy constraint: Member must satisfy enum value set: {list(RETENTION)}",
            400,
        )
    return call.moto()


@operation("logs", "DeleteLogGroup")
def delete_log_group(world: World, call: Call) -> Any:
    backend = logs_backends[ACCOUNT][call.region]
    group = backend.groups.get(call.params["logGroupName"])
    response = call.moto()
    if response.status < 300 and group is not None:
        backend.tagger.delete_all_tags_for_resource(group.arn)
    return response


@operation("logs", "TagResource", "UntagResource", "ListTagsForResource")
def log_tags(world: World, call: Call) -> Any:
    if call.get("resourceArn", "").endswith(":*"):
        raise AwsError("InvalidParameterException", "The resource ARN is not valid: it must not end in :*", 400)
    return call.moto()


# --- SSM


@operation("ssm", "PutParameter")
def put_parameter(world: World, call: Call) -> Any:
    name = call.params["Name"]
    if re.match(r"/?(aws|ssm)", name, re.IGNORECASE):
        raise AwsError(
            "ValidationException", 'Parameter name: can\'t be prefixed with "aws" or "ssm" (case-insensitive).', 400
        )
    if name.strip("/").count("/") >= 15:
        raise AwsError(
            "HierarchyLevelLimitExceededException", "Parameter hierarchy can have a maximum of 15 levels.", 400
        )
    if call.get("Overwrite") and call.get("Tags"):
        raise AwsError(
            "ValidationException",
            "Invalid request: tags and overwrite can't be used together. To create a parameter with tags, please "
            "remove overwrite flag. To update tags for an existing parameter, please use AddTagsToResource or "
            "RemoveTagsFromResource.",
            400,
        )
    if re.search(r"\{\{.*\}\}", call.get("Value", ""), re.DOTALL):
        raise AwsError("ValidationException", 'Parameter value: can\'t nest another parameter. Do not use "{{}}".', 400)
    known = ssm_backends[ACCOUNT][call.region]._parameters
    tier = call.get("Tier", "Standard")
    if tier == "Standard" and len(call.get("Value", "").encode()) > 4096:
        raise AwsError(
            "ValidationException",
            "Standard tier parameters support a maximum parameter value of 4096 characters. To create a larger "
            "parameter value, upgrade the parameter to use the advanced-parameter tier.",
            400,
        )
    if name not in known and not call.get("Type"):
        raise AwsError("ValidationException", "A parameter type is required when you create a parameter.", 400)
    return call.moto()


# --- Service Quotas

_QUOTAS = {
    ("vpc", "L-F678F1CE"): ("vpcs", "VPCs per Region"),
    ("ec2", "L-0263D0A3"): ("elastic_ips", "EC2-VPC Elastic IPs"),
    ("vpc", "L-FE5A380F"): ("nat_gateways", "NAT gateways per Availability Zone"),
}


@operation("service-quotas", "GetServiceQuota")
def get_service_quota(world: World, call: Call) -> Any:
    service, code = call.params["ServiceCode"], call.params["QuotaCode"]
    known = _QUOTAS.get((service, code))
    if known is None:
        raise AwsError(
            "NoSuchResourceException",
            f"The request failed because the specified service or quota does not exist: {service} {code}",
            400,
        )
    name, title = known
    return {
        "Quota": {
            "ServiceCode": service,
            "ServiceName": "Amazon Virtual Private Cloud (Amazon VPC)" if service == "vpc" else "Amazon EC2",
            "QuotaArn": f"arn:aws:servicequotas:{call.region}:{ACCOUNT}:{service}/{code}",
            "QuotaCode": code,
            "QuotaName": title,
            "Value": float(world.config["quotas"][name]),
            "Unit": "None",
            "Adjustable": True,
            "GlobalQuota": False,
        }
    }
