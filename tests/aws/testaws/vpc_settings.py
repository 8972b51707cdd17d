"""Settings of whole VPCs in EC2: Block Public Access and encryption controls. They have no effect on traffic."""

from __future__ import annotations

from typing import Any

from .account_state import World
from .ec2_listing import page, select
from .errors import AwsError
from .gateway import operation
from .interfaces import ec2_of
from .wire import ACCOUNT, Call, arn

_EXCLUSIONS = (
    "internet-gateway",
    "egress-only-internet-gateway",
    "nat-gateway",
    "virtual-private-gateway",
    "vpc-peering",
    "lambda",
    "vpc-lattice",
    "elastic-file-system",
)


class Settings:
    """The settings of one account."""

    def __init__(self) -> None:
        self.modes: dict[str, str] = {}  # of Block Public Access, by region
        self.exclusions: dict[str, list[dict[str, Any]]] = {}  # by region
        self.controls: dict[str, list[dict[str, Any]]] = {}  # by region
        self.account_controls: dict[str, dict[str, Any]] = {}  # by region


def fresh(world: World) -> None:
    world.vpc_settings = Settings()


def _options(world: World, call: Call) -> dict[str, Any]:
    mode = world.vpc_settings.modes.get(call.region, "off")
    return {
        "VpcBlockPublicAccessOptions": {
            "AwsAccountId": ACCOUNT,
            "AwsRegion": call.region,
            "State": "default-state" if mode == "off" else "update-complete",
            "InternetGatewayBlockMode": mode,
            "ManagedBy": "account",
            "ExclusionsAllowed": "allowed",
        }
    }


@operation("ec2", "DescribeVpcBlockPublicAccessOptions")
def describe_options(world: World, call: Call) -> Any:
    return _options(world, call)


@operation("ec2", "ModifyVpcBlockPublicAccessOptions")
def modify_options(world: World, call: Call) -> Any:
    world.vpc_settings.modes[call.region] = call.params["InternetGatewayBlockMode"]
    return _options(world, call)


@operation("ec2", "CreateVpcBlockPublicAccessExclusion")
def create_exclusion(world: World, call: Call) -> Any:
    vpc, subnet = call.get("VpcId"), call.get("SubnetId")
    if bool(vpc) == bool(subnet):
        raise AwsError("InvalidParameterCombination", "Specify either a VPC or a subnet.")
    ec2 = ec2_of(call.region)
    resource = f"vpc/{ec2.get_vpc(vpc).id}" if vpc else f"subnet/{ec2.get_subnet(subnet).id}"
    exclusions = world.vpc_settings.exclusions.setdefault(call.region, [])
    exclusion = {
        "ExclusionId": f"vpcbpa-exclude-{len(exclusions) + 1:017x}",
        "InternetGatewayExclusionMode": call.params["InternetGatewayExclusionMode"],
        "ResourceArn": arn("ec2", call.region, resource),
        "State": "create-complete",
    }
    exclusions.append(exclusion)
    return {"VpcBlockPublicAccessExclusion": exclusion}


@operation("ec2", "DescribeVpcBlockPublicAccessExclusions")
def describe_exclusions(world: World, call: Call) -> Any:
    found = world.vpc_settings.exclusions.get(call.region, [])
    return page(world, call, select(call, found, {}), "VpcBlockPublicAccessExclusions")


@operation("ec2", "CreateVpcEncryptionControl")
def create_control(world: World, call: Call) -> Any:
    controls = world.vpc_settings.controls.setdefault(call.region, [])
    control = {
        "VpcId": ec2_of(call.region).get_vpc(call.params["VpcId"]).id,
        "VpcEncryptionControlId": f"vpcec-{len(controls) + 1:017x}",
        "Mode": "monitor",
        "State": "available",
        "ResourceExclusions": {_member(name): {"State": "disabled"} for name in _EXCLUSIONS},
    }
    controls.append(control)
    return {"VpcEncryptionControl": control}


@operation("ec2", "ModifyVpcEncryptionControl")
def modify_control(world: World, call: Call) -> Any:
    identifier = call.params["VpcEncryptionControlId"]
    for control in world.vpc_settings.controls.get(call.region, []):
        if control["VpcEncryptionControlId"] == identifier:
            control["Mode"] = call.get("Mode") or control["Mode"]
            for name in _EXCLUSIONS:
                wanted = call.get(f"{_member(name)}Exclusion")
                if wanted:
                    control["ResourceExclusions"][_member(name)] = {"State": f"{wanted}d"}
            return {"VpcEncryptionControl": control}
    raise AwsError(
        "InvalidVpcEncryptionControlId.NotFound", f"The vpc encryption control ID '{identifier}' does not exist"
    )


@operation("ec2", "DescribeVpcEncryptionControls")
def describe_controls(world: World, call: Call) -> Any:
    found = world.vpc_settings.controls.get(call.region, [])
    if call.get("VpcIds"):
        found = [control for control in found if control["VpcId"] in call.params["VpcIds"]]
    return page(world, call, select(call, found, {}), "VpcEncryptionControls")


def _account_control(world: World, call: Call) -> dict[str, Any]:
    return world.vpc_settings.account_controls.setdefault(
        call.region,
        {
            "State": "default-state",
            "Mode": "unmanaged",
            "Exclusions": {_member(name): "disabled" for name in _EXCLUSIONS},
            "ManagedBy": "account",
        },
    )


@operation("ec2", "DescribeAccountVpcEncryptionControl")
def describe_account_control(world: World, call: Call) -> Any:
    return {"AccountVpcEncryptionControl": _account_control(world, call)}


@operation("ec2", "ModifyAccountVpcEncryptionControl")
def modify_account_control(world: World, call: Call) -> Any:
    control = _account_control(world, call)
    control["Mode"] = call.get("Mode") or control["Mode"]
    control["State"] = "transitions-successful"
    for name in _EXCLUSIONS:
        wanted = call.get(_member(name))
        if wanted:
            control["Exclusions"][_member(name)] = f"{wanted}d"
    return {"AccountVpcEncryptionControl": control}


def _member(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("-"))
