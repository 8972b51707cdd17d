"""API Gateway v2: what callers of HTTP APIs and WebSocket APIs receive, and the events of authorizers."""

from __future__ import annotations

import json
import socket
from typing import Any
from urllib.parse import urlsplit

from .harness import Aws, check
from .http_apis import REQUEST, seed

KEY = {"apikey": "0123456789abcdef"}
UNAUTHORIZED, FORBIDDEN = '{"message":"Unauthorized"}', '{"message":"Forbidden"}'
PREFLIGHT = {"Origin": "https://x.example", "Access-Control-Request-Method": "GET"}
HANDSHAKE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}


def _permit(aws: Aws, source: str) -> None:
    aws.lambda_.add_permission(
        FunctionName="f",
        StatementId="s",
        Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com",
        SourceArn=f"arn:aws:execute-api:us-east-1:123456789012:{source}",
    )


def _protected(aws: Aws, *keys: str, source: str = "*", **more: Any) -> tuple[dict[str, Any], str, dict[str, str]]:
    """An HTTP API whose routes have the tool's authorizer, its address, and the parameters that name the authorizer."""
    members = {name: more.pop(name) for name in list(more) if name[0].isupper()}
    aws.function(aws.role())
    stages = more.pop("stages", [{"name": "prod", "auto_deploy": True}])
    made = seed(aws, *keys, stages=stages, **more)
    api_id = made["api_id"]
    parameters = {**REQUEST, "Name": "threescale-gw-orders", **members}
    parameters = {name: value for name, value in parameters.items() if value is not None}
    ours = aws.apigatewayv2.create_authorizer(ApiId=api_id, **parameters)["AuthorizerId"]
    for route_id in made["routes"].values():
        aws.apigatewayv2.update_route(
            ApiId=api_id, RouteId=route_id, AuthorizationType="CUSTOM", AuthorizerId=ours, AuthorizationScopes=[]
        )
    _permit(aws, f"{api_id}/authorizers/{ours if source == '*' else source}")
    aws.configure(valid_keys=[KEY["apikey"]])
    return made, f"/_aws/execute-api/{api_id}/{made['stage']}", {"ApiId": api_id, "AuthorizerId": ours}


def _refusal(aws: Aws, path: str, headers: dict[str, str] | None = None) -> tuple[int, str]:
    status, found, body = aws.ask(path, headers)
    assert found["apigw-requestid"], found
    assert not {"x-amzn-errortype", "x-amzn-requestid"} & set(found), found
    return status, body


@check
def stages_serve_their_deployment(aws: Aws) -> None:
    """Not the draft. Without a deployment, a known stage, or an enabled endpoint, nothing is found."""
    made = seed(aws, "GET /a", pending=[{"key": "GET /b"}], stages=[{"name": "prod"}, {"name": "test"}])
    api_id, v2 = made["api_id"], aws.apigatewayv2
    address = f"/_aws/execute-api/{api_id}/prod"
    assert (aws.get(f"{address}/a"), aws.get(f"{address}/b")) == (200, 404)
    assert _refusal(aws, f"{address}/b") == (404, '{"message":"Not Found"}')
    second = v2.create_deployment(ApiId=api_id)["DeploymentId"]
    assert aws.get(f"{address}/b") == 404
    v2.update_stage(ApiId=api_id, StageName="prod", DeploymentId=second)
    assert (aws.get(f"{address}/b"), aws.get(f"/_aws/execute-api/{api_id}/test/b")) == (200, 404)
    v2.update_stage(ApiId=api_id, StageName="prod", DeploymentId=made["deployment_id"])
    assert aws.get(f"{address}/b") == 404
    aws.configure(deployment_lag=1)
    v2.update_stage(ApiId=api_id, StageName="prod", DeploymentId=second)
    assert [aws.get(f"{address}/b") for _ in range(2)] == [404, 200]
    aws.configure(deployment_lag=0)
    v2.create_stage(ApiId=api_id, StageName="empty")
    assert aws.get(f"/_aws/execute-api/{api_id}/empty/a") == 404
    assert aws.get(f"/_aws/execute-api/{api_id}/none/a") == 404
    v2.update_api(ApiId=api_id, DisableExecuteApiEndpoint=True)
    assert aws.get(f"{address}/a") == 200, "the endpoint is disabled with the next deployment"
    v2.create_deployment(ApiId=api_id, StageName="test")
    assert _refusal(aws, f"/_aws/execute-api/{api_id}/test/a") == (404, '{"message":"Not Found"}')


@check
def the_default_stage_serves_all_other_paths(aws: Aws) -> None:
    """The first segment can name a stage. Without the stage `$default`, other paths are not found."""
    stages = [{"name": "$default", "auto_deploy": True}, {"name": "prod"}]
    made = seed(aws, "GET /a", "GET /prod", stages=stages)
    address = f"/_aws/execute-api/{made['api_id']}"
    paths = ["/a", "/%24default/a", "/$default/a", "/prod/a", "/prod/prod", "/prod", "/other/a"]
    assert [aws.get(f"{address}{path}") for path in paths] == [200, 200, 200, 200, 200, 404, 404]
    aws.apigatewayv2.delete_stage(ApiId=made["api_id"], StageName="$default")
    assert (aws.get(f"{address}/a"), aws.get(f"{address}/prod/a")) == (404, 200)


@check
def routes_by_precedence(aws: Aws) -> None:
    """A full match, then a greedy one, then `$default`. A method's own route comes before ANY."""
    keys = ["GET /a/b", "GET /a/{id}", "ANY /a/{id}", "ANY /a/{proxy+}", "$default", "GET /"]
    made = seed(aws, *({"key": key, "authorizer": f"n{index}"} for index, key in enumerate(keys)))
    address = f"/_aws/execute-api/{made['api_id']}/prod"
    for method, path, key in (
        ("GET", "/a/b", "GET /a/b"),
        ("GET", "/a/c", "GET /a/{id}"),
        ("POST", "/a/c", "ANY /a/{id}"),
        ("POST", "/a/b", "ANY /a/{id}"),
        ("GET", "/a/c/d", "ANY /a/{proxy+}"),
        ("GET", "/", "GET /"),
        ("POST", "/", "$default"),
        ("GET", "/x", "$default"),
    ):
        aws.control("POST", "log/clear")
        assert aws.ask(f"{address}{path}", {"Authorization": "t"}, method)[0] == 403
        (event,) = aws.control("GET", "events")
        assert event["event"]["routeKey"] == key, (method, path, event)


@check
def callers_of_the_tools_authorizer(aws: Aws) -> None:
    """401 only for a missing identity source, 403 for any refusal, 500 if the function cannot answer."""
    made, address, authorizer = _protected(aws, "GET /a")
    assert _refusal(aws, f"{address}/a") == (403, FORBIDDEN)
    assert _refusal(aws, f"{address}/a", {"apikey": "wrong"}) == (403, FORBIDDEN)
    assert aws.get(f"{address}/a", KEY) == 200
    assert aws.get(f"{address}/b", KEY) == 404
    assert [entry["credential"] for entry in aws.control("GET", "requests")][:3] == ["none", "given", "given"]
    v2 = aws.apigatewayv2
    v2.update_authorizer(**authorizer, IdentitySource=["$request.header.ApiKey"])
    assert _refusal(aws, f"{address}/a") == (401, UNAUTHORIZED)
    assert (aws.get(f"{address}/a", KEY), aws.get(f"{address}/a", {"apikey": "wrong"})) == (200, 403)
    v2.update_authorizer(**authorizer, IdentitySource=["$request.querystring.user_key"])
    assert (aws.get(f"{address}/a", KEY), aws.get(f"{address}/a?user_key={KEY['apikey']}")) == (401, 200)
    v2.update_authorizer(**authorizer, IdentitySource=[])
    for outcomes in ({"authorizer": "error"}, {"authorizer": "timeout"}):
        aws.configure(outcomes=outcomes)
        assert _refusal(aws, f"{address}/a", KEY) == (500, '{"message":"Internal Server Error"}')
    aws.configure(outcomes={"authorizer": None})
    aws.configure(authorizer_context={"reason": "backend_unavailable"})
    assert aws.get(f"{address}/a", {"apikey": "wrong"}) == 500
    aws.configure(authorizer_context={"reason": "limits_exceeded"})
    assert _refusal(aws, f"{address}/a", {"apikey": "wrong"}) == (403, FORBIDDEN)
    aws.configure(authorizer_context=None)
    environment = {"Variables": {"THREESCALE_GW_MODE": "observe"}}
    aws.lambda_.update_function_configuration(FunctionName="f", Environment=environment)
    assert (aws.get(f"{address}/a"), aws.get(f"{address}/a", {"apikey": "wrong"})) == (200, 200)
    aws.lambda_.remove_permission(FunctionName="f", StatementId="s")
    assert aws.get(f"{address}/a", KEY) == 500
    role = "arn:aws:iam::123456789012:role/r"
    v2.update_authorizer(**authorizer, AuthorizerCredentialsArn=role)
    assert aws.get(f"{address}/a", KEY) == 200
    aws.lambda_.delete_function(FunctionName="f")
    assert aws.get(f"{address}/a", KEY) == 500
    assert made["stage"] == "prod"


@check
def permissions_of_authorizers(aws: Aws) -> None:
    """The ARN of the authorizer, or a pattern that covers it."""
    _, address, authorizer = _protected(aws, "GET /a", source="other")
    assert aws.get(f"{address}/a", KEY) == 500
    for source, status in (
        (f"{authorizer['ApiId']}/*", 200),
        (f"{authorizer['ApiId']}/authorizers/{authorizer['AuthorizerId']}", 200),
        ("other/*", 500),
    ):
        aws.lambda_.remove_permission(FunctionName="f", StatementId="s")
        _permit(aws, source)
        assert aws.get(f"{address}/a", KEY) == status, source


@check
def the_form_of_an_answer(aws: Aws) -> None:
    """An authorizer without simple responses needs a policy, and the other way round."""
    _, address, authorizer = _protected(aws, "GET /a")
    v2 = aws.apigatewayv2

    def statuses() -> list[int]:
        found = []
        for form in ("simple", "policy"):
            settings = json.dumps({"service_id": "1", "backend": "https://x", "http_api_answer": form})
            variables = {"THREESCALE_GW_SETTINGS": settings}
            aws.lambda_.update_function_configuration(FunctionName="f", Environment={"Variables": variables})
            found.append(aws.get(f"{address}/a", KEY))
        return found

    assert statuses() == [200, 500]
    v2.update_authorizer(**authorizer, EnableSimpleResponses=False)
    assert statuses() == [500, 200]
    v2.update_authorizer(**authorizer, AuthorizerPayloadFormatVersion="1.0")
    assert statuses() == [200, 200]


@check
def other_authorizations_of_http_apis(aws: Aws) -> None:
    """IAM, tokens, and other Lambda authorizers, by outcome."""
    routes = [
        {"key": "GET /iam", "authorization": "AWS_IAM"},
        {"key": "GET /jwt", "authorization": "JWT", "authorizer": "tokens", "scopes": ["a/b"]},
        {"key": "GET /theirs", "authorizer": "theirs"},
        "GET /open",
        {"key": "GET /nowhere", "target": False},
    ]
    address = f"/_aws/execute-api/{seed(aws, *routes)['api_id']}/prod"
    token = {"Authorization": "Bearer t"}
    assert _refusal(aws, f"{address}/iam", token) == (403, FORBIDDEN)
    assert (aws.get(f"{address}/open"), aws.get(f"{address}/nowhere")) == (200, 404)
    assert _refusal(aws, f"{address}/jwt") == (401, UNAUTHORIZED)
    assert _refusal(aws, f"{address}/jwt", token) == (401, UNAUTHORIZED)
    assert _refusal(aws, f"{address}/theirs") == (401, UNAUTHORIZED)
    for outcome, jwt, theirs in (("deny", 401, 403), ("scopes", 403, 403), ("error", 500, 500), ("allow", 200, 200)):
        aws.configure(outcomes={"authorizers": {"tokens": outcome, "theirs": outcome}})
        found = (aws.get(f"{address}/jwt", token), aws.get(f"{address}/theirs", token))
        assert found == (jwt, theirs), (outcome, found)
    aws.configure(outcomes={"functions": {"theirs": "deny"}, "throttled": ["GET /open"], "open": ["GET /iam"]})
    found = [aws.get(f"{address}/{name}", token) for name in ("theirs", "open", "iam")]
    assert found == [403, 429, 200], found
    assert _refusal(aws, f"{address}/open") == (429, '{"message":"Too Many Requests"}')
    aws.configure(outcomes={"throttled": [], "closed": ["GET /open"], "backends": {"GET /iam": {"status": 503}}})
    assert (aws.get(f"{address}/open"), aws.get(f"{address}/iam", token)) == (403, 503)


@check
def deleted_authorizers_break_deployed_routes(aws: Aws) -> None:
    """A stage whose deployment names an authorizer that no longer exists."""
    made, address, authorizer = _protected(aws, "GET /a")
    v2, api_id = aws.apigatewayv2, made["api_id"]
    v2.update_stage(ApiId=api_id, StageName="prod", AutoDeploy=False)
    v2.update_route(ApiId=api_id, RouteId=made["routes"]["GET /a"], AuthorizationType="NONE")
    assert aws.get(f"{address}/a", KEY) == 200
    v2.delete_authorizer(**authorizer)
    assert aws.get(f"{address}/a", KEY) == 500
    v2.create_deployment(ApiId=api_id, StageName="prod")
    assert aws.get(f"{address}/a") == 200


@check
def preflights_of_http_apis(aws: Aws) -> None:
    """The gateway answers them if the API has a CORS configuration, except for routes that catch them."""
    cors = {"AllowOrigins": ["https://x.example"], "AllowMethods": ["GET"], "AllowHeaders": ["apikey"], "MaxAge": 60}
    cors["ExposeHeaders"] = ["date"]
    made, address, _ = _protected(aws, "GET /a", "ANY /any", cors=cors)
    status, headers, body = aws.ask(f"{address}/a", PREFLIGHT, "OPTIONS")
    assert (status, body) == (204, "")
    assert headers["access-control-allow-origin"] == "https://x.example"
    assert headers["access-control-allow-headers"] == "apikey" and headers["access-control-max-age"] == "60"
    assert aws.ask(f"{address}/any", PREFLIGHT, "OPTIONS")[0] == 403
    assert aws.ask(f"{address}/a", {"Origin": "https://x.example"}, "OPTIONS")[0] == 404, "no preflight"
    status, headers, _ = aws.ask(f"{address}/a", {**PREFLIGHT, "Origin": "https://other.example"}, "OPTIONS")
    assert status == 204 and "access-control-allow-origin" not in headers
    _, headers, _ = aws.ask(f"{address}/a", {**KEY, "Origin": "https://x.example"})
    assert headers["access-control-expose-headers"] == "date" and "access-control-allow-origin" in headers
    _, headers, _ = aws.ask(f"{address}/a", {"Origin": "https://x.example"})
    assert "access-control-allow-origin" not in headers, "refusals have no CORS headers"
    v2, api_id = aws.apigatewayv2, made["api_id"]
    open_any = {"ApiId": api_id, "RouteId": made["routes"]["ANY /any"], "AuthorizationType": "NONE"}
    v2.update_route(**open_any)
    assert aws.ask(f"{address}/any", PREFLIGHT, "OPTIONS")[0] == 204
    v2.delete_cors_configuration(ApiId=api_id)
    assert aws.ask(f"{address}/a", PREFLIGHT, "OPTIONS")[0] == 404


def _raw(aws: Aws, target: str, *lines: str) -> bytes:
    """The reply to a request with exactly these headers."""
    address = urlsplit(aws.url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        text = "\r\n".join((f"GET {target} HTTP/1.1", "Host: x", *lines, "Connection: close", "", ""))
        connection.sendall(text.encode())
        found = b""
        while part := connection.recv(65536):
            found += part
    return found


@check
def events_of_http_apis(aws: Aws) -> None:
    """Payload 2.0: a decoded path with the stage in front, joined headers in lower case, and cookies apart."""
    members = {"IdentitySource": ["$request.header.apikey", "$request.querystring.q"]}
    stages = [
        {"name": "prod", "auto_deploy": True, "variables": {"v": "1"}},
        {"name": "$default", "auto_deploy": True},
    ]
    made, address, _ = _protected(aws, "GET /a/{id}", "GET /b", stages=stages, **members)
    assert aws.control("GET", "events") == []
    lines = ["ApiKey: k1", "apikey: k2", "Cookie: a=1; b=2", "X-Two: y"]
    _raw(aws, f"{address}/a/x%20%25y?q=1&q=%202&r=", *lines)
    (found,) = aws.control("GET", "events")
    assert (found["function"], found["api_id"]) == ("f", made["api_id"])
    event = found["event"]
    assert (event["version"], event["type"], event["routeKey"]) == ("2.0", "REQUEST", "GET /a/{id}")
    assert event["rawPath"] == event["requestContext"]["http"]["path"] == "/prod/a/x %y"
    assert event["rawQueryString"] == "q=1&q=%202&r="
    assert event["queryStringParameters"] == {"q": "1, 2", "r": ""}
    assert event["pathParameters"] == {"id": "x %y"} and event["stageVariables"] == {"v": "1"}
    assert event["identitySource"] == ["k1,k2", "1, 2"]
    assert event["cookies"] == ["a=1", "b=2"] and "cookie" not in event["headers"]
    assert event["headers"]["apikey"] == "k1,k2" and event["headers"]["x-two"] == "y"
    domain = f"{made['api_id']}.execute-api.us-east-1.amazonaws.com"
    assert event["headers"]["host"] == event["requestContext"]["domainName"] == domain
    assert "connection" not in event["headers"]
    context = event["requestContext"]
    assert (context["stage"], context["accountId"]) == ("prod", "123456789012")
    prefix = f"arn:aws:execute-api:us-east-1:123456789012:{made['api_id']}"
    assert event["routeArn"] == f"{prefix}/prod/GET/a/x %y"
    aws.control("POST", "log/clear")
    aws.get(f"/_aws/execute-api/{made['api_id']}/b?q=1", KEY)
    (found,) = aws.control("GET", "events")
    event = found["event"]
    assert event["rawPath"] == "/b" and event["routeArn"] == f"{prefix}/$default/GET/b"
    assert not {"cookies", "pathParameters", "stageVariables"} & set(event), event


@check
def events_of_payload_1(aws: Aws) -> None:
    """The members of the guide, and a policy as the answer."""
    members = {"AuthorizerPayloadFormatVersion": "1.0", "EnableSimpleResponses": False}
    _, address, _ = _protected(aws, "GET /a", IdentitySource=["$request.header.apikey"], **members)
    assert aws.get(f"{address}/a?x=1", KEY) == 200
    (found,) = aws.control("GET", "events")
    event = found["event"]
    assert (event["version"], event["httpMethod"], event["path"]) == ("1.0", "GET", "/a")
    assert event["identitySource"] == event["authorizationToken"] == KEY["apikey"]
    assert event["methodArn"].endswith("/prod/GET/a")


@check
def refusals_are_in_the_log_of_the_function(aws: Aws) -> None:
    """With the end of the key, as the authorizer writes it. Allowed requests are not."""
    _, address, _ = _protected(aws, "GET /orders/{id}", "$default")
    assert aws.get(f"{address}/orders/1", {"apikey": "no-log-group-12345678"}) == 403
    group = {"logGroupName": "/aws/lambda/f"}
    aws.logs.create_log_group(**group)
    assert aws.get(f"{address}/orders/1", KEY) == 200
    assert aws.logs.filter_log_events(**group)["events"] == []
    _, headers, _ = aws.ask(f"{address}/orders/1", {"apikey": "random-and-wrong-wxyz"})
    aws.get(f"{address}/orders/1", {"apikey": "short"})
    aws.get(f"{address}/orders/1")
    events = aws.logs.filter_log_events(**group)["events"]
    lines = [json.loads(event["message"]) for event in events]
    assert [line["credential"] for line in lines] == ["***wxyz", "***", None]
    assert [line["reason"] for line in lines] == ["user_key_invalid", "user_key_invalid", "credential_missing"]
    first = lines[0]
    assert (first["event"], first["allowed"], first["method"]) == ("decision", False, "GET")
    assert (first["resource"], first["gateway_request"]) == ("/orders/{id}", headers["apigw-requestid"])
    (found,) = aws.logs.filter_log_events(**group, filterPattern='"***wxyz"')["events"]
    assert found["message"] == events[0]["message"]
    aws.get(f"{address}/x", {"apikey": "random-and-wrong-abcd"})
    (found,) = aws.logs.filter_log_events(**group, filterPattern='"***abcd"')["events"]
    assert json.loads(found["message"])["resource"] == "$default"


@check
def patterns_and_lag_of_logs(aws: Aws) -> None:
    """Patterns of JSON compare members of a line, with wildcards. The next `log_lag` reads do not show a line."""
    _, address, _ = _protected(aws, "GET /a")
    group = {"logGroupName": "/aws/lambda/f"}
    aws.logs.create_log_group(**group)
    aws.get(f"{address}/a", {"apikey": "random-and-wrong-wxyz"})

    def count(pattern: str) -> int:
        return len(aws.logs.filter_log_events(**group, filterPattern=pattern)["events"])

    patterns = {
        '{ $.credential = "***wxyz" }': 1,
        '{ $.event = "decision" && $.credential = "*wxyz" && $.allowed IS FALSE }': 1,
        '{ $.credential = "***abcd" }': 0,
        '{ $.event = "decision" && $.allowed IS TRUE }': 0,
        "{ $.none = 1 }": 0,
        "{ $.us > 1 }": 1,
    }
    assert {pattern: count(pattern) for pattern in patterns} == patterns
    aws.configure(log_lag=2)
    aws.get(f"{address}/a", {"apikey": "another-and-wrong-abcd"})
    assert [count('{ $.credential = "***abcd" }') for _ in range(3)] == [0, 0, 1]


@check
def watching_apis_of_version_2(aws: Aws) -> None:
    """The statuses after each write, while a stage deploys automatically and while it does not."""
    made = seed(aws, "GET /a", stages=[{"name": "prod", "auto_deploy": True}])
    api_id, v2 = made["api_id"], aws.apigatewayv2
    aws.configure(watch=[{"path": f"{api_id}/prod/a"}])
    route = {"ApiId": api_id, "RouteId": made["routes"]["GET /a"]}
    v2.update_route(**route, AuthorizationType="AWS_IAM")
    v2.update_route(**route, AuthorizationType="NONE")
    v2.update_stage(ApiId=api_id, StageName="prod", AutoDeploy=False)
    v2.update_route(**route, AuthorizationType="AWS_IAM")
    deployment = v2.create_deployment(ApiId=api_id)["DeploymentId"]
    v2.update_stage(ApiId=api_id, StageName="prod", DeploymentId=deployment)
    found = [(entry["operation"], entry["statuses"]) for entry in aws.control("GET", "watched")]
    assert found == [
        ("UpdateRoute", [403]),
        ("UpdateRoute", [200]),
        ("UpdateStage", [200]),
        ("UpdateRoute", [200]),
        ("CreateDeployment", [200]),
        ("UpdateStage", [403]),
    ], found


# --- WebSocket APIs


def _connect(aws: Aws, target: str, headers: dict[str, str] | None = None) -> int:
    """The status of a handshake."""
    lines = [f"{name}: {value}" for name, value in {**HANDSHAKE, **(headers or {})}.items()]
    reply = _raw(aws, target, *lines)
    if reply.startswith(b"HTTP/1.1 101 "):
        assert b"sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in reply, reply
    return int(reply.split(b" ", 2)[1])


@check
def handshakes_of_websocket_apis(aws: Aws) -> None:
    """Without `$connect` or its authorizer, every connection is accepted. Refusals have a status only."""
    made = seed(aws, "$default", protocol="WEBSOCKET", stages=[{"name": "prod", "auto_deploy": True}])
    api_id, v2 = made["api_id"], aws.apigatewayv2
    address = f"/_aws/execute-api/{api_id}/prod"
    assert _connect(aws, address) == 101
    assert _connect(aws, f"/_aws/execute-api/{api_id}/none") == 403
    assert aws.get(address) == 400, "no handshake"
    aws.function(aws.role())
    sources = ["route.request.querystring.user_key"]
    plain = {name: REQUEST[name] for name in ("AuthorizerType", "AuthorizerUri")}
    ours = v2.create_authorizer(ApiId=api_id, **plain, Name="threescale-gw-orders", IdentitySource=sources)
    connect = v2.create_route(
        ApiId=api_id, RouteKey="$connect", AuthorizationType="CUSTOM", AuthorizerId=ours["AuthorizerId"]
    )
    aws.configure(valid_keys=[KEY["apikey"]])
    query = f"{address}?user_key={KEY['apikey']}"
    assert _connect(aws, query) == 500, "no permission"
    _permit(aws, f"{api_id}/authorizers/{ours['AuthorizerId']}")
    assert [_connect(aws, target) for target in (query, address, f"{address}?user_key=wrong")] == [101, 401, 403]
    event = aws.control("GET", "events")[0]["event"]
    assert event["methodArn"].endswith(f":{api_id}/prod/$connect")
    assert not {"httpMethod", "path", "version"} & set(event), event
    context = event["requestContext"]
    assert (context["eventType"], context["routeKey"], context["stage"]) == ("CONNECT", "$connect", "prod")
    assert event["headers"]["Sec-WebSocket-Version"] == "13"
    assert event["multiValueQueryStringParameters"] == {"user_key": [KEY["apikey"]]}
    aws.configure(outcomes={"authorizer": "error"})
    assert _connect(aws, query) == 500
    v2.update_route(ApiId=api_id, RouteId=connect["RouteId"], AuthorizationType="NONE")
    assert _connect(aws, address) == 101
