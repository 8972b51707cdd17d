"""API Gateway (REST): APIs and their attributes."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from moto.apigateway.models import RestAPI, apigateway_backends

from .api_json import shown_alone
from .apigateway import api_of, bad_request
from .errors import AwsError
from .gateway import QUIET_HEADER, operation
from .wire import ACCOUNT, Call
from .account_state import World

_ENDPOINT_TYPES = ("REGIONAL", "EDGE", "PRIVATE")


def check_tags(call: Call, keys: Iterable[str]) -> None:
    """AWS reserves the prefix `aws:`. Internal calls can use it to play CloudFormation."""
    if QUIET_HEADER not in call.raw.headers and any(key.lower().startswith("aws:") for key in keys):
        raise bad_request("aws: prefixed tag key names are not allowed for external use.")


@operation("apigateway", "CreateRestApi")
def create_rest_api(world: World, call: Call) -> Any:
    check_tags(call, call.get("tags", {}))
    _check_size(call.get("minimumCompressionSize"))
    _check_endpoint(call.get("endpointConfiguration", {}).get("types", ["EDGE"]))
    _check_policy(call.get("policy"))
    api = apigateway_backends[ACCOUNT][call.region].apis[call.result()["id"]]
    api.binaryMediaTypes = list(call.get("binaryMediaTypes", []))
    api.version = call.get("version", "V1")
    return shown_alone(api)


def _check_size(size: int | None) -> None:
    if size is not None and not 0 <= size <= 10_485_760:
        raise bad_request("Invalid minimum compression size, must be between 0 and 10485760")


def _check_endpoint(types: list[str]) -> None:
    if len(types) != 1:
        raise bad_request("Only one endpoint type may be specified at a time")
    if types[0] not in _ENDPOINT_TYPES:
        raise bad_request(f"Invalid EndpointTypes specified. Valid options are {','.join(_ENDPOINT_TYPES)}")


def _check_policy(policy: str | None) -> None:
    try:
        if policy and not isinstance(json.loads(policy), dict):
            raise ValueError
    except ValueError:
        raise bad_request("Invalid policy document. Please check the policy syntax and ensure it is valid.") from None


@operation("apigateway", "UpdateRestApi")
def update_rest_api(world: World, call: Call) -> Any:
    api = api_of(call)
    before = {**api.__dict__, "binaryMediaTypes": list(api.binaryMediaTypes)}
    try:
        for patch in call.get("patchOperations", []):
            _patch(api, patch)
    except AwsError:
        api.__dict__.update(before)
        raise
    return shown_alone(api)


_TEXTS = {"/name": "name", "/description": "description", "/apiKeySource": "api_key_source", "/policy": "policy"}


def _patch(api: RestAPI, patch: dict[str, Any]) -> None:
    kind, path, value = patch.get("op"), patch.get("path", ""), patch.get("value")
    group, _, name = path.removeprefix("/").partition("/")
    name = name.replace("~1", "/").replace("~0", "~")
    if group == "binaryMediaTypes" and name and kind in ("add", "replace", "remove"):
        if kind != "add" and name not in api.binaryMediaTypes:
            raise bad_request("Invalid binary media type")
        kept = [one for one in api.binaryMediaTypes if kind == "add" or one != name]
        api.binaryMediaTypes = kept + ([] if kind == "remove" else [name if kind == "add" else value])
        return
    if kind != "replace":
        raise bad_request("Invalid patch operation specified. Must be one of: [replace]")
    if path in _TEXTS:
        if path == "/policy":
            _check_policy(value)
        if path == "/apiKeySource" and value not in ("HEADER", "AUTHORIZER"):
            raise bad_request("Invalid API key source")
        setattr(api, _TEXTS[path], value or None)
    elif path == "/disableExecuteApiEndpoint":
        api.disableExecuteApiEndpoint = str(value).lower() == "true"
    elif path == "/minimumCompressionSize":
        if value and not value.isdigit():
            raise bad_request("Invalid minimum compression size, must be between 0 and 10485760")
        api.minimum_compression_size = int(value) if value else None
        _check_size(api.minimum_compression_size)
    elif group == "endpointConfiguration" and name.startswith("types"):
        _check_endpoint([value])
        api.endpoint_configuration = {**api.endpoint_configuration, "types": [value]}
    else:
        raise bad_request(f"Invalid patch path {path}")
