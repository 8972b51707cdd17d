"""Lambda and the IAM roles that it requires."""

from __future__ import annotations

import json

from botocore.exceptions import ClientError

from .harness import ENI_POLICY, TRUST, Aws, check, package


def _vpc(net: dict[str, str]) -> dict:
    return {"SubnetIds": [net["subnet"]], "SecurityGroupIds": [net["group"]]}


@check
def function_life(aws: Aws) -> None:
    """Pending, then Active. Updates are in progress for some time, and a second update is refused meanwhile."""
    aws.configure(delay={"function": 600})
    role = aws.role()
    made = aws.function(role, Tags={"a": "1"}, LoggingConfig={"LogGroup": "/x", "LogFormat": "JSON"})
    assert made["State"] == "Pending" and made["RevisionId"] and "LastUpdateStatus" not in made
    assert made["LoggingConfig"]["LogGroup"] == "/x"
    with aws.refused("ResourceConflictException", "Pending"):
        aws.lambda_.update_function_code(FunctionName="f", ZipFile=package(b"2"))
    with aws.refused("ResourceConflictException", "Pending"):
        aws.lambda_.invoke(FunctionName="f")
    aws.lambda_.add_permission(
        FunctionName="f", StatementId="s", Action="lambda:InvokeFunction", Principal="events.amazonaws.com"
    )

    def state() -> tuple:
        found = aws.lambda_.get_function(FunctionName="f")["Configuration"]
        return found["State"], found["LastUpdateStatus"]

    aws.advance(600)
    assert state() == ("Active", "Successful")
    updated = aws.lambda_.update_function_code(FunctionName="f", ZipFile=package(b"2"), Architectures=["arm64"])
    assert updated["LastUpdateStatus"] == "InProgress" and updated["CodeSha256"] != made["CodeSha256"]
    with aws.refused("ResourceConflictException", "An update is in progress"):
        aws.lambda_.update_function_configuration(FunctionName="f", Timeout=10)
    aws.advance(600)
    assert state() == ("Active", "Successful")
    with aws.refused("PreconditionFailedException"):
        aws.lambda_.update_function_configuration(FunctionName="f", Timeout=10, RevisionId="old")
    aws.lambda_.update_function_configuration(FunctionName="f", Timeout=10, Environment={"Variables": {"AB": "c"}})
    found = aws.lambda_.get_function(FunctionName="f")
    assert found["Configuration"]["Timeout"] == 10 and found["Configuration"]["Architectures"] == ["arm64"]
    assert found["Tags"] == {"a": "1"}
    listed = aws.lambda_.list_functions()["Functions"][0]
    assert "State" not in listed and listed["FunctionName"] == "f"
    with aws.refused("ResourceConflictException", "already exist"):
        aws.function(role)
    aws.lambda_.delete_function(FunctionName="f")
    with aws.refused("ResourceNotFoundException"):
        aws.lambda_.get_function(FunctionName="f")


@check
def function_created_with_its_first_version(aws: Aws) -> None:
    """Publish at creation: the response names the version, which is ready no earlier than the function."""
    aws.configure(delay={"function": 600, "function-version": 10})
    made = aws.function(aws.role(), Publish=True)
    assert made["Version"] == "1" and made["FunctionArn"].endswith(":function:f") and made["State"] == "Pending"
    aws.advance(10)
    assert aws.lambda_.get_function_configuration(FunctionName="f", Qualifier="1")["State"] == "Pending"
    aws.advance(590)
    assert aws.lambda_.get_function_configuration(FunctionName="f", Qualifier="1")["State"] == "Active"
    assert aws.lambda_.publish_version(FunctionName="f", Description="again")["Version"] == "1"


@check
def function_can_fail(aws: Aws) -> None:
    """A forced Failed state with its reason."""
    aws.configure(outcomes={"function": {"state": "Failed", "code": "EniLimitExceeded", "reason": "no more"}})
    aws.function(aws.role())
    found = aws.lambda_.get_function_configuration(FunctionName="f")
    assert (found["State"], found["StateReasonCode"], found["StateReason"]) == ("Failed", "EniLimitExceeded", "no more")


@check
def function_listing_pages(aws: Aws) -> None:
    """Marker and MaxItems, and the configured page size."""
    role = aws.role()
    for index in range(5):
        aws.function(role, f"f{index}")
    page = aws.lambda_.list_functions(MaxItems=2)
    assert len(page["Functions"]) == 2
    page = aws.lambda_.list_functions(MaxItems=2, Marker=page["NextMarker"])
    assert [item["FunctionName"] for item in page["Functions"]] == ["f2", "f3"]
    aws.configure(page_size=2)
    pages = aws.lambda_.get_paginator("list_functions").paginate()
    names = [item["FunctionName"] for page in pages for item in page["Functions"]]
    assert names == ["f0", "f1", "f2", "f3", "f4"]
    aws.lambda_.publish_version(FunctionName="f1")
    pages = aws.lambda_.get_paginator("list_functions").paginate(FunctionVersion="ALL")
    versions = [(item["FunctionName"], item["Version"]) for page in pages for item in page["Functions"]]
    assert versions[:3] == [("f0", "$LATEST"), ("f1", "$LATEST"), ("f1", "1")] and len(versions) == 6


@check
def role_must_be_assumable(aws: Aws) -> None:
    """Roles that do not exist, are too new, do not trust Lambda, or lack permissions are refused."""
    cannot = "The role defined for the function cannot be assumed by Lambda."
    with aws.refused("InvalidParameterValueException", cannot):
        aws.function("arn:aws:iam::123456789012:role/none")
    ec2_trust = TRUST.replace("lambda.amazonaws.com", "ec2.amazonaws.com")
    with aws.refused("InvalidParameterValueException", cannot):
        aws.function(aws.role("foreign", trust=ec2_trust))
    net = aws.network()
    powerless = aws.role("powerless", policy=None)
    with aws.refused("InvalidParameterValueException", "does not have permissions to call CreateNetworkInterface"):
        aws.function(powerless, VpcConfig=_vpc(net))
    aws.function(powerless, "outside")
    aws.configure(role_delay=600)
    young = aws.role("young")

    with aws.refused("InvalidParameterValueException", cannot):
        aws.function(young, "y", VpcConfig=_vpc(net))
    aws.advance(600)
    aws.function(young, "y", VpcConfig=_vpc(net))


@check
def policies_can_be_simulated(aws: Aws) -> None:
    """The decision for each action and resource; a role that does not exist is refused."""
    role = aws.role()
    actions = ["ec2:CreateNetworkInterface", "ssm:GetParameters"]
    for resources in (["*"], ["arn:aws:ssm:us-east-1:123456789012:parameter/a", "*"]):
        found = aws.iam.simulate_principal_policy(PolicySourceArn=role, ActionNames=actions, ResourceArns=resources)
        results = found["EvaluationResults"]
        assert [result["EvalActionName"] for result in results] == actions
        assert [result["EvalDecision"] for result in results] == ["allowed", "implicitDeny"]
        assert all(len(result.get("ResourceSpecificResults", [0])) == len(resources) for result in results)
    own, other = (f"arn:aws:ssm:us-east-1:123456789012:parameter/{name}" for name in ("own/a", "b"))
    statement = {"Effect": "Allow", "Action": "ssm:*", "Resource": own.replace("/a", "/*")}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    aws.iam.put_role_policy(RoleName=role.rsplit("/", 1)[-1], PolicyName="own", PolicyDocument=policy)
    found = aws.iam.simulate_principal_policy(
        PolicySourceArn=role, ActionNames=["ssm:GetParameters"], ResourceArns=[own, other]
    )
    (result,) = found["EvaluationResults"]
    of_resources = [one["EvalResourceDecision"] for one in result["ResourceSpecificResults"]]
    assert (result["EvalDecision"], of_resources) == ("implicitDeny", ["allowed", "implicitDeny"])
    with aws.refused("NoSuchEntity", "cannot be found"):
        aws.iam.simulate_principal_policy(PolicySourceArn=role + "x", ActionNames=actions)
    with aws.refused("InvalidInput", "Invalid Entity Arn"):
        aws.iam.simulate_principal_policy(PolicySourceArn="arn:aws:iam::123456789012:root", ActionNames=actions)
    aws.configure(lacks=["ssm:Get*"])
    user = aws.sts.get_caller_identity()["Arn"]
    found = aws.iam.simulate_principal_policy(PolicySourceArn=user, ActionNames=actions)
    assert [result["EvalDecision"] for result in found["EvaluationResults"]] == ["allowed", "implicitDeny"]
    with aws.refused("AccessDeniedException", "ssm:GetParameters"):
        aws.ssm.get_parameters(Names=["/a"])


@check
def function_limits(aws: Aws) -> None:
    """Parameters that CreateFunction refuses."""
    role = aws.role()
    net = aws.network()
    stranger = aws.group(aws.vpc("10.9.0.0/16"), "s")
    invalid = "InvalidParameterValueException"
    for code, parameters in (
        (invalid, {"Code": {"ZipFile": b"not a zip"}}),
        (invalid, {"Handler": ""}),
        (invalid, {"Runtime": "cobol85"}),
        ("ValidationException", {"Timeout": 901}),
        ("ValidationException", {"MemorySize": 64}),
        (invalid, {"Environment": {"Variables": {"AWS_REGION": "x"}}}),
        (invalid, {"Environment": {"Variables": {"BIG": "x" * 4090}}}),
        (invalid, {"VpcConfig": {"SubnetIds": ["subnet-0123456789abcdef0"], "SecurityGroupIds": [net["group"]]}}),
        (invalid, {"VpcConfig": {"SubnetIds": [net["subnet"]], "SecurityGroupIds": ["sg-0123456789abcdef0"]}}),
        (invalid, {"VpcConfig": {"SubnetIds": [net["subnet"]], "SecurityGroupIds": [stranger]}}),
        (invalid, {"VpcConfig": {"SubnetIds": [net["subnet"]], "SecurityGroupIds": []}}),
        ("ValidationException", {"name": "f" * 65}),
    ):
        with aws.refused(code):
            aws.function(role, **parameters)
    made = aws.function(role, VpcConfig=_vpc(net), Environment={"Variables": {"OK": "x" * 4000}})
    assert made["VpcConfig"]["VpcId"] == net["vpc"]


@check
def function_interfaces(aws: Aws) -> None:
    """Functions with the same subnet and groups share an interface. It lingers, then becomes available and can be
    deleted."""
    aws.configure(eni_linger=1200)
    net = aws.network()
    role = aws.role()
    for name in ("f", "g"):
        aws.function(role, name, VpcConfig=_vpc(net))
    (eni,) = aws.enis(subnet_id=net["subnet"])
    assert eni["Description"].startswith("AWS Lambda VPC ENI-f-") and eni["InterfaceType"] == "lambda"
    assert not eni["RequesterManaged"] and eni["Status"] == "in-use" and eni["Attachment"]["Status"] == "attached"
    assert eni["Attachment"]["InstanceOwnerId"] == "amazon-aws" and eni["SourceDestCheck"] and eni["TagSet"] == []
    role_id = aws.iam.get_role(RoleName="r")["Role"]["RoleId"]
    assert eni["RequesterId"] == f"{role_id}:123456789012"
    name = f"ip-{eni['PrivateIpAddress'].replace('.', '-')}.ec2.internal"
    assert eni["PrivateDnsName"] == name and eni["PrivateIpAddresses"][0]["PrivateDnsName"] == name
    with aws.refused("InvalidParameterValue", "is currently in use"):
        aws.ec2.delete_network_interface(NetworkInterfaceId=eni["NetworkInterfaceId"])
    aws.lambda_.delete_function(FunctionName="g")
    aws.lambda_.update_function_configuration(FunctionName="f", VpcConfig={"SubnetIds": [], "SecurityGroupIds": []})
    aws.lambda_.delete_function(FunctionName="f")

    def state() -> tuple:
        (found,) = aws.enis(description="AWS Lambda VPC ENI*")
        return found["Status"], found["InterfaceType"], found["Description"] == eni["Description"]

    assert state() == ("in-use", "lambda", True)
    for call in (
        lambda: aws.ec2.delete_subnet(SubnetId=net["subnet"]),
        lambda: aws.ec2.delete_security_group(GroupId=net["group"]),
    ):
        with aws.refused("DependencyViolation"):
            call()
    aws.advance(1200)
    assert state() == ("available", "interface", True) and "Attachment" not in aws.enis(subnet_id=net["subnet"])[0]
    aws.ec2.delete_network_interface(NetworkInterfaceId=eni["NetworkInterfaceId"])
    aws.ec2.delete_security_group(GroupId=net["group"])
    aws.ec2.delete_subnet(SubnetId=net["subnet"])


@check
def interfaces_can_be_described_as_they_were(aws: Aws) -> None:
    """With a colon, and without the function's name."""
    aws.configure(eni_description="AWS Lambda VPC ENI: {id}")
    net = aws.network()
    aws.function(aws.role(), VpcConfig=_vpc(net))
    (eni,) = aws.enis(subnet_id=net["subnet"])
    assert eni["Description"].startswith("AWS Lambda VPC ENI: ") and len(eni["Description"]) == 56


@check
def interfaces_outlive_their_role(aws: Aws) -> None:
    """Without the role, the interfaces stay in use forever."""
    net = aws.network()
    aws.configure(eni_linger=1200)
    aws.function(aws.role(), VpcConfig=_vpc(net))
    aws.lambda_.delete_function(FunctionName="f")
    aws.iam.delete_role_policy(RoleName="r", PolicyName="p")
    aws.iam.delete_role(RoleName="r")
    aws.advance(100_000)
    assert aws.enis(subnet_id=net["subnet"])[0]["Status"] == "in-use"


@check
def deletion_during_detach_strands(aws: Aws) -> None:
    """Deleting a function while its VPC change is in progress leaves the interface stranded."""
    aws.configure(delay={"function-update": 600})
    net = aws.network()
    aws.function(aws.role(), VpcConfig=_vpc(net))
    aws.lambda_.update_function_configuration(FunctionName="f", VpcConfig={"SubnetIds": [], "SecurityGroupIds": []})
    aws.lambda_.delete_function(FunctionName="f")
    aws.advance(100_000)
    assert aws.enis(subnet_id=net["subnet"])[0]["Status"] == "in-use"


@check
def permissions(aws: Aws) -> None:
    """Each statement ID is unique, and unknown IDs are not found."""
    aws.function(aws.role())
    one = {
        "FunctionName": "f",
        "StatementId": "api",
        "Action": "lambda:InvokeFunction",
        "Principal": "apigateway.amazonaws.com",
        "SourceArn": "arn:aws:execute-api:us-east-1:123456789012:abc/authorizers/def",
        "SourceAccount": "123456789012",
    }
    with aws.refused("ResourceNotFoundException"):
        aws.lambda_.get_policy(FunctionName="f")
    aws.lambda_.add_permission(**one)
    with aws.refused("ResourceConflictException"):
        aws.lambda_.add_permission(**one)
    (statement,) = json.loads(aws.lambda_.get_policy(FunctionName="f")["Policy"])["Statement"]
    assert statement["Condition"]["ArnLike"]["AWS:SourceArn"] == one["SourceArn"]
    assert statement["Principal"] == {"Service": "apigateway.amazonaws.com"}
    with aws.refused("ResourceNotFoundException", "Statement none is not found in resource policy."):
        aws.lambda_.remove_permission(FunctionName="f", StatementId="none")
    aws.lambda_.remove_permission(FunctionName="f", StatementId="api")
    with aws.refused("ResourceNotFoundException", "No policy is associated with the given resource."):
        aws.lambda_.remove_permission(FunctionName="f", StatementId="api")
    with aws.refused(
        "ResourceNotFoundException", "No policy found for: arn:aws:lambda:us-east-1:123456789012:function:"
    ):
        aws.lambda_.remove_permission(FunctionName="g", StatementId="api")


@check
def functions_have_no_code_signing(aws: Aws) -> None:
    """A function without a configuration of code signing is answered without an ARN, and an unknown one is not found."""
    aws.function(aws.role())
    found = aws.lambda_.get_function_code_signing_config(FunctionName="f")
    assert found["FunctionName"] == "f" and "CodeSigningConfigArn" not in found
    with aws.refused("ResourceNotFoundException", "Function not found"):
        aws.lambda_.get_function_code_signing_config(FunctionName="g")


@check
def function_tags(aws: Aws) -> None:
    """TagResource, UntagResource, ListTags by ARN."""
    arn = aws.function(aws.role())["FunctionArn"]
    aws.lambda_.tag_resource(Resource=arn, Tags={"a": "1", "b": "2"})
    aws.lambda_.untag_resource(Resource=arn, TagKeys=["a"])
    assert aws.lambda_.list_tags(Resource=arn)["Tags"] == {"b": "2"}


@check
def self_test_is_derived(aws: Aws) -> None:
    """The self-test's result depends on the content of the account, and the configuration can replace it."""
    net = aws.network()
    public = aws.subnet(net["vpc"], "10.0.2.0/24")
    igw = aws.igw(net["vpc"])
    nat, _ = aws.nat(public)
    table = aws.ec2.create_route_table(VpcId=net["vpc"])["RouteTable"]["RouteTableId"]
    aws.ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", NatGatewayId=nat)
    aws.ec2.associate_route_table(RouteTableId=table, SubnetId=net["subnet"])
    outside = aws.ec2.create_route_table(VpcId=net["vpc"])["RouteTable"]["RouteTableId"]
    aws.ec2.associate_route_table(RouteTableId=outside, SubnetId=public)
    environment = {"Variables": {"THREESCALE_GW_PARAMETERS": "/p"}}
    aws.function(aws.role(), VpcConfig=_vpc(net), Environment=environment)

    def failing() -> dict[str, str]:
        reply = aws.lambda_.invoke(FunctionName="f", Payload=b'{"threescale-gw": "self-test"}')
        answer = json.loads(reply["Payload"].read())
        assert [check["name"] for check in answer["checks"]] == ["secrets", "redis", "threescale", "decision"]
        assert all((check["cause"] is None) == (check["error"] is None) == check["ok"] for check in answer["checks"])
        found = {check["name"]: check["cause"] for check in answer["checks"] if not check["ok"]}
        assert answer["ok"] == (not found)
        assert found.pop("decision", None) == ("skipped" if found else None)
        return found

    def put(name: str, value: str = "0123456789abcdef") -> None:
        aws.ssm.put_parameter(Name=f"/p/{name}", Type="String", Value=value, Overwrite=True)

    def policy(effect: str) -> None:
        statements = [{"Effect": "Allow", "Action": ["ec2:*NetworkInterface*", "ssm:Get*"], "Resource": "*"}]
        statements += [{"Effect": "Deny", "Action": "ssm:*", "Resource": "*"}] if effect == "Deny" else []
        document = json.dumps({"Version": "2012-10-17", "Statement": statements})
        aws.iam.put_role_policy(RoleName="r", PolicyName="p", PolicyDocument=document)

    # A NAT gateway forwards nothing without a route of its own subnet.
    assert failing() == {"secrets": "ssm_denied", "threescale": "timeout"}
    aws.ec2.create_route(RouteTableId=outside, DestinationCidrBlock="0.0.0.0/0", GatewayId=igw)
    assert failing() == {"secrets": "ssm_denied"}
    policy("Allow")
    assert failing() == {"secrets": "missing"}
    for name in ("service-token", "hash-key", "cache-auth-token"):
        put(f"secrets/{name}")
    assert failing() == {}
    policy("Deny")
    assert failing() == {"secrets": "ssm_denied"}
    policy("Allow")
    deny = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "ssm:*", "Resource": "*"}]}
    attached = aws.iam.create_policy(PolicyName="no", PolicyDocument=json.dumps(deny))["Policy"]["Arn"]
    aws.iam.attach_role_policy(RoleName="r", PolicyArn=attached)
    assert failing() == {"secrets": "ssm_denied"}
    aws.iam.detach_role_policy(RoleName="r", PolicyArn=attached)
    aws.cache(net, AuthToken="0123456789abcdef")
    assert failing() == {"redis": "endpoint_missing"}
    group = aws.elasticache.describe_replication_groups()["ReplicationGroups"][0]
    host = group["NodeGroups"][0]["PrimaryEndpoint"]["Address"]
    put("cache-endpoint", f"rediss://{host}:6379")
    assert failing() == {"redis": "timeout"}
    rule = {"IpProtocol": "tcp", "FromPort": 6379, "ToPort": 6379, "UserIdGroupPairs": [{"GroupId": net["group"]}]}
    aws.ec2.authorize_security_group_ingress(GroupId=net["group"], IpPermissions=[rule])
    assert failing() == {}
    for endpoint, cause in (
        ("rediss://elsewhere.example.com:6379", "dns"),
        (f"rediss://{host}:6380", "refused"),
        (f"redis://{host}:6379", "tls"),
        (f"rediss://{host}:6379", None),
    ):
        put("cache-endpoint", endpoint)
        assert failing() == ({"redis": cause} if cause else {}), endpoint
    put("secrets/cache-auth-token", "another")
    assert failing() == {"redis": "auth"}
    aws.ssm.delete_parameter(Name="/p/secrets/cache-auth-token")
    assert failing() == {"redis": "auth"}
    put("secrets/cache-auth-token")
    aws.configure(valid_tokens=["another"])
    assert failing() == {"threescale": "token_invalid"}
    aws.configure(valid_tokens=["0123456789abcdef"])
    assert failing() == {}
    aws.ec2.delete_nat_gateway(NatGatewayId=nat)
    assert failing() == {"threescale": "timeout"}
    aws.configure(delay={"cache-delete": 600})
    aws.elasticache.delete_replication_group(ReplicationGroupId="c")
    assert failing() == {"redis": "refused", "threescale": "timeout"}
    aws.configure(outcomes={"invoke": {"f": {"payload": {"errorMessage": "boom"}, "error": True}}})
    reply = aws.lambda_.invoke(FunctionName="f", Payload=b"{}")
    assert reply["FunctionError"] == "Unhandled"


@check
def roles_and_policies(aws: Aws) -> None:
    """Trust policies are checked, a role must be empty to be deleted, and listings have no tags."""
    with aws.refused("MalformedPolicyDocument"):
        aws.iam.create_role(RoleName="x", AssumeRolePolicyDocument="{")
    with aws.refused("MalformedPolicyDocument"):
        aws.iam.create_role(RoleName="x", AssumeRolePolicyDocument=ENI_POLICY)
    aws.role("x")
    aws.iam.tag_role(RoleName="x", Tags=[{"Key": "a", "Value": "1"}])
    with aws.refused("DeleteConflict"):
        aws.iam.delete_role(RoleName="x")
    (listed,) = aws.iam.list_roles(PathPrefix="/t/")["Roles"]
    assert "Tags" not in listed
    assert aws.iam.get_role(RoleName="x")["Role"]["Tags"] == [{"Key": "a", "Value": "1"}]
    assert aws.iam.list_role_tags(RoleName="x")["Tags"] == [{"Key": "a", "Value": "1"}]
    aws.iam.update_assume_role_policy(RoleName="x", PolicyDocument=TRUST)
    with aws.refused("MalformedPolicyDocument"):
        aws.iam.update_assume_role_policy(RoleName="x", PolicyDocument="[]")
    big = json.loads(ENI_POLICY)
    big["Statement"] *= 200
    with aws.refused("LimitExceeded"):
        aws.iam.put_role_policy(RoleName="x", PolicyName="big", PolicyDocument=json.dumps(big))
    assert aws.iam.list_role_policies(RoleName="x")["PolicyNames"] == ["p"]
    assert aws.iam.list_attached_role_policies(RoleName="x")["AttachedPolicies"] == []
    assert aws.iam.get_role_policy(RoleName="x", PolicyName="p")["PolicyDocument"]["Statement"]
    aws.iam.untag_role(RoleName="x", TagKeys=["a"])
    aws.iam.delete_role_policy(RoleName="x", PolicyName="p")
    aws.iam.delete_role(RoleName="x")
    with aws.refused("NoSuchEntity"):
        aws.iam.get_role(RoleName="x")


@check
def published_versions_are_snapshots(aws: Aws) -> None:
    """A version keeps code, settings, and VPC configuration. It is pending first. Without a change, no version is
    published, and version numbers are not reused."""
    net = aws.network()
    role = aws.role()
    with aws.refused("ResourceNotFoundException"):
        aws.lambda_.publish_version(FunctionName="f")
    aws.configure(delay={"function": 600, "function-version": 600})
    aws.function(role, Environment={"Variables": {"AB": "1"}}, VpcConfig=_vpc(net))
    with aws.refused("ResourceConflictException", "Pending"):
        aws.lambda_.publish_version(FunctionName="f")
    aws.advance(600)
    made = aws.lambda_.publish_version(FunctionName="f", Description="one")
    assert (made["Version"], made["State"], made["Description"]) == ("1", "Pending", "one")
    assert made["FunctionArn"].endswith(":function:f:1")
    with aws.refused("ResourceConflictException", "Pending"):
        aws.lambda_.invoke(FunctionName="f", Qualifier="1")
    aws.advance(600)
    assert aws.lambda_.get_function_configuration(FunctionName="f", Qualifier="1")["State"] == "Active"
    assert aws.lambda_.publish_version(FunctionName="f")["Version"] == "1"
    with aws.refused("InvalidParameterValueException", "CodeSHA256"):
        aws.lambda_.publish_version(FunctionName="f", CodeSha256="other")
    aws.lambda_.update_function_configuration(FunctionName="f", Environment={"Variables": {"AB": "2"}})
    aws.advance(600)
    assert aws.lambda_.publish_version(FunctionName="f")["Version"] == "2"
    aws.advance(600)
    listed = aws.lambda_.list_versions_by_function(FunctionName="f")["Versions"]
    assert [version["Version"] for version in listed] == ["$LATEST", "1", "2"]
    assert "State" not in listed[1] and listed[1]["Environment"]["Variables"] == {"AB": "1"}
    aws.configure(page_size=2)
    pages = aws.lambda_.get_paginator("list_versions_by_function").paginate(FunctionName="f")
    assert [version["Version"] for page in pages for version in page["Versions"]] == ["$LATEST", "1", "2"]
    assert aws.lambda_.invoke(FunctionName="f:2")["ExecutedVersion"] == "2"
    aws.lambda_.delete_function(FunctionName="f", Qualifier="2")
    with aws.refused("ResourceNotFoundException", "f:2"):
        aws.lambda_.get_function(FunctionName="f", Qualifier="2")
    assert aws.lambda_.publish_version(FunctionName="f")["Version"] == "3"


@check
def aliases_lead_to_versions(aws: Aws) -> None:
    """Create, move, split, list, and delete. A version in use cannot be deleted, and an alias has its own policy."""
    aws.function(aws.role())
    with aws.refused("ResourceNotFoundException", "f:1"):
        aws.lambda_.create_alias(FunctionName="f", Name="live", FunctionVersion="1")
    aws.lambda_.publish_version(FunctionName="f")
    aws.lambda_.update_function_configuration(FunctionName="f", Timeout=9)
    aws.lambda_.publish_version(FunctionName="f")
    made = aws.lambda_.create_alias(FunctionName="f", Name="live", FunctionVersion="1", Description="d")
    assert made["AliasArn"].endswith(":function:f:live") and "RoutingConfig" not in made
    with aws.refused("ResourceConflictException", "already exists"):
        aws.lambda_.create_alias(FunctionName="f", Name="live", FunctionVersion="1")
    assert aws.lambda_.get_function_configuration(FunctionName="f", Qualifier="live")["Timeout"] == 3
    with aws.refused("ResourceConflictException", "referenced by an alias"):
        aws.lambda_.delete_function(FunctionName="f", Qualifier="1")
    split = {"AdditionalVersionWeights": {"1": 0.5}}
    moved = aws.lambda_.update_alias(FunctionName="f", Name="live", FunctionVersion="2", RoutingConfig=split)
    assert (moved["FunctionVersion"], moved["Description"], moved["RoutingConfig"]) == ("2", "d", split)
    with aws.refused("ResourceConflictException", "referenced by an alias"):
        aws.lambda_.delete_function(FunctionName="f", Qualifier="1")
    moved = aws.lambda_.update_alias(FunctionName="f", Name="live", RoutingConfig={"AdditionalVersionWeights": {}})
    assert "RoutingConfig" not in moved
    with aws.refused("PreconditionFailedException"):
        aws.lambda_.update_alias(FunctionName="f", Name="live", FunctionVersion="1", RevisionId="old")
    permission = {"StatementId": "s", "Action": "lambda:InvokeFunction", "Principal": "events.amazonaws.com"}
    aws.lambda_.add_permission(FunctionName="f", Qualifier="live", **permission)
    with aws.refused("ResourceNotFoundException"):
        aws.lambda_.get_policy(FunctionName="f")
    policy = json.loads(aws.lambda_.get_policy(FunctionName="f", Qualifier="live")["Policy"])
    assert policy["Statement"][0]["Resource"].endswith(":function:f:live")
    aws.lambda_.add_permission(FunctionName="f", **permission)
    with aws.refused("ResourceConflictException"):
        aws.lambda_.add_permission(FunctionName="f", Qualifier="live", **permission)
    aws.lambda_.remove_permission(FunctionName="f", Qualifier="live", StatementId="s")
    assert aws.lambda_.get_policy(FunctionName="f")["Policy"]
    assert [alias["Name"] for alias in aws.lambda_.list_aliases(FunctionName="f")["Aliases"]] == ["live"]
    aws.lambda_.delete_alias(FunctionName="f", Name="live")
    aws.lambda_.delete_alias(FunctionName="f", Name="live")
    with aws.refused("ResourceNotFoundException", "Cannot find alias"):
        aws.lambda_.get_alias(FunctionName="f", Name="live")
    aws.lambda_.delete_function(FunctionName="f", Qualifier="1")


@check
def a_version_keeps_the_interfaces_of_its_vpc(aws: Aws) -> None:
    """The interfaces are released after the version is also deleted. If the function is deleted before its versions,
    they remain."""
    net = aws.network()
    role = aws.role()

    def states() -> list[str]:
        found = aws.ec2.describe_network_interfaces(Filters=[{"Name": "subnet-id", "Values": [net["subnet"]]}])
        return [interface["Status"] for interface in found["NetworkInterfaces"]]

    aws.function(role, VpcConfig=_vpc(net))
    aws.lambda_.publish_version(FunctionName="f")
    aws.lambda_.update_function_configuration(FunctionName="f", VpcConfig={"SubnetIds": [], "SecurityGroupIds": []})
    assert states() == ["in-use"]
    aws.lambda_.delete_function(FunctionName="f", Qualifier="1")
    assert states() == ["available"]
    for interface in aws.ec2.describe_network_interfaces()["NetworkInterfaces"]:
        aws.ec2.delete_network_interface(NetworkInterfaceId=interface["NetworkInterfaceId"])
    aws.lambda_.update_function_configuration(FunctionName="f", VpcConfig=_vpc(net))
    aws.lambda_.publish_version(FunctionName="f")
    aws.lambda_.update_function_configuration(FunctionName="f", VpcConfig={"SubnetIds": [], "SecurityGroupIds": []})
    aws.lambda_.delete_function(FunctionName="f")
    assert states() == ["in-use"]


@check
def functions_show_what_they_were_given(aws: Aws) -> None:
    """A VPC and an environment only once they were given, no update before there is one, the ARN asked for."""
    aws.configure(delay={"function": 600, "function-version": 600})
    role = aws.role()
    made = aws.function(role)
    assert not {"VpcConfig", "Environment", "LastUpdateStatus"} & made.keys()
    assert made["RuntimeVersionConfig"]["RuntimeVersionArn"].startswith("arn:aws:lambda:us-east-1::runtime:")
    empty = {"SubnetIds": [], "SecurityGroupIds": []}
    bare = aws.function(role, "bare", VpcConfig=empty, Environment={"Variables": {}})
    assert bare["VpcConfig"] == {**empty, "VpcId": "", "Ipv6AllowedForDualStack": False}
    assert bare["Environment"] == {"Variables": {}}
    pending = aws.lambda_.get_function_configuration(FunctionName="f")
    assert (pending["State"], pending["StateReasonCode"]) == ("Pending", "Creating")
    assert pending["StateReason"] == "The function is being created." and "LastUpdateStatus" not in pending
    aws.advance(600)
    found = aws.lambda_.get_function_configuration(FunctionName="f")
    assert (found["State"], found["LastUpdateStatus"]) == ("Active", "Successful") and "StateReason" not in found
    updated = aws.lambda_.update_function_configuration(FunctionName="f", Timeout=9, VpcConfig=empty)
    assert (updated["State"], updated["LastUpdateStatus"]) == ("Active", "InProgress")
    assert updated["LastUpdateStatusReason"] == "The function is being created."
    assert updated["LastUpdateStatusReasonCode"] == "Creating" and updated["LastModified"].endswith(".000+0000")
    assert updated["VpcConfig"]["VpcId"] == ""
    aws.advance(600)
    version = aws.lambda_.publish_version(FunctionName="f")
    assert version["State"] == "Pending" and "LastUpdateStatus" not in version
    aws.lambda_.create_alias(FunctionName="f", Name="live", FunctionVersion="1")
    arn = made["FunctionArn"]
    for qualifier, number in (("live", "1"), ("1", "1"), ("$LATEST", "$LATEST")):
        one = aws.lambda_.get_function(FunctionName="f", Qualifier=qualifier)["Configuration"]
        assert (one["FunctionArn"], one["Version"]) == (f"{arn}:{qualifier}", number)
    listed = aws.lambda_.list_versions_by_function(FunctionName="f")["Versions"]
    assert [one["FunctionArn"] for one in listed] == [f"{arn}:$LATEST", f"{arn}:1"]
    assert not {"State", "StateReasonCode", "LastUpdateStatus", "RuntimeVersionConfig"} & listed[1].keys()


@check
def idle_functions_come_back(aws: Aws) -> None:
    """Inactive until somebody invokes, which fails; then pending for a while; their interfaces go and come."""
    net = aws.network()
    aws.function(aws.role(), VpcConfig=_vpc(net))
    aws.lambda_.publish_version(FunctionName="f")
    aws.lambda_.create_alias(FunctionName="f", Name="live", FunctionVersion="1")

    def state(qualifier: str) -> tuple:
        found = aws.lambda_.get_function_configuration(FunctionName="f", Qualifier=qualifier)
        return found["State"], found.get("StateReason"), found.get("StateReasonCode"), found["LastUpdateStatus"]

    active = ("Active", None, None, "Successful")
    idle = ("Inactive", "The function is currently idle.", "Idle", "Successful")
    made = aws.control("POST", "function", {"name": "f", "version": "live", "seconds": 60})
    assert made == {"versions": ["1"]} and (state("$LATEST"), state("1")) == (active, idle)
    assert len(aws.enis(subnet_id=net["subnet"])) == 1
    assert aws.control("POST", "function", {"name": "f", "seconds": 60}) == {"versions": ["$LATEST", "1"]}
    assert aws.enis(subnet_id=net["subnet"]) == []
    text = "Lambda is initializing your function. It will be ready to invoke shortly."
    for _ in range(2):
        with aws.refused("CodeArtifactUserPendingException", text):
            aws.lambda_.invoke(FunctionName="f", Qualifier="live")
        assert state("live") == ("Pending", "The function is being restored.", "Restoring", "Successful")
    assert [entry["status"] for entry in aws.log() if entry["operation"] == "Invoke"] == [409, 409]
    with aws.refused("CodeArtifactUserPendingException"):
        aws.lambda_.invoke(FunctionName="f")
    with aws.refused("ResourceConflictException", "state: Pending"):
        aws.lambda_.update_function_configuration(FunctionName="f", Timeout=9)
    aws.advance(60)
    assert aws.lambda_.invoke(FunctionName="f", Qualifier="live")["ExecutedVersion"] == "1" and state("1") == active
    assert len(aws.enis(subnet_id=net["subnet"])) == 1
    assert "error" in aws.control("POST", "function", {"name": "none"})
    assert "error" in aws.control("POST", "function", {"name": "f", "sleep": 1})


@check
def idle_functions_answer_as_told(aws: Aws) -> None:
    """Another code, text and status; a return that fails; an update that brings them back."""
    aws.function(aws.role())
    fails = {"code": "InvalidSubnet"}
    aws.control("POST", "function", {"name": "f", "code": "ResourceNotReadyException", "fails": fails})
    for _ in range(2):
        with aws.refused("ResourceNotReadyException", "VPC connection is no longer available"):
            aws.lambda_.invoke(FunctionName="f")
        found = aws.lambda_.get_function_configuration(FunctionName="f")
        assert (found["State"], found["StateReasonCode"]) == ("Inactive", "InvalidSubnet")
    (*_, entry, _) = aws.log()
    assert (entry["status"], entry["injected"]) == (502, True)
    aws.lambda_.update_function_configuration(FunctionName="f", Timeout=9)
    aws.lambda_.invoke(FunctionName="f")
    text = "ERROR: Lambda is initializing your function. It will be ready to invoke shortly."
    aws.control("POST", "function", {"name": "f", "message": text, "status": 500})
    with aws.refused("CodeArtifactUserPendingException", text):
        aws.lambda_.invoke(FunctionName="f")
    aws.lambda_.invoke(FunctionName="f")


@check
def concurrency(aws: Aws) -> None:
    """Reserved for a function, none of it refuses every invocation; what the account has at most."""
    aws.function(aws.role())
    assert "ReservedConcurrentExecutions" not in aws.lambda_.get_function_concurrency(FunctionName="f")
    assert "Concurrency" not in aws.lambda_.get_function(FunctionName="f")
    with aws.refused("InvalidParameterValueException", "below its minimum value of [100]"):
        aws.lambda_.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=901)
    aws.lambda_.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=900)
    assert aws.lambda_.get_function(FunctionName="f")["Concurrency"] == {"ReservedConcurrentExecutions": 900}
    limits = aws.lambda_.get_account_settings()["AccountLimit"]
    assert (limits["ConcurrentExecutions"], limits["UnreservedConcurrentExecutions"]) == (1000, 100)
    aws.configure(quotas={"concurrent_executions": 10})
    aws.lambda_.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=0)
    limits = aws.lambda_.get_account_settings()["AccountLimit"]
    assert (limits["ConcurrentExecutions"], limits["UnreservedConcurrentExecutions"]) == (10, 10)
    quota = aws.quotas.get_service_quota(ServiceCode="lambda", QuotaCode="L-B99A9384")["Quota"]
    assert (quota["Value"], quota["ServiceName"]) == (10, "AWS Lambda")
    try:
        aws.lambda_.invoke(FunctionName="f")
    except ClientError as refused:
        assert refused.response["Error"]["Code"] == "TooManyRequestsException"
        assert refused.response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
        assert refused.response["ResponseMetadata"]["HTTPStatusCode"] == 429
    else:
        raise AssertionError("not refused")
    aws.lambda_.delete_function_concurrency(FunctionName="f")
    aws.lambda_.invoke(FunctionName="f")


@check
def networks_are_found_late(aws: Aws) -> None:
    """Lambda does not see a subnet or a security group the first times it looks."""
    net, role = aws.network(), aws.role()
    aws.configure(lambda_lag=2)
    invalid = "InvalidParameterValueException"
    subnets = (
        "DescribeSubnets. EC2 Error Code: InvalidSubnetID.NotFound. EC2 Error Message: "
        f"The subnet ID '{net['subnet']}' does not exist"
    )
    groups = (
        "DescribeSecurityGroups. EC2 Error Code: InvalidGroup.NotFound. EC2 Error Message: "
        f"The security group '{net['group']}' does not exist"
    )
    for text in (subnets, subnets, groups, groups):
        with aws.refused(invalid, f"Error occurred while {text}"):
            aws.function(role, VpcConfig=_vpc(net))
    aws.function(role, VpcConfig=_vpc(net))
    aws.function(role, "g", VpcConfig=_vpc(net))
