"""ElastiCache: single cache clusters of Redis, outside any replication group, as the console once made them.

They have one node, no encryption in transit and no AUTH token. This program creates none; others have them.
"""

from __future__ import annotations

import re
from typing import Any

from .account_state import World
from .cache_records import ReplicationGroup, cluster_json
from .elasticache import (
    add_nodes,
    become_status,
    check_node_type,
    check_security_groups,
    engine_version,
    invalid,
    page,
    parameter_family,
    subnet_group_of,
    tag_map,
)
from .errors import AwsError
from .gateway import operation
from .interfaces import remove
from .wire import Call, arn

_IDENTIFIER = re.compile(r"[A-Za-z](?:-?[A-Za-z0-9])*")


def _arn(cluster: ReplicationGroup) -> str:
    return arn("elasticache", cluster.region, f"cluster:{cluster.id}")


@operation("elasticache", "CreateCacheCluster")
def create_cluster(world: World, call: Call) -> Any:
    identifier = call.params["CacheClusterId"].lower()
    if not _IDENTIFIER.fullmatch(identifier) or len(identifier) > 50:
        raise invalid("The parameter CacheClusterIdentifier is not a valid identifier.")
    if identifier in world.caches.clusters:
        raise AwsError("CacheClusterAlreadyExists", f"Cache cluster {identifier} already exists.")
    if call.get("Engine", "redis") != "redis" or call.get("NumCacheNodes", 1) != 1:
        raise invalid("the test AWS keeps cache clusters of one node with Redis only")
    if call.get("TransitEncryptionEnabled") or call.get("AuthToken") or call.get("ReplicationGroupId"):
        raise invalid("the test AWS keeps cache clusters without encryption, and outside replication groups only")
    subnet_group = subnet_group_of(world, call.get("CacheSubnetGroupName", "default"))
    version = engine_version("redis", call.get("EngineVersion"))
    cluster = ReplicationGroup(
        id=identifier,
        region=call.region,
        description="",
        engine="redis",
        version=version,
        node_type=check_node_type(call.get("CacheNodeType"), False),
        subnet_group=subnet_group.name,
        security_groups=check_security_groups(call, call.get("SecurityGroupIds", []), subnet_group.vpc_id),
        port=call.get("Port", 6379),
        tls=False,
        tls_mode=None,
        at_rest=False,
        tokens=[],
        failover=False,
        multi_az=False,
        snapshot_retention=call.get("SnapshotRetentionLimit", 0),
        snapshot_window=call.get("SnapshotWindow", "05:00-06:00"),
        auto_minor=call.get("AutoMinorVersionUpgrade", True),
        parameter_group=call.get("CacheParameterGroupName", parameter_family("redis", version)),
        maintenance_window=call.get("PreferredMaintenanceWindow", "sun:23:00-mon:01:30"),
        is_alone=True,
    )
    add_nodes(cluster, subnet_group, 1)
    world.caches.clusters[identifier] = cluster
    world.caches.tags[_arn(cluster)] = tag_map(call)
    reply = {"CacheCluster": cluster_json(world, cluster, cluster.nodes[0], False)}
    world.after(world.delay("cache"), lambda: become_status(cluster, "available"))
    return reply


@operation("elasticache", "DeleteCacheCluster")
def delete_cluster(world: World, call: Call) -> Any:
    identifier = call.params["CacheClusterId"].lower()
    cluster = world.caches.clusters.get(identifier)
    if cluster is None:
        members = (node for group in world.caches.groups.values() for node in group.nodes)
        if any(node.cluster_id == identifier for node in members):
            raise AwsError("InvalidCacheClusterState", f"Cluster {identifier} is serving as primary for its group.")
        raise AwsError("CacheClusterNotFound", f"CacheCluster not found: {identifier}", 404)
    if cluster.status != "available":
        raise AwsError("InvalidCacheClusterState", f"Cache cluster {identifier} is not in available state.")
    cluster.status = "deleting"
    reply = {"CacheCluster": cluster_json(world, cluster, cluster.nodes[0], False)}

    def gone() -> None:
        for node in cluster.nodes:
            remove(cluster.region, node.eni_id)
        world.caches.clusters.pop(identifier, None)
        world.caches.tags.pop(_arn(cluster), None)

    world.after(world.delay("cache-delete"), gone)
    return reply


@operation("elasticache", "DescribeCacheClusters")
def describe_clusters(world: World, call: Call) -> Any:
    """Clusters alone, and those of replication groups."""
    name = call.get("CacheClusterId")
    with_nodes = bool(call.get("ShowCacheNodeInfo"))
    groups = [] if call.get("ShowCacheClustersNotInReplicationGroups") else list(world.caches.groups.values())
    found = [
        cluster_json(world, group, node, with_nodes)
        for group in [*groups, *world.caches.clusters.values()]
        for node in group.nodes
        if name is None or node.cluster_id == name.lower()
    ]
    if name is not None and not found:
        raise AwsError("CacheClusterNotFound", f"CacheCluster not found: {name}", 404)
    return page(call, found, "CacheClusters")
