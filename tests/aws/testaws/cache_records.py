"""ElastiCache: the stored subnet groups and replication groups, and their descriptions."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from .interfaces import ec2_of
from .wire import arn, dns_suffix
from .account_state import World


T = TypeVar("T", bound=Any)


def in_region(region: str, found: Iterable[T]) -> list[T]:
    """Those of this region."""
    return [one for one in found if one.arn.split(":")[3] == region]


@dataclass
class SubnetGroup:
    name: str
    description: str
    vpc_id: str
    subnet_ids: list[str]
    arn: str

    def json(self, region: str) -> dict[str, Any]:
        known = {subnet.id: subnet for subnet in ec2_of(region).describe_subnets()}
        return {
            "CacheSubnetGroupName": self.name,
            "CacheSubnetGroupDescription": self.description,
            "VpcId": self.vpc_id,
            "Subnets": [
                {
                    "SubnetIdentifier": subnet_id,
                    "SubnetAvailabilityZone": {"Name": known[subnet_id].availability_zone},
                    "SupportedNetworkTypes": ["ipv4"],
                }
                for subnet_id in self.subnet_ids
                if subnet_id in known
            ],
            "ARN": self.arn,
            "SupportedNetworkTypes": ["ipv4"],
        }


@dataclass
class Node:
    cluster_id: str
    zone: str
    eni_id: str


@dataclass
class ReplicationGroup:
    id: str
    region: str
    description: str
    engine: str
    version: str
    node_type: str
    subnet_group: str
    security_groups: list[str]
    port: int
    tls: bool
    tls_mode: str | None
    at_rest: bool
    tokens: list[str | None]  # which it accepts; None: a caller without one, too
    failover: bool
    multi_az: bool
    snapshot_retention: int
    snapshot_window: str
    auto_minor: bool
    parameter_group: str
    maintenance_window: str
    cluster_mode: bool = False
    is_alone: bool = False  # a cluster that belongs to no replication group
    status: str = "creating"
    was_available: bool = False
    turn: int = 0  # outdates transitions that were begun before
    pending: dict[str, Any] = field(default_factory=dict)  # what a modification has not brought yet
    pending_nodes: dict[str, Any] = field(default_factory=dict)  # the same, as the members show it
    failing_over: bool | None = None  # where a modification leads
    token_modified: datetime.datetime | None = None
    nodes: list[Node] = field(default_factory=list)
    created: datetime.datetime = field(default_factory=lambda: datetime.datetime.now(datetime.UTC))

    @property
    def arn(self) -> str:
        return arn("elasticache", self.region, f"replicationgroup:{self.id}")


@dataclass
class ServerlessCache:
    name: str
    region: str
    description: str
    major: str
    limits: dict[str, Any]
    security_groups: list[str]
    subnet_ids: list[str]
    user_group: str | None
    endpoint_id: str  # of its VPC endpoint
    status: str = "creating"
    was_available: bool = False
    turn: int = 0  # outdates transitions that were begun before
    created: datetime.datetime = field(default_factory=lambda: datetime.datetime.now(datetime.UTC))
    port: int = 6379

    @property
    def arn(self) -> str:
        return arn("elasticache", self.region, f"serverlesscache:{self.name}")


@dataclass
class User:
    id: str
    region: str
    name: str
    engine: str
    access: str
    passwords: list[str]
    status: str = "active"

    @property
    def arn(self) -> str:
        return arn("elasticache", self.region, f"user:{self.id}")


@dataclass
class UserGroup:
    id: str
    region: str
    engine: str
    user_ids: list[str]
    status: str = "creating"

    @property
    def arn(self) -> str:
        return arn("elasticache", self.region, f"usergroup:{self.id}")


@dataclass
class Caches:
    subnet_groups: dict[str, SubnetGroup] = field(default_factory=dict)
    groups: dict[str, ReplicationGroup] = field(default_factory=dict)
    clusters: dict[str, ReplicationGroup] = field(default_factory=dict)  # those that belong to no group
    serverless: dict[str, ServerlessCache] = field(default_factory=dict)
    users: dict[str, User] = field(default_factory=dict)
    user_groups: dict[str, UserGroup] = field(default_factory=dict)
    tags: dict[str, dict[str, str]] = field(default_factory=dict)  # by ARN


def _short(region: str) -> str:
    """The region as ElastiCache's names have it: `use1`, `apne1`, `usgw1`."""
    *area, side, number = region.split("-")
    sides = {"northeast": "ne", "northwest": "nw", "southeast": "se", "southwest": "sw"}
    return f"{area[0]}{''.join(part[0] for part in area[1:])}{sides.get(side, side[0])}{number}"


def address(
    world: World, group: ReplicationGroup, node: Node | None = None, reader: bool = False, tls: bool | None = None
) -> dict[str, Any]:
    """The endpoint of the group, or of one node; `cache_endpoint` of the configuration replaces both.

    `tls`: the name it has with TLS, or without, instead of the present one.
    """
    given = world.config["cache_endpoint"]
    tls = group.tls if tls is None else tls
    if node is not None:
        host = f"{node.cluster_id}.{group.id}.tstaws" if tls else f"{node.cluster_id}.tstaws.0001"
    elif group.cluster_mode:
        host = f"clustercfg.{group.id}.tstaws" if tls else f"{group.id}.tstaws.clustercfg"
    elif tls:
        host = f"{'replica' if reader else 'master'}.{group.id}.tstaws"
    else:
        host = f"{group.id}{'-ro' if reader else ''}.tstaws.ng.0001"
    host = f"{host}.{_short(group.region)}.cache.{dns_suffix(group.region)}"
    return {"Address": given.get("host", host), "Port": given.get("port", group.port)}


def group_json(world: World, group: ReplicationGroup) -> dict[str, Any]:
    found: dict[str, Any] = {
        "ReplicationGroupId": group.id,
        "Description": group.description,
        "GlobalReplicationGroupInfo": {},
        "Status": group.status,
        "PendingModifiedValues": dict(group.pending),
        "AutomaticFailover": _switch(group.failover, group.failing_over),
        "MultiAZ": "enabled" if group.multi_az else "disabled",
        "SnapshotRetentionLimit": group.snapshot_retention,
        "SnapshotWindow": group.snapshot_window,
        "AuthTokenEnabled": bool(group.tokens),
        "TransitEncryptionEnabled": group.tls,
        "AtRestEncryptionEnabled": group.at_rest,
        "ARN": group.arn,
        "LogDeliveryConfigurations": [],
    }
    if group.status == "deleting":  # nothing is told any more of what it consisted of
        return found
    found |= {
        "MemberClusters": [node.cluster_id for node in group.nodes],
        "ClusterEnabled": group.cluster_mode,
        "ClusterMode": "enabled" if group.cluster_mode else "disabled",
        "CacheNodeType": group.node_type,
        "ReplicationGroupCreateTime": group.created,
        "DataTiering": "disabled",
        "AutoMinorVersionUpgrade": group.auto_minor,
        "NetworkType": "ipv4",
        "IpDiscovery": "ipv4",
        "Engine": group.engine,
    }
    if group.tls_mode:
        found["TransitEncryptionMode"] = group.tls_mode
    if group.token_modified:
        found["AuthTokenLastModifiedDate"] = group.token_modified
    if group.was_available:
        found["NodeGroups"] = [_node_group(world, group)]
        if group.cluster_mode:
            found["ConfigurationEndpoint"] = address(world, group)
    return found


def _switch(on: bool, leading_to: bool | None) -> str:
    if leading_to is not None and leading_to != on:
        return "enabling" if leading_to else "disabling"
    return "enabled" if on else "disabled"


def _node_group(world: World, group: ReplicationGroup) -> dict[str, Any]:
    """The one shard. With cluster mode it has slots, and neither endpoints nor roles."""
    found: dict[str, Any] = {"NodeGroupId": "0001", "Status": "available"}
    if group.cluster_mode:
        found["Slots"] = "0-16383"
    else:
        found["PrimaryEndpoint"] = address(world, group)
        found["ReaderEndpoint"] = address(world, group, reader=True)
    found["NodeGroupMembers"] = [
        {
            "CacheClusterId": node.cluster_id,
            "CacheNodeId": "0001",
            "PreferredAvailabilityZone": node.zone,
            **(
                {}
                if group.cluster_mode
                else {
                    "ReadEndpoint": address(world, group, node),
                    "CurrentRole": "primary" if index == 0 else "replica",
                }
            ),
        }
        for index, node in enumerate(group.nodes)
    ]
    return found


def cluster_json(world: World, group: ReplicationGroup, node: Node, with_nodes: bool) -> dict[str, Any]:
    status = {"create-failed": "incompatible-network"}.get(group.status, group.status)
    found: dict[str, Any] = {
        "CacheClusterId": node.cluster_id,
        "CacheNodeType": group.node_type,
        "Engine": group.engine,
        "EngineVersion": group.version,
        "CacheClusterStatus": status,
        "NumCacheNodes": 1,
        "PreferredAvailabilityZone": node.zone,
        "CacheClusterCreateTime": group.created,
        "PreferredMaintenanceWindow": group.maintenance_window,
        "PendingModifiedValues": dict(group.pending_nodes),
        "CacheSecurityGroups": [],
        "CacheParameterGroup": {
            "CacheParameterGroupName": group.parameter_group,
            "ParameterApplyStatus": "in-sync",
            "CacheNodeIdsToReboot": [],
        },
        "CacheSubnetGroupName": group.subnet_group,
        "AutoMinorVersionUpgrade": group.auto_minor,
        "SecurityGroups": [{"SecurityGroupId": sg, "Status": "active"} for sg in group.security_groups],
        "ReplicationGroupId": group.id,
        "SnapshotRetentionLimit": group.snapshot_retention,
        "SnapshotWindow": group.snapshot_window,
        "AuthTokenEnabled": bool(group.tokens),
        "TransitEncryptionEnabled": group.tls,
        "AtRestEncryptionEnabled": group.at_rest,
        "ARN": arn("elasticache", group.region, f"cluster:{node.cluster_id}"),
        "ReplicationGroupLogDeliveryEnabled": False,
        "NetworkType": "ipv4",
        "IpDiscovery": "ipv4",
    }
    if group.is_alone:
        del found["ReplicationGroupId"]
    if group.tls_mode:
        found["TransitEncryptionMode"] = group.tls_mode
    if with_nodes and group.was_available:
        found["CacheNodes"] = [
            {
                "CacheNodeId": "0001",
                "CacheNodeStatus": status,
                "CacheNodeCreateTime": group.created,
                "Endpoint": address(world, group, node),
                "ParameterGroupStatus": "in-sync",
                "CustomerAvailabilityZone": node.zone,
            }
        ]
    return found


def serverless_address(world: World, cache: ServerlessCache, reader: bool = False) -> dict[str, Any]:
    """The endpoint; `cache_endpoint` of the configuration replaces it. Port 6380 reads from the nearest replica."""
    given = world.config["cache_endpoint"]
    host = f"{cache.name}-tstaws.serverless.{_short(cache.region)}.cache.{dns_suffix(cache.region)}"
    return {"Address": given.get("host", host), "Port": given.get("port", 6380 if reader else cache.port)}


def serverless_json(world: World, cache: ServerlessCache) -> dict[str, Any]:
    found: dict[str, Any] = {
        "ServerlessCacheName": cache.name,
        "Description": cache.description,
        "CreateTime": cache.created,
        "Status": cache.status,
        "Engine": "valkey",
        "MajorEngineVersion": cache.major,
        "CacheUsageLimits": cache.limits,
        "SecurityGroupIds": list(cache.security_groups),
        "ARN": cache.arn,
        "SubnetIds": list(cache.subnet_ids),
        "SnapshotRetentionLimit": 0,
    }
    if cache.user_group:
        found["UserGroupId"] = cache.user_group
    if cache.was_available:
        found["FullEngineVersion"] = {"7": "7.2", "8": "8.1", "9": "9.0"}[cache.major]
        found["Endpoint"] = serverless_address(world, cache)
        found["ReaderEndpoint"] = serverless_address(world, cache, reader=True)
    return found


def user_json(world: World, user: User) -> dict[str, Any]:
    groups = [group.id for group in world.caches.user_groups.values() if user.id in group.user_ids]
    authentication: dict[str, Any] = {"Type": "password" if user.passwords else "no-password"}
    if user.passwords:
        authentication["PasswordCount"] = len(user.passwords)
    return {
        "UserId": user.id,
        "UserName": user.name,
        "Status": user.status,
        "Engine": user.engine,
        "MinimumEngineVersion": "7.2" if user.engine == "valkey" else "6.0",
        "AccessString": user.access,
        "UserGroupIds": groups,
        "Authentication": authentication,
        "ARN": user.arn,
    }


def user_group_json(world: World, group: UserGroup) -> dict[str, Any]:
    caches = [cache.name for cache in world.caches.serverless.values() if cache.user_group == group.id]
    return {
        "UserGroupId": group.id,
        "Status": group.status,
        "Engine": group.engine,
        "UserIds": list(group.user_ids),
        "MinimumEngineVersion": "7.2" if group.engine == "valkey" else "6.0",
        "ReplicationGroups": [],
        "ServerlessCaches": caches,
        "ARN": group.arn,
    }
