"""The fault table: which calls fail, how they fail, and which are held.

A rule is a JSON object. `service`, `operation` (both globs), and `mutating` select calls. `nth` (only the nth selected
call), `every` (the first attempt of each distinct call), or neither (each selected call) define when it applies. `kind`
defines the effect.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from moto.utilities.utils import get_partition

from .errors import AwsError

KINDS = ("throttle", "500", "503", "drop", "unreadable", "deny", "error", "conflict", "hold", "hold-before")

# What API Gateway says about a write while another one of the same API is in progress.
CONCURRENT = "Unable to complete operation due to concurrent modification. Please try again later."


@dataclass
class Rule:
    kind: str
    service: str = "*"
    operation: str = "*"
    mutating: bool | None = None
    nth: int | None = None
    every: bool = False
    times: int | None = None
    code: str = "InternalError"
    message: str = "injected"
    status: int | None = None
    freeze: bool = False
    iam_action: str | None = None
    matched: int = 0
    fired: int = 0
    seen: set[str] = field(default_factory=set)

    def fires(self, service: str, operation: str, mutating: bool, identity: str) -> bool:
        if not fnmatchcase(service, self.service) or not fnmatchcase(operation, self.operation):
            return False
        if self.mutating is not None and self.mutating != mutating:
            return False
        self.matched += 1
        if self.nth is not None and self.matched != self.nth:
            return False
        if self.every:
            if identity in self.seen:
                return False
            self.seen.add(identity)
        if self.times is not None and self.fired >= self.times:
            return False
        self.fired += 1
        return True


@dataclass
class Hold:
    n: int
    service: str
    operation: str
    phase: str  # "before" or "after" its execution
    freeze: bool
    released: threading.Event = field(default_factory=threading.Event)


class Faults:
    def __init__(self) -> None:
        self.changed = threading.Condition(threading.RLock())
        self._rules: list[Rule] = []
        self._holds: list[Hold] = []

    def set(self, rules: list[dict[str, Any]]) -> None:
        """Replaces the table. Raises ValueError for an invalid rule."""
        parsed = []
        for rule in rules:
            unknown = set(rule) - set(Rule.__dataclass_fields__) | (set(rule) & {"matched", "fired", "seen"})
            if unknown:
                raise ValueError(f"unknown fault fields: {sorted(unknown)}")
            if rule.get("kind") not in KINDS:
                raise ValueError(f"fault kind must be one of {KINDS}")
            parsed.append(Rule(**rule))
        with self.changed:
            self._rules = parsed

    def clear(self) -> None:
        with self.changed:
            self._rules = []
        self.release()

    def match(self, service: str, operation: str, mutating: bool, identity: str) -> Rule | None:
        """The first rule that applies to this call. Every rule counts the call."""
        with self.changed:
            fired = [rule for rule in self._rules if rule.fires(service, operation, mutating, identity)]
        return fired[0] if fired else None

    def begin(self, hold: Hold) -> None:
        """Starts to hold a call."""
        with self.changed:
            self._holds.append(hold)
            self.changed.notify_all()

    def wait(self, hold: Hold, alive: Callable[[], bool]) -> None:
        """Blocks until the hold is released or the caller disconnects."""
        while not hold.released.wait(0.05):
            if not alive():
                break
        with self.changed:
            if hold in self._holds:
                self._holds.remove(hold)
            self.changed.notify_all()

    def is_frozen(self) -> bool:
        """Whether there is a hold that freezes the account."""
        with self.changed:
            return any(hold.freeze for hold in self._holds)

    def thaw(self, alive: Callable[[], bool]) -> None:
        """Blocks while there is a hold that freezes the account."""
        with self.changed:
            while self.is_frozen() and alive():
                self.changed.wait(0.05)

    def held(self, timeout: float) -> Hold | None:
        """The oldest held call. Waits up to `timeout` seconds for one."""
        deadline = time.monotonic() + timeout
        with self.changed:
            while not self._holds:
                left = deadline - time.monotonic()
                if left <= 0:
                    return None
                self.changed.wait(left)
            return self._holds[0]

    def release(self) -> int:
        with self.changed:
            holds, self._holds = self._holds, []
            for hold in holds:
                hold.released.set()
            self.changed.notify_all()
        return len(holds)


_THROTTLES = {
    "apigateway": ("TooManyRequestsException", "Too Many Requests", 429),
    "apigatewayv2": ("TooManyRequestsException", "Too Many Requests", 429),
    "ec2": ("RequestLimitExceeded", "Request limit exceeded.", 503),
    "lambda": ("TooManyRequestsException", "Rate exceeded", 429),
    "elasticache": ("Throttling", "Rate exceeded", 400),
    "iam": ("Throttling", "Rate exceeded", 400),
    "sts": ("Throttling", "Rate exceeded", 400),
}

_SERVER_ERRORS = {
    "ec2": ("InternalError", "Unavailable"),
    "lambda": ("ServiceException", "ServiceException"),
    "logs": ("InternalFailure", "ServiceUnavailableException"),
    "apigateway": ("InternalFailure", "ServiceUnavailableException"),
    "apigatewayv2": ("InternalFailure", "ServiceUnavailableException"),
    "ssm": ("InternalServerError", "ServiceUnavailable"),
    "events": ("InternalException", "ServiceUnavailable"),
}


def error_for(rule: Rule, service: str, action: str, region: str) -> AwsError:
    """The error a failing rule answers with, worded as the service words it."""
    if rule.kind == "throttle":
        return AwsError(*_THROTTLES.get(service, ("ThrottlingException", "Rate exceeded", 400)))
    if rule.kind in ("500", "503"):
        internal, unavailable = _SERVER_ERRORS.get(service, ("InternalFailure", "ServiceUnavailable"))
        if rule.kind == "500":
            return AwsError(internal, "An internal error has occurred", 500)
        return AwsError(unavailable, "The service is unavailable. Please try again shortly.", 503)
    if rule.kind == "deny":
        return access_denied(service, rule.iam_action or action, region)
    if rule.kind == "conflict":
        return AwsError("ConflictException", CONCURRENT, 409)
    return AwsError(rule.code, rule.message, rule.status)


def access_denied(service: str, action: str, region: str) -> AwsError:
    user = f"arn:{get_partition(region)}:iam::123456789012:user/operator"
    text = f"User: {user} is not authorized to perform: {action} on resource: *"
    why = f"because no identity-based policy allows the {action} action"
    if service == "ec2":
        return AwsError("UnauthorizedOperation", f"You are not authorized to perform this operation. {text} {why}", 403)
    if service in ("iam", "sts", "elasticache"):
        return AwsError("AccessDenied", f"{text} {why}", 403)
    status = 403 if service in ("lambda", "apigateway", "apigatewayv2") else 400
    return AwsError("AccessDeniedException", f"{text} {why}", status)
