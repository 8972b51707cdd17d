"""Puts the services together."""

from __future__ import annotations

from . import (  # noqa: F401 - importing a module registers its handlers
    apigateway,
    awslambda,
    deployments,
    ec2,
    ec2_listing,
    elasticache,
    export,
    gateway_responses,
    integrations,
    lambda_policy,
    lambda_versions,
    nat,
    read_lag,
    rest_apis,
    roles,
    small,
    stages,
    wire,
)
from .local import call
from .world import World


def install(world: World) -> None:
    for module in (elasticache, awslambda, roles, read_lag):
        world.on_reset(module.fresh)


def warm(world: World) -> None:
    """Makes once, before any copy, what moto makes at its first calls: the default VPC, models, routes, modules."""
    call(world, "ec2", "DescribeVpcs", {})
    wire.warm()
