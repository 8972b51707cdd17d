"""What EC2 tells of an instance beside DescribeInstances: its attributes, its credits, its root volume, and its type."""

from __future__ import annotations

from typing import Any

from .account_state import World
from .errors import AwsError
from .gateway import operation
from .instances import TYPES, Instance, of_call
from .wire import Call


@operation("ec2", "DescribeInstanceAttribute")
def describe_attribute(world: World, call: Call) -> Any:
    (instance,) = of_call(world, call)
    name = call.params["Attribute"]
    found: dict[str, Any] = {
        # Without user data, the member has no value.
        "userData": {"UserData": {"Value": instance.user_data} if instance.user_data else {}},
        "disableApiTermination": {"DisableApiTermination": {"Value": False}},
        "disableApiStop": {"DisableApiStop": {"Value": False}},
        "instanceInitiatedShutdownBehavior": {"InstanceInitiatedShutdownBehavior": {"Value": "stop"}},
    }
    if name not in found:
        raise AwsError("InvalidParameterValue", f"the test AWS does not keep the attribute {name}")
    return {"InstanceId": instance.id} | found[name]


@operation("ec2", "DescribeInstanceCreditSpecifications")
def describe_credits(world: World, call: Call) -> Any:
    items = [{"InstanceId": instance.id, "CpuCredits": instance.credits} for instance in of_call(world, call)]
    return {"InstanceCreditSpecifications": items}


@operation("ec2", "DescribeInstanceTypes")
def describe_types(world: World, call: Call) -> Any:
    wanted = call.get("InstanceTypes") or list(TYPES)
    unknown = [kind for kind in wanted if kind not in TYPES]
    if unknown:
        raise AwsError(
            "InvalidInstanceType", f"The following supplied instance types do not exist: [{', '.join(unknown)}]"
        )
    items = [
        {
            "InstanceType": kind,
            "CurrentGeneration": True,
            "BurstablePerformanceSupported": True,
            "VCpuInfo": {"DefaultVCpus": TYPES[kind], "DefaultCores": TYPES[kind], "DefaultThreadsPerCore": 1},
        }
        for kind in wanted
    ]
    return {"InstanceTypes": items}


def _volume(instance: Instance) -> dict[str, Any]:
    return {
        "VolumeId": instance.volume_id,
        "Size": instance.volume.get("VolumeSize", 8),
        "VolumeType": instance.volume.get("VolumeType", "gp2"),
        "Encrypted": instance.volume.get("Encrypted", False),
        "Iops": 3000,
        "Throughput": 125,
        "State": "in-use",
        "AvailabilityZone": instance.subnet.availability_zone,
        "Attachments": [{"InstanceId": instance.id, "Device": instance.root_device, "State": "attached"}],
        "Tags": [{"Key": key, "Value": value} for key, value in instance.volume_tags.items()],
    }


@operation("ec2", "DescribeVolumes")
def describe_volumes(world: World, call: Call) -> Any:
    """The root volumes of instances. There are no others."""
    living = [one for one in world.instances.values() if one.region == call.region and not one.gone]
    volumes = {instance.volume_id: _volume(instance) for instance in living}
    wanted = call.get("VolumeIds")
    for volume in wanted or []:
        if volume not in volumes:
            raise AwsError("InvalidVolume.NotFound", f"The volume '{volume}' does not exist.")
    filters = {entry["Name"]: entry["Values"] for entry in call.get("Filters") or []}
    attached = filters.pop("attachment.instance-id", None)
    if filters:
        raise AwsError("InvalidParameterValue", f"the test AWS does not filter volumes by {sorted(filters)}")
    found = [volumes[volume] for volume in wanted or volumes]
    return {"Volumes": [one for one in found if attached is None or one["Attachments"][0]["InstanceId"] in attached]}
