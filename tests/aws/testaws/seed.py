"""Resources that exist in an account before the tool runs: an API, and another team's stack."""

from __future__ import annotations

from typing import Any

from .domains import seed_domains
from .seed_api import seed_api
from .seed_http_api import seed_http_api
from .account_state import World


def seed(world: World, wanted: dict[str, Any], region: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if "api" in wanted:
        one = seed_http_api if "protocol" in wanted["api"] else seed_api
        found.update(one(world, wanted["api"], region))
    if "domains" in wanted:
        found["domains"] = seed_domains(world, wanted["domains"], region, found.get("api_id"))
    if wanted.get("foreign"):
        from .foreign import seed_foreign

        found["foreign"] = seed_foreign(world, region, wanted["foreign"] == "http")
    return found
