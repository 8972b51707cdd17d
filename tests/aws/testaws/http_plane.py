"""Authorization of requests to a deployed HTTP API at /_aws/execute-api/<api>/<stage>/<path>, and of connections to a
WebSocket API.

The stage's deployment determines the response. Statuses and bodies of refusals are fixed: there are no gateway
responses. Integrations are not run: an allowed request receives a 200.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import Any
from urllib.parse import unquote

from moto.apigateway.utils import create_id

from .account_state import World
from .http_apis import HttpApi, serving
from .http_events import HttpRequest, authorizer_event, record
from .tool_authorizer import OURS, Asked, Decision, decide, invoked, log, masked
from .wire import RawRequest, Response

# Headers that every client sends. Other headers can contain a credential.
_COMMON = {"host", "user-agent", "accept", "accept-encoding", "connection", "content-length", "content-type", "origin"}

_TEXTS = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    429: "Too Many Requests",
    500: "Internal Server Error",
}


class Refused(Exception):
    """The gateway itself responds."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def answer(world: World, raw: RawRequest, api: HttpApi, entry: dict[str, Any]) -> Response:
    request_id = f"{create_id()}AMEJg="
    try:
        response = _answer(world, raw, api, entry, request_id)
    except Refused as refused:
        body = json.dumps({"message": _TEXTS[refused.status]}, separators=(",", ":"))
        response = Response(refused.status, {"Content-Type": "application/json"}, body.encode())
    response.headers["apigw-requestid"] = request_id
    return response


def _answer(world: World, raw: RawRequest, api: HttpApi, entry: dict[str, Any], request_id: str) -> Response:
    unknown = 404 if api.is_http else 403
    found = _stage(api, raw)
    snapshot = serving(api, found[0]) if found is not None else None
    if found is None or snapshot is None:
        raise Refused(unknown)
    name, entry["path"] = found
    request = HttpRequest(raw, api, api.stages[name], entry["path"], snapshot, request_id)
    if snapshot["settings"].get("DisableExecuteApiEndpoint"):
        raise Refused(unknown)
    if not api.is_http:
        return _connect(world, request, entry)
    route = _route(request)
    if _is_preflight(request) and (route is None or not _catches_preflights(route)):
        return Response(204, _cors_headers(request, preflight=True), b"")
    if route is None:
        raise Refused(404)
    _authorize(world, request, entry)
    if not route.get("Target"):
        raise Refused(404)
    response = _backend(world, request)
    response.headers.update(_cors_headers(request, preflight=False))
    return response


def _stage(api: HttpApi, raw: RawRequest) -> tuple[str, str] | None:
    """The name of the stage that a request reaches, and the path below it. The first segment can name a stage; all
    other requests go to `$default` (guide, "Working with routes for HTTP APIs"). `$default` can be named as well, as in
    the addresses of other emulators."""
    rest = raw.path.removeprefix(f"/_aws/execute-api/{api.id}").removeprefix("/")
    first, _, below = rest.partition("/")
    first = unquote(first)
    if first in api.stages:
        return first, "/" + unquote(below)
    return ("$default", "/" + unquote(rest)) if "$default" in api.stages else None


# --- routes


def _route(request: HttpRequest) -> dict[str, Any] | None:
    """The route of a request: a full match, then a greedy one, then `$default`. A literal comes before a parameter, and
    a method's own route before ANY."""
    best: tuple[tuple[int, int, int], dict[str, Any], dict[str, str]] | None = None
    for route in request.snapshot["routes"].values():
        verb, _, template = route["RouteKey"].partition(" ")
        if verb not in (request.raw.method, "ANY"):
            continue
        parts = re.split(r"(\{[^}/]*\})", template)  # alternating literal text and parameters
        pattern = "".join(
            re.escape(part) if index % 2 == 0 else ("(.+)" if part.endswith("+}") else "([^/]+)")
            for index, part in enumerate(parts)
        )
        fits = re.fullmatch(pattern, request.path)
        weight = (template.count("+}"), template.count("{"), int(verb == "ANY"))
        if fits and (best is None or weight < best[0]):
            names = re.findall(r"\{([^}/+]*)\+?\}", template)
            best = (weight, route, dict(zip(names, fits.groups(), strict=True)))
    if best is not None:
        _, request.route, request.parameters = best
        return request.route
    found = [route for route in request.snapshot["routes"].values() if route["RouteKey"] == "$default"]
    if found:
        request.route = found[0]
        return request.route
    return None


# --- CORS (guide, "Configuring CORS for an HTTP API")


def _is_preflight(request: HttpRequest) -> bool:
    headers = request.headers
    asks = headers.get("origin") and headers.get("access-control-request-method")
    return bool(request.raw.method == "OPTIONS" and asks and request.snapshot["settings"].get("CorsConfiguration"))


def _catches_preflights(route: dict[str, Any]) -> bool:
    """`$default` and ANY routes with an authorizer get preflights, too."""
    return route["AuthorizationType"] != "NONE" and (route["RouteKey"] + " ").startswith(("$default ", "ANY "))


def _cors_headers(request: HttpRequest, preflight: bool) -> dict[str, str]:
    cors = request.snapshot["settings"].get("CorsConfiguration")
    origin = request.headers.get("origin")
    allowed = (cors or {}).get("AllowOrigins", [])
    if not cors or not origin or not any(one in ("*", origin) for one in allowed):
        return {}
    found = {"access-control-allow-origin": "*" if "*" in allowed else origin}
    if cors.get("AllowCredentials"):
        found["access-control-allow-credentials"] = "true"
    if preflight:
        for member, name in (("AllowMethods", "methods"), ("AllowHeaders", "headers")):
            if cors.get(member):
                found[f"access-control-allow-{name}"] = ",".join(cors[member])
        if cors.get("MaxAge"):
            found["access-control-max-age"] = str(cors["MaxAge"])
    elif cors.get("ExposeHeaders"):
        found["access-control-expose-headers"] = ",".join(cors["ExposeHeaders"])
    return found


# --- authorization


def _authorize(world: World, request: HttpRequest, entry: dict[str, Any]) -> None:
    """Raises `Refused` for a request that does not reach the integration."""
    labels = request.labels
    authorizer = request.snapshot["authorizers"].get(request.route.get("AuthorizerId"))
    values = _identity(request, (authorizer or {}).get("IdentitySource", []))
    credentials = values or _candidates(request)
    entry["credential"] = "given" if credentials else "none"
    if labels & set(world.outcome("closed") or []):
        raise Refused(403)
    if labels & set(world.outcome("throttled") or []):
        raise Refused(429)
    kind = request.route["AuthorizationType"]
    if kind == "NONE" or labels & set(world.outcome("open") or []):
        return
    if kind == "AWS_IAM":
        raise Refused(403)
    if authorizer is None or authorizer["AuthorizerId"] not in request.api.authorizers:
        # It is not known what a deployed route with a deleted authorizer does. This is the worst case.
        raise Refused(500)
    if authorizer.get("IdentitySource") and values is None:
        entry["credential"] = "none"
        raise Refused(401)
    if kind == "JWT":
        _by_token(world, authorizer)
    else:
        _by_function(world, request, authorizer, values or [], credentials)


def _identity(request: HttpRequest, sources: list[str]) -> list[str] | None:
    """The values of the identity sources, or None if one of them is missing or empty."""
    values = []
    for source in sources:
        plain = source.removeprefix("$").removeprefix("route.")
        if plain.startswith("request.header."):
            value = request.headers.get(plain.removeprefix("request.header.").lower())
        elif plain.startswith("request.querystring."):
            value = ",".join(request.query.get(plain.removeprefix("request.querystring."), []))
        elif plain.startswith("stageVariables."):
            value = request.stage.get("StageVariables", {}).get(plain.removeprefix("stageVariables."))
        else:
            value = source
        if not value:
            return None
        values.append(value)
    return values


def _candidates(request: HttpRequest) -> list[str]:
    """Everything in a request that can be a credential."""
    headers = [value for name, value in request.headers.items() if name not in _COMMON and not _is_technical(name)]
    return [values[0] for values in request.query.values()] + headers


def _is_technical(name: str) -> bool:
    return name == "upgrade" or name.startswith(("sec-websocket-", "access-control-"))


def _by_token(world: World, authorizer: dict[str, Any]) -> None:
    outcome = (world.outcome("authorizers") or {}).get(authorizer["Name"], "deny")
    if outcome == "error":
        raise Refused(500)
    if outcome == "scopes":  # the token is valid, but has none of the scopes of the route
        raise Refused(403)
    if outcome != "allow":
        raise Refused(401)


def _by_function(
    world: World, request: HttpRequest, authorizer: dict[str, Any], values: list[str], credentials: list[str]
) -> None:
    name, _ = invoked(authorizer["AuthorizerUri"])
    outcome = (world.outcome("functions") or {}).get(name)
    event = authorizer_event(world, request, authorizer, values)
    if not authorizer["Name"].startswith(OURS) or outcome is not None:
        record(world, request, name, event)
        outcome = outcome or (world.outcome("authorizers") or {}).get(authorizer["Name"], "deny")
        if outcome != "allow":
            raise Refused(500 if outcome == "error" else 403)
        return
    asked = Asked(request.api.region, request.api.id, request.labels, request.headers, request.query, credentials)
    by_role = bool(authorizer.get("AuthorizerCredentialsArn"))
    decision = decide(world, asked, authorizer["AuthorizerUri"], authorizer["AuthorizerId"], by_role)
    if decision.effect == "unreachable":
        raise Refused(500)
    record(world, request, name, event)
    if decision.effect == "failed" or not _has_form(request, authorizer, decision):
        raise Refused(500)
    if decision.effect != "allowed":
        _log_refusal(world, request, decision)
        raise Refused(403)


def _has_form(request: HttpRequest, authorizer: dict[str, Any], decision: Decision) -> bool:
    """Whether the function answers in the form that the authorizer takes: `isAuthorized`, or a policy."""
    if not decision.settings or not request.api.is_http:
        return True  # not the tool's function, or events that have only one form
    simple = decision.settings.get("http_api_answer", "simple") == "simple"
    simple = simple and authorizer["AuthorizerPayloadFormatVersion"] == "2.0"
    return simple == bool(authorizer.get("EnableSimpleResponses"))


def _log_refusal(world: World, request: HttpRequest, decision: Decision) -> None:
    """The line that the authorizer writes about a refusal."""
    resource = request.route["RouteKey"].rpartition(" ")[2]
    line = {
        "level": "info",
        "event": "decision",
        "request": "00000000-0000-4000-8000-000000000000",
        "gateway_request": request.request_id,
        "allowed": False,
        "reason": decision.context.get("reason"),
        "source": "backend" if decision.credential else "none",
        "credential": masked(decision.credential) if decision.credential else None,
        "method": request.raw.method,
        "resource": resource,
        "metric": None,
        "us": 1000,
    }
    log(world, decision.version, line)


def _backend(world: World, request: HttpRequest) -> Response:
    """The response of the integration: 200, or the one that the configuration gives the route."""
    backends = world.outcome("backends") or {}
    found = next((backends[label] for label in sorted(request.labels) if label in backends), {})
    body = json.dumps(found.get("body", {"ok": True})).encode()
    return Response(found.get("status", 200), {"Content-Type": "application/json"}, body)


# --- WebSocket APIs


def _connect(world: World, request: HttpRequest, entry: dict[str, Any]) -> Response:
    """The answer to a handshake. The connection ends after it."""
    headers = request.headers
    key = headers.get("sec-websocket-key")
    if request.raw.method != "GET" or headers.get("upgrade", "").lower() != "websocket" or not key:
        raise Refused(400)
    if request.path != "/":
        raise Refused(403)
    found = [route for route in request.snapshot["routes"].values() if route["RouteKey"] == "$connect"]
    if found:
        request.route = found[0]
        _authorize(world, request, entry)
    accept = hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()  # RFC 6455
    return Response(
        101,
        {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Accept": base64.b64encode(accept).decode(),
        },
        b"",
    )
