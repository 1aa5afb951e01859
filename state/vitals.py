"""What a running process tells of itself: counts, moments and positions, kept to be read.

Takes: what sources and sinks have done, once per batch or commit, never per record
State: one object per process; its worker's thread writes, and the one that writes to an engine
       what that refuses; any other may read at any moment

Moments are seconds of a monotonic clock, ``*_ms`` instants in ms since the Unix epoch, UTC: both
are given. What is counted is committed, so that nothing is counted twice by a replay.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from schemas.batch import I8
from state.census import Census

Phase = Literal["starting", "waiting", "joining", "restoring", "running", "rebalancing", "draining"]

MINUTE_SECONDS = 60.0
AT_LEAST_RECORDS = 100
MOST_DEAD_SHARE = 0.2

LATENCY_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)


class Histogram:
    """Counts of seconds by upper bounds; the last cell holds what is above all of them."""

    def __init__(self, bounds: tuple[float, ...] = LATENCY_SECONDS) -> None:
        self.bounds = bounds
        self.cells: I8 = np.zeros(len(bounds) + 1, np.int64)
        self.sum = 0.0

    def observe(self, seconds: np.ndarray[tuple[int], np.dtype[np.float64]]) -> None:
        """Adds n observations, float64 seconds."""
        cells = np.searchsorted(self.bounds, seconds, "left")
        self.cells = self.cells + np.bincount(cells, minlength=len(self.cells))
        self.sum += float(seconds.sum())


@dataclass(slots=True)
class LaneVitals:
    """One lane that is owned: where it is read, committed and saved."""

    position: int
    """What is read next."""
    emits_from: int
    """C at the assignment: below it everything is folded again, in silence."""
    committed: int
    committed_ms: int
    """Append time of the last record that is committed, as far as it is known."""
    saved_at: float | None
    """``None``: nothing of it is saved, as it has no state."""
    owned_at: float
    end: int = 0
    """The end of the lane's log, when it was last heard of."""
    waiting: deque[tuple[int, int]] = field(default_factory=deque)
    """Chunks that are read and not committed: the position behind each, its first append time."""
    census: Census | None = None
    counted_at: float = -1e9

    def commit(self, position: int) -> None:
        """C has come this far."""
        self.committed = position
        while self.waiting and self.waiting[0][0] <= position:
            self.committed_ms = self.waiting.popleft()[1]

    @property
    def lag_records(self) -> int:
        """Records of the log that are not committed."""
        return max(0, self.end - self.committed)

    def lag_seconds(self, now_ms: float) -> float:
        """Age of the oldest record that is not committed; 0 if there is none."""
        if not self.lag_records:
            return 0.0
        # The worker's thread may take the last one away between a look and the next.
        since = next(iter(self.waiting.copy()), (0, self.committed_ms))[1]
        return max(0.0, (now_ms - since) / 1000)


class Vitals:
    """What the ops endpoint tells; a process without one keeps it all the same."""

    def __init__(self) -> None:
        self.phase: Phase = "starting"
        self.alive_at: float | None = None
        """The last step of any work, also of a restore or of a call that is tried again."""
        self.turned_at: float | None = None
        """The last turn of the loop that polls."""
        self.is_connected: bool | None = None
        """Whether any broker is; ``None``: not told yet."""
        self.away: dict[str, str] = {}
        """Engines that do not answer, by the sink's name, and what they say."""
        self.lanes: dict[int, LaneVitals] = {}
        self.counts: Counter[tuple[str, ...]] = Counter()
        self.end_to_end = Histogram()
        self.commits = Histogram()
        self.committed_at: float | None = None
        self.snapshot_bytes = 0
        self._minute: deque[tuple[float, int, int]] = deque()

    def turn(self, now: float) -> None:
        """The loop has turned."""
        self.turned_at = self.alive_at = now

    def count_committed(
        self, counts: Counter[tuple[str, ...]], ages_ms: I8, took: float, now: float
    ) -> None:
        """A transaction is committed: what it held, ``took`` seconds long.

        ``ages_ms``: for each of its commands, how long ago its record was appended.
        """
        self.counts.update(counts)
        self.commits.observe(np.array([took]))
        if len(ages_ms):
            self.end_to_end.observe(np.maximum(ages_ms, 0) / 1000)
        self.committed_at = now
        records = sum(times for name, times in counts.items() if name[0] == "records")
        dead = sum(times for name, times in counts.items() if name[0] == "dead_letters")
        if records:
            self._minute.append((now, records, dead))
        while self._minute and self._minute[0][0] < now - MINUTE_SECONDS:
            self._minute.popleft()

    def last_minute(self, now: float) -> tuple[int, int]:
        """Records committed within the last minute, and how many of them are dead letters."""
        recent = [each for each in self._minute.copy() if each[0] >= now - MINUTE_SECONDS]
        return sum(each[1] for each in recent), sum(each[2] for each in recent)

    def saved(self, lane: int, size: int, now: float) -> None:
        """A lane's snapshot was written."""
        self.snapshot_bytes = size
        self.alive_at = now
        if lane in self.lanes:
            self.lanes[lane].saved_at = now
