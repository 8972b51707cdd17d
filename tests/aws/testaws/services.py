"""Puts the services together."""

from __future__ import annotations

from moto.core.utils import get_service_model

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
)
from .local import call
from .wire import SERVICES, app_for
from .world import World


def install(world: World) -> None:
    for module in (elasticache, awslambda, roles, read_lag):
        world.on_reset(module.fresh)


def warm(world: World) -> None:
    """Makes once, before any copy, what moto makes at its first calls: the default VPC, the applications, the models."""
    call(world, "ec2", "DescribeVpcs", {})
    for service, backend in SERVICES.values():
        app_for(backend)
        get_service_model(service)
