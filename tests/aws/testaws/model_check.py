"""Checks a request against the service's model: names, required members, types, enums, lengths, patterns, ranges."""

from __future__ import annotations

import datetime
import hashlib
import json
from functools import cache
from typing import Any
from urllib.parse import parse_qsl

import regex

from .errors import AwsError
from .wire import Call

# Secrets that the models do not mark as sensitive.
_SECRET_NAMES = {"AuthToken", "Passwords"}


class Fatal(str):
    """A finding for which AWS refuses the request before it evaluates the parameters."""


def refusal(call: Call, findings: list[str]) -> AwsError | None:
    """The service's error for a request that it cannot parse, or None."""
    if call.service == "apigatewayv2":
        # Its only code for an invalid request, also for a value outside of its enum or range.
        found = next((finding for finding in findings if "unknown" not in finding), None)
        return AwsError("BadRequestException", f"1 validation error detected: {found}", 400) if found else None
    found = next((finding for finding in findings if isinstance(finding, Fatal)), None)
    if found is None:
        return None
    if call.protocol == "ec2":
        code = "MissingParameter"
    elif call.protocol == "query":
        code = "ValidationError"
    else:
        code = "ValidationException" if found.endswith(": missing") else "SerializationException"
    return AwsError(code, f"1 validation error detected: {found}", 400)


def check(call: Call) -> list[str]:
    """The violations of the service's model in the request, empty for a valid one."""
    problems: list[str] = []
    if call.parse_error:
        problems.append(f"unreadable: {call.parse_error}")
    problems += [f"{name}: unknown parameter" for name in sorted(call.unread)]
    shape = call.model.input_shape if call.model else None
    if shape is None:
        return problems
    if call.protocol in ("json", "rest-json"):
        problems += _unknown_names(call, shape)
    _structure(shape, call.params, "", problems)
    return problems


def _unknown_names(call: Call, shape: Any) -> list[str]:
    problems: list[str] = []
    payload = shape.serialization.get("payload")
    if call.protocol == "rest-json":
        in_query = {
            member.serialization.get("name", name): member
            for name, member in shape.members.items()
            if member.serialization.get("location") == "querystring"
        }
        known = {*in_query, *call.model.http_trait.query_args}
        # A map in the query accepts all names that no other member uses.
        free = any(member.type_name == "map" for member in in_query.values())
        for name, _ in parse_qsl(call.raw.query, keep_blank_values=True):
            if name not in known and not free:
                problems.append(f"{name}: unknown query parameter")
        if payload and shape.members[payload].type_name != "structure":
            return problems
        if payload:
            shape = shape.members[payload]
    if not call.raw.body:
        return problems
    try:
        body = json.loads(call.raw.body)
    except ValueError:
        return [*problems, Fatal("body: not JSON")]
    _walk_names(shape, body, "", problems, top=True)
    return problems


def _walk_names(shape: Any, value: Any, path: str, problems: list[str], top: bool = False) -> None:
    kind = shape.type_name
    if value is None:
        return
    if kind == "structure":
        if shape.is_document_type:
            return
        if not isinstance(value, dict):
            problems.append(Fatal(f"{path or 'body'}: not an object"))
            return
        names = {
            member.serialization.get("name", name): member
            for name, member in shape.members.items()
            if not (top and "location" in member.serialization)
        }
        for name, inner in value.items():
            if name not in names:
                problems.append(f"{path}{name}: unknown member")
            else:
                _walk_names(names[name], inner, f"{path}{name}.", problems)
    elif kind == "list":
        if not isinstance(value, list):
            problems.append(Fatal(f"{path.rstrip('.')}: not a list"))
            return
        for index, inner in enumerate(value):
            _walk_names(shape.member, inner, f"{path}{index}.", problems)
    elif kind == "map":
        if not isinstance(value, dict):
            problems.append(Fatal(f"{path.rstrip('.')}: not a map"))
            return
        for name, inner in value.items():
            _walk_names(shape.value, inner, f"{path}{name}.", problems)
    else:
        expected = _JSON_TYPES.get(kind)
        wrong = expected and not isinstance(value, expected)
        if wrong or (kind in ("integer", "long") and isinstance(value, bool)):
            problems.append(Fatal(f"{path.rstrip('.')}: {type(value).__name__} where {kind} is wanted"))


_JSON_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "blob": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "timestamp": (int, float, str),
}


def _structure(shape: Any, value: dict[str, Any], path: str, problems: list[str]) -> None:
    for name in shape.required_members:
        if value.get(name) is None:
            problems.append(Fatal(f"{path}{name}: missing"))
    for name, member in shape.members.items():
        if value.get(name) is not None:
            _value(member, value[name], f"{path}{name}", problems)


def _value(shape: Any, value: Any, path: str, problems: list[str]) -> None:
    kind = shape.type_name
    if kind == "structure":
        if isinstance(value, dict) and not shape.is_document_type:
            _structure(shape, value, f"{path}.", problems)
        return
    if kind == "list":
        _length(shape, len(value), path, problems)
        for index, inner in enumerate(value):
            _value(shape.member, inner, f"{path}[{index}]", problems)
        return
    if kind == "map":
        _length(shape, len(value), path, problems)
        for key, inner in value.items():
            _value(shape.key, key, f"{path} key {key!r}", problems)
            _value(shape.value, inner, f"{path}.{key}", problems)
        return
    if isinstance(value, (datetime.datetime, bool)):
        return
    if isinstance(value, (int, float)):
        _range(shape, value, path, problems)
    elif isinstance(value, bytes):
        _length(shape, len(value), path, problems)
    elif isinstance(value, str):
        allowed = getattr(shape, "enum", None)
        if allowed and value not in allowed:
            problems.append(f"{path}: {value!r} is none of its values")
        _length(shape, len(value), path, problems)
        pattern = shape.metadata.get("pattern")
        compiled = _pattern(pattern) if pattern else None
        if compiled is not None and not compiled.fullmatch(value):
            problems.append(f"{path}: does not match {pattern}")


def _length(shape: Any, length: int, path: str, problems: list[str]) -> None:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if (low is not None and length < low) or (high is not None and length > high):
        problems.append(f"{path}: length {length} is not within {low}..{high}")


def _range(shape: Any, value: float, path: str, problems: list[str]) -> None:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if (low is not None and value < low) or (high is not None and value > high):
        problems.append(f"{path}: {value} is not within {low}..{high}")


@cache
def _pattern(text: str) -> Any:
    try:
        return regex.compile(text)
    except regex.error:
        return None  # a dialect that the `regex` engine does not support


def redacted(call: Call) -> Any:
    """The parameters for the log, with secrets masked and blobs replaced with their digest."""
    shape = call.model.input_shape if call.model else None
    return _redact(shape, call.params, call.operation) if shape is not None else {}


def _redact(shape: Any, value: Any, name: str) -> Any:
    if value is None:
        return None
    is_secret = name in _SECRET_NAMES and not isinstance(value, list)
    if is_secret or (shape.metadata.get("sensitive") and isinstance(value, (str, bytes))):
        return "***"
    if isinstance(value, bytes):
        return {"sha256": hashlib.sha256(value).hexdigest(), "size": len(value)}
    if shape.type_name == "structure" and isinstance(value, dict):
        return {k: _redact(shape.members[k], v, k) for k, v in value.items() if k in shape.members}
    if shape.type_name == "list" and isinstance(value, list):
        return [_redact(shape.member, item, name) for item in value]
    if shape.type_name == "map" and isinstance(value, dict):
        return {k: _redact(shape.value, v, k) for k, v in value.items()}
    return value if isinstance(value, (str, int, float, bool)) else str(value)
