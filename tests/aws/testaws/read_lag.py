"""Delayed reads: the next few reads of a kind do not show a new resource."""

from __future__ import annotations

from typing import Any

from .errors import AwsError
from .iam_actions import QUIET_HEADER
from .wire import Call, Response, arn
from .account_state import World

# Create operation: the path of the ID in its response, the listing, and the listing's list member.
_LISTED = {
    "CreateVpc": (("Vpc", "VpcId"), "DescribeVpcs", "Vpcs"),
    "CreateSubnet": (("Subnet", "SubnetId"), "DescribeSubnets", "Subnets"),
    "CreateInternetGateway": (("InternetGateway", "InternetGatewayId"), "DescribeInternetGateways", "InternetGateways"),
    "CreateRouteTable": (("RouteTable", "RouteTableId"), "DescribeRouteTables", "RouteTables"),
    "CreateSecurityGroup": (("GroupId",), "DescribeSecurityGroups", "SecurityGroups"),
    "CreateNatGateway": (("NatGateway", "NatGatewayId"), "DescribeNatGateways", "NatGateways"),
    "RunInstances": (("Instances", 0, "InstanceId"), "DescribeInstances", "Reservations"),
    "CreateVpcEndpoint": (("VpcEndpoint", "VpcEndpointId"), "DescribeVpcEndpoints", "VpcEndpoints"),
    "AllocateAddress": (("AllocationId",), "DescribeAddresses", "Addresses"),
}

_FUNCTION = "Function not found: {1}"

# What makes it, the read that shows it, the parameter that names it, and how its absence is told.
_NAMED = {
    ("lambda", "CreateFunction"): ("GetFunction", "FunctionName", "ResourceNotFoundException", 404, _FUNCTION),
    ("iam", "CreateRole"): ("GetRole", "RoleName", "NoSuchEntity", 404, "The role with name {0} cannot be found."),
}


def fresh(world: World) -> None:
    world.unseen = []
    world.looks: dict[str, int] = {}  # how often Lambda looked for a subnet or a security group


def is_hidden(world: World, call: Call, identifier: str) -> bool:
    """Whether Lambda does not find a subnet or a security group yet, as often as `lambda_lag` says."""
    if QUIET_HEADER in call.raw.headers or not world.config["lambda_lag"]:
        return False
    world.looks[identifier] = looks = world.looks.get(identifier, 0) + 1
    return looks <= world.config["lambda_lag"]


def refuse(world: World, call: Call) -> None:
    """Tells that something is absent which was made a moment ago."""
    for (service, _), (read, name, code, status, text) in _NAMED.items():
        if (call.service, call.operation) == (service, read) and _is_unseen(world, read, call.get(name)):
            function = arn("lambda", call.region, f"function:{call.get(name)}")
            raise AwsError(code, text.format(call.get(name), function), status)


def show(world: World, call: Call, result: Any) -> Any:
    """Records what a call creates, and removes new resources from listings."""
    lag = world.config["read_lag"]
    if call.service == "ec2" and call.operation in _LISTED and lag:
        path, read, _ = _LISTED[call.operation]
        made: Any = call.parse(result) if isinstance(result, Response) else result
        for member in path:
            made = made[member]
        world.unseen.append([read, made, lag])
    elif (call.service, call.operation) in _NAMED and lag:
        read, name, *_ = _NAMED[call.service, call.operation]
        world.unseen.append([read, call.get(name), lag])
    elif call.service == "ec2" and any(call.operation == read for read, _, _ in world.unseen):
        path, _, items = next(listed for listed in _LISTED.values() if listed[1] == call.operation)
        listing = call.parse(result) if isinstance(result, Response) else dict(result)
        listing[items] = [
            item
            for item in listing.get(items, [])
            if not _is_unseen(world, call.operation, _identifier(item, path[-1]), count=False)
        ]
        for entry in world.unseen:
            entry[2] -= entry[0] == call.operation
        world.unseen = [entry for entry in world.unseen if entry[2] > 0]
        return listing
    return result


def _identifier(item: dict[str, Any], name: str) -> str:
    """That of the resource, or of the only instance of a reservation."""
    return item[name] if name in item else item["Instances"][0][name]


def _is_unseen(world: World, read: str, name: str | None, count: bool = True) -> bool:
    for entry in world.unseen:
        if entry[0] == read and entry[1] == name:
            if count:
                entry[2] -= 1
                world.unseen = [entry for entry in world.unseen if entry[2] > 0]
            return True
    return False
