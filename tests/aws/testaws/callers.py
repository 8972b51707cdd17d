"""STS: who calls."""

from __future__ import annotations

from typing import Any

from .account_state import World
from .gateway import operation
from .wire import ACCOUNT, Call, arn


def caller(call: Call) -> str:
    """The ARN of the one user of the account."""
    return arn("iam", call.region, "user/operator")


@operation("sts", "GetCallerIdentity")
def get_caller_identity(world: World, call: Call) -> Any:
    """The one user of the account, whatever key the request is signed with."""
    return {"UserId": "AIDATESTAWSEXAMPLE000", "Account": ACCOUNT, "Arn": caller(call)}
