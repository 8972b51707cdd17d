"""API Gateway v2: authorizers."""

from __future__ import annotations

import re
from typing import Any

from moto.apigateway.utils import create_id

from .account_state import World
from .apigateway import INVOCATION, bad_request, conflict
from .gateway import operation
from .http_apis import SERVICE, HttpApi, api_of, changed, given, page, part_of, require_room
from .wire import Call

_MEMBERS = (
    "AuthorizerCredentialsArn",
    "AuthorizerPayloadFormatVersion",
    "AuthorizerResultTtlInSeconds",
    "AuthorizerType",
    "AuthorizerUri",
    "EnableSimpleResponses",
    "IdentitySource",
    "IdentityValidationExpression",
    "JwtConfiguration",
    "Name",
)

# HTTP APIs and WebSocket APIs name identity sources differently (guide: "Working with AWS Lambda authorizers for HTTP
# APIs", "Creating a Lambda REQUEST authorizer function").
_HTTP_SOURCE = re.compile(
    r"\$(request\.(header|querystring)\.[A-Za-z0-9._$-]+|(context|stageVariables)\.[A-Za-z0-9._-]+)"
)
_SOCKET_SOURCE = re.compile(
    r"route\.request\.(header|querystring)\.[A-Za-z0-9._$-]+|(context|stageVariables)\.[A-Za-z0-9._-]+"
)

# Members that only HTTP APIs have (service model).
_HTTP_ONLY = ("AuthorizerPayloadFormatVersion", "AuthorizerResultTtlInSeconds", "EnableSimpleResponses")


def _check(world: World, api: HttpApi, wanted: dict[str, Any]) -> None:
    name, kind = wanted["Name"], wanted["AuthorizerType"]
    if not 1 <= len(name) <= 128:
        raise bad_request("Authorizer name must have between 1 and 128 characters")
    others = [one for one in api.authorizers.values() if one["AuthorizerId"] != wanted["AuthorizerId"]]
    if world.config["http_api"]["authorizer_names"] == "unique" and any(one["Name"] == name for one in others):
        raise bad_request(f"Authorizer name must be unique. Authorizer {name} already exists in this Api.")
    sources = wanted.get("IdentitySource", [])
    allowed = _HTTP_SOURCE if api.is_http else _SOCKET_SOURCE
    for source in sources:
        if not allowed.fullmatch(source):
            raise bad_request(f"Invalid identity source specified: {source}")
    if kind == "JWT":
        configuration = wanted.get("JwtConfiguration", {})
        if not api.is_http:
            raise bad_request("Authorizer type JWT is only supported for HTTP protocol type")
        if len(sources) != 1 or not configuration.get("Issuer") or not configuration.get("Audience"):
            raise bad_request("A JWT authorizer needs one identity source, an issuer and an audience")
        return
    if not INVOCATION.fullmatch(wanted.get("AuthorizerUri", "")):
        raise bad_request(
            f"Invalid Authorizer URI: {wanted.get('AuthorizerUri')}. Authorizer URI should be a valid API Gateway ARN "
            "that represents a Lambda function invocation."
        )
    if not api.is_http:
        for member in _HTTP_ONLY:
            if wanted.get(member):
                raise bad_request(f"{member} is only supported for HTTP protocol type")
        return
    version = wanted.get("AuthorizerPayloadFormatVersion")
    if version is None:
        raise bad_request("AuthorizerPayloadFormatVersion is a required parameter for REQUEST authorizer")
    if version not in ("1.0", "2.0"):
        raise bad_request("AuthorizerPayloadFormatVersion must be one of [1.0, 2.0]")
    if wanted.get("EnableSimpleResponses") and version != "2.0":
        raise bad_request("EnableSimpleResponses is only supported for AuthorizerPayloadFormatVersion 2.0")
    if wanted.get("AuthorizerResultTtlInSeconds", 0) > 0 and not sources:
        # The text of AWS: terraform-provider-aws PR 32629.
        raise bad_request("Identity source must be set if authorizer caching is enabled (TTL is greater than 0)")


@operation(SERVICE, "CreateAuthorizer")
def create_authorizer(world: World, call: Call) -> Any:
    api = api_of(world, call)
    require_room("Authorizer", api.authorizers)
    authorizer = {"AuthorizerId": create_id()[:6], **given(call, *_MEMBERS)}
    _check(world, api, authorizer)
    api.authorizers[authorizer["AuthorizerId"]] = authorizer
    changed(world, api)
    return authorizer


@operation(SERVICE, "GetAuthorizers")
def get_authorizers(world: World, call: Call) -> Any:
    return page(world, call, api_of(world, call).authorizers.values())


@operation(SERVICE, "GetAuthorizer")
def get_authorizer(world: World, call: Call) -> Any:
    return part_of(call, "Authorizer", api_of(world, call).authorizers)


@operation(SERVICE, "UpdateAuthorizer")
def update_authorizer(world: World, call: Call) -> Any:
    api = api_of(world, call)
    authorizer = part_of(call, "Authorizer", api.authorizers)
    wanted = {**authorizer, **given(call, *_MEMBERS)}
    _check(world, api, wanted)
    authorizer.update(wanted)
    changed(world, api)
    return authorizer


@operation(SERVICE, "DeleteAuthorizer")
def delete_authorizer(world: World, call: Call) -> Any:
    api = api_of(world, call)
    authorizer = part_of(call, "Authorizer", api.authorizers)
    for route in api.routes.values():
        if route.get("AuthorizerId") == authorizer["AuthorizerId"]:
            # The text of AWS: anomalyco/sst issue 5586.
            name, key = authorizer["Name"], route["RouteKey"]
            raise conflict(f"Cannot delete authorizer '{name}', is referenced in route: {key}")
    del api.authorizers[authorizer["AuthorizerId"]]
    changed(world, api)
    return {}
