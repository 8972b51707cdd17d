"""Resource Groups Tagging API: tagged resources, and the tag keys that a tag policy of the organization requires. AWS does
not enforce them."""

from __future__ import annotations

from typing import Any

from . import account
from .account_state import World
from .gateway import operation
from .wire import Call, arn

# List of the account -> (service, resource in the ARN, member that names it). Roles are not in this API.
_LISTED = {
    "vpcs": ("ec2", "vpc/{}", "id"),
    "subnets": ("ec2", "subnet/{}", "id"),
    "internet_gateways": ("ec2", "internet-gateway/{}", "id"),
    "addresses": ("ec2", "elastic-ip/{}", "id"),
    "nat_gateways": ("ec2", "natgateway/{}", "id"),
    "route_tables": ("ec2", "route-table/{}", "id"),
    "security_groups": ("ec2", "security-group/{}", "id"),
    "functions": ("lambda", "function:{}", "FunctionName"),
    "log_groups": ("logs", "log-group:{}", "name"),
    "rules": ("events", "rule/{}", "name"),
    "parameters": ("ssm", "parameter{}", "name"),
    "replication_groups": ("elasticache", "replicationgroup:{}", "ReplicationGroupId"),
}


@operation("resourcegroupstaggingapi", "GetResources")
def get_resources(world: World, call: Call) -> Any:
    """Tagged resources in the order of their ARNs. What was deleted is gone at once, where AWS lists it for a while."""
    everything = account.listing(world, call.region)
    found = []
    for name, (service, resource, member) in _LISTED.items():
        for item in everything[name]:
            tags = item.get("tags") or {}
            if tags and all(_matches(tags, wanted) for wanted in call.get("TagFilters") or []):
                listed = [{"Key": key, "Value": value} for key, value in tags.items()]
                found.append(
                    {"ResourceARN": arn(service, call.region, resource.format(item[member])), "Tags": listed}
                )
    found.sort(key=lambda item: str(item["ResourceARN"]))
    size = min(call.get("ResourcesPerPage", 50), world.config["page_size"] or 100)
    start = int(call.get("PaginationToken") or 0)
    token = str(start + size) if start + size < len(found) else ""
    return {"ResourceTagMappingList": found[start : start + size], "PaginationToken": token}


def _matches(tags: dict[str, str], wanted: dict[str, Any]) -> bool:
    values = wanted.get("Values") or []
    return wanted["Key"] in tags and (not values or tags[wanted["Key"]] in values)


@operation("resourcegroupstaggingapi", "ListRequiredTags")
def list_required_tags(world: World, call: Call) -> Any:
    required = world.config["required_tags"]
    size = min(call.get("MaxResults", 50), world.config["page_size"] or 50)
    start = int(call.get("NextToken") or 0)
    found: dict[str, Any] = {"RequiredTags": required[start : start + size]}
    if start + size < len(required):
        found["NextToken"] = str(start + size)
    return found
