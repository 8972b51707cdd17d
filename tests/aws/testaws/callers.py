"""STS: who calls."""

from __future__ import annotations

from typing import Any

from .account_state import World
from .gateway import operation
from .wire import ACCOUNT, Call, arn


@operation("sts", "GetCallerIdentity")
def get_caller_identity(world: World, call: Call) -> Any:
    """The one user of the account, whatever key the request is signed with."""
    return {"UserId": "AIDATESTAWSEXAMPLE000", "Account": ACCOUNT, "Arn": arn("iam", call.region, "user/operator")}
