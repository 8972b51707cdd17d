"""Requests to a deployed API at /_aws/execute-api/<api>/<stage>/<path>, as far as authorization goes.

The stage's deployment decides, not the API's draft. Integrations are not run: what is let through answers 200.
"""

from __future__ import annotations

import json
import re
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import parse_qs, unquote

from moto.apigateway.models import apigateway_backends

from .wire import ACCOUNT, RawRequest, Response
from .world import REGION, World


def handle(world: World, raw: RawRequest) -> Response:
    parts = raw.path.removeprefix("/_aws/execute-api/").split("/", 2)
    if len(parts) < 2:
        return _message(403, "Forbidden")
    api_id, stage_name = parts[0], parts[1]
    path = "/" + unquote(parts[2]) if len(parts) > 2 else "/"
    with world.lock:
        world.tick()
        return _decide(world, raw, api_id, stage_name, path)


def _message(status: int, text: str, error_type: str = "") -> Response:
    headers = {"Content-Type": "application/json"}
    if error_type:
        headers["x-amzn-ErrorType"] = error_type
    return Response(status, headers, json.dumps({"message": text}).encode())


def _decide(world: World, raw: RawRequest, api_id: str, stage_name: str, path: str) -> Response:
    found = [
        (region, backend.apis[api_id])
        for region, backend in apigateway_backends[ACCOUNT].items()
        if api_id in backend.apis
    ]
    region, api = found[0] if found else (REGION, None)
    stage = api.stages.get(stage_name) if api is not None else None
    if stage is None:
        return _message(403, "Forbidden", "ForbiddenException")
    snapshot = api.deployments[stage.deployment_id].snapshot
    method = _method(snapshot["methods"], raw.method, path)
    if method is None:
        return _message(403, "Missing Authentication Token", "MissingAuthenticationTokenException")
    kind = method["authorizationType"]
    if kind == "AWS_IAM":
        return _message(403, "Missing Authentication Token", "MissingAuthenticationTokenException")
    if kind == "COGNITO_USER_POOLS":
        return _message(401, "Unauthorized", "UnauthorizedException")
    if kind == "CUSTOM":
        refused = _authorize(world, raw, region, api_id, snapshot["authorizers"].get(method.get("authorizerId")))
        if refused is not None:
            return refused
    if method.get("apiKeyRequired") and "x-api-key" not in raw.headers:
        return _message(403, "Forbidden", "ForbiddenException")
    return Response(200, {"Content-Type": "application/json"}, b'{"ok": true}')


def _method(methods: dict[str, Any], verb: str, path: str) -> dict[str, Any] | None:
    """The method of the most specific resource that fits: literal before `{one}` before `{all+}`."""
    best: tuple[int, dict[str, Any]] | None = None
    for template, verbs in methods.items():
        method = verbs.get(verb) or verbs.get("ANY")
        if method is None:
            continue
        pattern = re.escape(template).replace(r"\{", "{").replace(r"\}", "}").replace(r"\+", "+")
        pattern = re.sub(r"\{[^}/]*\+\}", ".+", pattern)
        pattern = re.sub(r"\{[^}/]*\}", "[^/]+", pattern)
        if re.fullmatch(pattern, path.rstrip("/") or "/"):
            weight = template.count("{") + 100 * template.count("+}")
            if best is None or weight < best[0]:
                best = (weight, method)
    return best[1] if best else None


def _credentials(raw: RawRequest, source: str) -> list[str] | None:
    """The values of the identity sources; None where one is missing."""
    query = parse_qs(raw.query)
    values = []
    for one in (part.strip() for part in source.split(",")):
        if one.startswith("method.request.header."):
            value = raw.headers.get(one.removeprefix("method.request.header.").lower())
        elif one.startswith("method.request.querystring."):
            value = (query.get(one.removeprefix("method.request.querystring.")) or [None])[0]
        else:
            value = one
        if not value:
            return None
        values.append(value)
    return values


def _authorize(
    world: World, raw: RawRequest, region: str, api_id: str, authorizer: dict[str, Any] | None
) -> Response | None:
    """The refusal, or None. Keys in `valid_keys` of the configuration are let in."""
    broken = _message(500, "Internal server error", "AuthorizerConfigurationException")
    if authorizer is None:
        return broken
    source = authorizer.get("identitySource")
    credentials = _credentials(raw, source) if source else []
    if credentials is None:
        return _message(401, "Unauthorized", "UnauthorizedException")
    named = re.search(r"function:([A-Za-z0-9_-]+)", authorizer.get("authorizerUri", ""))
    function = world.functions.by_name.get(named.group(1)) if named else None
    if function is None or not _may_invoke(function, region, api_id, authorizer["id"]):
        return broken
    if function.state != "Active" or world.outcome("authorizer") == "error":
        return _message(500, "Internal server error", "AuthorizerFailureException")
    if not credentials and not raw.query and world.outcome("authorizer") != "allow":
        return _message(401, "Unauthorized", "UnauthorizedException")
    if world.outcome("authorizer") == "allow" or any(value in world.config["valid_keys"] for value in credentials):
        return None
    return _message(
        403,
        "User is not authorized to access this resource with an explicit deny in an identity-based policy",
        "AccessDeniedException",
    )


def _may_invoke(function: Any, region: str, api_id: str, authorizer_id: str) -> bool:
    arn = f"arn:aws:execute-api:{region}:{ACCOUNT}:{api_id}/authorizers/{authorizer_id}"
    for statement in function.statements:
        principal = statement["Principal"]
        if not isinstance(principal, dict) or principal.get("Service") != "apigateway.amazonaws.com":
            continue
        pattern = statement.get("Condition", {}).get("ArnLike", {}).get("AWS:SourceArn", "*")
        if fnmatchcase(arn, pattern):
            return True
    return False
