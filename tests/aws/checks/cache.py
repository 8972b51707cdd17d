"""ElastiCache."""

from __future__ import annotations

import json
from typing import Any

from .harness import Aws, check


@check
def cache_life(aws: Aws) -> None:
    """Creating, available with an endpoint and a member, modifying, deleting, deleted, including the network
    interfaces."""
    aws.configure(delay={"cache": 600})
    net = aws.network()
    made = aws.cache(net)
    assert made["Status"] == "creating" and "NodeGroups" not in made and made["MemberClusters"] == ["c-001"]
    assert len(aws.enis(subnet_id=net["subnet"], group_id=net["group"])) == 1
    with aws.refused("DependencyViolation"):
        aws.ec2.delete_security_group(GroupId=net["group"])
    with aws.refused("CacheSubnetGroupInUse"):
        aws.elasticache.delete_cache_subnet_group(CacheSubnetGroupName="sg")
    for call in (
        lambda: aws.elasticache.delete_replication_group(ReplicationGroupId="c"),
        lambda: aws.elasticache.modify_replication_group(ReplicationGroupId="c", ReplicationGroupDescription="x"),
    ):
        with aws.refused("InvalidReplicationGroupState"):
            call()
    aws.advance(600)
    assert aws.cache_status() == "available"
    group = aws.elasticache.describe_replication_groups(ReplicationGroupId="c")["ReplicationGroups"][0]
    endpoint = group["NodeGroups"][0]["PrimaryEndpoint"]
    assert endpoint["Port"] == 6379 and endpoint["Address"].startswith("master.c.")
    found = aws.elasticache.describe_cache_clusters(CacheClusterId="c-001", ShowCacheNodeInfo=True)
    (cluster,) = found["CacheClusters"]
    assert cluster["SecurityGroups"] == [{"SecurityGroupId": net["group"], "Status": "active"}]
    assert cluster["CacheNodes"][0]["Endpoint"]["Port"] == 6379 and cluster["ReplicationGroupId"] == "c"
    aws.elasticache.modify_replication_group(ReplicationGroupId="c", ReplicationGroupDescription="x")
    assert aws.cache_status() == "modifying"
    aws.advance(600)
    assert aws.cache_status() == "available"
    aws.elasticache.delete_replication_group(ReplicationGroupId="c")
    assert aws.cache_status() == "deleting"
    with aws.refused("InvalidReplicationGroupState"):
        aws.elasticache.delete_replication_group(ReplicationGroupId="c")
    with aws.refused("ReplicationGroupAlreadyExists"):
        aws.cache(net)
    aws.advance(600)
    assert aws.cache_status() == "ReplicationGroupNotFoundFault"
    with aws.refused("CacheClusterNotFound"):
        aws.elasticache.describe_cache_clusters(CacheClusterId="c-001")
    assert aws.enis(subnet_id=net["subnet"]) == []
    aws.elasticache.delete_cache_subnet_group(CacheSubnetGroupName="sg")
    aws.ec2.delete_security_group(GroupId=net["group"])
    aws.ec2.delete_subnet(SubnetId=net["subnet"])


@check
def cache_cluster_alone(aws: Aws) -> None:
    """A cache cluster outside replication groups: created, listed with its address and its interface, deleted."""
    aws.configure(delay={"cache": 600, "cache-delete": 600})
    net = aws.network()
    aws.elasticache.create_cache_subnet_group(
        CacheSubnetGroupName="sg", CacheSubnetGroupDescription="x", SubnetIds=[net["subnet"]]
    )
    wanted = {
        "CacheClusterId": "Tutorial",
        "CacheNodeType": "cache.t4g.micro",
        "Engine": "redis",
        "NumCacheNodes": 1,
        "CacheSubnetGroupName": "sg",
        "SecurityGroupIds": [net["group"]],
    }
    made = aws.elasticache.create_cache_cluster(**wanted)["CacheCluster"]
    assert made["CacheClusterStatus"] == "creating" and "ReplicationGroupId" not in made
    with aws.refused("CacheClusterAlreadyExists"):
        aws.elasticache.create_cache_cluster(**wanted)
    aws.advance(600)
    found = aws.elasticache.describe_cache_clusters(
        ShowCacheNodeInfo=True, ShowCacheClustersNotInReplicationGroups=True
    )
    (cluster,) = found["CacheClusters"]
    endpoint = cluster["CacheNodes"][0]["Endpoint"]
    assert endpoint["Address"].startswith("tutorial.") and endpoint["Port"] == 6379
    assert aws.elasticache.describe_replication_groups()["ReplicationGroups"] == []
    assert len(aws.enis(subnet_id=net["subnet"], group_id=net["group"])) == 1
    with aws.refused("CacheSubnetGroupInUse"):
        aws.elasticache.delete_cache_subnet_group(CacheSubnetGroupName="sg")
    aws.elasticache.delete_cache_cluster(CacheClusterId="tutorial")
    with aws.refused("InvalidCacheClusterState"):
        aws.elasticache.delete_cache_cluster(CacheClusterId="tutorial")
    aws.advance(600)
    with aws.refused("CacheClusterNotFound"):
        aws.elasticache.delete_cache_cluster(CacheClusterId="tutorial")
    assert aws.enis(subnet_id=net["subnet"]) == [] and aws.account()["cache_clusters"] == []
    aws.elasticache.delete_cache_subnet_group(CacheSubnetGroupName="sg")


@check
def cache_create_failed(aws: Aws) -> None:
    """A forced failure. The failed cache can be deleted."""
    aws.configure(outcomes={"cache": "create-failed"})
    aws.cache(aws.network())
    assert aws.cache_status() == "create-failed"
    aws.elasticache.delete_replication_group(ReplicationGroupId="c")
    assert aws.cache_status() == "ReplicationGroupNotFoundFault"


@check
def cache_endpoint_is_settable(aws: Aws) -> None:
    """A real server can listen at the configured endpoint."""
    aws.configure(cache_endpoint={"host": "127.0.0.1", "port": 7777})
    aws.cache(aws.network())
    group = aws.elasticache.describe_replication_groups()["ReplicationGroups"][0]
    assert group["NodeGroups"][0]["PrimaryEndpoint"] == {"Address": "127.0.0.1", "Port": 7777}


@check
def cache_tags(aws: Aws) -> None:
    """Refused, reading too, until the group is available, which it is not for a while after they were written."""
    aws.configure(delay={"cache": 600})
    made = aws.cache(aws.network(), Tags=[{"Key": "a", "Value": "1"}])
    with aws.refused("InvalidReplicationGroupState", "not in available state to perform tagging operations"):
        aws.elasticache.list_tags_for_resource(ResourceName=made["ARN"])
    aws.advance(600)
    assert aws.cache_status() == "available"
    aws.elasticache.add_tags_to_resource(ResourceName=made["ARN"], Tags=[{"Key": "b", "Value": "2"}])
    assert aws.cache_status() == "modifying"
    with aws.refused("InvalidReplicationGroupState", "not in available state to perform tagging operations"):
        aws.elasticache.remove_tags_from_resource(ResourceName=made["ARN"], TagKeys=["a"])
    aws.advance(600)
    aws.elasticache.remove_tags_from_resource(ResourceName=made["ARN"], TagKeys=["a"])
    aws.advance(600)
    found = aws.elasticache.list_tags_for_resource(ResourceName=made["ARN"])["TagList"]
    assert found == [{"Key": "b", "Value": "2"}]
    with aws.refused("ReplicationGroupNotFoundFault"):
        aws.elasticache.list_tags_for_resource(ResourceName=made["ARN"].replace(":c", ":d"))


@check
def cache_parameters(aws: Aws) -> None:
    """Identifiers, node types, engines, TLS, AUTH tokens, failover."""
    net = aws.network()
    good = "0123456789abcdef"
    for code, parameters in (
        ("InvalidParameterValue", {"name": "a--b"}),
        ("InvalidParameterValue", {"name": "a-"}),
        ("InvalidParameterValue", {"name": "1a"}),
        ("InvalidParameterValue", {"name": "a" * 41}),
        ("InvalidParameterValue", {"CacheNodeType": "t4g.micro"}),
        ("InvalidParameterValue", {"Engine": "memcached"}),
        ("InvalidParameterCombination", {"EngineVersion": "9.9"}),
        ("InvalidParameterValue", {"AuthToken": "short"}),
        ("InvalidParameterValue", {"AuthToken": good + "/@"}),
        ("InvalidParameterValue", {"AuthToken": good, "TransitEncryptionEnabled": False}),
        ("InvalidParameterCombination", {"AutomaticFailoverEnabled": True, "NumCacheClusters": 1}),
        ("InvalidParameterCombination", {"MultiAZEnabled": True, "NumCacheClusters": 2}),
        ("CacheSubnetGroupNotFoundFault", {"CacheSubnetGroupName": "nowhere"}),
        ("InvalidParameterValue", {"SecurityGroupIds": ["sg-0123456789abcdef0"]}),
    ):
        with aws.refused(code):
            aws.cache(net, **parameters)
    made = aws.cache(net, "UPPER", AuthToken=good, Engine="valkey", AutomaticFailoverEnabled=True, NumCacheClusters=2)
    assert made["ReplicationGroupId"] == "upper" and made["AuthTokenEnabled"] and len(made["MemberClusters"]) == 2
    group = aws.elasticache.describe_replication_groups(ReplicationGroupId="Upper")["ReplicationGroups"][0]
    assert [member["CurrentRole"] for member in group["NodeGroups"][0]["NodeGroupMembers"]] == ["primary", "replica"]
    aws.elasticache.increase_replica_count(ReplicationGroupId="upper", NewReplicaCount=2, ApplyImmediately=True)
    aws.elasticache.decrease_replica_count(ReplicationGroupId="upper", NewReplicaCount=1, ApplyImmediately=True)
    assert len(aws.enis(subnet_id=net["subnet"])) == 2


@check
def cache_subnet_groups(aws: Aws) -> None:
    """Existing subnets of one VPC, unique names, modification, tags, and deletion."""
    net = aws.network()
    second = aws.subnet(net["vpc"], "10.0.2.0/24", "us-east-1b")
    stranger = aws.subnet(aws.vpc("10.9.0.0/16"), "10.9.0.0/24")

    def create(*subnets: str) -> dict:
        return aws.elasticache.create_cache_subnet_group(
            CacheSubnetGroupName="Sg",
            CacheSubnetGroupDescription="d",
            SubnetIds=list(subnets),
            Tags=[{"Key": "a", "Value": "1"}],
        )["CacheSubnetGroup"]

    with aws.refused("InvalidSubnet"):
        create("subnet-0123456789abcdef0")
    with aws.refused("InvalidSubnet"):
        create(net["subnet"], stranger)
    made = create(net["subnet"])
    assert made["CacheSubnetGroupName"] == "sg" and made["VpcId"] == net["vpc"]
    assert aws.elasticache.list_tags_for_resource(ResourceName=made["ARN"])["TagList"] == [{"Key": "a", "Value": "1"}]
    with aws.refused("CacheSubnetGroupAlreadyExists"):
        create(net["subnet"])
    aws.cache(net)
    with aws.refused("SubnetInUse"):
        aws.elasticache.modify_cache_subnet_group(CacheSubnetGroupName="sg", SubnetIds=[second])
    aws.elasticache.modify_cache_subnet_group(CacheSubnetGroupName="sg", SubnetIds=[net["subnet"], second])
    found = aws.elasticache.describe_cache_subnet_groups(CacheSubnetGroupName="sg")["CacheSubnetGroups"][0]
    zones = {item["SubnetAvailabilityZone"]["Name"] for item in found["Subnets"]}
    assert zones == {"us-east-1a", "us-east-1b"}
    with aws.refused("CacheSubnetGroupNotFoundFault"):
        aws.elasticache.delete_cache_subnet_group(CacheSubnetGroupName="other")


def _group(aws: Aws, name: str = "c") -> dict[str, Any]:
    return aws.elasticache.describe_replication_groups(ReplicationGroupId=name)["ReplicationGroups"][0]


def _modify(aws: Aws, **changes: Any) -> dict[str, Any]:
    parameters = {"ReplicationGroupId": "c", "ApplyImmediately": True, **changes}
    return aws.elasticache.modify_replication_group(**parameters)["ReplicationGroup"]


@check
def cache_tls_changes_in_two_steps(aws: Aws) -> None:
    """Preferred first, then required, and back the same way; names and callers follow; none of it with a token."""
    aws.configure(delay={"cache-update": 600})
    aws.cache(aws.network(), TransitEncryptionEnabled=False)
    found = _group(aws)
    assert found["AuthTokenEnabled"] is False and "TransitEncryptionMode" not in found
    primary = found["NodeGroups"][0]["PrimaryEndpoint"]["Address"]
    member = found["NodeGroups"][0]["NodeGroupMembers"][0]["ReadEndpoint"]["Address"]
    assert primary == "c.tstaws.ng.0001.use1.cache.amazonaws.com" and member.startswith("c-001.tstaws.0001.")
    combination = "InvalidParameterCombination"
    with aws.refused(combination, "To modify transit encryption mode, set encryption-in-transit as enabled."):
        _modify(aws, TransitEncryptionMode="preferred")
    with aws.refused(combination, "Direct transition from transit-encryption-disabled"):
        _modify(aws, TransitEncryptionEnabled=True, TransitEncryptionMode="required")
    with aws.refused("InvalidParameterValue", "should be called with applied immediately option"):
        _modify(aws, TransitEncryptionEnabled=True, TransitEncryptionMode="preferred", ApplyImmediately=False)
    changed = _modify(aws, TransitEncryptionEnabled=True, TransitEncryptionMode="preferred")
    assert changed["Status"] == "modifying" and changed["NodeGroups"][0]["Status"] == "available"
    assert changed["PendingModifiedValues"] == {"TransitEncryptionEnabled": True, "TransitEncryptionMode": "preferred"}
    assert changed["TransitEncryptionEnabled"] is False
    with aws.refused("InvalidReplicationGroupState"):
        _modify(aws, TransitEncryptionMode="required")
    aws.advance(600)
    found = _group(aws)
    assert found["TransitEncryptionEnabled"] and found["TransitEncryptionMode"] == "preferred"
    assert found["PendingModifiedValues"] == {} and found["Status"] == "available"
    node = found["NodeGroups"][0]
    assert node["PrimaryEndpoint"]["Address"] == "master.c.tstaws.use1.cache.amazonaws.com"
    assert node["ReaderEndpoint"]["Address"].startswith("replica.c.")
    assert node["NodeGroupMembers"][0]["ReadEndpoint"]["Address"].startswith("c-001.c.tstaws.use1.")
    for changes in ({}, {"TransitEncryptionMode": "required"}):
        with aws.refused("InvalidParameterValue", "only supported when encryption-in-transit is enabled"):
            _modify(aws, AuthToken="0123456789abcdef", AuthTokenUpdateStrategy="ROTATE", **changes)
    _modify(aws, TransitEncryptionMode="required")
    aws.advance(600)
    with aws.refused(combination):
        _modify(aws, TransitEncryptionEnabled=False)
    _modify(aws, AuthToken="0123456789abcdef", AuthTokenUpdateStrategy="SET")
    aws.advance(600)
    with aws.refused(combination, "Modification of transit encryption is not supported for access control enabled"):
        _modify(aws, TransitEncryptionMode="preferred")
    with aws.refused(combination, "Transit encryption preferred is not supported"):
        aws.cache(
            {"group": ""}, "d", SecurityGroupIds=[], AuthToken="0123456789abcdef", TransitEncryptionMode="preferred"
        )


@check
def cache_tokens_rotate(aws: Aws) -> None:
    """ROTATE keeps the former token beside the new one, SET leaves the newest one, DELETE is for user groups."""
    net = aws.network()
    rule = {"IpProtocol": "tcp", "FromPort": 6379, "ToPort": 6379, "UserIdGroupPairs": [{"GroupId": net["group"]}]}
    aws.ec2.authorize_security_group_ingress(GroupId=net["group"], IpPermissions=[rule])
    aws.cache(net)
    statements = [{"Effect": "Allow", "Action": ["ec2:*NetworkInterface*", "ssm:Get*"], "Resource": "*"}]
    role = aws.role(policy=json.dumps({"Version": "2012-10-17", "Statement": statements}))
    vpc = {"SubnetIds": [net["subnet"]], "SecurityGroupIds": [net["group"]]}
    aws.function(role, VpcConfig=vpc, Environment={"Variables": {"THREESCALE_GW_PARAMETERS": "/p"}})
    host = _group(aws)["NodeGroups"][0]["PrimaryEndpoint"]["Address"]
    stored = {"secrets/service-token": "t", "secrets/hash-key": "k", "cache-endpoint": f"rediss://{host}"}
    for name, value in stored.items():
        aws.ssm.put_parameter(Name=f"/p/{name}", Type="String", Value=value)

    def works(token: str | None) -> bool:
        if token is None:
            aws.ssm.delete_parameters(Names=["/p/secrets/cache-auth-token"])
        else:
            aws.ssm.put_parameter(Name="/p/secrets/cache-auth-token", Type="String", Value=token, Overwrite=True)
        reply = aws.lambda_.invoke(FunctionName="f", Payload=b'{"threescale-gw": "self-test"}')
        return next(one["ok"] for one in json.loads(reply["Payload"].read())["checks"] if one["name"] == "redis")

    one, two, three = ("0123456789abcde1", "0123456789abcde2", "0123456789abcde3")
    _modify(aws, AuthToken=one, AuthTokenUpdateStrategy="ROTATE")
    found = _group(aws)
    assert found["AuthTokenEnabled"] and found["AuthTokenLastModifiedDate"]
    # A login without a token is still accepted, so the authorizer gets in with any token.
    assert [works(token) for token in (None, one, two)] == [True, True, True]
    _modify(aws, AuthToken=one, AuthTokenUpdateStrategy="SET")
    assert [works(token) for token in (None, one, two)] == [False, True, False]
    aws.configure(delay={"cache-update": 600})
    changed = _modify(aws, AuthToken=two)
    assert changed["PendingModifiedValues"] == {"AuthTokenStatus": "ROTATING"}
    assert [works(token) for token in (one, two)] == [True, False]
    aws.advance(600)
    assert [works(token) for token in (one, two)] == [True, True]
    aws.configure(delay=0)
    _modify(aws, AuthToken=three)
    assert [works(token) for token in (one, two, three)] == [False, True, True]
    with aws.refused("InvalidParameterCombination"):
        _modify(aws, AuthTokenUpdateStrategy="SET")
    with aws.refused("InvalidParameterValue", "AuthToken"):
        _modify(aws, AuthToken="short")
    with aws.refused("InvalidParameterValue", "rotated last"):
        _modify(aws, AuthToken=two, AuthTokenUpdateStrategy="SET")
    for _ in range(2):
        _modify(aws, AuthToken=three, AuthTokenUpdateStrategy="SET")
    assert [works(token) for token in (two, three)] == [False, True]
    aws.ssm.put_parameter(Name="/p/secrets/cache-auth-token-former", Type="String", Value=three)
    assert [works(token) for token in (one, None)] == [True, False]
    with aws.refused("InvalidParameterCombination", "user group"):
        _modify(aws, AuthTokenUpdateStrategy="DELETE")


@check
def reporter_runs(aws: Aws) -> None:
    """A run delivers what the configuration says, unless a check of the self-test fails."""
    net = aws.network()
    statements = [{"Effect": "Allow", "Action": ["ec2:*NetworkInterface*", "ssm:Get*"], "Resource": "*"}]
    role = aws.role(policy=json.dumps({"Version": "2012-10-17", "Statement": statements}))
    variables = {"THREESCALE_GW_PARAMETERS": "/p", "THREESCALE_GW_ROLE": "reporter"}
    vpc = {"SubnetIds": [net["subnet"]], "SecurityGroupIds": [net["group"]]}
    aws.function(role, VpcConfig=vpc, Environment={"Variables": variables})
    aws.configure(outcomes={"reports": [5]})

    def run() -> dict[str, Any]:
        reply = aws.lambda_.invoke(FunctionName="f", Payload=b'{"source": "aws.events"}')
        return json.loads(reply["Payload"].read())

    assert run()["stopped"].startswith("missing: ")
    for name in ("secrets/service-token", "secrets/hash-key"):
        aws.ssm.put_parameter(Name=f"/p/{name}", Type="String", Value="v")
    # There is no way to 3scale yet.
    assert run()["stopped"].startswith("timeout: ") and run()["delivered"] == 0


@check
def cache_engine_and_size_change(aws: Aws) -> None:
    """Forward only, Redis OSS to Valkey, and back from 7.2 to 7.1 only; what is not applied at once waits; failover is
    being enabled."""
    aws.configure(delay={"cache-update": 600})
    aws.cache(aws.network(), EngineVersion="7.0", NumCacheClusters=2)

    def cluster() -> dict[str, Any]:
        return aws.elasticache.describe_cache_clusters(CacheClusterId="c-001")["CacheClusters"][0]

    for changes in ({"EngineVersion": "6.2"}, {"Engine": "memcached"}, {"EngineVersion": "9.9"}):
        with aws.refused("InvalidParameterCombination"):
            _modify(aws, **changes)
    waiting = _modify(aws, CacheNodeType="cache.t4g.small", ApplyImmediately=False)
    assert waiting["PendingModifiedValues"] == {} and cluster()["PendingModifiedValues"] == {
        "CacheNodeType": "cache.t4g.small"
    }
    aws.advance(600)
    assert _group(aws)["CacheNodeType"] == "cache.t4g.micro"
    changed = _modify(aws, Engine="valkey", CacheNodeType="cache.t4g.medium", AutomaticFailoverEnabled=True)
    assert (changed["Engine"], changed["CacheNodeType"]) == ("redis", "cache.t4g.micro")
    assert changed["AutomaticFailover"] == "enabling"
    assert changed["PendingModifiedValues"] == {"AutomaticFailoverStatus": "enabled"}
    aws.advance(600)
    found = _group(aws)
    assert (found["Engine"], found["CacheNodeType"]) == ("valkey", "cache.t4g.medium")
    assert found["AutomaticFailover"] == "enabled"
    assert cluster()["CacheParameterGroup"]["CacheParameterGroupName"].startswith("default.valkey")
    with aws.refused("InvalidParameterCombination"):
        _modify(aws, Engine="redis", EngineVersion="7.1")
    aws.cache({"group": ""}, "d", SecurityGroupIds=[], Engine="valkey", EngineVersion="7.2")
    with aws.refused("InvalidParameterCombination"):
        _modify(aws, ReplicationGroupId="d", Engine="redis", EngineVersion="7.0")
    _modify(aws, ReplicationGroupId="d", Engine="redis", EngineVersion="7.1")
    aws.advance(600)
    found = aws.elasticache.describe_cache_clusters(CacheClusterId="d-001")["CacheClusters"][0]
    assert (found["Engine"], found["EngineVersion"]) == ("redis", "7.1.0")


@check
def cache_status_can_be_set(aws: Aws) -> None:
    """Any status, for ever or for a while; what is being deleted shows no parts; cluster mode has one endpoint."""
    aws.cache(aws.network())
    for status in ("incompatible-network", "restore-failed", "snapshotting"):
        answer = aws.control("POST", "cache", {"id": "c", "status": status})
        assert answer == {"id": "c", "status": status} and aws.cache_status() == status
        with aws.refused("InvalidReplicationGroupState"):
            _modify(aws, ReplicationGroupDescription="x")
    with aws.refused("InvalidReplicationGroupState"):
        aws.elasticache.delete_replication_group(ReplicationGroupId="c")
    aws.control("POST", "cache", {"id": "c", "status": "modifying", "seconds": 60})
    assert aws.cache_status() == "modifying"
    aws.advance(60)
    assert aws.cache_status() == "available"
    aws.control("POST", "cache", {"id": "c", "cluster_mode": True})
    found = _group(aws)
    assert found["ClusterEnabled"] and found["ConfigurationEndpoint"]["Address"].startswith("clustercfg.c.tstaws.")
    (node,) = found["NodeGroups"]
    assert "PrimaryEndpoint" not in node and "CurrentRole" not in node["NodeGroupMembers"][0]
    aws.configure(delay={"cache-delete": 600})
    aws.control("POST", "cache", {"id": "c", "status": "incompatible-network"})
    deleted = aws.elasticache.delete_replication_group(ReplicationGroupId="c")["ReplicationGroup"]
    found = _group(aws)
    assert found["Status"] == "deleting" and found.keys() - deleted.keys() == {"AuthTokenEnabled"}
    assert not {"NodeGroups", "MemberClusters", "CacheNodeType", "Engine", "ClusterEnabled"} & found.keys()
    assert found["LogDeliveryConfigurations"] == [] and found["TransitEncryptionEnabled"]
    assert "error" in aws.control("POST", "cache", {"id": "none", "status": "available"})


@check
def answers_can_lack_fields(aws: Aws) -> None:
    """As they did before AWS had them."""
    aws.cache(aws.network())
    assert _group(aws)["Engine"] == "redis" and _group(aws)["DataTiering"] == "disabled"
    aws.configure(omit={"DescribeReplicationGroups": ["Engine", "CurrentRole"], "DescribeVpcs": ["OwnerId"]})
    found = _group(aws)
    assert "Engine" not in found and found["CacheNodeType"] == "cache.t4g.micro"
    assert "CurrentRole" not in found["NodeGroups"][0]["NodeGroupMembers"][0]
    assert "Engine" in aws.elasticache.describe_cache_clusters()["CacheClusters"][0]
    assert all("OwnerId" not in vpc and vpc["VpcId"] for vpc in aws.ec2.describe_vpcs()["Vpcs"])


def _access(aws: Aws) -> None:
    aws.elasticache.create_user(
        UserId="u",
        UserName="default",
        Engine="valkey",
        AccessString="on ~tg:* -@all +get",
        Passwords=["0123456789abcdef"],
        Tags=[{"Key": "a", "Value": "b"}],
    )
    aws.elasticache.create_user_group(UserGroupId="g", Engine="valkey", UserIds=["u"])


@check
def serverless_cache_life(aws: Aws) -> None:
    """Creating, available with an endpoint, modifying, deleting, deleted, including its VPC endpoint."""
    net = aws.network()
    other = aws.ec2.create_subnet(VpcId=net["vpc"], CidrBlock="10.0.9.0/24", AvailabilityZone="us-east-1b")
    subnets = [net["subnet"], other["Subnet"]["SubnetId"]]
    _access(aws)
    aws.configure(delay={"serverless-cache": 60})

    def create(**more: Any) -> Any:
        given = {"SubnetIds": subnets, "SecurityGroupIds": [net["group"]], "UserGroupId": "g", **more}
        return aws.elasticache.create_serverless_cache(
            ServerlessCacheName="C", Engine="valkey", MajorEngineVersion="8", **given
        )["ServerlessCache"]

    def described() -> Any:
        return aws.elasticache.describe_serverless_caches(ServerlessCacheName="c")["ServerlessCaches"][0]

    with aws.refused("InvalidParameterValue"):
        create(SubnetIds=subnets[:1])
    with aws.refused("UserGroupNotFound"):
        create(UserGroupId="x")
    made = create(Tags=[{"Key": "a", "Value": "b"}])
    assert made["Status"] == "creating" and "Endpoint" not in made, made
    with aws.refused("ServerlessCacheAlreadyExistsFault"):
        create()
    for call in (
        lambda: aws.elasticache.list_tags_for_resource(ResourceName=made["ARN"]),
        lambda: aws.elasticache.delete_serverless_cache(ServerlessCacheName="c"),
        lambda: aws.elasticache.modify_serverless_cache(ServerlessCacheName="c", Description="x"),
    ):
        with aws.refused("InvalidServerlessCacheStateFault"):
            call()
    assert len(aws.enis(group_id=net["group"])) == 2
    (endpoint,) = aws.ec2.describe_vpc_endpoints()["VpcEndpoints"]
    assert endpoint["ServiceName"].startswith("com.amazonaws.elasticache.serverless.us-east-1."), endpoint
    with aws.refused("DependencyViolation"):
        aws.ec2.delete_security_group(GroupId=net["group"])
    aws.advance(60)
    found = described()
    assert found["Status"] == "available" and found["Endpoint"]["Port"] == 6379 and found["UserGroupId"] == "g", found
    assert found["FullEngineVersion"] == "8.1"
    with aws.refused("InvalidUserGroupState"):
        aws.elasticache.delete_user_group(UserGroupId="g")
    with aws.refused("InvalidParameterCombination"):
        aws.elasticache.modify_serverless_cache(ServerlessCacheName="c", MajorEngineVersion="7")
    aws.elasticache.modify_serverless_cache(ServerlessCacheName="c", MajorEngineVersion="9")
    assert described()["Status"] == "modifying"
    assert aws.elasticache.list_tags_for_resource(ResourceName=made["ARN"])["TagList"] == [{"Key": "a", "Value": "b"}]
    aws.advance(60)
    aws.elasticache.add_tags_to_resource(ResourceName=made["ARN"], Tags=[{"Key": "c", "Value": "d"}])
    assert described()["Status"] == "modifying" and described()["MajorEngineVersion"] == "9"
    aws.advance(60)
    aws.elasticache.delete_serverless_cache(ServerlessCacheName="c")
    assert described()["Status"] == "deleting"
    with aws.refused("InvalidServerlessCacheStateFault"):
        aws.elasticache.list_tags_for_resource(ResourceName=made["ARN"])
    aws.advance(60)
    with aws.refused("ServerlessCacheNotFoundFault"):
        described()
    assert aws.enis(group_id=net["group"]) == [] and aws.ec2.describe_vpc_endpoints()["VpcEndpoints"] == []


@check
def serverless_cache_create_failed(aws: Aws) -> None:
    """A forced failure. The failed cache can be deleted."""
    net = aws.network()
    other = aws.ec2.create_subnet(VpcId=net["vpc"], CidrBlock="10.0.9.0/24", AvailabilityZone="us-east-1b")
    aws.configure(outcomes={"serverless-cache": "create-failed"})
    subnets = [net["subnet"], other["Subnet"]["SubnetId"]]
    aws.elasticache.create_serverless_cache(ServerlessCacheName="c", Engine="valkey", SubnetIds=subnets)
    (found,) = aws.elasticache.describe_serverless_caches()["ServerlessCaches"]
    assert found["Status"] == "create-failed", found
    aws.elasticache.delete_serverless_cache(ServerlessCacheName="c")
    assert aws.elasticache.describe_serverless_caches()["ServerlessCaches"] == []


@check
def cache_users(aws: Aws) -> None:
    """A user gets other passwords while it is modified, and cannot be deleted as the default user of a group."""
    _access(aws)
    (default, user) = aws.elasticache.describe_users()["Users"]
    assert default["UserId"] == "default" and user["UserGroupIds"] == ["g"], user
    assert user["Authentication"] == {"Type": "password", "PasswordCount": 1}
    for call, code in (
        (lambda: aws.elasticache.delete_user(UserId="u"), "DefaultUserAssociatedToUserGroup"),
        (lambda: aws.elasticache.modify_user(UserId="u", Passwords=["x" * 16] * 3), "InvalidParameterCombination"),
        (lambda: aws.elasticache.modify_user(UserId="u", Passwords=["short"]), "InvalidParameterValue"),
        (lambda: aws.elasticache.modify_user(UserId="u", AccessString="on >password"), "InvalidParameterValue"),
        (lambda: aws.elasticache.modify_user(UserId="x", AccessString="on"), "UserNotFound"),
        (lambda: aws.elasticache.create_user_group(UserGroupId="g", Engine="valkey"), "UserGroupAlreadyExists"),
        (lambda: aws.elasticache.create_user_group(UserGroupId="r", Engine="redis"), "DefaultUserRequired"),
        (lambda: aws.elasticache.create_user_group(UserGroupId="r", Engine="valkey", UserIds=["x"]), "UserNotFound"),
    ):
        with aws.refused(code):
            call()
    aws.configure(delay={"cache-user": 30})
    aws.elasticache.modify_user(UserId="u", Passwords=["x" * 16, "y" * 16], AccessString="on ~tg:* +set")
    for call in (
        lambda: aws.elasticache.modify_user(UserId="u", AccessString="on"),
        lambda: aws.elasticache.delete_user(UserId="u"),
    ):
        with aws.refused("InvalidUserState"):
            call()
    with aws.refused("UserNotFound"):
        aws.elasticache.list_tags_for_resource(ResourceName=user["ARN"])
    aws.advance(30)
    (user,) = aws.elasticache.describe_users(UserId="u")["Users"]
    assert user["Status"] == "active" and user["Authentication"]["PasswordCount"] == 2, user
    assert user["AccessString"] == "on ~tg:* +set"
    assert aws.elasticache.list_tags_for_resource(ResourceName=user["ARN"])["TagList"] == [{"Key": "a", "Value": "b"}]
    aws.elasticache.modify_user_group(UserGroupId="g", UserIdsToRemove=["u"])
    assert aws.elasticache.describe_user_groups(UserGroupId="g")["UserGroups"][0]["UserIds"] == []
    aws.elasticache.delete_user_group(UserGroupId="g")
    aws.elasticache.delete_user(UserId="u")
    aws.advance(30)
    assert [user["UserId"] for user in aws.elasticache.describe_users()["Users"]] == ["default"]


@check
def node_types_are_offered(aws: Aws) -> None:
    """The offerings of a node type tell whether the Region has it."""

    def offered(node_type: str) -> int:
        found = aws.elasticache.describe_reserved_cache_nodes_offerings(CacheNodeType=node_type)
        return len(found["ReservedCacheNodesOfferings"])

    assert offered("cache.t4g.micro") == 2 and offered("cache.x9.micro") == 0
