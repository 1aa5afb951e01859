"""Real engines behind stores, each told and asked in the same few words.

Takes: folders; a server of each kind, started once for a test process
Out:   ``Kept``: an engine, a message about a customer, what is there, an absence and its end
"""

from __future__ import annotations

import atexit
import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Protocol

import psycopg
import valkey
from pymongo import MongoClient

from benchmarks.engines import MongoServer, PostgresServer, ValkeyServer
from sinks.clickhouse_engine import ClickHouse
from sinks.clickhouse_target import Server
from sinks.migrations import migrate as migrate_clickhouse
from sinks.mongo import MessagesInMongo
from sinks.postgres import ProfilesInPostgres
from sinks.postgres_engine import Postgres
from sinks.postgres_engine import migrate as migrate_postgres
from sinks.store import Engine
from sinks.valkey import CUSTOMER, LOG, ProfilesInValkey
from sinks.warehouse import WarehouseEngine
from tests.clickhouse_server import Bridge, served

NOW = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def customer(number: int) -> str:
    return f"{number:032x}"


def profile(number: int, position: int, segment: str, **other: Any) -> bytes:
    """A line of the stream ``profiles``."""
    said: dict[str, Any] = {
        "tenant": "salon", "customer_id": customer(number), "phone": f"+7701{number:07d}",
        "name": "Мария", "aliases": {"whatsapp_bsuid": "KZ.1"}, "segment": segment, "r": 3, "f": 1,
        "m": 2, "recency_days": 31, "frequency": 2, "monetary_minor": 1_650_000, "currency": "KZT",
        "last_visit_at": "2026-03-20T07:00:00Z", "next_booking_at": None, "birthday": "1990-02-28",
        "consent": {"marketing": {"value": True, "at": "2026-03-20T07:00:00Z", "source": "client"}},
        "as_of": NOW, "position": position,
    }  # fmt: skip
    return json.dumps(said | other, ensure_ascii=False, separators=(",", ":")).encode()


def tombstone(number: int, position: int, into: int | None) -> bytes:
    """The same for one that was merged away, or forgotten."""
    said = {
        "tenant": "salon",
        "customer_id": customer(number),
        "merged_into": None if into is None else customer(into),
        "forgotten": into is None,
        "as_of": NOW,
        "position": position,
    }
    return json.dumps(said, separators=(",", ":")).encode()


class Kept(Protocol):
    """One engine and what a test wants of it."""

    stream: str

    def engine(self) -> Engine:
        """A new one, not opened yet."""

    def nowhere(self) -> Engine:
        """One whose engine is not there."""

    def message(self, number: int, position: int, segment: str) -> bytes:
        """What the topic says of a customer."""

    def there(self) -> dict[str, str]:
        """Segments by customer."""

    def refuse_places(self) -> None:
        """From now on the engine takes rows, and no places."""

    def accept_places(self) -> None:
        """As before."""

    def go_away(self) -> None:
        """Killed, or cut off."""

    def come_back(self) -> None:
        """With what was answered before."""

    def clear(self) -> None:
        """Empty, as at the beginning."""


class KeptInClickHouse:
    """chDB behind ClickHouse's HTTP protocol."""

    stream = "aggregates"

    def __init__(self, bridge: Bridge, server: Server) -> None:
        self._bridge, self.server = bridge, server
        self._connection = bridge.connection
        self._reads = ClickHouse(server)
        self._reads.open()
        migrate_clickhouse(self._reads)

    def engine(self) -> Engine:
        return WarehouseEngine(self.server)

    def nowhere(self) -> Engine:
        return WarehouseEngine(Server("127.0.0.1", 1))

    def message(self, number: int, position: int, segment: str) -> bytes:
        said = json.loads(profile(number, position, segment))
        names = (
            "tenant", "customer_id", "segment", "r", "f", "m", "recency_days", "frequency",
            "monetary_minor", "last_visit_at", "position",
        )  # fmt: skip
        row = {name: said[name] for name in names}
        return json.dumps({"table": "customer_segments", **row}).encode()

    def there(self) -> dict[str, str]:
        query = "SELECT customer_id, segment FROM flowsell.customer_segments_now"
        return {str(who): str(segment) for who, segment in self._reads.rows(query)}

    def refuse_places(self) -> None:
        self._bridge.refuses = "progress"

    def accept_places(self) -> None:
        self._bridge.refuses = ""

    def go_away(self) -> None:
        self._bridge.connection = None

    def come_back(self) -> None:
        self._bridge.connection = self._connection

    def clear(self) -> None:
        self.come_back()
        self.accept_places()
        for table in ("customer_segments", "segment_changes", "forgotten", "progress", "log"):
            self._reads.command(f"TRUNCATE TABLE flowsell.{table}")


class KeptInPostgres:
    """PostgreSQL itself, killed and started."""

    stream = "profiles"

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self.clear()

    def engine(self) -> Engine:
        return ProfilesInPostgres(self._server.url)

    def nowhere(self) -> Engine:
        return ProfilesInPostgres("postgresql://flow:hush@127.0.0.1:1/flowsell")

    def message(self, number: int, position: int, segment: str) -> bytes:
        return profile(number, position, segment)

    def there(self) -> dict[str, str]:
        return dict(self._run("SELECT customer_id, segment FROM flowsell.profiles_now"))

    def refuse_places(self) -> None:
        self._run("ALTER TABLE flowsell.progress ADD CONSTRAINT never CHECK (next < 0) NOT VALID")

    def accept_places(self) -> None:
        self._run("ALTER TABLE flowsell.progress DROP CONSTRAINT never")

    def go_away(self) -> None:
        self._server.kill()

    def come_back(self) -> None:
        self._server.start()

    def clear(self) -> None:
        self._run("DROP SCHEMA IF EXISTS flowsell CASCADE")
        engine = Postgres(self._server.url)
        engine.open()
        migrate_postgres(engine)
        engine.close()

    def _run(self, statement: str) -> list[Any]:
        with psycopg.connect(self._server.url, autocommit=True) as connection:
            found = connection.execute(statement)
            return list(found.fetchall()) if found.description else []


class KeptInValkey:
    """Valkey itself, which answers a write when it is on disk."""

    stream = "profiles"

    def __init__(self, server: ValkeyServer) -> None:
        self._server = server
        self._asks = valkey.Valkey.from_url(server.url, decode_responses=True)
        self.clear()

    def engine(self) -> Engine:
        return ProfilesInValkey(self._server.url)

    def nowhere(self) -> Engine:
        return ProfilesInValkey("valkey://flow:hush@127.0.0.1:1/0")

    def message(self, number: int, position: int, segment: str) -> bytes:
        return profile(number, position, segment)

    def there(self) -> dict[str, str]:
        keys = [*self._asks.scan_iter(match=f"{CUSTOMER}*")]
        return {key.removeprefix(CUSTOMER): str(self._asks.hget(key, "segment")) for key in keys}

    def refuse_places(self) -> None:
        self._asks.rename(LOG, "elsewhere")

    def accept_places(self) -> None:
        self._asks.rename("elsewhere", LOG)

    def go_away(self) -> None:
        self._server.kill()

    def come_back(self) -> None:
        self._server.start()

    def clear(self) -> None:
        self._asks.flushall()


def written(number: int, position: int, text: str, **other: Any) -> bytes:
    """A line of an excerpt."""
    said: dict[str, Any] = {
        "said": "written", "tenant": "salon", "provider": "whatsapp",
        "message_id": f"wamid.{number}",
        "customer_id": customer(number), "direction": "in", "kind": "text", "text": text,
        "at_ms": int(time.time() * 1000), "position": position,
    }  # fmt: skip
    return json.dumps(said | other).encode()


class KeptInMongo:
    """A server that speaks MongoDB's protocol, killed and started."""

    stream = "records"

    def __init__(self, server: MongoServer) -> None:
        self._server = server
        self.asks = mongo_database()
        self.clear()

    def engine(self) -> Engine:
        return MessagesInMongo(self._server.url)

    def nowhere(self) -> Engine:
        return MessagesInMongo("mongodb://flow:hush@127.0.0.1:1/flowsell")

    def message(self, number: int, position: int, segment: str) -> bytes:
        return written(number, position, segment)

    def there(self) -> dict[str, str]:
        return {each["customer_id"]: each["text"] for each in self.asks.messages.find()}

    def refuse_places(self) -> None:
        self.asks.command({"collMod": "progress", "validator": {"next": {"$lt": 0}}})

    def accept_places(self) -> None:
        self.asks.command({"collMod": "progress", "validator": {}})

    def go_away(self) -> None:
        self._server.kill()

    def come_back(self) -> None:
        self._server.start()

    def clear(self) -> None:
        for name in ("messages", "progress", "forgotten", "log"):
            self.asks.drop_collection(name)


@cache
def mongo_server() -> MongoServer:
    """The one of this test process; it ends with it."""
    folder = Path(mkdtemp(prefix="flowsell-mongo-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    server = MongoServer(folder)
    atexit.register(server.kill)
    return server


@cache
def mongo_database() -> Any:
    """A client of its own, for who looks into it."""
    client: MongoClient[Any] = MongoClient(mongo_server().url)
    atexit.register(client.close)
    return client.get_default_database()


@cache
def postgres_server() -> PostgresServer:
    """The one of this test process; it ends with it."""
    folder = Path(mkdtemp(prefix="flowsell-pg-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)  # runs last: the server ends first
    return PostgresServer(folder / "postgres")


@cache
def valkey_server() -> ValkeyServer:
    """The same."""
    folder = Path(mkdtemp(prefix="flowsell-valkey-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    server = ValkeyServer(folder, "--appendonly", "yes", "--appendfsync", "always")
    atexit.register(server.kill)
    return server


@contextmanager
def kept(name: str, folder: Path) -> Iterator[Kept]:
    """An empty engine of this name, with its tables; what a test opened is closed after it."""
    if name == "clickhouse":
        with served(folder / "clickhouse") as (bridge, server):
            there = KeptInClickHouse(bridge, server)
            yield there
            there.come_back()
            close_opened()
    else:
        makes: dict[str, Callable[[], Kept]] = {
            "valkey": lambda: KeptInValkey(valkey_server()),
            "postgres": lambda: KeptInPostgres(postgres_server()),
            "mongo": lambda: KeptInMongo(mongo_server()),
        }
        made = makes[name]()
        yield made
        close_opened()


_opened: list[Engine] = []


def opened(engine: Engine, log: str = "log-1") -> Engine:
    """Open it until the test ends."""
    engine.open(log)
    _opened.append(engine)
    return engine


def close_opened() -> None:
    """Close what a test has opened."""
    while _opened:
        _opened.pop().close()
