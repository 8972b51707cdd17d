"""The tool's authorizer behind an API: what it decides about a request, derived from its settings, its parameters and
the configuration. No code runs."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from . import lambda_idle, lambda_invoke, logs
from .account_state import World
from .awslambda import Function, resolve
from .wire import arn

# Authorizers with this prefix are the tool's: their function and `valid_keys` determine their response.
OURS = "threescale-gw-"

# The reasons that are no caller's fault: the function ends with an error.
_FAILURES = {"backend_unavailable", "internal", "misconfigured", "not_ready"}


@dataclass
class Asked:
    """A request for which an authorizer is invoked."""

    region: str
    api_id: str
    labels: set[str]  # of the request and of its method or route
    headers: dict[str, str]  # lower-case names
    query: dict[str, list[str]]
    credentials: list[str]  # the values of the identity sources, or everything that can be one without them


@dataclass
class Decision:
    # "allowed", "denied", "missing" (no credential), "failed" (the function), or "unreachable" (no function, or no
    # permission to invoke it)
    effect: str
    context: dict[str, Any] = field(default_factory=dict)
    credential: str | None = None
    version: Function | None = None  # the invoked version

    @property
    def settings(self) -> dict[str, Any]:
        return settings_of(self.version) if self.version is not None else {}

    @property
    def usage_key(self) -> str | None:
        """The key for usage plans."""
        return self.credential if self.settings.get("usage_key") == "user_key" else None


def invoked(uri: str | None) -> tuple[str | None, str | None]:
    """The name of the function that an authorizer with this URI invokes, and the qualifier."""
    named = re.search(r"function:([A-Za-z0-9_-]+)(?::([A-Za-z0-9_$-]+))?/", uri or "")
    return named.groups() if named else (None, None)


def decide(world: World, asked: Asked, uri: str | None, authorizer_id: str, by_role: bool = False) -> Decision:
    """Allows keys in `valid_keys` of the configuration, and every request in the mode observe. With `by_role`, API
    Gateway assumes a role to invoke the function, which needs no permission then."""
    name, qualifier = invoked(uri)
    function = world.functions.by_name.get(name)
    version = resolve(function, qualifier) if function is not None else None
    source = arn("execute-api", asked.region, f"{asked.api_id}/authorizers/{authorizer_id}")
    if version is None or not (by_role or may_invoke(function, qualifier, source)):
        return Decision("unreachable")
    outcome = world.outcome("authorizer")
    if isinstance(outcome, dict):
        outcome = outcome.get(version.version)
    lambda_idle.wake(world, version)
    if version.state != "Active" or function.reserved == 0 or outcome in ("error", "timeout"):
        # A time-out of the function's own is an error of the function's to who invoked it.
        return Decision("failed", version=version)
    credentials = _looked_for(asked, version)
    decision = Decision("allowed", credential=next(iter(credentials), None), version=version)
    broken = lambda_invoke.broken(world, version) or _told(world, asked.labels)
    if lambda_invoke.observes(version):
        return decision
    if broken is None and (outcome == "allow" or any(value in world.config["valid_keys"] for value in credentials)):
        return decision
    decision.context = {"reason": broken or "user_key_invalid", "message": "Authentication failed"}
    decision.context |= world.config["authorizer_context"] or {}
    if not credentials:
        decision.effect, decision.context = "missing", {"reason": "credential_missing"}
    else:
        decision.effect = "failed" if decision.context["reason"] in _FAILURES else "denied"
    return decision


def _told(world: World, labels: set[str]) -> str | None:
    """The reason for which the configuration refuses every caller of this method, by label."""
    reasons = world.outcome("reasons") or {}
    return next((reason for label, reason in reasons.items() if label in labels), None)


def settings_of(version: Function) -> dict[str, Any]:
    """The settings of the tool's authorizer; none for another function."""
    try:
        return json.loads(version.environment["THREESCALE_GW_SETTINGS"])
    except (KeyError, ValueError):
        return {}


def _looked_for(asked: Asked, version: Function) -> list[str]:
    """The first credential in the places that the version's settings name. Without settings, what the gateway gives."""
    places = settings_of(version).get("credentials")
    if places is None:
        return asked.credentials
    for place in places:
        name = place["name"]
        found = asked.headers.get(name.lower()) if place["in"] == "header" else (asked.query.get(name) or [None])[0]
        if found:
            return [found]
    return []


def may_invoke(function: Function, qualifier: str | None, source: str) -> bool:
    """Whether the function's policy permits API Gateway to invoke it from this ARN."""
    for statement in function.policies.get(qualifier or "", []):
        principal = statement["Principal"]
        if not isinstance(principal, dict) or principal.get("Service") != "apigateway.amazonaws.com":
            continue
        pattern = statement.get("Condition", {}).get("ArnLike", {}).get("AWS:SourceArn", "*")
        if fnmatchcase(source, pattern):
            return True
    return False


def masked(credential: str) -> str:
    """As the authorizer writes a credential to its log: the last four characters of a long one."""
    return f"***{credential[-4:]}" if len(credential) >= 16 else "***"


def log(world: World, version: Function, line: dict[str, Any]) -> None:
    """Writes a line to the log group of a function."""
    name = version.logging.get("LogGroup", f"/aws/lambda/{version.name}")
    stream = f"{world.date():%Y/%m/%d}/[{version.version}]00000000000000000000000000000000"
    logs.write(world, version.region, name, stream, json.dumps(line) + "\n")
