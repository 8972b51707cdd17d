"""Everything in the account, in a stable order and without times, for comparisons before and after."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any
from urllib.parse import unquote

from moto.apigateway.models import apigateway_backends
from moto.cloudwatch.models import cloudwatch_backends
from moto.ec2.models import ec2_backends
from moto.events.models import events_backends
from moto.iam.models import iam_backends
from moto.logs.models import logs_backends
from moto.ssm.models import ssm_backends
from moto.utilities.utils import get_partition

from . import domains, http_apis, kms_keys
from .api_json import api_json, clean, method_json
from .awslambda import configuration
from .cache_records import cluster_json, group_json, in_region, serverless_json, user_group_json, user_json
from .cloudwatch import dashboard_arn
from .stages import stage_json
from .wire import ACCOUNT
from .account_state import World

_TIMES = (
    "createdDate",
    "lastUpdatedDate",
    "LastModified",
    "CreateTime",
    "ReplicationGroupCreateTime",
    "CacheClusterCreateTime",
    "RevisionId",
)


def listing(world: World, region: str) -> dict[str, Any]:
    with world.lock:
        world.tick()
        return {
            **_network(region),
            "instances": _instances(world, region),
            "vpc_endpoints": _endpoints(region),
            **_caches(world, region),
            "functions": _functions(world, region),
            "log_groups": _log_groups(region),
            "alarms": _alarms(region),
            "dashboards": _dashboards(region),
            "roles": _roles(region),
            "rules": _rules(region),
            "parameters": _parameters(region),
            "kms_keys": kms_keys.listing(region),
            "rest_apis": _apis(region),
            "http_apis": http_apis.listing(world, region),
            "domain_names": domains.listing(world, region),
            **_plans(region),
        }


def _sorted(items: Any, key: str) -> list[Any]:
    return sorted(items, key=lambda item: str(item[key]))


def _timeless(value: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in value.items() if k not in _TIMES}


def _tags(resource: Any) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in sorted(resource.get_tags(), key=lambda tag: tag["key"])}


def _pairs(tags: Any) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in sorted(tags, key=lambda tag: tag["Key"])}


# --- EC2


def _network(region: str) -> dict[str, Any]:
    ec2 = ec2_backends[ACCOUNT][region]
    return {
        "vpcs": _sorted(
            (
                {
                    "id": vpc.id,
                    "cidr": vpc.cidr_block,
                    "default": vpc.is_default,
                    "state": vpc.state,
                    "tenancy": vpc.instance_tenancy,
                    "dns_support": str(vpc.enable_dns_support).lower(),
                    "dns_hostnames": str(vpc.enable_dns_hostnames).lower(),
                    "tags": _tags(vpc),
                }
                for vpc in ec2.vpcs.values()
            ),
            "id",
        ),
        "subnets": _sorted(
            (
                {
                    "id": subnet.id,
                    "vpc": subnet.vpc_id,
                    "cidr": subnet.cidr_block,
                    "zone": subnet.availability_zone,
                    "public_ip_on_launch": str(subnet.map_public_ip_on_launch).lower(),
                    "state": subnet.state,
                    "tags": _tags(subnet),
                }
                for subnet in ec2.describe_subnets()
            ),
            "id",
        ),
        "network_interfaces": _sorted(
            (
                {
                    "id": eni.id,
                    "subnet": eni.subnet.id,
                    "description": eni.description,
                    "status": eni.status,
                    "type": eni.interface_type,
                    "address": eni.private_ip_address,
                    "public_ip": eni.public_ip,
                    "groups": sorted(group.id for group in eni._group_set),
                    "tags": _tags(eni),
                }
                for eni in ec2.enis.values()
            ),
            "id",
        ),
        "internet_gateways": _sorted(
            (
                {"id": igw.id, "vpc": igw.vpc.id if igw.vpc else None, "tags": _tags(igw)}
                for igw in ec2.internet_gateways.values()
            ),
            "id",
        ),
        "addresses": _sorted(
            (
                {
                    "id": address.allocation_id,
                    "public_ip": address.public_ip,
                    "network_interface": address.eni.id if address.eni else None,
                    "tags": _tags(address),
                }
                for address in ec2.addresses
            ),
            "id",
        ),
        # AWS lists deleted and failed gateways for about an hour, although they no longer exist.
        "nat_gateways": _sorted(
            (
                {
                    "id": gateway.id,
                    "subnet": gateway.subnet_id,
                    "state": gateway.state,
                    "address": gateway.allocation_id,
                    "failure": gateway.failure,
                    "tags": _tags(gateway),
                }
                for gateway in ec2.nat_gateways.values()
                if gateway.state != "deleted"
            ),
            "id",
        ),
        "route_tables": _sorted(
            (
                {
                    "id": table.id,
                    "vpc": table.vpc_id,
                    "main": table.main_association_id is not None,
                    "subnets": sorted(table._associations.values()),
                    "routes": _sorted(
                        (
                            {
                                "destination": route.destination_cidr_block,
                                "target": route.nat_gateway_id or route.gateway_id or route.network_interface_id,
                                "state": route.state,
                            }
                            for route in table.routes
                        ),
                        "destination",
                    ),
                    "tags": _tags(table),
                }
                for table in ec2.route_tables.values()
            ),
            "id",
        ),
        "security_groups": _sorted(
            (
                {
                    "id": group.id,
                    "name": group.name,
                    "vpc": group.vpc_id,
                    "description": group.description,
                    "ingress": sorted(_rule(rule) for rule in group.ingress_rules),
                    "egress": sorted(_rule(rule) for rule in group.egress_rules),
                    "tags": _tags(group),
                }
                for groups in ec2.groups.values()
                for group in groups.values()
            ),
            "id",
        ),
    }


def _endpoints(region: str) -> list[Any]:
    return _sorted(
        (
            {
                "id": endpoint.id,
                "vpc": endpoint.vpc_id,
                "service": endpoint.service_name,
                "state": endpoint.state,
                "private_names": bool(endpoint.private_dns_enabled),
                "subnets": sorted(endpoint.subnet_ids or []),
                "groups": sorted(endpoint.security_group_ids),
                "tags": _tags(endpoint),
            }
            for endpoint in ec2_backends[ACCOUNT][region].vpc_end_points.values()
        ),
        "id",
    )


def _instances(world: World, region: str) -> list[Any]:
    """Without the terminated ones, which AWS lists for about an hour."""
    return _sorted(
        (
            {
                "id": instance.id,
                "type": instance.type,
                "state": instance.state,
                "subnet": instance.subnet.id,
                "network_interface": instance.eni.id,
                "public_ip": instance.eni.public_ip,
                "source_dest_check": instance.source_check,
                "http_tokens": instance.metadata.get("HttpTokens", "optional"),
                "groups": sorted(group.id for group in instance.eni._group_set),
                "tags": _tags(instance),
            }
            for instance in world.instances.values()
            if instance.region == region and not instance.gone
        ),
        "id",
    )


def _rule(rule: Any) -> str:
    """A rule as one line: `tcp 6379-6379 sg-0abc "why"`."""
    peer = rule.cidr_ipv4 or rule.cidr_ipv6 or rule.source_group.get("GroupId") or rule.prefix_list_id
    ports = "all" if rule.ip_protocol == "-1" else f"{rule.from_port}-{rule.to_port}"
    return f"{rule.ip_protocol} {ports} {peer}" + (f' "{rule.description}"' if rule.description else "")


# --- the other services


def _caches(world: World, region: str) -> dict[str, Any]:
    caches = world.caches
    return {
        "cache_subnet_groups": _sorted(
            (
                {**group.json(region), "tags": dict(sorted(caches.tags.get(group.arn, {}).items()))}
                for group in in_region(region, caches.subnet_groups.values())
            ),
            "CacheSubnetGroupName",
        ),
        "cache_clusters": _sorted(
            (_timeless(cluster_json(world, cluster, cluster.nodes[0], False)) for cluster in caches.clusters.values()),
            "CacheClusterId",
        ),
        "replication_groups": _sorted(
            (
                {
                    **_timeless(group_json(world, group)),
                    "clusters": [_timeless(cluster_json(world, group, node, False)) for node in group.nodes],
                    "tags": dict(sorted(caches.tags.get(group.arn, {}).items())),
                }
                for group in in_region(region, caches.groups.values())
            ),
            "ReplicationGroupId",
        ),
        "serverless_caches": _tagged(
            caches, ((cache, serverless_json(world, cache)) for cache in caches.serverless.values())
        ),
        "cache_users": _tagged(
            caches,
            (
                (
                    user,
                    {
                        **user_json(world, user),
                        "passwords": [hashlib.sha256(password.encode()).hexdigest() for password in user.passwords],
                    },
                )
                for user in caches.users.values()
            ),
        ),
        "cache_user_groups": _tagged(
            caches, ((group, user_group_json(world, group)) for group in caches.user_groups.values())
        ),
    }


def _tagged(caches: Any, found: Any) -> list[Any]:
    return _sorted(
        ({**_timeless(shown), "tags": dict(sorted(caches.tags.get(of.arn, {}).items()))} for of, shown in found), "ARN"
    )


def _functions(world: World, region: str) -> list[Any]:
    return _sorted(
        (
            {
                **_timeless(configuration(function)),
                "code_sha256": base64.b64encode(hashlib.sha256(function.code).digest()).decode(),
                "tags": dict(sorted(function.tags.items())),
                "policy": function.policies.get("", []),
                "versions": [
                    {
                        **_timeless(configuration(version)),
                        "code_sha256": base64.b64encode(hashlib.sha256(version.code).digest()).decode(),
                    }
                    for version in function.versions.values()
                ],
                "reserved_concurrency": function.reserved,
                "aliases": [
                    {
                        **{key: value for key, value in alias.items() if key != "RevisionId"},
                        "policy": function.policies.get(name, []),
                    }
                    for name, alias in sorted(function.aliases.items())
                ],
            }
            for function in world.functions.by_name.values()
            if function.region == region
        ),
        "FunctionName",
    )


def _alarms(region: str) -> list[Any]:
    backend = cloudwatch_backends[ACCOUNT][region]
    return _sorted(
        (
            {
                "name": alarm.name,
                "description": alarm.description,
                "rule": alarm.rule,
                "actions": alarm.alarm_actions,
                "ok_actions": alarm.ok_actions,
                "threshold": alarm.threshold,
                "tags": dict(sorted(backend.list_tags_for_resource(alarm.alarm_arn).items())),
            }
            for alarm in backend.alarms.values()
        ),
        "name",
    )


def _dashboards(region: str) -> list[Any]:
    backend = cloudwatch_backends[ACCOUNT]["us-east-1"]
    return _sorted(
        (
            {
                "name": dashboard.name,
                "body": json.loads(dashboard.body),
                "tags": dict(sorted(backend.list_tags_for_resource(dashboard_arn(region, dashboard.name)).items())),
            }
            for dashboard in backend.list_dashboards()
        ),
        "name",
    )


def _log_groups(region: str) -> list[Any]:
    logs = logs_backends[ACCOUNT][region]
    return _sorted(
        (
            {
                "name": group.name,
                "retention_days": group.retention_in_days,
                "kms_key": group.kms_key_id,
                "tags": dict(sorted(logs.tagger.get_tag_dict_for_resource(group.arn).items())),
            }
            for group in logs.groups.values()
        ),
        "name",
    )


def _document(text: str) -> Any:
    try:
        return json.loads(unquote(text) if text.startswith("%7B") else text)
    except ValueError:
        return text


def _roles(region: str) -> list[Any]:
    return _sorted(
        (
            {
                "name": role.name,
                "path": role.path,
                "arn": role.arn,
                "description": role.description,
                "max_session_duration": role.max_session_duration,
                "permissions_boundary": role.permissions_boundary_arn,
                "trust": _document(role.assume_role_policy_document),
                "policies": {name: _document(text) for name, text in sorted(role.policies.items())},
                "attached": sorted(role.managed_policies),
                "tags": _pairs(role.tags or []),
            }
            for role in iam_backends[ACCOUNT][get_partition(region)].roles.values()
        ),
        "arn",
    )


def _rules(region: str) -> list[Any]:
    events = events_backends[ACCOUNT][region]
    return _sorted(
        (
            {
                "name": rule.name,
                "bus": bus.name,
                "state": rule.state,
                "description": rule.description,
                "schedule": rule.scheduled_expression,
                "pattern": rule.event_pattern.dump() if rule.event_pattern else None,
                "role": rule.role_arn,
                "targets": _sorted(rule.targets, "Id"),
                "tags": _pairs(events.tagger.list_tags_for_resource(rule.arn)["Tags"]),
            }
            for bus in events.event_buses.values()
            for rule in bus.rules.values()
        ),
        "name",
    )


def _parameters(region: str) -> list[Any]:
    ssm = ssm_backends[ACCOUNT][region]
    tags = ssm._resource_tags.get("Parameter", {})
    found = []
    for name in list(ssm._parameters):
        parameter = ssm._parameters[name][-1]
        value = parameter.decrypt(parameter.value) or ""
        found.append(
            {
                "name": name,
                "type": parameter.parameter_type,
                "tier": parameter.tier,
                "key": parameter.keyid,
                "description": parameter.description,
                "value_sha256": hashlib.sha256(value.encode()).hexdigest(),
                "tags": dict(sorted(tags.get(name, {}).items())),
            }
        )
    return _sorted(found, "name")


def _apis(region: str) -> list[Any]:
    return _sorted((_api(api) for api in apigateway_backends[ACCOUNT][region].apis.values()), "id")


def _plans(region: str) -> dict[str, Any]:
    backend = apigateway_backends[ACCOUNT][region]
    return {
        "usage_plans": _sorted(
            (
                {**clean(plan.to_json()), "keys": sorted(backend.usage_plan_keys.get(plan.id, {}))}
                for plan in backend.usage_plans.values()
            ),
            "id",
        ),
        "api_keys": _sorted(
            (
                {
                    **_timeless({name: value for name, value in clean(key.to_json()).items() if name != "value"}),
                    "value_sha256": hashlib.sha256(key.value.encode()).hexdigest(),
                }
                for key in backend.keys.values()
            ),
            "id",
        ),
    }


def _api(api: Any) -> dict[str, Any]:
    return {
        **_timeless(api_json(api)),
        "resources": _sorted(
            (
                {
                    "id": resource.id,
                    "path": resource.get_path(),
                    "methods": {
                        verb: method_json(method) for verb, method in sorted(resource.resource_methods.items())
                    },
                }
                for resource in api.resources.values()
            ),
            "path",
        ),
        "authorizers": _sorted((authorizer.to_json() for authorizer in api.authorizers.values()), "id"),
        "deployments": _sorted(
            (
                {
                    "id": deployment.id,
                    "description": deployment.description,
                    "snapshot": deployment.snapshot,
                }
                for deployment in api.deployments.values()
            ),
            "id",
        ),
        "models": _sorted((clean(model.to_json()) for model in api.models.values()), "name"),
        "request_validators": _sorted((clean(one.to_dict()) for one in api.request_validators.values()), "id"),
        "stages": _sorted((_timeless(stage_json(stage)) for stage in api.stages.values()), "stageName"),
        "gateway_responses": _sorted(api.gateway_responses.values(), "responseType"),
    }
