"""API Gateway (REST): deployments are snapshots of the whole API, stages point to one."""

from __future__ import annotations

import copy
import re
import time
from typing import Any

from moto.apigateway.models import Deployment, RestAPI, Stage
from moto.apigateway.utils import create_id

from .api_json import api_json, clean, method_json
from .apigateway import api_of, bad_request, conflict, not_found, page
from .errors import AwsError
from .gateway import operation
from .rest_apis import check_tags
from .wire import Call
from .world import World

# What of an API's own attributes its deployments freeze.
_SETTINGS = ("binaryMediaTypes", "minimumCompressionSize", "apiKeySource", "policy", "disableExecuteApiEndpoint")


def snapshot_of(api: RestAPI) -> dict[str, Any]:
    """What a deployment freezes: everything requests to the API depend on."""
    settings = api_json(api)
    return copy.deepcopy(
        {
            "resources": {resource.get_path(): resource.id for resource in api.resources.values()},
            "methods": {
                resource.get_path(): {verb: method_json(method) for verb, method in resource.resource_methods.items()}
                for resource in api.resources.values()
                if resource.resource_methods
            },
            "authorizers": {authorizer.id: authorizer.to_json() for authorizer in api.authorizers.values()},
            "gateway_responses": dict(sorted(api.gateway_responses.items())),
            "models": {name: clean(model.to_json()) for name, model in sorted(api.models.items())},
            "request_validators": {
                validator.id: clean(validator.to_dict()) for validator in api.request_validators.values()
            },
            "settings": {name: settings[name] for name in _SETTINGS if name in settings},
        }
    )


def deployment_json(deployment: Deployment, embed: bool) -> dict[str, Any]:
    found = {"id": deployment.id, "description": deployment.description, "createdDate": deployment.created_date}
    if not deployment.description:
        found.pop("description")
    if embed:
        found["apiSummary"] = {
            path: {
                verb: {
                    "authorizationType": method["authorizationType"],
                    "apiKeyRequired": method.get("apiKeyRequired", False),
                }
                for verb, method in methods.items()
            }
            for path, methods in deployment.snapshot["methods"].items()
        }
    return found


def deployment_of(call: Call, api: RestAPI) -> Deployment:
    deployment = api.deployments.get(call.params["deploymentId"])
    if deployment is None:
        raise not_found("Invalid Deployment identifier specified")
    return deployment


@operation("apigateway", "CreateDeployment")
def create_deployment(world: World, call: Call) -> Any:
    api = api_of(call)
    methods = [method for resource in api.resources.values() for method in resource.resource_methods.values()]
    if not methods:
        raise bad_request("The REST API doesn't contain any methods")
    if any(method.method_integration is None for method in methods):
        raise bad_request("No integration defined for method")
    name = call.get("stageName")
    if name is not None and not re.fullmatch(r"[A-Za-z0-9_-]{1,128}", name):
        raise bad_request("Stage name only allows a-zA-Z0-9_-")
    deployment = Deployment(create_id()[:6], name, call.get("description", ""))
    deployment.snapshot = snapshot_of(api)
    api.deployments[deployment.id] = deployment
    if name:
        stage = api.stages.get(name)
        if stage is None:
            stage = api.stages[name] = Stage(
                name=name,
                deployment_id=deployment.id,
                variables=dict(call.get("variables", {})),
                description=call.get("stageDescription", ""),
                cacheClusterEnabled=call.get("cacheClusterEnabled", False),
                cacheClusterSize=call.get("cacheClusterSize"),
                tracing_enabled=call.get("tracingEnabled", False),
            )
            stage.created_date = int(time.time())
        else:
            # The stage keeps its settings; only what the call names is changed besides the deployment.
            _point(world, api, stage, deployment.id)
            if "variables" in call.params:
                stage.variables = {**stage.variables, **call.params["variables"]}
            if "stageDescription" in call.params:
                stage.description = call.params["stageDescription"]
        stage.last_updated_date = int(time.time())
    return deployment_json(deployment, embed=False)


@operation("apigateway", "GetDeployment")
def get_deployment(world: World, call: Call) -> Any:
    return deployment_json(deployment_of(call, api_of(call)), "apisummary" in call.get("embed", []))


@operation("apigateway", "GetDeployments")
def get_deployments(world: World, call: Call) -> Any:
    return page(world, call, [deployment_json(deployment, False) for deployment in api_of(call).deployments.values()])


@operation("apigateway", "UpdateDeployment")
def update_deployment(world: World, call: Call) -> Any:
    deployment = deployment_of(call, api_of(call))
    for patch in call.get("patchOperations", []):
        if patch.get("op") != "replace" or patch.get("path") != "/description":
            raise bad_request(f"Invalid patch path  '{patch.get('path')}' specified for op '{patch.get('op')}'")
        deployment.description = patch.get("value") or ""
    return deployment_json(deployment, embed=False)


@operation("apigateway", "DeleteDeployment")
def delete_deployment(world: World, call: Call) -> Any:
    api = api_of(call)
    deployment = deployment_of(call, api)
    if any(stage.deployment_id == deployment.id for stage in api.stages.values()):
        raise bad_request("Active stages pointing to this deployment must be moved or deleted")
    del api.deployments[deployment.id]
    return {}


# --- stages


def _point(world: World, api: RestAPI, stage: Stage, deployment_id: str) -> None:
    """Moves a stage; for as many requests as `deployment_lag` says, callers go on seeing what they saw."""
    if deployment_id == stage.deployment_id:
        return
    stage.lagging = (world.config["deployment_lag"], serving(api, stage, peek=True))
    stage.deployment_id = deployment_id


def serving(api: RestAPI, stage: Stage, peek: bool = False) -> dict[str, Any]:
    """The snapshot the next request to a stage sees. `peek`: without that request being made."""
    left, former = getattr(stage, "lagging", (0, None))
    if left > 0 and former is not None:
        if not peek:
            stage.lagging = (left - 1, former)
        return former
    return api.deployments[stage.deployment_id].snapshot


def stage_json(stage: Stage) -> dict[str, Any]:
    found = clean(stage.to_json())
    for name in ("variables", "description"):
        if not found.get(name):
            found.pop(name, None)
    found.setdefault("cacheClusterStatus", "NOT_AVAILABLE")
    found.setdefault("tracingEnabled", False)
    found["createdDate"] = getattr(stage, "created_date", 0)
    found["lastUpdatedDate"] = getattr(stage, "last_updated_date", 0)
    return found


def stage_of(call: Call, api: RestAPI) -> Stage:
    stage = api.stages.get(call.params["stageName"])
    if stage is None:
        raise not_found("Invalid stage identifier specified")
    return stage


@operation("apigateway", "CreateStage")
def create_stage(world: World, call: Call) -> Any:
    api = api_of(call)
    if call.params["stageName"] in api.stages:
        raise conflict("Stage already exists")
    deployment_of(call, api)
    call.result()
    stage = api.stages[call.params["stageName"]]
    stage.created_date = stage.last_updated_date = int(time.time())
    return stage_json(stage)


@operation("apigateway", "GetStage")
def get_stage(world: World, call: Call) -> Any:
    return stage_json(stage_of(call, api_of(call)))


@operation("apigateway", "GetStages")
def get_stages(world: World, call: Call) -> Any:
    stages = api_of(call).stages.values()
    wanted = call.get("deploymentId")
    return {"item": [stage_json(stage) for stage in stages if wanted in (None, stage.deployment_id)]}


@operation("apigateway", "UpdateStage")
def update_stage(world: World, call: Call) -> Any:
    api = api_of(call)
    stage = stage_of(call, api)
    before = copy.deepcopy(stage.__dict__)
    try:
        for patch in call.get("patchOperations", []):
            _patch_stage(world, api, stage, patch)
    except AwsError:
        stage.__dict__.clear()
        stage.__dict__.update(before)
        raise
    stage.last_updated_date = int(time.time())
    return stage_json(stage)


def _patch_stage(world: World, api: RestAPI, stage: Stage, patch: dict[str, Any]) -> None:
    kind, path, value = patch.get("op"), patch.get("path", ""), patch.get("value")
    refused = bad_request(f"Invalid patch path  '{path}' specified for op '{kind}'")
    if path == "/deploymentId" and kind == "replace":
        if value not in api.deployments:
            raise bad_request("Invalid Deployment identifier specified")
        _point(world, api, stage, value)
    elif path.startswith("/variables/") and kind in ("replace", "add", "remove"):
        name = path.removeprefix("/variables/")
        if kind == "remove":
            stage.variables.pop(name, None)
        else:
            stage.variables[name] = value
    elif path in ("/description", "/tracingEnabled", "/cacheClusterEnabled", "/cacheClusterSize"):
        if kind != "replace":
            raise refused
        stage.apply_operations([patch])
    elif path.startswith("/accessLogSettings") or (kind == "replace" and len(path.split("/")) >= 5):
        stage.apply_operations([patch])
    elif kind == "remove" and path.removeprefix("/") in stage.method_settings:
        del stage.method_settings[path.removeprefix("/")]
    else:
        raise refused


# --- tags


def _tagged(call: Call) -> Any:
    """The stage or the API an ARN names."""
    found = re.fullmatch(
        r"arn:aws:apigateway:[a-z0-9-]+::/restapis/([a-z0-9]+)(?:/stages/(.+))?", call.params["resourceArn"]
    )
    if found is None:
        raise bad_request("Invalid ARN specified in the request")
    call.params["restApiId"] = found.group(1)
    api = api_of(call)
    if found.group(2) is None:
        return api
    call.params["stageName"] = found.group(2)
    return stage_of(call, api)


@operation("apigateway", "GetTags")
def get_tags(world: World, call: Call) -> Any:
    return {"tags": dict(_tagged(call).tags or {})}


@operation("apigateway", "TagResource")
def tag_resource(world: World, call: Call) -> Any:
    resource = _tagged(call)
    check_tags(call, call.params["tags"])
    resource.tags = {**(resource.tags or {}), **call.params["tags"]}
    return {}


@operation("apigateway", "UntagResource")
def untag_resource(world: World, call: Call) -> Any:
    resource = _tagged(call)
    resource.tags = {key: value for key, value in (resource.tags or {}).items() if key not in call.params["tagKeys"]}
    return {}
