"""Runs the test AWS: AWS's endpoint and the control endpoints on one port of the loopback address.

Prints one line, `{"port": N}`, when it is ready, and ends when its standard input is closed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import select
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from email.utils import formatdate
from functools import cache
from http.client import responses
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

# moto reads these variables when it is imported.
os.environ.setdefault("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
os.environ.setdefault("MOTO_ACCOUNT_ID", "123456789012")
for _name, _value in (("AWS_ACCESS_KEY_ID", "testing"), ("AWS_SECRET_ACCESS_KEY", "testing")):
    os.environ.setdefault(_name, _value)

from testaws import slim_moto  # noqa: E402  (must come before moto's EC2 is imported)

slim_moto.slim_moto()

from testaws import control, data_plane, forking, gateway, rpc_cbor, services, wire  # noqa: E402
from testaws.account_state import World  # noqa: E402


@cache
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # buffered, so that a reply is one write
    world: World

    def handle_one_request(self) -> None:
        """Reads a request without the mail parser of the base class, which takes longer than many calls."""
        words = self.rfile.readline().decode("latin-1").split()
        if len(words) != 3:
            self.close_connection = True
            return
        self.command, target, version = words
        lines: list[tuple[str, str]] = []
        while line := self.rfile.readline().strip():
            name, _, value = line.decode("latin-1").partition(":")
            lines.append((name, value.strip()))
        headers = {name.lower(): value for name, value in lines}
        self.close_connection = version != "HTTP/1.1" or headers.get("connection", "").lower() == "close"
        if headers.get("expect", "").lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.wfile.flush()
        self._serve(target, headers, lines)

    def _serve(self, target: str, headers: dict[str, str], lines: list[tuple[str, str]]) -> None:
        body = self._read_body(headers)
        split = urlsplit(target)
        raw = wire.RawRequest(self.command, split.path, split.query, headers, body, lines)
        if split.path.startswith("/_test/"):
            response = control.handle(self.world, raw)
        elif split.path.startswith("/_aws/execute-api/"):
            response = data_plane.handle(self.world, raw)
        else:
            response = rpc_cbor.serve(raw, lambda one: gateway.handle(self.world, one, self._alive))
        if response is None:
            self.close_connection = True
            with contextlib.suppress(OSError):  # the caller may have closed the connection first
                self.connection.shutdown(socket.SHUT_RDWR)
            return
        self._reply(response)
        if split.path == "/_test/end":
            os._exit(0)

    def _read_body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() == "chunked":
            parts = []
            while True:
                size = int(self.rfile.readline().split(b";", 1)[0], 16)
                parts.append(self.rfile.read(size))
                self.rfile.readline()
                if size == 0:
                    return b"".join(parts)
        return self.rfile.read(int(headers.get("content-length") or 0))

    def _reply(self, response: wire.Response) -> None:
        given = {name.lower(): value for name, value in response.headers.items()}
        # HTTP APIs name their requests in another header.
        id_name = "apigw-requestid" if "apigw-requestid" in given else "x-amzn-requestid"
        headers = {
            "content-type": "application/json",
            id_name: "00000000-0000-4000-8000-000000000000",
            **given,
            "date": _date(int(self.world.time())),
        }
        for name in ("status", "server", "content-length"):
            headers.pop(name, None)
        bodiless = response.status in (101, 204)  # they must not have a body or a length
        if not bodiless:
            headers["content-length"] = str(len(response.body))
        lines = [f"HTTP/1.1 {response.status} {responses.get(response.status, '')}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self.wfile.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        if not bodiless and self.command != "HEAD":
            self.wfile.write(response.body)
        self.wfile.flush()
        if response.status == 101:
            self.close_connection = True  # nothing speaks the other protocol

    def _alive(self) -> bool:
        """Whether the caller still has the connection open."""
        try:
            readable, _, _ = select.select([self.connection], [], [], 0)
            return not readable or bool(self.connection.recv(1, socket.MSG_PEEK))
        except (OSError, ValueError):
            return False

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError, TimeoutError):  # tests kill callers deliberately
            super().handle()

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        traceback.print_exc(file=sys.stderr)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--port", type=int, default=0, help="0 picks a free one")
    arguments.add_argument("--detached", action="store_true", help="go on when standard input is closed")
    chosen = arguments.parse_args()
    world = World()
    services.install(world)
    Handler.world = world
    services.warm(world)
    forking.reap()

    def serve(tell: Callable[[int], None], port: int = 0) -> None:
        server = Server(("127.0.0.1", port), Handler)
        tell(server.server_address[1])
        if not chosen.detached:
            threading.Thread(target=_end_with_stdin, daemon=True).start()
        server.serve_forever(poll_interval=0.5)

    def hello(port: int) -> None:
        sys.stdout.write(json.dumps({"port": port}) + "\n")
        sys.stdout.flush()

    world.serve = serve
    serve(hello, chosen.port)


def _end_with_stdin() -> None:
    while os.read(0, 4096):
        pass
    os._exit(0)


if __name__ == "__main__":
    main()
