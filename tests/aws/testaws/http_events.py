"""API Gateway v2: a request to a stage, and the event that a Lambda authorizer gets for it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from .account_state import World
from .http_apis import HttpApi
from .wire import ACCOUNT, RawRequest, arn, dns_suffix

# The address of every caller.
SOURCE_IP = "127.0.0.1"

# What a connection needs, and no request has behind a gateway.
_OF_CONNECTIONS = {"connection", "keep-alive", "transfer-encoding", "te", "expect"}


@dataclass
class HttpRequest:
    raw: RawRequest
    api: HttpApi
    stage: dict[str, Any]
    path: str  # below the stage, percent-decoded
    snapshot: dict[str, Any]
    request_id: str
    route: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)  # the path parameters

    @property
    def stage_name(self) -> str:
        return self.stage["StageName"]

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(self.raw.query, keep_blank_values=True)

    @property
    def lines(self) -> list[tuple[str, str]]:
        """The headers as sent, also repeated ones."""
        return self.raw.lines or list(self.raw.headers.items())

    @property
    def headers(self) -> dict[str, str]:
        """HTTP APIs join repeated headers with commas, and give their names in lower case."""
        joined: dict[str, str] = {}
        for name, value in self.lines:
            name = name.lower()
            joined[name] = f"{joined[name]},{value}" if name in joined else value
        return joined

    @property
    def domain(self) -> str:
        return f"{self.api.id}.execute-api.{self.api.region}.{dns_suffix(self.api.region)}"

    @property
    def labels(self) -> set[str]:
        """Those of the request and of its route: `GET /orders/1`, `GET /orders/{id}`, `ANY /{proxy+}`, `$default`."""
        key = self.route.get("RouteKey", "")
        _, _, template = key.partition(" ")
        return {key, f"{self.raw.method} {self.path}", f"{self.raw.method} {template or self.path}"}

    def arn(self, resource: str) -> str:
        return arn("execute-api", self.api.region, f"{self.api.id}/{self.stage_name}/{resource}")


def authorizer_event(
    world: World, request: HttpRequest, authorizer: dict[str, Any], values: list[str]
) -> dict[str, Any]:
    """The event, in the format that the authorizer asks for. `values`: those of its identity sources."""
    if not request.api.is_http:
        return _connect_event(world, request)
    if authorizer["AuthorizerPayloadFormatVersion"] == "1.0":
        return _event_1(world, request, values)
    return _event_2(world, request, values)


def _with(found: dict[str, Any], **optional: Any) -> dict[str, Any]:
    """Adds the members that are not empty. AWS leaves out the others."""
    return found | {name: value for name, value in optional.items() if value}


def _joined(query: dict[str, list[str]]) -> dict[str, str]:
    return {name: ",".join(values) for name, values in query.items()}


def _headers_of_event(request: HttpRequest) -> dict[str, str]:
    """With those that the gateway adds, as in a published event: swift-server/swift-aws-lambda-events,
    Tests/AWSLambdaEventsTests."""
    kept = {name: value for name, value in request.headers.items() if name not in _OF_CONNECTIONS}
    found = {
        "content-length": "0",
        **kept,
        "host": request.domain,
        "x-amzn-trace-id": "Root=1-00000000-000000000000000000000000",
        "x-forwarded-for": SOURCE_IP,
        "x-forwarded-port": "443",
        "x-forwarded-proto": "https",
    }
    return dict(sorted(found.items()))


def _event_2(world: World, request: HttpRequest, values: list[str]) -> dict[str, Any]:
    """Guide, "Working with AWS Lambda authorizers for HTTP APIs". The stage's name is in front of the path, except for
    `$default` (aws-powertools/powertools-lambda-python issue 621), and the path is percent-decoded already
    (middleapi/standard-server PR 93)."""
    path = request.path if request.stage_name == "$default" else f"/{request.stage_name}{request.path}"
    headers = _headers_of_event(request)
    cookies = [one.strip() for one in headers.pop("cookie", "").split(";") if one.strip()]
    key = request.route["RouteKey"]
    http = {
        "method": request.raw.method,
        "path": path,
        "protocol": "HTTP/1.1",
        "sourceIp": SOURCE_IP,
        "userAgent": headers.get("user-agent", ""),
    }
    event = {
        "version": "2.0",
        "type": "REQUEST",
        "routeArn": request.arn(f"{request.raw.method}{request.path}"),
        "identitySource": values or None,
        "routeKey": key,
        "rawPath": path,
        "rawQueryString": request.raw.query,
        "headers": headers,
        "requestContext": {
            "accountId": ACCOUNT,
            "apiId": request.api.id,
            "domainName": request.domain,
            "domainPrefix": request.api.id,
            "http": http,
            "requestId": request.request_id,
            "routeKey": key,
            "stage": request.stage_name,
            "time": f"{world.date():%d/%b/%Y:%H:%M:%S +0000}",
            "timeEpoch": int(world.time() * 1000),
        },
    }
    return _with(
        event,
        cookies=cookies,
        queryStringParameters=_joined(request.query),
        pathParameters=request.parameters,
        stageVariables=request.stage.get("StageVariables"),
    )


def _event_1(world: World, request: HttpRequest, values: list[str]) -> dict[str, Any]:
    """The sample of the guide has no stage in front of the path."""
    headers = _headers_of_event(request)
    template = request.route["RouteKey"].rpartition(" ")[2]
    event = {
        "version": "1.0",
        "type": "REQUEST",
        "methodArn": request.arn(f"{request.raw.method}{request.path}"),
        "identitySource": ",".join(values),
        "authorizationToken": ",".join(values),
        "resource": template,
        "path": request.path,
        "httpMethod": request.raw.method,
        "headers": headers,
        "queryStringParameters": _joined(request.query),
        "pathParameters": request.parameters,
        "stageVariables": request.stage.get("StageVariables", {}),
        "requestContext": {
            "accountId": ACCOUNT,
            "apiId": request.api.id,
            "domainName": request.domain,
            "domainPrefix": request.api.id,
            "httpMethod": request.raw.method,
            "identity": {"sourceIp": SOURCE_IP, "userAgent": headers.get("user-agent", "")},
            "path": request.path,
            "protocol": "HTTP/1.1",
            "requestId": request.request_id,
            "requestTime": f"{world.date():%d/%b/%Y:%H:%M:%S +0000}",
            "requestTimeEpoch": int(world.time() * 1000),
            "resourceId": request.route["RouteKey"],
            "resourcePath": template,
            "stage": request.stage_name,
        },
    }
    return event


def _connect_event(world: World, request: HttpRequest) -> dict[str, Any]:
    """Guide, "Creating a Lambda REQUEST authorizer function": without a method, a path and a version. The names of the
    headers are as sent."""
    lines = [(name, value) for name, value in request.lines if name.lower() != "host"]
    lines += [("Host", request.domain), ("X-Forwarded-For", SOURCE_IP), ("X-Forwarded-Proto", "https")]
    many: dict[str, list[str]] = {}
    for name, value in lines:
        many.setdefault(name, []).append(value)
    connection = request.request_id.removesuffix("=")
    event = {
        "type": "REQUEST",
        "methodArn": request.arn("$connect"),
        "headers": {name: values[-1] for name, values in many.items()},
        "multiValueHeaders": many,
        "queryStringParameters": {name: values[-1] for name, values in request.query.items()},
        "multiValueQueryStringParameters": request.query,
        "stageVariables": request.stage.get("StageVariables", {}),
        "requestContext": {
            "apiId": request.api.id,
            "connectedAt": int(world.time() * 1000),
            "connectionId": connection,
            "domainName": request.domain,
            "eventType": "CONNECT",
            "extendedRequestId": request.request_id,
            "identity": {"sourceIp": SOURCE_IP},
            "messageDirection": "IN",
            "requestId": request.request_id,
            "requestTime": f"{world.date():%d/%b/%Y:%H:%M:%S +0000}",
            "requestTimeEpoch": int(world.time() * 1000),
            "routeKey": "$connect",
            "stage": request.stage_name,
        },
    }
    return event


def record(world: World, request: HttpRequest, function: str | None, event: dict[str, Any]) -> None:
    """Keeps an event for `/_test/events`."""
    world.events.append({"api_id": request.api.id, "function": function, "event": json.loads(json.dumps(event))})
