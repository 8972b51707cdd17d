"""The resource policy of a deployed API: whether it admits a request of an anonymous caller.

Only conditions on `aws:SourceIp` are supported. A statement with another condition does not match.
"""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from ipaddress import ip_address, ip_network
from typing import Any


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _matches(statement: dict[str, Any], resource: str, address: str) -> bool:
    principal = statement.get("Principal")
    if principal != "*" and (not isinstance(principal, dict) or "*" not in _list(principal.get("AWS"))):
        return False
    if not any(fnmatchcase("execute-api:Invoke", action) for action in _list(statement.get("Action"))):
        return False
    # `execute-api:/stage/GET/path` is short for the ARN of this API.
    _, _, path = resource.partition("/")
    names = (resource, f"execute-api:/{path}", f"execute-api:{path}")
    if not any(fnmatchcase(name, pattern) for pattern in _list(statement.get("Resource")) for name in names):
        return False
    return all(
        key.lower() == "aws:sourceip"
        and operator in ("IpAddress", "NotIpAddress")
        and (operator == "IpAddress") == _within(address, _list(value))
        for operator, keys in (statement.get("Condition") or {}).items()
        for key, value in keys.items()
    )


def _within(address: str, networks: list[str]) -> bool:
    return any(ip_address(address) in ip_network(network, strict=False) for network in networks)


def decision(policy: str | None, resource: str, address: str) -> str | None:
    """`deny` (explicit), `allow`, or None if no statement matches. Without statements, everything is allowed."""
    document = json.loads(policy) if policy else {}
    statements = _list(document.get("Statement") or [])
    if not statements:
        return "allow"
    effects = {statement.get("Effect") for statement in statements if _matches(statement, resource, address)}
    if "Deny" in effects:
        return "deny"
    return "allow" if "Allow" in effects else None
