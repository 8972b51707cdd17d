"""ElastiCache: subnet groups and replication groups, implemented here.

Moto's replication groups are available immediately, stay in the state deleting forever, and have no members and no
network interfaces. Its subnet groups cannot be deleted.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from . import interfaces, serverless_caches
from .cache_records import Caches, Node, ReplicationGroup, SubnetGroup, group_json, in_region
from .errors import AwsError
from .gateway import operation
from .interfaces import ec2_of
from .wire import Call, arn
from .account_state import World

_IDENTIFIER = re.compile(r"[A-Za-z](?:-?[A-Za-z0-9])*")
_NODE_TYPE = re.compile(
    r"cache\.(t[234]g?|m[34567]gn?|m[345]|r[34567]gn?|r[345]|c7gn|r6gd|t1|m1|m2|c1)\."
    r"(micro|small|medium|large|xlarge|\d+xlarge)"
)
_NO_TLS = ("cache.t1.", "cache.m1.", "cache.m2.", "cache.c1.", "cache.r3.")
_ENGINES = {
    "redis": {"7.1": "7.1.0", "7.0": "7.0.7", "6.2": "6.2.6", "6.x": "6.2.6", "6.0": "6.0.5", "5.0.6": "5.0.6"},
    "valkey": {"9.0": "9.0.1", "8.2": "8.2.0", "8.1": "8.1.0", "8.0": "8.0.1", "7.2": "7.2.6"},
}
_AUTH_TOKEN = re.compile(r"[A-Za-z0-9!&#$^<>-]{16,128}")


def fresh(world: World) -> None:
    world.caches = Caches()


def invalid(message: str) -> AwsError:
    return AwsError("InvalidParameterValue", message)


def combination(message: str) -> AwsError:
    return AwsError("InvalidParameterCombination", message)


def tag_map(call: Call) -> dict[str, str]:
    return {tag["Key"]: tag.get("Value", "") for tag in call.get("Tags", [])}


def page(call: Call, items: list[Any], key: str) -> dict[str, Any]:
    """A page according to `MaxRecords` (20 to 100, default 100) and `Marker`."""
    size = call.get("MaxRecords", 100)
    if not 20 <= size <= 100:
        raise invalid("The parameter MaxRecords must be between 20 and 100")
    start = int(call.get("Marker", "0")) if str(call.get("Marker", "0")).isdigit() else 0
    found: dict[str, Any] = {key: items[start : start + size]}
    if start + size < len(items):
        found["Marker"] = str(start + size)
    return found


# --- subnet groups


def _subnets(call: Call) -> tuple[str, list[str]]:
    """(VPC, subnets) of the request. The subnets must exist and belong to one VPC."""
    known = {subnet.id: subnet for subnet in ec2_of(call.region).describe_subnets()}
    wanted = call.get("SubnetIds", [])
    if not wanted:
        raise invalid("The parameter SubnetIds must be provided.")
    missing = [subnet_id for subnet_id in wanted if subnet_id not in known]
    if missing:
        raise AwsError("InvalidSubnet", f"Some input subnets: {missing} are invalid.")
    vpcs = {known[subnet_id].vpc_id for subnet_id in wanted}
    if len(vpcs) > 1:
        raise AwsError("InvalidSubnet", "All subnets in a cache subnet group must belong to the same VPC.")
    return vpcs.pop(), list(dict.fromkeys(wanted))


@operation("elasticache", "CreateCacheSubnetGroup")
def create_subnet_group(world: World, call: Call) -> Any:
    name = call.params["CacheSubnetGroupName"].lower()
    if not re.fullmatch(r"[a-z0-9-]{1,255}", name):
        raise invalid("The parameter CacheSubnetGroupName must only contain alphanumeric characters or hyphens.")
    if name in world.caches.subnet_groups:
        raise AwsError("CacheSubnetGroupAlreadyExists", f"Cache subnet group {name} already exists.")
    if not call.get("CacheSubnetGroupDescription"):
        raise invalid("The parameter CacheSubnetGroupDescription must be provided.")
    vpc_id, subnet_ids = _subnets(call)
    name_of_it = arn("elasticache", call.region, f"subnetgroup:{name}")
    group = SubnetGroup(name, call.params["CacheSubnetGroupDescription"], vpc_id, subnet_ids, name_of_it)
    world.caches.subnet_groups[name] = group
    world.caches.tags[group.arn] = tag_map(call)
    return {"CacheSubnetGroup": group.json(call.region)}


def subnet_group_of(world: World, name: str) -> SubnetGroup:
    group = world.caches.subnet_groups.get(name.lower())
    if group is None:
        raise AwsError("CacheSubnetGroupNotFoundFault", f"Cache Subnet Group {name} does not exist.", 400)
    return group


@operation("elasticache", "DescribeCacheSubnetGroups")
def describe_subnet_groups(world: World, call: Call) -> Any:
    name = call.get("CacheSubnetGroupName")
    groups = [subnet_group_of(world, name)] if name else in_region(call.region, world.caches.subnet_groups.values())
    return page(call, [group.json(call.region) for group in groups], "CacheSubnetGroups")


@operation("elasticache", "ModifyCacheSubnetGroup")
def modify_subnet_group(world: World, call: Call) -> Any:
    group = subnet_group_of(world, call.params["CacheSubnetGroupName"])
    if "SubnetIds" in call.params:
        vpc_id, subnet_ids = _subnets(call)
        if vpc_id != group.vpc_id:
            raise AwsError("InvalidSubnet", "All subnets in a cache subnet group must belong to the same VPC.")
        used = {
            interfaces.subnet_of(call.region, node.eni_id)
            for cache in world.caches.groups.values()
            if cache.subnet_group == group.name
            for node in cache.nodes
        }
        gone = (set(group.subnet_ids) - set(subnet_ids)) & used
        if gone:
            raise AwsError("SubnetInUse", f"The subnet ID {sorted(gone)[0]} is in use.")
        group.subnet_ids = subnet_ids
    group.description = call.get("CacheSubnetGroupDescription", group.description)
    return {"CacheSubnetGroup": group.json(call.region)}


@operation("elasticache", "DeleteCacheSubnetGroup")
def delete_subnet_group(world: World, call: Call) -> Any:
    group = subnet_group_of(world, call.params["CacheSubnetGroupName"])
    caches = [*world.caches.groups.values(), *world.caches.clusters.values()]
    if any(cache.subnet_group == group.name for cache in caches):
        raise AwsError(
            "CacheSubnetGroupInUse", f"Cache subnet group {group.name} is currently in use by a cache cluster."
        )
    del world.caches.subnet_groups[group.name]
    world.caches.tags.pop(group.arn, None)
    return {}


# --- replication groups


def _group(world: World, name: str) -> ReplicationGroup:
    group = world.caches.groups.get(name.lower())
    if group is None:
        raise AwsError("ReplicationGroupNotFoundFault", f"ReplicationGroup {name} not found.", 404)
    return group


def engine_version(engine: str, wanted: str | None) -> str:
    versions = _ENGINES[engine]
    if wanted is None:
        return next(iter(versions.values()))
    for short, full in versions.items():
        if wanted in (short, full):
            return full
    raise combination(f"Cannot find version {wanted} for {engine}")


_PREFERRED_WITH_TOKEN = "Transit encryption preferred is not supported with redis access control."


def _check_auth_token(token: str | None, tls: bool) -> None:
    """`tls`: whether TLS is required. With the mode preferred, AWS counts it as not enabled."""
    if token is None:
        return
    if not tls:
        raise invalid("The AUTH token modification is only supported when encryption-in-transit is enabled.")
    if not _AUTH_TOKEN.fullmatch(token):
        raise invalid(
            "Invalid AuthToken provided. AUTH token must be 16 to 128 printable characters, of which the only "
            "nonalphanumeric ones permitted are !, &, #, $, ^, <, > and -."
        )


def parameter_family(engine: str, version: str) -> str:
    """The default parameter group of a version."""
    return f"default.{engine}{version.split('.')[0]}" + (".x" if version.startswith("6") else "")


def check_node_type(node_type: str | None, tls: bool) -> str:
    if not node_type:
        raise invalid("The parameter CacheNodeType must be provided and must not be blank.")
    if not _NODE_TYPE.fullmatch(node_type):
        raise invalid(f"Invalid Cache Node type: {node_type}")
    if tls and node_type.startswith(_NO_TLS[:-1]):
        raise combination(f"Encryption in-transit is not supported for node type {node_type}.")
    return node_type


def check_security_groups(call: Call, wanted: list[str], vpc_id: str) -> list[str]:
    ec2 = ec2_of(call.region)
    if not wanted:
        return [ec2.get_default_security_group(vpc_id).id]
    for group_id in wanted:
        found = ec2.get_security_group_from_id(group_id)
        if found is None or found.vpc_id != vpc_id:
            raise invalid(f"Some security groups are invalid: [{group_id}]")
    return list(wanted)


@operation("elasticache", "CreateReplicationGroup")
def create_group(world: World, call: Call) -> Any:
    identifier = call.params["ReplicationGroupId"].lower()
    if not _IDENTIFIER.fullmatch(identifier) or len(identifier) > 40:
        raise invalid(
            "The parameter ReplicationGroupIdentifier is not a valid identifier. Identifiers must begin with a letter; "
            "must contain only ASCII letters, digits, and hyphens; must not end with a hyphen or contain two "
            "consecutive hyphens; and must be 1 to 40 characters long."
        )
    if identifier in world.caches.groups:
        raise AwsError("ReplicationGroupAlreadyExists", f"Replication group {identifier} already exists.")
    if not call.get("ReplicationGroupDescription"):
        raise invalid("The parameter ReplicationGroupDescription must be provided and must not be blank.")
    engine = call.get("Engine", "redis").lower()
    if engine not in _ENGINES:
        raise invalid(f"Invalid engine: {engine}. Replication groups support redis and valkey.")
    tls = bool(call.get("TransitEncryptionEnabled", False))
    node_type = check_node_type(call.get("CacheNodeType"), tls)
    token = call.get("AuthToken")
    _check_auth_token(token, tls)
    if token and call.get("TransitEncryptionMode") == "preferred":
        raise combination(_PREFERRED_WITH_TOKEN)
    count = call.get("NumCacheClusters", 1)
    if call.get("NumNodeGroups", 1) != 1:
        raise invalid("the test AWS keeps replication groups of one node group only")
    if "ReplicasPerNodeGroup" in call.params:
        count = 1 + call.params["ReplicasPerNodeGroup"]
    if not 1 <= count <= 6:
        raise invalid("The number of cache clusters must be between 1 and 6.")
    if call.get("AutomaticFailoverEnabled") and count < 2:
        raise combination("Automatic failover requires at least 2 cache clusters: it needs a replica to fail over to.")
    if call.get("MultiAZEnabled") and not call.get("AutomaticFailoverEnabled"):
        raise combination("Must have automatic failover enabled to enable Multi-AZ.")
    if tls and not call.get("CacheSubnetGroupName"):
        raise combination("Encryption in-transit requires a cache subnet group: it is supported in a VPC only.")
    subnet_group = subnet_group_of(world, call.get("CacheSubnetGroupName", "default"))
    security_groups = check_security_groups(call, call.get("SecurityGroupIds", []), subnet_group.vpc_id)
    version = engine_version(engine, call.get("EngineVersion"))
    group = ReplicationGroup(
        id=identifier,
        region=call.region,
        description=call.params["ReplicationGroupDescription"],
        engine=engine,
        version=version,
        node_type=node_type,
        subnet_group=subnet_group.name,
        security_groups=security_groups,
        port=call.get("Port", 6379),
        tls=tls,
        tls_mode=call.get("TransitEncryptionMode", "required") if tls else None,
        at_rest=bool(call.get("AtRestEncryptionEnabled", False)),
        tokens=[token] if token else [],
        token_modified=world.date() if token else None,
        failover=bool(call.get("AutomaticFailoverEnabled")),
        multi_az=bool(call.get("MultiAZEnabled")),
        snapshot_retention=call.get("SnapshotRetentionLimit", 0),
        snapshot_window=call.get("SnapshotWindow", "05:00-06:00"),
        auto_minor=call.get("AutoMinorVersionUpgrade", True),
        parameter_group=call.get("CacheParameterGroupName", parameter_family(engine, version)),
        maintenance_window=call.get("PreferredMaintenanceWindow", "sun:23:00-mon:01:30"),
    )
    add_nodes(group, subnet_group, count)
    world.caches.groups[identifier] = group
    world.caches.tags[group.arn] = tag_map(call)
    reply = {"ReplicationGroup": group_json(world, group)}
    outcome = world.outcome("cache")
    _later(world, group, "cache", outcome if isinstance(outcome, str) else "available")
    return reply


def add_nodes(group: ReplicationGroup, subnet_group: SubnetGroup, count: int) -> None:
    """Adds nodes with their network interfaces, distributed over the subnets of the subnet group."""
    for _ in range(count):
        number = len(group.nodes) + 1
        subnet = ec2_of(group.region).get_subnet(subnet_group.subnet_ids[(number - 1) % len(subnet_group.subnet_ids)])
        cluster_id = group.id if group.is_alone else f"{group.id}-{number:03}"
        eni = interfaces.add(
            group.region,
            subnet,
            group.security_groups,
            f"ElastiCache {cluster_id}",
            requester="amazon-elasticache",
        )
        group.nodes.append(Node(cluster_id, subnet.availability_zone, eni.id))


def _later(
    world: World,
    group: ReplicationGroup,
    kind: str,
    status: str,
    then: Callable[[], None] | None = None,
    seconds: float | None = None,
) -> None:
    """Lets the group get into a status, after what `then` does."""
    group.turn += 1
    begun = group.turn

    def become() -> None:
        if world.caches.groups.get(group.id) is group and group.turn == begun:
            if then is not None:
                then()
            become_status(group, status)

    world.after(world.delay(kind) if seconds is None else seconds, become)


def become_status(group: ReplicationGroup, status: str) -> None:
    group.status = status
    group.was_available = group.was_available or status == "available"


# Besides `available`.
_DELETABLE = ("create-failed", "restore-failed", "incompatible-network", "incompatible-parameters")


def _require_available(group: ReplicationGroup, verb: str, allowed: tuple[str, ...] = ("available",)) -> None:
    if group.status not in allowed:
        raise AwsError(
            "InvalidReplicationGroupState",
            f"Replication group must be in available state to {verb}. "
            f"ReplicationGroup {group.id} has status {group.status}.",
        )


def _new_tls(call: Call, group: ReplicationGroup) -> tuple[bool, str | None]:
    """(TLS, its mode) that a modification leads to."""
    tls, mode = call.get("TransitEncryptionEnabled"), call.get("TransitEncryptionMode")
    if tls is None and mode is None:
        return group.tls, group.tls_mode
    if not call.get("ApplyImmediately"):
        raise invalid("Transit encryption modification should be called with applied immediately option.")
    if group.tokens:
        raise combination("Modification of transit encryption is not supported for access control enabled clusters.")
    if mode is not None and not (group.tls if tls is None else tls):
        raise combination("To modify transit encryption mode, set encryption-in-transit as enabled.")
    if int(group.version.split(".")[0]) < 7:
        raise combination("Modification of transit encryption is supported from engine version 7.0 only.")
    if tls is False:
        if group.tls_mode == "required":
            raise combination("Transit encryption mode must be preferred before encryption-in-transit is disabled.")
        return False, None
    if not group.tls and mode != "preferred":
        raise combination(
            "Direct transition from transit-encryption-disabled to transit-encryption-enabled is not allowed. Update "
            "the cluster to transit-encryption-mode preferred prior to enabling transit encryption."
        )
    return True, mode or group.tls_mode


def _new_tokens(call: Call, group: ReplicationGroup) -> list[str | None]:
    """The tokens that a modification leads to: ROTATE keeps the newest one besides, SET keeps none besides.

    DELETE is documented for the transition to user groups only, which do not exist here.
    """
    token, strategy = call.get("AuthToken"), call.get("AuthTokenUpdateStrategy")
    if token is None and strategy is None:
        return group.tokens
    if strategy == "DELETE":
        raise combination("AuthTokenUpdateStrategy DELETE requires a user group.")
    if token is None:
        raise combination("The parameter AuthToken must be provided when AuthTokenUpdateStrategy is ROTATE or SET.")
    _check_auth_token(token, group.tls_mode == "required")
    if strategy == "SET":
        if group.tokens and token != group.tokens[-1]:
            raise invalid("The AuthToken of the strategy SET must be the token that was rotated last.")
        return [token]
    return [*(group.tokens or [None])[-1:], token]


def _new_engine(call: Call, group: ReplicationGroup) -> tuple[str, str]:
    """(engine, version) that a modification leads to.

    Forward only. Redis OSS may become Valkey. The only way back is from Valkey 7.2 to Redis OSS 7.1.
    """
    engine = call.get("Engine", group.engine).lower()
    if engine not in _ENGINES:
        raise combination(f"Cannot change the engine from {group.engine} to {engine}.")
    version = engine_version(engine, call.get("EngineVersion", group.version if engine == group.engine else None))
    if (group.engine, engine) == ("valkey", "redis") and (_numbers(group.version)[:2], version) != ([7, 2], "7.1.0"):
        raise combination(f"Cannot change the engine from {group.engine} {group.version} to {engine} {version}.")
    if engine == group.engine and _numbers(version) < _numbers(group.version):
        raise combination(f"Cannot downgrade the engine version from {group.version} to {version}.")
    return engine, version


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


@operation("elasticache", "ModifyReplicationGroup")
def modify_group(world: World, call: Call) -> Any:
    group = _group(world, call.params["ReplicationGroupId"])
    _require_available(group, "modify")
    subnet_group = world.caches.subnet_groups[group.subnet_group]
    failover = call.get("AutomaticFailoverEnabled", group.failover)
    if failover and len(group.nodes) < 2:
        raise combination("Automatic failover requires at least 2 cache clusters: it needs a replica to fail over to.")
    multi_az = call.get("MultiAZEnabled", group.multi_az)
    if multi_az and not failover:
        raise combination("Must have automatic failover enabled to enable Multi-AZ.")
    engine, version = _new_engine(call, group)
    tls, tls_mode = _new_tls(call, group)
    tokens = _new_tokens(call, group)
    node_type = check_node_type(call.get("CacheNodeType", group.node_type), tls)
    if "SecurityGroupIds" in call.params:
        group.security_groups = check_security_groups(call, call.params["SecurityGroupIds"], subnet_group.vpc_id)
        for node in group.nodes:
            interfaces.set_groups(group.region, node.eni_id, group.security_groups)
    group.description = call.get("ReplicationGroupDescription", group.description)
    group.snapshot_retention = call.get("SnapshotRetentionLimit", group.snapshot_retention)
    group.auto_minor = call.get("AutoMinorVersionUpgrade", group.auto_minor)
    for_nodes: dict[str, Any] = {}
    if node_type != group.node_type:
        for_nodes["CacheNodeType"] = node_type
    if version != group.version:
        for_nodes["EngineVersion"] = version
    if for_nodes and not call.get("ApplyImmediately"):
        # These wait for the maintenance window, which never comes here.
        group.pending_nodes = {**group.pending_nodes, **for_nodes}
        engine, version, node_type, for_nodes = group.engine, group.version, group.node_type, {}
    both: dict[str, Any] = {}
    if (tls, tls_mode) != (group.tls, group.tls_mode):
        both = {"TransitEncryptionEnabled": tls, **({"TransitEncryptionMode": tls_mode} if tls_mode else {})}
    if tokens != group.tokens or "AuthToken" in call.params:
        both["AuthTokenStatus"] = "SETTING" if call.get("AuthTokenUpdateStrategy") == "SET" else "ROTATING"
    group.pending = dict(both)
    if failover != group.failover:
        group.pending["AutomaticFailoverStatus"] = "enabled" if failover else "disabled"
    waiting = group.pending_nodes
    group.pending_nodes = {**waiting, **for_nodes, **both}
    group.failing_over = failover

    def apply() -> None:
        if group.engine != engine or group.version.split(".")[0] != version.split(".")[0]:
            group.parameter_group = parameter_family(engine, version)
        group.engine, group.version, group.node_type = engine, version, node_type
        group.failover, group.multi_az, group.failing_over = failover, multi_az, None
        group.tls, group.tls_mode = tls, tls_mode
        if "AuthTokenStatus" in both:
            group.tokens, group.token_modified = tokens, world.date()
        group.pending, group.pending_nodes = {}, waiting

    group.status = "modifying"
    reply = {"ReplicationGroup": group_json(world, group)}
    _later(world, group, "cache-update", "available", apply)
    return reply


@operation("elasticache", "IncreaseReplicaCount", "DecreaseReplicaCount")
def change_replicas(world: World, call: Call) -> Any:
    group = _group(world, call.params["ReplicationGroupId"])
    _require_available(group, "modify")
    wanted = 1 + call.get("NewReplicaCount", len(group.nodes) - 1)
    grows = call.operation == "IncreaseReplicaCount"
    if (grows and wanted <= len(group.nodes)) or (not grows and wanted >= len(group.nodes)) or not 1 <= wanted <= 6:
        raise invalid(f"NewReplicaCount {wanted - 1} is not possible with {len(group.nodes) - 1} replicas.")
    if wanted < 2 and group.failover:
        raise combination("Must keep at least one replica while automatic failover is enabled.")
    if grows:
        add_nodes(group, world.caches.subnet_groups[group.subnet_group], wanted - len(group.nodes))
    else:
        for node in group.nodes[wanted:]:
            interfaces.remove(group.region, node.eni_id)
        del group.nodes[wanted:]
    group.status = "modifying"
    reply = {"ReplicationGroup": group_json(world, group)}
    _later(world, group, "cache-update", "available")
    return reply


@operation("elasticache", "DeleteReplicationGroup")
def delete_group(world: World, call: Call) -> Any:
    group = _group(world, call.params["ReplicationGroupId"])
    _require_available(group, "delete", ("available", *_DELETABLE))
    group.status = "deleting"
    group.turn += 1
    reply = {"ReplicationGroup": group_json(world, group)}
    del reply["ReplicationGroup"]["AuthTokenEnabled"]

    def gone() -> None:
        if world.caches.groups.get(group.id) is group:
            for node in group.nodes:
                interfaces.remove(group.region, node.eni_id)
            del world.caches.groups[group.id]
            world.caches.tags.pop(group.arn, None)

    world.after(world.delay("cache-delete"), gone)
    return reply


@operation("elasticache", "DescribeReplicationGroups")
def describe_groups(world: World, call: Call) -> Any:
    name = call.get("ReplicationGroupId")
    groups = [_group(world, name)] if name else in_region(call.region, world.caches.groups.values())
    return page(call, [group_json(world, group) for group in groups], "ReplicationGroups")


@operation("elasticache", "DescribeReservedCacheNodesOfferings")
def describe_offerings(world: World, call: Call) -> Any:
    """One offering for each duration, of every node type that exists. The filter is required here."""
    node_type = call.params["CacheNodeType"]
    offered = (1, 3) if _NODE_TYPE.fullmatch(node_type) else ()
    found = [
        {
            "ReservedCacheNodesOfferingId": f"00000000-0000-0000-0000-00000000000{years}",
            "CacheNodeType": node_type,
            "Duration": years * 31536000,
            "FixedPrice": 0.0,
            "UsagePrice": 0.0,
            "ProductDescription": "valkey",
            "OfferingType": "No Upfront",
            "RecurringCharges": [{"RecurringChargeAmount": 0.01, "RecurringChargeFrequency": "Hourly"}],
        }
        for years in offered
    ]
    return page(call, found, "ReservedCacheNodesOfferings")


# --- tags


def _tags_of(world: World, name_of_it: str) -> dict[str, str]:
    """The tags of a resource. AWS refuses every tag operation, reading too, on a group that is not available."""
    parts = name_of_it.split(":")
    if len(parts) != 7 or parts[2] != "elasticache":
        raise AwsError("InvalidARN", f"The ARN {name_of_it} is not valid.")
    kind, name = parts[5], parts[6]
    if parts != arn("elasticache", parts[3], f"{kind}:{name}").split(":"):
        raise AwsError("InvalidARN", f"The ARN {name_of_it} is not valid.")
    if kind == "replicationgroup":
        group = _group(world, name)
        if group.status != "available":
            raise AwsError(
                "InvalidReplicationGroupState", "Cluster not in available state to perform tagging operations."
            )
    elif kind == "subnetgroup":
        subnet_group_of(world, name)
    elif kind in serverless_caches.TAGGED:
        serverless_caches.check_tagging(world, kind, name)
    elif kind == "cluster":
        if name in world.caches.clusters:
            return world.caches.tags[name_of_it]
        for group in world.caches.groups.values():
            if any(node.cluster_id == name for node in group.nodes) and group.status == "available":
                return world.caches.tags[group.arn]
        raise AwsError("CacheClusterNotFound", f"{name} is either not present or not available.", 404)
    else:
        raise AwsError("InvalidARN", f"The ARN {name_of_it} is not valid.")
    return world.caches.tags[name_of_it]


def _tag_list(tags: dict[str, str]) -> dict[str, Any]:
    return {"TagList": [{"Key": key, "Value": value} for key, value in tags.items()]}


@operation("elasticache", "ListTagsForResource")
def list_tags(world: World, call: Call) -> Any:
    return _tag_list(_tags_of(world, call.params["ResourceName"]))


@operation("elasticache", "AddTagsToResource")
def add_tags(world: World, call: Call) -> Any:
    tags = _tags_of(world, call.params["ResourceName"])
    tags.update(tag_map(call))
    _retag(world, call.params["ResourceName"])
    return _tag_list(tags)


@operation("elasticache", "RemoveTagsFromResource")
def remove_tags(world: World, call: Call) -> Any:
    tags = _tags_of(world, call.params["ResourceName"])
    for key in call.get("TagKeys", []):
        tags.pop(key, None)
    _retag(world, call.params["ResourceName"])
    return _tag_list(tags)


def _retag(world: World, name: str) -> None:
    """A replication group is being modified for a while after its tags were written."""
    group = next((group for group in world.caches.groups.values() if group.arn == name), None)
    if group is not None:
        group.status = "modifying"
        _later(world, group, "cache-update", "available")
    cache = next((cache for cache in world.caches.serverless.values() if cache.arn == name), None)
    if cache is not None:
        serverless_caches.modifying(world, cache)


# --- what a test decides


def set_status(world: World, wanted: dict[str, Any]) -> dict[str, Any]:
    """Puts a replication group into a status, for ever or for some seconds; or into cluster mode."""
    unknown = set(wanted) - {"id", "status", "seconds", "cluster_mode"}
    group = world.caches.groups.get(str(wanted.get("id", "")).lower())
    if unknown or group is None:
        raise ValueError(f"unknown: {sorted(unknown) or wanted.get('id')}")
    if "cluster_mode" in wanted:
        group.cluster_mode = bool(wanted["cluster_mode"])
    if "status" in wanted:
        group.turn += 1
        become_status(group, wanted["status"])
    if "seconds" in wanted:
        _later(world, group, "cache", "available", seconds=float(wanted["seconds"]))
    return {"id": group.id, "status": group.status}
