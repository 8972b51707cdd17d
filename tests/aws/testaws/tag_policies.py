"""Resource Groups Tagging API: the tag keys that a tag policy of the organization requires. AWS does not enforce them."""

from __future__ import annotations

from typing import Any

from .account_state import World
from .gateway import operation
from .wire import Call


@operation("resourcegroupstaggingapi", "ListRequiredTags")
def list_required_tags(world: World, call: Call) -> Any:
    required = world.config["required_tags"]
    size = min(call.get("MaxResults", 50), world.config["page_size"] or 50)
    start = int(call.get("NextToken") or 0)
    found: dict[str, Any] = {"RequiredTags": required[start : start + size]}
    if start + size < len(required):
        found["NextToken"] = str(start + size)
    return found
