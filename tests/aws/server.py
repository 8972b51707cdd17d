"""Runs the test AWS: AWS's endpoint and the control endpoints on one port of the loopback address.

Prints one line, `{"port": N}`, once it answers; ends when its standard input is closed.
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
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

# moto reads these at import.
os.environ.setdefault("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
os.environ.setdefault("MOTO_ACCOUNT_ID", "123456789012")
for _name, _value in (("AWS_ACCESS_KEY_ID", "testing"), ("AWS_SECRET_ACCESS_KEY", "testing")):
    os.environ.setdefault(_name, _value)

from testaws import lean  # noqa: E402  (must come before moto's EC2 is imported)

lean.slim_moto()

from testaws import control, data_plane, forking, gateway, services, wire  # noqa: E402
from testaws.world import World  # noqa: E402


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    world: World

    def _serve(self) -> None:
        body = self._read_body()
        split = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        raw = wire.RawRequest(self.command, split.path, split.query, headers, body)
        if split.path.startswith("/_test/"):
            response = control.handle(self.world, raw)
        elif split.path.startswith("/_aws/execute-api/"):
            response = data_plane.handle(self.world, raw)
        else:
            response = gateway.handle(self.world, raw, self._alive)
        if response is None:
            self.close_connection = True
            with contextlib.suppress(OSError):  # the caller may have gone first
                self.connection.shutdown(socket.SHUT_RDWR)
            return
        self._reply(response)
        if split.path == "/_test/end":
            os._exit(0)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = _serve

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            parts = []
            while True:
                size = int(self.rfile.readline().split(b";", 1)[0], 16)
                parts.append(self.rfile.read(size))
                self.rfile.readline()
                if size == 0:
                    return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _reply(self, response: wire.Response) -> None:
        self.send_response(response.status)
        names = set()
        for name, value in response.headers.items():
            if name.lower() in ("status", "server", "date", "content-length"):
                continue
            names.add(name.lower())
            self.send_header(name, str(value))
        if "content-type" not in names:
            self.send_header("Content-Type", "application/json")
        if "x-amzn-requestid" not in names:
            self.send_header("x-amzn-RequestId", "00000000-0000-4000-8000-000000000000")
        bodiless = response.status == 204  # such a reply must not have one, nor a length
        if not bodiless:
            self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        if not bodiless and self.command != "HEAD":
            self.wfile.write(response.body)
        self.wfile.flush()

    def _alive(self) -> bool:
        """Whether the caller still has the connection open."""
        try:
            readable, _, _ = select.select([self.connection], [], [], 0)
            return not readable or bool(self.connection.recv(1, socket.MSG_PEEK))
        except (OSError, ValueError):
            return False

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError, TimeoutError):  # killed callers are what this server is for
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
