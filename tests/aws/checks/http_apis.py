"""API Gateway v2: the control plane of HTTP APIs and WebSocket APIs."""

from __future__ import annotations

import json
import threading
from typing import Any

from botocore.exceptions import ClientError

from .harness import Aws, check

URI = (
    "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/"
    "arn:aws:lambda:us-east-1:123456789012:function:f/invocations"
)
REQUEST: dict[str, Any] = {
    "Name": "ours",
    "AuthorizerType": "REQUEST",
    "AuthorizerUri": URI,
    "IdentitySource": [],
    "AuthorizerPayloadFormatVersion": "2.0",
    "EnableSimpleResponses": True,
    "AuthorizerResultTtlInSeconds": 0,
}
JWT: dict[str, Any] = {
    "Name": "tokens",
    "AuthorizerType": "JWT",
    "IdentitySource": ["$request.header.Authorization"],
    "JwtConfiguration": {"Issuer": "https://issuer.example.com", "Audience": ["orders"]},
}
BUSY = "Unable to complete operation due to concurrent modification. Please try again later."


def seed(aws: Aws, *routes: Any, **more: Any) -> dict[str, Any]:
    """An HTTP API with these routes, by key or in the format of the seed."""
    listed = [{"key": route} if isinstance(route, str) else route for route in routes]
    api = {"protocol": "HTTP", "name": "orders", "routes": listed, **more}
    found = aws.control("POST", "seed", {"api": api})
    assert "error" not in found, found
    return found


def route_of(aws: Aws, api_id: str, key: str) -> dict[str, Any]:
    (found,) = [route for route in aws.apigatewayv2.get_routes(ApiId=api_id)["Items"] if route["RouteKey"] == key]
    return found


def stage_of(aws: Aws, api_id: str, name: str = "prod") -> dict[str, Any]:
    return aws.apigatewayv2.get_stage(ApiId=api_id, StageName=name)


def deployment_ids(aws: Aws, api_id: str) -> list[str]:
    return [one["DeploymentId"] for one in aws.apigatewayv2.get_deployments(ApiId=api_id)["Items"]]


@check
def apis_of_version_2(aws: Aws) -> None:
    """They have a log service of their own, verbs as IAM actions, ISO dates, and no null members."""
    made = aws.apigatewayv2.create_api(Name="a", ProtocolType="HTTP", Tags={"k": "v"})
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201, made
    api_id = made["ApiId"]
    assert made["ApiEndpoint"] == f"https://{api_id}.execute-api.us-east-1.amazonaws.com"
    assert "CorsConfiguration" not in made and "Description" not in made
    (entry,) = aws.log()
    assert (entry["service"], entry["operation"]) == ("apigatewayv2", "CreateApi")
    assert entry["iam_actions"] == ["apigateway:POST"] and entry["model_errors"] == []
    assert entry["iam_resource"] == "arn:aws:apigateway:us-east-1::/apis"
    cors = {"AllowOrigins": ["https://x.example"], "AllowMethods": ["GET"]}
    updated = aws.apigatewayv2.update_api(ApiId=api_id, Name="b", CorsConfiguration=cors)
    assert updated["Name"] == "b" and updated["CorsConfiguration"]["AllowOrigins"] == ["https://x.example"]
    deleted = aws.apigatewayv2.delete_cors_configuration(ApiId=api_id)
    assert deleted["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert "CorsConfiguration" not in aws.apigatewayv2.get_api(ApiId=api_id)
    with aws.refused("BadRequestException", "ProtocolType"):
        aws.apigatewayv2.create_api(Name="a", ProtocolType="SOAP")
    with aws.refused("BadRequestException", "RouteSelectionExpression"):
        aws.apigatewayv2.create_api(Name="a", ProtocolType="WEBSOCKET")
    arn = f"arn:aws:apigateway:us-east-1::/apis/{api_id}"
    aws.apigatewayv2.tag_resource(ResourceArn=arn, Tags={"l": "w"})
    aws.apigatewayv2.untag_resource(ResourceArn=arn, TagKeys=["k"])
    assert aws.apigatewayv2.get_tags(ResourceArn=arn)["Tags"] == {"l": "w"}
    with aws.refused("BadRequestException", "aws:"):
        aws.apigatewayv2.tag_resource(ResourceArn=arn, Tags={"aws:x": "w"})
    aws.apigatewayv2.delete_api(ApiId=api_id)
    try:
        aws.apigatewayv2.get_api(ApiId=api_id)
    except ClientError as error:
        assert error.response["ResourceType"] == "Api", error.response
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 404
    else:
        raise AssertionError("a deleted API was found")
    # Neither version finds the other one's APIs.
    with aws.refused("NotFoundException"):
        aws.apigateway.get_rest_api(restApiId=seed(aws, "GET /a")["api_id"])
    with aws.refused("NotFoundException"):
        aws.apigatewayv2.get_api(ApiId=aws.seed_api({"method": "GET", "path": "/a"})["api_id"])


@check
def listings_of_version_2_have_pages(aws: Aws) -> None:
    """`page_size` limits them, and so does `MaxResults`, which is text."""
    api_id = seed(aws, *(f"GET /{name}" for name in "abcde"))["api_id"]
    assert len(aws.apigatewayv2.get_routes(ApiId=api_id)["Items"]) == 5
    aws.configure(page_size=2)
    pages = aws.apigatewayv2.get_paginator("get_routes").paginate(ApiId=api_id)
    assert [len(page["Items"]) for page in pages] == [2, 2, 1]
    aws.configure(page_size=None)
    page = aws.apigatewayv2.get_routes(ApiId=api_id, MaxResults="3")
    assert len(page["Items"]) == 3
    rest = aws.apigatewayv2.get_routes(ApiId=api_id, NextToken=page["NextToken"])
    assert len(rest["Items"]) == 2 and "NextToken" not in rest
    with aws.refused("BadRequestException"):
        aws.apigatewayv2.get_routes(ApiId=api_id, MaxResults="many")


@check
def route_keys(aws: Aws) -> None:
    """A key exists once, has a known method, and its greedy parameter is the last part."""
    api_id = seed(aws, "GET /a/{id}", "$default", "ANY /b/{proxy+}")["api_id"]
    for key in ("GETT /a", "/a", "GET a", "GET /{a+}/b", "GET /x{a}", "$connect"):
        with aws.refused("BadRequestException", "not formatted properly"):
            aws.apigatewayv2.create_route(ApiId=api_id, RouteKey=key)
    with aws.refused("ConflictException", "Route with key GET /a/{id} already exists for this API"):
        aws.apigatewayv2.create_route(ApiId=api_id, RouteKey="GET /a/{id}")
    with aws.refused("ConflictException", "conflicting variable on the same hierarchical level"):
        aws.apigatewayv2.create_route(ApiId=api_id, RouteKey="GET /a/{other}")
    with aws.refused("BadRequestException", "integration"):
        aws.apigatewayv2.create_route(ApiId=api_id, RouteKey="GET /c", Target="integrations/none")
    made = aws.apigatewayv2.create_route(ApiId=api_id, RouteKey="GET /c")
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201 and "Target" not in made
    with aws.refused("ConflictException", "already exists"):
        aws.apigatewayv2.update_route(ApiId=api_id, RouteId=made["RouteId"], RouteKey="$default")
    moved = aws.apigatewayv2.update_route(ApiId=api_id, RouteId=made["RouteId"], RouteKey="GET /d")
    assert moved["RouteKey"] == "GET /d"
    with aws.refused("BadRequestException"):
        aws.apigatewayv2.update_route(ApiId=api_id, RouteId=made["RouteId"], ApiKeyRequired=True)
    aws.apigatewayv2.delete_route(ApiId=api_id, RouteId=made["RouteId"])
    with aws.refused("NotFoundException", made["RouteId"]):
        aws.apigatewayv2.get_route(ApiId=api_id, RouteId=made["RouteId"])


@check
def authorization_of_routes(aws: Aws) -> None:
    """An authorizer comes with its type, and only NONE and AWS_IAM remove it. What a call leaves out stays."""
    api_id = seed(aws, "GET /a")["api_id"]
    v2 = aws.apigatewayv2
    of = {"ApiId": api_id, "RouteId": route_of(aws, api_id, "GET /a")["RouteId"]}
    ours = v2.create_authorizer(ApiId=api_id, **REQUEST)["AuthorizerId"]
    tokens = v2.create_authorizer(ApiId=api_id, **JWT)["AuthorizerId"]
    with aws.refused("BadRequestException", "Authorizer type is invalid or null."):
        v2.update_route(**of, AuthorizerId=ours)
    for wrong in ({}, {"AuthorizerId": "none"}, {"AuthorizerId": tokens}):
        with aws.refused("BadRequestException", "Setting the authorization type to CUSTOM requires"):
            v2.update_route(**of, AuthorizationType="CUSTOM", **wrong)
    with aws.refused("BadRequestException", "requires a valid JWT authorizer."):
        v2.update_route(**of, AuthorizationType="JWT", AuthorizerId=ours)
    v2.update_route(**of, AuthorizationType="JWT", AuthorizerId=tokens, AuthorizationScopes=["a/b"])
    route = route_of(aws, api_id, "GET /a")
    assert (route["AuthorizationType"], route["AuthorizationScopes"]) == ("JWT", ["a/b"])
    v2.update_route(**of, AuthorizationType="CUSTOM", AuthorizerId=ours, AuthorizationScopes=[])
    route = route_of(aws, api_id, "GET /a")
    assert route["AuthorizerId"] == ours and "AuthorizationScopes" not in route
    assert route["Target"].startswith("integrations/"), "what a call leaves out stays"
    v2.update_route(**of, OperationName="list")
    assert route_of(aws, api_id, "GET /a")["AuthorizerId"] == ours
    v2.update_route(**of, AuthorizationType="CUSTOM")
    assert route_of(aws, api_id, "GET /a")["AuthorizerId"] == ours
    for kind in ("NONE", "AWS_IAM"):
        v2.update_route(**of, AuthorizationType="JWT", AuthorizerId=tokens, AuthorizationScopes=["a/b"])
        v2.update_route(**of, AuthorizationType=kind)
        route = route_of(aws, api_id, "GET /a")
        assert route["AuthorizationType"] == kind and not {"AuthorizerId", "AuthorizationScopes"} & set(route), route


@check
def authorizers_of_http_apis(aws: Aws) -> None:
    """What they need, which forms go together, and that one in use remains."""
    api_id = seed(aws, "POST /pdf/generate")["api_id"]
    v2 = aws.apigatewayv2
    for wrong, text in (
        ({"AuthorizerPayloadFormatVersion": None}, "AuthorizerPayloadFormatVersion is a required parameter"),
        ({"AuthorizerPayloadFormatVersion": "1.0"}, "EnableSimpleResponses is only supported"),
        ({"AuthorizerResultTtlInSeconds": 300}, "Identity source must be set if authorizer caching is enabled"),
        ({"AuthorizerResultTtlInSeconds": 3601}, "3601"),
        ({"AuthorizerUri": "arn:nonsense"}, "Invalid Authorizer URI"),
        ({"IdentitySource": ["method.request.header.a"]}, "Invalid identity source"),
        ({"IdentitySource": None}, "IdentitySource"),
    ):
        parameters = {name: value for name, value in {**REQUEST, **wrong}.items() if value is not None}
        with aws.refused("BadRequestException", text):
            v2.create_authorizer(ApiId=api_id, **parameters)
    made = v2.create_authorizer(ApiId=api_id, **REQUEST)
    assert made["IdentitySource"] == [] and "JwtConfiguration" not in made
    with aws.refused("BadRequestException", "must be unique"):
        v2.create_authorizer(ApiId=api_id, **REQUEST)
    aws.configure(http_api={"authorizer_names": "any"})
    v2.delete_authorizer(ApiId=api_id, AuthorizerId=v2.create_authorizer(ApiId=api_id, **REQUEST)["AuthorizerId"])
    of = {"ApiId": api_id, "AuthorizerId": made["AuthorizerId"]}
    v2.update_authorizer(**of, IdentitySource=["$request.header.apikey"])
    assert v2.get_authorizer(**of)["IdentitySource"] == ["$request.header.apikey"]
    assert v2.get_authorizer(**of)["EnableSimpleResponses"] is True
    route = route_of(aws, api_id, "POST /pdf/generate")["RouteId"]
    v2.update_route(ApiId=api_id, RouteId=route, AuthorizationType="CUSTOM", AuthorizerId=made["AuthorizerId"])
    with aws.refused(
        "ConflictException", "Cannot delete authorizer 'ours', is referenced in route: POST /pdf/generate"
    ):
        v2.delete_authorizer(**of)
    v2.update_route(ApiId=api_id, RouteId=route, AuthorizationType="NONE")
    v2.delete_authorizer(**of)
    assert v2.get_authorizers(ApiId=api_id)["Items"] == []
    for number in range(10):
        v2.create_authorizer(ApiId=api_id, **{**REQUEST, "Name": f"n{number}"})
    with aws.refused("TooManyRequestsException", "Maximum number"):
        v2.create_authorizer(ApiId=api_id, **{**REQUEST, "Name": "more"})


@check
def websocket_apis_authorize_connections_only(aws: Aws) -> None:
    """Authorization on $connect, identity sources of their own form, and nothing that only HTTP APIs have."""
    made = seed(aws, "$connect", "$default", "send", protocol="WEBSOCKET")
    api_id, v2 = made["api_id"], aws.apigatewayv2
    assert made["endpoint"].startswith("wss://")
    plain = {name: REQUEST[name] for name in ("Name", "AuthorizerType", "AuthorizerUri", "IdentitySource")}
    for member in ("AuthorizerPayloadFormatVersion", "EnableSimpleResponses", "AuthorizerResultTtlInSeconds"):
        with aws.refused("BadRequestException", member):
            v2.create_authorizer(ApiId=api_id, **{**plain, member: REQUEST[member] or 300})
    with aws.refused("BadRequestException", "Invalid identity source"):
        v2.create_authorizer(ApiId=api_id, **{**plain, "IdentitySource": ["$request.header.a"]})
    sources = ["route.request.querystring.user_key"]
    authorizer = v2.create_authorizer(ApiId=api_id, **{**plain, "IdentitySource": sources})["AuthorizerId"]
    ours = {"AuthorizationType": "CUSTOM", "AuthorizerId": authorizer}
    with aws.refused("BadRequestException", "authorization is restricted to the $connect route only"):
        v2.update_route(ApiId=api_id, RouteId=made["routes"]["send"], **ours)
    with aws.refused("BadRequestException", "JWT"):
        v2.update_route(ApiId=api_id, RouteId=made["routes"]["$connect"], AuthorizationType="JWT")
    route = v2.update_route(ApiId=api_id, RouteId=made["routes"]["$connect"], ApiKeyRequired=True, **ours)
    assert route["AuthorizerId"] == authorizer and route["ApiKeyRequired"] is True
    with aws.refused("BadRequestException", "CORS"):
        v2.update_api(ApiId=api_id, CorsConfiguration={"AllowOrigins": ["*"]})


@check
def deployments_of_version_2(aws: Aws) -> None:
    """They are pending, then deployed or failed. A stage without automatic deployment moves only when it is told."""
    made = seed(aws, "GET /a")
    api_id, first, v2 = made["api_id"], made["deployment_id"], aws.apigatewayv2
    assert "AutoDeploy" not in stage_of(aws, api_id) and stage_of(aws, api_id)["DeploymentId"] == first
    v2.create_route(ApiId=api_id, RouteKey="GET /b")
    assert deployment_ids(aws, api_id) == [first]
    aws.configure(delay={"deployment": 60})
    second = v2.create_deployment(ApiId=api_id, Description="second")
    assert second["ResponseMetadata"]["HTTPStatusCode"] == 201 and second["DeploymentStatus"] == "PENDING"
    of = {"ApiId": api_id, "DeploymentId": second["DeploymentId"]}
    with aws.refused("BadRequestException", "not deployed"):
        v2.update_stage(**of, StageName="prod")
    aws.advance(61)
    assert v2.get_deployment(**of)["DeploymentStatus"] == "DEPLOYED"
    assert stage_of(aws, api_id)["DeploymentId"] == first
    assert v2.update_stage(**of, StageName="prod")["DeploymentId"] == second["DeploymentId"]
    with aws.refused("BadRequestException", "Active stages"):
        v2.delete_deployment(**of)
    v2.update_stage(ApiId=api_id, StageName="prod", DeploymentId=first)
    v2.delete_deployment(**of)
    with aws.refused("NotFoundException"):
        v2.update_stage(**of, StageName="prod")
    aws.configure(delay=0, outcomes={"deployment": {"status": "FAILED", "message": "no luck"}})
    failed = v2.create_deployment(ApiId=api_id, StageName="prod")
    assert (failed["DeploymentStatus"], failed["DeploymentStatusMessage"]) == ("FAILED", "no luck")
    assert stage_of(aws, api_id)["DeploymentId"] == first
    aws.configure(outcomes={"deployment": None})
    third = v2.create_deployment(ApiId=api_id, StageName="prod")["DeploymentId"]
    assert stage_of(aws, api_id)["DeploymentId"] == third, "with a stage's name, the stage moves at once"
    empty = v2.create_api(Name="e", ProtocolType="HTTP")["ApiId"]
    with aws.refused("BadRequestException", "no routes exist"):
        v2.create_deployment(ApiId=empty)


@check
def automatic_deployments(aws: Aws) -> None:
    """Each write of the API deploys the draft to every stage with automatic deployment, and to no other one."""
    stages = [{"name": "prod", "auto_deploy": True}, {"name": "b", "auto_deploy": True}, {"name": "c"}]
    made = seed(aws, "GET /a", stages=stages)
    api_id, v2 = made["api_id"], aws.apigatewayv2
    integration = made["integrations"]["GET /a"]
    writes = [
        lambda: v2.create_authorizer(ApiId=api_id, **REQUEST),
        lambda: v2.update_route(ApiId=api_id, RouteId=made["routes"]["GET /a"], OperationName="x"),
        lambda: v2.update_integration(ApiId=api_id, IntegrationId=integration, TimeoutInMillis=1000),
        lambda: v2.update_api(ApiId=api_id, CorsConfiguration={"AllowOrigins": ["*"]}),
        lambda: v2.delete_cors_configuration(ApiId=api_id),
        lambda: v2.update_api(ApiId=api_id, Name="other"),
    ]
    for write in writes:
        before = set(deployment_ids(aws, api_id))
        write()
        (new,) = set(deployment_ids(aws, api_id)) - before
        assert v2.get_deployment(ApiId=api_id, DeploymentId=new)["AutoDeployed"] is True
        for name in ("prod", "b"):
            stage = stage_of(aws, api_id, name)
            assert stage["DeploymentId"] == new
            expected = f"Successfully deployed stage with deployment ID '{new}'"
            assert stage["LastDeploymentStatusMessage"] == expected
        assert stage_of(aws, api_id, "c")["DeploymentId"] == made["deployments"]["c"]
    with aws.refused("BadRequestException", "Deployment ID cannot be set on this stage"):
        v2.update_stage(ApiId=api_id, StageName="prod", DeploymentId=new)
    for automatic in (False, True):
        with aws.refused("BadRequestException", "Deployment ID cannot be set on this stage"):
            v2.update_stage(ApiId=api_id, StageName="prod", AutoDeploy=automatic, DeploymentId=new)
    with aws.refused("BadRequestException", "AutoDeploy"):
        v2.create_deployment(ApiId=api_id, StageName="prod")
    # A failed automatic deployment leaves the stage behind the draft.
    aws.configure(outcomes={"deployment": {"status": "FAILED", "message": "no luck"}})
    v2.update_api(ApiId=api_id, Name="again")
    stage = stage_of(aws, api_id)
    assert stage["DeploymentId"] == new and "no luck" in stage["LastDeploymentStatusMessage"]
    # Only the automatic ones, or only the others.
    for automatic in (True, False):
        aws.configure(outcomes={"deployment": {"status": "FAILED", "message": "no luck", "automatic": automatic}})
        v2.update_api(ApiId=api_id, Name=f"automatic {automatic}")
        assert ("no luck" in stage_of(aws, api_id)["LastDeploymentStatusMessage"]) == automatic
        made = v2.create_deployment(ApiId=api_id)
        assert made["DeploymentStatus"] == ("DEPLOYED" if automatic else "FAILED")


@check
def nulls_of_absent_members(aws: Aws) -> None:
    """In items, and in a single response. Members that are there keep their value."""
    made = seed(aws, "GET /a", {"key": "GET /b", "authorization": "JWT", "authorizer": "t", "scopes": ["s"]})
    aws.configure(nulls={"GetRoutes": ["authorizationScopes"], "GetRoute": ["operationName", "routeKey"]})
    scope = "Credential=A/20260101/us-east-1/apigateway/aws4_request"
    signed = {"Authorization": f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0"}
    routes = f"/v2/apis/{made['api_id']}/routes"
    found = json.loads(aws.ask(routes, signed)[2])["items"]
    scopes = {route["routeKey"]: route["authorizationScopes"] for route in found}
    assert scopes == {"GET /a": None, "GET /b": ["s"]}
    route = json.loads(aws.ask(f"{routes}/{made['routes']['GET /a']}", signed)[2])
    assert route["operationName"] is None and route["routeKey"] == "GET /a"
    aws.configure(nulls={"GetRoutes": [], "GetRoute": []})
    assert "authorizationScopes" not in aws.apigatewayv2.get_routes(ApiId=made["api_id"])["Items"][0]


@check
def freezing_a_stage(aws: Aws) -> None:
    """Without automatic deployment, the stage stays on its deployment. With it again, the draft is deployed."""
    api_id = seed(aws, "GET /a", stages=[{"name": "prod", "auto_deploy": True}])["api_id"]
    v2 = aws.apigatewayv2
    for thaw in ("now", "next-change"):
        aws.configure(http_api={"thaw": thaw})
        before = stage_of(aws, api_id)["DeploymentId"]
        frozen = v2.update_stage(ApiId=api_id, StageName="prod", AutoDeploy=False)
        assert frozen["DeploymentId"] == before and frozen["AutoDeploy"] is False
        assert "LastDeploymentStatusMessage" not in frozen
        v2.update_api(ApiId=api_id, Name=thaw)
        assert stage_of(aws, api_id)["DeploymentId"] == before
        v2.update_stage(ApiId=api_id, StageName="prod", DeploymentId=before)
        thawed = v2.update_stage(ApiId=api_id, StageName="prod", AutoDeploy=True)
        assert (thawed["DeploymentId"] == before) == (thaw == "next-change")
        v2.update_api(ApiId=api_id, Name="changed")
        assert stage_of(aws, api_id)["DeploymentId"] not in (before, thawed["DeploymentId"])


@check
def pending_automatic_deployments(aws: Aws) -> None:
    """They can be listed late, take longer than others, and be served although automatic deployment is off by then."""
    v2 = aws.apigatewayv2
    for pending in ("unused", "served"):
        api_id = seed(aws, "GET /a", stages=[{"name": "prod", "auto_deploy": True}])["api_id"]
        before = deployment_ids(aws, api_id)
        aws.configure(http_api={"unlisted": 2, "pending_when_off": pending}, delay={"deployment-automatic": 60})
        v2.create_authorizer(ApiId=api_id, **REQUEST)
        assert deployment_ids(aws, api_id) == deployment_ids(aws, api_id) == before
        listed = v2.get_deployments(ApiId=api_id)["Items"]
        (new,) = [one for one in listed if one["DeploymentId"] not in before]
        assert new["AutoDeployed"] is True and new["DeploymentStatus"] == "PENDING"
        assert v2.create_deployment(ApiId=api_id)["DeploymentStatus"] == "DEPLOYED"
        v2.update_stage(ApiId=api_id, StageName="prod", AutoDeploy=False)
        aws.control("POST", "advance", {"seconds": 61})
        is_served = stage_of(aws, api_id)["DeploymentId"] == new["DeploymentId"]
        assert is_served == (pending == "served"), pending
        aws.configure(http_api={"unlisted": 0}, delay={"deployment-automatic": 0})
def a_frozen_stage_is_read_late(aws: Aws) -> None:
    """With `freeze_lag`, a stage deploys automatically until it was read so often."""
    api_id = seed(aws, "GET /a", stages=[{"name": "prod", "auto_deploy": True}])["api_id"]
    v2 = aws.apigatewayv2
    aws.configure(http_api={"freeze_lag": 2})
    assert v2.update_stage(ApiId=api_id, StageName="prod", AutoDeploy=False)["AutoDeploy"] is False
    first = stage_of(aws, api_id)
    with aws.refused("BadRequestException", "because AutoDeploy is enabled"):
        v2.update_stage(ApiId=api_id, StageName="prod", DeploymentId=first["DeploymentId"])
    v2.update_stage(ApiId=api_id, StageName="prod", AutoDeploy=False)
    assert first["AutoDeploy"] and stage_of(aws, api_id)["AutoDeploy"] and not stage_of(aws, api_id)["AutoDeploy"]
    v2.update_stage(ApiId=api_id, StageName="prod", DeploymentId=first["DeploymentId"])
    v2.update_stage(ApiId=api_id, StageName="prod", AutoDeploy=True)
    v2.update_stage(ApiId=api_id, StageName="prod", AutoDeploy=False)
    v2.update_stage(ApiId=api_id, StageName="prod", AutoDeploy=True)
    assert all(stage_of(aws, api_id)["AutoDeploy"] for _ in range(3))


@check
def stages_of_version_2(aws: Aws) -> None:
    """Names, settings, and what HTTP APIs do not have."""
    api_id = seed(aws, "GET /a", stages=[])["api_id"]
    v2 = aws.apigatewayv2
    made = v2.create_stage(ApiId=api_id, StageName="$default", StageVariables={"a": "b"})
    assert made["StageVariables"] == {"a": "b"} and "DeploymentId" not in made
    with aws.refused("ConflictException", "Stage already exists"):
        v2.create_stage(ApiId=api_id, StageName="$default")
    with aws.refused("BadRequestException", "Stage name"):
        v2.create_stage(ApiId=api_id, StageName="a b")
    with aws.refused("BadRequestException", "Execution logs are not supported on protocol type HTTP"):
        v2.update_stage(ApiId=api_id, StageName="$default", DefaultRouteSettings={"LoggingLevel": "INFO"})
    settings = {"GET /a": {"ThrottlingBurstLimit": 1, "ThrottlingRateLimit": 2.0}}
    v2.update_stage(ApiId=api_id, StageName="$default", RouteSettings=settings, Description="d")
    stage = stage_of(aws, api_id, "$default")
    assert stage["RouteSettings"] == settings and stage["StageVariables"] == {"a": "b"}
    answer = v2.reset_authorizers_cache(ApiId=api_id, StageName="$default")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
    v2.delete_stage(ApiId=api_id, StageName="$default")
    deleted = f"arn:aws:apigateway:us-east-1::/apis/{api_id}/stages/$default"
    assert aws.log()[-1]["iam_resource"] == deleted
    with aws.refused("NotFoundException", "Invalid stage identifier specified"):
        stage_of(aws, api_id, "$default")


@check
def quick_create_manages_its_parts(aws: Aws) -> None:
    """The key of the route and the integration are fixed, and the stage cannot be updated, unless configured."""
    made = seed(aws, quick_create=True)
    api_id, v2 = made["api_id"], aws.apigatewayv2
    route, stage = route_of(aws, api_id, "$default"), stage_of(aws, api_id, "$default")
    integration = v2.get_integration(ApiId=api_id, IntegrationId=made["integrations"]["$default"])
    assert all(part["ApiGatewayManaged"] for part in (route, stage, integration)) and stage["AutoDeploy"]
    with aws.refused("BadRequestException", "key of a route"):
        v2.update_route(ApiId=api_id, RouteId=route["RouteId"], RouteKey="GET /a")
    v2.update_route(ApiId=api_id, RouteId=route["RouteId"], AuthorizationType="AWS_IAM")
    with aws.refused("BadRequestException", "cannot be deleted"):
        v2.delete_integration(ApiId=api_id, IntegrationId=integration["IntegrationId"])
    with aws.refused("BadRequestException", "can't be modified"):
        v2.update_stage(ApiId=api_id, StageName="$default", AutoDeploy=False)
    aws.configure(http_api={"managed_stage": "accepted"})
    assert v2.update_stage(ApiId=api_id, StageName="$default", AutoDeploy=False)["AutoDeploy"] is False
    aws.configure(http_api={"managed_route": "refused"})
    with aws.refused("BadRequestException", "authorization of a route"):
        v2.update_route(ApiId=api_id, RouteId=route["RouteId"], AuthorizationType="NONE")


@check
def integrations_in_use_remain(aws: Aws) -> None:
    """The refusal names the routes."""
    made = seed(aws, "GET /a")
    api_id, v2 = made["api_id"], aws.apigatewayv2
    of = {"ApiId": api_id, "IntegrationId": made["integrations"]["GET /a"]}
    with aws.refused("ConflictException", f"Routes with Ids: [{made['routes']['GET /a']}]"):
        v2.delete_integration(**of)
    v2.delete_route(ApiId=api_id, RouteId=made["routes"]["GET /a"])
    v2.delete_integration(**of)
    assert v2.get_integrations(ApiId=api_id)["Items"] == []


@check
def concurrent_writes_of_an_api(aws: Aws) -> None:
    """While one is in progress, others of the same API are refused. Reads, and writes of other APIs, are not."""
    made, other = seed(aws, "GET /a"), seed(aws, "GET /a")
    v2 = aws.apigatewayv2
    for phase in ("hold", "hold-before"):
        aws.faults({"service": "apigatewayv2", "operation": "UpdateRoute", "kind": phase, "nth": 1})
        of = {"ApiId": made["api_id"], "RouteId": made["routes"]["GET /a"], "OperationName": phase}
        held = threading.Thread(target=lambda of=of: v2.update_route(**of))
        held.start()
        assert aws.control("GET", "held?timeout=10")["held"]["operation"] == "UpdateRoute"
        with aws.refused("ConflictException", BUSY):
            v2.update_stage(ApiId=made["api_id"], StageName="prod", Description="d")
        v2.get_routes(ApiId=made["api_id"])
        v2.update_stage(ApiId=other["api_id"], StageName="prod", Description="d")
        aws.control("POST", "release")
        held.join()
        assert route_of(aws, made["api_id"], "GET /a")["OperationName"] == phase
        v2.update_stage(ApiId=made["api_id"], StageName="prod", Description="d")
    aws.faults({"service": "apigateway*", "mutating": True, "times": 1, "kind": "conflict"})
    with aws.refused("ConflictException", BUSY):
        v2.update_stage(ApiId=made["api_id"], StageName="prod", Description="d")
    # With a duration of writes, a client that sends the next one too soon is refused.
    aws.configure(http_api={"write_seconds": 0.2})
    codes: list[str] = []

    def write() -> None:
        try:
            v2.update_stage(ApiId=made["api_id"], StageName="prod", Description="d")
            codes.append("")
        except ClientError as error:
            codes.append(error.response["Error"]["Code"])

    writers = [threading.Thread(target=write) for _ in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sorted(codes) == ["", "ConflictException", "ConflictException"], codes


@check
def one_rate_for_both_versions(aws: Aws) -> None:
    """Calls of version 1 and 2 count together, and faults have the codes of the service."""
    api_id = seed(aws, "GET /a")["api_id"]
    aws.configure(apigateway_rate={"per_second": 0.001, "burst": 3})
    aws.apigateway.get_rest_apis()
    aws.apigatewayv2.get_apis()
    aws.apigateway.get_rest_apis()
    with aws.refused("TooManyRequestsException"):
        aws.apigatewayv2.get_apis()
    aws.configure(apigateway_rate=None, lacks=["apigateway:PATCH"])
    with aws.refused("AccessDeniedException", "apigateway:PATCH"):
        aws.apigatewayv2.update_api(ApiId=api_id, Name="b")
    aws.configure(lacks=[])
    for kind, code in (("throttle", "TooManyRequestsException"), ("503", "ServiceUnavailableException")):
        aws.faults({"service": "apigatewayv2", "kind": kind, "times": 1})
        with aws.refused(code):
            aws.apigatewayv2.get_apis()


@check
def the_account_lists_apis_of_version_2(aws: Aws) -> None:
    """With everything in them, and the same before and after changes that are undone. A copy has them."""
    made = seed(aws, "GET /a", {"key": "GET /b", "authorizer": "theirs"}, tags={"team": "orders"})
    before = aws.account()["http_apis"]
    assert len(before) == 1 and len(before[0]["Routes"]) == 2 and before[0]["Tags"] == {"team": "orders"}
    of = {"ApiId": made["api_id"], "RouteId": made["routes"]["GET /a"]}
    authorizer = aws.apigatewayv2.create_authorizer(ApiId=made["api_id"], **REQUEST)["AuthorizerId"]
    aws.apigatewayv2.update_route(**of, AuthorizationType="CUSTOM", AuthorizerId=authorizer)
    assert aws.account()["http_apis"] != before
    copy = Aws(aws.control("POST", "fork")["port"])
    assert copy.account() == aws.account()
    aws.apigatewayv2.update_route(**of, AuthorizationType="NONE")
    aws.apigatewayv2.delete_authorizer(ApiId=made["api_id"], AuthorizerId=authorizer)
    assert aws.account()["http_apis"] == before
    assert copy.account()["http_apis"] != before
    copy.control("POST", "end")


@check
def another_stack_with_an_http_api(aws: Aws) -> None:
    """With `foreign` = `http`, the stack `other` protects an HTTP API."""
    assert aws.control("POST", "seed", {"foreign": True})["foreign"].get("http_api_id") is None
    aws.reset()
    api_id = aws.control("POST", "seed", {"foreign": "http"})["foreign"]["http_api_id"]
    assert route_of(aws, api_id, "GET /")["AuthorizationType"] == "CUSTOM"
    aws.configure(valid_keys=["theirs"])
    address = f"/_aws/execute-api/{api_id}/prod/"
    found = [aws.get(address, headers) for headers in ({}, {"apikey": "wrong"}, {"apikey": "theirs"})]
    assert found == [401, 403, 200], found


@check
def seeds_of_version_2(aws: Aws) -> None:
    """Pending edits are in the draft only, or in each stage that deploys automatically. Routes can share an integration."""
    shared = seed(aws, "GET /a", {"key": "GET /b", "target_of": "GET /a"})
    targets = {route["Target"] for route in aws.account()["http_apis"][0]["Routes"]}
    assert targets == {f"integrations/{shared['integrations']['GET /a']}"}
    aws.reset()
    pending = [
        {"key": "GET /new"},
        {"remove": "GET /b"},
        {"change": "GET /a", "authorization": "JWT", "authorizer": "tokens", "scopes": ["a/b"]},
        {"cors": {"AllowOrigins": ["*"]}},
        {"settings": {"Version": "2"}},
        {"integration": "GET /a", "to": {"TimeoutInMillis": 1000}},
    ]
    made = seed(aws, "GET /a", "GET /b", pending=pending)
    (api,) = aws.account()["http_apis"]
    assert {route["RouteKey"] for route in api["Routes"]} == {"GET /a", "GET /new"}
    assert api["CorsConfiguration"]["AllowOrigins"] == ["*"] and api["Version"] == "2"
    (deployment,) = api["Deployments"]
    assert {route["RouteKey"] for route in deployment["Snapshot"]["routes"].values()} == {"GET /a", "GET /b"}
    automatic = [{"name": "$default", "auto_deploy": True}]
    made = seed(aws, "GET /a", "GET /b", pending=pending, stages=automatic)
    (api,) = [one for one in aws.account()["http_apis"] if one["ApiId"] == made["api_id"]]
    served = api["Stages"][0]["DeploymentId"]
    (deployment,) = [one for one in api["Deployments"] if one["DeploymentId"] == served]
    assert {route["RouteKey"] for route in deployment["Snapshot"]["routes"].values()} == {"GET /a", "GET /new"}
    assert aws.control("POST", "seed", {"api": {"protocol": "HTTP", "name": "o", "pending": [{"what": 1}]}})["error"]
