"""CloudWatch: alarms and dashboards."""

from __future__ import annotations

import json
from typing import Any

from .harness import Aws, check

TOPIC = "arn:aws:sns:us-east-1:123456789012:alarms"
ALARM: dict[str, Any] = {
    "AlarmName": "errors",
    "AlarmDescription": "too many",
    "AlarmActions": [TOPIC],
    "OKActions": [TOPIC],
    "Namespace": "AWS/Lambda",
    "MetricName": "Duration",
    "Dimensions": [{"Name": "FunctionName", "Value": "f"}],
    "ExtendedStatistic": "p99",
    "Period": 60,
    "EvaluationPeriods": 5,
    "DatapointsToAlarm": 3,
    "Threshold": 700.5,
    "ComparisonOperator": "GreaterThanThreshold",
    "TreatMissingData": "notBreaching",
    "Tags": [{"Key": "a", "Value": "1"}],
}


def _alarm(aws: Aws, name: str = "errors") -> dict[str, Any]:
    (alarm,) = aws.cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    return alarm


@check
def alarms_of_a_metric(aws: Aws) -> None:
    """What was put is described, without the members of other forms. Tags count only for a new alarm."""
    aws.cloudwatch.put_metric_alarm(**ALARM)
    alarm = _alarm(aws)
    for name, value in ALARM.items():
        if name != "Tags":
            assert alarm[name] == value, (name, alarm)
    assert alarm["ActionsEnabled"] is True and alarm["AlarmArn"].endswith(":alarm:errors")
    assert not {"Metrics", "Statistic", "Unit"} & alarm.keys(), alarm
    aws.cloudwatch.put_metric_alarm(**{**ALARM, "Threshold": 1, "Tags": [{"Key": "a", "Value": "2"}]})
    assert _alarm(aws)["Threshold"] == 1.0
    arn = alarm["AlarmArn"]
    assert aws.cloudwatch.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "a", "Value": "1"}]
    aws.cloudwatch.tag_resource(ResourceARN=arn, Tags=[{"Key": "b", "Value": "2"}])
    assert len(aws.cloudwatch.list_tags_for_resource(ResourceARN=arn)["Tags"]) == 2
    aws.cloudwatch.untag_resource(ResourceARN=arn, TagKeys=["a", "none"])
    assert aws.cloudwatch.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "b", "Value": "2"}]
    aws.cloudwatch.delete_alarms(AlarmNames=["errors", "other"])
    assert aws.cloudwatch.describe_alarms(AlarmNames=["errors"])["MetricAlarms"] == []
    with aws.refused("ResourceNotFound"):
        aws.cloudwatch.delete_alarms(AlarmNames=["errors"])
    with aws.refused("ResourceNotFoundException"):
        aws.cloudwatch.list_tags_for_resource(ResourceARN=arn)


@check
def alarms_of_an_expression(aws: Aws) -> None:
    """Their queries are described, and no metric."""
    metric = {"Namespace": "AWS/Lambda", "MetricName": "Errors", "Dimensions": []}
    queries = [
        {"Id": "errors", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}, "ReturnData": False},
        {"Id": "rate", "Expression": "100 * errors", "ReturnData": True},
    ]
    one = ("Namespace", "MetricName", "Dimensions", "ExtendedStatistic", "Period", "Tags")
    plain = {name: value for name, value in ALARM.items() if name not in one}
    aws.cloudwatch.put_metric_alarm(**plain, Metrics=queries)
    alarm = _alarm(aws)
    assert [query["Id"] for query in alarm["Metrics"]] == ["errors", "rate"]
    assert alarm["Metrics"][0]["MetricStat"]["Stat"] == "Sum" and alarm["Metrics"][1]["Expression"] == "100 * errors"
    assert alarm["Metrics"][1]["ReturnData"] is True and alarm["Metrics"][0]["ReturnData"] is False
    assert not {"Namespace", "MetricName", "Period", "ExtendedStatistic"} & alarm.keys(), alarm
    queries[0]["ReturnData"] = True
    with aws.refused("ValidationError", "Exactly one"):
        aws.cloudwatch.put_metric_alarm(**plain, Metrics=queries)


@check
def alarms_that_cannot_be(aws: Aws) -> None:
    """The limits of PutMetricAlarm."""
    for wrong in (
        {"EvaluationPeriods": 1441},
        {"EvaluationPeriods": 2},
        {"Period": 90},
        {"AlarmActions": ["arn:aws:sns:eu-west-1:123456789012:alarms"]},
    ):
        with aws.refused("ValidationError"):
            aws.cloudwatch.put_metric_alarm(**{**ALARM, **wrong})


@check
def composite_alarms(aws: Aws) -> None:
    """They are listed only if their type is asked for, and an alarm in a rule cannot be deleted."""
    aws.cloudwatch.put_metric_alarm(**ALARM)
    rule = f'ALARM("{_alarm(aws)["AlarmArn"]}") OR ALARM(other)'
    aws.cloudwatch.put_composite_alarm(AlarmName="both", AlarmRule=rule)
    assert aws.cloudwatch.describe_alarms()["CompositeAlarms"] == []
    both = aws.cloudwatch.describe_alarms(AlarmTypes=["CompositeAlarm"])
    assert [alarm["AlarmName"] for alarm in both["CompositeAlarms"]] == ["both"] and both["MetricAlarms"] == []
    parents = aws.cloudwatch.describe_alarms(AlarmTypes=["CompositeAlarm"], ParentsOfAlarmName="errors")
    assert [sorted(alarm) for alarm in parents["CompositeAlarms"]] == [["AlarmArn", "AlarmName"]]
    with aws.refused("ValidationError", "composite alarms depending on it"):
        aws.cloudwatch.delete_alarms(AlarmNames=["errors"])
    aws.cloudwatch.delete_alarms(AlarmNames=["both"])
    aws.cloudwatch.delete_alarms(AlarmNames=["errors"])


@check
def dashboards(aws: Aws) -> None:
    """Their bodies are JSON, their names are global, and their tags are those of their creation."""
    body = json.dumps({"widgets": [{"type": "text", "properties": {"markdown": "a"}}]})
    with aws.refused("InvalidParameterInput"):
        aws.cloudwatch.put_dashboard(DashboardName="d", DashboardBody="{")
    with aws.refused("ResourceNotFound"):
        aws.cloudwatch.get_dashboard(DashboardName="d")
    tags = [{"Key": "a", "Value": "1"}]
    put = aws.cloudwatch.put_dashboard(DashboardName="d", DashboardBody=body, Tags=tags)
    assert put["DashboardValidationMessages"] == []
    aws.cloudwatch.put_dashboard(DashboardName="d", DashboardBody=body, Tags=[{"Key": "a", "Value": "2"}])
    found = aws.client("cloudwatch", "eu-west-1").get_dashboard(DashboardName="d")
    assert found["DashboardBody"] == body
    arn = found["DashboardArn"]
    assert arn == "arn:aws:cloudwatch::123456789012:dashboard/d"
    assert aws.cloudwatch.list_tags_for_resource(ResourceARN=arn)["Tags"] == tags
    aws.cloudwatch.delete_dashboards(DashboardNames=["d"])
    with aws.refused("ResourceNotFound"):
        aws.cloudwatch.delete_dashboards(DashboardNames=["d"])
