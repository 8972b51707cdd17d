"""API Gateway v2: the OpenAPI export of an HTTP API: of its draft, or of what a stage serves.

The form follows the guide ("Exporting an HTTP API", "OpenAPI extensions") and exports that others have published, which
the comments name by repository.
"""

from __future__ import annotations

import json
import re
from typing import Any

from .account_state import World
from .apigateway import bad_request
from .errors import Unimplemented
from .gateway import operation
from .http_apis import SERVICE, HttpApi, api_of, snapshot_of
from .http_stages import stage_of
from .wire import Call, Response, dns_suffix

PREFIX = "x-amazon-apigateway"

# Members of an integration, with their names in the extension and in its order.
_INTEGRATION = {
    "RequestParameters": "requestParameters",
    "ResponseParameters": "responseParameters",
    "PayloadFormatVersion": "payloadFormatVersion",
    "ConnectionId": "connectionId",
    "CredentialsArn": "credentials",
    "IntegrationType": "type",
    "IntegrationSubtype": "subtype",
    "IntegrationMethod": "httpMethod",
    "IntegrationUri": "uri",
    "ConnectionType": "connectionType",
    "TimeoutInMillis": "timeoutInMillis",
    "TlsConfig": "tlsConfig",
}

_DEFAULT_TIMEOUT = 30_000


@operation(SERVICE, "ExportApi")
def export_api(world: World, call: Call) -> Any:
    api = api_of(world, call)
    if not api.is_http:
        raise bad_request("Exports are only supported for HTTP protocol type")
    if call.params["Specification"] != "OAS30":
        raise bad_request(f"Invalid specification {call.params['Specification']}. Must be OAS30")
    if call.params["OutputType"] == "YAML":
        raise Unimplemented("apigatewayv2:ExportApi as YAML")
    if call.get("ExportVersion", "1.0") != "1.0":
        raise bad_request("Invalid export version. Must be 1.0")
    stage, snapshot = None, snapshot_of(api)
    if "StageName" in call.params:
        stage = stage_of(call, api)
        if "DeploymentId" not in stage:
            raise bad_request(f"Stage {stage['StageName']} has no deployment")
        snapshot = api.deployments[stage["DeploymentId"]].snapshot
    extended = call.get("IncludeExtensions", True)
    export = _Export(api, snapshot, extended, world.config["export_adds"])
    if world.config["http_api"]["exported_authorizers"] == "all":
        export.add_schemes()
    document = export.document(stage)
    return Response(200, {"Content-Type": "application/json"}, json.dumps(document, indent=2).encode())


class _Export:
    def __init__(self, api: HttpApi, snapshot: dict[str, Any], extended: bool, adds: dict[str, Any]) -> None:
        self.api = api
        self.snapshot = snapshot
        self.settings = snapshot["settings"]
        self.extended = extended
        self.adds = adds
        self.schemes: dict[str, Any] = {}

    def add_schemes(self) -> None:
        """Also those of authorizers that no route uses. Whether AWS exports them is not known."""
        for authorizer in self.snapshot["authorizers"].values():
            self.schemes[authorizer["Name"]] = self._scheme(authorizer)

    def document(self, stage: dict[str, Any] | None) -> dict[str, Any]:
        """As in published exports: without a version of its own, the date; a draft has no servers
        (wenqiglantz/reusable-workflows-modules), a stage has (APIs Documentation of usavkov-epam)."""
        version = self.settings.get("Version") or f"{self.api.shown['CreatedDate']:%Y-%m-%d %H:%M:%SUTC}"
        info = {"title": self.settings["Name"], "version": version}
        if self.api.shown.get("Description"):
            info["description"] = self.api.shown["Description"]
        found: dict[str, Any] = {"openapi": "3.0.1", "info": info}
        if stage is not None:
            found["servers"] = [self._server(stage["StageName"])]
        if self.api.shown.get("Tags"):
            tags = self.api.shown["Tags"].items()
            found["tags"] = [{"name": key, f"{PREFIX}-tag-value": value} for key, value in tags]
        found["paths"] = self._paths()
        if self.schemes:
            found["components"] = {"securitySchemes": self.schemes}
        if self.extended:
            cors = self.settings.get("CorsConfiguration")
            if cors:
                # sevendollar/wbus: allowMethods, allowHeaders, exposeHeaders, maxAge, allowCredentials, allowOrigins.
                found[f"{PREFIX}-cors"] = {_lower(name): value for name, value in cors.items()}
            found[f"{PREFIX}-importexport-version"] = "1.0"
            found |= self.adds.get("document", {})
        return found

    def _server(self, stage: str) -> dict[str, Any]:
        host = f"{self.api.id}.execute-api.{self.api.region}.{dns_suffix(self.api.region)}"
        base = "" if stage == "$default" else stage
        server: dict[str, Any] = {
            "url": f"https://{host}/{{basePath}}",
            "variables": {"basePath": {"default": base}},
        }
        if self.settings.get("DisableExecuteApiEndpoint") and self.extended:
            server[f"{PREFIX}-endpoint-configuration"] = {"disableExecuteApiEndpoint": True}
        return server

    def _paths(self) -> dict[str, Any]:
        paths: dict[str, Any] = {}
        for route in sorted(self.snapshot["routes"].values(), key=lambda route: route["RouteKey"]):
            key = route["RouteKey"]
            verb, _, template = ("ANY", "", "/$default") if key == "$default" else key.partition(" ")
            name = f"{PREFIX}-any-method" if verb == "ANY" else verb.lower()
            paths.setdefault(template, {})[name] = self._operation(route)
        for template, path in paths.items():
            names = re.findall(r"\{([^}]+)\}", template)
            if names:
                path["parameters"] = [_parameter(name) for name in names]
        return dict(sorted(paths.items()))

    def _operation(self, route: dict[str, Any]) -> dict[str, Any]:
        key = route["RouteKey"]
        found: dict[str, Any] = {}
        if key == "$default":
            # aws-controllers-k8s: /$default with this member, and without responses.
            found["isDefaultRoute"] = True
        else:
            found["responses"] = {"default": {"description": f"Default response for {key}"}}
        if route.get("OperationName"):
            found["operationId"] = route["OperationName"]
        security = self._security(route)
        if security:
            found["security"] = [security]
        integration = self.snapshot["integrations"].get(route.get("Target", "").removeprefix("integrations/"))
        if integration and self.extended:
            found[f"{PREFIX}-integration"] = _integration(integration)
        if self.extended and key in self.adds.get("methods", [key]):
            found |= self.adds.get("method", {})
            found.get(f"{PREFIX}-integration", {}).update(self.adds.get("integration", {}))
        return found

    def _security(self, route: dict[str, Any]) -> dict[str, list[str]] | None:
        if route["AuthorizationType"] == "AWS_IAM":
            # Guide, "x-amazon-apigateway-authtype": for HTTP APIs and REST APIs.
            self.schemes["sigv4"] = {
                "type": "apiKey",
                "name": "Authorization",
                "in": "header",
                f"{PREFIX}-authtype": "awsSigv4",
            }
            return {"sigv4": []}
        authorizer = self.snapshot["authorizers"].get(route.get("AuthorizerId"))
        if authorizer is None:
            return None
        self.schemes[authorizer["Name"]] = self._scheme(authorizer)
        return {authorizer["Name"]: list(route.get("AuthorizationScopes", []))}

    def _scheme(self, authorizer: dict[str, Any]) -> dict[str, Any]:
        """Guide, "x-amazon-apigateway-authorizer", "Authorizer examples for HTTP APIs"."""
        sources = authorizer.get("IdentitySource", [])
        extension: dict[str, Any] = {}
        if sources:
            extension["identitySource"] = ",".join(sources)
        if authorizer["AuthorizerType"] == "JWT":
            found: dict[str, Any] = {"type": "oauth2"}
            configuration = authorizer["JwtConfiguration"]
            extension["jwtConfiguration"] = {_lower(name): value for name, value in configuration.items()}
        else:
            place, name = "header", "Unused"
            if len(sources) == 1 and sources[0].startswith("$request."):
                place, name = sources[0].removeprefix("$request.").split(".", 1)
            place = {"querystring": "query"}.get(place, place)
            found = {"type": "apiKey", "name": name, "in": place}
            for member in (
                "AuthorizerUri",
                "AuthorizerCredentialsArn",
                "AuthorizerPayloadFormatVersion",
                "AuthorizerResultTtlInSeconds",
            ):
                if member in authorizer:
                    extension[_lower(member.removesuffix("Arn"))] = authorizer[member]
            extension["enableSimpleResponses"] = authorizer.get("EnableSimpleResponses", False)
        extension["type"] = authorizer["AuthorizerType"].lower()
        if self.extended:
            found[f"{PREFIX}-authorizer"] = extension | self.adds.get("authorizer", {})
        return found


def _lower(name: str) -> str:
    return name[0].lower() + name[1:]


def _parameter(name: str) -> dict[str, Any]:
    """A path's parameter, with the text of the published exports. The name of a greedy one has its plus sign."""
    return {
        "name": name,
        "in": "path",
        "description": f"Generated path parameter for {name}",
        "required": True,
        "schema": {"type": "string"},
    }


def _integration(integration: dict[str, Any]) -> dict[str, Any]:
    found = {theirs: integration[ours] for ours, theirs in _INTEGRATION.items() if ours in integration}
    found["type"] = found["type"].lower()
    if found.get("timeoutInMillis") == _DEFAULT_TIMEOUT:
        del found["timeoutInMillis"]
    return found
