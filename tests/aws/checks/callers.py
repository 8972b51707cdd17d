"""Calls to deployed APIs: which callers are allowed, and the responses of the gateway itself."""

from __future__ import annotations

import http.client
import json
from typing import Any

from .api import _authorizer, _method, _patch
from .harness import Aws, check

OURS = "threescale-gw-orders-authorizer"
KEY = {"apikey": "k"}
SSM_POLICY = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "ssm:GetParameters", "Resource": "*"}],
    }
)
DENIED = "User is not authorized to access this resource with an explicit deny in an identity-based policy"


def _protected(aws: Aws, *others: dict[str, Any], **more: Any) -> tuple[str, str]:
    """An API whose first method the tool's authorizer protects: (id, address of the stage)."""
    api = aws.seed_api({"method": "GET", "path": "/a"}, *others, **more)
    ours = _authorizer(aws, api["api_id"], OURS)
    aws.function(aws.role())
    aws.lambda_.add_permission(
        FunctionName="f",
        StatementId="api",
        Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com",
        SourceArn=f"arn:aws:execute-api:us-east-1:123456789012:{api['api_id']}/authorizers/{ours}",
    )
    patch = _patch(authorizationType="CUSTOM", authorizerId=ours)
    aws.apigateway.update_method(**_method(aws, api), patchOperations=patch)
    aws.apigateway.create_deployment(restApiId=api["api_id"], stageName="prod")
    return api["api_id"], f"/_aws/execute-api/{api['api_id']}/prod"


def _deploy(aws: Aws, api: str) -> str:
    return aws.apigateway.create_deployment(restApiId=api, stageName="prod")["id"]


def _answer(aws: Aws, address: str, headers: dict[str, str] | None = None, method: str = "GET") -> tuple:
    status, found, body = aws.ask(address, headers, method)
    return status, found.get("x-amzn-errortype"), json.loads(body or "null")


@check
def default_refusals(aws: Aws) -> None:
    """The statuses, bodies, and x-amzn-ErrorType values equal those of AWS."""
    api, address = _protected(aws, {"method": "GET", "path": "/iam", "authorization_type": "AWS_IAM"})
    missing = (403, "MissingAuthenticationTokenException", {"message": "Missing Authentication Token"})
    assert _answer(aws, f"{address}/none") == missing and _answer(aws, f"{address}/iam") == missing
    assert _answer(aws, f"{address}/a") == (401, "UnauthorizedException", {"message": "Unauthorized"})
    assert _answer(aws, f"{address}/a", KEY) == (403, "AccessDeniedException", {"Message": DENIED})
    for outcome in ("error", "timeout"):
        aws.configure(outcomes={"authorizer": outcome})
        assert _answer(aws, f"{address}/a", KEY) == (500, "AuthorizerFailureException", {"message": None})
    aws.configure(outcomes={"authorizer": None})
    aws.lambda_.remove_permission(FunctionName="f", StatementId="api")
    assert _answer(aws, f"{address}/a", KEY) == (500, "AuthorizerConfigurationException", {"message": None})
    forbidden = (403, "ForbiddenException", {"message": "Forbidden"})
    assert _answer(aws, f"/_aws/execute-api/{api}/none/a") == forbidden
    assert _answer(aws, "/_aws/execute-api/none/prod/a") == forbidden


@check
def resource_policies_refuse_addresses(aws: Aws) -> None:
    """An explicit deny comes before the authorizer. Without a matching statement, only open methods are refused. A
    policy applies once it is deployed."""

    def policy(*conditions: tuple[str, dict[str, Any]]) -> str:
        every = {"Principal": "*", "Action": "execute-api:Invoke", "Resource": "execute-api:/*"}
        statements = [{"Effect": effect, **every, "Condition": condition} for effect, condition in conditions]
        return json.dumps({"Version": "2012-10-17", "Statement": statements})

    api, address = _protected(aws, {"method": "GET", "path": "/open"})
    arn = f"arn:aws:execute-api:us-east-1:********9012:{api}/prod/GET/"
    start = f"User: anonymous is not authorized to perform: execute-api:Invoke on resource: {arn}"
    elsewhere = {"aws:SourceIp": "203.0.113.0/24"}
    here = {"aws:SourceIp": ["127.0.0.0/8"]}
    unauthorized = (401, "UnauthorizedException", {"message": "Unauthorized"})
    for statements, expected in (
        ([("Allow", {}), ("Deny", {"NotIpAddress": elsewhere})], ("explicit", "explicit")),
        ([("Allow", {}), ("Deny", {"IpAddress": elsewhere})], (200, 401)),
        ([("Allow", {"IpAddress": elsewhere})], ("implicit", 401)),
        ([("Allow", {"IpAddress": here})], (200, 401)),
    ):
        patch = [{"op": "replace", "path": "/policy", "value": policy(*statements)}]
        aws.apigateway.update_rest_api(restApiId=api, patchOperations=patch)
        before = _answer(aws, f"{address}/open")
        _deploy(aws, api)
        for path, answer in zip(("open", "a"), expected, strict=True):
            words = {"explicit": " with an explicit deny", "implicit": ""}.get(answer)
            found = _answer(aws, f"{address}/{path}")
            if words is not None:
                assert found == (403, "AccessDeniedException", {"Message": f"{start}{path}{words}"}), found
            else:
                assert found == unauthorized if answer == 401 else found[0] == 200, found
        if statements[-1][0] == "Deny" and expected[0] == "explicit":
            assert before[0] == 200


@check
def backends_answer_allowed_requests(aws: Aws) -> None:
    """The configured response of the backend has no x-amzn-ErrorType, and does not replace a refusal."""
    _, address = _protected(aws, {"method": "GET", "path": "/open"})
    body = {"message": "Unauthorized"}
    aws.configure(outcomes={"backends": {"GET /open": {"status": 401, "body": body}, "GET /a": {"status": 200}}})
    assert _answer(aws, f"{address}/open") == (401, None, body)
    assert _answer(aws, f"{address}/a")[0] == 401
    aws.configure(outcomes={"backends": None})
    assert _answer(aws, f"{address}/open")[0] == 200


@check
def gateway_responses_shape_refusals(aws: Aws) -> None:
    """Status, headers, and body come from the deployed responses, with simple substitution only and with the fallback
    to the response of the type's class."""
    api, address = _protected(aws)
    body = '{"error":"$context.authorizer.reason","message":$context.error.messageString,"path":"${context.path}",'
    body += '"none":"$context.none.at.all","type":"$context.error.responseType","vtl":"#if(1)"}'
    aws.apigateway.put_gateway_response(
        restApiId=api,
        responseType="ACCESS_DENIED",
        statusCode="429",
        responseParameters={
            "gatewayresponse.header.Retry-After": "context.authorizer.retry_after",
            "gatewayresponse.header.Access-Control-Allow-Origin": "'*'",
            "gatewayresponse.header.X-Key": "method.request.header.ApiKey",
            "gatewayresponse.header.X-Query": "method.request.querystring.q",
            "gatewayresponse.header.X-Stage": "stageVariables.backend",
            "gatewayresponse.header.X-None": "context.authorizer.none",
        },
        responseTemplates={"application/json": body},
    )
    assert _answer(aws, f"{address}/a", KEY)[0] == 403
    _deploy(aws, api)
    aws.apigateway.delete_gateway_response(restApiId=api, responseType="ACCESS_DENIED")
    status, headers, text = aws.ask(f"{address}/a?q=1", KEY)
    assert status == 429 and headers["x-amzn-errortype"] == "AccessDeniedException"
    assert headers["access-control-allow-origin"] == "*" and headers["x-key"] == "k"
    assert headers["x-query"] == "1" and headers["x-stage"] == "blue"
    assert "x-none" not in headers and "retry-after" not in headers
    assert json.loads(text) == {
        "error": "user_key_invalid",
        "message": DENIED,
        "path": "/prod/a",
        "none": "",
        "type": "ACCESS_DENIED",
        "vtl": "#if(1)",
    }
    aws.configure(authorizer_context={"reason": "limits_exceeded", "retry_after": 17})
    _, headers, text = aws.ask(f"{address}/a", KEY)
    assert headers["retry-after"] == "17" and json.loads(text)["error"] == "limits_exceeded"
    aws.apigateway.put_gateway_response(
        restApiId=api,
        responseType="DEFAULT_4XX",
        responseParameters={"gatewayresponse.header.X-Default": "'4'"},
        responseTemplates={"text/plain": "no: $context.error.message"},
    )
    _deploy(aws, api)
    status, headers, text = aws.ask(f"{address}/a")
    assert (status, text, headers["content-type"]) == (401, "no: Unauthorized", "text/plain")
    assert headers["x-default"] == "4" and aws.get(f"{address}/none") == 403
    aws.configure(outcomes={"authorizer": "error"})
    assert "x-default" not in aws.ask(f"{address}/a", KEY)[1]


@check
def resources_are_found_by_path(aws: Aws) -> None:
    """The most specific resource matches, and a refusal can contain its path parameters."""
    kinds = ("/o/{id}/items", "/o/{id}", "/o/new", "/{all+}", "/o")
    methods = [{"method": "GET", "path": path, "authorization_type": "AWS_IAM"} for path in kinds]
    template = "$context.resourcePath $method.request.path.id $method.request.path.all"
    told = {"MISSING_AUTHENTICATION_TOKEN": {"responseTemplates": {"application/json": template}}}
    api = aws.seed_api(*methods, gateway_responses=told)["api_id"]
    for path, resource, one, every in (
        ("/o/7/items", "/o/{id}/items", "7", ""),
        ("/o/7/", "/o/{id}", "7", ""),
        ("/o/new", "/o/new", "", ""),
        ("/o", "/o", "", ""),
        ("/o/7/items/3", "/{all+}", "", "o/7/items/3"),
        ("/", "", "", ""),
    ):
        assert aws.ask(f"/_aws/execute-api/{api}/prod{path}")[2] == f"{resource} {one} {every}", path


@check
def deployments_reach_callers_late(aws: Aws) -> None:
    """With a configured lag, the first requests still reach the former deployment."""
    api, address = _protected(aws)
    former = aws.apigateway.get_stage(restApiId=api, stageName="prod")["deploymentId"]
    resource = next(item for item in aws.apigateway.get_resources(restApiId=api)["items"] if item["path"] == "/a")
    aws.apigateway.update_method(
        restApiId=api,
        resourceId=resource["id"],
        httpMethod="GET",
        patchOperations=_patch(authorizationType="NONE"),
    )
    aws.configure(deployment_lag=2)
    _deploy(aws, api)
    assert [aws.get(f"{address}/a") for _ in range(4)] == [401, 401, 200, 200]
    back = {"restApiId": api, "stageName": "prod", "patchOperations": _patch(deploymentId=former)}
    aws.apigateway.update_stage(**back)
    assert aws.get(f"{address}/a") == 200
    aws.apigateway.update_stage(**back)  # no change, no lag
    assert [aws.get(f"{address}/a") for _ in range(2)] == [200, 401]


@check
def methods_can_be_opened_and_closed(aws: Aws) -> None:
    """Methods are opened and closed by label, regardless of the deployment."""
    _, address = _protected(aws, {"method": "OPTIONS", "path": "/a"}, {"method": "ANY", "path": "/f/{all+}"})
    assert _answer(aws, f"{address}/a", method="OPTIONS")[0] == 200
    aws.configure(outcomes={"open": ["GET /a"], "closed": ["OPTIONS /a", "ANY /f/{all+}"]})
    assert aws.get(f"{address}/a") == 200
    assert _answer(aws, f"{address}/a", method="OPTIONS")[:2] == (403, "MissingAuthenticationTokenException")
    assert _answer(aws, f"{address}/f/1/2", method="PUT")[0] == 403
    aws.configure(outcomes={"open": None, "closed": ["PUT /f/1/2"]})
    assert aws.get(f"{address}/a") == 401
    assert (_answer(aws, f"{address}/f/1/2", method="PUT")[0], aws.get(f"{address}/f/1/2")) == (403, 200)
    aws.configure(outcomes={"throttled": ["GET /a"]})
    assert _answer(aws, f"{address}/a")[:2] == (429, "TooManyRequestsException")


@check
def other_authorizers_decide_as_told(aws: Aws) -> None:
    """Authorizers that are not the tool's deny requests unless the configuration says otherwise."""
    pool = {"authorizer": "pool", "authorization_type": "COGNITO_USER_POOLS"}
    _, address = _protected(
        aws, {"method": "GET", "path": "/own", "authorizer": "own"}, {"method": "GET", "path": "/u", **pool}
    )
    token = {"Authorization": "Bearer x"}
    aws.configure(valid_keys=["Bearer x"])
    assert _answer(aws, f"{address}/own")[:2] == (401, "UnauthorizedException")
    assert _answer(aws, f"{address}/own", token)[:2] == (403, "AccessDeniedException")
    assert _answer(aws, f"{address}/u", token)[:2] == (401, "UnauthorizedException")
    aws.configure(outcomes={"authorizers": {"own": "error", "pool": "allow"}})
    assert _answer(aws, f"{address}/own", token)[0] == 500
    assert (aws.get(f"{address}/u", token), aws.get(f"{address}/u")) == (200, 401)
    aws.configure(outcomes={"authorizers": {"own": "allow"}})
    assert aws.get(f"{address}/own", token) == 200
    reasons = [_answer(aws, f"{address}/a", {"apikey": "k"})[:2]]
    aws.configure(valid_keys=["k"], outcomes={"functions": {"f": "deny"}})
    reasons.append(_answer(aws, f"{address}/a", {"apikey": "k"})[:2])
    aws.configure(outcomes={"functions": None})
    assert reasons == [(403, "AccessDeniedException")] * 2 and aws.get(f"{address}/a", {"apikey": "k"}) == 200


@check
def api_keys_are_asked_for_last(aws: Aws) -> None:
    """API keys are checked after the authorizer, and must belong to a usage plan of the stage."""
    api, address = _protected(aws, {"method": "GET", "path": "/k", "api_key_required": True})
    assert _answer(aws, f"{address}/k") == (403, "ForbiddenException", {"message": "Forbidden"})
    value = "k" * 30
    assert aws.get(f"{address}/k", {"x-api-key": value}) == 403
    key = aws.apigateway.create_api_key(name="k", enabled=True, value=value)["id"]
    plan = aws.apigateway.create_usage_plan(name="p", apiStages=[{"apiId": api, "stage": "prod"}])["id"]
    aws.apigateway.create_usage_plan_key(usagePlanId=plan, keyId=key, keyType="API_KEY")
    assert aws.get(f"{address}/k", {"x-api-key": value}) == 200
    assert aws.get(f"{address}/k", {"x-api-key": "other"}) == 403


@check
def calls_are_recorded(aws: Aws) -> None:
    """Method, path, status, and whether the request had a credential. Every HTTP method works."""
    _, address = _protected(aws, {"method": "ANY", "path": "/any"}, {"method": "GET", "path": "/open"})
    verbs = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
    assert [aws.ask(f"{address}/any", method=verb)[0] for verb in verbs] == [200] * 7
    assert aws.ask(f"{address}/any", method="HEAD")[2] == ""
    assert aws.ask(f"{address}/open", method="HEAD")[0] == 403
    aws.control("POST", "log/clear")
    aws.get(f"{address}/a")
    aws.get(f"{address}/a?x=1", KEY)
    assert aws.control("GET", "requests") == [
        {"method": "GET", "path": "/a", "status": 401, "credential": "none"},
        {"method": "GET", "path": "/a", "status": 403, "credential": "given"},
    ]
    assert aws.log() == []
    aws.control("POST", "log/clear")
    assert aws.control("GET", "requests") == []


@check
def endpoints_can_be_closed(aws: Aws) -> None:
    """A disabled default endpoint takes effect with the next deployment. A private API is not reachable at all."""
    api, address = _protected(aws, {"method": "GET", "path": "/open"})
    aws.apigateway.update_rest_api(restApiId=api, patchOperations=_patch(disableExecuteApiEndpoint="true"))
    assert aws.get(f"{address}/open") == 200
    _deploy(aws, api)
    assert _answer(aws, f"{address}/open") == (403, "ForbiddenException", {"message": "Forbidden"})
    private = [{"op": "replace", "path": "/endpointConfiguration/types/REGIONAL", "value": "PRIVATE"}]
    aws.apigateway.update_rest_api(restApiId=api, patchOperations=private)
    try:
        aws.get(f"{address}/open")
    except http.client.RemoteDisconnected:
        pass
    else:
        raise AssertionError("a private API answered")
    assert aws.control("GET", "requests")[-1]["status"] is None


@check
def deployed_api_authorizes(aws: Aws) -> None:
    """The stage's deployment determines which callers are allowed."""
    api = aws.seed_api({"method": "GET", "path": "/orders/{id}"}, {"method": "GET", "path": "/health"})
    address = f"/_aws/execute-api/{api['api_id']}/prod"
    assert aws.get(f"{address}/orders/1") == 200
    assert aws.get(f"{address}/none") == 403
    ours = _authorizer(aws, api["api_id"], OURS)
    patch = _patch(authorizationType="CUSTOM", authorizerId=ours)
    aws.apigateway.update_method(**_method(aws, api), patchOperations=patch)
    assert aws.get(f"{address}/orders/1") == 200
    aws.apigateway.create_deployment(restApiId=api["api_id"], stageName="prod")
    assert aws.get(f"{address}/orders/1") == 401
    key = {"apikey": "k"}
    assert aws.get(f"{address}/orders/1", key) == 500
    aws.function(aws.role())
    source = f"arn:aws:execute-api:us-east-1:123456789012:{api['api_id']}/authorizers/{ours}"
    aws.lambda_.add_permission(
        FunctionName="f",
        StatementId="api",
        Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com",
        SourceArn=source,
    )
    assert aws.get(f"{address}/orders/1", key) == 403
    aws.configure(valid_keys=["k"])
    assert aws.get(f"{address}/orders/1", key) == 200
    assert aws.get(f"{address}/health") == 200
    aws.configure(outcomes={"authorizer": "error"})
    assert aws.get(f"{address}/orders/1", key) == 500


@check
def a_broken_authorizer_refuses_every_caller(aws: Aws) -> None:
    """Also with an otherwise valid key. What is no caller's fault is a failure of the authorizer; another reason is told. The
    configuration can limit this to one method."""
    template = '{"error":"$context.authorizer.reason"}'
    told = {"ACCESS_DENIED": {"responseTemplates": {"application/json": template}}}
    failed = (500, "AuthorizerFailureException", {"message": None})
    _, address = _protected(aws, gateway_responses=told)
    aws.configure(valid_keys=["k"])
    assert aws.get(f"{address}/a", KEY) == 200
    environment = {"Variables": {"THREESCALE_GW_PARAMETERS": "/threescale-gw/s"}}
    aws.lambda_.update_function_configuration(FunctionName="f", Environment=environment)
    assert _answer(aws, f"{address}/a", KEY) == failed
    for name, value in (("service-token", "token"), ("hash-key", "0" * 64)):
        aws.ssm.put_parameter(Name=f"/threescale-gw/s/secrets/{name}", Type="SecureString", Value=value)
    aws.iam.put_role_policy(RoleName="r", PolicyName="ssm", PolicyDocument=SSM_POLICY)
    assert aws.get(f"{address}/a", KEY) == 200
    aws.configure(valid_tokens=["another"])
    assert _answer(aws, f"{address}/a", KEY) == failed
    assert aws.get(f"{address}/a") == 401
    aws.configure(valid_tokens=["token"], outcomes={"reasons": {"GET /a": "no_mapping_rule"}})
    refused = (403, "AccessDeniedException", {"error": "no_mapping_rule"})
    assert _answer(aws, f"{address}/a", KEY) == refused


@check
def an_authorizer_can_deny_passed_limits_only(aws: Aws) -> None:
    """If the settings of the tool's authorizer say so, it answers every other refusal as Unauthorized."""
    _, address = _protected(aws)
    environment = {"Variables": {"THREESCALE_GW_SETTINGS": json.dumps({"limits": 429})}}
    aws.lambda_.update_function_configuration(FunctionName="f", Environment=environment)
    unauthorized = (401, "UnauthorizedException", {"message": "Unauthorized"})
    assert _answer(aws, f"{address}/a", KEY) == unauthorized
    aws.configure(authorizer_context={"reason": "limits_exceeded"})
    assert _answer(aws, f"{address}/a", KEY)[:2] == (403, "AccessDeniedException")
    aws.configure(authorizer_context={"reason": "internal"})
    assert _answer(aws, f"{address}/a", KEY)[0] == 500


@check
def an_authorizer_that_observes_allows_every_request(aws: Aws) -> None:
    """Behind an identity source, a request without a credential does not reach it. Without one, it does."""
    api_id, address = _protected(aws)
    environment = {"Variables": {"THREESCALE_GW_MODE": "observe"}}
    aws.lambda_.update_function_configuration(FunctionName="f", Environment=environment)
    assert (aws.get(f"{address}/a"), aws.get(f"{address}/a", KEY)) == (401, 200)
    ours = aws.apigateway.get_authorizers(restApiId=api_id)["items"][0]
    assert ours["authorizerResultTtlInSeconds"] == 0
    patch = _patch(identitySource="")
    aws.apigateway.update_authorizer(restApiId=api_id, authorizerId=ours["id"], patchOperations=patch)
    aws.apigateway.create_deployment(restApiId=api_id, stageName="prod")
    assert (aws.get(f"{address}/a"), aws.get(f"{address}/a", KEY)) == (200, 200)
    aws.lambda_.update_function_configuration(FunctionName="f", Environment={"Variables": {}})
    assert (aws.get(f"{address}/a"), aws.get(f"{address}/a", KEY)) == (401, 403)
