"""API Gateway (REST): methods, authorizers, listings. Moto stores the objects. Deployments are in `deployments`."""

from __future__ import annotations

import copy
import re
from typing import Any

from moto.apigateway.models import Authorizer, Method, Resource, RestAPI, apigateway_backends

from .api_json import method_json, shown, shown_alone
from .errors import AwsError
from .faults import CONCURRENT
from .gateway import operation
from .wire import ACCOUNT, PARTITIONS, Call
from .account_state import World

# Moto registers each method of each stage in an HTTP mock that is not used here and only grows.
RestAPI.update_integration_mocks = lambda self, stage_name: None


def bad_request(message: str) -> AwsError:
    return AwsError("BadRequestException", message, 400)


def not_found(message: str) -> AwsError:
    return AwsError("NotFoundException", message, 404)


def conflict(message: str) -> AwsError:
    return AwsError("ConflictException", message, 409)


def api_of(call: Call) -> RestAPI:
    api = apigateway_backends[ACCOUNT][call.region].apis.get(call.params["restApiId"])
    if api is None:
        raise not_found("Invalid API identifier specified " + f"{ACCOUNT}:{call.params['restApiId']}")
    return api


def resource_of(call: Call, api: RestAPI) -> Resource:
    resource = api.resources.get(call.params["resourceId"])
    if resource is None:
        raise not_found("Invalid Resource identifier specified")
    return resource


def method_of(call: Call, resource: Resource) -> Method:
    method = resource.resource_methods.get(call.params["httpMethod"])
    if method is None:
        raise not_found("Invalid Method identifier specified")
    return method


def page(world: World, call: Call, items: list[Any], largest: int = 500) -> dict[str, Any]:
    """One page in API Gateway's format: `limit` (25 by default), and `position` for the next page."""
    limit = min(call.get("limit", 25), largest, world.config["page_size"] or largest)
    try:
        start = int(call.get("position", "0"), 36)
    except ValueError:
        raise bad_request("Invalid position parameter specified") from None
    found: dict[str, Any] = {"items": items[start : start + limit]}
    if start + limit < len(items):
        found["position"] = base36(start + limit)
    return found


def base36(number: int) -> str:
    digits = ""
    while number:
        number, rest = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[rest] + digits
    return digits or "0"


@operation("apigateway", "GetRestApis")
def get_rest_apis(world: World, call: Call) -> Any:
    apis = apigateway_backends[ACCOUNT][call.region].apis.values()
    return page(world, call, [shown(api) for api in apis])


@operation("apigateway", "GetRestApi")
def get_rest_api(world: World, call: Call) -> Any:
    return shown_alone(api_of(call))


@operation("apigateway", "GetResources")
def get_resources(world: World, call: Call) -> Any:
    api = api_of(call)
    embed = "methods" in call.get("embed", [])
    # AWS's order is by no rule; the ids are random.
    items = [resource_json(resource, embed) for _, resource in sorted(api.resources.items())]
    return page(world, call, items)


@operation("apigateway", "GetResource")
def get_resource(world: World, call: Call) -> Any:
    return resource_json(resource_of(call, api_of(call)), "methods" in call.get("embed", []))


def resource_json(resource: Resource, embed: bool) -> dict[str, Any]:
    found = resource.to_dict()
    methods = resource.resource_methods
    if methods:
        found["resourceMethods"] = {verb: method_json(method) if embed else {} for verb, method in methods.items()}
    return found


@operation("apigateway", "GetMethod")
def get_method(world: World, call: Call) -> Any:
    return method_json(method_of(call, resource_of(call, api_of(call))))


def check_authorization(api: RestAPI, kind: str | None, authorizer_id: str | None) -> None:
    if kind not in ("NONE", "AWS_IAM", "CUSTOM", "COGNITO_USER_POOLS"):
        raise bad_request("Invalid authorization type specified")
    if kind in ("CUSTOM", "COGNITO_USER_POOLS") and authorizer_id not in api.authorizers:
        raise bad_request(
            "Invalid authorizer ID specified. "
            "Setting the authorization type to CUSTOM or COGNITO_USER_POOLS requires a valid authorizer."
        )


@operation("apigateway", "PutMethod")
def put_method(world: World, call: Call) -> Any:
    api = api_of(call)
    resource = resource_of(call, api)
    if call.params["httpMethod"] in resource.resource_methods:
        raise conflict("Method already exists for this resource")
    check_authorization(api, call.get("authorizationType"), call.get("authorizerId"))
    return call.moto()


@operation("apigateway", "UpdateMethod")
def update_method(world: World, call: Call) -> Any:
    if call.params["restApiId"] not in apigateway_backends[ACCOUNT][call.region].apis:
        raise not_found("Invalid Resource identifier specified")
    api = api_of(call)
    method = method_of(call, resource_of(call, api))
    # Applied to a copy, so that either all operations succeed or nothing changes.
    changed = {
        "authorization_type": method.authorization_type,
        "authorizer_id": method.authorizer_id,
        "authorization_scopes": list(method.authorization_scopes or []),
        "api_key_required": method.api_key_required,
        "operation_name": method.operation_name,
        "request_validator_id": method.request_validator_id,
        "request_parameters": dict(method.request_parameters or {}),
        "request_models": dict(method.request_models or {}),
    }
    before = copy.deepcopy(changed)
    patched = set()
    for patch in call.get("patchOperations", []):
        _patch_method(changed, patch)
        patched.add(patch["path"])
    if changed["authorization_type"] in ("CUSTOM", "COGNITO_USER_POOLS"):
        # AWS requires the authorizer in the same call that sets the type (validated by LocalStack against AWS).
        if "/authorizationType" in patched and "/authorizerId" not in patched:
            changed["authorizer_id"] = None
    else:
        changed["authorizer_id"] = None  # AWS ignores an authorizer without such a type
    check_authorization(api, changed["authorization_type"], changed["authorizer_id"])
    scoped = "/authorizationScopes" in patched and changed["authorization_scopes"]
    if scoped and changed["authorization_type"] != "COGNITO_USER_POOLS":
        raise bad_request("Authorization scopes are only supported for authorization type COGNITO_USER_POOLS")
    validator = changed["request_validator_id"]
    if "/requestValidatorId" in patched and validator and validator not in api.request_validators:
        raise bad_request("Invalid Request Validator identifier specified")
    for name, value in changed.items():
        if value != before[name]:
            setattr(method, name, value or (None if name != "api_key_required" else False))
    return method_json(method)


_REPLACEABLE = {
    "/authorizationType": "authorization_type",
    "/authorizerId": "authorizer_id",
    "/operationName": "operation_name",
    "/requestValidatorId": "request_validator_id",
}


def _patch_method(changed: dict[str, Any], patch: dict[str, Any]) -> None:
    kind, path, value = patch.get("op"), patch.get("path", ""), patch.get("value")
    if path in _REPLACEABLE and kind == "replace":
        changed[_REPLACEABLE[path]] = value or None
    elif path == "/apiKeyRequired" and kind == "replace":
        changed["api_key_required"] = str(value).lower() == "true"
    elif path == "/authorizationScopes" and kind in ("add", "remove") and value:
        scopes = changed["authorization_scopes"]
        if kind == "add" and value not in scopes:
            scopes.append(value)
        if kind == "remove":
            if value not in scopes:
                raise bad_request(f"Invalid authorization scope specified: {value}")
            scopes.remove(value)
    elif path.startswith(("/requestParameters/", "/requestModels/")) and kind in ("add", "replace", "remove"):
        group = "request_parameters" if path.startswith("/requestParameters/") else "request_models"
        name = path.split("/", 2)[2].replace("~1", "/").replace("~0", "~")
        if kind == "remove":
            changed[group].pop(name, None)
        else:
            changed[group][name] = value == "true" if group == "request_parameters" else value
    elif path in _REPLACEABLE or path == "/apiKeyRequired":
        raise bad_request("Invalid patch operation specified. Must be one of: [replace]")
    else:
        raise bad_request(f"Invalid patch path {path}")


@operation("apigateway", "UpdateModel")
def update_model(world: World, call: Call) -> Any:
    api, name = api_of(call), call.params["modelName"]
    model = api.models.get(name)
    if model is None:
        raise AwsError("NotFoundException", f"Invalid model name specified: {name}", 404)
    changed = {}
    for patch in call.get("patchOperations", []):
        path = patch.get("path")
        if patch.get("op") != "replace" or path not in ("/schema", "/description"):
            raise bad_request(f"Invalid patch path {path}")
        changed[path[1:]] = patch.get("value", "")
    for attribute, value in changed.items():
        setattr(model, attribute, value)
    return model.to_json()


# --- authorizers


# The URI by which API Gateway invokes a function.
INVOCATION = re.compile(
    rf"arn:{PARTITIONS}:apigateway:[a-z0-9-]+:lambda:path/2015-03-31/functions/"
    rf"arn:{PARTITIONS}:lambda:[a-z0-9-]+:\d{{12}}:function:[A-Za-z0-9-_]+(:[A-Za-z0-9-_$]+)?/invocations"
)
_SOURCE = re.compile(
    r"(method\.request\.(header|querystring)\.[A-Za-z0-9._$-]+|(context|stageVariables)\.[A-Za-z0-9._]+)"
)


def check_authorizer(api: RestAPI, wanted: Authorizer) -> None:
    if any(other.name == wanted.name and other.id != wanted.id for other in api.authorizers.values()):
        raise bad_request(f"Authorizer name must be unique. Authorizer {wanted.name} already exists in this RestApi.")
    ttl = wanted.authorizer_result_ttl
    if ttl is not None and not 0 <= ttl <= 3600:
        raise bad_request("Authorizer result TTL must be between 0 and 3600 seconds")
    if wanted.type == "COGNITO_USER_POOLS":
        return
    if not INVOCATION.fullmatch(wanted.authorizer_uri or ""):
        raise bad_request(
            f"Invalid Authorizer URI: {wanted.authorizer_uri}. Authorizer URI should be a valid API Gateway ARN "
            "that represents a Lambda function invocation."
        )
    sources = [part.strip() for part in (wanted.identity_source or "").split(",") if part.strip()]
    if wanted.type == "TOKEN" and len(sources) != 1:
        raise bad_request("Identity source must be specified for a TOKEN authorizer")
    if wanted.type == "REQUEST" and not sources and ttl != 0:
        raise bad_request("Identity source must be specified when authorizer result TTL is greater than 0")
    for source in sources:
        if not _SOURCE.fullmatch(source):
            raise bad_request(f"Invalid identity source specified: {source}")


@operation("apigateway", "CreateAuthorizer")
def create_authorizer(world: World, call: Call) -> Any:
    from moto.apigateway.utils import create_id

    if call.params["restApiId"] not in apigateway_backends[ACCOUNT][call.region].apis:
        # So AWS says it here.
        raise conflict(CONCURRENT)
    api = api_of(call)
    if len(api.authorizers) >= 10:
        raise AwsError("LimitExceededException", "Maximum number of Authorizers for this API has been reached.", 429)
    authorizer = Authorizer(
        create_id()[:6],
        call.params.get("name"),
        call.params.get("type"),
        provider_arns=call.get("providerARNs"),
        auth_type=call.get("authType", "custom" if call.get("type") != "COGNITO_USER_POOLS" else "cognito_user_pools"),
        authorizer_uri=call.get("authorizerUri"),
        authorizer_credentials=call.get("authorizerCredentials"),
        identity_source=call.get("identitySource"),
        identity_validation_expression=call.get("identityValidationExpression"),
        authorizer_result_ttl=call.get("authorizerResultTtlInSeconds", 300),
    )
    check_authorizer(api, authorizer)
    api.authorizers[authorizer.id] = authorizer
    return authorizer.to_json()


def authorizer_of(call: Call, api: RestAPI) -> Authorizer:
    authorizer = api.authorizers.get(call.params["authorizerId"])
    if authorizer is None:
        raise not_found("Invalid Authorizer identifier specified")
    return authorizer


@operation("apigateway", "GetAuthorizer")
def get_authorizer(world: World, call: Call) -> Any:
    return authorizer_of(call, api_of(call)).to_json()


@operation("apigateway", "GetAuthorizers")
def get_authorizers(world: World, call: Call) -> Any:
    return page(world, call, [authorizer.to_json() for authorizer in api_of(call).authorizers.values()])


_AUTHORIZER_FIELDS = {
    "/name": "name",
    "/type": "type",
    "/authType": "auth_type",
    "/authorizerUri": "authorizer_uri",
    "/authorizerCredentials": "authorizer_credentials",
    "/identitySource": "identity_source",
    "/identityValidationExpression": "identity_validation_expression",
    "/authorizerResultTtlInSeconds": "authorizer_result_ttl",
}


@operation("apigateway", "UpdateAuthorizer")
def update_authorizer(world: World, call: Call) -> Any:
    api = api_of(call)
    authorizer = authorizer_of(call, api)
    before = dict(authorizer.__dict__)
    try:
        for patch in call.get("patchOperations", []):
            path = patch.get("path", "")
            if patch.get("op") != "replace" or path not in _AUTHORIZER_FIELDS:
                raise bad_request(f"Invalid patch path  '{path}' specified for op '{patch.get('op')}'")
            value = patch.get("value")
            if path == "/authorizerResultTtlInSeconds":
                if not str(value).isdigit():
                    raise bad_request("Authorizer result TTL must be a number")
                value = int(value)
            setattr(authorizer, _AUTHORIZER_FIELDS[path], value)
        check_authorizer(api, authorizer)
    except AwsError:
        authorizer.__dict__.update(before)
        raise
    return authorizer.to_json()


@operation("apigateway", "DeleteAuthorizer")
def delete_authorizer(world: World, call: Call) -> Any:
    api = api_of(call)
    authorizer = authorizer_of(call, api)
    for resource in api.resources.values():
        for verb, method in resource.resource_methods.items():
            if method.authorizer_id == authorizer.id:
                used = f"{verb}/{resource.get_path()}"
                raise conflict(f"Cannot delete authorizer '{authorizer.name}', is referenced in method: {used}")
    del api.authorizers[authorizer.id]
    return {}
