"""ElastiCache: the stored subnet groups and replication groups, and their descriptions."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from typing import Any

from .interfaces import ec2_of
from .wire import ACCOUNT
from .account_state import World


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
    auth_token: str | None
    failover: bool
    multi_az: bool
    snapshot_retention: int
    snapshot_window: str
    auto_minor: bool
    parameter_group: str
    maintenance_window: str
    status: str = "creating"
    nodes: list[Node] = field(default_factory=list)
    created: datetime.datetime = field(default_factory=lambda: datetime.datetime.now(datetime.UTC))

    @property
    def arn(self) -> str:
        return f"arn:aws:elasticache:{self.region}:{ACCOUNT}:replicationgroup:{self.id}"


@dataclass
class Caches:
    subnet_groups: dict[str, SubnetGroup] = field(default_factory=dict)
    groups: dict[str, ReplicationGroup] = field(default_factory=dict)
    tags: dict[str, dict[str, str]] = field(default_factory=dict)  # by ARN


def address(world: World, group: ReplicationGroup, node: Node | None = None, reader: bool = False) -> dict[str, Any]:
    """The endpoint of the group or of one node. `cache_endpoint` in the configuration replaces both."""
    given = world.config["cache_endpoint"]
    zone = f"{group.region[:2]}{group.region.split('-')[1][0]}{group.region[-1]}"
    if node is not None:
        host = f"{node.cluster_id}.{group.id}.tstaws.{zone}.cache.amazonaws.com"
    elif group.tls:
        host = f"{'replica' if reader else 'master'}.{group.id}.tstaws.{zone}.cache.amazonaws.com"
    else:
        host = f"{group.id}{'-ro' if reader else ''}.tstaws.ng.0001.{zone}.cache.amazonaws.com"
    return {"Address": given.get("host", host), "Port": given.get("port", group.port)}


def group_json(world: World, group: ReplicationGroup) -> dict[str, Any]:
    found: dict[str, Any] = {
        "ReplicationGroupId": group.id,
        "Description": group.description,
        "GlobalReplicationGroupInfo": {},
        "Status": group.status,
        "PendingModifiedValues": {},
        "MemberClusters": [node.cluster_id for node in group.nodes],
        "AutomaticFailover": "enabled" if group.failover else "disabled",
        "MultiAZ": "enabled" if group.multi_az else "disabled",
        "SnapshotRetentionLimit": group.snapshot_retention,
        "SnapshotWindow": group.snapshot_window,
        "ClusterEnabled": False,
        "ClusterMode": "disabled",
        "CacheNodeType": group.node_type,
        "AuthTokenEnabled": group.auth_token is not None,
        "TransitEncryptionEnabled": group.tls,
        "AtRestEncryptionEnabled": group.at_rest,
        "ARN": group.arn,
        "ReplicationGroupCreateTime": group.created,
        "AutoMinorVersionUpgrade": group.auto_minor,
        "NetworkType": "ipv4",
        "IpDiscovery": "ipv4",
        "Engine": group.engine,
    }
    if group.tls_mode:
        found["TransitEncryptionMode"] = group.tls_mode
    if group.status in ("available", "modifying"):
        found["NodeGroups"] = [
            {
                "NodeGroupId": "0001",
                "Status": group.status,
                "PrimaryEndpoint": address(world, group),
                "ReaderEndpoint": address(world, group, reader=True),
                "NodeGroupMembers": [
                    {
                        "CacheClusterId": node.cluster_id,
                        "CacheNodeId": "0001",
                        "ReadEndpoint": address(world, group, node),
                        "PreferredAvailabilityZone": node.zone,
                        "CurrentRole": "primary" if index == 0 else "replica",
                    }
                    for index, node in enumerate(group.nodes)
                ],
            }
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
        "PendingModifiedValues": {},
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
        "AuthTokenEnabled": group.auth_token is not None,
        "TransitEncryptionEnabled": group.tls,
        "AtRestEncryptionEnabled": group.at_rest,
        "ARN": f"arn:aws:elasticache:{group.region}:{ACCOUNT}:cluster:{node.cluster_id}",
        "ReplicationGroupLogDeliveryEnabled": False,
        "NetworkType": "ipv4",
        "IpDiscovery": "ipv4",
    }
    if group.tls_mode:
        found["TransitEncryptionMode"] = group.tls_mode
    if with_nodes and group.status in ("available", "modifying"):
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
