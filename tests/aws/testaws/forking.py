"""Copies of this account, each a process of its own: `fork()` takes milliseconds where making a state again takes seconds."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Callable

from .account_state import World


def reap() -> None:
    """Leaves no zombies of copies that have ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)


def fork(world: World, serve: Callable[[Callable[[int], None]], None]) -> int:
    """The port of a copy of this account as it is between two calls, or after the call that is held.

    The copy knows no faults, holds nothing and has an empty log. `serve` runs in it, for ever, and tells its port.
    """
    reading, writing = os.pipe()
    gc.collect()
    gc.freeze()  # what the collector never looks at stays one page for all
    # Whatever another thread may hold, or it would be held in the copy for ever.
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
    """Closes what belongs to the original's callers. It goes on there, so nothing is shut down."""
    for name in os.listdir("/proc/self/fd"):
        descriptor = int(name)
        if descriptor > 2 and descriptor != kept:
            try:
                os.close(descriptor)
            except OSError:
                pass  # the one that listed the folder
