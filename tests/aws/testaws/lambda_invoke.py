"""What a function answers: nothing runs here, but the self-test is answered from what the account holds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from . import cache_records
from .interfaces import ec2_of
from .world import World

if TYPE_CHECKING:
    from .awslambda import Function


def answer(world: World, function: Function, body: bytes) -> tuple[Any, bool]:
    """(payload, whether it is a function error). `outcomes.invoke` of the configuration replaces it."""
    given = world.outcome("invoke")
    if isinstance(given, dict):
        for name in (function.name, "*"):
            if name in given:
                return given[name].get("payload"), bool(given[name].get("error"))
    try:
        event = json.loads(body or b"{}")
    except ValueError:
        return {"errorType": "Runtime.MalformedEvent", "errorMessage": "not JSON"}, True
    if isinstance(event, dict) and event.get("threescale-gw") == "self-test":
        return _self_test(world, function), False
    return {}, False


def _self_test(world: World, function: Function) -> dict[str, Any]:
    checks = [
        _check("secrets", _secrets(function)),
        _check("redis", _redis(world, function)),
        _check("threescale", _internet(function)),
    ]
    failed = next((check["error"] for check in checks if not check["ok"]), None)
    checks.append(_check("decision", None if failed is None else "not tried"))
    return {"ok": all(check["ok"] for check in checks), "checks": checks}


def _check(name: str, error: str | None) -> dict[str, Any]:
    return {"name": name, "ok": error is None, "ms": 1, "error": error}


def _parameters(function: Function) -> dict[str, str]:
    from moto.ssm.models import ssm_backends

    from .wire import ACCOUNT

    path = function.environment.get("THREESCALE_GW_PARAMETERS", "")
    store = ssm_backends[ACCOUNT][function.region]._parameters
    found = {}
    for name in list(store):
        if path and name.startswith(f"{path}/"):
            parameter = store[name][-1]
            found[name.removeprefix(f"{path}/")] = parameter.decrypt(parameter.value) or ""
    return found


def _secrets(function: Function) -> str | None:
    parameters = _parameters(function)
    for name in ("secrets/service-token", "secrets/hash-key"):
        if name not in parameters:
            return f"parameter {name} is missing"
    return None


def _redis(world: World, function: Function) -> str | None:
    """Whether the endpoint parameter leads to an available cache that admits the function."""
    parameters = _parameters(function)
    if "secrets/cache-url" in parameters:
        return None
    endpoint = parameters.get("cache-endpoint")
    if endpoint is None:
        return None if not world.caches.groups else "parameter cache-endpoint is missing"
    scheme, _, host = endpoint.partition("://")
    for group in world.caches.groups.values():
        address = cache_records.address(world, group)
        if host.rstrip("/") not in (address["Address"], f"{address['Address']}:{address['Port']}"):
            continue
        if group.status not in ("available", "modifying"):
            return f"{endpoint}: the cache is {group.status}"
        if (scheme == "rediss") != group.tls:
            return f"{endpoint}: TLS does not match the cache's"
        if group.auth_token is not None and "secrets/cache-auth-token" not in parameters:
            return "NOAUTH Authentication required."
        if group.auth_token is not None and parameters["secrets/cache-auth-token"] != group.auth_token:
            return "WRONGPASS invalid username-password pair"
        if not _admits(function, group):
            return f"{endpoint}: timed out"
        return None
    return f"{endpoint}: no such host"


def _admits(function: Function, group: Any) -> bool:
    ec2 = ec2_of(function.region)
    for group_id in group.security_groups:
        security_group = ec2.get_security_group_from_id(group_id)
        for rule in security_group.ingress_rules if security_group else []:
            covers = rule.ip_protocol == "-1" or (
                rule.ip_protocol == "tcp" and rule.from_port <= group.port <= rule.to_port
            )
            source = rule.source_group.get("GroupId") if rule.source_group else None
            if covers and (source in function.groups or rule.cidr_ipv4):
                return True
    return False


def _internet(function: Function) -> str | None:
    """Whether each of the function's subnets has a working way out through a NAT gateway."""
    ec2 = ec2_of(function.region)
    for subnet_id in function.subnets:
        table = _route_table(ec2, subnet_id, function.vpc_id)
        routes = [route for route in table.routes if route.destination_cidr_block == "0.0.0.0/0"] if table else []
        if not any(route.nat_gateway is not None and route.nat_gateway.state == "available" for route in routes):
            return f"https://su1.3scale.net: connect timed out (no way out of {subnet_id})"
    return None


def _route_table(ec2: Any, subnet_id: str, vpc_id: str) -> Any:
    main = None
    for table in ec2.route_tables.values():
        if subnet_id in table._associations.values():
            return table
        if table.vpc_id == vpc_id and table.main_association_id:
            main = table
    return main
