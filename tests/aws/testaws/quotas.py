"""Service Quotas: the quotas of the configured account."""

from __future__ import annotations

from typing import Any

from .account_state import World
from .errors import AwsError
from .gateway import operation
from .wire import Call, arn


_QUOTAS = {
    ("vpc", "L-F678F1CE"): ("vpcs", "VPCs per Region"),
    ("ec2", "L-0263D0A3"): ("elastic_ips", "EC2-VPC Elastic IPs"),
    ("vpc", "L-FE5A380F"): ("nat_gateways", "NAT gateways per Availability Zone"),
    ("lambda", "L-B99A9384"): ("concurrent_executions", "Concurrent executions"),
}

_SERVICES = {"vpc": "Amazon Virtual Private Cloud (Amazon VPC)", "ec2": "Amazon EC2", "lambda": "AWS Lambda"}


@operation("service-quotas", "GetServiceQuota")
def get_service_quota(world: World, call: Call) -> Any:
    service, code = call.params["ServiceCode"], call.params["QuotaCode"]
    known = _QUOTAS.get((service, code))
    if known is None:
        raise AwsError(
            "NoSuchResourceException",
            f"The request failed because the specified service or quota does not exist: {service} {code}",
            400,
        )
    name, title = known
    return {
        "Quota": {
            "ServiceCode": service,
            "ServiceName": _SERVICES[service],
            "QuotaArn": arn("servicequotas", call.region, f"{service}/{code}"),
            "QuotaCode": code,
            "QuotaName": title,
            "Value": float(world.config["quotas"][name]),
            "Unit": "None",
            "Adjustable": True,
            "GlobalQuota": False,
        }
    }
