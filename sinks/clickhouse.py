"""Aggregates, segment changes and decisions into ClickHouse: absolute rows, guarded by position.

Takes:    ``Outputs``, or encoded lines: of them ``STREAMS``
Delivery: at least once: an insert has been answered before ``write`` or ``flush`` returns, and an
          engine that refuses raises. A row is whole or not there; of a batch that was cut off some
          inserts may be there, until it is sent again
Replays:  the same rows again are the same rows, and a row of a lower position than what is there
          loses: the tables replace by position, the views ``<table>_now`` read what is settled

A position means something within one log, so a database takes the rows of one log only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from schemas.batch import Outputs
from schemas.engines import EngineError
from sinks.clickhouse_engine import ANSWER_SECONDS, ClickHouse
from sinks.clickhouse_rows import TABLES, arrow_table, decoded
from sinks.clickhouse_target import Embedded, Target
from sinks.migrations import check, migrate

STREAMS = ("segments", "decisions", "aggregates")
"""What ClickHouse takes of a lane's outputs; profiles and commands hold phones and names."""

ENOUGH_ROWS = 10_000
"""An insert is a part on disk: fewer rows wait for the commit."""
MOST_ROWS = 100_000
"""Rows of one insert, which is built in memory whole."""

Rows = Mapping[str, Sequence[msgspec.Struct]]
"""By table, in the order in which they came."""


class Warehouse:
    """Rows on their way to one database, a buffer for each table."""

    def __init__(self, target: Target, answer_seconds: int = ANSWER_SECONDS) -> None:
        self.engine = ClickHouse(target, answer_seconds)
        self._held: dict[str, list[msgspec.Struct]] = {}
        self._rows = 0

    def open(self) -> None:
        """Connect and look at the tables; an embedded engine gets them here and now."""
        self.engine.open()
        try:
            if isinstance(self.engine.target, Embedded):
                migrate(self.engine)
            check(self.engine)
        except BaseException:
            self.engine.close()
            raise

    def claim(self, log: str) -> str:
        """Take the database for the rows of this log; returns the database's own name."""
        query = "SELECT log, toString(database) FROM flowsell.log ORDER BY since LIMIT 1"
        if not (claimed := self.engine.rows(query)):
            self.engine.command(
                "INSERT INTO flowsell.log SELECT {log:String}, generateUUIDv4(), now64(3)",
                log=log,
            )
            claimed = self.engine.rows(query)
        owner, database = claimed[0]
        if owner != log:
            raise EngineError(
                f"{self.engine.target}: holds the rows of another log; "
                "give an empty folder, or a server without a database flowsell"
            )
        return str(database)

    def add(self, outputs: Outputs) -> None:
        """Hold one lane's rows; enough of them are written at once."""
        for stream in STREAMS:
            messages = outputs.streams.get(stream, ())
            self.add_lines(stream, [message.value for message in messages])

    def add_lines(self, stream: str, lines: Sequence[bytes]) -> None:
        """The same from encoded outputs."""
        for start in range(0, len(lines), MOST_ROWS):
            self.hold(stream, lines[start : start + MOST_ROWS])
            if self._rows >= ENOUGH_ROWS:
                self.flush()

    def hold(self, stream: str, lines: Sequence[bytes]) -> None:
        """Hold these lines as rows, however many there are."""
        for table, rows in decoded(stream, lines).items():
            self._held.setdefault(table, []).extend(rows)
            self._rows += len(rows)

    @property
    def held(self) -> int:
        """Rows of all tables that wait for an insert."""
        return self._rows

    def write(self, parts: Sequence[Outputs]) -> None:
        """Insert these rows, and what was held before them, now."""
        for outputs in parts:
            self.add(outputs)
        self.flush()

    def flush(self) -> None:
        """Insert everything that is held; what was inserted is not held any more."""
        for table in TABLES:
            if rows := self._held.get(table):
                self.insert({table: rows})
                self._held[table] = []
                self._rows -= len(rows)

    def take(self) -> Rows:
        """What is held, which from now on is not."""
        held, self._held, self._rows = self._held, {}, 0
        return held

    def insert(self, taken: Rows) -> None:
        """Insert these rows, table by table."""
        for table in TABLES:
            for some in _pieces(taken.get(table, ())):
                self.engine.insert(table, arrow_table(table, some))

    def close(self) -> None:
        """Let go of the engine; what is held and not flushed is not written."""
        self._held = {}
        self._rows = 0
        self.engine.close()


def _pieces(rows: Sequence[msgspec.Struct]) -> Iterator[Sequence[msgspec.Struct]]:
    for start in range(0, len(rows), MOST_ROWS):
        yield rows[start : start + MOST_ROWS]
