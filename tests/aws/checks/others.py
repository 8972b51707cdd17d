"""EventBridge, Logs, SSM, STS."""

from __future__ import annotations

from email.utils import parsedate_to_datetime

from .harness import Aws, check

TARGET = "arn:aws:lambda:us-east-1:123456789012:function:f"


@check
def schedules(aws: Aws) -> None:
    """Expressions, targets, the tags of an existing rule, and deletion."""
    for wrong in ("rate(1 minutes)", "rate(2 minute)", "rate(0 minutes)", "cron(99 99 * * ? *)", "cron(0 12 * * *)"):
        with aws.refused("ValidationException", "ScheduleExpression is not valid"):
            aws.events.put_rule(Name="r", ScheduleExpression=wrong)
    tags = [{"Key": "a", "Value": "1"}]
    arn = aws.events.put_rule(Name="r", ScheduleExpression="rate(1 minute)", Tags=tags)["RuleArn"]
    aws.events.put_rule(Name="r", ScheduleExpression="cron(0 12 * * ? *)", Tags=[{"Key": "a", "Value": "2"}])
    assert aws.events.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "a", "Value": "1"}]
    aws.events.put_targets(Rule="r", Targets=[{"Id": f"t{index}", "Arn": TARGET} for index in range(5)])
    with aws.refused("LimitExceededException"):
        aws.events.put_targets(Rule="r", Targets=[{"Id": "t6", "Arn": TARGET}])
    with aws.refused("ValidationException"):
        aws.events.delete_rule(Name="r")
    assert len(aws.events.list_targets_by_rule(Rule="r")["Targets"]) == 5
    aws.events.remove_targets(Rule="r", Ids=[f"t{index}" for index in range(5)])
    aws.events.delete_rule(Name="r")
    aws.events.delete_rule(Name="r")
    with aws.refused("ResourceNotFoundException"):
        aws.events.describe_rule(Name="r")
    aws.events.put_rule(Name="r", ScheduleExpression="rate(5 minutes)")
    assert aws.events.list_tags_for_resource(ResourceARN=arn)["Tags"] == []
    assert [rule["Name"] for rule in aws.events.list_rules(NamePrefix="r")["Rules"]] == ["r"]


@check
def log_groups(aws: Aws) -> None:
    """Retention values from the fixed list. Tags use the ARN without `:*` and are deleted with the group."""
    aws.logs.create_log_group(logGroupName="/aws/lambda/f", tags={"a": "1"})
    with aws.refused("ResourceAlreadyExistsException"):
        aws.logs.create_log_group(logGroupName="/aws/lambda/f")
    with aws.refused("InvalidParameterException"):
        aws.logs.put_retention_policy(logGroupName="/aws/lambda/f", retentionInDays=13)
    aws.logs.put_retention_policy(logGroupName="/aws/lambda/f", retentionInDays=14)
    (group,) = aws.logs.describe_log_groups(logGroupNamePrefix="/aws/lambda/")["logGroups"]
    assert group["retentionInDays"] == 14 and group["arn"].endswith(":*") and "tags" not in group
    arn = group["arn"].removesuffix(":*")
    with aws.refused("InvalidParameterException"):
        aws.logs.list_tags_for_resource(resourceArn=group["arn"])
    aws.logs.tag_resource(resourceArn=arn, tags={"b": "2"})
    assert aws.logs.list_tags_for_resource(resourceArn=arn)["tags"] == {"a": "1", "b": "2"}
    aws.logs.delete_retention_policy(logGroupName="/aws/lambda/f")
    aws.logs.delete_log_group(logGroupName="/aws/lambda/f")
    with aws.refused("ResourceNotFoundException"):
        aws.logs.delete_log_group(logGroupName="/aws/lambda/f")
    aws.logs.create_log_group(logGroupName="/aws/lambda/f")
    assert aws.logs.list_tags_for_resource(resourceArn=arn)["tags"] == {}


@check
def parameters(aws: Aws) -> None:
    """Size, tags together with Overwrite, and names. Paths page by ten."""
    with aws.refused("ValidationException", "4096"):
        aws.ssm.put_parameter(Name="/p/big", Type="String", Value="x" * 4097)
    with aws.refused("ValidationException", "can't nest another parameter"):
        aws.ssm.put_parameter(Name="/p/nested", Type="String", Value="a {{b}}")
    with aws.refused("ValidationException"):
        aws.ssm.put_parameter(Name="/aws/x", Type="String", Value="x")
    with aws.refused("ValidationException", "tags and overwrite"):
        aws.ssm.put_parameter(Name="/p/x", Type="String", Value="x", Overwrite=True, Tags=[{"Key": "a", "Value": "1"}])
    aws.ssm.put_parameter(Name="/p/x", Type="SecureString", Value="x", Tags=[{"Key": "a", "Value": "1"}])
    with aws.refused("ParameterAlreadyExists"):
        aws.ssm.put_parameter(Name="/p/x", Type="SecureString", Value="y")
    aws.ssm.put_parameter(Name="/p/x", Type="SecureString", Value="y", Overwrite=True)
    assert aws.ssm.get_parameter(Name="/p/x", WithDecryption=True)["Parameter"]["Value"] == "y"
    tags = aws.ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId="/p/x")["TagList"]
    assert tags == [{"Key": "a", "Value": "1"}]
    for index in range(11):
        aws.ssm.put_parameter(Name=f"/p/deep/{index}", Type="String", Value="x")
    page = aws.ssm.get_parameters_by_path(Path="/p", Recursive=True)
    assert len(page["Parameters"]) == 10 and page["NextToken"]
    found = aws.ssm.get_parameters(Names=["/p/x", "/p/none"])
    assert found["InvalidParameters"] == ["/p/none"]
    assert aws.ssm.delete_parameters(Names=["/p/x", "/p/none"])["DeletedParameters"] == ["/p/x"]
    with aws.refused("ParameterNotFound"):
        aws.ssm.delete_parameter(Name="/p/x")


@check
def age_of_parameters(aws: Aws) -> None:
    """A parameter's age is what the clock was moved forward since it was written; its version counts the writes."""

    def listed() -> tuple[int, float]:
        page = aws.ssm.get_parameters_by_path(Path="/p", Recursive=True)
        date = parsedate_to_datetime(page["ResponseMetadata"]["HTTPHeaders"]["date"])
        (parameter,) = page["Parameters"]
        return parameter["Version"], (date - parameter["LastModifiedDate"]).total_seconds()

    assert aws.ssm.put_parameter(Name="/p/x", Type="String", Value="x")["Version"] == 1
    aws.advance(240)
    version, age = listed()
    assert version == 1 and 239 <= age < 300
    assert aws.ssm.put_parameter(Name="/p/x", Type="String", Value="y", Overwrite=True)["Version"] == 2
    version, age = listed()
    assert version == 2 and -1 <= age < 60
    aws.ssm.delete_parameter(Name="/p/x")
    assert aws.ssm.put_parameter(Name="/p/x", Type="String", Value="x")["Version"] == 1


@check
def identity(aws: Aws) -> None:
    """The account ID."""
    assert aws.sts.get_caller_identity()["Account"] == "123456789012"
