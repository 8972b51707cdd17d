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
)
from .local import call
from .wire import SERVICES, app_for
from .world import World


def install(world: World) -> None:
    for module in (elasticache, awslambda, roles, read_lag):
        world.on_reset(module.fresh)


def warm(world: World) -> None:
    """The first EC2 call makes moto build the default VPC: done before anyone waits for it."""
    call(world, "ec2", "DescribeVpcs", {})


def warm_rest(world: World) -> None:
    from moto.core.utils import get_service_model

    for service, backend in SERVICES.values():
        app_for(backend)
        get_service_model(service)
