"""Lambda: published versions and aliases."""

from __future__ import annotations

import re
import uuid
from typing import Any

from .awslambda import (
    CONTENT,
    Function,
    add_version,
    configuration,
    function_of,
    invalid,
    require_idle,
    require_revision,
    summary,
)
from .errors import AwsError
from .gateway import operation
from .wire import Call
from .account_state import World


def _content(function: Function) -> list[Any]:
    return [getattr(function, name) for name in CONTENT]


@operation("lambda", "PublishVersion")
def publish_version(world: World, call: Call) -> Any:
    function = function_of(world, call)
    require_revision(call, function)
    require_idle(function)
    wanted = call.get("CodeSha256")
    if wanted and wanted != configuration(function)["CodeSha256"]:
        raise invalid(f"CodeSHA256 ({wanted}) is different from current CodeSHA256 in $LATEST.")
    newest = function.versions.get(str(function.published))
    if newest is not None and _content(newest) == _content(function):
        return configuration(newest)
    return configuration(add_version(world, function, call.get("Description", function.description)))


def _page(world: World, call: Call, items: list[Any], name: str) -> dict[str, Any]:
    size = min(call.get("MaxItems", 50), world.config["page_size"] or 50)
    start = int(call.get("Marker", "0")) if str(call.get("Marker", "0")).isdigit() else 0
    found: dict[str, Any] = {name: items[start : start + size]}
    if start + size < len(items):
        found["NextMarker"] = str(start + size)
    return found


@operation("lambda", "ListVersionsByFunction")
def list_versions(world: World, call: Call) -> Any:
    function = function_of(world, call)
    versions = sorted(function.versions.values(), key=lambda version: int(version.version))
    return _page(world, call, [summary(one, one.version) for one in (function, *versions)], "Versions")


# --- aliases


def _routing(function: Function, call: Call, version: str) -> dict[str, Any]:
    """The RoutingConfig to store. AWS omits one without weights."""
    weights = call.get("RoutingConfig", {}).get("AdditionalVersionWeights") or {}
    if not weights:
        return {}
    if version == "$LATEST" or any(number not in function.versions for number in weights):
        raise invalid("Traffic can be split between two published versions only")
    return {"RoutingConfig": {"AdditionalVersionWeights": dict(weights)}}


def _check_version(function: Function, version: str) -> None:
    if version != "$LATEST" and version not in function.versions:
        raise AwsError("ResourceNotFoundException", f"Function not found: {function.arn}:{version}", 404)


def _alias(function: Function, name: str) -> dict[str, Any]:
    alias = function.aliases.get(name)
    if alias is None:
        raise AwsError("ResourceNotFoundException", f"Cannot find alias arn: {function.arn}:{name}", 404)
    return alias


@operation("lambda", "CreateAlias")
def create_alias(world: World, call: Call) -> Any:
    function = function_of(world, call)
    name, version = call.params["Name"], call.params["FunctionVersion"]
    if re.fullmatch(r"[0-9]+", name):
        raise invalid(f"Alias name {name} must not consist of digits alone")
    if name in function.aliases:
        raise AwsError("ResourceConflictException", f"Alias already exists: {function.arn}:{name}", 409)
    _check_version(function, version)
    function.aliases[name] = {
        "AliasArn": f"{function.arn}:{name}",
        "Name": name,
        "FunctionVersion": version,
        "Description": call.get("Description", ""),
        **_routing(function, call, version),
        "RevisionId": str(uuid.uuid4()),
    }
    return function.aliases[name]


@operation("lambda", "GetAlias")
def get_alias(world: World, call: Call) -> Any:
    return _alias(function_of(world, call), call.params["Name"])


@operation("lambda", "UpdateAlias")
def update_alias(world: World, call: Call) -> Any:
    function = function_of(world, call)
    alias = _alias(function, call.params["Name"])
    if call.get("RevisionId") and call.params["RevisionId"] != alias["RevisionId"]:
        raise AwsError("PreconditionFailedException", "The Revision Id provided does not match the latest one", 412)
    version = call.get("FunctionVersion", alias["FunctionVersion"])
    _check_version(function, version)
    changed = {"FunctionVersion": version, "Description": call.get("Description", alias["Description"])}
    if "RoutingConfig" in call.params:
        routing = _routing(function, call, version)
        alias.pop("RoutingConfig", None)
        changed |= routing
    alias.update(changed, RevisionId=str(uuid.uuid4()))
    return alias


@operation("lambda", "DeleteAlias")
def delete_alias(world: World, call: Call) -> Any:
    function = function_of(world, call)
    # Deleting an alias that does not exist succeeds.
    function.aliases.pop(call.params["Name"], None)
    function.policies.pop(call.params["Name"], None)
    return {}


@operation("lambda", "ListAliases")
def list_aliases(world: World, call: Call) -> Any:
    function = function_of(world, call)
    aliases = [function.aliases[name] for name in sorted(function.aliases)]
    if call.get("FunctionVersion"):
        aliases = [alias for alias in aliases if alias["FunctionVersion"] == call.params["FunctionVersion"]]
    return _page(world, call, aliases, "Aliases")
