"""Internal calls, which play another user of the account. They are neither logged nor subject to faults."""

from __future__ import annotations

import base64
import datetime
import json
from functools import cache
from typing import Any
from urllib.parse import urlencode

from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from moto.core.utils import get_service_model

from .gateway import QUIET_HEADER, handle
from .wire import RawRequest, service_names
from .account_state import REGION, World


class CallFailed(Exception):
    """The account refused a call. `code` and `message` are the same as in boto3."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


@cache
def _serializer(protocol: str) -> Any:
    return create_serializer(protocol, include_validation=False)


def call(
    world: World, service: str, operation: str, parameters: dict[str, Any], region: str = REGION
) -> dict[str, Any]:
    """Makes one AWS call in boto3's terms (`service` as in botocore). Raises `CallFailed`."""
    if service not in service_names():
        raise CallFailed("UnknownService", service)
    model = get_service_model(service)
    if operation not in model.operation_names:
        raise CallFailed("UnknownOperation", f"{service}:{operation}")
    operation_model = model.operation_model(operation)
    # What moto reads in place of CBOR.
    protocol = "json" if str(model.protocol).startswith("smithy") else str(model.protocol)
    request = _serializer(protocol).serialize_to_request(parameters, operation_model)
    headers = {k.lower(): str(v) for k, v in request["headers"].items()}
    body = request["body"]
    if isinstance(body, dict):
        body = urlencode(body)
        headers["content-type"] = "application/x-www-form-urlencoded; charset=utf-8"
    elif body and protocol == "rest-json":
        headers.setdefault("content-type", "application/json")
    if isinstance(body, str):
        body = body.encode()
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260101/{region}/{model.signing_name}/aws4_request, "
        "SignedHeaders=host, Signature=none"
    )
    headers[QUIET_HEADER] = "1"
    path, _, fixed = request["url_path"].partition("?")
    query = urlencode(request["query_string"], doseq=True) if request["query_string"] else ""
    query = "&".join(part for part in (fixed, query) if part)
    response = handle(world, RawRequest(request["method"], path, query, headers, body or b""))
    if response is None:
        raise CallFailed("ConnectionClosed", "no reply")
    parsed = create_parser(protocol).parse(
        {"body": response.body, "headers": _lower(response.headers), "status_code": response.status},
        operation_model.output_shape,
    )
    if response.status >= 300:
        error = parsed.get("Error", {})
        raise CallFailed(error.get("Code", str(response.status)), error.get("Message", ""))
    parsed.pop("ResponseMetadata", None)
    return parsed


def _lower(headers: dict[str, str]) -> dict[str, str]:
    from botocore.compat import HTTPHeaders

    found = HTTPHeaders()
    for name, value in headers.items():
        found[name] = value
    return found


def from_json(value: Any) -> Any:
    """Converts `{"$base64": "..."}` to bytes."""
    if isinstance(value, dict):
        if set(value) == {"$base64"}:
            return base64.b64decode(value["$base64"])
        return {k: from_json(v) for k, v in value.items()}
    if isinstance(value, list):
        return [from_json(item) for item in value]
    return value


def to_json(value: Any) -> str:
    def default(item: Any) -> Any:
        if isinstance(item, bytes):
            try:
                return item.decode()
            except UnicodeDecodeError:
                return {"$base64": base64.b64encode(item).decode()}
        if isinstance(item, datetime.datetime):
            return item.isoformat()
        if hasattr(item, "read"):
            return default(item.read())
        if isinstance(item, (set, frozenset)):
            return sorted(item)
        return str(item)

    return json.dumps(value, default=default)
