"""VPC endpoints with their network interfaces, and VPC peering connections."""

from __future__ import annotations

from typing import Any

from . import interfaces
from .ec2_listing import page, select
from .errors import AwsError
from .gateway import operation, remember
from .interfaces import ec2_of
from .wire import ACCOUNT, Call
from .account_state import World

_OF_ENDPOINTS = "727180483921"
_SERVICES = ("ec2", "lambda", "logs", "s3", "ssm")


def _prefix(region: str, service: str) -> str:
    """In China, some services have another prefix."""
    return "cn.com.amazonaws" if region.startswith("cn-") and service != "ssm" else "com.amazonaws"


def _offered(region: str) -> list[str]:
    return [f"{_prefix(region, service)}.{region}.{service}" for service in _SERVICES]


@operation("ec2", "DescribeVpcEndpointServices")
def describe_services(world: World, call: Call) -> Any:
    items = [{"ServiceName": name, "Owner": "amazon", "Tags": []} for name in _offered(call.region)]
    items = select(call, items, {"service-name": lambda item: [item["ServiceName"]]})
    found = page(world, call, items, "ServiceDetails")
    return {**found, "ServiceNames": [item["ServiceName"] for item in found["ServiceDetails"]]}


def _check(call: Call) -> None:
    """What EC2 refuses for an interface endpoint."""
    ec2 = ec2_of(call.region)
    vpc = ec2.get_vpc(call.params["VpcId"])
    name = call.params["ServiceName"]
    service = name.rpartition(".")[2]
    if service in _SERVICES and name not in _offered(call.region):
        raise AwsError("InvalidServiceName", f"The Vpc Endpoint Service '{name}' does not exist")
    _check_zones(call, call.get("SubnetIds") or [])
    if call.get("PrivateDnsEnabled"):
        _check_names(call, vpc, name)


def _check_zones(call: Call, subnets: list[str]) -> None:
    ec2 = ec2_of(call.region)
    zones = [ec2.get_subnet(subnet).availability_zone for subnet in subnets]
    if len(set(zones)) < len(zones):
        raise AwsError("DuplicateSubnetsInSameZone", "Found another VPC endpoint subnet in the availability zone.")


def _check_names(call: Call, vpc: Any, name: str) -> None:
    ec2 = ec2_of(call.region)
    if not all(str(on).lower() == "true" for on in (vpc.enable_dns_support, vpc.enable_dns_hostnames)):
        raise AwsError(
            "InvalidParameter",
            "Enabling private DNS requires both enableDnsSupport and enableDnsHostnames VPC attributes set to true for "
            f"{vpc.id}",
        )
    taken = (
        one.vpc_id == vpc.id and one.service_name == name and one.private_dns_enabled and one.state != "deleted"
        for one in ec2.vpc_end_points.values()
    )
    if any(taken):
        service = name.rpartition(".")[2]
        raise AwsError(
            "InvalidParameter",
            "private-dns-enabled cannot be set because there is already a conflicting DNS domain for "
            f"{service}.{call.region}.amazonaws.com in the VPC {vpc.id}",
        )


@operation("ec2", "CreateVpcEndpoint")
def create_vpc_endpoint(world: World, call: Call) -> Any:
    is_interface = call.get("VpcEndpointType") == "Interface"
    if is_interface:
        _check(call)
    result = call.result()
    endpoint = result["VpcEndpoint"]
    ec2 = ec2_of(call.region)
    record = ec2.vpc_end_points[endpoint["VpcEndpointId"]]
    for eni_id in record.network_interface_ids:
        interfaces.remove(call.region, eni_id)
    record.network_interface_ids = []
    if is_interface:
        groups = call.get("SecurityGroupIds") or [ec2.get_security_group_by_name_or_id("default", record.vpc_id).id]
        record.security_group_ids = list(groups)
        record.subnet_ids = list(record.subnet_ids or [])
        for subnet_id in record.subnet_ids:
            _enter(call.region, record, subnet_id)
        record.state = "pending"

        def ready() -> None:
            if record.state == "pending":
                record.state = "available"

        world.after(world.delay("vpc-endpoint"), ready)
        endpoint["State"] = record.state
        remember(world, call, lambda: {"VpcEndpoint": endpoint | {"State": record.state}})
    endpoint["NetworkInterfaceIds"] = list(record.network_interface_ids)
    endpoint.setdefault("OwnerId", ACCOUNT)
    return result


def _enter(region: str, record: Any, subnet_id: str) -> None:
    eni = interfaces.add(
        region,
        ec2_of(region).get_subnet(subnet_id),
        record.security_group_ids,
        f"VPC Endpoint Interface {record.id}",
        requester=_OF_ENDPOINTS,
        interface_type="vpc_endpoint",
    )
    record.network_interface_ids.append(eni.id)


@operation("ec2", "ModifyVpcEndpoint")
def modify_vpc_endpoint(world: World, call: Call) -> Any:
    ec2 = ec2_of(call.region)
    record = ec2.vpc_end_points.get(call.params["VpcEndpointId"])
    if record is None or record.state in ("deleting", "deleted"):
        raise AwsError(
            "InvalidVpcEndpointId.NotFound", f"The VPC endpoint ID '{call.params['VpcEndpointId']}' does not exist"
        )
    if record.state != "available":
        raise AwsError("IncorrectState", f"vpc-endpoint {record.id} is in the state {record.state}")
    if record.vpc_endpoint_type != "Interface":
        return call.moto()
    left = call.get("RemoveSubnetIds") or []
    subnets = [one for one in record.subnet_ids if one not in left] + (call.get("AddSubnetIds") or [])
    _check_zones(call, subnets)
    if call.get("PrivateDnsEnabled") and not record.private_dns_enabled:
        _check_names(call, ec2.get_vpc(record.vpc_id), record.service_name)
    if call.get("PrivateDnsEnabled") is not None:
        record.private_dns_enabled = bool(call.params["PrivateDnsEnabled"])
    dropped = call.get("RemoveSecurityGroupIds") or []
    groups = [one for one in record.security_group_ids if one not in dropped]
    record.security_group_ids = groups + [one for one in call.get("AddSecurityGroupIds") or [] if one not in groups]
    for eni_id in list(record.network_interface_ids):
        if interfaces.subnet_of(call.region, eni_id) in left:
            interfaces.remove(call.region, eni_id)
            record.network_interface_ids.remove(eni_id)
        else:
            interfaces.set_groups(call.region, eni_id, record.security_group_ids)
    for subnet_id in call.get("AddSubnetIds") or []:
        _enter(call.region, record, subnet_id)
    record.subnet_ids = subnets
    return {"Return": True}


def add(region: str, vpc_id: str, service: str, subnet_ids: list[str], groups: list[str]) -> str:
    """The endpoint that a service creates in the caller's VPC."""
    record = ec2_of(region).create_vpc_endpoint(vpc_id, service, "Interface", None, [], [], security_group_ids=groups)
    record.subnet_ids = subnet_ids
    record.security_group_ids = list(groups)
    record.network_interface_ids = []
    for subnet_id in subnet_ids:
        _enter(region, record, subnet_id)
    return record.id


def set_groups(region: str, endpoint_id: str, groups: list[str]) -> None:
    record = ec2_of(region).vpc_end_points[endpoint_id]
    record.security_group_ids = list(groups)
    for eni_id in record.network_interface_ids:
        interfaces.set_groups(region, eni_id, groups)


def remove(region: str, endpoint_id: str) -> None:
    record = ec2_of(region).vpc_end_points.pop(endpoint_id, None)
    for eni_id in record.network_interface_ids if record else []:
        interfaces.remove(region, eni_id)


@operation("ec2", "DeleteVpcEndpoints")
def delete_vpc_endpoints(world: World, call: Call) -> Any:
    """An interface endpoint is deleted some time later, with its interfaces, and then no longer listed."""
    ec2 = ec2_of(call.region)
    unsuccessful = []
    for endpoint_id in call.get("VpcEndpointIds", []):
        record = ec2.vpc_end_points.get(endpoint_id)
        if record is None:
            text = f"The VPC endpoint ID '{endpoint_id}' does not exist"
            error = {"Code": "InvalidVpcEndpoint.NotFound", "Message": text}
            unsuccessful.append({"ResourceId": endpoint_id, "Error": error})
        elif record.state != "deleting":
            record.state = "deleting"
            world.after(world.delay("vpc-endpoint-delete"), lambda record=record: _gone(call.region, record))
    return {"Unsuccessful": unsuccessful}


def _gone(region: str, record: Any) -> None:
    ec2 = ec2_of(region)
    if ec2.vpc_end_points.get(record.id) is not record:
        return
    for eni_id in record.network_interface_ids:
        interfaces.remove(region, eni_id)
    for table_id in record.route_table_ids or []:
        table = ec2.route_tables.get(table_id)
        for route_id, route in list(table._routes.items()) if table else []:
            if route.gateway_id == record.id:
                del table._routes[route_id]
    del ec2.vpc_end_points[record.id]
    ec2.tags.pop(record.id, None)


def serves(region: str, vpc_id: str, service: str, admitted: set[str]) -> bool:
    """Whether an endpoint answers for the service's own names, and admits one of these security groups."""
    ec2 = ec2_of(region)
    for record in ec2.vpc_end_points.values():
        if record.vpc_id != vpc_id or not record.service_name.endswith(f".{service}"):
            continue
        groups = [ec2.get_security_group_from_id(group) for group in record.security_group_ids]
        admits = any(
            rule.ip_protocol == "-1"
            or (rule.from_port <= 443 <= rule.to_port and (rule.source_group or {}).get("GroupId") in admitted)
            for group in groups
            for rule in group.ingress_rules
        )
        if record.state == "available" and record.private_dns_enabled and record.network_interface_ids and admits:
            return True
    return False


def holds(region: str, vpc_id: str) -> bool:
    """Whether an endpoint, or a request for a peering connection that is not accepted, keeps the VPC."""
    ec2 = ec2_of(region)
    return any(endpoint.vpc_id == vpc_id for endpoint in ec2.vpc_end_points.values()) or any(
        peering.peer_vpc.id == vpc_id and peering.status["Code"] == "pending-acceptance"
        for peering in ec2.vpc_pcxs.values()
    )


def end_peerings(region: str, vpc_id: str) -> None:
    """The peering connections of a deleted VPC are deleted with it."""
    for peering in ec2_of(region).vpc_pcxs.values():
        if vpc_id in (peering.vpc.id, peering.peer_vpc.id) and peering.status["Code"] in (
            "active",
            "pending-acceptance",
        ):
            peering._status.deleted(deleter_id=ACCOUNT)
