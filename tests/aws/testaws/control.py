"""The control endpoints under /_test/."""

from __future__ import annotations

import copy
import json
import traceback
from typing import Any
from urllib.parse import parse_qs

from . import account, client_calls, elasticache, forking, lambda_idle, seed
from .wire import RawRequest, Response
from .account_state import REGION, World


def handle(world: World, raw: RawRequest) -> Response:
    name = raw.path.removeprefix("/_test/").strip("/")
    query = {key: values[0] for key, values in parse_qs(raw.query).items()}
    try:
        body = json.loads(raw.body) if raw.body else None
        found = _ENDPOINTS.get((raw.method, name))
        if found is None:
            return _reply(404, {"error": f"no control endpoint {raw.method} {name}"})
        return _reply(200, found(world, body, query))
    except client_calls.CallFailed as failed:
        return _reply(400, {"error": str(failed), "code": failed.code, "message": failed.message})
    except ValueError as problem:
        return _reply(400, {"error": str(problem)})
    except (KeyError, TypeError) as problem:
        traceback.print_exc()
        return _reply(400, {"error": f"{type(problem).__name__}: {problem}"})
    except Exception as problem:  # noqa: BLE001 - a defect here gets a response instead of a closed connection
        traceback.print_exc()
        return _reply(500, {"error": f"{type(problem).__name__}: {problem}"})


def _reply(status: int, value: Any) -> Response:
    return Response(status, {"Content-Type": "application/json"}, client_calls.to_json(value).encode())


def _reset(world: World, body: Any, query: dict[str, str]) -> Any:
    world.reset()
    return {}


def _config(world: World, body: Any, query: dict[str, str]) -> Any:
    with world.lock:
        world.configure(body or {})
        return copy.deepcopy(world.config)


def _advance(world: World, body: Any, query: dict[str, str]) -> Any:
    world.advance(float(body["seconds"]))
    return {}


def _faults(world: World, body: Any, query: dict[str, str]) -> Any:
    rules = body or []
    world.faults.set(rules if isinstance(rules, list) else [rules])
    return {}


def _held(world: World, body: Any, query: dict[str, str]) -> Any:
    hold = world.faults.held(float(query.get("timeout", "0")))
    if hold is None:
        return {"held": None}
    return {"held": {"n": hold.n, "service": hold.service, "operation": hold.operation, "phase": hold.phase}}


def _release(world: World, body: Any, query: dict[str, str]) -> Any:
    return {"released": world.faults.release()}


def _log(world: World, body: Any, query: dict[str, str]) -> Any:
    return world.log.list()


def _log_clear(world: World, body: Any, query: dict[str, str]) -> Any:
    world.log.clear()
    with world.lock:
        world.requests.clear()
        world.watched.clear()
        world.events.clear()
    return {}


def _watched(world: World, body: Any, query: dict[str, str]) -> Any:
    with world.lock:
        return list(world.watched)


def _requests(world: World, body: Any, query: dict[str, str]) -> Any:
    with world.lock:
        return [dict(entry) for entry in world.requests]


def _events(world: World, body: Any, query: dict[str, str]) -> Any:
    with world.lock:
        return list(world.events)


def _account(world: World, body: Any, query: dict[str, str]) -> Any:
    return account.listing(world, query.get("region", REGION))


def _seed(world: World, body: Any, query: dict[str, str]) -> Any:
    return seed.seed(world, body or {}, query.get("region", REGION))


def _call(world: World, body: Any, query: dict[str, str]) -> Any:
    return client_calls.call(
        world,
        body["service"],
        body["operation"],
        client_calls.from_json(body.get("parameters") or {}),
        body.get("region", REGION),
    )


def _cache(world: World, body: Any, query: dict[str, str]) -> Any:
    with world.lock:
        world.tick()
        return elasticache.set_status(world, body or {})


def _function(world: World, body: Any, query: dict[str, str]) -> Any:
    with world.lock:
        world.tick()
        return {"versions": lambda_idle.make_idle(world, body or {})}


def _stats(world: World, body: Any, query: dict[str, str]) -> Any:
    return world.log.stats()


def _fork(world: World, body: Any, query: dict[str, str]) -> Any:
    return {"port": forking.fork(world, world.serve)}


_ENDPOINTS = {
    ("POST", "fork"): _fork,
    ("POST", "end"): lambda world, body, query: {},
    ("POST", "reset"): _reset,
    ("POST", "config"): _config,
    ("POST", "advance"): _advance,
    ("POST", "faults"): _faults,
    ("GET", "held"): _held,
    ("POST", "release"): _release,
    ("GET", "log"): _log,
    ("POST", "log/clear"): _log_clear,
    ("GET", "requests"): _requests,
    ("GET", "watched"): _watched,
    ("GET", "events"): _events,
    ("GET", "account"): _account,
    ("POST", "seed"): _seed,
    ("POST", "call"): _call,
    ("POST", "cache"): _cache,
    ("POST", "function"): _function,
    ("GET", "stats"): _stats,
}
