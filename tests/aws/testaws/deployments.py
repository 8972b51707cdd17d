"""API Gateway (REST): deployments are snapshots of the whole API, and stages point to a deployment."""

from __future__ import annotations

import copy
import re
import time
from typing import Any

from moto.apigateway.models import Deployment, RestAPI, Stage
from moto.apigateway.utils import create_id

from .api_json import api_json, clean, method_json
from .apigateway import api_of, bad_request, not_found, page
from .gateway import operation
from .rest_apis import check_tags
from .stages import canary_of, point, stage_of, start_canary
from .wire import PARTITIONS, Call
from .account_state import World

# The API's own attributes that a deployment freezes.
_SETTINGS = ("binaryMediaTypes", "minimumCompressionSize", "apiKeySource", "policy", "disableExecuteApiEndpoint")


def snapshot_of(api: RestAPI) -> dict[str, Any]:
    """The content of a deployment: everything that requests to the API depend on."""
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
    if name and not re.fullmatch(r"[A-Za-z0-9_-]{1,128}", name):
        raise bad_request("Stage name only allows a-zA-Z0-9_-")
    canary = call.get("canarySettings")
    _check_canary(api, name, canary)
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
            # The stage keeps its settings. Besides the deployment, only the members in the call change.
            if canary is None:
                point(world, api, stage, deployment.id)
            else:
                start_canary(api, stage, canary, deployment.id)
            if "cacheClusterEnabled" in call.params:
                enabled = {
                    "op": "replace",
                    "path": "/cacheClusterEnabled",
                    "value": str(call.params["cacheClusterEnabled"]),
                }
                stage.apply_operations([enabled])
            if "cacheClusterSize" in call.params:
                stage.cache_cluster_size = call.params["cacheClusterSize"]
            if "variables" in call.params:
                stage.variables = {**stage.variables, **call.params["variables"]}
            if "stageDescription" in call.params:
                stage.description = call.params["stageDescription"]
        stage.last_updated_date = int(time.time())
    return deployment_json(deployment, embed=False)


def _check_canary(api: RestAPI, name: str | None, canary: dict[str, Any] | None) -> None:
    """A canary requires a stage, and a stage with a canary accepts only canary deployments."""
    stage = api.stages.get(name) if name else None
    if canary is None:
        if stage is not None and canary_of(stage) is not None:
            raise bad_request(
                f"Invalid deployment content specified.Non canary deployment not supported on stage {name} because "
                "Canary is enabled. Provide CanarySettings in deploymentInput."
            )
    elif not name:
        raise bad_request(
            "Invalid deployment content specified.Non null and non empty stageName must be provided for canary "
            f"deployment. Provided value is {'null' if name is None else name}"
        )
    elif stage is None:
        raise bad_request(
            f"Invalid deployment content specified.Stage {name} must already be created before making a canary release "
            "deployment"
        )


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
    used = {stage.deployment_id for stage in api.stages.values()}
    used |= {canary["deploymentId"] for stage in api.stages.values() if (canary := canary_of(stage))}
    if deployment.id in used:
        raise bad_request("Active stages pointing to this deployment must be moved or deleted")
    del api.deployments[deployment.id]
    return {}


# --- tags


def _tagged(call: Call) -> Any:
    """The stage or the API of an ARN."""
    found = re.fullmatch(
        rf"arn:{PARTITIONS}:apigateway:[a-z0-9-]+::/restapis/([a-z0-9]+)(?:/stages/(.+))?", call.params["resourceArn"]
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
    check_tags(call, call.params["tagKeys"])
    resource.tags = {key: value for key, value in (resource.tags or {}).items() if key not in call.params["tagKeys"]}
    return {}
