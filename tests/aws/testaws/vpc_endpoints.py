"""VPC endpoints with their network interfaces, and VPC peering connections: what others put into a VPC."""

from __future__ import annotations

from typing import Any

from . import interfaces
from .gateway import operation
from .interfaces import ec2_of
from .wire import ACCOUNT, Call
from .account_state import World

_OF_ENDPOINTS = "727180483921"


@operation("ec2", "CreateVpcEndpoint")
def create_vpc_endpoint(world: World, call: Call) -> Any:
    result = call.result()
    endpoint = result["VpcEndpoint"]
    ec2 = ec2_of(call.region)
    record = ec2.vpc_end_points[endpoint["VpcEndpointId"]]
    for eni_id in record.network_interface_ids:
        interfaces.remove(call.region, eni_id)
    record.network_interface_ids = []
    if call.get("VpcEndpointType") == "Interface":
        groups = call.get("SecurityGroupIds") or [ec2.get_security_group_by_name_or_id("default", record.vpc_id).id]
        record.security_group_ids = groups
        _add_interfaces(call.region, record, call.get("SubnetIds") or [])
    endpoint["NetworkInterfaceIds"] = list(record.network_interface_ids)
    endpoint.setdefault("OwnerId", ACCOUNT)
    return result


def _add_interfaces(region: str, record: Any, subnet_ids: list[str]) -> None:
    for subnet_id in subnet_ids:
        eni = interfaces.add(
            region,
            ec2_of(region).get_subnet(subnet_id),
            record.security_group_ids,
            f"VPC Endpoint Interface {record.id}",
            requester=_OF_ENDPOINTS,
            interface_type="vpc_endpoint",
        )
        record.network_interface_ids.append(eni.id)


def add(region: str, vpc_id: str, service: str, subnet_ids: list[str], groups: list[str]) -> str:
    """The endpoint that a service creates in the caller's VPC."""
    record = ec2_of(region).create_vpc_endpoint(vpc_id, service, "Interface", None, [], [], security_group_ids=groups)
    record.subnet_ids = subnet_ids
    record.security_group_ids = list(groups)
    record.network_interface_ids = []
    _add_interfaces(region, record, subnet_ids)
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
    ec2 = ec2_of(call.region)
    response = call.moto()
    for endpoint_id in call.get("VpcEndpointIds", []):
        ec2.vpc_end_points.pop(endpoint_id, None)
    return response


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
