"""Customers' profiles into PostgreSQL: absolute rows, guarded by position.

Takes:    values of the stream ``profiles``: profiles and tombstones
Delivery: once in effect: rows and the places up to which they are complete are one transaction
Replays:  a row of a lower position than what is there loses; of equal positions the later one holds

Lines travel as they are: a ``COPY`` into a table of the session, which PostgreSQL itself takes
apart into columns. Fields that it has no column for are ignored, as every reader does.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from schemas.engines import EngineError
from schemas.slices import Place, place_of
from sinks.postgres_engine import Postgres, check

STREAM = "profiles"

_COLUMNS = (
    "tenant", "phone", "name", "aliases", "segment", "r", "f", "m", "recency_days", "frequency",
    "monetary_minor", "currency", "last_visit_at", "next_booking_at", "birthday", "consent",
    "as_of", "position", "merged_into", "forgotten",
)  # fmt: skip
"""All but the key."""

# A commit that a crash of the server takes back is taken back with its places: it is read again.
_SESSION = """
SET synchronous_commit = off;
CREATE TEMPORARY TABLE said (line jsonb) ON COMMIT DELETE ROWS;
"""
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
_CLAIM = "INSERT INTO flowsell.log (log) VALUES (%s) ON CONFLICT DO NOTHING"

_NUL = b"\\u0000"


class _Whose(msgspec.Struct):
    customer_id: str


_whose = msgspec.json.Decoder(_Whose).decode


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


class ProfilesInPostgres:
    """PostgreSQL, as a store sees it."""

    name = "postgres"

    def __init__(self, url: str) -> None:
        self._engine = Postgres(url)
        self._held: dict[str, bytes] = {}
        """The last line of each customer: an upsert may touch a row once."""

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
        with self._engine.answers():
            rows = self._engine.connection.execute("SELECT place, next FROM flowsell.progress")
            return {place_of(place): offset for place, offset in rows}

    def add(self, stream: str, values: list[bytes]) -> None:
        """Hold the last line of each customer."""
        assert stream == STREAM
        for value in values:
            self._held[_whose(value).customer_id] = value

    def held(self) -> int:
        """Customers."""
        return len(self._held)

    def write(self, reached: Mapping[Place, int]) -> None:
        """One transaction: rows in the order of their keys, then the places."""
        connection = self._engine.connection
        with self._engine.answers(), connection.transaction(), connection.cursor() as cursor:
            if self._held:
                with cursor.copy("COPY said FROM STDIN") as copy:
                    lines = [copied(self._held[each]) for each in sorted(self._held)]
                    copy.write(b"\n".join([*lines, b""]))
                cursor.execute(_UPSERT)
            cursor.executemany(_PROGRESS, [(str(place), at) for place, at in reached.items()])
        self._held = {}

    def close(self) -> None:
        """Let go of PostgreSQL and of what is held."""
        self._held = {}
        self._engine.close()
