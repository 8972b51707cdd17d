"""API Gateway."""

from __future__ import annotations

import json
from typing import Any

from .harness import Aws, check

FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:f"
URI = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{FUNCTION}/invocations"


def _authorizer(aws: Aws, api: str, name: str = "ours", **more: Any) -> str:
    parameters = {
        "restApiId": api,
        "name": name,
        "type": "REQUEST",
        "authorizerUri": URI,
        "identitySource": "method.request.header.apikey",
        "authorizerResultTtlInSeconds": 0,
        **more,
    }
    return aws.apigateway.create_authorizer(**parameters)["id"]


def _method(aws: Aws, api: dict[str, Any], index: int = 0) -> dict[str, str]:
    method = api["methods"][index]
    return {"restApiId": api["api_id"], "resourceId": method["resource_id"], "httpMethod": method["method"]}


def _patch(**values: str) -> list[dict[str, str]]:
    return [{"op": "replace", "path": f"/{name}", "value": value} for name, value in values.items()]


@check
def update_method(aws: Aws) -> None:
    """Attaching and detaching an authorizer leaves everything else unchanged."""
    api = aws.seed_api({"method": "GET", "path": "/a", "api_key_required": True, "operation_name": "op"})
    of = _method(aws, api)
    before = aws.apigateway.get_method(**of)
    custom = {"authorizationType": "CUSTOM"}
    with aws.refused("BadRequestException", "Invalid authorizer ID specified"):
        aws.apigateway.update_method(**of, patchOperations=_patch(**custom))
    with aws.refused("BadRequestException", "Invalid authorizer ID specified"):
        aws.apigateway.update_method(**of, patchOperations=_patch(**custom, authorizerId="abc123"))
    ours = _authorizer(aws, api["api_id"])
    changed = aws.apigateway.update_method(**of, patchOperations=_patch(**custom, authorizerId=ours))
    assert (changed["authorizationType"], changed["authorizerId"]) == ("CUSTOM", ours)
    assert changed["apiKeyRequired"] and changed["operationName"] == "op"
    assert changed["methodIntegration"]["type"] == "MOCK"
    with aws.refused("ConflictException", "Cannot delete authorizer 'ours', is referenced in method: GET//a"):
        aws.apigateway.delete_authorizer(restApiId=api["api_id"], authorizerId=ours)
    aws.apigateway.update_method(**of, patchOperations=_patch(authorizationType="NONE"))
    after = aws.apigateway.get_method(**of)
    for reply in (before, after):
        reply.pop("ResponseMetadata")
    assert before == after, (before, after)
    ignored = aws.apigateway.update_method(**of, patchOperations=_patch(authorizerId=ours))
    assert "authorizerId" not in ignored
    for op, path, text in (
        ("add", "/operationName", "Must be one of: [replace]"),
        ("remove", "/authorizerId", "Must be one of: [replace]"),
        ("replace", "/httpMethod", "Invalid patch path /httpMethod"),
    ):
        with aws.refused("BadRequestException", text):
            aws.apigateway.update_method(**of, patchOperations=[{"op": op, "path": path, "value": "x"}])
    with aws.refused("BadRequestException", "Invalid Request Validator identifier specified"):
        aws.apigateway.update_method(**of, patchOperations=_patch(requestValidatorId="fake"))
    for wrong, text in (
        ({"restApiId": "fake"}, "Invalid Resource identifier specified"),
        ({"resourceId": "fake"}, "Invalid Resource identifier specified"),
        ({"httpMethod": "PUT"}, "Invalid Method identifier specified"),
    ):
        with aws.refused("NotFoundException", text):
            aws.apigateway.update_method(**{**of, **wrong}, patchOperations=[])
    aws.apigateway.delete_authorizer(restApiId=api["api_id"], authorizerId=ours)


@check
def update_method_scopes(aws: Aws) -> None:
    """The scopes of a method with a user pool can be removed and restored."""
    api = aws.seed_api(
        {
            "method": "GET",
            "path": "/a",
            "authorizer": "pool",
            "authorization_type": "COGNITO_USER_POOLS",
            "scopes": ["x/r", "x/w"],
        }
    )
    of = _method(aws, api)
    before = aws.account()
    pool, ours = api["authorizers"]["pool"], _authorizer(aws, api["api_id"])
    take = [{"op": "remove", "path": "/authorizationScopes", "value": scope} for scope in ("x/r", "x/w")]
    take += _patch(authorizationType="CUSTOM", authorizerId=ours)
    assert "authorizationScopes" not in aws.apigateway.update_method(**of, patchOperations=take)
    back = _patch(authorizationType="COGNITO_USER_POOLS", authorizerId=pool)
    back += [{"op": "add", "path": "/authorizationScopes", "value": scope} for scope in ("x/r", "x/w")]
    assert aws.apigateway.update_method(**of, patchOperations=back)["authorizationScopes"] == ["x/r", "x/w"]
    aws.apigateway.delete_authorizer(restApiId=api["api_id"], authorizerId=ours)
    assert aws.account() == before


@check
def put_method_refuses_existing(aws: Aws) -> None:
    """The response is a 409, and the existing integration remains."""
    of = _method(aws, aws.seed_api({"method": "GET", "path": "/a"}))
    with aws.refused("ConflictException"):
        aws.apigateway.put_method(**of, authorizationType="NONE")
    assert aws.apigateway.get_method(**of)["methodIntegration"]
    with aws.refused("BadRequestException"):
        aws.apigateway.put_method(**{**of, "httpMethod": "PUT"}, authorizationType="CUSTOM", authorizerId="none")


@check
def authorizers(aws: Aws) -> None:
    """Parameters that AWS refuses, updates, and paging."""
    api = aws.seed_api({"method": "GET", "path": "/a"})["api_id"]
    ours = _authorizer(aws, api)
    for parameters in (
        {},
        {"name": "b", "authorizerUri": FUNCTION},
        {"name": "b", "authorizerResultTtlInSeconds": 3601},
        {"name": "b", "identitySource": "header.apikey"},
        {"name": "b", "identitySource": "", "authorizerResultTtlInSeconds": 300},
        {"name": "b", "type": "TOKEN", "identitySource": ""},
    ):
        with aws.refused("BadRequestException"):
            _authorizer(aws, api, **parameters)
    aws.apigateway.update_authorizer(
        restApiId=api, authorizerId=ours, patchOperations=_patch(authorizerResultTtlInSeconds="5")
    )
    found = aws.apigateway.get_authorizer(restApiId=api, authorizerId=ours)
    assert found["authorizerResultTtlInSeconds"] == 5
    with aws.refused("BadRequestException"):
        aws.apigateway.update_authorizer(restApiId=api, authorizerId=ours, patchOperations=_patch(authorizerUri="x"))
    for index in range(9):
        _authorizer(aws, api, f"n{index}")
    with aws.refused("LimitExceededException"):
        _authorizer(aws, api, "eleventh")
    with aws.refused("ConflictException", "Unable to complete operation due to concurrent modification."):
        _authorizer(aws, "nowhere")
    with aws.refused("NotFoundException", "Invalid API identifier specified 123456789012:nowhere"):
        aws.apigateway.get_authorizers(restApiId="nowhere")
    page = aws.apigateway.get_authorizers(restApiId=api, limit=4)
    assert len(page["items"]) == 4 and page["position"]
    with aws.refused("NotFoundException"):
        aws.apigateway.delete_authorizer(restApiId=api, authorizerId="none")


@check
def deployments_are_snapshots(aws: Aws) -> None:
    """A stage keeps its settings, changes to the draft are not visible, and the stage can move back to the old
    deployment."""
    api = aws.seed_api({"method": "GET", "path": "/a"}, {"method": "ANY", "path": "/{proxy+}"})
    of = {"restApiId": api["api_id"]}
    stage = {**of, "stageName": "prod"}
    before = aws.apigateway.get_stage(**stage)
    assert before["methodSettings"]["*/*"]["throttlingRateLimit"] == 50 and before["variables"] and before["tags"]

    def summary(deployment: str) -> dict[str, Any]:
        return aws.apigateway.get_deployment(**of, deploymentId=deployment, embed=["apisummary"])["apiSummary"]

    ours = _authorizer(aws, api["api_id"])
    patch = _patch(authorizationType="CUSTOM", authorizerId=ours)
    aws.apigateway.update_method(**_method(aws, api), patchOperations=patch)
    first = before["deploymentId"]
    assert summary(first)["/a"]["GET"] == {"authorizationType": "NONE", "apiKeyRequired": False}
    assert "apiSummary" not in aws.apigateway.get_deployment(**of, deploymentId=first)
    second = aws.apigateway.create_deployment(**stage, description="ours")["id"]
    assert summary(second)["/a"]["GET"]["authorizationType"] == "CUSTOM"
    after = aws.apigateway.get_stage(**stage)
    for one in (before, after):
        for name in ("deploymentId", "lastUpdatedDate", "ResponseMetadata"):
            one.pop(name)
    assert before == after, (before, after)
    with aws.refused("BadRequestException", "Active stages pointing to this deployment must be moved or deleted"):
        aws.apigateway.delete_deployment(**of, deploymentId=second)
    with aws.refused("BadRequestException"):
        aws.apigateway.update_stage(**stage, patchOperations=_patch(deploymentId="none"))
    aws.apigateway.update_stage(**stage, patchOperations=_patch(deploymentId=first))
    aws.apigateway.delete_deployment(**of, deploymentId=second)
    assert [item["id"] for item in aws.apigateway.get_deployments(**of)["items"]] == [first]
    assert aws.apigateway.get_stages(**of)["item"][0]["deploymentId"] == first
    with aws.refused("NotFoundException"):
        aws.apigateway.get_deployment(**of, deploymentId=second)


@check
def deployment_needs_integrations(aws: Aws) -> None:
    """A deployment with a method that has no integration is refused."""
    api = aws.seed_api({"method": "GET", "path": "/a"})
    aws.apigateway.put_method(**{**_method(aws, api), "httpMethod": "PUT"}, authorizationType="NONE")
    with aws.refused("BadRequestException", "No integration defined for method"):
        aws.apigateway.create_deployment(restApiId=api["api_id"], stageName="prod")


@check
def resources_page_and_embed(aws: Aws) -> None:
    """25 a page; bodies of methods only with embed=methods; the order is by no rule."""
    api = aws.seed_api(*({"method": "GET", "path": f"/r{index}"} for index in range(30)))["api_id"]
    page = aws.apigateway.get_resources(restApiId=api)
    assert len(page["items"]) == 25 and page["position"]
    rest = aws.apigateway.get_resources(restApiId=api, position=page["position"])
    assert len(rest["items"]) == 6 and "position" not in rest
    items = page["items"] + rest["items"]
    assert [item["id"] for item in items] == sorted(item["id"] for item in items)
    assert all(item.get("resourceMethods") == (None if item["path"] == "/" else {"GET": {}}) for item in items)
    items = aws.apigateway.get_resources(restApiId=api, limit=500, embed=["methods"])["items"]
    first = next(item for item in items if item["path"] == "/r0")
    assert len(items) == 31 and first["resourceMethods"]["GET"]["authorizationType"] == "NONE"
    aws.configure(page_size=2)
    assert len(aws.apigateway.get_resources(restApiId=api, limit=500)["items"]) == 2


@check
def rest_apis_page(aws: Aws) -> None:
    """GetRestApis pages with a position too."""
    for _ in range(3):
        aws.seed_api({"method": "GET", "path": "/a"})
    aws.configure(page_size=2)
    page = aws.apigateway.get_rest_apis()
    assert len(page["items"]) == 2
    assert len(aws.apigateway.get_rest_apis(position=page["position"])["items"]) == 1
    with aws.refused("NotFoundException"):
        aws.apigateway.get_rest_api(restApiId="nowhere")


@check
def tags_of_apis_and_stages(aws: Aws) -> None:
    """APIs and stages are tagged by ARN."""
    api = aws.seed_api({"method": "GET", "path": "/a"}, tags={"a": "1"})["api_id"]
    arn = f"arn:aws:apigateway:us-east-1::/restapis/{api}"
    for one, before in ((arn, {"a": "1"}), (f"{arn}/stages/prod", {"owner": "orders-team"})):
        assert aws.apigateway.get_tags(resourceArn=one)["tags"] == before
        aws.apigateway.tag_resource(resourceArn=one, tags={"b": "2"})
        aws.apigateway.untag_resource(resourceArn=one, tagKeys=list(before))
        assert aws.apigateway.get_tags(resourceArn=one)["tags"] == {"b": "2"}


@check
def control_call_rate(aws: Aws) -> None:
    """With a configured rate, calls beyond the burst receive a 429."""
    api = aws.seed_api({"method": "GET", "path": "/a"})["api_id"]
    aws.configure(apigateway_rate={"per_second": 0.001, "burst": 3})
    for _ in range(3):
        aws.apigateway.get_rest_api(restApiId=api)
    with aws.refused("TooManyRequestsException"):
        aws.apigateway.get_rest_api(restApiId=api)
    aws.advance(1000)
    aws.apigateway.get_rest_api(restApiId=api)


@check
def attributes_of_apis(aws: Aws) -> None:
    """Attributes are stored at creation and changed by patches, all or nothing. Tags with the reserved prefix are
    refused."""
    made = aws.apigateway.create_rest_api(
        name="a", version="2", binaryMediaTypes=["image/png"], endpointConfiguration={"types": ["PRIVATE"]}
    )
    of = {"restApiId": made["id"]}
    assert (made["version"], made["binaryMediaTypes"]) == ("2", ["image/png"])
    assert made["endpointConfiguration"]["types"] == ["PRIVATE"] and made["disableExecuteApiEndpoint"] is False
    patches = [
        {"op": "add", "path": "/binaryMediaTypes/image~1gif"},
        {"op": "remove", "path": "/binaryMediaTypes/image~1png"},
        {"op": "replace", "path": "/endpointConfiguration/types/PRIVATE", "value": "REGIONAL"},
        *_patch(disableExecuteApiEndpoint="true", minimumCompressionSize="7", apiKeySource="AUTHORIZER"),
    ]
    changed = aws.apigateway.update_rest_api(**of, patchOperations=patches)
    assert changed["binaryMediaTypes"] == ["image/gif"] and changed["endpointConfiguration"]["types"] == ["REGIONAL"]
    assert changed["disableExecuteApiEndpoint"] and changed["minimumCompressionSize"] == 7
    before = aws.account()
    (listed,) = before["rest_apis"]
    assert listed["endpointConfiguration"] == {"types": ["REGIONAL"]} and listed["disableExecuteApiEndpoint"]
    for patch, text in (
        ({"op": "replace", "path": "/minimumCompressionSize", "value": "-1"}, "Invalid minimum compression size"),
        ({"op": "replace", "path": "/endpointConfiguration/types/EDGE", "value": "HUGE"}, "Invalid EndpointTypes"),
        ({"op": "add", "path": "/name", "value": "b"}, "Must be one of: [replace]"),
        ({"op": "replace", "path": "/policy", "value": "{"}, "Invalid policy document"),
        ({"op": "replace", "path": "/color", "value": "red"}, "Invalid patch path"),
    ):
        with aws.refused("BadRequestException", text):
            aws.apigateway.update_rest_api(**of, patchOperations=[*_patch(name="b"), patch])
    assert aws.account() == before
    stack = {"aws:cloudformation:stack-name": "theirs"}
    with aws.refused("BadRequestException", "aws: prefixed"):
        aws.apigateway.tag_resource(resourceArn=f"arn:aws:apigateway:us-east-1::/restapis/{made['id']}", tags=stack)
    with aws.refused("BadRequestException", "aws: prefixed"):
        aws.apigateway.create_rest_api(name="b", tags=stack)
    seeded = aws.seed_api({"method": "GET", "path": "/a"}, tags=stack)["api_id"]
    assert aws.apigateway.get_rest_api(restApiId=seeded)["tags"] == stack
    with aws.refused("BadRequestException", "aws: prefixed"):
        aws.apigateway.untag_resource(
            resourceArn=f"arn:aws:apigateway:us-east-1::/restapis/{seeded}", tagKeys=list(stack)
        )


@check
def apis_are_shown_as_aws_does(aws: Aws) -> None:
    """The address type, the policy escaped once more, no tags in an answer about one API that has none."""
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*"}]}
    made = aws.apigateway.create_rest_api(name="a", policy=json.dumps(policy))
    one = aws.apigateway.get_rest_api(restApiId=made["id"])
    (listed,) = aws.apigateway.get_rest_apis()["items"]
    assert "tags" not in made and "tags" not in one and listed["tags"] == {}
    for shown in (made, one, listed):
        assert shown["endpointConfiguration"] == {"types": ["EDGE"], "ipAddressType": "ipv4"}
        assert shown["policy"].startswith('{\\"Version\\"') and json.loads(json.loads(f'"{shown["policy"]}"')) == policy
    private = aws.apigateway.create_rest_api(name="b", endpointConfiguration={"types": ["PRIVATE"]}, tags={"a": "1"})
    assert private["endpointConfiguration"]["ipAddressType"] == "dualstack" and private["tags"] == {"a": "1"}


@check
def methods_keep_what_they_were_made_with(aws: Aws) -> None:
    """Maps that are empty stay so until they are patched; how an HTTP backend is reached; the transfer mode."""
    api = aws.seed_api({"method": "GET", "path": "/a"})
    of = {**_method(aws, api), "httpMethod": "ANY"}
    aws.apigateway.put_method(**of, authorizationType="NONE", requestParameters={}, requestModels={})
    aws.apigateway.put_method_response(**of, statusCode="200", responseModels={})
    made = aws.apigateway.put_integration(
        **of, type="HTTP", integrationHttpMethod="GET", uri="http://a.example.com", requestTemplates={}
    )
    assert (made["connectionType"], made["requestTemplates"]) == ("INTERNET", {}) and "requestParameters" not in made
    answered = aws.apigateway.put_integration_response(**of, statusCode="200", selectionPattern="")
    answered.pop("ResponseMetadata")
    assert answered == {"statusCode": "200", "selectionPattern": ""}
    shown = aws.apigateway.update_method(**of, patchOperations=_patch(operationName="op"))
    assert (shown["requestParameters"], shown["requestModels"]) == ({}, {})
    assert shown["methodResponses"] == {"200": {"statusCode": "200", "responseModels": {}}}
    assert shown["methodIntegration"]["integrationResponses"] == {"200": {"statusCode": "200"}}
    path = "/requestParameters/method.request.querystring.q"
    aws.apigateway.update_method(**of, patchOperations=[{"op": "add", "path": path, "value": "true"}])
    shown = aws.apigateway.update_method(**of, patchOperations=[{"op": "remove", "path": path}])
    assert "requestParameters" not in shown and shown["requestModels"] == {}
    mode = {"responseTransferMode": "STREAM"}
    streamed = aws.apigateway.put_integration(
        **of, type="HTTP_PROXY", integrationHttpMethod="GET", uri="http://a.example.com", **mode
    )
    assert mode.items() <= streamed.items() and mode.items() <= aws.apigateway.get_integration(**of).items()
    for kind, uri in (("MOCK", None), ("AWS_PROXY", URI)):
        more = {"uri": uri, "integrationHttpMethod": "POST"} if uri else {}
        assert "connectionType" not in aws.apigateway.put_integration(**of, type=kind, **more)


@check
def errors_can_be_given(aws: Aws) -> None:
    """A quota that answers 429 like a throttle, and a modification at the same time, by code and text."""
    api = aws.seed_api({"method": "GET", "path": "/a"})["api_id"]
    for code, status, text in (
        ("LimitExceededException", 429, "Maximum number of Resources for this API has been reached."),
        ("ConflictException", 409, "Unable to complete operation due to concurrent modification."),
    ):
        rule = {"service": "apigateway", "kind": "error", "times": 1}
        aws.faults({**rule, "code": code, "message": text, "status": status})
        with aws.refused(code, text):
            aws.apigateway.get_rest_api(restApiId=api)
        assert aws.log()[-1]["status"] == status
