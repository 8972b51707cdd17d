"""Lambda: functions that were idle for weeks are inactive. An invocation fails, and brings them back after a while."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import lambda_interfaces
from .account_state import World
from .errors import AwsError
from .wire import Call

if TYPE_CHECKING:
    from .awslambda import Function

_ANSWERS = {
    "CodeArtifactUserPendingException": (
        "Lambda is initializing your function. It will be ready to invoke shortly.",
        409,
    ),
    "ResourceNotReadyException": (
        "The function is inactive and its VPC connection is no longer available. "
        "Wait for the VPC connection to reestablish and try again.",
        502,
    ),
}


@dataclass
class Idle:
    """How a function answers until it is active again, and how that ends."""

    code: str
    message: str
    status: int
    seconds: float | None
    fails: tuple[str, str] | None  # reason and its code
    waking: bool = False


def make_idle(world: World, wanted: dict[str, Any]) -> list[str]:
    """Makes a function, one of its versions or all of them inactive; the versions that are."""
    unknown = set(wanted) - {"name", "version", "code", "message", "status", "seconds", "fails"}
    function = world.functions.by_name.get(wanted.get("name"))
    if unknown or function is None:
        raise ValueError(f"unknown: {sorted(unknown) or wanted.get('name')}")
    version = str(wanted.get("version", "*"))
    version = function.aliases[version]["FunctionVersion"] if version in function.aliases else version
    chosen = [one for one in (function, *function.versions.values()) if version in ("*", one.version)]
    if not chosen:
        raise ValueError(f"no such version: {version}")
    code = wanted.get("code", "CodeArtifactUserPendingException")
    message, status = _ANSWERS.get(code, ("", 409))
    fails = wanted.get("fails")
    for one in chosen:
        lambda_interfaces.reclaim(world, one)
        one.state, one.state_reason = "Inactive", ("The function is currently idle.", "Idle")
        one.idle = Idle(
            code,
            wanted.get("message", message),
            wanted.get("status", status),
            wanted.get("seconds"),
            (fails.get("reason", "The function is currently idle."), fails.get("code", "Idle")) if fails else None,
        )
    return [one.version for one in chosen]


def require_active(world: World, call: Call, function: Function) -> None:
    """Refuses to invoke a function that is not active yet, and has Lambda bring it back."""
    idle = function.idle
    if idle is None:
        return
    wake(world, function)
    if call.entry is not None and idle.status >= 500:
        call.entry["injected"] = True  # a server error that a test asked for
    raise AwsError(idle.code, idle.message, idle.status)


def wake(world: World, function: Function) -> None:
    """Somebody invokes the function: an inactive one is pending from now on."""
    idle = function.idle
    if idle is None or idle.waking:
        return
    idle.waking = True
    function.state, function.state_reason = "Pending", ("The function is being restored.", "Restoring")

    def restored() -> None:
        if function.idle is not idle:
            return
        if idle.fails is not None:
            idle.waking = False
            function.state, function.state_reason = "Inactive", idle.fails
        else:
            _activate(world, function)

    world.after(world.delay("function-restore") if idle.seconds is None else float(idle.seconds), restored)


def redeployed(world: World, function: Function) -> None:
    """An update brings a function back, too."""
    if function.idle is not None:
        _activate(world, function)


def _activate(world: World, function: Function) -> None:
    function.idle = None
    function.state, function.state_reason = "Active", None
    lambda_interfaces.use(world, function)
