"""The responses of functions: no code runs, and the self-test's response is derived from the content of the account."""

from __future__ import annotations

import ipaddress
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from . import cache_records, instances, kms_keys, vpc_endpoints
from .interfaces import ec2_of
from .roles import permits
from .account_state import World

if TYPE_CHECKING:
    from .awslambda import Function


def answer(world: World, function: Function, body: bytes) -> tuple[Any, bool]:
    """(payload, whether it is a function error). `outcomes.invoke` in the configuration replaces it."""
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
    if function.environment.get("THREESCALE_GW_ROLE") == "reporter":
        return _report(world, function), False
    return {}, False


def _report(world: World, function: Function) -> dict[str, Any]:
    """The result of a run of the reporter. `outcomes.reports` has the sums that the next runs deliver."""
    parameters = _parameters(function)
    finding = (
        _secrets(world, function, parameters)
        or _redis(world, function, parameters or {})
        or _threescale(world, function, parameters or {})
    )
    sums = world.outcome("reports") or []
    delivered = 0 if finding is not None or not sums else sums.pop(0)
    counted = 1 if delivered else 0
    return {
        "reports": counted,
        "transactions": counted,
        "delivered": delivered,
        "apart": 0,
        "undeliverable": 0,
        "in_doubt": 0,
        "stopped": None if finding is None else f"{finding[0]}: {finding[1]}",
    }


Finding = tuple[str, str] | None  # (cause, error)


def _self_test(world: World, function: Function) -> dict[str, Any]:
    parameters = _parameters(function)
    checks = [
        _check("secrets", _secrets(world, function, parameters)),
        _check("redis", _redis(world, function, parameters or {}), world.outcome("cache_warning")),
        _check("threescale", _threescale(world, function, parameters or {})),
    ]
    ok = all(check["ok"] for check in checks)
    checks.append(_check("decision", None if ok else ("skipped", "not tried")))
    return {"ok": ok, "checks": checks, "mode": "observe" if observes(function) else "enforce"}


def _check(name: str, finding: Finding, warning: str | None = None) -> dict[str, Any]:
    cause, error = finding or (None, None)
    warning = warning if error is None else None
    return {"name": name, "ok": error is None, "ms": 1, "cause": cause, "error": error, "warning": warning}


def observes(function: Function) -> bool:
    """Whether the authorizer allows every request."""
    return function.environment.get("THREESCALE_GW_MODE") == "observe"


def broken(world: World, function: Function) -> str | None:
    """The reason for which the authorizer refuses every caller, if its parameters are missing or invalid."""
    if not function.environment.get("THREESCALE_GW_PARAMETERS"):
        return None
    parameters = _parameters(function)
    # A function whose environment cannot be decrypted does not start.
    if function.kms_key and kms_keys.problem(function.region, function.kms_key):
        return "not_ready"
    if _secrets(world, function, parameters) is not None:
        return "not_ready"
    return "misconfigured" if _refused(world, function, parameters or {}) else None


def _refused(world: World, function: Function, parameters: dict[str, str]) -> Finding:
    """The reason for which 3scale refuses every call."""
    tokens, services = world.config["valid_tokens"], world.config["valid_services"]
    if tokens is not None and parameters.get(_token_name(function)) not in tokens:
        return "token_invalid", "3scale refused the set-up: service_token_invalid"
    if services is not None and _service_of(function) not in services:
        return "service_unknown", "3scale refused the set-up: service_id_invalid"
    return None


def _parameters(function: Function) -> dict[str, str] | None:
    """The function's parameters, or None if its role is not allowed to read them."""
    from moto.ssm.models import ssm_backends

    from .wire import ACCOUNT

    if not permits(function.role, "ssm:GetParameters"):
        return None
    path = function.environment.get("THREESCALE_GW_PARAMETERS", "")
    store = ssm_backends[ACCOUNT][function.region]._parameters
    found = {}
    for name in list(store):
        if path and name.startswith(f"{path}/"):
            parameter = store[name][-1]
            found[name.removeprefix(f"{path}/")] = parameter.decrypt(parameter.value) or ""
    return found


def _sealed(function: Function) -> str | None:
    """The first parameter that the function's role cannot decrypt. One call reads all of them, and fails as a whole."""
    from moto.ssm.models import ssm_backends

    from .wire import ACCOUNT, arn

    path = function.environment.get("THREESCALE_GW_PARAMETERS", "")
    store = ssm_backends[ACCOUNT][function.region]._parameters
    read = ["secrets/hash-key", _token_name(function), "secrets/cache-auth-token", "secrets/cache-auth-token-former"]
    read.append(function.environment.get("THREESCALE_GW_CACHE_PARAMETER", "secrets/cache-url"))
    for name in read:
        found = store.get(f"{path}/{name}")
        if not found or found[-1].parameter_type != "SecureString":
            continue
        context = {
            "kms:EncryptionContext:PARAMETER_ARN": arn("ssm", function.region, f"parameter{path}/{name}"),
            "kms:ViaService": f"ssm.{function.region}.amazonaws.com",
        }
        if not kms_keys.may_decrypt(function.region, found[-1].keyid, function.role, context):
            return name
    return None


def _token_name(function: Function) -> str:
    return function.environment.get("THREESCALE_GW_TOKEN_PARAMETER", "secrets/service-token")


def _service_of(function: Function) -> str | None:
    """The product ID in the settings of the function or version."""
    return _settings(function).get("service_id")


def _settings(function: Function) -> dict[str, Any]:
    try:
        settings = json.loads(function.environment.get("THREESCALE_GW_SETTINGS", ""))
    except ValueError:
        return {}
    return settings if isinstance(settings, dict) else {}


def _stored(function: Function) -> list[str]:
    """The parameters with the settings that do not fit into the environment."""
    names = []
    for base, key in (("rules", "stored_rules"), ("ca", "stored_roots")):
        stored = _settings(function).get(key) or {}
        names += [f"{base}-{stored.get('digest')}-{part + 1}" for part in range(stored.get("parts", 0))]
    return names


def _secrets(world: World, function: Function, parameters: dict[str, str] | None) -> Finding:
    stuck = _no_way_out(world, function) if world.config["ssm_network"] else None
    if stuck and not vpc_endpoints.serves(function.region, function.vpc_id, "ssm", set(function.groups)):
        return "ssm_unreachable", f"connect timed out (no way out of {stuck})"
    if parameters is None:
        return "ssm_denied", "AccessDeniedException: not authorized to perform: ssm:GetParameters"
    sealed = _sealed(function)
    if sealed:
        return "ssm_denied", f"AccessDeniedException: the key of {sealed} cannot be used"
    for name in (_token_name(function), "secrets/hash-key", *_stored(function)):
        if name not in parameters:
            return "missing", f"parameter {name} is missing"
    return None


def _redis(world: World, function: Function, parameters: dict[str, str]) -> Finding:
    """Checks that the endpoint parameter refers to an available cache that accepts connections from the function."""
    if _settings(function).get("cache") == "memory":
        return None
    default = "secrets/cache-url" if "secrets/cache-url" in parameters else "cache-endpoint"
    name = function.environment.get("THREESCALE_GW_CACHE_PARAMETER", default)
    endpoint = parameters.get(name)
    if name.startswith("secrets/") and endpoint is not None:
        refused = world.outcome("cache_urls") or {}
        return refused.get(endpoint)
    if endpoint is None:
        exists = world.caches.groups or world.caches.serverless
        return ("endpoint_missing", f"parameter {name} is missing") if exists else None
    scheme, _, address = endpoint.partition("://")
    host, _, port = address.rstrip("/").partition(":")
    for group in world.caches.groups.values():
        known = cache_records.address(world, group)
        both = group.tls_mode == "preferred"  # it takes callers with and without TLS, by either name
        names = {known["Address"]}
        if both:
            names.add(cache_records.address(world, group, tls=False)["Address"])
        if host not in names:
            continue
        if not _admits(function, group):
            return "timeout", f"{endpoint}: timed out"
        if group.status not in ("available", "modifying") or port not in ("", str(known["Port"])):
            return "refused", f"{endpoint}: connection refused (the cache is {group.status})"
        if (scheme == "rediss") != group.tls and not both:
            return "tls", f"{endpoint}: TLS does not match the cache's"
        token = parameters.get("secrets/cache-auth-token")
        # As the authorizer: the token, then the former one, then none.
        tried = {token} if token is None else {token, parameters.get("secrets/cache-auth-token-former"), None}
        if group.tokens and tried.isdisjoint(group.tokens):
            missing = "NOAUTH Authentication required." if token is None else "WRONGPASS invalid username-password pair"
            return "auth", missing
        return None
    for cache in world.caches.serverless.values():
        if host == cache_records.serverless_address(world, cache)["Address"]:
            return _serverless(world, function, parameters, cache, endpoint)
    return "dns", f"{endpoint}: no such host"


def _serverless(world: World, function: Function, parameters: dict[str, str], cache: Any, endpoint: str) -> Finding:
    """A serverless cache always has TLS, and its user `default` the passwords."""
    if not _admits(function, cache):
        return "timeout", f"{endpoint}: timed out"
    if cache.status not in ("available", "modifying") or not endpoint.endswith(f":{cache.port}"):
        return "refused", f"{endpoint}: connection refused (the cache is {cache.status})"
    if not endpoint.startswith("rediss://"):
        return "tls", f"{endpoint}: TLS does not match the cache's"
    group = world.caches.user_groups.get(cache.user_group or "")
    users = [world.caches.users[user_id] for user_id in group.user_ids] if group else []
    known = {password for user in users if user.name == "default" for password in user.passwords}
    tried = {parameters.get("secrets/cache-auth-token"), parameters.get("secrets/cache-auth-token-former")}
    if tried.isdisjoint(known):
        return "auth", "WRONGPASS invalid username-password pair or user is disabled."
    if not any("on" in user.access.split() and "~tg:*" in user.access for user in users):
        return "auth", "NOPERM this user has no permissions to access one of the keys used as arguments"
    return None


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


def _threescale(world: World, function: Function, parameters: dict[str, str]) -> Finding:
    """Checks that each of the function's subnets has a working route through a NAT gateway or a NAT instance, and that the
    token is valid."""
    stuck = _no_way_out(world, function)
    if stuck and not _is_in_vpc(function):
        return "timeout", f"https://su1.3scale.net: connect timed out (no way out of {stuck})"
    return _refused(world, function, parameters)


def _is_in_vpc(function: Function) -> bool:
    """Whether 3scale has an address of the function's VPC."""
    try:
        address = ipaddress.ip_address(urlsplit(_settings(function).get("backend", "")).hostname or "")
    except ValueError:
        return False
    return address in ipaddress.ip_network(ec2_of(function.region).get_vpc(function.vpc_id).cidr_block)


def _no_way_out(world: World, function: Function) -> str | None:
    """A subnet of the function without a working route to the Internet."""
    ec2 = ec2_of(function.region)
    for subnet_id in function.subnets:
        table = _route_table(ec2, subnet_id, function.vpc_id)
        routes = [route for route in table.routes if route.destination_cidr_block == "0.0.0.0/0"] if table else []
        if not any(_leads_out(world, route, ec2.get_subnet(subnet_id)) for route in routes):
            return subnet_id
    return None


def _leads_out(world: World, route: Any, subnet: Any) -> bool:
    instance = getattr(route.interface, "record", None)
    if instance is not None:
        return instances.forwards(world, instance, subnet.cidr_block)
    gateway = route.nat_gateway
    return gateway is not None and gateway.state == "available" and _is_public(gateway)


def _is_public(gateway: Any) -> bool:
    """Whether the subnet of a NAT gateway has a route to an Internet gateway. Without it, the gateway forwards nothing."""
    ec2 = gateway.ec2_backend
    table = _route_table(ec2, gateway.subnet_id, gateway.vpc_id)
    routes = [route for route in table.routes if route.destination_cidr_block == "0.0.0.0/0"] if table else []
    return any(route.state == "active" and str(route.gateway_id or "").startswith("igw-") for route in routes)


def _route_table(ec2: Any, subnet_id: str, vpc_id: str) -> Any:
    main = None
    for table in ec2.route_tables.values():
        if subnet_id in table._associations.values():
            return table
        if table.vpc_id == vpc_id and table.main_association_id:
            main = table
    return main
