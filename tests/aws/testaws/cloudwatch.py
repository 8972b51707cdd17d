"""CloudWatch: alarms and dashboards, and their tags."""

from __future__ import annotations

import json
import re
from typing import Any

from moto.cloudwatch.models import CloudWatchBackend, cloudwatch_backends

from .account_state import World
from .errors import AwsError
from .gateway import operation
from .wire import ACCOUNT, Call, arn, partition_of

# Source: CloudWatch User Guide, "CloudWatch service quotas".
MAX_ALARMS = 5000


def _backend(call: Call) -> CloudWatchBackend:
    return cloudwatch_backends[ACCOUNT][call.region]


def _dashboards(call: Call) -> CloudWatchBackend:
    """Dashboards are global."""
    return cloudwatch_backends[ACCOUNT]["us-east-1"]


def dashboard_arn(region: str, name: str) -> str:
    return f"arn:{partition_of(region)}:cloudwatch::{ACCOUNT}:dashboard/{name}"


def _invalid(message: str) -> AwsError:
    return AwsError("ValidationError", message, 400)


@operation("cloudwatch", "PutMetricAlarm")
def put_metric_alarm(world: World, call: Call) -> Any:
    params = call.params
    backend = _backend(call)
    periods = [params.get("Period")] + [query.get("MetricStat", {}).get("Period") for query in call.get("Metrics", [])]
    period = max((value for value in periods if value), default=0)
    if period % 60 and period not in (10, 20, 30):
        raise _invalid("Period must be 10, 20, 30 or a multiple of 60")
    if period * params["EvaluationPeriods"] > 86_400:
        raise _invalid("Metrics cannot be checked across more than a day (EvaluationPeriods * Period must be <= 86400).")
    if call.get("DatapointsToAlarm", 1) > params["EvaluationPeriods"]:
        raise _invalid("DatapointsToAlarm must be less than or equal to EvaluationPeriods.")
    if call.get("Metrics") and sum(query.get("ReturnData", True) for query in params["Metrics"]) != 1:
        raise _invalid("Exactly one element of the metrics list should return data.")
    for action in call.get("AlarmActions", []) + call.get("OKActions", []):
        if not re.fullmatch(rf"arn:[a-z-]+:sns:{call.region}:\d{{12}}:[A-Za-z0-9_-]+", action):
            raise _invalid(f"Invalid arn syntax: {action}")
    name = params["AlarmName"]
    existing = backend.alarms.get(name)
    if existing is None and len(backend.alarms) >= MAX_ALARMS:
        raise AwsError("LimitExceeded", "The maximum number of alarms has been reached.", 400)
    kept = backend.list_tags_for_resource(existing.alarm_arn) if existing else None
    response = call.moto()
    if response.status < 300 and existing is not None:
        # AWS ignores the tags in the call if the alarm exists.
        backend.tagger.delete_all_tags_for_resource(existing.alarm_arn)
        _tag(backend, existing.alarm_arn, kept or {})
    return response


def _tag(backend: CloudWatchBackend, resource: str, tags: dict[str, str]) -> None:
    backend.tagger.tag_resource(resource, [{"Key": key, "Value": value} for key, value in tags.items()])


@operation("cloudwatch", "PutCompositeAlarm")
def put_composite_alarm(world: World, call: Call) -> Any:
    params = call.params
    _backend(call).put_metric_alarm(
        name=params["AlarmName"],
        namespace=None,
        metric_name=None,
        metric_data_queries=None,
        comparison_operator=None,
        evaluation_periods=None,
        datapoints_to_alarm=None,
        period=None,
        threshold=None,
        statistic=None,
        extended_statistic=None,
        description=call.get("AlarmDescription"),
        dimensions=[],
        alarm_actions=call.get("AlarmActions", []),
        rule=params["AlarmRule"],
        tags=call.get("Tags", []),
    )
    return {}


def _mentions(rule: str, name: str) -> bool:
    return any(found.rpartition(":alarm:")[2] == name for found in re.findall(r"""\(\s*["']?([^"')]+?)["']?\s*\)""", rule))


def _parents(backend: CloudWatchBackend, name: str) -> list[Any]:
    return [alarm for alarm in backend.alarms.values() if alarm.rule and _mentions(alarm.rule, name)]


@operation("cloudwatch", "DescribeAlarms")
def describe_alarms(world: World, call: Call) -> Any:
    # Without this member, composite alarms are not listed.
    types = call.get("AlarmTypes", ["MetricAlarm"])
    child = call.get("ParentsOfAlarmName")
    if child is not None:
        parents = _parents(_backend(call), child) if "CompositeAlarm" in types else []
        shown = [{"AlarmName": alarm.name, "AlarmArn": alarm.alarm_arn} for alarm in parents]
        return {"MetricAlarms": [], "CompositeAlarms": shown}
    found = call.result()
    wanted = call.get("AlarmNames")
    result: dict[str, Any] = {}
    for member, kind in (("MetricAlarms", "MetricAlarm"), ("CompositeAlarms", "CompositeAlarm")):
        alarms = found.get(member, []) if kind in types else []
        # Moto takes the names for beginnings.
        result[member] = [alarm for alarm in alarms if wanted is None or alarm["AlarmName"] in wanted]
    for alarm in result["MetricAlarms"]:
        # An alarm has either one metric or queries.
        del alarm["Dimensions" if alarm.get("Metrics") else "Metrics"]
    return result


@operation("cloudwatch", "DeleteAlarms")
def delete_alarms(world: World, call: Call) -> Any:
    backend = _backend(call)
    names = call.params["AlarmNames"]
    for name in names:
        parents = [alarm.name for alarm in _parents(backend, name) if alarm.name not in names]
        if parents:
            raise _invalid(f"Cannot delete {name}, because there are composite alarms depending on it.")
    present = [name for name in names if name in backend.alarms]
    if not present:
        raise AwsError("ResourceNotFound", "", 404)
    for name in present:
        backend.tagger.delete_all_tags_for_resource(backend.alarms.pop(name).alarm_arn)
    return {}


@operation("cloudwatch", "PutDashboard")
def put_dashboard(world: World, call: Call) -> Any:
    name, backend = call.params["DashboardName"], _dashboards(call)
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,255}", name):
        raise AwsError("InvalidParameterInput", "The name of a dashboard has letters, digits, - and _.", 400)
    try:
        widgets = json.loads(call.params["DashboardBody"])["widgets"]
    except (ValueError, KeyError, TypeError):
        raise AwsError("InvalidParameterInput", "The field DashboardBody must be a valid JSON object", 400) from None
    if any(widget.get("type") not in ("metric", "text", "log", "alarm", "explorer", "custom") for widget in widgets):
        raise AwsError("InvalidParameterInput", "The dashboard body is invalid", 400)
    is_new = backend.get_dashboard(name) is None
    backend.put_dashboard(name, call.params["DashboardBody"])
    if is_new and call.get("Tags"):
        tags = {tag["Key"]: tag["Value"] for tag in call.params["Tags"]}
        _tag(backend, dashboard_arn(call.region, name), tags)
    return {"DashboardValidationMessages": []}


@operation("cloudwatch", "GetDashboard")
def get_dashboard(world: World, call: Call) -> Any:
    name = call.params["DashboardName"]
    found = _dashboards(call).get_dashboard(name)
    if found is None:
        raise AwsError("ResourceNotFound", f"Dashboard {name} does not exist", 404)
    return {
        "DashboardArn": dashboard_arn(call.region, name),
        "DashboardBody": found.body,
        "DashboardName": name,
    }


@operation("cloudwatch", "DeleteDashboards")
def delete_dashboards(world: World, call: Call) -> Any:
    backend = _dashboards(call)
    for name in call.params["DashboardNames"]:
        if backend.get_dashboard(name) is None:
            raise AwsError("ResourceNotFound", f"Dashboard {name} does not exist", 404)
    for name in call.params["DashboardNames"]:
        backend.delete_dashboards([name])
        backend.tagger.delete_all_tags_for_resource(dashboard_arn(call.region, name))
    return {}


def _tagged(call: Call) -> CloudWatchBackend:
    """Where the tags of the resource in a request are."""
    given = call.params["ResourceARN"]
    kind, _, name = given.split(":", 5)[5].replace(":", "/", 1).partition("/")
    backend = _dashboards(call) if kind == "dashboard" else _backend(call)
    is_present = {
        "alarm": name in backend.alarms and given == arn("cloudwatch", call.region, f"alarm:{name}"),
        "dashboard": backend.get_dashboard(name) is not None and given == dashboard_arn(call.region, name),
    }.get(kind)
    if not is_present:
        raise AwsError("ResourceNotFoundException", f"Unknown resource: {given}", 404)
    return backend


@operation("cloudwatch", "ListTagsForResource")
def list_tags(world: World, call: Call) -> Any:
    tags = _tagged(call).list_tags_for_resource(call.params["ResourceARN"])
    return {"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}


@operation("cloudwatch", "TagResource")
def tag_resource(world: World, call: Call) -> Any:
    tags = {tag["Key"]: tag["Value"] for tag in call.params["Tags"]}
    _tag(_tagged(call), call.params["ResourceARN"], tags)
    return {}


@operation("cloudwatch", "UntagResource")
def untag_resource(world: World, call: Call) -> Any:
    _tagged(call).tagger.untag_resource_using_names(call.params["ResourceARN"], call.params["TagKeys"])
    return {}
