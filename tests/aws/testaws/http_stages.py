"""API Gateway v2: stages, and the deployments that they point to."""

from __future__ import annotations

import re
from typing import Any

from .account_state import World
from .apigateway import bad_request, conflict
from .gateway import operation
from .http_apis import (
    NO_ROUTES,
    SERVICE,
    Deployment,
    HttpApi,
    api_of,
    date,
    deploy,
    given,
    not_found,
    page,
    part_of,
    point,
    require_room,
)
from .rest_apis import check_tags
from .wire import Call

_MEMBERS = (
    "AccessLogSettings",
    "ClientCertificateId",
    "DefaultRouteSettings",
    "Description",
    "RouteSettings",
    "StageVariables",
)


def stage_of(call: Call, api: HttpApi) -> dict[str, Any]:
    stage = api.stages.get(call.params["StageName"])
    if stage is None:
        raise not_found("Stage", "Invalid stage identifier specified")
    return stage


def _deployed(api: HttpApi, deployment_id: str) -> Deployment:
    deployment = api.deployments.get(deployment_id)
    if deployment is None:
        raise not_found("Deployment", f"Invalid Deployment identifier specified {deployment_id}")
    if not deployment.is_deployed:
        raise bad_request(f"Deployment {deployment_id} is not deployed")
    return deployment


def _check_settings(api: HttpApi, call: Call) -> None:
    settings = [call.get("DefaultRouteSettings", {}), *call.get("RouteSettings", {}).values()]
    for one in settings:
        if api.is_http and one.get("LoggingLevel") not in (None, "OFF"):
            # The text of AWS: terraform-provider-aws issue 12893.
            raise bad_request("Execution logs are not supported on protocol type HTTP")
    keys = {route["RouteKey"] for route in api.routes.values()}
    for key in call.get("RouteSettings", {}):
        if key not in keys:
            raise not_found("Route", f"Unable to find Route by key {key} within the provided RouteSettings")


def _refuse_deployment(call: Call, automatic: bool) -> None:
    """The caller cannot give a deployment to a stage that deploys automatically, also not the one that it has."""
    if "DeploymentId" in call.params and (automatic or "AutoDeploy" in call.params):
        # The text of AWS: go-to-k/cdk-real-drift issue 667. What AWS does with both members in one call is unknown.
        raise bad_request("Deployment ID cannot be set on this stage because AutoDeploy is enabled")


@operation(SERVICE, "CreateStage")
def create_stage(world: World, call: Call) -> Any:
    api = api_of(world, call)
    name = call.params["StageName"]
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,128}", name) and not (api.is_http and name == "$default"):
        raise bad_request("Stage name only allows a-zA-Z0-9_- and $default")
    if name in api.stages:
        raise conflict("Stage already exists")
    require_room("Stage", api.stages)
    check_tags(call, call.get("Tags", {}))
    _check_settings(api, call)
    automatic = call.get("AutoDeploy", False)
    if automatic:
        _refuse_deployment(call, automatic)
    deployment = _deployed(api, call.params["DeploymentId"]) if "DeploymentId" in call.params else None
    stage = api.stages[name] = {
        "CreatedDate": date(world),
        "DefaultRouteSettings": {"DetailedMetricsEnabled": False},
        "LastUpdatedDate": date(world),
        "RouteSettings": {},
        "StageName": name,
        "StageVariables": {},
        "Tags": dict(call.get("Tags", {})),
        **given(call, *_MEMBERS, "AutoDeploy"),
    }
    if deployment is not None:
        point(world, api, name, deployment)
    if automatic and api.routes:
        deploy(world, api, [name], automatic=True)
    return stage


@operation(SERVICE, "GetStages")
def get_stages(world: World, call: Call) -> Any:
    return page(world, call, api_of(world, call).stages.values())


@operation(SERVICE, "GetStage")
def get_stage(world: World, call: Call) -> Any:
    api = api_of(world, call)
    stage = stage_of(call, api)
    name = stage["StageName"]
    if name in api.freezing:
        shown = dict(stage)
        api.freezing[name] -= 1
        if api.freezing[name] == 0:
            del api.freezing[name]
            _freeze(stage)
        return shown
    return stage


def _freeze(stage: dict[str, Any]) -> None:
    stage["AutoDeploy"] = False
    stage.pop("LastDeploymentStatusMessage", None)


@operation(SERVICE, "UpdateStage")
def update_stage(world: World, call: Call) -> Any:
    api = api_of(world, call)
    stage = stage_of(call, api)
    if stage.get("ApiGatewayManaged") and world.config["http_api"]["managed_stage"] == "refused":
        raise bad_request("A stage that is managed by API Gateway can't be modified")
    was = stage.get("AutoDeploy", False)
    _refuse_deployment(call, was)
    _check_settings(api, call)
    deployment = _deployed(api, call.params["DeploymentId"]) if "DeploymentId" in call.params else None
    stage.update(given(call, *_MEMBERS, "AutoDeploy"), LastUpdatedDate=date(world))
    automatic = stage.get("AutoDeploy", False)
    lag = world.config["http_api"]["freeze_lag"]
    if was and not automatic and lag:
        stage["AutoDeploy"] = True
        api.freezing.setdefault(call.params["StageName"], lag)
        return {**stage, "AutoDeploy": False}
    if was and not automatic:
        _freeze(stage)
    if automatic and "AutoDeploy" in call.params:
        api.freezing.pop(call.params["StageName"], None)
    if deployment is not None:
        point(world, api, call.params["StageName"], deployment)
    if automatic and not was and api.routes and world.config["http_api"]["thaw"] == "now":
        deploy(world, api, [call.params["StageName"]], automatic=True)
    return stage


@operation(SERVICE, "DeleteStage")
def delete_stage(world: World, call: Call) -> Any:
    api = api_of(world, call)
    stage = stage_of(call, api)
    del api.stages[stage["StageName"]]
    api.lagging.pop(stage["StageName"], None)
    api.freezing.pop(stage["StageName"], None)
    return {}


@operation(SERVICE, "DeleteAccessLogSettings")
def delete_access_log_settings(world: World, call: Call) -> Any:
    stage_of(call, api_of(world, call)).pop("AccessLogSettings", None)
    return {}


@operation(SERVICE, "ResetAuthorizersCache")
def reset_authorizers_cache(world: World, call: Call) -> Any:
    stage_of(call, api_of(world, call))
    return {}


# --- deployments


@operation(SERVICE, "CreateDeployment")
def create_deployment(world: World, call: Call) -> Any:
    api = api_of(world, call)
    name = call.get("StageName")
    if name is not None and stage_of(call, api).get("AutoDeploy"):
        raise bad_request("A stage with AutoDeploy enabled cannot be deployed to")
    if not api.routes:
        raise bad_request(NO_ROUTES)
    return deploy(world, api, [name] if name else [], call.get("Description")).shown


@operation(SERVICE, "GetDeployments")
def get_deployments(world: World, call: Call) -> Any:
    newest_first = list(reversed(api_of(world, call).deployments.values()))
    listed = [deployment.shown for deployment in newest_first if not deployment.unlisted]
    if "NextToken" not in call.params:
        for deployment in newest_first:
            deployment.unlisted = max(deployment.unlisted - 1, 0)
    return page(world, call, listed)


@operation(SERVICE, "GetDeployment")
def get_deployment(world: World, call: Call) -> Any:
    return part_of(call, "Deployment", api_of(world, call).deployments).shown


@operation(SERVICE, "UpdateDeployment")
def update_deployment(world: World, call: Call) -> Any:
    deployment = part_of(call, "Deployment", api_of(world, call).deployments)
    deployment.shown.update(given(call, "Description"))
    return deployment.shown


@operation(SERVICE, "DeleteDeployment")
def delete_deployment(world: World, call: Call) -> Any:
    api = api_of(world, call)
    deployment = part_of(call, "Deployment", api.deployments)
    if any(stage.get("DeploymentId") == deployment.id for stage in api.stages.values()):
        raise bad_request("Active stages pointing to this deployment must be moved or deleted")
    del api.deployments[deployment.id]
    return {}
