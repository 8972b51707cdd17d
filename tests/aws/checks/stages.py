"""API Gateway: canaries, caches, and APIs that the seed creates."""

from __future__ import annotations

import json
from typing import Any

from .harness import Aws, check


def _stage(aws: Aws, api: str) -> dict[str, Any]:
    found = aws.apigateway.get_stage(restApiId=api, stageName="prod")
    return {name: value for name, value in found.items() if name not in ("ResponseMetadata", "lastUpdatedDate")}


def _update(aws: Aws, api: str, *patches: tuple[str, ...]) -> dict[str, Any]:
    names = ("op", "path", "value", "from")
    operations = [dict(zip(names, patch, strict=False)) for patch in patches]
    return aws.apigateway.update_stage(restApiId=api, stageName="prod", patchOperations=operations)


@check
def canaries(aws: Aws) -> None:
    """A stage with a canary accepts only canary deployments. UpdateStage keeps, changes, promotes, and removes the
    canary."""
    seeded = aws.seed_api(
        {"method": "GET", "path": "/a"},
        stage_settings={"canary": {"percent_traffic": 25, "variables": {"backend": "green"}}},
    )
    api, of = seeded["api_id"], {"restApiId": seeded["api_id"]}
    before = _stage(aws, api)
    assert before["deploymentId"] == seeded["deployment_id"] != seeded["canary_deployment_id"]
    assert before["canarySettings"] == {
        "deploymentId": seeded["canary_deployment_id"],
        "percentTraffic": 25.0,
        "stageVariableOverrides": {"backend": "green"},
        "useStageCache": False,
    }
    deployments = len(aws.apigateway.get_deployments(**of)["items"])
    with aws.refused("BadRequestException", "Non canary deployment not supported on stage prod because Canary is"):
        aws.apigateway.create_deployment(**of, stageName="prod")
    for name, text in ((None, "Provided value is null"), ("none", "Stage none must already be created")):
        with aws.refused("BadRequestException", text):
            stage = {"stageName": name} if name else {}
            aws.apigateway.create_deployment(**of, **stage, canarySettings={"percentTraffic": 1})
    assert _stage(aws, api) == before and len(aws.apigateway.get_deployments(**of)["items"]) == deployments
    alone = aws.apigateway.create_deployment(**of)["id"]
    _update(aws, api, ("replace", "/deploymentId", alone))
    assert _stage(aws, api) == {**before, "deploymentId": alone}
    with aws.refused("BadRequestException", "Active stages pointing to this deployment"):
        aws.apigateway.delete_deployment(**of, deploymentId=seeded["canary_deployment_id"])
    second = aws.apigateway.create_deployment(**of, stageName="prod", canarySettings={"percentTraffic": 50})["id"]
    assert _stage(aws, api)["canarySettings"] == {
        "deploymentId": second,
        "percentTraffic": 50.0,
        "useStageCache": False,
    }
    before = _stage(aws, api)
    for text, patch in (
        ("Invalid add operation", ("add", "/canarySettings/deploymentId", alone)),
        ("Deployment id does not exist", ("replace", "/canarySettings/deploymentId", "none")),
        ("Invalid method setting path", ("replace", "/canarySettings/color", "red")),
        ("Cannot remove method setting", ("remove", "/canarySettings/stageVariableOverrides")),
        ("Invalid percentTraffic", ("replace", "/canarySettings/percentTraffic", "101")),
        ("Invalid copy operation", ("copy", "/canarySettings/deploymentId", None, "/deploymentId")),
    ):
        with aws.refused("BadRequestException", text):
            _update(aws, api, ("replace", "/canarySettings/percentTraffic", "1"), patch)
    assert _stage(aws, api) == before
    _update(
        aws,
        api,
        ("replace", "/canarySettings/stageVariableOverrides/x", "1"),
        ("replace", "/canarySettings/percentTraffic", "0.0"),
        ("copy", "/deploymentId", "", "/canarySettings/deploymentId"),
        ("copy", "/variables", "", "/canarySettings/stageVariableOverrides"),
    )
    promoted = _stage(aws, api)
    assert promoted["deploymentId"] == second and promoted["variables"] == {"backend": "blue", "x": "1"}
    _update(aws, api, ("remove", "/canarySettings"))
    assert "canarySettings" not in _stage(aws, api)
    with aws.refused("BadRequestException", "Canary does not exist"):
        _update(aws, api, ("copy", "/deploymentId", "", "/canarySettings/deploymentId"))
    _update(aws, api, ("replace", "/canarySettings/percentTraffic", "10"))
    assert _stage(aws, api)["canarySettings"]["deploymentId"] == second
    aws.apigateway.create_stage(
        **of, stageName="dev", deploymentId=alone, canarySettings={"deploymentId": second, "percentTraffic": 5}
    )
    assert aws.apigateway.get_stage(**of, stageName="dev")["canarySettings"]["deploymentId"] == second


@check
def canaries_take_their_share(aws: Aws) -> None:
    """The canary receives its share of the calls, in turn, with its own variables."""
    seeded = aws.seed_api({"method": "GET", "path": "/a"}, stage_settings={"canary": {"percent_traffic": 0}})
    of = {"restApiId": seeded["api_id"]}
    aws.apigateway.delete_method(**of, resourceId=seeded["methods"][0]["resource_id"], httpMethod="GET")
    aws.apigateway.put_method(**of, resourceId=seeded["root_resource_id"], httpMethod="GET", authorizationType="NONE")
    aws.apigateway.put_integration(**of, resourceId=seeded["root_resource_id"], httpMethod="GET", type="MOCK")
    aws.apigateway.create_deployment(**of, stageName="prod", canarySettings={"percentTraffic": 25})
    address = f"/_aws/execute-api/{seeded['api_id']}/prod/a"
    assert [aws.get(address) for _ in range(8)] == [200, 200, 200, 403] * 2


@check
def caches_of_stages(aws: Aws) -> None:
    """Size and state of the cache cluster, at creation and later."""
    api = aws.seed_api({"method": "GET", "path": "/a"}, stage_settings={"cache_cluster_size": "0.5"})["api_id"]
    found = _stage(aws, api)
    assert (found["cacheClusterEnabled"], found["cacheClusterSize"]) == (True, "0.5")
    assert found["cacheClusterStatus"] == "AVAILABLE"
    aws.apigateway.create_deployment(restApiId=api, stageName="prod")
    assert {**_stage(aws, api), "deploymentId": ""} == {**found, "deploymentId": ""}
    _update(aws, api, ("replace", "/cacheClusterEnabled", "false"))
    assert _stage(aws, api)["cacheClusterStatus"] == "NOT_AVAILABLE"


@check
def seed_makes_rich_apis(aws: Aws) -> None:
    """Every member of the seed is present in the account and in the responses of calls."""
    stack = {"aws:cloudformation:stack-name": "theirs"}
    policy = {"Version": "2012-10-17", "Statement": []}
    seeded = aws.seed_api(
        {
            "method": "POST",
            "path": "/orders",
            "integration": {"type": "AWS_PROXY"},
            "request_validator": "all",
            "request_models": {"application/json": "Order"},
            "request_parameters": {"method.request.querystring.q": True},
        },
        {
            "method": "GET",
            "path": "/orders",
            "api_key_required": True,
            "response_models": {"application/json": "Order"},
            "integration": {
                "type": "HTTP",
                "uri": "https://x.example.com",
                "integrationHttpMethod": "GET",
                "responses": [{"statusCode": "200", "selectionPattern": "2.."}],
            },
        },
        tags=stack,
        endpoint_type="EDGE",
        disable_execute_api_endpoint=True,
        binary_media_types=["image/png"],
        minimum_compression_size=100,
        api_key_source="AUTHORIZER",
        policy=policy,
        models=[{"name": "Order", "schema": {"type": "object", "title": "Order"}}],
        request_validators=[{"name": "all", "body": True, "parameters": True}],
        gateway_responses={"DEFAULT_4XX": {"responseParameters": {"gatewayresponse.header.a": "'1'"}}},
        usage_plans=[
            {"name": "gold", "keys": [{"name": "k", "value": "k" * 30}], "throttle": {"rateLimit": 5, "burstLimit": 9}}
        ],
        stage_settings={"variables": {"a": "1"}},
    )
    account = aws.account()
    (api,) = account["rest_apis"]
    assert api["tags"] == stack and api["endpointConfiguration"] == {"types": ["EDGE"]}
    assert api["disableExecuteApiEndpoint"] and api["binaryMediaTypes"] == ["image/png"]
    assert (api["minimumCompressionSize"], api["apiKeySource"]) == (100, "AUTHORIZER")
    assert json.loads(api["policy"]) == policy
    (model,) = api["models"]
    assert model["name"] == "Order" and json.loads(model["schema"])["title"] == "Order"
    (validator,) = api["request_validators"]
    assert validator["id"] == seeded["request_validators"]["all"] and validator["validateRequestBody"]
    assert [one["responseType"] for one in api["gateway_responses"]] == ["DEFAULT_4XX"]
    assert api["stages"][0]["variables"] == {"a": "1"}
    methods = next(one for one in api["resources"] if one["path"] == "/orders")["methods"]
    post, get = methods["POST"], methods["GET"]
    assert post["methodIntegration"]["type"] == "AWS_PROXY" and "methodResponses" not in post
    assert post["methodIntegration"]["uri"].endswith("function:backend/invocations")
    assert post["requestValidatorId"] == validator["id"] and post["requestModels"] == {"application/json": "Order"}
    assert get["methodIntegration"]["integrationResponses"]["200"]["selectionPattern"] == "2.."
    assert get["methodResponses"]["200"]["responseModels"] == {"application/json": "Order"}
    (plan,), (key,) = account["usage_plans"], account["api_keys"]
    assert plan["id"] == seeded["usage_plans"]["gold"] and plan["keys"] == [key["id"]]
    assert plan["apiStages"] == [{"apiId": api["id"], "stage": "prod"}] and plan["throttle"]["burstLimit"] == 9
    assert "k" * 30 not in json.dumps(account) and key["enabled"]
    assert api["deployments"][0]["snapshot"]["models"]["Order"]["name"] == "Order"
    empty = aws.control("POST", "seed", {"api": {"name": "empty", "stage": "prod", "methods": []}})
    assert empty["deployment_id"] is None and empty["methods"] == []


@check
def seed_leaves_edits_pending(aws: Aws) -> None:
    """Each kind of edit changes the draft and not the deployment."""
    plain = [{"method": "GET", "path": "/a"}, {"method": "GET", "path": "/old"}, {"method": "GET", "path": "/b"}]
    served: list[Any] = []
    for pending in (
        [],
        [{"method": "GET", "path": "/new", "integration": {"type": "HTTP_PROXY"}}],
        [{"remove": "GET /old"}],
        [{"change": "GET /b", "integration": {"type": "HTTP_PROXY"}}],
        [{"change": "GET /b", "authorization_type": "AWS_IAM", "api_key_required": True}],
        [{"authorizer": "own"}],
        [{"gateway_responses": {"UNAUTHORIZED": {"statusCode": "400"}}}],
        [{"settings": {"/minimumCompressionSize": "10"}}],
    ):
        aws.reset()
        seeded = aws.seed_api(*plain, pending=pending)
        exported = aws.apigateway.get_export(
            restApiId=seeded["api_id"], stageName="prod", exportType="swagger", parameters={"extensions": "apigateway"}
        )
        document = json.loads(exported["body"].read())
        (api,) = aws.account()["rest_apis"]
        (deployment,) = api["deployments"]
        assert set(document["paths"]) == {"/a", "/old", "/b"}
        draft = {one["path"]: one["methods"] for one in api["resources"] if one["methods"]}
        now = {
            "methods": draft,
            "gateway_responses": {one["responseType"]: one for one in api["gateway_responses"]},
            "minimum": api.get("minimumCompressionSize"),
        }
        snapshot = deployment["snapshot"]
        then = {
            "methods": snapshot["methods"],
            "gateway_responses": snapshot["gateway_responses"],
            "minimum": snapshot["settings"].get("minimumCompressionSize"),
        }
        assert (now == then) == (not pending), pending
        served.append({path: sorted(verbs) for path, verbs in snapshot["methods"].items()})
    assert all(one == served[0] for one in served)
    assert "error" in aws.control(
        "POST", "seed", {"api": {"name": "x", "stage": "s", "methods": plain, "pending": [{"wrong": 1}]}}
    )


@check
def stage_settings_have_defaults(aws: Aws) -> None:
    """What a method's settings have besides the one that was set; a stage without any has an empty map and no tags."""
    api = aws.seed_api({"method": "GET", "path": "/a"})["api_id"]
    _update(aws, api, ("replace", "/a/GET/metrics/enabled", "true"))
    assert _stage(aws, api)["methodSettings"]["a/GET"] == {
        "cacheDataEncrypted": False,
        "cacheTtlInSeconds": 300,
        "cachingEnabled": False,
        "dataTraceEnabled": False,
        "metricsEnabled": True,
        "requireAuthorizationForCacheControl": True,
        "throttlingBurstLimit": 5000,
        "throttlingRateLimit": 10000.0,
        "unauthorizedCacheControlHeaderStrategy": "SUCCEED_WITH_RESPONSE_HEADER",
    }
    deployment = aws.apigateway.get_deployments(restApiId=api)["items"][0]["id"]
    made = aws.apigateway.create_stage(restApiId=api, stageName="bare", deploymentId=deployment)
    (bare,) = [stage for stage in aws.apigateway.get_stages(restApiId=api)["item"] if stage["stageName"] == "bare"]
    for stage in (made, bare):
        stage.pop("ResponseMetadata", None)
        assert set(stage) == {
            "cacheClusterEnabled",
            "cacheClusterStatus",
            "createdDate",
            "deploymentId",
            "lastUpdatedDate",
            "methodSettings",
            "stageName",
            "tracingEnabled",
        }, stage
