"""An API as created by its team: resources, methods, integrations, settings, a stage, and undeployed edits."""

from __future__ import annotations

import json
from typing import Any

from moto.apigateway.models import apigateway_backends

from .client_calls import call
from .wire import ACCOUNT, arn
from .account_state import World

# Members of a seeded API that are parameters of CreateRestApi, with the names of the parameters.
_ATTRIBUTES = {
    "binary_media_types": "binaryMediaTypes",
    "minimum_compression_size": "minimumCompressionSize",
    "api_key_source": "apiKeySource",
    "disable_execute_api_endpoint": "disableExecuteApiEndpoint",
    "tags": "tags",
}

_THROTTLING = {
    "/*/*/throttling/rateLimit": "50",
    "/*/*/throttling/burstLimit": "100",
    "/*/*/metrics/enabled": "true",
}


def invocation(region: str, function: str) -> str:
    """The URI by which API Gateway invokes a function."""
    return arn("apigateway", region, f"path/2015-03-31/functions/{function}/invocations", account="lambda")


def seed_api(world: World, wanted: dict[str, Any], region: str) -> dict[str, Any]:
    """Creates a REST API and returns what it created. Raises `CallFailed` if API Gateway refuses a call."""
    return _Seed(world, wanted, region).build()


class _Seed:
    def __init__(self, world: World, wanted: dict[str, Any], region: str) -> None:
        self.world = world
        self.wanted = wanted
        self.region = region
        self.stage = wanted["stage"]
        self.resources: dict[str, str] = {}
        self.authorizers: dict[str, str] = {}
        self.validators: dict[str, str] = {}
        self.methods: list[dict[str, Any]] = []
        self.api = ""

    def ask(self, operation: str, **parameters: Any) -> dict[str, Any]:
        return call(self.world, "apigateway", operation, parameters, self.region)

    def build(self) -> dict[str, Any]:
        wanted = self.wanted
        self.api = self.ask(
            "CreateRestApi",
            name=wanted["name"],
            description=wanted.get("description", f"{wanted['name']}, as its team made it"),
            endpointConfiguration={"types": [wanted.get("endpoint_type", "REGIONAL")]},
            **{theirs: wanted[ours] for ours, theirs in _ATTRIBUTES.items() if wanted.get(ours) is not None},
            **({"policy": json.dumps(wanted["policy"])} if wanted.get("policy") else {}),
        )["id"]
        root = self.ask("GetResources", restApiId=self.api)["items"][0]["id"]
        self.resources = {"/": root}
        for model in wanted.get("models", []):
            self.ask(
                "CreateModel",
                restApiId=self.api,
                name=model["name"],
                contentType=model.get("content_type", "application/json"),
                description=model.get("description", ""),
                schema=json.dumps(model.get("schema", {"type": "object"})),
            )
        for validator in wanted.get("request_validators", []):
            self.validators[validator["name"]] = self.ask(
                "CreateRequestValidator",
                restApiId=self.api,
                name=validator["name"],
                validateRequestBody=bool(validator.get("body")),
                validateRequestParameters=bool(validator.get("parameters")),
            )["id"]
        self.gateway_responses(wanted.get("gateway_responses", {}))
        for method in wanted["methods"]:
            self.methods.append(self.method(method))
        found = {
            "api_id": self.api,
            "root_resource_id": root,
            "stage": self.stage,
            **self.deploy(),
            "authorizers": self.authorizers,
            "request_validators": self.validators,
            "methods": list(self.methods),
            "usage_plans": {plan["name"]: self.usage_plan(plan) for plan in wanted.get("usage_plans", [])},
        }
        for edit in wanted.get("pending", []):
            self.pending(edit)
        return found

    # --- parts of the draft

    def resource(self, path: str) -> str:
        if path not in self.resources:
            parent, _, part = path.rpartition("/")
            made = self.ask("CreateResource", restApiId=self.api, parentId=self.resource(parent or "/"), pathPart=part)
            self.resources[path] = made["id"]
        return self.resources[path]

    def method(self, method: dict[str, Any]) -> dict[str, Any]:
        resource = self.resource(method["path"])
        of = {"restApiId": self.api, "resourceId": resource, "httpMethod": method["method"]}
        parameters: dict[str, Any] = {
            "authorizationType": method.get("authorization_type") or ("CUSTOM" if method.get("authorizer") else "NONE"),
            "apiKeyRequired": bool(method.get("api_key_required")),
        }
        if method.get("authorizer"):
            parameters["authorizerId"] = self.authorizer(method["authorizer"], method.get("authorization_type"))
        if method.get("request_validator"):
            parameters["requestValidatorId"] = self.validators[method["request_validator"]]
        for ours, theirs in (
            ("scopes", "authorizationScopes"),
            ("operation_name", "operationName"),
            ("request_models", "requestModels"),
            ("request_parameters", "requestParameters"),
        ):
            if method.get(ours) is not None:
                parameters[theirs] = method[ours]
        self.ask("PutMethod", **of, **parameters)
        response = {"responseModels": method["response_models"]} if "response_models" in method else {}
        if not method.get("integration", {}).get("type", "").endswith("_PROXY"):
            self.ask("PutMethodResponse", **of, statusCode="200", **response)
        self.integration(of, method.get("integration", {}))
        return {"method": method["method"], "path": method["path"], "resource_id": resource}

    def integration(self, of: dict[str, str], wanted: dict[str, Any]) -> None:
        """PutIntegration with boto3's parameter names. Missing parameters are filled in for the type."""
        kind = wanted.get("type", "MOCK")
        parameters = {name: value for name, value in wanted.items() if name != "responses"}
        if kind == "MOCK":
            parameters.setdefault("requestTemplates", {"application/json": '{"statusCode": 200}'})
        else:
            parameters.setdefault("integrationHttpMethod", "POST")
            parameters.setdefault("uri", self.uri("backend") if "AWS" in kind else "https://backend.example.com/")
        self.ask("PutIntegration", **of, **{"type": kind, **parameters})
        responses = wanted.get("responses")
        if responses is None and not kind.endswith("_PROXY"):
            responses = [{"statusCode": "200", "responseTemplates": {"application/json": '{"ok": true}'}}]
        for response in responses or []:
            self.ask("PutIntegrationResponse", **of, **response)

    def uri(self, function: str) -> str:
        return invocation(self.region, arn("lambda", self.region, f"function:{function}"))

    def authorizer(self, name: str, kind: str | None) -> str:
        if name not in self.authorizers:
            parameters: dict[str, Any] = {"type": "REQUEST", "authorizerUri": self.uri(name)}
            if kind == "COGNITO_USER_POOLS":
                pool = arn("cognito-idp", self.region, f"userpool/{self.region}_AbCdEfGhI")
                parameters = {"type": kind, "providerARNs": [pool]}
            parameters |= {"identitySource": "method.request.header.Authorization", "authorizerResultTtlInSeconds": 300}
            parameters |= self.wanted.get("authorizers", {}).get(name, {})
            imported = parameters["authorizerResultTtlInSeconds"] is None
            parameters = {member: value for member, value in parameters.items() if value is not None}
            made = self.ask("CreateAuthorizer", restApiId=self.api, name=name, **parameters)["id"]
            self.authorizers[name] = made
            if imported:  # whoever imports an API need not give it a TTL, and none is shown then
                apigateway_backends[ACCOUNT][self.region].apis[self.api].authorizers[made].authorizer_result_ttl = None
        return self.authorizers[name]

    def gateway_responses(self, wanted: dict[str, Any]) -> None:
        for kind, response in wanted.items():
            self.ask("PutGatewayResponse", restApiId=self.api, responseType=kind, **response)

    # --- the stage

    def deploy(self) -> dict[str, Any]:
        settings = self.wanted.get("stage_settings") or {}
        if not self.wanted["methods"]:
            return {"deployment_id": None}  # API Gateway does not deploy an API without a method
        stage = {"restApiId": self.api, "stageName": self.stage}
        size = settings.get("cache_cluster_size")
        found = {
            "deployment_id": self.ask(
                "CreateDeployment",
                **stage,
                description=settings.get("deployment_description", "first release"),
                stageDescription=settings.get("description", "production, do not touch"),
                variables=settings.get("variables", {"backend": "blue"}),
                **({"cacheClusterEnabled": True, "cacheClusterSize": size} if size else {}),
            )["id"]
        }
        patches = [
            {"op": "replace", "path": path, "value": value}
            for path, value in (settings.get("patches") or _THROTTLING).items()
        ]
        self.ask("UpdateStage", **stage, patchOperations=patches)
        tags = settings.get("tags", {"owner": "orders-team"})
        if tags:
            tagged = arn("apigateway", self.region, f"/restapis/{self.api}/stages/{self.stage}", account="")
            self.ask("TagResource", resourceArn=tagged, tags=tags)
        canary = settings.get("canary")
        if canary is not None:
            found["canary_deployment_id"] = self.ask(
                "CreateDeployment",
                **stage,
                description="canary",
                canarySettings={
                    "percentTraffic": float(canary.get("percent_traffic", 10)),
                    "stageVariableOverrides": canary.get("variables", {}),
                    "useStageCache": bool(canary.get("use_stage_cache")),
                },
            )["id"]
        return found

    def usage_plan(self, plan: dict[str, Any]) -> str:
        made = self.ask(
            "CreateUsagePlan",
            name=plan["name"],
            apiStages=[{"apiId": self.api, "stage": self.stage}],
            **{name: plan[name] for name in ("throttle", "quota") if name in plan},
        )
        for key in plan.get("keys", []):
            key_id = self.ask("CreateApiKey", name=key["name"], enabled=True, value=key["value"])["id"]
            self.ask("CreateUsagePlanKey", usagePlanId=made["id"], keyId=key_id, keyType="API_KEY")
        return made["id"]

    # --- after the deployment

    def pending(self, edit: dict[str, Any]) -> None:
        """Makes one edit to the draft."""
        if "method" in edit:
            self.method(edit)
        elif "remove" in edit:
            self.ask("DeleteMethod", **self.of(edit["remove"]))
        elif "gateway_responses" in edit:
            self.gateway_responses(edit["gateway_responses"])
        elif "settings" in edit:
            patches = [{"op": "replace", "path": path, "value": value} for path, value in edit["settings"].items()]
            self.ask("UpdateRestApi", restApiId=self.api, patchOperations=patches)
        elif "model" in edit:
            self.ask(
                "UpdateModel",
                restApiId=self.api,
                modelName=edit["model"],
                patchOperations=[{"op": "replace", "path": "/schema", "value": json.dumps(edit["schema"])}],
            )
        elif "update_authorizer" in edit:
            self.ask(
                "UpdateAuthorizer",
                restApiId=self.api,
                authorizerId=self.authorizers[edit["update_authorizer"]],
                patchOperations=[{"op": "replace", "path": path, "value": value} for path, value in edit["to"].items()],
            )
        elif "validator" in edit:
            self.ask(
                "UpdateRequestValidator",
                restApiId=self.api,
                requestValidatorId=self.validators[edit["validator"]],
                patchOperations=[{"op": "replace", "path": path, "value": value} for path, value in edit["to"].items()],
            )
        elif set(edit) & {"integration", "authorization_type", "authorizer", "api_key_required", "to"}:
            first = self.methods[0]
            self.change(self.of(edit.get("change") or f"{first['method']} {first['path']}"), edit)
        else:
            raise ValueError(f"no such pending edit: {sorted(edit)}")

    def of(self, label: str) -> dict[str, str]:
        verb, _, path = label.partition(" ")
        return {"restApiId": self.api, "resourceId": self.resources[path], "httpMethod": verb}

    def change(self, of: dict[str, str], edit: dict[str, Any]) -> None:
        if "integration" in edit:
            self.integration(of, edit["integration"])
        values: dict[str, str] = dict(edit.get("to", {}))
        kind = edit.get("authorization_type") or ("CUSTOM" if edit.get("authorizer") else None)
        if kind:
            values["/authorizationType"] = kind
        if edit.get("authorizer"):
            values["/authorizerId"] = self.authorizer(edit["authorizer"], kind)
        if "api_key_required" in edit:
            values["/apiKeyRequired"] = str(bool(edit["api_key_required"])).lower()
        if values:
            patches = [{"op": "replace", "path": path, "value": value} for path, value in values.items()]
            self.ask("UpdateMethod", **of, patchOperations=patches)
