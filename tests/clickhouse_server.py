"""ClickHouse's HTTP interface over the embedded engine, for tests of the way to a server.

Takes: a folder; requests of clickhouse-connect
Out:   what a real engine answers, in the formats of the real interface; no SQL is understood here
"""

from __future__ import annotations

import base64
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import chdb
from lz4 import frame  # type: ignore[import-untyped]  # of clickhouse-connect

from sinks.clickhouse_engine import PINNED
from sinks.clickhouse_target import Server

USER, PASSWORD = "flow", "p@ss word"
_AUTHORIZATION = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


class Bridge(ThreadingHTTPServer):
    """One engine; ``told`` gathers the pinned settings of every request."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.connection: Any = chdb.connect(str(folder))
        self.lock = threading.Lock()
        self.told: list[dict[str, str]] = []
        self.refuses = ""

    def answer(self, statement: str, body: bytes, parameters: dict[str, str]) -> bytes:
        """Run one statement; an insert's rows come through a file."""
        bound = {k.removeprefix("param_"): v for k, v in parameters.items() if k[:6] == "param_"}
        with self.lock, tempfile.NamedTemporaryFile() as file:
            if body:
                file.write(body)
                file.flush()
                head, _, form = statement.rpartition(" FORMAT ")
                statement = f"{head} FROM INFILE '{file.name}' FORMAT {form}"
            result = self.connection.query(statement, "TabSeparated", params=bound)
            return bytes(result.bytes() or b"")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Bridge

    def do_POST(self) -> None:
        self._respond(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

    def do_GET(self) -> None:
        self._respond(b"")

    def _respond(self, body: bytes) -> None:
        if self.server.connection is None:
            self.close_connection = True
            return
        parameters = dict(parse_qsl(urlsplit(self.path).query))
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b"".join(self._chunks())
        if self.headers.get("Content-Encoding") == "lz4":
            body = frame.decompress(body)
        self.server.told.append({k: parameters[k] for k in PINNED if k in parameters})
        statement = parameters.pop("query", "")
        if not statement:
            statement, body = body.decode(), b""
        elif not statement.lstrip().upper().startswith("INSERT"):
            statement, body = f"{statement}\n{body.decode()}", b""
        status, said = 200, b""
        try:
            if self.headers.get("Authorization") != _AUTHORIZATION:
                raise RuntimeError("Code: 516. DB::Exception: Authentication failed")
            if self.server.refuses and self.server.refuses in statement:
                raise RuntimeError(
                    "Code: 243. DB::Exception: Cannot reserve 1.00 MiB, not enough space"
                )
            said = self.server.answer(statement, body, parameters)
        except RuntimeError as error:
            status, said = 500, str(error).encode()
        self.send_response(status)
        if status != 200:
            self.send_header("X-ClickHouse-Exception-Code", "243")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def served(folder: Path) -> Iterator[tuple[Bridge, Server]]:
    """A server on a free port, and how to reach it."""
    bridge = Bridge(folder)
    thread = threading.Thread(target=bridge.serve_forever, daemon=True)
    thread.start()
    try:
        yield bridge, Server("127.0.0.1", bridge.server_address[1], USER, PASSWORD)
    finally:
        bridge.shutdown()
        bridge.server_close()
        connection, bridge.connection = bridge.connection, None
        connection.close()
        thread.join()
