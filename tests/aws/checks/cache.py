"""ElastiCache."""

from __future__ import annotations

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
