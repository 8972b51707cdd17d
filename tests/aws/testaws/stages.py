"""API Gateway (REST): stages, the deployments they point to, and their canaries."""

from __future__ import annotations

import copy
import time
from typing import Any

from moto.apigateway.models import RestAPI, Stage

from .api_json import clean, without_empty
from .apigateway import api_of, bad_request, conflict, not_found
from .errors import AwsError
from .gateway import operation
from .rest_apis import check_tags
from .wire import Call
from .account_state import World


def _default_settings(self: Stage) -> dict[str, Any]:
    settings = _moto_settings(self)
    return {**settings, "cacheDataEncrypted": False, "throttlingRateLimit": 10000.0, "throttlingBurstLimit": 5000}


_moto_settings, Stage._get_default_method_settings = Stage._get_default_method_settings, _default_settings


def stage_json(stage: Stage) -> dict[str, Any]:
    found = without_empty(clean(stage.to_json()), "variables", "description")
    found.setdefault("cacheClusterStatus", "NOT_AVAILABLE")
    found.setdefault("tracingEnabled", False)
    canary = canary_of(stage)
    if canary is not None:
        found["canarySettings"] = without_empty(canary, "stageVariableOverrides")
    found["createdDate"] = getattr(stage, "created_date", 0)
    found["lastUpdatedDate"] = getattr(stage, "last_updated_date", 0)
    return found


def stage_of(call: Call, api: RestAPI) -> Stage:
    stage = api.stages.get(call.params["stageName"])
    if stage is None:
        raise not_found("Invalid stage identifier specified")
    return stage


# --- deployments of a stage


def point(world: World, api: RestAPI, stage: Stage, deployment_id: str) -> None:
    """Moves a stage. For `deployment_lag` requests, callers still reach the former deployment."""
    if deployment_id == stage.deployment_id:
        return
    stage.lagging = (world.config["deployment_lag"], serving(api, stage, peek=True))
    stage.deployment_id = deployment_id


def serving(api: RestAPI, stage: Stage, peek: bool = False) -> dict[str, Any]:
    """The snapshot for the next request to a stage. With `peek`, the request is not counted."""
    left, former = getattr(stage, "lagging", (0, None))
    if left > 0 and former is not None:
        if not peek:
            stage.lagging = (left - 1, former)
        return former
    return api.deployments[stage.deployment_id].snapshot


def canary_of(stage: Stage) -> dict[str, Any] | None:
    return getattr(stage, "canary_settings", None)


def start_canary(api: RestAPI, stage: Stage, settings: dict[str, Any], deployment_id: str | None = None) -> None:
    """Adds a canary to a stage. Without its own deployment, the canary uses the stage's."""
    wanted = deployment_id or settings.get("deploymentId") or stage.deployment_id
    if wanted not in api.deployments:
        raise bad_request("Deployment id does not exist")
    stage.canary_settings = {
        "deploymentId": wanted,
        "percentTraffic": _percent(settings.get("percentTraffic", 0.0)),
        "stageVariableOverrides": dict(settings.get("stageVariableOverrides") or {}),
        "useStageCache": bool(settings.get("useStageCache", False)),
    }


def takes_canary(stage: Stage) -> bool:
    """Whether the next request goes to the canary. AWS decides at random, but here the order is deterministic."""
    canary = canary_of(stage)
    if canary is None:
        return False
    stage.canary_turn = turn = getattr(stage, "canary_turn", 0) + 1
    share = canary["percentTraffic"] / 100
    return int(turn * share) > int((turn - 1) * share)


def _percent(value: Any) -> float:
    try:
        share = float(value)
    except (TypeError, ValueError):
        share = -1.0
    if not 0 <= share <= 100:
        raise bad_request("Invalid percentTraffic specified. Must be between 0.0 and 100.0")
    return share


# --- operations


@operation("apigateway", "CreateStage")
def create_stage(world: World, call: Call) -> Any:
    api = api_of(call)
    name = call.params["stageName"]
    if name in api.stages:
        raise conflict("Stage already exists")
    if call.params["deploymentId"] not in api.deployments:
        raise not_found("Invalid Deployment identifier specified")
    check_tags(call, call.get("tags", {}))
    canary = call.get("canarySettings")
    if canary is not None and canary.get("deploymentId", call.params["deploymentId"]) not in api.deployments:
        raise bad_request("Deployment id does not exist")
    call.result()
    stage = api.stages[name]
    if canary is not None:
        start_canary(api, stage, canary)
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
    # A patch does not change the formerly served snapshot, which is too large to copy for each patch.
    before = {name: value if name == "lagging" else copy.deepcopy(value) for name, value in stage.__dict__.items()}
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
    if kind == "copy":
        _promote(world, api, stage, patch)
    elif path.startswith("/canarySettings"):
        _patch_canary(api, stage, patch)
    elif path == "/deploymentId" and kind == "replace":
        if value not in api.deployments:
            raise bad_request("Invalid Deployment identifier specified")
        point(world, api, stage, value)
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


def _patch_canary(api: RestAPI, stage: Stage, patch: dict[str, Any]) -> None:
    kind, path, value = patch.get("op"), patch["path"], patch.get("value")
    name = path.removeprefix("/canarySettings").removeprefix("/")
    override = name.removeprefix("stageVariableOverrides/") if name.startswith("stageVariableOverrides/") else None
    if kind == "remove" and not name:
        stage.canary_settings = None
        return
    if kind == "remove" and override and override in (canary_of(stage) or {}).get("stageVariableOverrides", {}):
        del stage.canary_settings["stageVariableOverrides"][override]
        return
    if kind == "remove":
        raise bad_request(
            f"Cannot remove method setting {path.removeprefix('/')} because there is no method setting for this method "
        )
    if kind != "replace":
        raise bad_request(f"Invalid {kind} operation with path: {path}")
    if override is None and name not in ("percentTraffic", "deploymentId", "useStageCache"):
        raise bad_request(f"Invalid method setting path: {path}.")
    if canary_of(stage) is None:
        start_canary(api, stage, {})
    canary = stage.canary_settings
    if override is not None:
        canary["stageVariableOverrides"][override] = value
    elif name == "percentTraffic":
        canary[name] = _percent(value)
    elif name == "useStageCache":
        canary[name] = str(value).lower() == "true"
    elif value in api.deployments:
        canary[name] = value
    else:
        raise bad_request("Deployment id does not exist")


def _promote(world: World, api: RestAPI, stage: Stage, patch: dict[str, Any]) -> None:
    path, source = patch.get("path"), patch.get("from")
    pairs = {
        "/deploymentId": "/canarySettings/deploymentId",
        "/variables": "/canarySettings/stageVariableOverrides",
    }
    if pairs.get(path) != source:
        raise bad_request(
            f"Invalid copy operation with path: {path} and from {source}. Valid copy:path are "
            f"[{', '.join(pairs)}] and valid copy:from are [{', '.join(pairs.values())}]"
        )
    canary = canary_of(stage)
    if canary is None:
        raise bad_request("Promotion not available. Canary does not exist.")
    if path == "/variables":
        stage.variables = {**stage.variables, **canary["stageVariableOverrides"]}
    else:
        point(world, api, stage, canary["deploymentId"])
