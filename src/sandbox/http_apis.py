"""Makes ministack serve HTTP APIs as API Gateway does: from deployments, which some stages make automatically.

Runs before gateway.py, in the same process.

ministack serves the draft in every stage, deploys nothing automatically, sets any deployment on a stage, and exports
nothing. A route keeps the authorizer that it no longer needs, can have one that does not exist, and one in use can be
deleted. The paths in its events lack the stage, their ids are not those of the responses, and it answers every OPTIONS
request itself, as for CORS.

The backend at BACKEND needs no server: it has one response.
"""

import base64
import contextvars
import copy
import json
import os

from ministack.services import apigateway as gateway

BACKEND = "https://backend.invalid"
PARTS = ("_apis", "_routes", "_integrations", "_authorizers")
ASKS = {"CUSTOM": "REQUEST", "JWT": "JWT"}  # the type of authorizer that an authorization requires
PREFLIGHT = {"origin", "access-control-request-method"}
deployed = {}  # the parts of each deployment
serving = contextvars.ContextVar("serving", default=None)
request_id = contextvars.ContextVar("request_id")


class Part(type(gateway._routes)):
    """A part of all APIs: that of the deployment while a request to a stage is served, otherwise that of the draft."""

    __slots__ = ("name",)

    def __init__(self, name):
        super().__init__()
        self.name = name

    def get(self, key, default=None):
        served = serving.get()
        return super().get(key, default) if served is None else served[self.name]


def draft_of(api_id):
    return {name: getattr(gateway, name).get(api_id, {}) for name in PARTS}


def refuse(text, code="BadRequestException", status=400):
    return gateway._apigw_error(code, text, status)


# Deployments


def make_deployment(api_id, description, is_automatic):
    answer = create_deployment(api_id, {"description": description})
    deployment_id = json.loads(answer[2])["deploymentId"]
    deployed[deployment_id] = copy.deepcopy(draft_of(api_id))
    gateway._deployments[api_id][deployment_id]["autoDeployed"] = is_automatic
    return deployment_id


def publish(api_id):
    """Deploys the draft to the stages that deploy automatically."""
    stages = [stage for stage in gateway._stages.get(api_id, {}).values() if stage.get("autoDeploy")]
    if stages and gateway._routes.get(api_id):
        text = "Automatic deployment triggered by changes to the Api configuration"
        deployment_id = make_deployment(api_id, text, True)
        for stage in stages:
            stage["deploymentId"] = deployment_id
            stage["lastDeploymentStatusMessage"] = f"Successfully deployed stage with deployment ID '{deployment_id}'"


def deploy(api_id, data):
    name = data.get("stageName")
    stage = gateway._stages.get(api_id, {}).get(name)
    if name and stage is None:
        return gateway._get_stage(api_id, name)
    if stage and stage.get("autoDeploy"):
        return refuse("A stage with AutoDeploy enabled cannot be deployed to")
    if not gateway._routes.get(api_id):
        return refuse("Unable to deploy API because no routes exist in this API")
    deployment_id = make_deployment(api_id, data.get("description", ""), False)
    if stage:
        stage["deploymentId"] = deployment_id
    return gateway._apigw_response(gateway._deployments[api_id][deployment_id], 201)


def check_deletion(api_id, deployment_id):
    if any(stage.get("deploymentId") == deployment_id for stage in gateway._stages.get(api_id, {}).values()):
        return refuse("Active stages pointing to this deployment must be moved or deleted")
    return None


# Stages


def check_deployment(api_id, stage, data):
    if "deploymentId" not in data:
        return None
    if stage.get("autoDeploy") or data.get("autoDeploy"):
        return refuse("Deployment ID cannot be set on this stage because AutoDeploy is enabled")
    found = gateway._get_deployment(api_id, data["deploymentId"])
    return None if found[0] == 200 else found


def create_stage(api_id, data):
    if refusal := check_deployment(api_id, {}, data):
        return refusal
    answer = new_stage(api_id, data)
    if answer[0] != 201:
        return answer
    publish(api_id)
    return gateway._apigw_response(gateway._stages[api_id][data.get("stageName", "$default")], 201)


def update_stage(api_id, name, data):
    stage = gateway._stages.get(api_id, {}).get(name, {})
    was_automatic = stage.get("autoDeploy")
    if refusal := check_deployment(api_id, stage, data):
        return refusal
    answer = change_stage(api_id, name, data)
    if answer[0] != 200:
        return answer
    if not stage["autoDeploy"]:
        stage.pop("lastDeploymentStatusMessage", None)
    elif not was_automatic:
        publish(api_id)
    return gateway._apigw_response(stage)


# Routes and authorizers


def check_authorization(api_id, route, data):
    kind = data.get("authorizationType") or route.get("authorizationType") or "NONE"
    if kind not in ASKS:
        # The authorizer and the scopes go with the type.
        data.update(authorizerId=None, authorizationScopes=None)
        return None
    authorizer_id = data.get("authorizerId") or route.get("authorizerId")
    authorizer = gateway._authorizers.get(api_id, {}).get(authorizer_id, {})
    if authorizer.get("authorizerType") != ASKS[kind]:
        return refuse(
            f"Invalid authorizer ID specified. Setting the authorization type to {kind} requires a valid authorizer.")
    return None


def check_new_route(api_id, data):
    key = data.get("routeKey")
    if any(route["routeKey"] == key for route in gateway._routes.get(api_id, {}).values()):
        return refuse(f"Route with key {key} already exists for this API", "ConflictException", 409)
    return check_authorization(api_id, {}, data)


def check_route(api_id, route_id, data):
    return check_authorization(api_id, gateway._routes.get(api_id, {}).get(route_id, {}), data)


def check_unused(api_id, authorizer_id):
    for route in gateway._routes.get(api_id, {}).values():
        if route.get("authorizerId") == authorizer_id:
            name = gateway._authorizers[api_id][authorizer_id]["name"]
            text = f"Cannot delete authorizer '{name}', is referenced in route: {route['routeKey']}"
            return refuse(text, "ConflictException", 409)
    return None


def checked(change, check, is_published):
    def call(api_id, *rest):
        if refusal := check(api_id, *rest):
            return refusal
        answer = change(api_id, *rest)
        if is_published and answer[0] < 300:
            publish(api_id)
        return answer
    return call


# Requests


async def serve(api_id, stage_name, path, method, headers, *rest):
    stage = gateway._stages.get(api_id, {}).get(stage_name, {})
    served = deployed.get(stage.get("deploymentId"))
    if served is None:
        return gateway._http_api_not_found()
    has_cors = served["_apis"].get("corsConfiguration") and PREFLIGHT <= {name.lower() for name in headers}
    if method == "OPTIONS" and not has_cors:
        # In lower case, ministack does not answer it itself.
        method = "options"
    before = serving.set(served)
    request_id.set(base64.b64encode(os.urandom(11)).decode())
    try:
        status, answered, body = await execute(api_id, stage_name, path, method, headers, *rest)
    finally:
        serving.reset(before)
    return status, {**answered, "apigw-requestid": request_id.get()}, body


def match_route(api_id, method, path):
    return match(api_id, method.upper(), path)


async def authorize(api_id, stage, route, method, *rest):
    return await authorize_request(api_id, stage, route, method.upper(), *rest)


def path_at(stage, path):
    return path if stage == "$default" else f"/{stage}{path}"


async def invoke_authorizer(authorizer, event, *rest):
    if event.get("version") == "2.0":
        context = event["requestContext"]
        context["requestId"] = request_id.get()
        event["rawPath"] = context["http"]["path"] = path_at(context["stage"], event["rawPath"])
        if cookies := event["headers"].pop("cookie", None):
            event["cookies"] = [cookie.strip() for cookie in cookies.split(";")]
    return await ask_authorizer(authorizer, event, *rest)


async def invoke_function(integration, api_id, stage, path, method, *rest, **more):
    path = path_at(stage, path)
    return await call_function(integration, api_id, stage, path, method.upper(), *rest, **more)


async def invoke_backend(integration, path, method, *rest):
    if integration.get("integrationUri") == BACKEND:
        return 200, {"Content-Type": "application/json"}, b'{"answer": "of the backend"}'
    return await call_backend(integration, path, method.upper(), *rest)


# Exports


def scheme_of(authorizer):
    settings = {"type": authorizer["authorizerType"].lower()}
    if authorizer.get("identitySource"):
        settings["identitySource"] = ",".join(authorizer["identitySource"])
    if authorizer["authorizerType"] == "JWT":
        return {"type": "oauth2", "x-amazon-apigateway-authorizer": {
            **settings, "jwtConfiguration": authorizer["jwtConfiguration"]}}
    for name in ("authorizerUri", "authorizerPayloadFormatVersion", "authorizerResultTtlInSeconds",
                 "enableSimpleResponses"):
        settings[name] = authorizer[name]
    return {"type": "apiKey", "name": "Unused", "in": "header", "x-amazon-apigateway-authorizer": settings}


def operation_of(route, parts, schemes):
    operation = {"responses": {"default": {"description": f"Default response for {route['routeKey']}"}}}
    kind = route.get("authorizationType")
    if kind == "AWS_IAM":
        schemes["sigv4"] = {"type": "apiKey", "name": "Authorization", "in": "header",
                            "x-amazon-apigateway-authtype": "awsSigv4"}
        operation["security"] = [{"sigv4": []}]
    elif kind in ASKS:
        authorizer = parts["_authorizers"][route["authorizerId"]]
        schemes[authorizer["name"]] = scheme_of(authorizer)
        operation["security"] = [{authorizer["name"]: route.get("authorizationScopes", [])}]
    integration = parts["_integrations"].get(route.get("target", "").removeprefix("integrations/"))
    if integration:
        operation["x-amazon-apigateway-integration"] = {
            "type": integration["integrationType"].lower(), "uri": integration["integrationUri"],
            "httpMethod": integration["integrationMethod"],
            "payloadFormatVersion": integration["payloadFormatVersion"]}
    return operation


def export(api_id, stage_name):
    """The OpenAPI document of a stage, or of the draft."""
    api = gateway._apis.get(api_id)
    if api is None:
        return gateway._api_not_found(api_id)
    parts = draft_of(api_id)
    if stage_name:
        stage = gateway._stages.get(api_id, {}).get(stage_name)
        if stage is None:
            return gateway._get_stage(api_id, stage_name)
        parts = deployed.get(stage.get("deploymentId"))
        if parts is None:
            return refuse(f"Stage {stage_name} has no deployment")
    paths, schemes = {}, {}
    for route in parts["_routes"].values():
        verb, _, path = route["routeKey"].partition(" ")
        if not path:
            verb, path = "ANY", "/$default"
        verb = "x-amazon-apigateway-any-method" if verb == "ANY" else verb.lower()
        paths.setdefault(path, {})[verb] = operation_of(route, parts, schemes)
    document = {"openapi": "3.0.1", "info": {"title": api["name"], "version": api["createdDate"]}, "paths": paths,
                "components": {"securitySchemes": schemes}, "x-amazon-apigateway-importexport-version": "1.0"}
    if cors := parts["_apis"].get("corsConfiguration"):
        document["x-amazon-apigateway-cors"] = cors
    return gateway._apigw_response(document)


async def handle(method, path, headers, body, query):
    parts = path.strip("/").split("/")
    if method == "GET" and parts[:2] == ["v2", "apis"] and parts[3:] == ["exports", "OAS30"]:
        stage = query.get("stageName")
        return export(parts[2], stage[0] if isinstance(stage, list) else stage)
    return await handle_request(method, path, headers, body, query)


def allow(*_):
    return None


for name in PARTS:
    setattr(gateway, name, Part(name))
for name, check in {
    "_create_route": check_new_route, "_update_route": check_route, "_delete_route": allow,
    "_create_authorizer": allow, "_update_authorizer": allow, "_delete_authorizer": check_unused,
    "_create_integration": allow, "_update_integration": allow, "_delete_integration": allow,
    "_update_api": allow, "_delete_cors_configuration": allow,
}.items():
    setattr(gateway, name, checked(getattr(gateway, name), check, is_published=True))
gateway._delete_deployment = checked(gateway._delete_deployment, check_deletion, is_published=False)
create_deployment, gateway._create_deployment = gateway._create_deployment, deploy
new_stage, gateway._create_stage = gateway._create_stage, create_stage
change_stage, gateway._update_stage = gateway._update_stage, update_stage
execute, gateway._handle_execute_in_scope = gateway._handle_execute_in_scope, serve
match, gateway._match_route = gateway._match_route, match_route
authorize_request, gateway._authorize_request_v2 = gateway._authorize_request_v2, authorize
ask_authorizer, gateway._invoke_request_authorizer_lambda = (
    gateway._invoke_request_authorizer_lambda, invoke_authorizer)
call_function, gateway._invoke_lambda_proxy = gateway._invoke_lambda_proxy, invoke_function
call_backend, gateway._invoke_http_proxy = gateway._invoke_http_proxy, invoke_backend
handle_request, gateway.handle_request = gateway.handle_request, handle
