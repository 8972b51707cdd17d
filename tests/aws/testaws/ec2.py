"""EC2 without NAT gateways: limits, the order of deletion, and parameters that moto accepts but AWS refuses."""

from __future__ import annotations

import ipaddress
import re
from typing import Any
from zlib import crc32

from moto.ec2.models.availability_zones_and_regions import RegionsAndZonesBackend, Zone
from moto.ec2.models.route_tables import RouteTable
from moto.ec2.models.security_groups import SecurityGroupRule
from moto.ec2.models.subnets import Subnet
from moto.ec2.models.vpcs import VPC

from . import interfaces, lambda_interfaces, vpc_endpoints
from .errors import AwsError
from .gateway import operation
from .interfaces import ec2_of
from .wire import Call, arn
from .account_state import World

# --- corrections of moto's rules: a description is not part of a rule's identity, and is stored for group sources too


def _description(rule: SecurityGroupRule) -> str | None:
    return rule.ip_range.get("Description") or rule.source_group.get("Description")


def _same_rule(rule: SecurityGroupRule, other: SecurityGroupRule) -> bool:
    def identity(one: SecurityGroupRule) -> tuple[Any, ...]:
        ports = (None, None) if one.ip_protocol == "-1" else (one.from_port, one.to_port)
        return (
            one.ip_protocol,
            *ports,
            one.ip_range.get("CidrIp"),
            one.ip_range.get("CidrIpv6"),
            one.source_group.get("GroupId"),
            one.prefix_list_id,
        )

    return identity(rule) == identity(other)


def _rule_text(permission: dict[str, Any]) -> str:
    """A rule as AWS words it in its refusal of a second one."""
    sources = permission.get("IpRanges", []) + permission.get("Ipv6Ranges", []) + permission.get("UserIdGroupPairs", [])
    source = sources[0] if sources else {}
    peer = source.get("CidrIp") or source.get("CidrIpv6") or source.get("GroupId")
    protocol = {"-1": "ALL", "6": "TCP", "17": "UDP"}.get(permission["IpProtocol"], permission["IpProtocol"].upper())
    first, last = permission.get("FromPort"), permission.get("ToPort")
    ports = f", from port: {first}, to port: {last}" if protocol in ("TCP", "UDP") else ""
    return f'"peer: {peer}, {protocol}{ports}, ALLOW"'


SecurityGroupRule.description = property(_description)
SecurityGroupRule.__eq__ = _same_rule
SecurityGroupRule.__hash__ = object.__hash__

# --- what moto's records lack, or have in one partition only

Subnet.arn = property(lambda subnet: arn("ec2", subnet.ec2_backend.region_name, f"subnet/{subnet.id}"))
VPC.dhcp_options_id = property(
    lambda vpc: vpc.dhcp_options.id if vpc.dhcp_options else f"dopt-{crc32(vpc.ec2_backend.region_name.encode()):08x}"
)
RouteTable.propagating_vgws = ()
Zone.group_name = property(lambda zone: f"{zone.region_name}-zg-1")
Zone.group_long_name = property(lambda zone: f"{_title(zone.region_name)} 1")
Zone.network_border_group = property(lambda zone: zone.region_name)
Zone.opt_in_status = "opt-in-not-required"
RegionsAndZonesBackend.zones.setdefault(
    "eusc-de-east-1",
    [
        Zone(region_name="eusc-de-east-1", name=f"eusc-de-east-1{letter}", zone_id=f"euscde1-az{number}")
        for number, letter in enumerate("abc", 1)
    ],
)


_TITLES = {"us-east-1": "US East (N. Virginia)", "us-west-2": "US West (Oregon)", "eu-west-1": "Europe (Ireland)"}


def _title(region: str) -> str:
    return _TITLES.get(region, region)


def canonical_cidr(text: str) -> str:
    """Clears the host bits, as AWS does. Text that is not a CIDR is left for moto to refuse."""
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        return text


def dependency(message: str) -> AwsError:
    return AwsError("DependencyViolation", message)


# --- tags


def check_tags(tags: list[dict[str, str]]) -> None:
    for tag in tags:
        key, value = tag.get("Key", ""), tag.get("Value", "")
        if key.lower().startswith("aws:"):
            raise AwsError(
                "InvalidParameterValue",
                f"Value ( {key} ) for parameter key is invalid. "
                "Tag keys starting with 'aws:' are reserved for internal use",
            )
        if not 1 <= len(key) <= 127:
            raise AwsError("InvalidParameterValue", "Tag keys must be between 1 and 127 characters long.")
        if len(value) > 255:
            raise AwsError("InvalidParameterValue", "Tag values must be at most 255 characters long.")


def _check_specifications(call: Call, kind: str) -> None:
    for specification in call.get("TagSpecifications", []):
        if specification.get("ResourceType") != kind:
            raise AwsError(
                "InvalidParameterValue",
                f"'{specification.get('ResourceType')}' is not a valid taggable resource type for this operation.",
            )
        check_tags(specification.get("Tags", []))


@operation("ec2", "CreateTags")
def create_tags(world: World, call: Call) -> Any:
    check_tags(call.get("Tags", []))
    ec2 = ec2_of(call.region)
    for identifier in call.get("Resources", []):
        if identifier.startswith("nat-") and identifier not in ec2.nat_gateways:
            raise AwsError("NatGatewayNotFound", f"The Nat Gateway {identifier} was not found")
        if identifier.startswith("i-") and identifier not in world.instances:
            raise AwsError("InvalidInstanceID.NotFound", f"The instance ID '{identifier}' does not exist")
        if identifier.startswith("vpce-") and identifier not in ec2.vpc_end_points:
            raise AwsError("InvalidVpcEndpointId.NotFound", f"The VPC endpoint ID '{identifier}' does not exist")
        if identifier.startswith("eipalloc-") and all(item.allocation_id != identifier for item in ec2.addresses):
            raise AwsError("InvalidAllocationID.NotFound", f"The allocation ID '{identifier}' does not exist")
    if any(identifier in world.instances for identifier in call.get("Resources", [])):
        ec2.create_tags(call.params["Resources"], {tag["Key"]: tag.get("Value", "") for tag in call.get("Tags", [])})
        return {}
    return call.moto()


# --- VPCs


@operation("ec2", "CreateVpc")
def create_vpc(world: World, call: Call) -> Any:
    _check_specifications(call, "vpc")
    ec2 = ec2_of(call.region)
    if len(ec2.vpcs) >= world.config["quotas"]["vpcs"]:
        raise AwsError("VpcLimitExceeded", "The maximum number of VPCs has been reached.")
    result = call.result(put={"CidrBlock": canonical_cidr(call.get("CidrBlock", ""))})
    vpc = ec2.vpcs[result["Vpc"]["VpcId"]]
    result["Vpc"]["State"] = "pending"
    _pend(world, vpc, "vpc")
    return result


def _pend(world: World, resource: Any, kind: str) -> None:
    resource.state = "pending"

    def ready() -> None:
        resource.state = "available"

    world.after(world.delay(kind), ready)


@operation("ec2", "ModifyVpcAttribute")
def modify_vpc_attribute(world: World, call: Call) -> Any:
    attributes = {"EnableDnsSupport", "EnableDnsHostnames", "EnableNetworkAddressUsageMetrics"} & call.params.keys()
    if not attributes:
        raise AwsError("InvalidParameterCombination", "No attributes specified.")
    if len(attributes) > 1:
        raise AwsError("InvalidParameterCombination", "Fields for multiple attribute types specified")
    return call.moto()


@operation("ec2", "DeleteVpc")
def delete_vpc(world: World, call: Call) -> Any:
    ec2 = ec2_of(call.region)
    identifier = call.params["VpcId"]
    vpc = ec2.get_vpc(identifier)
    in_the_way = (
        any(igw.vpc is not None and igw.vpc.id == identifier for igw in ec2.internet_gateways.values())
        or any(not group.is_default for group in ec2.groups.get(identifier, {}).values())
        or any(gateway.vpc_id == identifier and not gateway.gone for gateway in ec2.nat_gateways.values())
        or any(eni.subnet.vpc_id == identifier for eni in ec2.enis.values())
        or any(acl.vpc_id == identifier and not acl.default for acl in ec2.network_acls.values())
        or any(gateway.vpc_id == identifier for gateway in ec2.egress_only_internet_gateways.values())
        or any(gateway.vpc_id == identifier for gateway in ec2.carrier_gateways.values())
        or vpc_endpoints.holds(call.region, identifier)
    )
    if in_the_way:
        raise dependency(f"The vpc '{vpc.id}' has dependencies and cannot be deleted.")
    response = call.moto()
    if response.status < 300:
        for identifier_of_acl in [acl.id for acl in ec2.network_acls.values() if acl.vpc_id == identifier]:
            del ec2.network_acls[identifier_of_acl]
        vpc_endpoints.end_peerings(call.region, identifier)
    return response


# --- subnets


@operation("ec2", "CreateSubnet")
def create_subnet(world: World, call: Call) -> Any:
    _check_specifications(call, "subnet")
    ec2 = ec2_of(call.region)
    zone = call.get("AvailabilityZone")
    known = {item.name for item in ec2.describe_availability_zones()}
    if zone is not None and zone not in known:
        raise AwsError(
            "InvalidParameterValue",
            f"Value ({zone}) for parameter availabilityZone is invalid. "
            f"Subnets can currently only be created in the following availability zones: {', '.join(sorted(known))}.",
        )
    cidr = call.get("CidrBlock")
    if cidr is not None:
        cidr = canonical_cidr(cidr)
        try:
            prefix = ipaddress.ip_network(cidr).prefixlen
        except ValueError:
            prefix = 24  # moto refuses it with the error message of AWS
        if not 16 <= prefix <= 28:
            raise AwsError("InvalidSubnet.Range", f"The CIDR '{cidr}' is invalid.")
    result = call.result(put={"CidrBlock": cidr} if cidr is not None else None)
    subnet = ec2.get_subnet(result["Subnet"]["SubnetId"])
    # Moto marks the first subnet of a zone as the default one, which is correct only for the default VPC.
    if not ec2.vpcs[subnet.vpc_id].is_default:
        subnet.default_for_az = subnet.map_public_ip_on_launch = False
        result["Subnet"]["DefaultForAz"] = result["Subnet"]["MapPublicIpOnLaunch"] = False
    result["Subnet"]["State"] = "pending"
    _pend(world, subnet, "subnet")
    return result


@operation("ec2", "DeleteSubnet")
def delete_subnet(world: World, call: Call) -> Any:
    ec2 = ec2_of(call.region)
    subnet = ec2.get_subnet(call.params["SubnetId"])
    in_the_way = (
        interfaces.in_subnet(call.region, subnet.id)
        or any(gateway.subnet_id == subnet.id and not gateway.gone for gateway in ec2.nat_gateways.values())
        or any(subnet.id in group.subnet_ids for group in world.caches.subnet_groups.values())
    )
    if in_the_way:
        raise dependency(f"The subnet '{subnet.id}' has dependencies and cannot be deleted.")
    response = call.moto()
    if response.status < 300:
        for table in ec2.route_tables.values():
            for association in [key for key, target in table._associations.items() if target == subnet.id]:
                del table._associations[association]
    return response


# --- internet gateways


@operation("ec2", "CreateInternetGateway")
def create_internet_gateway(world: World, call: Call) -> Any:
    _check_specifications(call, "internet-gateway")
    # Coupled to the VPC quota. In moto, the default VPC has no internet gateway.
    if len(ec2_of(call.region).internet_gateways) >= world.config["quotas"]["vpcs"]:
        raise AwsError("InternetGatewayLimitExceeded", "The maximum number of internet gateways has been reached.")
    return call.moto()


@operation("ec2", "AttachInternetGateway")
def attach_internet_gateway(world: World, call: Call) -> Any:
    ec2 = ec2_of(call.region)
    igw = ec2.get_internet_gateway(call.params["InternetGatewayId"])
    vpc = ec2.get_vpc(call.params["VpcId"])
    if igw.vpc is not None:
        raise AwsError("Resource.AlreadyAssociated", f"resource {igw.id} is already attached to network {igw.vpc.id}")
    if any(other.vpc is not None and other.vpc.id == vpc.id for other in ec2.internet_gateways.values()):
        raise AwsError("InvalidParameterValue", f"Network {vpc.id} already has an internet gateway attached")
    return call.moto()


@operation("ec2", "DetachInternetGateway")
def detach_internet_gateway(world: World, call: Call) -> Any:
    ec2 = ec2_of(call.region)
    igw = ec2.get_internet_gateway(call.params["InternetGatewayId"])
    vpc_id = call.params["VpcId"]
    attached = igw.vpc is not None and igw.vpc.id == vpc_id
    if attached and any(eni.public_ip for eni in ec2.enis.values() if eni.subnet.vpc_id == vpc_id):
        raise dependency(
            f"Network {vpc_id} has some mapped public address(es). "
            "Please unmap those public address(es) before detaching the gateway."
        )
    return call.moto()


@operation("ec2", "DeleteInternetGateway")
def delete_internet_gateway(world: World, call: Call) -> Any:
    igw = ec2_of(call.region).get_internet_gateway(call.params["InternetGatewayId"])
    if igw.vpc is not None:
        raise dependency(f"The internetGateway '{igw.id}' has dependencies and cannot be deleted.")
    return call.moto()


# --- addresses


@operation("ec2", "AllocateAddress")
def allocate_address(world: World, call: Call) -> Any:
    _check_specifications(call, "elastic-ip")
    if len(ec2_of(call.region).addresses) >= world.config["quotas"]["elastic_ips"]:
        raise AwsError("AddressLimitExceeded", "The maximum number of addresses has been reached.")
    result = call.result()
    result["NetworkBorderGroup"] = call.region
    return result


def address_of(call: Call) -> Any:
    """The address that a call names by its allocation."""
    wanted = call.params["AllocationId"]
    found = next((one for one in ec2_of(call.region).addresses if one.allocation_id == wanted), None)
    if found is None:
        raise AwsError("InvalidAllocationID.NotFound", f"The allocation ID '{wanted}' does not exist")
    return found


@operation("ec2", "ReleaseAddress")
def release_address(world: World, call: Call) -> Any:
    ec2 = ec2_of(call.region)
    address = address_of(call)
    if any(gateway.address is address and gateway.eni and not gateway.gone for gateway in ec2.nat_gateways.values()):
        # AWS returns this error for an address that a NAT gateway uses, until the gateway is deleted.
        raise AwsError("AuthFailure", "You do not have permission to access the specified resource.", 400)
    if address.association_id:
        raise AwsError("InvalidIPAddress.InUse", f"Address {address.public_ip} is in use.")
    return call.moto()


# --- route tables


@operation("ec2", "CreateRouteTable")
def create_route_table(world: World, call: Call) -> Any:
    _check_specifications(call, "route-table")
    return call.moto()


def _check_target(call: Call) -> None:
    ec2 = ec2_of(call.region)
    table = ec2.get_route_table(call.params["RouteTableId"])
    nat_id, gateway_id = call.get("NatGatewayId"), call.get("GatewayId")
    eni_id = call.get("NetworkInterfaceId")
    if eni_id is not None and eni_id not in ec2.enis:
        raise AwsError("InvalidNetworkInterfaceID.NotFound", f"The networkInterface ID '{eni_id}' does not exist")
    if eni_id is not None and ec2.enis[eni_id].subnet.vpc_id != table.vpc_id:
        raise AwsError(
            "InvalidParameterValue", f"route table {table.id} and interface {eni_id} belong to different networks"
        )
    if nat_id is not None:
        gateway = ec2.nat_gateways.get(nat_id)
        if gateway is None or gateway.state in ("deleted", "deleting", "failed"):
            raise AwsError("InvalidNatGatewayID.NotFound", f"The natGateway ID '{nat_id}' does not exist")
        if gateway.vpc_id != table.vpc_id:
            raise AwsError(
                "InvalidParameterValue",
                f"route table {table.id} and network gateway {nat_id} belong to different networks",
            )
    if gateway_id is not None and gateway_id.startswith("igw-"):
        if gateway_id not in ec2.internet_gateways:
            raise AwsError("InvalidGatewayID.NotFound", f"The gateway ID '{gateway_id}' does not exist")
        igw = ec2.internet_gateways[gateway_id]
        if igw.vpc is None or igw.vpc.id != table.vpc_id:
            raise AwsError(
                "InvalidParameterValue",
                f"route table {table.id} and network gateway {gateway_id} belong to different networks",
            )
    elif gateway_id is not None and gateway_id.startswith("nat-"):
        raise AwsError("InvalidGatewayID.NotFound", f"The gateway ID '{gateway_id}' does not exist")


def _canonical_destination(call: Call) -> dict[str, str] | None:
    given = call.get("DestinationCidrBlock")
    return {"DestinationCidrBlock": canonical_cidr(given)} if given else None


@operation("ec2", "CreateRoute", "ReplaceRoute")
def put_route(world: World, call: Call) -> Any:
    _check_target(call)
    return call.moto(put=_canonical_destination(call))


@operation("ec2", "AssociateRouteTable")
def associate_route_table(world: World, call: Call) -> Any:
    ec2 = ec2_of(call.region)
    table = ec2.get_route_table(call.params["RouteTableId"])
    subnet_id = call.get("SubnetId")
    if subnet_id is not None:
        subnet = ec2.get_subnet(subnet_id)
        if subnet.vpc_id != table.vpc_id:
            raise AwsError(
                "InvalidParameterValue", f"route table {table.id} and subnet {subnet_id} belong to different networks"
            )
        if any(subnet_id in other._associations.values() for other in ec2.route_tables.values()):
            raise AwsError(
                "Resource.AlreadyAssociated",
                f"the specified association for route table {table.id} conflicts with an existing association",
            )
    return call.moto()


@operation("ec2", "DeleteRouteTable")
def delete_route_table(world: World, call: Call) -> Any:
    table = ec2_of(call.region).get_route_table(call.params["RouteTableId"])
    if table.main_association_id or table._associations:
        raise dependency(f"The routeTable '{table.id}' has dependencies and cannot be deleted.")
    return call.moto()


# --- security groups

_GROUP_TEXT = re.compile(r"[A-Za-z0-9 ._\-:/()#,@\[\]+=&;{}!$*]*")


@operation("ec2", "CreateSecurityGroup")
def create_security_group(world: World, call: Call) -> Any:
    _check_specifications(call, "security-group")
    for name, parameter in (("GroupName", "groupName"), ("Description", "GroupDescription")):
        text = call.get(name, "")
        if len(text) > 255 or not _GROUP_TEXT.fullmatch(text):
            raise AwsError(
                "InvalidParameterValue",
                f"Value ({text}) for parameter {parameter} is invalid. "
                "Valid are up to 255 of a-z, A-Z, 0-9, spaces, and ._-:/()#,@[]+=&;{}!$*",
            )
    if call.get("GroupName", "").startswith("sg-"):
        raise AwsError("InvalidParameterValue", "Group name may not be in the format sg-*.")
    return call.moto()


@operation("ec2", "AuthorizeSecurityGroupIngress", "AuthorizeSecurityGroupEgress")
def authorize(world: World, call: Call) -> Any:
    _check_specifications(call, "security-group-rule")
    for permission in call.get("IpPermissions", []):
        sources = (
            permission.get("IpRanges", []) + permission.get("Ipv6Ranges", []) + permission.get("UserIdGroupPairs", [])
        )
        for source in sources:
            text = source.get("Description", "")
            if len(text) > 255 or not _GROUP_TEXT.fullmatch(text):
                raise AwsError("InvalidParameterValue", "Invalid rule description.")
        for span in permission.get("IpRanges", []):
            given = span.get("CidrIp", "")
            if canonical_cidr(given) != given:
                raise AwsError("InvalidParameterValue", f"CIDR block {given} is malformed")
        if permission.get("IpProtocol") in ("tcp", "udp", "6", "17"):
            first, last = permission.get("FromPort"), permission.get("ToPort")
            if first is None or last is None or not 0 <= first <= last <= 65535:
                raise AwsError(
                    "InvalidParameterValue",
                    "Invalid value for portRange. Must specify both from and to ports with TCP/UDP.",
                )
    response = call.moto()
    if response.status == 400 and b"InvalidPermission.Duplicate" in response.body:
        text = _rule_text(call.get("IpPermissions", [{"IpProtocol": "-1"}])[0])
        raise AwsError("InvalidPermission.Duplicate", f"the specified rule {text} already exists")
    return response


@operation("ec2", "DeleteSecurityGroup")
def delete_security_group(world: World, call: Call) -> Any:
    ec2 = ec2_of(call.region)
    group = ec2.get_security_group_from_id(call.get("GroupId", ""))
    if group is None:
        return call.moto()
    if group.is_default:
        raise AwsError("CannotDelete", f'the specified group: "{group.id}" name: "default" cannot be deleted by a user')
    referenced = any(
        rule.source_group.get("GroupId") == group.id
        for groups in ec2.groups.values()
        for other in groups.values()
        if other.id != group.id
        for rule in [*other.ingress_rules, *other.egress_rules]
    )
    if (
        referenced
        or interfaces.in_group(call.region, group.id)
        or group.id in lambda_interfaces.groups_in_use(world)
        or any(group.id in cache.security_groups for cache in world.caches.groups.values())
        or any(group.id in cache.security_groups for cache in world.caches.serverless.values())
    ):
        raise dependency(f"resource {group.id} has a dependent object")
    return call.moto()


# --- network interfaces


@operation("ec2", "DeleteNetworkInterface")
def delete_network_interface(world: World, call: Call) -> Any:
    ec2 = ec2_of(call.region)
    eni = ec2.get_network_interface(call.params["NetworkInterfaceId"])
    if eni.status == "in-use":
        if eni.requester_managed:
            raise AwsError("AuthFailure", "You do not have permission to access the specified resource.", 400)
        raise AwsError("InvalidParameterValue", f"Network interface '{eni.id}' is currently in use.")
    return call.moto()
