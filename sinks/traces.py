"""What stores still tell of somebody who wants to be forgotten, and how what no flow deletes goes.

Takes:    a tenant and customer ids, the position of the wish
Delivery: ``erase`` has been carried out when it returns; ``EngineError`` for what an engine refuses
Replays:  erased twice is once; a row of before the wish that is written again shows in no view
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import pyarrow as pa

from schemas.slices import Place
from sinks import postgres, valkey, warehouse
from sinks.clickhouse import STREAMS
from sinks.clickhouse_engine import ClickHouse
from sinks.clickhouse_rows import CHANGES, POSITION, TEXT
from sinks.clickhouse_target import Target
from sinks.migrations import check as check_clickhouse
from sinks.postgres_engine import Postgres
from sinks.postgres_engine import check as check_postgres

_SEGMENTS = "customer_segments"
_OF = "tenant = {tenant:String} AND customer_id IN {ids:Array(String)}"
_BEFORE = "position <= {position:UInt64}"


class Traces(Protocol):
    """One store, as a wish to be forgotten meets it; every method may raise ``EngineError``."""

    name: str
    streams: tuple[str, ...]
    """The streams that it is filled from."""

    def open(self) -> None:
        """Connect."""

    def places(self) -> Mapping[Place, int]:
        """The offset up to which everything is there, by place."""

    def count(self, tenant: str, ids: Sequence[str]) -> int:
        """Rows or hashes that tell anything of these customers but that they are forgotten."""

    def erase(self, tenant: str, ids: Sequence[str], position: int) -> None:
        """Delete what is of before the wish and what no flow deletes."""

    def close(self) -> None:
        """Let go of the engine."""


class TracesInPostgres:
    """Profiles: the flow itself replaces them by tombstones."""

    name = "postgres"
    streams: tuple[str, ...] = (postgres.STREAM,)

    def __init__(self, url: str) -> None:
        self._engine = Postgres(url)

    def open(self) -> None:
        """Connect, and check the migrations."""
        self._engine.open()
        check_postgres(self._engine)

    def places(self) -> Mapping[Place, int]:
        """As the flow has noted them."""
        return postgres.places_of(self._engine)

    def count(self, tenant: str, ids: Sequence[str]) -> int:
        """Rows that are no tombstones."""
        with self._engine.answers():
            found = self._engine.connection.execute(
                "SELECT count(*) FROM flowsell.profiles WHERE tenant = %s"
                " AND customer_id = ANY(%s) AND segment IS NOT NULL",
                (tenant, [*ids]),
            ).fetchone()
        assert found is not None
        return int(found[0])

    def erase(self, tenant: str, ids: Sequence[str], position: int) -> None:
        """Nothing is left to do: a tombstone is one row in place of the profile."""

    def close(self) -> None:
        """Let go of PostgreSQL."""
        self._engine.close()


class TracesInValkey:
    """Hashes: the flow itself replaces them by tombstones; a phone stands nowhere."""

    name = "valkey"
    streams: tuple[str, ...] = (valkey.STREAM,)

    def __init__(self, url: str) -> None:
        self._client: Any = valkey.connection(url)

    def open(self) -> None:
        """Whether it answers."""
        with valkey.answers(self._client):
            self._client.ping()

    def places(self) -> Mapping[Place, int]:
        """As the flow has noted them."""
        return valkey.places_of(self._client)

    def count(self, tenant: str, ids: Sequence[str]) -> int:
        """Hashes with a segment; a tombstone has none."""
        keys = [valkey.CUSTOMER + each for each in ids]
        with valkey.answers(self._client):
            return sum(bool(self._client.hexists(key, "segment")) for key in keys)

    def erase(self, tenant: str, ids: Sequence[str], position: int) -> None:
        """Nothing is left to do: a tombstone is one hash in place of the other."""

    def close(self) -> None:
        """Let go of Valkey."""
        self._client.close()


class TracesInClickHouse:
    """Segments and their changes under the customer's id; nothing else there knows whose it is."""

    name = "clickhouse"
    streams: tuple[str, ...] = STREAMS

    def __init__(self, target: Target) -> None:
        self._engine = ClickHouse(target)

    def open(self) -> None:
        """Connect, and check the migrations."""
        self._engine.open()
        check_clickhouse(self._engine)

    def places(self) -> Mapping[Place, int]:
        """As the flow has noted them."""
        return warehouse.places_of(self._engine)

    def count(self, tenant: str, ids: Sequence[str]) -> int:
        """Rows, also those that a later one has replaced and no merge has dropped yet."""
        told = 0
        for table, which in ((CHANGES, "1"), (_SEGMENTS, "segment != ''")):
            statement = f"SELECT count() FROM flowsell.{table} WHERE {_OF} AND {which}"  # noqa: S608  # names of our own
            told += int(self._engine.rows(statement, tenant=tenant, ids=[*ids])[0][0])
        return told

    def erase(self, tenant: str, ids: Sequence[str], position: int) -> None:
        """The wish is noted first; then the parts that hold rows of before it are written anew."""
        columns = [
            TEXT.array([tenant] * len(ids), TEXT.arrow),
            TEXT.array([*ids], TEXT.arrow),
            POSITION.array([position] * len(ids), POSITION.arrow),
        ]
        noted = pa.Table.from_arrays(columns, ["tenant", "customer_id", "position"])
        self._engine.insert("forgotten", noted)
        for table, which in ((CHANGES, _BEFORE), (_SEGMENTS, f"{_BEFORE} AND segment != ''")):
            self._engine.command(
                f"ALTER TABLE flowsell.{table} DELETE WHERE {_OF} AND {which}"
                " SETTINGS mutations_sync = 2",
                tenant=tenant,
                ids=[*ids],
                position=position,
            )

    def close(self) -> None:
        """Let go of ClickHouse."""
        self._engine.close()
