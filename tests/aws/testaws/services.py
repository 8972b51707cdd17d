"""Registers and initializes the services."""

from __future__ import annotations

from . import (  # noqa: F401 - importing a module registers its handlers
    apigateway,
    awslambda,
    cache_clusters,
    callers,
    cloudwatch,
    deployments,
    domains,
    ec2,
    ec2_listing,
    elasticache,
    events,
    export,
    gateway_responses,
    http_apis,
    http_authorizers,
    http_export,
    http_routes,
    http_stages,
    instance_details,
    instances,
    integrations,
    kms_keys,
    lambda_concurrency,
    lambda_policy,
    lambda_versions,
    logs,
    nat,
    quotas,
    read_lag,
    rest_apis,
    roles,
    serverless_caches,
    ssm,
    stages,
    tag_policies,
    vpc_endpoints,
    vpc_settings,
    wire,
)
from .client_calls import call
from .account_state import World


def install(world: World) -> None:
    for module in (elasticache, awslambda, domains, http_apis, instances, roles, read_lag, vpc_settings):
        world.on_reset(module.fresh)


def warm(world: World) -> None:
    """Creates once, before any copy, what moto creates at its first calls: the default VPC, models, routes, modules."""
    call(world, "ec2", "DescribeVpcs", {})
    wire.warm()
