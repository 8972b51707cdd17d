"""Smithy RPC v2 CBOR, which the SDKs speak to CloudWatch. Moto does not: a request becomes one in JSON, and the reply CBOR.

Source: Smithy 2.0, "Smithy RPC v2 CBOR protocol".
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from functools import cache
from typing import Any

from botocore.parsers import RpcV2CBORParser, create_parser
from botocore.serialize import RpcV2CBORSerializer
from moto.core.utils import get_service_model

from .wire import SERVICES, RawRequest, Response, scope

CONTENT_TYPE = "application/cbor"
_HEADERS = {"Content-Type": CONTENT_TYPE, "smithy-protocol": "rpc-v2-cbor"}


def serve(raw: RawRequest, answer: Callable[[RawRequest], Response | None]) -> Response | None:
    """Answers a request, in CBOR if it is in CBOR."""
    found = scope(raw.headers)
    if raw.headers.get("smithy-protocol") != "rpc-v2-cbor" or found is None or found[1] not in SERVICES:
        return answer(raw)
    # /service/<name>/operation/<name>
    _, _, target, _, name = raw.path.split("/", 4)
    body = _read(raw.body) if raw.body else {}
    headers = {
        **raw.headers,
        "content-type": "application/x-amz-json-1.0",
        "x-amz-target": f"{target}.{name}",
    }
    headers.pop("smithy-protocol")
    response = answer(RawRequest("POST", "/", "", headers, json.dumps(body).encode()))
    if response is None or response.body == b'{"<':  # a reply that a fault made unreadable
        return response
    service = SERVICES[found[1]][0]
    return _failure(response) if response.status >= 300 else _success(response, service, name)


def _read(body: bytes) -> Any:
    return RpcV2CBORParser().parse_data_item(io.BufferedReader(io.BytesIO(body)))  # type: ignore[arg-type]


@cache
def _output(service: str, operation: str) -> Any:
    return get_service_model(service).operation_model(operation).output_shape


def _success(response: Response, service: str, operation: str) -> Response:
    shape = _output(service, operation)
    body = bytearray()
    if shape is None:
        body += b"\xa0"
    else:
        parsed = create_parser("json").parse(
            {"body": response.body or b"{}", "headers": response.headers, "status_code": response.status}, shape
        )
        parsed.pop("ResponseMetadata", None)
        RpcV2CBORSerializer()._serialize_data_item(body, parsed, shape)
    return Response(response.status, dict(_HEADERS), bytes(body))


def _failure(response: Response) -> Response:
    error = json.loads(response.body or b"{}")
    message = error.get("message", error.get("Message", ""))
    code = error.get("__type", "").rpartition("#")[2]
    return Response(response.status, {**_HEADERS, "x-amzn-query-error": f"{code};Sender"}, _error(code, message))


def _error(code: str, message: str) -> bytes:
    body = bytearray(b"\xa2")
    for text in ("__type", f"com.amazonaws.cloudwatch#{code}", "message", message):
        data = text.encode()
        body += _head(len(data)) + data
    return bytes(body)


def _head(length: int) -> bytes:
    """The first bytes of a text of this length."""
    if length < 24:
        return bytes([0x60 | length])
    if length < 256:
        return bytes([0x78, length])
    return bytes([0x79]) + length.to_bytes(2, "big")
