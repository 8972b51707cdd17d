"""The requests to the account, in order of arrival."""

from __future__ import annotations

import threading
from typing import Any


class RequestsLog:
    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._entries: list[dict[str, Any]] = []
        self._n = 0

    def begin(self, **fields: Any) -> dict[str, Any]:
        """Adds an entry. Its outcome (`status`, `error_code`) stays null until the call is answered."""
        with self.lock:
            self._n += 1
            entry = {"n": self._n, **fields}
            self._entries.append(entry)
            return entry

    def list(self) -> list[dict[str, Any]]:
        with self.lock:
            return [dict(entry) for entry in self._entries]

    def clear(self) -> None:
        with self.lock:
            self._entries = []
            self._n = 0

    def stats(self) -> dict[str, int]:
        with self.lock:
            return {
                "requests": len(self._entries),
                "mutating": sum(1 for entry in self._entries if entry["mutating"]),
            }
