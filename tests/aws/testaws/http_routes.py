"""API Gateway v2: routes and their authorization."""

from __future__ import annotations

import re
from typing import Any

from moto.apigateway.utils import create_id

from .account_state import World
from .apigateway import bad_request, conflict
from .gateway import operation
from .http_apis import SERVICE, HttpApi, api_of, changed, given, page, part_of, require_room
from .wire import Call

_KEY = re.compile(r"(ANY|DELETE|GET|HEAD|OPTIONS|PATCH|POST|PUT) (/.*)")
_PARAMETER = re.compile(r"\{[A-Za-z0-9._:-]+\+?\}")

_MEMBERS = (
    "ApiKeyRequired",
    "ModelSelectionExpression",
    "OperationName",
    "RequestModels",
    "RequestParameters",
    "RouteKey",
    "RouteResponseSelectionExpression",
    "Target",
)


def _nameless(key: str) -> str:
    return _PARAMETER.sub(lambda found: "{+}" if found.group().endswith("+}") else "{}", key)


def _check_key(api: HttpApi, key: str, route_id: str | None) -> None:
    if api.is_http and key != "$default":
        found = _KEY.fullmatch(key)
        parts = found.group(2)[1:].split("/") if found else []
        wrong = [part for part in parts if ("{" in part or "}" in part) and not _PARAMETER.fullmatch(part)]
        if not found or wrong or any(part.endswith("+}") for part in parts[:-1]):
            raise bad_request(
                "The provided route key is not formatted properly for HTTP protocol. "
                'Format should be "<HTTP METHOD> /<RESOURCE PATH>" or "$default"'
            )
    for other in api.routes.values():
        if other["RouteId"] == route_id:
            continue
        if other["RouteKey"] == key:
            # The text of AWS: anomalyco/sst issues 513 and 5031.
            raise conflict(f"Route with key {key} already exists for this API")
        if _nameless(other["RouteKey"]) == _nameless(key):
            # The text of AWS: plutomi/plutomi issue 271.
            raise conflict(
                f'The provided route key "{key}" has a conflicting variable on the same hierarchical level as '
                f'"{other["RouteKey"]}"'
            )


def _check_target(api: HttpApi, target: str | None) -> None:
    if target and target.removeprefix("integrations/") not in api.integrations:
        raise bad_request(f"Invalid integration identifier specified {target}")


def _authorize(api: HttpApi, key: str, before: dict[str, Any], call: Call) -> dict[str, Any]:
    """The authorization of a route after a call: the three members, without the ones that do not apply."""
    kind = call.get("AuthorizationType")
    if kind is None and "AuthorizerId" in call.params:
        # The text of AWS: terraform-provider-aws PR 35821.
        raise bad_request("Unable to update route. Authorizer type is invalid or null.")
    scopes = call.get("AuthorizationScopes", before.get("AuthorizationScopes", []))
    kind = kind or before.get("AuthorizationType", "NONE")
    if "AuthorizationScopes" in call.params and scopes and kind != "JWT":
        raise bad_request("Authorization scopes are only supported for authorization type JWT")
    if not api.is_http and kind == "JWT":
        raise bad_request("Authorization type JWT is only supported for HTTP protocol type")
    if not api.is_http and kind != "NONE" and key != "$connect":
        raise bad_request("Currently, authorization is restricted to the $connect route only")
    found: dict[str, Any] = {"AuthorizationType": kind}
    if kind in ("NONE", "AWS_IAM"):
        return found  # the authorizer and the scopes go with the type
    authorizer_id = call.get("AuthorizerId", before.get("AuthorizerId"))
    authorizer = api.authorizers.get(authorizer_id)
    if kind == "JWT" and (authorizer is None or authorizer["AuthorizerType"] != "JWT"):
        # The text of AWS: serverless/serverless issue 9018.
        raise bad_request(
            "Invalid authorizer ID specified. Setting the authorization type to JWT requires a valid JWT authorizer."
        )
    if kind == "CUSTOM" and (authorizer is None or authorizer["AuthorizerType"] != "REQUEST"):
        raise bad_request(
            "Invalid authorizer ID specified. Setting the authorization type to CUSTOM requires a valid authorizer."
        )
    found["AuthorizerId"] = authorizer_id
    if scopes:
        found["AuthorizationScopes"] = list(scopes)
    return found


def _check_api_key(api: HttpApi, call: Call) -> None:
    if api.is_http and call.get("ApiKeyRequired"):
        raise bad_request("API key required is only supported for WEBSOCKET protocol type")


@operation(SERVICE, "CreateRoute")
def create_route(world: World, call: Call) -> Any:
    api = api_of(world, call)
    require_room("Route", api.routes)
    key = call.params["RouteKey"]
    _check_key(api, key, None)
    _check_target(api, call.get("Target"))
    _check_api_key(api, call)
    route = {
        "ApiKeyRequired": False,
        "RouteId": create_id()[:7],
        **given(call, *_MEMBERS),
        **_authorize(api, key, {}, call),
    }
    api.routes[route["RouteId"]] = route
    changed(world, api)
    return route


@operation(SERVICE, "GetRoutes")
def get_routes(world: World, call: Call) -> Any:
    # The order has no meaning: the IDs are random.
    return page(world, call, [route for _, route in sorted(api_of(world, call).routes.items())])


@operation(SERVICE, "GetRoute")
def get_route(world: World, call: Call) -> Any:
    return part_of(call, "Route", api_of(world, call).routes)


@operation(SERVICE, "UpdateRoute")
def update_route(world: World, call: Call) -> Any:
    api = api_of(world, call)
    route = part_of(call, "Route", api.routes)
    key = call.get("RouteKey", route["RouteKey"])
    if key != route["RouteKey"]:
        if route.get("ApiGatewayManaged"):
            raise bad_request("The key of a route that is managed by API Gateway cannot be changed")
        _check_key(api, key, route["RouteId"])
    _check_target(api, call.get("Target"))
    _check_api_key(api, call)
    if (
        route.get("ApiGatewayManaged")
        and "AuthorizationType" in call.params
        and world.config["http_api"]["managed_route"] == "refused"
    ):
        # Whether AWS does this, and with which text, is unknown.
        raise bad_request("The authorization of a route that is managed by API Gateway cannot be changed")
    authorization = _authorize(api, key, route, call)
    kept = {name: value for name, value in route.items() if not name.startswith("Authoriz")}
    wanted = {**kept, **given(call, *_MEMBERS), **authorization}
    route.clear()
    route.update(wanted)
    changed(world, api)
    return route


@operation(SERVICE, "DeleteRoute")
def delete_route(world: World, call: Call) -> Any:
    api = api_of(world, call)
    route = part_of(call, "Route", api.routes)
    del api.routes[route["RouteId"]]
    changed(world, api)
    return {}
