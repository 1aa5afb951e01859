"""What topics say as rows in ClickHouse, with the places up to which they are complete beside them.

Takes:    values of the streams of ``sinks.clickhouse.STREAMS``
Delivery: at least once: a write has inserted every row before it notes the places
Replays:  absolute rows, replaced by position; of a place the highest offset is the truth
"""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from schemas.slices import Place, place_of
from sinks.clickhouse import Rows, Warehouse
from sinks.clickhouse_engine import ClickHouse
from sinks.clickhouse_rows import POSITION, TEXT
from sinks.clickhouse_target import Target

INSERT_SECONDS = 45
"""Under the minute after which a process that says nothing is taken for stuck."""


class WarehouseEngine:
    """ClickHouse, as a store sees it."""

    name = "clickhouse"

    def __init__(self, target: Target) -> None:
        self._warehouse = Warehouse(target, INSERT_SECONDS)

    def open(self, log: str) -> Mapping[Place, int]:
        """Connect, check the migrations, claim the database for this log."""
        self._warehouse.open()
        try:
            self._warehouse.claim(log)
            return self.places()
        except BaseException:
            self._warehouse.close()
            raise

    def places(self) -> Mapping[Place, int]:
        """The offset up to which every row is there."""
        return places_of(self._warehouse.engine)

    def add(self, stream: str, values: list[bytes]) -> None:
        """Hold these as rows of their tables."""
        self._warehouse.hold(stream, values)

    def held(self) -> int:
        """Rows of all tables."""
        return self._warehouse.held

    def take(self) -> Rows:
        """Rows by table."""
        return self._warehouse.take()

    def write(self, taken: Rows, reached: Mapping[Place, int]) -> None:
        """An insert for each table, then one for the places."""
        self._warehouse.insert(taken)
        if reached:
            self._warehouse.engine.insert("progress", progress_table(reached))

    def close(self) -> None:
        """Let go of ClickHouse and of what is held."""
        self._warehouse.close()


def places_of(engine: ClickHouse) -> Mapping[Place, int]:
    """The offset up to which every row is there, by place."""
    found = engine.rows("SELECT place, max(next) FROM flowsell.progress GROUP BY place")
    return {place_of(str(place)): int(offset) for place, offset in found}


def progress_table(reached: Mapping[Place, int]) -> pa.Table:
    """Rows of ``progress``; the engine says when."""
    places = TEXT.array([str(place) for place in reached], TEXT.arrow)
    offsets = POSITION.array([*reached.values()], POSITION.arrow)
    return pa.Table.from_arrays([places, offsets], ["place", "next"])
