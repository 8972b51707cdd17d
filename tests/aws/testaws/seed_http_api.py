"""An HTTP API or a WebSocket API as created by its team: routes, integrations, authorizers, stages, and later edits."""

from __future__ import annotations

from typing import Any

from .account_state import World
from .client_calls import call
from .seed_api import invocation
from .wire import arn

# Members of a seeded API that are parameters of CreateApi, with the names of the parameters.
_ATTRIBUTES = {
    "description": "Description",
    "disable_execute_api_endpoint": "DisableExecuteApiEndpoint",
    "tags": "Tags",
    "version": "Version",
}

_ROUTE = {"api_key_required": "ApiKeyRequired", "operation_name": "OperationName", "scopes": "AuthorizationScopes"}

_STAGE = {
    "access_log_settings": "AccessLogSettings",
    "default_route_settings": "DefaultRouteSettings",
    "description": "Description",
    "route_settings": "RouteSettings",
    "tags": "Tags",
    "variables": "StageVariables",
}


def seed_http_api(world: World, wanted: dict[str, Any], region: str) -> dict[str, Any]:
    """Creates an API of version 2, immediately and regardless of configured delays, and returns what it created. Raises
    `CallFailed` if API Gateway refuses a call."""
    with world.lock:
        before = {name: world.config[name] for name in ("delay", "deployment_lag", "outcomes")}
        world.config.update(delay=0, deployment_lag=0, outcomes={})
        try:
            return _Seed(world, wanted, region).build()
        finally:
            world.config.update(before)


def _named(wanted: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    return {theirs: wanted[ours] for ours, theirs in names.items() if wanted.get(ours) is not None}


class _Seed:
    def __init__(self, world: World, wanted: dict[str, Any], region: str) -> None:
        self.world = world
        self.wanted = wanted
        self.region = region
        self.is_http = wanted["protocol"] == "HTTP"
        self.routes: dict[str, str] = {}
        self.integrations: dict[str, str] = {}
        self.authorizers: dict[str, str] = {}
        self.api: dict[str, str] = {}

    def ask(self, operation: str, **parameters: Any) -> dict[str, Any]:
        return call(self.world, "apigatewayv2", operation, {**self.api, **parameters}, self.region)

    def build(self) -> dict[str, Any]:
        wanted = self.wanted
        parameters = _named(wanted, _ATTRIBUTES)
        if wanted.get("cors"):
            parameters["CorsConfiguration"] = wanted["cors"]
        if not self.is_http:
            parameters["RouteSelectionExpression"] = "$request.body.action"
        if wanted.get("quick_create"):
            parameters["Target"] = self.function("backend")
        made = self.ask("CreateApi", Name=wanted["name"], ProtocolType=wanted["protocol"], **parameters)
        self.api = {"ApiId": made["ApiId"]}
        if wanted.get("quick_create"):
            (route,) = self.ask("GetRoutes")["Items"]
            self.routes[route["RouteKey"]] = route["RouteId"]
            self.integrations[route["RouteKey"]] = route["Target"].removeprefix("integrations/")
        for route in wanted.get("routes", []):
            self.route(route)
        found = {"api_id": made["ApiId"], "endpoint": made["ApiEndpoint"], **self.stages()}
        found |= {"authorizers": self.authorizers, "integrations": self.integrations, "routes": self.routes}
        for edit in wanted.get("pending", []):
            self.pending(edit)
        return found

    def function(self, name: str) -> str:
        return arn("lambda", self.region, f"function:{name}")

    # --- parts of the draft

    def route(self, route: dict[str, Any]) -> None:
        key = route["key"]
        if key in self.routes:  # the one of quick create
            self.ask("UpdateRoute", RouteId=self.routes[key], **self.authorization(route))
            return
        parameters = {**_named(route, _ROUTE), **self.authorization(route)}
        target = route.get("target", True)
        if route.get("target_of"):
            self.integrations[key] = self.integrations[route["target_of"]]
            parameters["Target"] = f"integrations/{self.integrations[key]}"
        elif target:
            self.integrations[key] = self.integration(target)
            parameters["Target"] = f"integrations/{self.integrations[key]}"
        self.routes[key] = self.ask("CreateRoute", RouteKey=key, **parameters)["RouteId"]

    def integration(self, target: Any) -> str:
        """`target`: true, the name of a function, an address, or the parameters of CreateIntegration."""
        if isinstance(target, str) and "://" in target:
            target = {"IntegrationType": "HTTP_PROXY", "IntegrationMethod": "ANY", "IntegrationUri": target}
        if not isinstance(target, dict):
            uri = self.function(target if isinstance(target, str) else "backend")
            target = {"IntegrationType": "AWS_PROXY", "IntegrationUri": uri}
            target |= {"PayloadFormatVersion": "2.0"} if self.is_http else {}
        return self.ask("CreateIntegration", **target)["IntegrationId"]

    def authorization(self, route: dict[str, Any]) -> dict[str, Any]:
        kind = route.get("authorization") or ("CUSTOM" if route.get("authorizer") else "NONE")
        found = {"AuthorizationType": kind}
        if route.get("authorizer"):
            found["AuthorizerId"] = self.authorizer(route["authorizer"], kind)
        return found

    def authorizer(self, name: str, kind: str) -> str:
        if name not in self.authorizers:
            header = "$request.header.Authorization" if self.is_http else "route.request.header.Authorization"
            parameters: dict[str, Any] = {"IdentitySource": [header]}
            if kind == "JWT":
                parameters["AuthorizerType"] = "JWT"
                parameters["JwtConfiguration"] = {"Issuer": "https://issuer.example.com", "Audience": ["orders"]}
            else:
                parameters["AuthorizerType"] = "REQUEST"
                parameters["AuthorizerUri"] = invocation(self.region, self.function(name))
            if kind != "JWT" and self.is_http:
                parameters |= {"AuthorizerPayloadFormatVersion": "2.0", "AuthorizerResultTtlInSeconds": 300}
                parameters["EnableSimpleResponses"] = True
            parameters |= self.wanted.get("authorizers", {}).get(name, {})
            parameters = {member: value for member, value in parameters.items() if value is not None}
            self.authorizers[name] = self.ask("CreateAuthorizer", Name=name, **parameters)["AuthorizerId"]
        return self.authorizers[name]

    # --- stages

    def stages(self) -> dict[str, Any]:
        if self.wanted.get("quick_create"):
            (stage,) = self.ask("GetStages")["Items"]
            return {"stage": "$default", "deployment_id": stage["DeploymentId"]}
        wanted = self.wanted.get("stages", [{"name": "prod"}])
        deployment = None
        if self.routes and any(not stage.get("auto_deploy") for stage in wanted):
            deployment = self.ask("CreateDeployment", Description="first release")["DeploymentId"]
        deployments = {}
        for stage in wanted:
            parameters = _named(stage, _STAGE)
            if stage.get("auto_deploy"):
                parameters["AutoDeploy"] = True
            elif deployment:
                parameters["DeploymentId"] = deployment
            made = self.ask("CreateStage", StageName=stage["name"], **parameters)
            deployments[stage["name"]] = made.get("DeploymentId")
        first = wanted[0]["name"] if wanted else None
        return {"stage": first, "deployment_id": deployments.get(first), "deployments": deployments}

    # --- after the deployment

    def pending(self, edit: dict[str, Any]) -> None:
        """Makes one edit to the draft."""
        if "key" in edit:
            self.route(edit)
        elif "remove" in edit:
            self.ask("DeleteRoute", RouteId=self.routes.pop(edit["remove"]))
        elif "change" in edit:
            parameters = {**_named(edit, _ROUTE), **edit.get("to", {})}
            if "authorization" in edit or "authorizer" in edit:
                parameters |= self.authorization(edit)
            self.ask("UpdateRoute", RouteId=self.routes[edit["change"]], **parameters)
        elif "cors" in edit:
            if edit["cors"] is None:
                self.ask("DeleteCorsConfiguration")
            else:
                self.ask("UpdateApi", CorsConfiguration=edit["cors"])
        elif "settings" in edit:
            self.ask("UpdateApi", **edit["settings"])
        elif "update_authorizer" in edit:
            self.ask("UpdateAuthorizer", AuthorizerId=self.authorizers[edit["update_authorizer"]], **edit["to"])
        elif "integration" in edit:
            self.ask("UpdateIntegration", IntegrationId=self.integrations[edit["integration"]], **edit["to"])
        else:
            raise ValueError(f"no such pending edit: {sorted(edit)}")
