"""Copies of this account in separate processes: `fork()` takes milliseconds, while re-creating a state takes seconds."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Callable

from .account_state import World


def reap() -> None:
    """Prevents zombies of copies that have ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)


def fork(world: World, serve: Callable[[Callable[[int], None]], None]) -> int:
    """The port of a copy of this account, taken between two calls or after the held call.

    The copy has no faults, no holds, and an empty log. `serve` runs in it forever and reports its port.
    """
    reading, writing = os.pipe()
    gc.collect()
    gc.freeze()  # pages that the garbage collector does not touch stay shared
    # A lock that another thread holds during the fork would be held in the copy forever.
    with world.lock, world.log.lock, world.faults.changed:
        copy = os.fork() == 0
        if copy:
            world.forked()
    if copy:
        try:
            _close_all_but(writing)
            serve(lambda port: _tell(writing, port))
        finally:
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading) as answer:
        port = answer.read()
    if not port:
        raise ValueError("the copy ended at once")
    return int(port)


def _tell(pipe: int, port: int) -> None:
    os.write(pipe, str(port).encode())
    os.close(pipe)


def _close_all_but(kept: int) -> None:
    """Closes the connections of the original's callers. They continue in the original, so they are not shut down."""
    for name in os.listdir("/proc/self/fd"):
        descriptor = int(name)
        if descriptor > 2 and descriptor != kept:
            try:
                os.close(descriptor)
            except OSError:
                pass  # the descriptor that listed the folder
