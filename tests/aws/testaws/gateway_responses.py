"""API Gateway (REST): the responses of the gateway itself, by type, and their format for callers."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

from .apigateway import api_of, bad_request, not_found
from .errors import AwsError
from .gateway import operation
from .wire import Call, Response
from .account_state import World

STATUSES: dict[str, str | None] = {
    "ACCESS_DENIED": "403",
    "API_CONFIGURATION_ERROR": "500",
    "AUTHORIZER_CONFIGURATION_ERROR": "500",
    "AUTHORIZER_FAILURE": "500",
    "BAD_REQUEST_BODY": "400",
    "BAD_REQUEST_PARAMETERS": "400",
    "DEFAULT_4XX": None,
    "DEFAULT_5XX": None,
    "EXPIRED_TOKEN": "403",
    "INTEGRATION_FAILURE": "504",
    "INTEGRATION_TIMEOUT": "504",
    "INVALID_API_KEY": "403",
    "INVALID_SIGNATURE": "403",
    "MISSING_AUTHENTICATION_TOKEN": "403",
    "QUOTA_EXCEEDED": "429",
    "REQUEST_TOO_LARGE": "413",
    "RESOURCE_NOT_FOUND": "404",
    "THROTTLED": "429",
    "UNAUTHORIZED": "401",
    "UNSUPPORTED_MEDIA_TYPE": "415",
    "WAF_FILTERED": "403",
}

# The types in the order of AWS's refusal of another one.
_ENUM = (
    "REQUEST_TOO_LARGE, RESOURCE_NOT_FOUND, AUTHORIZER_CONFIGURATION_ERROR, MISSING_AUTHENTICATION_TOKEN, "
    "BAD_REQUEST_BODY, INVALID_SIGNATURE, INVALID_API_KEY, BAD_REQUEST_PARAMETERS, AUTHORIZER_FAILURE, UNAUTHORIZED, "
    "INTEGRATION_TIMEOUT, ACCESS_DENIED, DEFAULT_4XX, DEFAULT_5XX, WAF_FILTERED, QUOTA_EXCEEDED, THROTTLED, "
    "API_CONFIGURATION_ERROR, UNSUPPORTED_MEDIA_TYPE, INTEGRATION_FAILURE, EXPIRED_TOKEN"
)

# `x-amzn-ErrorType` of the types this server's callers can meet.
_ERROR_TYPES = {
    "ACCESS_DENIED": "AccessDeniedException",
    "AUTHORIZER_CONFIGURATION_ERROR": "AuthorizerConfigurationException",
    "AUTHORIZER_FAILURE": "AuthorizerFailureException",
    "INVALID_API_KEY": "ForbiddenException",
    "MISSING_AUTHENTICATION_TOKEN": "MissingAuthenticationTokenException",
    "THROTTLED": "TooManyRequestsException",
    "UNAUTHORIZED": "UnauthorizedException",
}

_TEMPLATES = {"application/json": '{"message":$context.error.messageString}'}


def _made(kind: str, of: dict[str, Any], customised: bool) -> dict[str, Any]:
    found = {
        "responseType": kind,
        "statusCode": of.get("statusCode") or STATUSES[kind],
        "responseParameters": dict(of.get("responseParameters") or {}),
        "responseTemplates": dict(of.get("responseTemplates") or _TEMPLATES),
        "defaultResponse": not customised,
    }
    return {name: value for name, value in found.items() if value is not None}


def effective(kind: str, customised: dict[str, Any]) -> dict[str, Any]:
    """The response of a type: its own, or one based on DEFAULT_4XX or DEFAULT_5XX, or AWS's default."""
    if kind in customised:
        return customised[kind]
    status = STATUSES[kind]
    fallback = customised.get("DEFAULT_5XX" if status and status >= "500" else "DEFAULT_4XX") if status else None
    return _made(kind, fallback or {}, False)


def exported(kind: str, response: dict[str, Any]) -> dict[str, Any]:
    """A customized response in an export: the status is a number, and a class without its own template has none,
    although the listing adds it."""
    found = {name: response[name] for name in ("responseParameters", "responseTemplates") if response.get(name)}
    if kind in ("DEFAULT_4XX", "DEFAULT_5XX") and found.get("responseTemplates") == _TEMPLATES:
        del found["responseTemplates"]
    status = response.get("statusCode")
    return {"statusCode": int(status), **found} if status else found


# --- control plane


def _kind(call: Call) -> str:
    kind = call.params["responseType"]
    if kind not in STATUSES:
        raise _invalid(kind, "responseType", f"Member must satisfy enum value set: [{_ENUM}]")
    return kind


def _invalid(value: Any, where: str, what: str) -> AwsError:
    text = f"1 validation error detected: Value '{value}' at '{where}' failed to satisfy constraint: {what}"
    return AwsError("ValidationException", text, 400)


def _check_status(status: str | None) -> None:
    if status is not None and not re.fullmatch(r"[1-5]\d\d", str(status)):
        raise _invalid(status, "statusCode", r"Member must satisfy regular expression pattern: [1-5]\d\d")


_VALUE = re.compile(
    r"'[^']*'|(context|stageVariables)\.[A-Za-z0-9._-]+"
    r"|method\.request\.(path|header|multivalueheader|querystring|multivaluequerystring)\.[A-Za-z0-9._$-]+"
)


def _check(response: dict[str, Any]) -> None:
    """Checks a customized response as AWS does."""
    _check_status(response.get("statusCode"))
    for name, value in response["responseParameters"].items():
        if not re.fullmatch(r"gatewayresponse\.header\.[A-Za-z0-9!#$%&*+.^_`|~-]+", name):
            raise bad_request(
                "Invalid mapping expression specified: Validation Result: warnings : [], errors : "
                f"[Invalid mapping expression parameter specified: {name}]"
            )
        if not isinstance(value, str) or not _VALUE.fullmatch(value):
            raise bad_request(
                "Invalid mapping expression specified: Validation Result: warnings : [], errors : "
                f"[Invalid mapping expression specified: {value}]"
            )
    for name in response["responseTemplates"]:
        if "/" not in name:
            raise bad_request(f"Validation Result: warnings : [], errors : [Invalid content type specified: {name}]")


@operation("apigateway", "PutGatewayResponse")
def put_gateway_response(world: World, call: Call) -> Any:
    api = api_of(call)
    response = _made(_kind(call), call.params, True)
    _check(response)
    api.gateway_responses[response["responseType"]] = response
    return response


@operation("apigateway", "GetGatewayResponse")
def get_gateway_response(world: World, call: Call) -> Any:
    api = api_of(call)
    return effective(_kind(call), api.gateway_responses)


@operation("apigateway", "GetGatewayResponses")
def get_gateway_responses(world: World, call: Call) -> Any:
    """Returns all types at once: according to AWS, the collection does not page, regardless of `limit` and `position`."""
    api = api_of(call)
    return {"items": [effective(kind, api.gateway_responses) for kind in STATUSES]}


@operation("apigateway", "DeleteGatewayResponse")
def delete_gateway_response(world: World, call: Call) -> Any:
    api = api_of(call)
    if api.gateway_responses.pop(_kind(call), None) is None:
        raise not_found("Gateway response type not defined on api")
    return {}


@operation("apigateway", "UpdateGatewayResponse")
def update_gateway_response(world: World, call: Call) -> Any:
    api = api_of(call)
    kind = _kind(call)
    response = copy.deepcopy(api.gateway_responses.get(kind)) or _made(kind, {}, True)
    for index, patch in enumerate(call.get("patchOperations", []), 1):
        if patch.get("op") not in ("add", "remove", "move", "test", "replace", "copy"):
            where = f"updateGatewayResponseInput.patchOperations.{index}.member.op"
            raise _invalid(
                patch.get("op"), where, "Member must satisfy enum value set: [add, remove, move, test, replace, copy]"
            )
        _patch(response, patch)
    _check(response)
    api.gateway_responses[kind] = response
    return response


def _patch(response: dict[str, Any], patch: dict[str, Any]) -> None:
    kind, path, value = patch["op"], patch.get("path"), patch.get("value")
    group, _, name = (path or "").removeprefix("/").partition("/")
    name = name.replace("~1", "/").replace("~0", "~")
    if path == "/statusCode" and kind == "replace":
        response["statusCode"] = value
    elif group in ("responseParameters", "responseTemplates") and name and kind in ("add", "replace", "remove"):
        if kind != "add" and name not in response[group]:
            raise not_found("Invalid parameter name specified")
        if kind == "remove":
            del response[group][name]
        elif not value:
            raise bad_request(f"Invalid null or empty value in {group}")
        else:
            response[group][name] = value
    else:
        raise bad_request(f"Invalid patch path {path or 'null'}")


# --- responses to callers

_NAME = r"(?:context|stageVariables)(?:\.[A-Za-z0-9_]+)+|method\.request\.[a-z]+\.[A-Za-z0-9_-]+"
_VARIABLE = re.compile(rf"\$(?:\{{({_NAME})\}}|({_NAME}))")


def render(
    kind: str, message: str | None, customised: dict[str, Any], variables: dict[str, Any], accept: str = ""
) -> Response:
    """The reply of this type. `variables` has the values of `$context`, `$stageVariables`, `method.request` by full
    name."""
    response = effective(kind, customised)
    known = {
        **variables,
        "context.error.message": message or "",
        "context.error.messageString": json.dumps(message),
        "context.error.responseType": kind,
    }

    def text(name: str) -> str:
        # Header names are case-insensitive.
        value = known.get(name.lower() if name.startswith("method.request.header.") else name, "")
        return str(value).lower() if isinstance(value, bool) else str(value)

    templates = response["responseTemplates"]
    content_type = next((one for one in (accept, "application/json") if one in templates), next(iter(templates)))
    body = _VARIABLE.sub(lambda found: text(found.group(1) or found.group(2)), templates[content_type])
    if kind == "ACCESS_DENIED" and templates == _TEMPLATES:  # the only default body in which AWS capitalizes the name
        body = json.dumps({"Message": message}, separators=(",", ":"))
    headers = {"Content-Type": content_type, "x-amzn-ErrorType": _ERROR_TYPES[kind]}
    for name, value in response["responseParameters"].items():
        found = value[1:-1] if value.startswith("'") else text(value)
        if found:
            headers[name.removeprefix("gatewayresponse.header.")] = found
    return Response(int(response["statusCode"]), headers, body.encode())
