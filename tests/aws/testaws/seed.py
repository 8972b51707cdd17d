"""Things that are in an account before the tool comes: an API, and somebody else's stack."""

from __future__ import annotations

from typing import Any

from .local import call
from .world import World


def seed(world: World, wanted: dict[str, Any], region: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if "api" in wanted:
        found.update(seed_api(world, wanted["api"], region))
    if wanted.get("foreign"):
        from .foreign import seed_foreign

        found["foreign"] = seed_foreign(world, region)
    return found


def seed_api(world: World, wanted: dict[str, Any], region: str) -> dict[str, Any]:
    """A REST API with its resources, methods, MOCK integrations, and a stage that was configured by somebody."""

    def ask(operation: str, **parameters: Any) -> dict[str, Any]:
        return call(world, "apigateway", operation, parameters, region)

    api = ask(
        "CreateRestApi",
        name=wanted["name"],
        description=wanted.get("description", f"{wanted['name']}, as its team made it"),
        endpointConfiguration={"types": ["REGIONAL"]},
        **({"tags": wanted["tags"]} if wanted.get("tags") else {}),
    )
    api_id = api["id"]
    root = ask("GetResources", restApiId=api_id)["items"][0]["id"]
    resources = {"/": root}
    authorizers: dict[str, str] = {}
    methods = []
    for method in wanted["methods"]:
        resource = _resource(ask, api_id, resources, method["path"])
        name = method.get("authorizer")
        if name and name not in authorizers:
            authorizers[name] = _authorizer(ask, api_id, name, region, method.get("authorization_type"))
        parameters: dict[str, Any] = {
            "restApiId": api_id,
            "resourceId": resource,
            "httpMethod": method["method"],
            "authorizationType": method.get("authorization_type") or ("CUSTOM" if name else "NONE"),
            "apiKeyRequired": bool(method.get("api_key_required")),
        }
        if name:
            parameters["authorizerId"] = authorizers[name]
        if method.get("scopes"):
            parameters["authorizationScopes"] = method["scopes"]
        if method.get("operation_name"):
            parameters["operationName"] = method["operation_name"]
        ask("PutMethod", **parameters)
        of = {"restApiId": api_id, "resourceId": resource, "httpMethod": method["method"]}
        ask("PutMethodResponse", **of, statusCode="200")
        ask(
            "PutIntegration",
            **of,
            type="MOCK",
            requestTemplates={"application/json": '{"statusCode": 200}'},
        )
        ask(
            "PutIntegrationResponse",
            **of,
            statusCode="200",
            responseTemplates={"application/json": '{"ok": true}'},
        )
        methods.append({"method": method["method"], "path": method["path"], "resource_id": resource})
    settings = wanted.get("stage_settings") or {}
    stage = wanted["stage"]
    deployment = ask(
        "CreateDeployment",
        restApiId=api_id,
        stageName=stage,
        description=settings.get("deployment_description", "first release"),
        stageDescription=settings.get("description", "production, do not touch"),
        variables=settings.get("variables", {"backend": "blue"}),
    )
    patches = [
        {"op": "replace", "path": path, "value": value}
        for path, value in (
            settings.get("patches")
            or {"/*/*/throttling/rateLimit": "50", "/*/*/throttling/burstLimit": "100", "/*/*/metrics/enabled": "true"}
        ).items()
    ]
    ask("UpdateStage", restApiId=api_id, stageName=stage, patchOperations=patches)
    tags = settings.get("tags", {"owner": "orders-team"})
    if tags:
        ask("TagResource", resourceArn=f"arn:aws:apigateway:{region}::/restapis/{api_id}/stages/{stage}", tags=tags)
    return {
        "api_id": api_id,
        "root_resource_id": root,
        "stage": stage,
        "deployment_id": deployment["id"],
        "authorizers": authorizers,
        "methods": methods,
    }


def _resource(ask: Any, api_id: str, resources: dict[str, str], path: str) -> str:
    if path in resources:
        return resources[path]
    parent, _, part = path.rpartition("/")
    parent_id = _resource(ask, api_id, resources, parent or "/")
    resources[path] = ask("CreateResource", restApiId=api_id, parentId=parent_id, pathPart=part)["id"]
    return resources[path]


def _authorizer(ask: Any, api_id: str, name: str, region: str, kind: str | None) -> str:
    if kind == "COGNITO_USER_POOLS":
        return ask(
            "CreateAuthorizer",
            restApiId=api_id,
            name=name,
            type="COGNITO_USER_POOLS",
            providerARNs=[f"arn:aws:cognito-idp:{region}:123456789012:userpool/{region}_AbCdEfGhI"],
            identitySource="method.request.header.Authorization",
        )["id"]
    function = f"arn:aws:lambda:{region}:123456789012:function:{name}"
    return ask(
        "CreateAuthorizer",
        restApiId=api_id,
        name=name,
        type="REQUEST",
        authorizerUri=f"arn:aws:apigateway:{region}:lambda:path/2015-03-31/functions/{function}/invocations",
        identitySource="method.request.header.Authorization",
        authorizerResultTtlInSeconds=300,
    )["id"]
