"""The API Gateway representation of methods, integrations, and APIs: moto's objects plus the members that moto omits.

The only nulls are those that AWS also returns: a template with empty text is null in its map.
"""

from __future__ import annotations

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
        status: without_empty(response, "responseTemplates", "responseParameters")
        for status, response in sorted(found.get("integrationResponses", {}).items())
    }
    return without_empty(
        found, "connectionId", "integrationResponses", "requestTemplates", "requestParameters", "tlsConfig"
    )


def method_json(method: Method) -> dict[str, Any]:
    found = clean(method.to_json())
    if method.method_integration is not None:
        found["methodIntegration"] = integration_json(method.method_integration)
    found["methodResponses"] = {
        status: without_empty(response, "responseModels", "responseParameters")
        for status, response in sorted(found.get("methodResponses", {}).items())
    }
    return without_empty(found, "authorizationScopes", "methodResponses", "requestParameters", "requestModels")


def api_json(api: RestAPI) -> dict[str, Any]:
    found = clean(api.to_dict())
    if found.get("version") == "V1":  # moto's default if no version is given
        del found["version"]
    return without_empty(found, "binaryMediaTypes", "description")
