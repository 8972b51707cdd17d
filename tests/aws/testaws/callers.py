"""STS: who calls."""

from __future__ import annotations

from typing import Any

from .account_state import World
from .gateway import operation
from .wire import ACCOUNT, Call, arn


def caller(world: World, region: str) -> str:
    """The ARN of who calls, whatever key the request is signed with: the one user of the account, unless configured."""
    return world.config["caller"] or arn("iam", region, "user/operator")


@operation("sts", "GetCallerIdentity")
def get_caller_identity(world: World, call: Call) -> Any:
    return {"UserId": "AIDATESTAWSEXAMPLE000", "Account": ACCOUNT, "Arn": caller(world, call.region)}
