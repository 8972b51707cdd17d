"""EC2 Describe calls: all filters that AWS has, and paging."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from . import slim_moto
from .errors import AwsError
from .gateway import operation
from .wire import Call
from .account_state import World

Values = Callable[[dict[str, Any]], Iterable[Any]]


def _at(*path: str) -> Values:
    """All values at a path of members. Lists on the path are traversed."""

    def find(item: Any) -> list[Any]:
        found = [item]
        for name in path:
            found = [
                inner
                for outer in found
                for inner in (outer.get(name) if isinstance(outer.get(name), list) else [outer.get(name)])
                if inner is not None
            ]
        return found

    return find


def _permissions(member: str) -> dict[str, Values]:
    prefix = "" if member == "IpPermissions" else "egress."
    return {
        f"{prefix}ip-permission.cidr": _at(member, "IpRanges", "CidrIp"),
        f"{prefix}ip-permission.ipv6-cidr": _at(member, "Ipv6Ranges", "CidrIpv6"),
        f"{prefix}ip-permission.from-port": _at(member, "FromPort"),
        f"{prefix}ip-permission.to-port": _at(member, "ToPort"),
        f"{prefix}ip-permission.protocol": _at(member, "IpProtocol"),
        f"{prefix}ip-permission.group-id": _at(member, "UserIdGroupPairs", "GroupId"),
        f"{prefix}ip-permission.group-name": _at(member, "UserIdGroupPairs", "GroupName"),
        f"{prefix}ip-permission.user-id": _at(member, "UserIdGroupPairs", "UserId"),
    }


_OWNER = {"owner-id": _at("OwnerId")}

# operation -> (list member of the reply, filters besides tags)
LISTINGS: dict[str, tuple[str, dict[str, Values]]] = {
    "DescribeVpcs": (
        "Vpcs",
        {
            "vpc-id": _at("VpcId"),
            "cidr": _at("CidrBlock"),
            "cidr-block-association.cidr-block": _at("CidrBlockAssociationSet", "CidrBlock"),
            "cidr-block-association.association-id": _at("CidrBlockAssociationSet", "AssociationId"),
            "cidr-block-association.state": _at("CidrBlockAssociationSet", "CidrBlockState", "State"),
            "dhcp-options-id": _at("DhcpOptionsId"),
            "is-default": _at("IsDefault"),
            "state": _at("State"),
            **_OWNER,
        },
    ),
    "DescribeSubnets": (
        "Subnets",
        {
            "subnet-id": _at("SubnetId"),
            "vpc-id": _at("VpcId"),
            "cidr-block": _at("CidrBlock"),
            "cidr": _at("CidrBlock"),
            "availability-zone": _at("AvailabilityZone"),
            "availability-zone-id": _at("AvailabilityZoneId"),
            "available-ip-address-count": _at("AvailableIpAddressCount"),
            "default-for-az": _at("DefaultForAz"),
            "map-public-ip-on-launch": _at("MapPublicIpOnLaunch"),
            "subnet-arn": _at("SubnetArn"),
            "state": _at("State"),
            **_OWNER,
        },
    ),
    "DescribeInternetGateways": (
        "InternetGateways",
        {
            "internet-gateway-id": _at("InternetGatewayId"),
            "attachment.vpc-id": _at("Attachments", "VpcId"),
            "attachment.state": _at("Attachments", "State"),
            **_OWNER,
        },
    ),
    "DescribeAddresses": (
        "Addresses",
        {
            "allocation-id": _at("AllocationId"),
            "association-id": _at("AssociationId"),
            "instance-id": _at("InstanceId"),
            "network-border-group": _at("NetworkBorderGroup"),
            "network-interface-id": _at("NetworkInterfaceId"),
            "network-interface-owner-id": _at("NetworkInterfaceOwnerId"),
            "private-ip-address": _at("PrivateIpAddress"),
            "public-ip": _at("PublicIp"),
        },
    ),
    "DescribeNatGateways": (
        "NatGateways",
        {
            "nat-gateway-id": _at("NatGatewayId"),
            "vpc-id": _at("VpcId"),
            "subnet-id": _at("SubnetId"),
            "state": _at("State"),
        },
    ),
    "DescribeInstances": (
        "Reservations",
        {
            "instance-id": _at("InstanceId"),
            "instance-state-name": _at("State", "Name"),
            "instance-type": _at("InstanceType"),
            "subnet-id": _at("SubnetId"),
            "vpc-id": _at("VpcId"),
        },
    ),
    "DescribeRouteTables": (
        "RouteTables",
        {
            "route-table-id": _at("RouteTableId"),
            "vpc-id": _at("VpcId"),
            "association.gateway-id": _at("Associations", "GatewayId"),
            "association.main": _at("Associations", "Main"),
            "association.route-table-association-id": _at("Associations", "RouteTableAssociationId"),
            "association.route-table-id": _at("Associations", "RouteTableId"),
            "association.subnet-id": _at("Associations", "SubnetId"),
            "route.destination-cidr-block": _at("Routes", "DestinationCidrBlock"),
            "route.gateway-id": _at("Routes", "GatewayId"),
            "route.nat-gateway-id": _at("Routes", "NatGatewayId"),
            "route.origin": _at("Routes", "Origin"),
            "route.state": _at("Routes", "State"),
            **_OWNER,
        },
    ),
    "DescribeSecurityGroups": (
        "SecurityGroups",
        {
            "group-id": _at("GroupId"),
            "group-name": _at("GroupName"),
            "description": _at("Description"),
            "vpc-id": _at("VpcId"),
            **_permissions("IpPermissions"),
            **_permissions("IpPermissionsEgress"),
            **_OWNER,
        },
    ),
    "DescribeSecurityGroupRules": (
        "SecurityGroupRules",
        {"group-id": _at("GroupId"), "security-group-rule-id": _at("SecurityGroupRuleId")},
    ),
    "DescribeNetworkInterfaces": (
        "NetworkInterfaces",
        {
            "network-interface-id": _at("NetworkInterfaceId"),
            "subnet-id": _at("SubnetId"),
            "vpc-id": _at("VpcId"),
            "group-id": _at("Groups", "GroupId"),
            "group-name": _at("Groups", "GroupName"),
            "description": _at("Description"),
            "status": _at("Status"),
            "interface-type": _at("InterfaceType"),
            "requester-id": _at("RequesterId"),
            "requester-managed": _at("RequesterManaged"),
            "availability-zone": _at("AvailabilityZone"),
            "mac-address": _at("MacAddress"),
            "private-ip-address": _at("PrivateIpAddress"),
            "addresses.private-ip-address": _at("PrivateIpAddresses", "PrivateIpAddress"),
            "association.allocation-id": _at("Association", "AllocationId"),
            "association.public-ip": _at("Association", "PublicIp"),
            "attachment.attachment-id": _at("Attachment", "AttachmentId"),
            "attachment.instance-id": _at("Attachment", "InstanceId"),
            "attachment.instance-owner-id": _at("Attachment", "InstanceOwnerId"),
            "attachment.status": _at("Attachment", "Status"),
            **_OWNER,
        },
    ),
    "DescribeVpcEndpoints": (
        "VpcEndpoints",
        {
            "ip-address-type": _at("IpAddressType"),
            "service-name": _at("ServiceName"),
            "vpc-endpoint-id": _at("VpcEndpointId"),
            "vpc-endpoint-state": _at("State"),
            "vpc-endpoint-type": _at("VpcEndpointType"),
            "vpc-id": _at("VpcId"),
        },
    ),
    "DescribeVpcPeeringConnections": (
        "VpcPeeringConnections",
        {
            **{
                f"{side}-vpc-info.{name}": _at(f"{side.capitalize()}VpcInfo", member)
                for side in ("accepter", "requester")
                for name, member in (("cidr-block", "CidrBlock"), ("owner-id", "OwnerId"), ("vpc-id", "VpcId"))
            },
            "expiration-time": _at("ExpirationTime"),
            "status-code": _at("Status", "Code"),
            "status-message": _at("Status", "Message"),
            "vpc-peering-connection-id": _at("VpcPeeringConnectionId"),
        },
    ),
    "DescribeNetworkAcls": (
        "NetworkAcls",
        {
            "association.association-id": _at("Associations", "NetworkAclAssociationId"),
            "association.network-acl-id": _at("Associations", "NetworkAclId"),
            "association.subnet-id": _at("Associations", "SubnetId"),
            "default": _at("IsDefault"),
            "network-acl-id": _at("NetworkAclId"),
            "vpc-id": _at("VpcId"),
            **_OWNER,
        },
    ),
    "DescribeVpnGateways": (
        "VpnGateways",
        {
            "amazon-side-asn": _at("AmazonSideAsn"),
            "attachment.state": _at("VpcAttachments", "State"),
            "attachment.vpc-id": _at("VpcAttachments", "VpcId"),
            "availability-zone": _at("AvailabilityZone"),
            "state": _at("State"),
            "type": _at("Type"),
            "vpn-gateway-id": _at("VpnGatewayId"),
        },
    ),
    "DescribeEgressOnlyInternetGateways": ("EgressOnlyInternetGateways", {}),
    "DescribeCarrierGateways": (
        "CarrierGateways",
        {
            "carrier-gateway-id": _at("CarrierGatewayId"),
            "state": _at("State"),
            "vpc-id": _at("VpcId"),
            **_OWNER,
        },
    ),
    "DescribeAvailabilityZones": (
        "AvailabilityZones",
        {
            "group-name": _at("GroupName"),
            "opt-in-status": _at("OptInStatus"),
            "region-name": _at("RegionName"),
            "state": _at("State"),
            "zone-id": _at("ZoneId"),
            "zone-name": _at("ZoneName"),
            "zone-type": _at("ZoneType"),
        },
    ),
}

_UNPAGED = {"DescribeAddresses", "DescribeAvailabilityZones", "DescribeVpnGateways"}


@cache
def _glob(text: str) -> re.Pattern[str]:
    """EC2's wildcards: `*`, `?`, and a backslash that escapes the next character."""
    pattern = ""
    characters = iter(text)
    for character in characters:
        if character == "\\":
            pattern += re.escape(next(characters, "\\"))
        elif character == "*":
            pattern += ".*"
        elif character == "?":
            pattern += "."
        else:
            pattern += re.escape(character)
    return re.compile(pattern, re.DOTALL)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _matches(item: dict[str, Any], name: str, wanted: list[str], filters: dict[str, Values]) -> bool:
    tags = item.get("Tags", [])
    if name.startswith("tag:"):
        found = [tag.get("Value", "") for tag in tags if tag["Key"] == name.removeprefix("tag:")]
    elif name == "tag-key":
        found = [tag["Key"] for tag in tags]
    elif name in filters:
        found = list(filters[name](item))
    else:
        raise AwsError("InvalidParameterValue", f"The filter '{name}' is invalid")
    return any(_glob(pattern).fullmatch(_text(value)) for value in found for pattern in wanted)


def select(call: Call, items: list[dict[str, Any]], filters: dict[str, Values]) -> list[dict[str, Any]]:
    wanted = call.get("Filters") or call.get("Filter") or []
    for one in wanted:
        name, values = one.get("Name"), one.get("Values") or []
        if not name or not values:
            raise AwsError("InvalidParameterValue", f"The filter '{name or 'null'}' is invalid")
        if len(values) > 200:
            raise AwsError(
                "FilterLimitExceeded", "The maximum number of filter values specified on a single call is 200"
            )
        items = [item for item in items if _matches(item, name, values, filters)]
        if not items:
            _matches({"Tags": []}, name, values, filters)  # an unknown filter is refused even if no items are left
    return items


def _may_match(call: Call) -> Callable[[Any], bool]:
    """Whether a resource of moto has the tags that the filters ask for. `select` decides, on fewer resources."""
    wanted = [
        (one["Name"].removeprefix("tag:"), one.get("Values") or [])
        for one in call.get("Filters") or call.get("Filter") or []
        if (one.get("Name") or "").startswith("tag:")
    ]

    def only(item: Any) -> bool:
        tags = {tag["key"]: tag["value"] for tag in item.get_tags()} if wanted else {}
        return all(
            key in tags and any(_glob(pattern).fullmatch(_text(tags[key])) for pattern in patterns)
            for key, patterns in wanted
        )

    return only


def page(world: World, call: Call, items: list[Any], key: str) -> dict[str, Any]:
    most = call.get("MaxResults")
    if most is not None and not 5 <= most <= 1000:
        raise AwsError(
            "InvalidParameterValue",
            f"Value ( {most} ) for parameter maxResults is invalid. Expecting a value between 5 and 1000.",
        )
    size = world.config["page_size"] or most
    if most is not None and size is not None:
        size = min(size, most)
    start = 0
    if call.get("NextToken"):
        try:
            start = int(base64.urlsafe_b64decode(call.params["NextToken"]).decode().removeprefix("offset:"))
        except ValueError:
            raise AwsError("InvalidNextToken", "The token provided is invalid.") from None
    if size is None:
        return {key: items[start:]}
    found: dict[str, Any] = {key: items[start : start + size]}
    if start + size < len(items):
        found["NextToken"] = base64.urlsafe_b64encode(f"offset:{start + size}".encode()).decode()
    return found


def _register(name: str, key: str, filters: dict[str, Values]) -> None:
    @operation("ec2", name)
    def describe(world: World, call: Call) -> Any:
        narrowed = call.params.keys() & {"Filters", "Filter", "MaxResults", "NextToken"}
        if not narrowed and world.config["page_size"] is None:
            return call.moto()
        token = slim_moto.ONLY.set(_may_match(call))
        try:
            items = call.result(drop=("Filter", "MaxResults", "NextToken")).get(key, [])
        finally:
            slim_moto.ONLY.reset(token)
        items = select(call, items, filters)
        if name in _UNPAGED:
            return {key: items}
        return page(world, call, items, key)


for _name, (_key, _filters) in LISTINGS.items():
    if _name not in ("DescribeNatGateways", "DescribeInstances"):  # handled with their own records
        _register(_name, _key, _filters)
