"""STS: who calls."""

from __future__ import annotations

from typing import Any

from .account_state import World
from .gateway import operation
from .wire import ACCOUNT, Call, arn


def caller(world: World, region: str) -> str:
    """The ARN of the caller, with any key: that of the only user of the account, unless another one is configured."""
    return world.config["caller"] or arn("iam", region, "user/operator")


@operation("sts", "GetCallerIdentity")
def get_caller_identity(world: World, call: Call) -> Any:
    return {"UserId": "AIDATESTAWSEXAMPLE000", "Account": ACCOUNT, "Arn": caller(world, call.region)}
