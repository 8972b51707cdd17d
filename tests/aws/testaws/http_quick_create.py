"""API Gateway v2: what quick create makes with an API: a managed integration, route and stage."""

from __future__ import annotations

from typing import Any

from moto.apigateway.utils import create_id

from .account_state import World
from .http_apis import HttpApi, changed, date
from .wire import Call


def quick_create(world: World, api: HttpApi, call: Call) -> None:
    """CreateApi with a target: an integration, a route to it (`$default` without a route key), and the stage
    `$default`, which deploys automatically. All three are managed by API Gateway."""
    target: str = call.params["Target"]
    is_function = target.startswith("arn:")
    integration: dict[str, Any] = {
        "ApiGatewayManaged": True,
        "ConnectionType": "INTERNET",
        "IntegrationId": create_id()[:7],
        "IntegrationMethod": "POST" if is_function else "ANY",
        "IntegrationType": "AWS_PROXY" if is_function else "HTTP_PROXY",
        "IntegrationUri": target,
        "PayloadFormatVersion": "2.0" if is_function else "1.0",
        "TimeoutInMillis": 30_000,
    }
    if call.get("CredentialsArn"):
        integration["CredentialsArn"] = call.params["CredentialsArn"]
    route = {
        "ApiGatewayManaged": True,
        "ApiKeyRequired": False,
        "AuthorizationType": "NONE",
        "RouteId": create_id()[:7],
        "RouteKey": call.get("RouteKey", "$default"),
        "Target": f"integrations/{integration['IntegrationId']}",
    }
    api.integrations[integration["IntegrationId"]] = integration
    api.routes[route["RouteId"]] = route
    api.stages["$default"] = {
        "ApiGatewayManaged": True,
        "AutoDeploy": True,
        "CreatedDate": date(world),
        "DefaultRouteSettings": {"DetailedMetricsEnabled": False},
        "LastUpdatedDate": date(world),
        "RouteSettings": {},
        "StageName": "$default",
        "StageVariables": {},
        "Tags": {},
    }
    changed(world, api)
