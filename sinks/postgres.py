"""Customers' profiles into PostgreSQL: absolute rows, guarded by position.

Takes:    values of the stream ``profiles``: profiles and tombstones
Delivery: once in effect: rows and the places up to which they are complete are one transaction
Replays:  a row of a lower position than what is there loses; of equal positions the later one holds

Lines travel as they are: a ``COPY`` into a table of the session, which PostgreSQL itself takes
apart into columns. Fields that it has no column for are ignored, as every reader does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Literal, NamedTuple

import msgspec

from schemas.engines import EngineError
from schemas.outputs import decode_profile, decode_tombstone
from schemas.slices import Place, place_of
from sinks.postgres_engine import Postgres, check

STREAM = "profiles"

_COLUMNS = (
    "tenant", "phone", "name", "aliases", "segment", "r", "f", "m", "recency_days", "frequency",
    "monetary_minor", "currency", "last_visit_at", "next_booking_at", "birthday", "consent",
    "as_of", "position", "merged_into", "forgotten",
)  # fmt: skip
"""All but the key."""

_SESSION = "CREATE TEMPORARY TABLE said (line jsonb) ON COMMIT DELETE ROWS"
_UPSERT = f"""
INSERT INTO flowsell.profiles (customer_id, {", ".join(_COLUMNS)})
SELECT row.customer_id, {", ".join(f"row.{name}" for name in _COLUMNS)}
FROM said, jsonb_populate_record(NULL::flowsell.profiles, line) AS row
ON CONFLICT (customer_id) DO UPDATE
SET {", ".join(f"{name} = excluded.{name}" for name in _COLUMNS)}
WHERE excluded.position >= profiles.position
"""  # noqa: S608 - names of our own
_PROGRESS = """
INSERT INTO flowsell.progress (place, next) VALUES (%s, %s)
ON CONFLICT (place) DO UPDATE SET next = greatest(progress.next, excluded.next), at = now()
"""
_INSTANT = """'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'"""


def _told(instant: str) -> str:
    """An instant as every output has it: milliseconds where there are some."""
    return f"replace(to_char({instant} AT TIME ZONE 'UTC', {_INSTANT}), '.000Z', 'Z')"


_READ = f"""
SELECT (to_jsonb(row) || jsonb_build_object(
    'last_visit_at', {_told("last_visit_at")},
    'next_booking_at', {_told("next_booking_at")},
    'as_of', {_told("as_of")}
))::text
FROM flowsell.profiles AS row
"""  # noqa: S608 - names of our own
_CLAIM = "INSERT INTO flowsell.log (log) VALUES (%s) ON CONFLICT DO NOTHING"

_NUL = b"\\u0000"


class _Whose(msgspec.Struct, gc=False):
    customer_id: str
    position: int


class _Row(msgspec.Struct):
    segment: str | None


_whose = msgspec.json.Decoder(_Whose).decode
_row = msgspec.json.Decoder(_Row).decode


def places_of(engine: Postgres) -> Mapping[Place, int]:
    """The offset up to which every profile is there, by place."""
    with engine.answers():
        rows = engine.connection.execute("SELECT place, next FROM flowsell.progress")
        return {place_of(place): offset for place, offset in rows}


def copied(line: bytes) -> bytes:
    """A line of JSON as a line of ``COPY``; a NUL, which no text here can hold, is left out."""
    if _NUL in line:
        line = msgspec.json.encode(_without_nul(msgspec.json.decode(line)))
    return line.replace(b"\\", b"\\\\")


def _without_nul(value: object) -> object:
    if isinstance(value, str):
        return value.replace("\0", "")
    if isinstance(value, dict):
        return {_without_nul(name): _without_nul(each) for name, each in value.items()}
    return value


def _line(row: str) -> bytes:
    """A row as the topic said it."""
    is_profile = _row(row).segment is not None
    return msgspec.json.encode(decode_profile(row) if is_profile else decode_tombstone(row))


class Profiles(NamedTuple):
    """Everybody as of one moment: whose log, how far it was, how many, and their lines."""

    log: str
    places: Mapping[Place, int]
    total: int
    lines: Iterator[list[bytes]]


class ProfilesInPostgres:
    """PostgreSQL, as a store sees it."""

    name = "postgres"

    def __init__(self, url: str) -> None:
        self._engine = Postgres(url)
        self._held: dict[str, tuple[int, bytes]] = {}
        """Position and line of each customer's last: an upsert may touch a row once."""

    def open(self, log: str) -> Mapping[Place, int]:
        """Connect, check the migrations, claim the tables for this log."""
        engine = self._engine
        engine.open()
        try:
            check(engine)
            with engine.answers():
                engine.connection.execute(_CLAIM, (log,))
                claimed = engine.connection.execute("SELECT log FROM flowsell.log").fetchone()
                engine.connection.execute(_SESSION)
            if claimed is None or claimed[0] != log:
                raise EngineError(
                    f"{engine}: holds the profiles of another log; give an empty database"
                )
            return self.places()
        except BaseException:
            engine.close()
            raise

    def places(self) -> Mapping[Place, int]:
        """The offset up to which every profile is there."""
        return places_of(self._engine)

    def add(self, stream: str, values: list[bytes]) -> None:
        """Hold the last line of each customer."""
        assert stream == STREAM
        held = self._held
        for value in values:
            whose = _whose(value)
            before = held.get(whose.customer_id)
            if before is None or whose.position >= before[0]:
                held[whose.customer_id] = whose.position, value

    def held(self) -> int:
        """Customers."""
        return len(self._held)

    def take(self) -> list[bytes]:
        """Lines in the order of their keys, so that two processes never wait for each other."""
        held, self._held = self._held, {}
        return [copied(held[each][1]) for each in sorted(held)]

    def write(self, taken: list[bytes], reached: Mapping[Place, int]) -> None:
        """One transaction: rows, then the places."""
        connection = self._engine.connection
        with self._engine.answers(), connection.transaction(), connection.cursor() as cursor:
            if taken:
                with cursor.copy("COPY said FROM STDIN") as copy:
                    copy.write(b"\n".join([*taken, b""]))
                cursor.execute(_UPSERT)
            cursor.executemany(_PROGRESS, [(str(place), at) for place, at in reached.items()])

    def find(self, tenant: str, by: Literal["customer_id", "phone"], value: str) -> bytes | None:
        """The line of one customer, as the topic said it; ``None`` where there is none."""
        engine = self._engine
        engine.open()
        try:
            check(engine)
            with engine.answers():
                query = f"{_READ}WHERE tenant = %s AND {by} = %s"
                row = engine.connection.execute(query, (tenant, value)).fetchone()
            return None if row is None else _line(row[0])
        finally:
            engine.close()

    @contextmanager
    def read(self, at_once: int) -> Iterator[Profiles]:
        """All profiles as of one moment, as the topic would say them, and their places."""
        engine = self._engine
        engine.open()
        try:
            check(engine)
            with engine.answers(), engine.connection.transaction():
                run = engine.connection.execute
                run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                claimed = run("SELECT log FROM flowsell.log").fetchone()
                if claimed is None:
                    raise EngineError(f"{engine}: holds no profiles yet")
                counted = run("SELECT count(*) FROM flowsell.profiles").fetchone()
                assert counted is not None
                yield Profiles(claimed[0], self.places(), counted[0], self._lines(at_once))
        finally:
            engine.close()

    def _lines(self, at_once: int) -> Iterator[list[bytes]]:
        with self._engine.connection.cursor("profiles") as cursor:
            cursor.execute(_READ)
            while rows := cursor.fetchmany(at_once):
                yield [_line(text) for (text,) in rows]

    def close(self) -> None:
        """Let go of PostgreSQL and of what is held."""
        self._held = {}
        self._engine.close()
