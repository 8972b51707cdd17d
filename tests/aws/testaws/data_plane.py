"""Authorization of requests to a deployed REST API at /_aws/execute-api/<api>/<stage>/<path>.

The stage's deployment determines the response, not the API's draft. Integrations are not run: an allowed request
receives a 200.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote

from moto.apigateway.models import RestAPI, Stage, apigateway_backends

from . import http_plane, resource_policy
from .gateway_responses import render
from .stages import canary_of, serving, takes_canary
from .tool_authorizer import OURS, Asked, decide, invoked
from .wire import ACCOUNT, RawRequest, Response, arn, dns_suffix
from .account_state import REGION, World

# Headers that every client sends. Other headers can contain a credential.
_COMMON = {"host", "user-agent", "accept", "accept-encoding", "connection", "content-length", "content-type"}

# The address of every caller.
SOURCE_IP = "127.0.0.1"

_REQUEST_ID = "00000000-0000-4000-8000-000000000000"

_DENIED = "User is not authorized to access this resource with an explicit deny in an identity-based policy"


class Refused(Exception):
    """The gateway itself responds, with the gateway response of this type."""

    def __init__(self, kind: str, message: str | None, context: dict[str, Any] | None = None) -> None:
        super().__init__(kind)
        self.kind = kind
        self.message = message
        self.context = context or {}


@dataclass
class Request:
    raw: RawRequest
    region: str
    api: RestAPI
    stage: Stage
    path: str
    snapshot: dict[str, Any]
    variables: dict[str, str]  # the stage's variables
    canary: bool = False
    parameters: dict[str, str] = field(default_factory=dict)  # the path parameters
    template: str = ""
    verb: str = ""  # the method's name, which can be ANY

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(self.raw.query)


def handle(world: World, raw: RawRequest) -> Response | None:
    """The reply, or None if the connection is to be closed without one."""
    parts = raw.path.removeprefix("/_aws/execute-api/").split("/", 2)
    api_id, stage_name = parts[0], parts[1] if len(parts) > 1 else ""
    path = "/" + unquote(parts[2]) if len(parts) > 2 else "/"
    with world.lock:
        world.tick()
        entry = {"method": raw.method, "path": path, "status": None, "credential": "none"}
        world.requests.append(entry)
        api = world.http_apis.get(api_id)
        if api is not None:
            response = http_plane.answer(world, raw, api, entry)
        else:
            response = _answer(world, raw, api_id, stage_name, path, entry)
        if response is not None:
            entry["status"] = response.status
        return response


def _forbidden() -> Response:
    headers = {"Content-Type": "application/json", "x-amzn-ErrorType": "ForbiddenException"}
    return Response(403, headers, b'{"message":"Forbidden"}')


def _answer(
    world: World, raw: RawRequest, api_id: str, stage_name: str, path: str, entry: dict[str, Any]
) -> Response | None:
    found = [
        (region, backend.apis[api_id])
        for region, backend in apigateway_backends[ACCOUNT].items()
        if api_id in backend.apis
    ]
    region, api = found[0] if found else (REGION, None)
    if api is not None and "PRIVATE" in api.endpoint_configuration.get("types", []):
        return None  # a private API is not reachable from outside its VPC
    stage = api.stages.get(stage_name) if api is not None else None
    if api is None or stage is None:
        return _forbidden()
    request = Request(raw, region, api, stage, path, serving(api, stage), dict(stage.variables))
    if takes_canary(stage):
        canary = canary_of(stage)
        request.canary = True
        request.snapshot = api.deployments[canary["deploymentId"]].snapshot
        request.variables |= canary["stageVariableOverrides"]
    if request.snapshot["settings"].get("disableExecuteApiEndpoint"):
        return _forbidden()
    try:
        _admit(world, request, entry)
    except Refused as refused:
        variables = _variables(request, refused.context)
        accept = raw.headers.get("accept", "")
        return render(refused.kind, refused.message, request.snapshot["gateway_responses"], variables, accept)
    return _backend(world, request)


def _backend(world: World, request: Request) -> Response:
    """The response of the integration: 200, or the one that the configuration gives the method. It has no
    x-amzn-ErrorType."""
    backends = world.outcome("backends") or {}
    found = next((backends[label] for label in sorted(_labels(request)) if label in backends), {})
    body = json.dumps(found.get("body", {"ok": True})).encode()
    return Response(found.get("status", 200), {"Content-Type": "application/json"}, body)


def _variables(request: Request, context: dict[str, Any]) -> dict[str, Any]:
    raw, stage = request.raw, request.stage
    known: dict[str, Any] = {
        "context.accountId": ACCOUNT,
        "context.apiId": request.api.id,
        "context.domainName": f"{request.api.id}.execute-api.{request.region}.{dns_suffix(request.region)}",
        "context.domainPrefix": request.api.id,
        "context.extendedRequestId": "test-aws=",
        "context.httpMethod": raw.method,
        "context.identity.sourceIp": SOURCE_IP,
        "context.identity.userAgent": raw.headers.get("user-agent", ""),
        "context.isCanaryRequest": request.canary,
        "context.path": f"/{stage.name}{request.path}",
        "context.protocol": "HTTP/1.1",
        "context.requestId": _REQUEST_ID,
        "context.resourcePath": request.template,
        "context.stage": stage.name,
    }
    known |= {f"stageVariables.{name}": value for name, value in request.variables.items()}
    known |= {f"context.authorizer.{name}": value for name, value in context.items()}
    known |= {f"method.request.header.{name}": value for name, value in raw.headers.items()}
    known |= {f"method.request.querystring.{name}": values[0] for name, values in request.query.items()}
    known |= {f"method.request.path.{name}": value for name, value in request.parameters.items()}
    return known


def _admit(world: World, request: Request, entry: dict[str, Any]) -> None:
    """Raises `Refused` for a request that does not reach the integration."""
    method = _method(request)
    if method is None:
        raise Refused("MISSING_AUTHENTICATION_TOKEN", "Missing Authentication Token")
    _check_policy(request, method)
    authorizer = request.snapshot["authorizers"].get(method.get("authorizerId"))
    credentials = _credentials(request, (authorizer or {}).get("identitySource"))
    entry["credential"] = "given" if credentials else "none"
    labels = _labels(request)
    if labels & set(world.outcome("closed") or []):
        raise Refused("MISSING_AUTHENTICATION_TOKEN", "Missing Authentication Token")
    if labels & set(world.outcome("throttled") or []):
        raise Refused("THROTTLED", "Too Many Requests")
    if labels & set(world.outcome("open") or []):
        return
    kind, given = method["authorizationType"], None
    if kind == "AWS_IAM":
        raise Refused("MISSING_AUTHENTICATION_TOKEN", "Missing Authentication Token")
    if kind in ("CUSTOM", "COGNITO_USER_POOLS"):
        given = _authorize(world, request, authorizer, credentials)
    if method.get("apiKeyRequired") and not _has_api_key(request, given):
        raise Refused("INVALID_API_KEY", "Forbidden")


def _check_policy(request: Request, method: dict[str, Any]) -> None:
    """An explicit deny of the resource policy comes before the authorizer. Without a matching statement, a method
    without authorization is refused."""
    path = request.path.removeprefix("/")
    resource = f"{request.api.id}/{request.stage.name}/{request.raw.method}/{path}"
    decision = resource_policy.decision(
        request.snapshot["settings"].get("policy"), arn("execute-api", request.region, resource), SOURCE_IP
    )
    if decision == "allow" or (decision is None and method["authorizationType"] != "NONE"):
        return
    account = f"********{ACCOUNT[-4:]}"
    shown = arn("execute-api", request.region, resource).replace(ACCOUNT, account)
    explicit = " with an explicit deny" if decision == "deny" else ""
    message = f"User: anonymous is not authorized to perform: execute-api:Invoke on resource: {shown}{explicit}"
    raise Refused("ACCESS_DENIED", message)


def _labels(request: Request) -> set[str]:
    """The labels of a request and of its method."""
    return {
        f"{verb} {path}" for verb in (request.raw.method, request.verb) for path in (request.path, request.template)
    }


def _method(request: Request) -> dict[str, Any] | None:
    """The method of the most specific matching resource: a literal before `{one}` before `{all+}`."""
    best: tuple[int, str, str, tuple[str, ...]] | None = None
    for template, verbs in request.snapshot["methods"].items():
        verb = next((name for name in (request.raw.method, "ANY") if name in verbs), None)
        if verb is None:
            continue
        parts = re.split(r"(\{[^}/]*\})", template)  # alternating literal text and parameters
        pattern = "".join(
            re.escape(part) if index % 2 == 0 else ("(.+)" if part.endswith("+}") else "([^/]+)")
            for index, part in enumerate(parts)
        )
        fits = re.fullmatch(pattern, request.path.rstrip("/") or "/")
        weight = template.count("{") + 100 * template.count("+}")
        if fits and (best is None or weight < best[0]):
            best = (weight, template, verb, fits.groups())
    if best is None:
        return None
    _, request.template, request.verb, values = best
    names = re.findall(r"\{([^}/+]*)\+?\}", request.template)
    request.parameters = dict(zip(names, values, strict=True))
    return request.snapshot["methods"][request.template][request.verb]


def _credentials(request: Request, source: str | None) -> list[str]:
    """The values of the identity sources, or none if one is missing. Without sources, all values that can be a
    credential."""
    headers, query = request.raw.headers, request.query
    if not source:
        return [values[0] for values in query.values()] + [
            value for name, value in headers.items() if name not in _COMMON
        ]
    values = []
    for one in (part.strip() for part in source.split(",")):
        if one.startswith("method.request.header."):
            value = headers.get(one.removeprefix("method.request.header.").lower())
        elif one.startswith("method.request.querystring."):
            value = (query.get(one.removeprefix("method.request.querystring.")) or [None])[0]
        elif one.startswith("stageVariables."):
            value = request.variables.get(one.removeprefix("stageVariables."))
        else:
            value = one
        if not value:
            return []
        values.append(value)
    return values


def _authorize(world: World, request: Request, authorizer: dict[str, Any] | None, credentials: list[str]) -> str | None:
    """The key for usage plans that the authorizer gives with its permission."""
    if authorizer is None:
        raise Refused("AUTHORIZER_CONFIGURATION_ERROR", None)
    pattern = authorizer.get("identityValidationExpression")
    unreadable = pattern and credentials and not re.fullmatch(pattern, credentials[0])
    if (authorizer.get("identitySource") and not credentials) or unreadable:
        raise Refused("UNAUTHORIZED", "Unauthorized")
    function, _ = invoked(authorizer.get("authorizerUri"))
    outcome = (world.outcome("functions") or {}).get(function)
    if authorizer["name"].startswith(OURS) and outcome is None:
        return _ours(world, request, authorizer, credentials)
    outcome = outcome or (world.outcome("authorizers") or {}).get(authorizer["name"], "deny")
    if outcome == "error":
        raise Refused("AUTHORIZER_FAILURE", None)
    if outcome != "allow":
        if authorizer["type"] == "COGNITO_USER_POOLS":
            raise Refused("UNAUTHORIZED", "Unauthorized")
        raise Refused("ACCESS_DENIED", _DENIED)
    return None


def _ours(world: World, request: Request, authorizer: dict[str, Any], credentials: list[str]) -> str | None:
    """The response to a decision of the tool's authorizer, or the key for usage plans."""
    asked = Asked(request.region, request.api.id, _labels(request), request.raw.headers, request.query, credentials)
    decision = decide(world, asked, authorizer.get("authorizerUri"), authorizer["id"])
    if decision.effect == "allowed":
        return decision.usage_key
    if decision.effect == "unreachable":
        raise Refused("AUTHORIZER_CONFIGURATION_ERROR", None)
    if decision.effect == "failed":
        raise Refused("AUTHORIZER_FAILURE", None)
    context = decision.context
    as_401 = decision.settings.get("limits") == 429 and context["reason"] != "limits_exceeded"
    if decision.effect == "missing" or as_401:
        raise Refused("UNAUTHORIZED", "Unauthorized")
    raise Refused("ACCESS_DENIED", _DENIED, {name: value for name, value in context.items() if value is not None})


def _has_api_key(request: Request, given: str | None) -> bool:
    """Whether the request, or its authorizer where the API says so, has a key of a usage plan that covers the stage."""
    from_authorizer = request.snapshot["settings"].get("apiKeySource") == "AUTHORIZER"
    value = given if from_authorizer else request.raw.headers.get("x-api-key")
    backend = apigateway_backends[ACCOUNT][request.region]
    stage = {"apiId": request.api.id, "stage": request.stage.name}
    for plan in backend.usage_plans.values():
        if not any(stage.items() <= covered.items() for covered in plan.api_stages):
            continue
        for key in backend.usage_plan_keys.get(plan.id, {}).values():
            if key.value == value and backend.keys[key.id].enabled:
                return True
    return False
