"""API Gateway (REST): integrations, with the members and defaults that moto omits."""

from __future__ import annotations

from typing import Any

from moto.apigateway.models import Integration

from .api_json import integration_json, integration_response_json
from .apigateway import api_of, bad_request, method_of, not_found, resource_of
from .gateway import operation
from .wire import Call
from .account_state import World


@operation("apigateway", "PutIntegration")
def put_integration(world: World, call: Call) -> Any:
    resource = resource_of(call, api_of(call))
    method = method_of(call, resource)
    timeout = call.get("timeoutInMillis", 29_000)
    if timeout < 50:
        raise bad_request("Timeout should be between 50 ms and 29000 ms")
    if call.get("connectionType") == "VPC_LINK" and not call.get("connectionId"):
        raise bad_request("Connection Id must be specified for VPC_LINK connection type")
    call.result()
    integration = method.method_integration
    integration.passthrough_behaviour = call.get("passthroughBehavior", "WHEN_NO_MATCH")
    integration.timeout_in_millis = timeout
    integration.cache_namespace = call.get("cacheNamespace", resource.id)
    integration.cache_key_parameters = list(call.get("cacheKeyParameters", []))
    integration.connection_id = call.get("connectionId")
    if integration.connection_type is None and call.params["type"] in ("HTTP", "HTTP_PROXY"):
        integration.connection_type = "INTERNET"
    integration.response_transfer_mode = call.get("responseTransferMode")
    return integration_json(integration)


@operation("apigateway", "PutIntegrationResponse")
def put_integration_response(world: World, call: Call) -> Any:
    integration = _integration_of(call)
    response = integration.create_integration_response(
        call.params["statusCode"],
        call.get("selectionPattern"),
        dict(call.get("responseTemplates", {})),
        call.get("responseParameters"),
        call.get("contentHandling"),
    )
    found = integration_response_json(response.to_json())
    if "selectionPattern" in call.params:
        found["selectionPattern"] = call.params["selectionPattern"]
    return found


def _integration_of(call: Call) -> Integration:
    integration = method_of(call, resource_of(call, api_of(call))).method_integration
    if integration is None:
        raise not_found("Invalid Integration identifier specified")
    return integration


@operation("apigateway", "GetIntegration")
def get_integration(world: World, call: Call) -> Any:
    return integration_json(_integration_of(call))


_REPLACEABLE = {
    "/uri": "uri",
    "/httpMethod": "http_method",
    "/credentials": "credentials",
    "/passthroughBehavior": "passthrough_behaviour",
    "/contentHandling": "content_handling",
    "/cacheNamespace": "cache_namespace",
    "/timeoutInMillis": "timeout_in_millis",
    "/connectionType": "connection_type",
    "/connectionId": "connection_id",
    "/responseTransferMode": "response_transfer_mode",
}


@operation("apigateway", "UpdateIntegration")
def update_integration(world: World, call: Call) -> Any:
    integration = _integration_of(call)
    for patch in call.get("patchOperations", []):
        kind, path, value = patch.get("op"), patch.get("path", ""), patch.get("value")
        group, _, name = path.removeprefix("/").partition("/")
        if path in _REPLACEABLE and kind == "replace":
            setattr(integration, _REPLACEABLE[path], int(value) if path == "/timeoutInMillis" else value)
        elif group in ("requestTemplates", "requestParameters") and name and kind in ("add", "replace", "remove"):
            attribute = "request_templates" if group == "requestTemplates" else "request_parameters"
            values = dict(getattr(integration, attribute) or {})
            key = name.replace("~1", "/").replace("~0", "~")
            if kind == "remove":
                values.pop(key, None)
            else:
                values[key] = value
            setattr(integration, attribute, values)
        else:
            raise bad_request(f"Invalid patch path {path}")
    return integration_json(integration)
