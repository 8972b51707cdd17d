"""Resources that exist in an account before the tool runs: an API, and another team's stack."""

from __future__ import annotations

from typing import Any

from .seed_api import seed_api
from .account_state import World


def seed(world: World, wanted: dict[str, Any], region: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if "api" in wanted:
        found.update(seed_api(world, wanted["api"], region))
    if wanted.get("foreign"):
        from .foreign import seed_foreign

        found["foreign"] = seed_foreign(world, region)
    return found
