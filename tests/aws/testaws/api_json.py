"""The API Gateway representation of methods, integrations, and APIs: moto's objects plus the members that moto omits.

The only nulls are those that AWS also returns: a template with empty text is null in its map.
"""

from __future__ import annotations

import json
from typing import Any

from moto.apigateway.models import Integration, Method, RestAPI


_TEMPLATES = ("requestTemplates", "responseTemplates")


def clean(value: Any) -> Any:
    """Removes the nulls of moto for members that AWS omits, and adds the nulls of AWS for empty templates."""
    if not isinstance(value, dict):
        return value
    return {
        name: {kind: text or None for kind, text in found.items()} if name in _TEMPLATES else clean(found)
        for name, found in value.items()
        if found is not None
    }


def without_empty(found: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in found.items() if value or name not in names}


def integration_json(integration: Integration) -> dict[str, Any]:
    found = clean(integration.to_json())
    found["connectionId"] = getattr(integration, "connection_id", None)
    found["integrationResponses"] = {
        status: integration_response_json(response)
        for status, response in sorted(found.get("integrationResponses", {}).items())
    }
    found["responseTransferMode"] = getattr(integration, "response_transfer_mode", None)
    return without_empty(found, "connectionId", "responseTransferMode", "integrationResponses", "tlsConfig")


def integration_response_json(response: dict[str, Any]) -> dict[str, Any]:
    return without_empty(clean(response), "responseTemplates", "responseParameters")


def method_json(method: Method) -> dict[str, Any]:
    found = clean(method.to_json())
    if method.method_integration is not None:
        found["methodIntegration"] = integration_json(method.method_integration)
    found["methodResponses"] = {
        status: response for status, response in sorted(found.get("methodResponses", {}).items())
    }
    return without_empty(found, "authorizationScopes", "methodResponses")


def api_json(api: RestAPI) -> dict[str, Any]:
    found = clean(api.to_dict())
    if found.get("version") == "V1":  # moto's default if no version is given
        del found["version"]
    return without_empty(found, "binaryMediaTypes", "description")


def shown(api: RestAPI) -> dict[str, Any]:
    """The same as an answer has it: the policy's quotes are escaped once more."""
    found = api_json(api)
    found["endpointConfiguration"] = {**found["endpointConfiguration"], "ipAddressType": _address_type(api)}
    if found.get("policy"):
        found["policy"] = json.dumps(found["policy"])[1:-1]
    return found


def _address_type(api: RestAPI) -> str:
    """The default one: an API that only a VPC reaches has both."""
    kind = "dualstack" if "PRIVATE" in api.endpoint_configuration.get("types", []) else "ipv4"
    return api.endpoint_configuration.get("ipAddressType", kind)


def shown_alone(api: RestAPI) -> dict[str, Any]:
    """Unlike a listing, an answer about one API has no tags where it has none."""
    return without_empty(shown(api), "tags")
