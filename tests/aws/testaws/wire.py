"""Converts requests to (service, operation, parameters), and results to responses.

moto and botocore parse and serialize, based on the service models in botocore.
"""

from __future__ import annotations

import io
import json
import re
import warnings
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import Any
from urllib.parse import parse_qsl, unquote, unquote_to_bytes, urlencode

from botocore.parsers import create_parser
from moto.core.errors import get_error_model
from moto.core.exceptions import ServiceException
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import Request as MotoRequest
from moto.core.request import determine_request_protocol
from moto.core.routing import NotFound, get_service_router
from moto.core.serialize import get_serializer_class
from moto.core.utils import get_service_model
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    create_backend_app,
)
from moto.utilities.utils import get_partition
from werkzeug.datastructures import Headers, MultiDict
from werkzeug.exceptions import HTTPException

from . import slim_moto
from .errors import AwsError, MotoReply, Unimplemented

ACCOUNT = "123456789012"

partition_of = cache(get_partition)

_DNS_SUFFIXES = {"aws-cn": "amazonaws.com.cn", "aws-eusc": "amazonaws.eu"}

# In the patterns of ARNs.
PARTITIONS = "aws(?:-[a-z]+)*"


def arn(service: str, region: str, resource: str, account: str = ACCOUNT) -> str:
    """An ARN, in the partition of the region. IAM's and STS's name none, but are of one too."""
    shown = "" if service in ("iam", "sts") else region
    return f"arn:{partition_of(region)}:{service}:{shown}:{account}:{resource}"


def dns_suffix(region: str) -> str:
    """What the names of AWS's endpoints in a region end with."""
    return _DNS_SUFFIXES.get(partition_of(region), "amazonaws.com")


# SigV4 service name -> (botocore service, moto backend)
SERVICES = {
    "apigateway": ("apigateway", "apigateway"),
    "ec2": ("ec2", "ec2"),
    "elasticache": ("elasticache", "elasticache"),
    "events": ("events", "events"),
    "iam": ("iam", "iam"),
    "kms": ("kms", "kms"),
    "lambda": ("lambda", "awslambda"),
    "monitoring": ("cloudwatch", "cloudwatch"),
    "logs": ("logs", "logs"),
    "servicequotas": ("service-quotas", "servicequotas"),
    "ssm": ("ssm", "ssm"),
    "sts": ("sts", "sts"),
    "tagging": ("resourcegroupstaggingapi", "resourcegroupstaggingapi"),
}

# Version 2 of API Gateway (HTTP and WebSocket APIs) has the signing name of version 1. Nothing of it is moto's.
_GATEWAY_V2 = ("apigatewayv2", "")


def service_of(signing: str, path: str) -> tuple[str, str] | None:
    """(botocore service, moto backend) of a request."""
    if signing == "apigateway" and path.startswith("/v2/"):
        return _GATEWAY_V2
    return SERVICES.get(signing)


def service_names() -> set[str]:
    """The services that this server knows, as botocore names them."""
    return {service for service, _ in (*SERVICES.values(), _GATEWAY_V2)}

# EC2's errors and the common errors are not in any service's model, and moto warns about each of them.
warnings.filterwarnings("ignore", message=".*does not match an error shape.*")

_SCOPE = re.compile(r"Credential=[^/]+/\d+/([^/]+)/([^/]+)/aws4_request")
_ACCESS_KEY = re.compile(r"Credential=([^/]+)/")


@dataclass
class RawRequest:
    """An HTTP request as received. `path` is percent-encoded, `query` has no question mark."""

    method: str
    path: str
    query: str
    headers: dict[str, str]  # lower-case names
    body: bytes
    lines: list[tuple[str, str]] = field(default_factory=list)  # the headers as sent, in order

    def environ(self, body: bytes | None = None) -> dict[str, Any]:
        data = self.body if body is None else body
        environ = {
            "REQUEST_METHOD": self.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote_to_bytes(self.path).decode("latin-1"),
            "RAW_URI": self.path + (f"?{self.query}" if self.query else ""),
            "REQUEST_URI": self.path + (f"?{self.query}" if self.query else ""),
            "QUERY_STRING": self.query,
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(data),
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        for name, value in self.headers.items():
            if name in ("content-length", "transfer-encoding"):
                continue
            key = name.upper().replace("-", "_")
            environ[key if key == "CONTENT_TYPE" else f"HTTP_{key}"] = value
        environ["CONTENT_LENGTH"] = str(len(data))
        return environ


@dataclass
class Response:
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Call:
    """One parsed AWS call."""

    service: str
    operation: str
    region: str
    params: dict[str, Any]
    raw: RawRequest
    model: Any = None
    protocol: str = ""
    backend: str = ""
    unread: set[str] = field(default_factory=set)  # names in the request that match no parameter
    parse_error: str | None = None
    entry: dict[str, Any] | None = None  # of the log

    def get(self, name: str, default: Any = None) -> Any:
        value = self.params.get(name)
        return default if value is None else value

    def moto(self, drop: tuple[str, ...] = (), put: dict[str, str] | None = None) -> Response:
        """Lets moto respond. `drop` (prefixes) and `put` edit the form parameters of a query call first."""
        body = None
        if drop or put:
            form = parse_qsl(self.raw.body.decode(), keep_blank_values=True)
            kept = [(k, v) for k, v in form if not any(k == d or k.startswith(d + ".") for d in drop)]
            if put:
                kept = [(k, v) for k, v in kept if k not in put] + list(put.items())
            body = urlencode(kept).encode()
        return call_moto(self, body)

    def result(self, drop: tuple[str, ...] = (), put: dict[str, str] | None = None) -> dict[str, Any]:
        """Moto's result in boto3's format. An error reply of moto ends the call with that reply."""
        # Moto's interfaces have empty members that only the serialization drops, and other services have a different
        # time precision.
        if self.service != "ec2" or self.operation == "DescribeNetworkInterfaces":
            return self.parse(self.moto(drop, put))
        shown: list[dict[str, Any]] = []
        token = slim_moto.AS_BOTO3_SHOWS.set(shown)
        try:
            response = self.moto(drop, put)
        finally:
            slim_moto.AS_BOTO3_SHOWS.reset(token)
        return shown[0] if shown else self.parse(response)

    def parse(self, response: Response) -> dict[str, Any]:
        if response.status >= 300:
            raise MotoReply(response)
        parser = create_parser("ec2" if self.protocol == "ec2" else self.protocol)
        parsed = parser.parse(
            {"body": response.body, "headers": response.headers, "status_code": response.status},
            self.model.output_shape,
        )
        parsed.pop("ResponseMetadata", None)
        return parsed


def scope(headers: dict[str, str]) -> tuple[str, str] | None:
    """(region, signing name) of a SigV4-signed request."""
    found = _SCOPE.search(headers.get("authorization", ""))
    return (found.group(1), found.group(2)) if found else None


def access_key(headers: dict[str, str]) -> str | None:
    """The ID of the access key that signed a request."""
    found = _ACCESS_KEY.search(headers.get("authorization", ""))
    return found.group(1) if found else None


class _Watched(dict):
    """Form values that record which names were read."""

    def __init__(self, items):
        super().__init__(items)
        self.asked: set[str] = set()

    def get(self, key, default=None):
        if key in self:
            self.asked.add(key)
        return super().get(key, default)

    def getlist(self, key):
        self.asked.add(key)
        return [self[key]] if key in self else []


def parse(raw: RawRequest) -> Call:
    """The AWS call of a request. Raises `Unimplemented` if no known operation matches the request."""
    found = scope(raw.headers)
    if found is None:
        raise Unimplemented("request is not signed")
    region, signing = found
    known = service_of(signing, raw.path)
    if known is None:
        return _foreign(raw, region, signing)
    service, backend = known
    service_model = get_service_model(service)
    uri_params = headers = path = None
    try:
        content_type = raw.headers.get("content-type")
        protocol = determine_request_protocol(service_model, content_type)
        if protocol in ("ec2", "query", "json"):
            form = [] if protocol == "json" else _form(raw)
            name = dict(form).get("Action") if form else raw.headers.get("x-amz-target", "").rpartition(".")[2]
            model = _operations(service).get(name)
            if model is None:
                raise NotFound
            values: Any = _Watched(form)
        else:
            model, uri_params = _route(service, raw)
            values = MultiDict(parse_qsl(raw.query, keep_blank_values=True))
            headers, path = Headers(list(raw.headers.items())), unquote(raw.path)
    except (NotFound, NotImplementedError):
        name = _name_of(raw)
        raise Unimplemented(f"{service}:{name}") from None
    call = Call(service, model.name, region, {}, raw, model, protocol, backend)
    try:
        parser = PROTOCOL_PARSERS[protocol](model)
        call.params = (
            parser.parse(
                {
                    "method": raw.method,
                    "values": values,
                    "headers": headers,
                    "body": raw.body,
                    "url_path": path,
                    "url_params": uri_params,
                }
            )
            or {}
        )
    except (ValueError, TypeError, AttributeError, KeyError) as problem:
        call.parse_error = f"{type(problem).__name__}: {problem}"
    if isinstance(values, _Watched):
        call.unread = set(values) - values.asked - {"Action", "Version"}
    call.params = {k: v for k, v in call.params.items() if v is not None}
    return call


_ROUTES: dict[tuple[str, str, str, str], tuple[Any, dict[str, Any]]] = {}


def _route(service: str, raw: RawRequest) -> tuple[Any, dict[str, Any]]:
    """The operation of a path, and the parameters in it. Most paths are requested many times."""
    key = service, raw.method, raw.path, raw.query
    found = _ROUTES.get(key)
    if found is None:
        found = _ROUTES[key] = get_service_router(service).match(DirectRequest(raw.environ()))
    model, uri_params = found
    return model, dict(uri_params)


@cache
def _operations(service: str) -> dict[str, Any]:
    """The operations of a service whose requests name them, instead of a path."""
    model = get_service_model(service)
    return {name: model.operation_model(name) for name in model.operation_names}


def _form(raw: RawRequest) -> list[tuple[str, str]]:
    return parse_qsl(raw.query, keep_blank_values=True) + parse_qsl(
        raw.body.decode("utf-8", "replace"), keep_blank_values=True
    )


def _name_of(raw: RawRequest) -> str:
    form = dict(parse_qsl(raw.body.decode("utf-8", "replace"))) if raw.body else {}
    target = raw.headers.get("x-amz-target", "").rpartition(".")[2]
    return form.get("Action") or target or f"{raw.method} {raw.path}"


def _foreign(raw: RawRequest, region: str, signing: str) -> Call:
    """A call to a service that only moto implements, which is passed through without parsing."""
    call = Call(signing, _name_of(raw), region, {}, raw)
    call.backend = "*"
    return call


@cache
def _application() -> Any:
    """All services of moto."""
    return DomainDispatcherApplication(create_backend_app)


class DirectRequest(MotoRequest):
    """A request that moto handles without an application around it."""

    from_wsgi_server = True

    @property
    def raw_url(self) -> str:
        return "http://127.0.0.1" + self.environ["RAW_URI"]


@cache
def _dispatch(backend: str) -> Any:
    """The handler of all requests to a service: all its paths refer to it."""
    paths = import_module(f"moto.{backend}.urls").url_paths
    return next(iter(paths.values()))


def warm() -> None:
    """Loads and creates what the first call to each service would."""
    for service, backend in (*SERVICES.values(), _GATEWAY_V2):
        if backend:
            _dispatch(backend)
        protocol = str(get_service_model(service).protocol)
        if protocol in ("ec2", "query", "json", "rest-json"):
            get_service_router(service)._get_router(protocol)


def _call_directly(call: Call, body: bytes | None) -> tuple[int, dict[str, Any], bytes]:
    request = DirectRequest(call.raw.environ(body))
    try:
        result = _dispatch(call.backend)(request, request.raw_url, dict(request.headers))
    except HTTPException as refused:
        result = refused.code, dict(refused.get_headers()), refused.get_body()
    status, headers, content = result if len(result) == 3 else (200, {}, result)
    return status, headers, content.encode() if isinstance(content, str) else content or b""


def _call_application(call: Call, body: bytes | None) -> tuple[int, dict[str, Any], bytes]:
    seen: list[Any] = []

    def start_response(status, headers, exc_info=None):
        seen[:] = [int(status.split(" ", 1)[0]), headers]

    parts = _application()(call.raw.environ(body), start_response)
    data = b"".join(parts)
    return seen[0], dict(seen[1]), data


def call_moto(call: Call, body: bytes | None = None) -> Response:
    if not call.backend:
        raise Unimplemented(f"{call.service}:{call.operation}")
    answer = _call_application if call.backend == "*" else _call_directly
    try:
        status, headers, data = answer(call, body)
    except NotImplementedError as missing:
        raise Unimplemented(f"{call.service}:{call.operation}: {missing}") from None
    # There is no route or no operation. Moto's own errors are never HTML.
    if status == 404 and (not data or data.startswith(b"<!doctype html")):
        raise Unimplemented(f"{call.service}:{call.operation}")
    kept = {
        k: v
        for k, v in headers.items()
        if k.lower() not in ("content-length", "connection", "date", "server", "status")
    }
    return Response(status, kept, data)


@cache
def _serializer(service: str, protocol: str):
    return get_serializer_class(service, protocol)


def serialize(call: Call, result: Any) -> Response:
    """A result in the shape of the operation's output (as boto3 shows it), or an `AwsError`, on the wire."""
    if isinstance(result, ServiceException) and call.protocol in ("json", "rest-json"):
        return _json_error(call, result)
    status = getattr(result, "status", None) if isinstance(result, Exception) else None
    serialized = _serializer(call.service, call.protocol)(call.model).serialize(result)
    body = serialized["body"]
    if isinstance(body, str):
        body = body.encode()
    headers = dict(serialized["headers"])
    return Response(status or serialized["status_code"], headers, body or b"")


def _json_error(call: Call, error: ServiceException) -> Response:
    """An error as JSON: the services differ in where the code stands and what the text is called."""
    shape = get_error_model(error, call.model.service_model)
    status = getattr(error, "status", None) or shape.metadata.get("error", {}).get("httpStatusCode", 400)
    body: dict[str, str] = dict(getattr(error, "members", {}))
    headers = {"Content-Type": "application/json"}
    if call.protocol == "json":
        body["__type"] = error.code
        headers["Content-Type"] = f"application/x-amz-json-{call.model.service_model.metadata['jsonVersion']}"
    else:
        headers["x-amzn-ErrorType"] = error.code
        if call.service == "lambda":
            body["Type"] = "User" if status < 500 else "Service"
    # What denies a call is in front of the service, and in no model.
    unmodelled = "Message" if error.code.startswith("AccessDenied") else "message"
    names = (member.serialization.get("name", name) for name, member in shape.members.items())
    text = next((name for name in names if name.lower() == "message"), unmodelled)
    if error.message:
        body[text] = error.message
    return Response(status, headers, json.dumps(body).encode())


def plain_error(service: str, protocol: str, error: AwsError) -> Response:
    """An error reply for a request without a known operation."""
    status = error.status or 400
    if protocol in ("ec2",):
        body = (
            f"<Response><Errors><Error><Code>{error.code}</Code><Message>{error.message}</Message></Error></Errors>"
            "<RequestID>none</RequestID></Response>"
        )
        return Response(status, {"Content-Type": "text/xml"}, body.encode())
    if protocol == "query":
        body = (
            f"<ErrorResponse><Error><Type>Sender</Type><Code>{error.code}</Code><Message>{error.message}</Message>"
            "</Error><RequestId>none</RequestId></ErrorResponse>"
        )
        return Response(status, {"Content-Type": "text/xml"}, body.encode())
    body = json.dumps({"__type": error.code, "message": error.message})
    headers = {"Content-Type": "application/json", "x-amzn-ErrorType": error.code}
    return Response(status, headers, body.encode())


__all__ = ["ACCOUNT", "Call", "RawRequest", "Response", "arn", "dns_suffix", "parse", "scope", "serialize"]
