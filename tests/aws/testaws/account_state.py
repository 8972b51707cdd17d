"""The account's configuration, its clock, and the state that moto does not store."""

from __future__ import annotations

import datetime
import heapq
import itertools
import threading
import time
from collections.abc import Callable
from typing import Any

from .faults import Faults
from .requests_log import RequestsLog

REGION = "us-east-1"

DEFAULT_CONFIG: dict[str, Any] = {
    "delay": 0,
    "eni_linger": 0,
    "eni_description": "AWS Lambda VPC ENI-{function}-{id}",
    "role_delay": 0,
    "page_size": None,
    "required_tags": [],
    "zones_without_t4g": [],
    "quotas": {
        "vpcs": 5,
        "elastic_ips": 5,
        "nat_gateways": 5,
        "vcpus": 5,
        "concurrent_executions": 1000,
        "parameters": 10000,
    },
    "outcomes": {},
    "cache_endpoint": {},
    "valid_keys": [],
    "valid_tokens": None,
    "valid_services": None,
    "watch": [],
    "authorizer_context": None,
    "deployment_lag": 0,
    "http_api": {
        "thaw": "now",
        "managed_stage": "refused",
        "managed_route": "accepted",
        "freeze_lag": 0,
        "authorizer_names": "unique",
        "write_seconds": 0,
        "exported_authorizers": "used",
        "pending_when_off": "unused",
        "unlisted": 0,
    },
    "read_lag": 0,
    "apigateway_rate": None,
    "log_lag": 0,
    "clock_shift": 0,
    "omit": {},
    "nulls": {},
    "export_adds": {},
    "lambda_lag": 0,
    "ssm_network": False,
    "caller": None,
    "lacks": [],
}

_SUFFIXES = ("-delete", "-update", "-restore", "-automatic")


def _of(kind: str) -> str:
    return kind.rpartition("-")[0] if kind.endswith(_SUFFIXES) else kind


class World:
    """One account. `lock` is held while a call is executed, so checks and changes are atomic."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.log = RequestsLog()
        self.faults = Faults()
        self.serve: Callable[[Callable[[int], None]], None] = lambda tell: None  # set by the server
        self._reset_hooks: list[Callable[[World], None]] = []
        self._fresh()

    def _fresh(self) -> None:
        self.config: dict[str, Any] = {k: v.copy() if isinstance(v, dict) else v for k, v in DEFAULT_CONFIG.items()}
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._sequence = itertools.count()
        self._advanced = 0.0
        self.tokens: dict[tuple[str, str, str], tuple[str, Any]] = {}  # client tokens
        self.control_bucket: tuple[float, float] | None = None
        self.requests: list[dict[str, Any]] = []  # requests to deployed APIs
        self.writes: dict[str, list[int]] = {}  # by API of version 2: the calls in progress that write it, in order
        self.events: list[dict[str, Any]] = []  # the events of authorizers of APIs of version 2
        self.unseen_lines: list[list[Any]] = []  # lines of functions, see `logs`
        self.watched: list[dict[str, Any]] = []  # the statuses of the `watch` requests after each changing call

    def on_reset(self, hook: Callable[[World], None]) -> None:
        """Registers a function that creates a module's state. It runs now and at every reset."""
        self._reset_hooks.append(hook)
        hook(self)

    def reset(self) -> None:
        self.faults.clear()
        with self.lock:
            self._fresh()
            reset_moto()
            self.log.clear()
            for hook in self._reset_hooks:
                hook(self)

    def forked(self) -> None:
        """Turns this into the account of a copy, without the requests and faults of the original."""
        self.log = RequestsLog()
        self.faults = Faults()
        self.requests = []
        self.watched = []
        self.events = []
        self.writes = {}

    def configure(self, changes: dict[str, Any]) -> None:
        unknown = set(changes) - set(DEFAULT_CONFIG)
        if unknown:
            raise ValueError(f"unknown configuration: {sorted(unknown)}")
        with self.lock:
            unknown = set(changes.get("http_api", {})) - set(DEFAULT_CONFIG["http_api"])
            if unknown:
                raise ValueError(f"unknown configuration of http_api: {sorted(unknown)}")
            for key, value in changes.items():
                if isinstance(DEFAULT_CONFIG[key], dict):
                    value = {**self.config[key], **value}
                self.config[key] = value

    def delay(self, kind: str) -> float:
        """Seconds a transition of this kind takes. One with a suffix falls back to the kind without it."""
        delay = self.config["delay"]
        if not isinstance(delay, dict):
            return float(delay)
        for name in (kind, _of(kind), "default"):
            if name in delay:
                return float(delay[name])
        return 0.0

    def now(self) -> float:
        """The account's clock, in seconds from an arbitrary point in time."""
        return time.monotonic() + self._advanced

    def time(self) -> float:
        """The time of the service in seconds since 1970. `advance` and `clock_shift` move it."""
        return time.time() + self._advanced + self.config["clock_shift"]

    def date(self) -> datetime.datetime:
        return datetime.datetime.fromtimestamp(self.time(), datetime.UTC)

    def advance(self, seconds: float) -> None:
        """Moves the account's clock forward and runs the transitions that are due by then."""
        with self.lock:
            self._advanced += seconds
            self.tick()

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Runs `action` after this duration: immediately for 0, otherwise before the next call after it has passed."""
        if seconds <= 0:
            action()
        else:
            heapq.heappush(self._timers, (self.now() + seconds, next(self._sequence), action))

    def tick(self) -> None:
        """Runs all transitions that are due, in order."""
        now = self.now()
        while self._timers and self._timers[0][0] <= now:
            heapq.heappop(self._timers)[2]()

    def outcome(self, kind: str) -> Any:
        return self.config["outcomes"].get(kind)


def reset_moto() -> None:
    from moto.core.base_backend import BackendDict
    from moto.core.model_instances import reset_model_data

    BackendDict.reset()
    reset_model_data()
