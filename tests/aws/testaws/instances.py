"""Instances, implemented here: their states, their network interface and address, and what they forward.

No code runs. The console shows what the user data writes to `/dev/console`, as soon as the instance has its address and a
way to the Internet, with which it can install packages.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import re
from typing import Any

from moto.ec2.models.core import TaggedEC2Resource
from moto.ec2.utils import random_eip_association_id, random_instance_id

from . import interfaces
from .ec2 import address_of, check_tags
from .ec2_listing import LISTINGS, page, select
from .errors import AwsError
from .gateway import operation, remember
from .interfaces import ec2_of
from .wire import ACCOUNT, Call
from .account_state import World

_CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}
_IMAGES = {"/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64": "ami-0abcdef1234567890"}
# Their vCPUs.
TYPES = {"t4g.nano": 2}
_IMAGE_GIB = 8
_TAGGABLE = {"instance", "network-interface", "volume"}


class InstanceInterface(interfaces.ManagedInterface):
    """The interface of an instance, which the caller sees."""

    record: Instance

    @property
    def attachment(self) -> Any:
        return {
            "AttachmentId": self.id.replace("eni-", "eni-attach-"),
            "InstanceId": self.record.id,
            "InstanceOwnerId": ACCOUNT,
            "DeviceIndex": 0,
            "Status": "attached",
            "DeleteOnTermination": True,
        }


class Instance(TaggedEC2Resource):
    def __init__(self, call: Call, image: str, subnet: Any, eni: InstanceInterface) -> None:
        self.id = random_instance_id()
        self.ec2_backend = ec2_of(call.region)
        self.region = call.region
        self.image = image
        self.type = call.get("InstanceType", "m1.small")
        self.subnet = subnet
        self.eni = eni
        self.user_data = call.get("UserData", "")
        self.metadata = call.get("MetadataOptions") or {}
        self.credits = (call.get("CreditSpecification") or {}).get("CpuCredits", "unlimited")
        mapping = next(iter(call.get("BlockDeviceMappings") or []), {})
        self.root_device = mapping.get("DeviceName", "/dev/xvda")
        self.volume = mapping.get("Ebs") or {}
        self.volume_id = self.id.replace("i-", "vol-")
        self.volume_tags: dict[str, str] = {}
        self.token = call.get("ClientToken")
        self.state = "pending"
        self.reason: tuple[str, str] | None = None
        self.source_check = True
        self.online_since: float | None = None
        self.is_set_up = False  # whether its user data has run to the end
        self.launched = datetime.datetime.now(datetime.UTC)

    @property
    def gone(self) -> bool:
        return self.state == "terminated"

    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "InstanceId": self.id,
            "ImageId": self.image,
            "InstanceType": self.type,
            "State": {"Code": _CODES[self.state], "Name": self.state},
            "LaunchTime": self.launched,
            "Architecture": "arm64",
            "ClientToken": self.token,
            "MetadataOptions": {
                "State": "applied",
                "HttpTokens": self.metadata.get("HttpTokens", "optional"),
                "HttpPutResponseHopLimit": self.metadata.get("HttpPutResponseHopLimit", 2),
                "HttpEndpoint": "enabled",
                "HttpProtocolIpv6": "disabled",
                "InstanceMetadataTags": "disabled",
            },
            "Placement": {"AvailabilityZone": self.subnet.availability_zone, "Tenancy": "default"},
            "Monitoring": {"State": "disabled"},
            "RootDeviceName": self.root_device,
            "RootDeviceType": "ebs",
            "Tags": [{"Key": tag["key"], "Value": tag["value"]} for tag in self.get_tags()],
        }
        if self.reason:
            found["StateReason"] = {"Code": self.reason[0], "Message": self.reason[1]}
        if self.gone:
            return found
        groups = [{"GroupId": group.id, "GroupName": group.name} for group in self.eni._group_set]
        interface: dict[str, Any] = {
            "NetworkInterfaceId": self.eni.id,
            "SubnetId": self.subnet.id,
            "VpcId": self.subnet.vpc_id,
            "PrivateIpAddress": self.eni.private_ip_address,
            "SourceDestCheck": self.source_check,
            "Status": "in-use",
            "Groups": groups,
            "Attachment": {"DeviceIndex": 0, "Status": "attached", "DeleteOnTermination": True},
        }
        if self.eni.public_ip:
            found["PublicIpAddress"] = self.eni.public_ip
            interface["Association"] = {"PublicIp": self.eni.public_ip, "IpOwnerId": ACCOUNT}
        return found | {
            "SubnetId": self.subnet.id,
            "VpcId": self.subnet.vpc_id,
            "PrivateIpAddress": self.eni.private_ip_address,
            "SourceDestCheck": self.source_check,
            "SecurityGroups": groups,
            "NetworkInterfaces": [interface],
            "BlockDeviceMappings": [
                {
                    "DeviceName": self.root_device,
                    "Ebs": {"VolumeId": self.volume_id, "Status": "attached", "DeleteOnTermination": True},
                }
            ],
        }


def fresh(world: World) -> None:
    world.instances: dict[str, Instance] = {}


def of_call(world: World, call: Call) -> list[Instance]:
    wanted = call.get("InstanceIds") or ([call.params["InstanceId"]] if call.get("InstanceId") else [])
    missing = [identifier for identifier in wanted if identifier not in world.instances]
    if missing:
        raise AwsError("InvalidInstanceID.NotFound", f"The instance ID '{missing[0]}' does not exist")
    return [world.instances[identifier] for identifier in wanted]


# --- launch


def _image(call: Call) -> str:
    given = call.get("ImageId", "")
    if not given.startswith("resolve:ssm:"):
        return given
    found = _IMAGES.get(given.removeprefix("resolve:ssm:"))
    if found is None:
        raise AwsError("InvalidParameterValue", f"Parameter {given} does not exist")
    return found


def _check_launch(world: World, call: Call) -> dict[str, Any]:
    """Refuses what EC2 refuses, and returns the specification of the only network interface."""
    if not call.get("MinCount") or not call.get("MaxCount"):
        raise AwsError("MissingParameter", "The request must contain the parameter MinCount")
    kind = call.get("InstanceType")
    if kind not in TYPES:
        raise AwsError("InvalidParameterValue", f"Invalid value '{kind}' for InstanceType.")
    given = call.get("NetworkInterfaces") or []
    if given and (call.get("SubnetId") or call.get("SecurityGroupIds")):
        raise AwsError(
            "InvalidParameterCombination",
            "Network interfaces and an instance-level subnet ID may not be specified on the same request",
        )
    if len(given) != 1 or given[0].get("DeviceIndex") != 0:
        raise AwsError("InvalidParameterCombination", "The test AWS needs one network interface with the index 0")
    try:
        base64.b64decode(call.get("UserData", ""), validate=True)
    except binascii.Error:
        raise AwsError("InvalidParameterValue", "Invalid BASE64 encoding of user data") from None
    for mapping in call.get("BlockDeviceMappings") or []:
        size = (mapping.get("Ebs") or {}).get("VolumeSize", _IMAGE_GIB)
        if size < _IMAGE_GIB:
            raise AwsError(
                "InvalidBlockDeviceMapping",
                f"Volume of size {size}GB is smaller than snapshot 'snap-0abcdef1234567890', "
                f"expect size >= {_IMAGE_GIB}GB",
            )
    used = sum(TYPES[one.type] for one in world.instances.values() if one.state in ("pending", "running"))
    limit = world.config["quotas"]["vcpus"]
    if used + TYPES[kind] > limit:
        raise AwsError(
            "VcpuLimitExceeded",
            f"You have requested more vCPU capacity than your current vCPU limit of {limit} allows for the instance "
            "bucket that the specified instance type belongs to. Please visit "
            "http://aws.amazon.com/contact-us/ec2-request to request an adjustment to this limit.",
        )
    for specification in call.get("TagSpecifications", []):
        if specification.get("ResourceType") not in _TAGGABLE:
            raise AwsError(
                "InvalidParameterValue",
                f"'{specification.get('ResourceType')}' is not a valid taggable resource type for this operation.",
            )
        check_tags(specification.get("Tags", []))
    return given[0]


def _offered(world: World, zone: str) -> bool:
    return zone not in world.config["zones_without_t4g"]


@operation("ec2", "RunInstances")
def run(world: World, call: Call) -> Any:
    wanted = _check_launch(world, call)
    image = _image(call)
    ec2 = ec2_of(call.region)
    subnet = ec2.get_subnet(wanted["SubnetId"])
    if not _offered(world, subnet.availability_zone):
        raise AwsError(
            "Unsupported",
            f"Your requested instance type ({call.get('InstanceType')}) is not supported in your requested Availability "
            f"Zone ({subnet.availability_zone}).",
        )
    for group in wanted.get("Groups") or []:
        if ec2.get_security_group_from_id(group) is None:
            raise AwsError("InvalidGroup.NotFound", f"The security group '{group}' does not exist")
    eni = interfaces.add(
        call.region,
        subnet,
        wanted.get("Groups") or [],
        wanted.get("Description", ""),
        requester="",
        kind=InstanceInterface,
    )
    eni.requester_managed = False
    instance = eni.record = Instance(call, image, subnet, eni)
    for specification in call.get("TagSpecifications", []):
        tags = {tag["Key"]: tag.get("Value", "") for tag in specification.get("Tags", [])}
        of = {"instance": instance, "network-interface": eni}.get(specification["ResourceType"])
        if of is not None:
            of.add_tags(tags)
        elif specification["ResourceType"] == "volume":
            instance.volume_tags = tags
    world.instances[instance.id] = instance

    def reply() -> dict[str, Any]:
        return {"OwnerId": ACCOUNT, "ReservationId": "r-0abcdef1234567890", "Instances": [instance.json()]}

    answer = reply()
    remember(world, call, reply)
    failure = world.outcome("instance")

    def settle() -> None:
        if instance.state != "pending":
            return
        if isinstance(failure, dict):
            instance.reason = (failure.get("code", "Server.InternalError"), failure.get("message", ""))
            _end(instance)
        else:
            instance.state = "running"

    world.after(world.delay("instance"), settle)
    return answer


# --- states


def _change(instance: Instance, before: str) -> dict[str, Any]:
    def state(name: str) -> dict[str, Any]:
        return {"Code": _CODES[name], "Name": name}

    return {"InstanceId": instance.id, "CurrentState": state(instance.state), "PreviousState": state(before)}


def _end(instance: Instance) -> None:
    instance.state = "terminated"
    _release(instance)
    interfaces.remove(instance.region, instance.eni.id)


def _release(instance: Instance) -> None:
    for address in instance.ec2_backend.addresses:
        if address.eni is instance.eni:
            address.eni = address.instance = address.association_id = None
    instance.eni.public_ip = None


def _move(world: World, instance: Instance, over: str, to: str, kind: str) -> dict[str, Any]:
    before, instance.state = instance.state, over

    def settle() -> None:
        if instance.state != over:
            return
        if to == "terminated":
            _end(instance)
        else:
            instance.state = to

    world.after(world.delay(kind), settle)
    changed = _change(instance, before)
    changed["CurrentState"] = {"Code": _CODES[over], "Name": over}
    return changed


@operation("ec2", "TerminateInstances")
def terminate(world: World, call: Call) -> Any:
    changes = []
    for instance in of_call(world, call):
        if instance.state in ("shutting-down", "terminated"):
            changes.append(_change(instance, instance.state))
            continue
        instance.reason = ("Client.UserInitiatedShutdown", "Client.UserInitiatedShutdown: User initiated shutdown")
        changes.append(_move(world, instance, "shutting-down", "terminated", "instance-delete"))
    return {"TerminatingInstances": changes}


@operation("ec2", "StopInstances")
def stop(world: World, call: Call) -> Any:
    changes = []
    for instance in of_call(world, call):
        if instance.state not in ("running", "stopping", "stopped"):
            raise AwsError(
                "IncorrectInstanceState", f"This instance '{instance.id}' is not in a state from which it can be stopped."
            )
        if instance.state == "running":
            instance.reason = ("Client.UserInitiatedShutdown", "Client.UserInitiatedShutdown: User initiated shutdown")
            changes.append(_move(world, instance, "stopping", "stopped", "instance-update"))
        else:
            changes.append(_change(instance, instance.state))
    return {"StoppingInstances": changes}


@operation("ec2", "StartInstances")
def start(world: World, call: Call) -> Any:
    changes = []
    for instance in of_call(world, call):
        if instance.state not in ("stopped", "pending", "running"):
            raise AwsError(
                "IncorrectInstanceState",
                f"The instance '{instance.id}' is not in a state from which it can be started.",
            )
        if instance.state == "stopped":
            instance.reason = None
            changes.append(_move(world, instance, "pending", "running", "instance-update"))
        else:
            changes.append(_change(instance, instance.state))
    return {"StartingInstances": changes}


@operation("ec2", "ModifyInstanceAttribute")
def modify(world: World, call: Call) -> Any:
    (instance,) = of_call(world, call)
    if instance.gone:
        raise AwsError("IncorrectInstanceState", f"The instance '{instance.id}' is terminated.")
    if call.get("SourceDestCheck") is not None:
        instance.source_check = bool(call.params["SourceDestCheck"].get("Value"))
    if call.get("Groups"):
        interfaces.set_groups(call.region, instance.eni.id, call.params["Groups"])
    return {}


# --- addresses


@operation("ec2", "AssociateAddress")
def associate(world: World, call: Call) -> Any:
    address = address_of(call)
    given, eni_id = call.get("InstanceId"), call.get("NetworkInterfaceId")
    found = [one for one in world.instances.values() if one.id == given or (eni_id and one.eni.id == eni_id)]
    found = [one for one in found if not one.gone]
    if not found:
        return call.moto()
    (instance,) = found
    if instance.state not in ("running", "stopped"):
        raise AwsError(
            "InvalidInstanceID",
            f"The {instance.state} instance '{instance.id}' is not in a valid state for this operation.",
        )
    if any(one.address is address and one.eni and not one.gone for one in instance.ec2_backend.nat_gateways.values()):
        raise AwsError("AuthFailure", "You do not have permission to access the specified resource.", 400)
    again = call.get("AllowReassociation")
    if address.eni is instance.eni:
        return {"AssociationId": address.association_id}
    if address.association_id and again is False:
        raise AwsError(
            "Resource.AlreadyAssociated",
            f"resource {address.allocation_id} is already associated with associate-id {address.association_id}",
        )
    if address.eni is not None:
        address.eni.public_ip = None
    _release(instance)
    address.eni, address.instance = instance.eni, instance
    address.association_id = random_eip_association_id()
    instance.eni.public_ip = address.public_ip
    is_set_up(world, instance)
    return {"AssociationId": address.association_id}


@operation("ec2", "DisassociateAddress")
def disassociate(world: World, call: Call) -> Any:
    wanted = call.get("AssociationId")
    for instance in world.instances.values():
        if any(one.association_id == wanted and one.eni is instance.eni for one in instance.ec2_backend.addresses):
            _release(instance)
            return {}
    return call.moto()


# --- reads


@operation("ec2", "DescribeInstances")
def describe(world: World, call: Call) -> Any:
    found = of_call(world, call) if call.get("InstanceIds") else world.instances.values()
    items = [instance.json() for instance in found if instance.region == call.region]
    items = select(call, items, LISTINGS["DescribeInstances"][1])
    items = [{"ReservationId": f"r-{item['InstanceId'][2:]}", "OwnerId": ACCOUNT, "Instances": [item]} for item in items]
    return page(world, call, items, "Reservations")


@operation("ec2", "DescribeInstanceStatus")
def describe_status(world: World, call: Call) -> Any:
    found = of_call(world, call) if call.get("InstanceIds") else world.instances.values()
    result = world.outcome("instance-status") or "ok"
    items = [
        {
            "InstanceId": instance.id,
            "InstanceState": {"Code": 16, "Name": "running"},
            "InstanceStatus": {"Status": result},
            "SystemStatus": {"Status": "ok"},
        }
        for instance in found
        if instance.state == "running"
    ]
    return page(world, call, items, "InstanceStatuses")


@operation("ec2", "DescribeInstanceTypeOfferings")
def describe_offerings(world: World, call: Call) -> Any:
    if call.get("LocationType", "region") != "availability-zone":
        return call.moto()
    items = [
        {"InstanceType": kind, "LocationType": "availability-zone", "Location": zone.name}
        for kind in TYPES
        for zone in ec2_of(call.region).describe_availability_zones()
        if _offered(world, zone.name)
    ]
    of_item = {"instance-type": lambda item: [item["InstanceType"]], "location": lambda item: [item["Location"]]}
    return page(world, call, select(call, items, of_item), "InstanceTypeOfferings")


@operation("ec2", "GetConsoleOutput")
def console(world: World, call: Call) -> Any:
    (instance,) = of_call(world, call)
    text = "[    0.000000] Booting Linux\r\n"
    if is_set_up(world, instance):
        script = base64.b64decode(instance.user_data).decode()
        text += "".join(f"{line}\r\n" for line in re.findall(r"echo '(.*)' > /dev/console", script))
    return {"InstanceId": instance.id, "Output": base64.b64encode(text.encode()).decode()}


# --- the network


def has_internet(instance: Instance) -> bool:
    """Whether the instance reaches the Internet with its own address."""
    if instance.state != "running" or not instance.eni.public_ip:
        return False
    tables = [
        table
        for table in instance.ec2_backend.route_tables.values()
        if instance.subnet.id in table._associations.values()
    ]
    return any(
        route.destination_cidr_block == "0.0.0.0/0" and (route.gateway_id or "").startswith("igw-")
        for table in tables
        for route in table.routes
        if route.state == "active"
    )


def is_set_up(world: World, instance: Instance) -> bool:
    """Whether the user data has run to the end, which takes `instance-boot` seconds from the first access to the Internet."""
    if has_internet(instance):
        instance.online_since = world.now() if instance.online_since is None else instance.online_since
        instance.is_set_up |= world.now() >= instance.online_since + world.delay("instance-boot")
    return instance.is_set_up


def forwards(world: World, instance: Instance, cidr: str) -> bool:
    """Whether the instance is a way out for a subnet."""
    admits = any(
        rule.ip_protocol == "-1" and rule.cidr_ipv4 in (cidr, "0.0.0.0/0")
        for group in instance.eni._group_set
        for rule in group.ingress_rules
    )
    return admits and not instance.source_check and is_set_up(world, instance) and has_internet(instance)
