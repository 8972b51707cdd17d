"""EventBridge: the checks that moto lacks."""

from __future__ import annotations

import re
from typing import Any

from moto.events.models import events_backends

from .account_state import World
from .errors import AwsError
from .gateway import operation
from .wire import ACCOUNT, Call


def _check_schedule(text: str) -> None:
    refused = AwsError("ValidationException", "Parameter ScheduleExpression is not valid.", 400)
    rate = re.fullmatch(r"rate\((\d+) (minute|minutes|hour|hours|day|days)\)", text)
    if rate:
        count, unit = int(rate.group(1)), rate.group(2)
        if count < 1 or (count == 1) == unit.endswith("s"):
            raise refused
        return
    cron = re.fullmatch(r"cron\((\S+) (\S+) (\S+) (\S+) (\S+) (\S+)\)", text)
    if not cron or ("?" not in (cron.group(3), cron.group(5))):
        raise refused
    for value, (low, high) in zip(
        cron.groups(), ((0, 59), (0, 23), (1, 31), (1, 12), (1, 7), (1970, 2199)), strict=True
    ):
        if any(not low <= int(number) <= high for number in re.findall(r"(?<!/)\b\d+\b", value)):
            raise refused


def _rule(call: Call, member: str) -> Any:
    """The rule in a request, on the default event bus."""
    rules = events_backends[ACCOUNT][call.region].describe_event_bus("default").rules
    return next((rule for rule in rules.values() if rule.name == call.params[member]), None)


@operation("events", "PutRule")
def put_rule(world: World, call: Call) -> Any:
    if call.get("ScheduleExpression"):
        _check_schedule(call.params["ScheduleExpression"])
    backend = events_backends[ACCOUNT][call.region]
    existing = _rule(call, "Name")
    arn = existing.arn if existing else None
    kept = backend.tagger.list_tags_for_resource(arn)["Tags"] if arn else None
    response = call.moto()
    if response.status < 300 and arn is not None:
        # AWS ignores the tags in the call if the rule exists.
        backend.tagger.delete_all_tags_for_resource(arn)
        if kept:
            backend.tagger.tag_resource(arn, kept)
    return response


@operation("events", "PutTargets")
def put_targets(world: World, call: Call) -> Any:
    rule = _rule(call, "Rule")
    if rule is not None:
        present = {target["Id"] for target in rule.targets} | {target["Id"] for target in call.params["Targets"]}
        if len(present) > 5:
            raise AwsError("LimitExceededException", "The requested resource exceeds the maximum number allowed.", 400)
    return call.moto()


@operation("events", "DescribeRule", "ListTargetsByRule", "RemoveTargets")
def of_a_rule(world: World, call: Call) -> Any:
    member = "Name" if call.operation == "DescribeRule" else "Rule"
    bus = call.get("EventBusName", "default")
    if bus == "default" and _rule(call, member) is None:
        text = f"Rule {call.params[member]} does not exist on EventBus {bus}."
        raise AwsError("ResourceNotFoundException", text, 400)
    return call.moto()


@operation("events", "DeleteRule")
def delete_rule(world: World, call: Call) -> Any:
    backend = events_backends[ACCOUNT][call.region]
    rule = _rule(call, "Name")
    response = call.moto()
    if response.status < 300 and rule is not None:
        backend.tagger.delete_all_tags_for_resource(rule.arn)
    return response
