"""Network interfaces that AWS services create in the subnets of an account."""

from __future__ import annotations

import ipaddress
from typing import Any

from moto.ec2.models import ec2_backends
from moto.ec2.models.elastic_network_interfaces import NetworkInterface

from .wire import ACCOUNT


class ManagedInterface(NetworkInterface):
    """An interface of an AWS service: requester-managed, and attached to a resource that the caller cannot see."""

    attached = True
    attachment_owner = "amazon-aws"

    @property
    def attachment(self) -> Any:
        if not self.attached:
            return None
        return {
            "AttachmentId": self.id.replace("eni-", "ela-attach-"),
            "InstanceOwnerId": self.attachment_owner,
            "DeviceIndex": 1,
            "Status": "attached",
            "DeleteOnTermination": False,
        }


def ec2_of(region: str) -> Any:
    return ec2_backends[ACCOUNT][region]


def free_address(region: str, subnet: Any) -> str:
    """The lowest unused address of the subnet. AWS reserves the first four and the last."""
    taken = {
        ip["PrivateIpAddress"]
        for eni in ec2_of(region).enis.values()
        if eni.subnet.id == subnet.id
        for ip in eni.private_ip_addresses
    }
    network = ipaddress.ip_network(subnet.cidr_block, strict=False)
    for offset in range(4, network.num_addresses - 1):
        candidate = str(network[offset])
        if candidate not in taken:
            return candidate
    return str(network[-2])


def add(
    region: str,
    subnet: Any,
    groups: list[str],
    description: str,
    requester: str,
    interface_type: str = "interface",
    kind: type[ManagedInterface] = ManagedInterface,
) -> Any:
    ec2 = ec2_of(region)
    eni = kind(ec2, subnet, free_address(region, subnet), group_ids=list(groups), description=description)
    eni.requester_managed = interface_type != "lambda"
    eni.requester_id = requester
    eni.status = "in-use"
    eni.interface_type = interface_type
    eni.private_dns_name = _private_name(region, eni.private_ip_address)
    for address in eni.private_ip_addresses:
        address["PrivateDnsName"] = eni.private_dns_name
    ec2.enis[eni.id] = eni
    return eni


def _private_name(region: str, address: str) -> str:
    """The name within the VPC; the oldest region's names do not tell it."""
    domain = "ec2" if region == "us-east-1" else f"{region}.compute"
    return f"ip-{address.replace('.', '-')}.{domain}.internal"


def remove(region: str, eni_id: str) -> None:
    ec2 = ec2_of(region)
    ec2.enis.pop(eni_id, None)
    ec2.tags.pop(eni_id, None)


def subnet_of(region: str, eni_id: str) -> str | None:
    eni = ec2_of(region).enis.get(eni_id)
    return eni.subnet.id if eni else None


def set_groups(region: str, eni_id: str, groups: list[str]) -> None:
    ec2 = ec2_of(region)
    if eni_id in ec2.enis:
        ec2.enis[eni_id]._group_set = [ec2.get_security_group_from_id(group) for group in groups]


def in_subnet(region: str, subnet_id: str) -> list[Any]:
    return [eni for eni in ec2_of(region).enis.values() if eni.subnet.id == subnet_id]


def in_group(region: str, group_id: str) -> list[Any]:
    return [eni for eni in ec2_of(region).enis.values() if any(group.id == group_id for group in eni._group_set)]
