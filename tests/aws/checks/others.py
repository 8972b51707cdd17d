"""EventBridge, Logs, SSM, STS."""

from __future__ import annotations

import http.client
import json
from email.utils import parsedate_to_datetime

from .control import signature
from .harness import Aws, check

SEED = {"name": "orders", "stage": "prod", "methods": [{"method": "GET", "path": "/a", "authorizer": "own"}]}

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
    with aws.refused("ResourceNotFoundException", "Rule r does not exist on EventBus default."):
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
    assert group["logGroupClass"] == "STANDARD" and group["deletionProtectionEnabled"] is False
    assert group["logGroupArn"] == group["arn"].removesuffix(":*")
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
    """Size, number, tags together with Overwrite, and names. Paths page by ten, and one call reads ten names."""
    with aws.refused("ValidationException", "4096"):
        aws.ssm.put_parameter(Name="/p/big", Type="String", Value="x" * 4097)
    with aws.refused("ValidationException", "8192"):
        aws.ssm.put_parameter(Name="/p/big", Type="String", Value="x" * 8193, Tier="Advanced")
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
    path = [{"Key": "Path", "Option": "Recursive", "Values": ["/p"]}]
    first = aws.ssm.describe_parameters(ParameterFilters=path)
    second = aws.ssm.describe_parameters(ParameterFilters=path, NextToken=first["NextToken"])
    described = [*first["Parameters"], *second["Parameters"]]
    assert len(described) == 12 and {one["Version"] for one in described} == {1, 2}
    assert not any("Value" in one for one in described)
    assert {one["LastModifiedUser"] for one in described} == {"arn:aws:iam::123456789012:user/operator"}
    deep = [f"/p/deep/{index}" for index in range(11)]
    assert len(aws.ssm.get_parameters(Names=deep[1:])["Parameters"]) == 10
    with aws.refused("ValidationException", "Member must have length less than or equal to 10"):
        aws.ssm.get_parameters(Names=deep)
    aws.configure(quotas={"parameters": 12})
    with aws.refused("ParameterLimitExceeded"):
        aws.ssm.put_parameter(Name="/p/deep/11", Type="String", Value="x")
    aws.ssm.put_parameter(Name="/p/deep/10", Type="String", Value="y", Overwrite=True)
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
    """The one account."""
    found = aws.sts.get_caller_identity()
    assert (found["Account"], found["Arn"]) == ("123456789012", "arn:aws:iam::123456789012:user/operator")


@check
def partitions(aws: Aws) -> None:
    """ARNs and names are of the partition of the region, in every service."""
    for region, partition, suffix, short in (
        ("us-gov-west-1", "aws-us-gov", "amazonaws.com", "usgw1"),
        ("cn-north-1", "aws-cn", "amazonaws.com.cn", "cnn1"),
        ("eusc-de-east-1", "aws-eusc", "amazonaws.eu", "euscde1"),
        ("ap-southeast-1", "aws", "amazonaws.com", "apse1"),
    ):
        aws.reset()
        answer = aws.control("POST", f"seed?region={region}", {"api": SEED, "foreign": True})
        assert "error" not in answer, answer
        assert answer["foreign"]["function_arn"].startswith(f"arn:{partition}:lambda:{region}:123456789012:function:")
        account = json.dumps(aws.control("GET", f"account?region={region}"))
        assert {part.split(":")[0] for part in account.split("arn:")[1:]} == {partition}, account
        identity = aws.client("sts", region).get_caller_identity()["Arn"]
        assert identity == f"arn:{partition}:iam::123456789012:user/operator"
        cache = aws.client("elasticache", region)
        group = cache.describe_replication_groups()["ReplicationGroups"][0]
        host = group["NodeGroups"][0]["PrimaryEndpoint"]["Address"]
        assert host == f"master.threescale-gw-other.tstaws.{short}.cache.{suffix}"
        assert cache.list_tags_for_resource(ResourceName=group["ARN"])["TagList"]
        with aws.refused("InvalidARN"):
            wrong = group["ARN"].replace(f"arn:{partition}:", "arn:aws-iso:")
            cache.list_tags_for_resource(ResourceName=wrong)
        subnet = aws.client("ec2", region).describe_subnets()["Subnets"][0]
        assert subnet["SubnetArn"].startswith(f"arn:{partition}:ec2:{region}:")
        gateway = aws.client("apigateway", region)
        export = gateway.get_export(restApiId=answer["api_id"], stageName="prod", exportType="swagger")
        assert json.loads(export["body"].read())["host"] == f"{answer['api_id']}.execute-api.{region}.{suffix}"
        stage = f"arn:{partition}:apigateway:{region}::/restapis/{answer['api_id']}/stages/prod"
        assert gateway.get_tags(resourceArn=stage)["tags"] == {"owner": "orders-team"}
        quota = aws.client("service-quotas", region).get_service_quota(ServiceCode="vpc", QuotaCode="L-F678F1CE")
        assert quota["Quota"]["QuotaArn"].startswith(f"arn:{partition}:servicequotas:{region}:")
        assert aws.client("lambda", region).get_function(FunctionName=answer["foreign"]["function_arn"])
        aws.faults({"operation": "ListFunctions", "kind": "deny"})
        with aws.refused("AccessDeniedException", f"User: arn:{partition}:iam::123456789012:user/operator"):
            aws.client("lambda", region).list_functions()


@check
def clock(aws: Aws) -> None:
    """The service's clock can show another time than the caller's: in the Date header and in a parameter's date."""
    aws.ssm.put_parameter(Name="/p", Type="String", Value="1")
    now = aws.ssm.get_parameter(Name="/p")["Parameter"]["LastModifiedDate"]
    aws.configure(clock_shift=3600)
    for version in (2, 3):
        made = aws.ssm.put_parameter(Name="/p", Value=str(version), Overwrite=True)
        assert (made["Version"], made["Tier"]) == (version, "Standard")
    reply = aws.ssm.get_parameters_by_path(Path="/")
    (found,) = reply["Parameters"]
    date = parsedate_to_datetime(reply["ResponseMetadata"]["HTTPHeaders"]["date"])
    assert 3590 < (found["LastModifiedDate"] - now).total_seconds() < 3700
    assert abs((date - found["LastModifiedDate"]).total_seconds()) < 60
    assert (found["Version"], found["DataType"]) == (3, "text")
    assert found["ARN"] == "arn:aws:ssm:us-east-1:123456789012:parameter/p"
    aws.configure(clock_shift=-3600)
    aws.ssm.put_parameter(Name="/p", Value="4", Overwrite=True)
    assert aws.ssm.get_parameter(Name="/p")["Parameter"]["LastModifiedDate"] < now


@check
def errors_are_worded_by_service(aws: Aws) -> None:
    """Where JSON has the code, what it calls the text, and that some have none."""

    def body(service: str, method: str, path: str, target: str = "", content: bytes = b"") -> tuple[int, dict, dict]:
        headers = {"Authorization": signature(service)}
        if target:
            headers |= {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1"}
        connection = http.client.HTTPConnection("127.0.0.1", int(aws.url.rpartition(":")[2]))
        connection.request(method, path, body=content, headers=headers)
        reply = connection.getresponse()
        return reply.status, {k.lower(): v for k, v in reply.headers.items()}, json.loads(reply.read())

    status, headers, found = body("lambda", "GET", "/2015-03-31/functions/f")
    assert status == 404 and headers["x-amzn-errortype"] == "ResourceNotFoundException"
    text = "Function not found: arn:aws:lambda:us-east-1:123456789012:function:f"
    assert found == {"Type": "User", "Message": text}
    status, headers, found = body("apigateway", "GET", "/restapis/none")
    assert status == 404 and headers["x-amzn-errortype"] == "NotFoundException"
    assert found == {"message": "Invalid API identifier specified 123456789012:none"}
    status, headers, found = body("ssm", "POST", "/", "AmazonSSM.DeleteParameter", b'{"Name": "/p"}')
    assert (status, found) == (400, {"__type": "ParameterNotFound"})
    status, _, found = body("events", "POST", "/", "AWSEvents.DescribeRule", b'{"Name": "r"}')
    expected = {"__type": "ResourceNotFoundException", "message": "Rule r does not exist on EventBus default."}
    assert (status, found) == (400, expected)
    with aws.refused("ParameterNotFound"):
        aws.ssm.get_parameter(Name="/p")
    with aws.refused("NoSuchEntity", "The role with name r cannot be found."):
        aws.iam.get_role(RoleName="r")
