"""The ops endpoint: what a running process says of itself over HTTP.

Takes: FLOWSELL_OPS_PORT (0: none), ``Vitals``, whether a drain was asked for
Out:   ``/metrics`` for Prometheus; ``/livez``: 200 while the loop turns; ``/readyz``: 200 while all
       owned lanes are restored and polled; ``/``: what is there. No phone, no name, no body
State: a thread of its own, which only reads

It listens on every address, without TLS or a password: keep the port inside.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from threading import Thread
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from flows.environment import EnvironmentMistake
from flows.metrics import Clock, registry_of
from state.vitals import Vitals

LIVE_SECONDS = 60.0
"""Longer than any call that the flow makes to an engine before it gives up (30 s)."""
READY_SECONDS = 10.0
"""A loop that is busy turns within this; one that waits for an engine does not."""
REQUEST_SECONDS = 5.0

PAGES = {
    "/metrics": "for Prometheus",
    "/livez": "200 while the loop turns, else 503: restart this process",
    "/readyz": "200 while its lanes are restored and polled, else 503 and why",
}

_WHY_NOT = {
    "starting": "connecting to Kafka",
    "waiting": "another process does this; it takes over when that one is gone",
    "joining": "waiting for lanes",
    "restoring": "restoring lanes",
    "rebalancing": "its lanes were taken away, waiting for others",
    "draining": "draining",
}


class Health(msgspec.Struct, frozen=True):
    """What ``/livez`` and ``/readyz`` answer; ``why`` is empty where all is well."""

    ok: bool
    phase: str
    why: str
    lanes: list[int]


def liveness(vitals: Vitals, started_at: float, now: float) -> str:
    """Why the process is stuck; empty while it is not."""
    quiet = now - (started_at if vitals.alive_at is None else vitals.alive_at)
    return f"nothing has moved for {quiet:.0f} s" if quiet > LIVE_SECONDS else ""


def readiness(vitals: Vitals, is_draining: bool, now: float) -> str:
    """Why the process does no useful work at this moment; empty while it does."""
    if is_draining:
        return _WHY_NOT["draining"]
    if vitals.phase != "running":
        return _WHY_NOT[vitals.phase]
    quiet = now - (vitals.turned_at or now)
    if quiet > READY_SECONDS:
        return f"the loop has not turned for {quiet:.0f} s"
    if vitals.is_connected is False:
        return "cut off: no broker is connected"
    if away := vitals.away.copy():
        return f"cut off: {'; '.join(away.values())}"
    lanes = vitals.lanes.copy().values()
    behind = sum(max(0, lane.emits_from - lane.position) for lane in lanes)
    if behind:
        return f"folding {behind} records again that were committed before"
    return ""


@dataclass(frozen=True)
class Endpoint:
    """Answers by path, without a server."""

    vitals: Vitals
    is_draining: Callable[[], bool]
    clock: Clock
    registry: CollectorRegistry
    started_at: float

    def answer(self, path: str, accept: str) -> tuple[int, str, bytes]:
        """Status, content type and body of a page."""
        if path == "/metrics":
            encode, kind = choose_encoder(accept)
            return 200, kind, encode(self.registry)
        if path == "/":
            lines = [f"{page}  {about}" for page, about in PAGES.items()]
            return 200, "text/plain; charset=utf-8", "\n".join([*lines, ""]).encode()
        if path not in PAGES:
            return 404, "text/plain; charset=utf-8", b"not here; / says what is\n"
        now = self.clock.monotonic()
        why = liveness(self.vitals, self.started_at, now)
        if path == "/readyz":
            why = why or readiness(self.vitals, self.is_draining(), now)
        lanes = sorted(self.vitals.lanes.copy())
        told = Health(ok=not why, phase=self.vitals.phase, why=why, lanes=lanes)
        return (503 if why else 200), "application/json", msgspec.json.encode(told) + b"\n"


@contextmanager
def serving(port: int, vitals: Vitals, is_draining: Callable[[], bool]) -> Iterator[None]:
    """The endpoint for as long as the block lasts; port 0: none."""
    if port == 0:
        yield
        return
    clock = Clock(time.monotonic, lambda: time.time() * 1000)
    registry = registry_of(vitals, clock)
    endpoint = Endpoint(vitals, is_draining, clock, registry, clock.monotonic())
    try:
        server = _Server(("", port), _answering(endpoint))
    except OSError as error:
        raise EnvironmentMistake(
            f"FLOWSELL_OPS_PORT: cannot listen on {port}: {error.strerror}; "
            "give each process of a host its own, or 0 for none"
        ) from None
    thread = Thread(target=server.serve_forever, name="ops", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingMixIn, TCPServer):
    """Not ``HTTPServer``, which asks the name service who it is before it listens."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who asks and goes away before the answer is nobody's error."""


def _answering(endpoint: Endpoint) -> type[BaseHTTPRequestHandler]:
    class Answering(BaseHTTPRequestHandler):
        server_version = "flowsell"
        sys_version = ""
        timeout = REQUEST_SECONDS

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            status, kind, body = endpoint.answer(path, self.headers.get("Accept", ""))
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815 - the server's own spelling

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: probes come every few seconds."""

    return Answering
