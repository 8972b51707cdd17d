"""Makes moto start sooner and smaller. To be called before anything of moto's services is imported."""

from __future__ import annotations

from functools import cache


def slim_moto() -> None:
    _skip_instance_types()
    _ask_for_regions_once()
    _look_methods_up_once()


def _skip_instance_types() -> None:
    """The tables of instance types are most of the memory moto's EC2 takes; nothing here starts an instance."""
    from moto.utilities import utils

    load = utils.load_resource

    def lean_load(resource: str):
        if "instance_type" in resource:
            return [] if "offerings" in resource else {}
        return load(resource)

    utils.load_resource = lean_load


def _ask_for_regions_once() -> None:
    """Moto makes a session for each question about regions, and each reads the service's model anew."""
    import boto3

    ask = cache(boto3.Session().get_available_regions)
    boto3.Session.get_available_regions = lambda self, *args, **kwargs: list(ask(*args, **kwargs))


def _look_methods_up_once() -> None:
    """Moto lists the methods of a service's class at every request."""
    from moto.core import responses

    responses.method_names_from_class = cache(responses.method_names_from_class)
