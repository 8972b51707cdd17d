"""Processes a request: log, faults, idempotency, then the handler of the call or moto."""

from __future__ import annotations

import contextlib
import json
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from typing import Any

from moto.core.exceptions import ServiceException

from . import read_lag, wire
from .errors import AwsError, MotoReply, Unimplemented
from .faults import CONCURRENT, Hold, Rule, access_denied, error_for
from .iam_actions import GATEWAYS, QUIET_HEADER, actions, is_mutating, resource
from .model_check import check, redacted, refusal
from .wire import Call, RawRequest, Response
from .account_state import World

Handler = Callable[[World, Call], Any]

HANDLERS: dict[tuple[str, str], Handler] = {}

TOKENS = ("ClientToken", "ClientRequestToken", "clientToken", "IdempotencyToken")


def operation(service: str, *names: str) -> Callable[[Handler], Handler]:
    """Registers a function as the handler of these operations.

    It returns a result in boto3's format or a moto `Response`, or raises `AwsError`.
    """

    def register(handler: Handler) -> Handler:
        for name in names:
            HANDLERS[service, name] = handler
        return handler

    return register


def watch(world: World) -> list[int | None]:
    """The current statuses of the `watch` requests."""
    from . import data_plane

    statuses = []
    for wanted in world.config["watch"]:
        headers = {name.lower(): value for name, value in wanted.get("headers", {}).items()}
        path = f"/_aws/execute-api/{wanted['path']}"
        raw = RawRequest(wanted.get("method", "GET"), path, wanted.get("query", ""), headers, b"")
        response = data_plane.handle(world, raw)
        statuses.append(response.status if response is not None else None)
    return statuses


def _canonical(params: Any) -> str:
    def default(value: Any) -> str:
        return value.hex() if isinstance(value, bytes) else str(value)

    return json.dumps(params, sort_keys=True, default=default)


def lacks(world: World, action: str) -> bool:
    """Whether the caller lacks the right to an action."""
    return any(fnmatchcase(action, pattern) for pattern in world.config["lacks"])


def handle(world: World, raw: RawRequest, alive: Callable[[], bool] = lambda: True) -> Response | None:
    """The reply to a request, or None if the connection is to be closed without one."""
    if QUIET_HEADER in raw.headers:
        call = wire.parse(raw)
        return _answer(world, call, check(call))[0]
    try:
        call = wire.parse(raw)
    except Unimplemented as missing:
        return _unknown(world, raw, str(missing))
    mutating = is_mutating(call.service, call.operation)
    findings = check(call)
    needed = actions(call.service, call.operation, raw.method, call.params)
    entry = world.log.begin(
        service=call.service,
        operation=call.operation,
        mutating=mutating,
        status=None,
        error_code=None,
        injected=False,
        unimplemented=False,
        model_errors=findings,
        iam_action=needed[0],
        iam_actions=needed,
        iam_resource=resource(call.service, call.region, raw.path),
        parameters=redacted(call),
        access_key=wire.access_key(raw.headers),
    )
    call.entry = entry
    without_tokens = {k: v for k, v in call.params.items() if k not in TOKENS}
    identity = f"{call.service}:{call.operation}:{_canonical(without_tokens)}"
    rule = world.faults.match(call.service, call.operation, mutating, identity)
    if rule is not None:
        entry["injected"] = True
    if rule is not None and rule.kind in ("throttle", "500", "503", "deny", "error", "conflict"):
        error = error_for(rule, call.service, needed[0], call.region)
        response = wire.serialize(call, error)
        entry.update(status=response.status, error_code=error.code)
        return response
    lacking = next((action for action in needed if lacks(world, action)), None)
    if lacking is not None:
        error = access_denied(call.service, lacking, call.region)
        response = wire.serialize(call, error)
        entry.update(status=response.status, error_code=error.code)
        return response
    with _writing(world, call, entry) as is_alone:
        return _execute_and_hold(world, call, entry, findings, rule, is_alone, alive)


@contextlib.contextmanager
def _writing(world: World, call: Call, entry: dict[str, Any]) -> Iterator[bool]:
    """While a write of an API of version 2 is in progress, from its arrival to its reply. Yields whether no other one
    of the same API was in progress when it arrived."""
    api_id = call.params.get("ApiId")
    if call.service != "apigatewayv2" or not entry["mutating"] or api_id is None:
        yield True
        return
    with world.lock:
        others = world.writes.setdefault(api_id, [])
        is_alone = not others
        others.append(entry["n"])
    try:
        time.sleep(world.config["http_api"]["write_seconds"])
        yield is_alone
    finally:
        with world.lock:
            others.remove(entry["n"])


def _execute_and_hold(
    world: World,
    call: Call,
    entry: dict[str, Any],
    findings: list[str],
    rule: Rule | None,
    is_alone: bool,
    alive: Callable[[], bool],
) -> Response | None:
    if rule is not None and rule.kind == "hold-before":
        hold = Hold(entry["n"], call.service, call.operation, "before", rule.freeze)
        world.faults.begin(hold)
        world.faults.wait(hold, alive)
    while True:
        world.faults.thaw(alive)
        if not alive():
            entry["error_code"] = "ClientGone"
            return None
        # Executing the call and holding it is one step, so that no other call is executed in between.
        with world.lock:
            if world.faults.is_frozen():
                continue
            if is_alone:
                response, code, missing = _answer(world, call, findings)
            else:
                error = AwsError("ConflictException", CONCURRENT, 409)
                response, code, missing = wire.serialize(call, error), error.code, False
            entry.update(status=response.status, error_code=code, unimplemented=missing)
            if entry["mutating"] and world.config["watch"]:
                world.watched.append({"operation": call.operation, "statuses": watch(world)})
            if rule is not None and rule.kind == "hold":
                hold = Hold(entry["n"], call.service, call.operation, "after", rule.freeze)
                world.faults.begin(hold)
            break
    if rule is not None and rule.kind == "drop":
        return None
    if rule is not None and rule.kind == "unreadable" and response.status < 300 and response.body:
        return Response(response.status, response.headers, b'{"<')
    if rule is not None and rule.kind == "hold":
        world.faults.wait(hold, alive)
    return response


def _unknown(world: World, raw: RawRequest, what: str) -> Response:
    found = wire.scope(raw.headers)
    signing = found[1] if found else "unknown"
    name = what.rpartition(":")[2]
    world.log.begin(
        service=(wire.service_of(signing, raw.path) or (signing,))[0],
        operation=name,
        mutating=is_mutating(signing, name),
        status=400,
        error_code="TestAwsUnimplemented",
        injected=False,
        unimplemented=True,
        model_errors=[f"no such operation: {what}"],
        iam_action=f"{signing}:{name}",
        iam_actions=[f"{signing}:{name}"],
        iam_resource=None,
        parameters={},
        access_key=wire.access_key(raw.headers),
    )
    protocol = {"ec2": "ec2", "iam": "query", "sts": "query", "elasticache": "query"}.get(signing, "json")
    return wire.plain_error(signing, protocol, _unimplemented(what))


def _unimplemented(what: str) -> AwsError:
    # A 4xx, because the SDK would retry a 5xx and the test would hang instead of naming the call.
    return AwsError("TestAwsUnimplemented", f"the test AWS does not implement {what}", 400)


def _answer(world: World, call: Call, findings: list[str]) -> tuple[Response, str | None, bool]:
    """(reply, error code, whether the call is not implemented)"""
    unreadable = refusal(call, findings) if call.model is not None else None
    if unreadable is not None:
        return wire.serialize(call, unreadable), unreadable.code, False
    try:
        with world.lock:
            world.tick()
            # Internal calls that play another user see the account without lag.
            if QUIET_HEADER in call.raw.headers:
                result = _execute(world, call)
            else:
                read_lag.refuse(world, call)
                result = read_lag.show(world, call, _execute(world, call))
                omitted = world.config["omit"].get(call.operation)
                if omitted:
                    result = _omit(call, result, frozenset(omitted))
        if isinstance(result, Response):
            return result, _code_of(call, result), False
        return _with_nulls(world, call, wire.serialize(call, result)), None, False
    except MotoReply as reply:
        return reply.response, _code_of(call, reply.response), False
    except Unimplemented:
        error = _unimplemented(f"{call.service}:{call.operation}")
        return wire.plain_error(call.service, call.protocol, error), error.code, True
    except ServiceException as error:
        return wire.serialize(call, error), error.code, False
    except Exception as problem:  # noqa: BLE001 - a defect here must be visible and must not stop the server
        traceback.print_exc(file=sys.stderr)
        error = AwsError("TestAwsDefect", f"{type(problem).__name__}: {problem}", 500)
        return wire.plain_error(call.service, call.protocol, error), error.code, False


def _omit(call: Call, result: Any, names: frozenset[str]) -> Any:
    """An answer without the members of these names, at whatever depth: as AWS's were before it had them."""

    def without(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: without(inner) for name, inner in value.items() if name not in names}
        return [without(inner) for inner in value] if isinstance(value, list) else value

    if not isinstance(result, Response):
        return without(result)
    if result.status >= 300:
        return result
    if call.operation in ("GetExport", "ExportApi"):
        return Response(result.status, result.headers, json.dumps(without(json.loads(result.body)), indent=2).encode())
    return without(call.parse(result))


def _with_nulls(world: World, call: Call, response: Response) -> Response:
    """A JSON answer in which absent members of these names are null, as emulators write them."""
    names = world.config["nulls"].get(call.operation)
    if not names:
        return response
    document = json.loads(response.body)
    for shown in document.get("items", [document]):
        for name in names:
            shown.setdefault(name, None)
    return Response(response.status, response.headers, json.dumps(document).encode())


def _execute(world: World, call: Call) -> Any:
    if call.parse_error:
        raise AwsError(
            "MalformedQueryString" if call.protocol in ("ec2", "query") else "SerializationException", call.parse_error
        )
    if call.service == "ec2" and call.get("DryRun"):
        raise AwsError("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412)
    if call.service in GATEWAYS:
        _pace(world)
    handler = HANDLERS.get((call.service, call.operation))
    token = next((call.params[name] for name in TOKENS if call.params.get(name)), None)
    if token is None:
        return handler(world, call) if handler else call.moto()
    key = (call.service, call.operation, str(token))
    canonical = _canonical({k: v for k, v in call.params.items() if k not in TOKENS})
    known = world.tokens.get(key)
    if known is not None:
        if known[0] != canonical:
            raise AwsError(
                "IdempotentParameterMismatch",
                "The request uses the same client token as a previous, but non-identical request.",
            )
        return known[1]() if callable(known[1]) else known[1]
    result = handler(world, call) if handler else call.moto()
    if not (isinstance(result, Response) and result.status >= 300):
        # `setdefault`: the handler may already have stored a function that returns the current state of the resource.
        world.tokens.setdefault(key, (canonical, result))
    return result


def _pace(world: World) -> None:
    """API Gateway's rate limit for control calls, if configured: a bucket of `burst`, refilled at `per_second`."""
    rate = world.config["apigateway_rate"]
    if not rate:
        return
    now = world.now()
    left, since = world.control_bucket or (float(rate["burst"]), now)
    left = min(float(rate["burst"]), left + (now - since) * rate["per_second"])
    if left < 1:
        world.control_bucket = (left, now)
        raise AwsError("TooManyRequestsException", "Too Many Requests", 429)
    world.control_bucket = (left - 1, now)


def remember(world: World, call: Call, again: Callable[[], Any]) -> None:
    """Makes a repeat of this call's client token return the current result of `again`."""
    token = next((call.params[name] for name in TOKENS if call.params.get(name)), None)
    if token is not None:
        canonical = _canonical({k: v for k, v in call.params.items() if k not in TOKENS})
        world.tokens[call.service, call.operation, str(token)] = (canonical, again)


def _code_of(call: Call, response: Response) -> str | None:
    if response.status < 300:
        return None
    for name, value in response.headers.items():
        if name.lower() == "x-amzn-errortype":
            return value.split(":")[0]
    body = response.body.decode("utf-8", "replace")
    if "<Code>" in body:
        return body.split("<Code>", 1)[1].split("</Code>", 1)[0]
    try:
        return json.loads(body).get("__type", "").rpartition("#")[2] or str(response.status)
    except (ValueError, AttributeError):
        return str(response.status)
