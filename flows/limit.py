"""Stop a replay whose input is mostly not what it should be.

In:    decoded chunks, in log order
Out:   whether a minute of the log's clock had more than a fifth of its records dead
State: the open minute's counts; ``remember`` and ``recall`` carry them over a restart
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.batch import I8, NONE, Batch
from schemas.durations import MINUTE_MS

AT_LEAST_RECORDS = 100
MOST_DEAD_SHARE = 0.2
IMPATIENT_RECORDS = 100_000
"""A minute with so many records is judged before it is over: it may be a whole file of rubbish."""


class TooManyDead(Exception):
    """The input is beyond the limit; the message says by how much and where to look."""


@dataclass
class Minute:
    """Counts of one minute of the log's clock."""

    clock_ms: int = NONE
    records: int = 0
    dead: int = 0

    def text(self) -> str:
        """``31 of 120 records in the minute 2026-11-20T10:00Z``."""
        when = ""
        if self.clock_ms > 0:
            at = datetime.fromtimestamp(self.clock_ms // 1000, UTC)
            when = f" in the minute {at:%Y-%m-%dT%H:%MZ}"
        return f"{self.dead:,} of {self.records:,} records{when}"


class DeadLetterLimit:
    """Looks at each chunk once, from the committed position on."""

    def __init__(self, committed: int) -> None:
        self._committed = committed
        self._open = Minute()
        self._bad: Minute | None = None

    def observe(self, batches: Sequence[Batch]) -> None:
        """Count a chunk's records by minute."""
        positions, clock, dead = _by_record(batches, self._committed, self._open.clock_ms)
        if not len(positions):
            return
        minutes, starts = np.unique(clock // MINUTE_MS, return_index=True)
        records = np.diff(np.append(starts, len(clock)))
        refused = np.add.reduceat(dead.astype(np.int64), starts)
        timeless = self._open.clock_ms == NONE
        if timeless or minutes[0] == self._open.clock_ms // MINUTE_MS:
            records[0] += self._open.records
            refused[0] += self._open.dead
        else:
            self._judge(self._open)
        suspects = np.flatnonzero(_too_many(records[:-1], refused[:-1]))
        if len(suspects):
            row = int(suspects[0])
            at = int(minutes[row]) * MINUTE_MS
            self._judge(Minute(at, int(records[row]), int(refused[row])))
        self._open = Minute(int(clock[-1]), int(records[-1]), int(refused[-1]))
        if self._open.records >= IMPATIENT_RECORDS:
            self._judge(self._open)

    def broken(self, at_end: bool) -> bool:
        """Whether a minute was too bad; the end of the input closes the last one."""
        if at_end:
            self._judge(self._open)
        return self._bad is not None

    def check(self) -> None:
        """Raise ``TooManyDead`` if the limit was broken."""
        if self._bad is not None:
            raise TooManyDead(f"more than 20 % are dead letters: {self._bad.text()}")

    def remember(self) -> dict[str, dict[str, int] | None]:
        """What a restart needs."""
        return {"open": asdict(self._open), "bad": asdict(self._bad) if self._bad else None}

    def recall(self, kept: Mapping[str, Mapping[str, int] | None]) -> None:
        """Go on from what an earlier run remembered."""
        minute, bad = kept.get("open"), kept.get("bad")
        self._open = Minute(**minute) if minute else Minute()
        self._bad = Minute(**bad) if bad else None

    def _judge(self, minute: Minute) -> None:
        if self._bad is None and _too_many(np.int64(minute.records), np.int64(minute.dead)):
            self._bad = minute


def _too_many(records: Any, dead: Any) -> Any:
    """More than a fifth of at least a hundred; for one minute or a column of them."""
    return (records >= AT_LEAST_RECORDS) & (dead > MOST_DEAD_SHARE * records)


def _by_record(
    batches: Sequence[Batch], committed: int, clock_ms: int
) -> tuple[I8, I8, NDArray[np.bool_]]:
    """Positions from ``committed`` on, the running clock and deadness, one row a record.

    A heartbeat reaches every lane, and is one record all the same. What comes before the first time
    that can be read is of its minute.
    """
    if not batches:
        empty = np.empty(0, dtype=np.int64)
        return empty, empty, np.empty(0, dtype=np.bool_)
    positions, rows = np.unique(
        np.concatenate([batch.positions for batch in batches]), return_index=True
    )
    appended = np.concatenate([batch.appended_ms for batch in batches])[rows]
    fresh = positions >= committed
    positions, appended = positions[fresh], appended[fresh]
    clock = np.maximum(np.maximum.accumulate(appended), clock_ms)
    timeless = clock == NONE
    if not timeless.all():
        clock[timeless] = clock[~timeless][0]
    refused = [dead.position for batch in batches for dead in batch.dead_letters]
    return positions, clock, np.isin(positions, np.asarray(refused, dtype=np.int64))
