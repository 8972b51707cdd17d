"""NAT gateways, implemented here. They are stored in moto's table, so that its routes and tags find them."""

from __future__ import annotations

import datetime
from typing import Any

from moto.ec2.models.core import TaggedEC2Resource
from moto.ec2.models.internet_gateways import InternetGateway
from moto.ec2.models.route_tables import Route
from moto.ec2.utils import random_eip_association_id, random_nat_gateway_id

from . import interfaces
from .ec2 import address_of
from .ec2_listing import LISTINGS, page, select
from .errors import AwsError
from .gateway import operation, remember
from .interfaces import ec2_of
from .wire import Call
from .account_state import World


class Gateway(TaggedEC2Resource):
    def __init__(self, ec2: Any, subnet: Any, address: Any, connectivity: str) -> None:
        self.id = random_nat_gateway_id()
        self.ec2_backend = ec2
        self.subnet_id = subnet.id
        self.vpc_id = subnet.vpc_id
        self.zone = subnet.availability_zone
        self.address = address
        self.connectivity_type = connectivity
        self.state = "pending"
        self.failure: tuple[str, str] | None = None
        self.eni: Any = None
        self.public_ip = address.public_ip if address else None
        self.allocation_id = address.allocation_id if address else None
        self.created = datetime.datetime.now(datetime.UTC)
        self.deleted_at: datetime.datetime | None = None

    @property
    def gone(self) -> bool:
        return self.state in ("deleted", "failed")

    def json(self) -> dict[str, Any]:
        one: dict[str, Any] = {"IsPrimary": True, "Status": "failed" if self.failure else "succeeded"}
        if self.eni is not None:
            one |= {"NetworkInterfaceId": self.eni.id, "PrivateIp": self.eni.private_ip_address}
        if self.allocation_id:
            one["AllocationId"] = self.allocation_id
        # The public address is shown once the gateway uses it.
        if self.public_ip and self.state not in ("pending", "failed"):
            one["PublicIp"] = self.public_ip
            if self.address.association_id:
                one["AssociationId"] = self.address.association_id
        found: dict[str, Any] = {
            "NatGatewayId": self.id,
            "SubnetId": self.subnet_id,
            "VpcId": self.vpc_id,
            "State": self.state,
            "CreateTime": self.created,
            "ConnectivityType": self.connectivity_type,
            "NatGatewayAddresses": [one],
            "Tags": [{"Key": tag["key"], "Value": tag["value"]} for tag in self.get_tags()],
        }
        if self.failure:
            found["FailureCode"], found["FailureMessage"] = self.failure
        if self.deleted_at:
            found["DeleteTime"] = self.deleted_at
        return found


def route_state(route: Route) -> str:
    """`blackhole` if the target is deleted or cannot forward traffic."""
    if route.nat_gateway is not None and route.nat_gateway.gone:
        return "blackhole"
    ec2 = route.route_table.ec2_backend
    gateway = route.gateway
    if isinstance(gateway, InternetGateway) and (gateway.vpc is None or gateway.id not in ec2.internet_gateways):
        return "blackhole"
    if route.interface is not None and route.interface.id not in ec2.enis:
        return "blackhole"
    instance = getattr(route.interface, "record", None)
    if instance is not None and instance.state not in ("pending", "running"):
        return "blackhole"
    return "active"


Route.state = property(route_state)
Route.instance_id = property(lambda route: getattr(getattr(route.interface, "record", None), "id", None))


@operation("ec2", "CreateNatGateway")
def create(world: World, call: Call) -> Any:
    ec2 = ec2_of(call.region)
    subnet = ec2.get_subnet(call.params["SubnetId"])
    connectivity = call.get("ConnectivityType", "public")
    address = None
    if connectivity == "public":
        if not call.get("AllocationId"):
            raise AwsError("MissingParameter", "The request must contain the parameter AllocationId")
        address = address_of(call)
    elif call.get("AllocationId"):
        raise AwsError("InvalidParameter", "A private NAT gateway cannot have an Elastic IP address")
    here = [
        gateway
        for gateway in ec2.nat_gateways.values()
        if gateway.zone == subnet.availability_zone and not gateway.gone
    ]
    limit = world.config["quotas"]["nat_gateways"]
    if len(here) >= limit:
        raise AwsError(
            "NatGatewayLimitExceeded", f"Performing this operation would exceed the limit of {limit} NAT gateways"
        )
    gateway = Gateway(ec2, subnet, address, connectivity)
    for specification in call.get("TagSpecifications", []):
        if specification.get("ResourceType") != "natgateway":
            raise AwsError(
                "InvalidParameterValue",
                f"'{specification.get('ResourceType')}' is not a valid taggable resource type for this operation.",
            )
        gateway.add_tags({tag["Key"]: tag.get("Value", "") for tag in specification.get("Tags", [])})
    ec2.nat_gateways[gateway.id] = gateway
    failure = _failure(world, ec2, gateway)
    if failure is None:
        gateway.eni = interfaces.add(
            call.region,
            subnet,
            [],
            f"Interface for NAT Gateway {gateway.id}",
            requester="amazon-nat-gateway",
            interface_type="nat_gateway",
        )
        gateway.eni._group_set = []
        if address is not None:
            address.eni = gateway.eni
            address.association_id = random_eip_association_id()
            gateway.eni.public_ip = address.public_ip
    reply = {"NatGateway": gateway.json(), "ClientToken": call.get("ClientToken")}
    remember(world, call, lambda: {"NatGateway": gateway.json(), "ClientToken": call.get("ClientToken")})

    def settle() -> None:
        if gateway.state != "pending":
            return
        if failure is None:
            gateway.state = "available"
        else:
            gateway.state, gateway.failure = "failed", failure
            gateway.deleted_at = datetime.datetime.now(datetime.UTC)

    world.after(world.delay("nat-gateway"), settle)
    return reply


def _failure(world: World, ec2: Any, gateway: Gateway) -> tuple[str, str] | None:
    """(code, message) of the failure of this gateway. AWS accepts the call and reports the failure later."""
    outcome = world.outcome("nat-gateway")
    if isinstance(outcome, dict) and outcome.get("state") == "failed":
        return outcome.get("code", "InternalError"), outcome.get("message", "Network interface could not be created")
    address = gateway.address
    if address is None:
        return None
    if address.association_id or address.eni or address.instance:
        return "Resource.AlreadyAssociated", f"Elastic IP address [{address.allocation_id}] is already associated"
    if not any(igw.vpc is not None and igw.vpc.id == gateway.vpc_id for igw in ec2.internet_gateways.values()):
        return "Gateway.NotAttached", f"Network {gateway.vpc_id} has no Internet gateway attached"
    return None


def _gateway(ec2: Any, identifier: str) -> Gateway:
    gateway = ec2.nat_gateways.get(identifier)
    if gateway is None:
        raise AwsError("NatGatewayNotFound", f"The Nat Gateway {identifier} was not found")
    return gateway


@operation("ec2", "DeleteNatGateway")
def delete(world: World, call: Call) -> Any:
    ec2 = ec2_of(call.region)
    gateway = _gateway(ec2, call.params["NatGatewayId"])
    if gateway.state in ("deleted", "deleting"):
        return {"NatGatewayId": gateway.id}
    gateway.state = "deleting"

    def gone() -> None:
        if gateway.state == "deleted":
            return
        gateway.state = "deleted"
        gateway.deleted_at = datetime.datetime.now(datetime.UTC)
        if gateway.eni is not None:
            interfaces.remove(call.region, gateway.eni.id)
            if gateway.address is not None and gateway.address.eni is gateway.eni:
                gateway.address.eni = None
                gateway.address.association_id = None

    world.after(world.delay("nat-gateway-delete"), gone)
    return {"NatGatewayId": gateway.id}


@operation("ec2", "DescribeNatGateways")
def describe(world: World, call: Call) -> Any:
    ec2 = ec2_of(call.region)
    wanted = call.get("NatGatewayIds", [])
    if wanted:
        missing = [identifier for identifier in wanted if identifier not in ec2.nat_gateways]
        if missing:
            raise AwsError(
                "NatGatewayNotFound",
                f"The Nat Gateway {missing[0]} was not found"
                if len(missing) == 1
                else f"The Nat Gateways {', '.join(missing)} were not found",
            )
    items = [gateway.json() for gateway in ec2.nat_gateways.values() if not wanted or gateway.id in wanted]
    items = select(call, items, LISTINGS["DescribeNatGateways"][1])
    return page(world, call, items, "NatGateways")
