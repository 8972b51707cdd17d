"""CloudWatch Logs: the checks that moto lacks, filter patterns of JSON, and lines of functions."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatchcase
from typing import Any

from moto.logs.models import LogGroup, logs_backends
from moto.logs.utils import UnsupportedFilterPattern

from .account_state import World
from .errors import AwsError
from .gateway import operation
from .wire import ACCOUNT, Call


def _describe(self: LogGroup) -> dict[str, Any]:
    return {**_moto_describes(self), "logGroupClass": "STANDARD", "deletionProtectionEnabled": False}


_moto_describes, LogGroup.to_describe_dict = LogGroup.to_describe_dict, _describe

RETENTION = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)


@operation("logs", "PutRetentionPolicy")
def put_retention_policy(world: World, call: Call) -> Any:
    if call.get("retentionInDays") not in RETENTION:
        raise AwsError(
            "InvalidParameterException",
            f"1 validation error detected: Value '{call.get('retentionInDays')}' at 'retentionInDays' failed to "
            f"satisfy constraint: Member must satisfy enum value set: {list(RETENTION)}",
            400,
        )
    return call.moto()


@operation("logs", "DeleteLogGroup")
def delete_log_group(world: World, call: Call) -> Any:
    backend = logs_backends[ACCOUNT][call.region]
    group = backend.groups.get(call.params["logGroupName"])
    response = call.moto()
    if response.status < 300 and group is not None:
        backend.tagger.delete_all_tags_for_resource(group.arn)
    return response


@operation("logs", "TagResource", "UntagResource", "ListTagsForResource")
def log_tags(world: World, call: Call) -> Any:
    if call.get("resourceArn", "").endswith(":*"):
        raise AwsError("InvalidParameterException", "The resource ARN is not valid: it must not end in :*", 400)
    return call.moto()


# --- filter patterns of JSON, of which moto takes every line


_COMPARISON = re.compile(
    r"""\$\.(?P<name>\w+)\s*(?:=\s*"(?P<text>[^"]*)"|=\s*(?P<word>[\w.*-]+)|IS\s+(?P<is>TRUE|FALSE|NULL))"""
)


def _matches(self: UnsupportedFilterPattern, message: str) -> bool:
    """Whether a line matches a pattern of the form `{ $.a = "x*" && $.b IS TRUE }`. Other patterns match every line, as
    moto's do."""
    found = re.fullmatch(r"\s*\{(.*)\}\s*", self.term, re.DOTALL)
    comparisons = [_COMPARISON.fullmatch(part.strip()) for part in found.group(1).split("&&")] if found else [None]
    if None in comparisons:
        return True
    try:
        line = json.loads(message)
    except ValueError:
        return False
    return isinstance(line, dict) and all(_holds(line, comparison) for comparison in comparisons if comparison)


def _holds(line: dict[str, Any], comparison: re.Match[str]) -> bool:
    if comparison["name"] not in line:
        return False
    value = line[comparison["name"]]
    if comparison["is"]:
        return value is {"TRUE": True, "FALSE": False, "NULL": None}[comparison["is"]]
    wanted = comparison["text"] if comparison["text"] is not None else comparison["word"]
    return isinstance(value, (str, int, float)) and fnmatchcase(str(value), wanted)


UnsupportedFilterPattern.matches = _matches


# --- lines of functions


def write(world: World, region: str, name: str, stream: str, message: str) -> None:
    """Writes a line to a log group, if it exists. The next `log_lag` reads of the group do not show it."""
    event = {"timestamp": int(world.time() * 1000), "message": message}
    lag = world.config["log_lag"]
    if lag:
        world.unseen_lines.append([lag, region, name, stream, event])
    else:
        _put(region, name, stream, event)


def _put(region: str, name: str, stream: str, event: dict[str, Any]) -> None:
    group = logs_backends[ACCOUNT][region].groups.get(name)
    if group is None:
        return
    if stream not in group.streams:
        group.create_log_stream(stream)
    group.put_log_events(stream, [event])


@operation("logs", "FilterLogEvents")
def filter_log_events(world: World, call: Call) -> Any:
    response = call.moto()
    read = [line for line in world.unseen_lines if line[1:3] == [call.region, call.get("logGroupName")]]
    for line in read:
        line[0] -= 1
        if line[0] == 0:
            world.unseen_lines.remove(line)
            _put(*line[1:])
    return response
