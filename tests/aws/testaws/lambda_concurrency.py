"""Lambda: reserved concurrency, and the account's limits."""

from __future__ import annotations

from typing import Any

from .account_state import World
from .awslambda import function_of, invalid
from .gateway import operation
from .wire import Call


def _unreserved(world: World, besides: str | None = None) -> int:
    functions = world.functions.by_name.values()
    reserved = sum(function.reserved or 0 for function in functions if function.name != besides)
    return world.config["quotas"]["concurrent_executions"] - reserved


@operation("lambda", "PutFunctionConcurrency")
def put_concurrency(world: World, call: Call) -> Any:
    function = function_of(world, call)
    wanted = call.params["ReservedConcurrentExecutions"]
    least = min(100, world.config["quotas"]["concurrent_executions"])
    if wanted and _unreserved(world, function.name) - wanted < least:
        raise invalid(
            "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution "
            f"below its minimum value of [{least}]."
        )
    function.reserved = wanted
    return {"ReservedConcurrentExecutions": wanted}


@operation("lambda", "GetFunctionConcurrency")
def get_concurrency(world: World, call: Call) -> Any:
    reserved = function_of(world, call).reserved
    return {} if reserved is None else {"ReservedConcurrentExecutions": reserved}


@operation("lambda", "DeleteFunctionConcurrency")
def delete_concurrency(world: World, call: Call) -> Any:
    function_of(world, call).reserved = None
    return {}


@operation("lambda", "GetAccountSettings")
def get_account_settings(world: World, call: Call) -> Any:
    functions = [function for function in world.functions.by_name.values() if function.region == call.region]
    return {
        "AccountLimit": {
            "TotalCodeSize": 80530636800,
            "CodeSizeUnzipped": 262144000,
            "CodeSizeZipped": 52428800,
            "ConcurrentExecutions": world.config["quotas"]["concurrent_executions"],
            "UnreservedConcurrentExecutions": _unreserved(world),
        },
        "AccountUsage": {
            "TotalCodeSize": sum(
                len(one.code) for function in functions for one in (function, *function.versions.values())
            ),
            "FunctionCount": len(functions),
        },
    }
