"""Another team's stack of the same tool in the same account, and untagged resources with similar names. The tool must
not change either."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

from .client_calls import call
from .seed_api import invocation
from .seed_http_api import seed_http_api
from .wire import arn
from .account_state import World

STACK = "other"


def _zip() -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr(zipfile.ZipInfo("bootstrap", (2020, 1, 1, 0, 0, 0)), b"\x7fELF not really")
    return data.getvalue()


def _trust() -> str:
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
            ],
        }
    )


def seed_foreign(world: World, region: str, with_http_api: bool = False) -> dict[str, Any]:
    """Creates the stack `other` (with its own API) and untagged resources, immediately and regardless of configured
    delays. The stack can protect an HTTP API, too."""
    with world.lock:
        before = {name: world.config[name] for name in ("delay", "role_delay", "outcomes")}
        world.config.update(delay=0, role_delay=0, outcomes={})
        try:
            found = _build(world, region)
            if with_http_api:
                found["http_api_id"] = _http_api(world, region, found["function_arn"])
            return found
        finally:
            world.config.update(before)


def _build(world: World, region: str) -> dict[str, Any]:
    def ask(service: str, operation: str, **parameters: Any) -> dict[str, Any]:
        return call(world, service, operation, parameters, region)

    def tags(resource: str) -> dict[str, str]:
        return {
            "threescale-gw:stack": STACK,
            "threescale-gw:resource": resource,
            "Name": f"threescale-gw-{STACK}-{resource.replace('/', '-')}",
        }

    def tag_list(resource: str) -> list[dict[str, str]]:
        return [{"Key": key, "Value": value} for key, value in tags(resource).items()]

    def tagged(kind: str, resource: str) -> list[dict[str, Any]]:
        return [{"ResourceType": kind, "Tags": tag_list(resource)}]

    found: dict[str, Any] = {"stack": STACK}

    # the other team's stack
    vpc = ask("ec2", "CreateVpc", CidrBlock="10.42.0.0/16", TagSpecifications=tagged("vpc", "vpc/main"))["Vpc"]["VpcId"]
    subnets = {}
    for index, (kind, zone) in enumerate((("public", "a"), ("public", "b"), ("private", "a"), ("private", "b"))):
        subnets[f"{kind}-{zone}"] = ask(
            "ec2",
            "CreateSubnet",
            VpcId=vpc,
            CidrBlock=f"10.42.{64 * index}.0/18",
            AvailabilityZone=f"{region}{zone}",
            TagSpecifications=tagged("subnet", f"subnet/{kind}-{zone}"),
        )["Subnet"]["SubnetId"]
    igw = ask("ec2", "CreateInternetGateway", TagSpecifications=tagged("internet-gateway", "internet-gateway/main"))
    igw_id = igw["InternetGateway"]["InternetGatewayId"]
    ask("ec2", "AttachInternetGateway", InternetGatewayId=igw_id, VpcId=vpc)
    address = ask("ec2", "AllocateAddress", Domain="vpc", TagSpecifications=tagged("elastic-ip", "elastic-ip/a"))[
        "AllocationId"
    ]
    nat = ask(
        "ec2",
        "CreateNatGateway",
        SubnetId=subnets["public-a"],
        AllocationId=address,
        ClientToken="other-nat-a",
        TagSpecifications=tagged("natgateway", "nat-gateway/a"),
    )["NatGateway"]["NatGatewayId"]
    for name, target in (("public", {"GatewayId": igw_id}), ("private", {"NatGatewayId": nat})):
        table = ask(
            "ec2", "CreateRouteTable", VpcId=vpc, TagSpecifications=tagged("route-table", f"route-table/{name}")
        )["RouteTable"]["RouteTableId"]
        ask("ec2", "CreateRoute", RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", **target)
        for zone in "ab":
            ask("ec2", "AssociateRouteTable", RouteTableId=table, SubnetId=subnets[f"{name}-{zone}"])
    groups = {}
    for name in ("authorizer", "cache"):
        groups[name] = ask(
            "ec2",
            "CreateSecurityGroup",
            GroupName=f"threescale-gw-{STACK}-{name}",
            Description=f"threescale-gw {STACK} {name}",
            VpcId=vpc,
            TagSpecifications=tagged("security-group", f"security-group/{name}"),
        )["GroupId"]
    ask(
        "ec2",
        "AuthorizeSecurityGroupIngress",
        GroupId=groups["cache"],
        IpPermissions=[
            {
                "IpProtocol": "tcp",
                "FromPort": 6379,
                "ToPort": 6379,
                "UserIdGroupPairs": [{"GroupId": groups["authorizer"], "Description": "authorizer to cache"}],
            }
        ],
    )
    private = [subnets["private-a"], subnets["private-b"]]
    ask(
        "elasticache",
        "CreateCacheSubnetGroup",
        CacheSubnetGroupName=f"threescale-gw-{STACK}",
        CacheSubnetGroupDescription=f"threescale-gw {STACK}",
        SubnetIds=private,
        Tags=tag_list("cache-subnet-group/main"),
    )
    ask(
        "elasticache",
        "CreateReplicationGroup",
        ReplicationGroupId=f"threescale-gw-{STACK}",
        ReplicationGroupDescription=f"threescale-gw {STACK}",
        CacheNodeType="cache.t4g.micro",
        Engine="redis",
        NumCacheClusters=1,
        CacheSubnetGroupName=f"threescale-gw-{STACK}",
        SecurityGroupIds=[groups["cache"]],
        TransitEncryptionEnabled=True,
        AuthToken="an-other-teams-auth-token",
        Tags=tag_list("cache/main"),
    )
    role = ask(
        "iam",
        "CreateRole",
        RoleName=f"threescale-gw-{STACK}-authorizer",
        Path="/threescale-gw/",
        AssumeRolePolicyDocument=_trust(),
        Tags=tag_list("iam-role/authorizer"),
    )["Role"]["Arn"]
    ask(
        "iam",
        "PutRolePolicy",
        RoleName=f"threescale-gw-{STACK}-authorizer",
        PolicyName="network",
        PolicyDocument=json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [{"Effect": "Allow", "Action": ["ec2:CreateNetworkInterface"], "Resource": "*"}],
            }
        ),
    )
    for name in ("authorizer", "reporter"):
        ask(
            "logs",
            "CreateLogGroup",
            logGroupName=f"/aws/lambda/threescale-gw-{STACK}-{name}",
            tags=tags(f"log-group/{name}"),
        )
        ask(
            "lambda",
            "CreateFunction",
            FunctionName=f"threescale-gw-{STACK}-{name}",
            Runtime="provided.al2023",
            Handler="bootstrap",
            Role=role,
            Code={"ZipFile": _zip()},
            VpcConfig={"SubnetIds": private, "SecurityGroupIds": [groups["authorizer"]]},
            Tags=tags(f"lambda/{name}"),
        )
    function = arn("lambda", region, f"function:threescale-gw-{STACK}-authorizer")
    ask(
        "events",
        "PutRule",
        Name=f"threescale-gw-{STACK}-reporter",
        ScheduleExpression="rate(1 minute)",
        Tags=tag_list("schedule/reporter"),
    )
    ask(
        "events",
        "PutTargets",
        Rule=f"threescale-gw-{STACK}-reporter",
        Targets=[{"Id": "reporter", "Arn": function.replace("authorizer", "reporter")}],
    )
    for name, kind in (("secrets/service-token", "SecureString"), ("lock", "String"), ("attachment", "String")):
        ask(
            "ssm",
            "PutParameter",
            Name=f"/threescale-gw/{STACK}/{name}",
            Type=kind,
            Value=f"of stack {STACK}",
            Tags=tag_list(f"secret/{name.rpartition('/')[2]}"),
        )
    api = ask("apigateway", "CreateRestApi", name=f"{STACK}-api", tags={"team": STACK})
    root = ask("apigateway", "GetResources", restApiId=api["id"])["items"][0]["id"]
    authorizer = ask(
        "apigateway",
        "CreateAuthorizer",
        restApiId=api["id"],
        name=f"threescale-gw-{STACK}",
        type="REQUEST",
        authorizerUri=invocation(region, function),
        identitySource="method.request.header.apikey",
        authorizerResultTtlInSeconds=0,
    )["id"]
    of = {"restApiId": api["id"], "resourceId": root, "httpMethod": "GET"}
    ask("apigateway", "PutMethod", **of, authorizationType="CUSTOM", authorizerId=authorizer)
    ask("apigateway", "PutIntegration", **of, type="MOCK", requestTemplates={"application/json": '{"statusCode": 200}'})
    ask("apigateway", "CreateDeployment", restApiId=api["id"], stageName="prod", description=f"stack {STACK}")
    ask(
        "lambda",
        "AddPermission",
        FunctionName=f"threescale-gw-{STACK}-authorizer",
        StatementId="api",
        Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com",
        SourceArn=arn("execute-api", region, f"{api['id']}/authorizers/{authorizer}"),
    )
    found |= {"vpc_id": vpc, "nat_gateway_id": nat, "api_id": api["id"], "function_arn": function, "role_arn": role}

    # untagged resources whose names start like the tool's
    ask(
        "iam",
        "CreateRole",
        RoleName="threescale-gw-handmade",
        AssumeRolePolicyDocument=_trust(),
    )
    ask("logs", "CreateLogGroup", logGroupName="/aws/lambda/threescale-gw-handmade")
    ask("ssm", "PutParameter", Name="/threescale-gw/handmade", Type="String", Value="somebody's note")
    ask("events", "PutRule", Name="threescale-gw-handmade", ScheduleExpression="rate(5 minutes)")
    ask("ec2", "AllocateAddress", Domain="vpc")
    default_vpc = ask("ec2", "DescribeVpcs", Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    ask(
        "ec2",
        "CreateSecurityGroup",
        GroupName="threescale-gw-handmade",
        Description="made by hand",
        VpcId=default_vpc,
    )
    return found


def _http_api(world: World, region: str, function: str) -> str:
    authorizer = {
        "AuthorizerUri": invocation(region, function),
        "AuthorizerResultTtlInSeconds": 0,
        "IdentitySource": ["$request.header.apikey"],
    }
    api = {
        "protocol": "HTTP",
        "name": f"{STACK}-http-api",
        "tags": {"team": STACK},
        "routes": [{"key": "GET /", "authorizer": f"threescale-gw-{STACK}"}],
        "authorizers": {f"threescale-gw-{STACK}": authorizer},
        "stages": [{"name": "prod", "auto_deploy": True}],
    }
    made = seed_http_api(world, api, region)
    parameters = {
        "FunctionName": f"threescale-gw-{STACK}-authorizer",
        "StatementId": "http-api",
        "Action": "lambda:InvokeFunction",
        "Principal": "apigateway.amazonaws.com",
        "SourceArn": arn(
            "execute-api", region, f"{made['api_id']}/authorizers/{made['authorizers'][f'threescale-gw-{STACK}']}"
        ),
    }
    call(world, "lambda", "AddPermission", parameters, region)
    return made["api_id"]
