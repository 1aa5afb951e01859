"""Keep what topics say in one engine: in batches, through times when it is away, never behind.

Takes:    ``Slice`` of the term in force; slices of an earlier one are read again
Delivery: at least once: rows and the places up to which they are complete are written together or
          the places after them, and the engine's own places are where reading begins
Replays:  what is read again below a place is cut off; what is written again is guarded by position

An engine that fails loses nothing: what is held for it is dropped and the engine asked again until
it answers; then reading goes back to the places that it has. Nobody waits for it meanwhile.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import structlog
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from schemas.engines import EngineError
from schemas.slices import Place, Slice
from state.vitals import Vitals

QUIET_SECONDS = 30.0
"""How often the same engine's absence is told in the log."""

PATIENCE_SECONDS = 20.0
"""How long everybody waits for a write of one engine, before it counts as away."""
MOST_BATCHES = 4
"""How many batches are held while one is written, before everybody waits for it."""

_NOBODY_WAITED = np.empty(0, np.int64)
_log = structlog.get_logger("store")

T = TypeVar("T")


class Engine(Protocol):
    """What a store asks of its engine; every method may raise ``EngineError``."""

    name: str
    """The label of its metrics."""

    def open(self, log: str) -> Mapping[Place, int]:
        """Connect, check the tables, take them for this log; returns the places it has."""

    def places(self) -> Mapping[Place, int]:
        """The offset up to which everything is there, by place."""

    def add(self, stream: str, values: list[bytes]) -> None:
        """Hold these for the next write."""

    def held(self) -> int:
        """How many rows are held."""

    def take(self) -> Any:
        """What is held, which from now on is not; ``write`` takes it, maybe in another thread."""

    def write(self, taken: Any, reached: Mapping[Place, int]) -> None:
        """Write what was taken, then that everything is there up to these places."""

    def close(self) -> None:
        """Let go of the engine; what is held is dropped."""


class _Writing(NamedTuple):
    """A write that is under way."""

    reached: dict[Place, int]
    began: float
    done: Future[None]


@dataclass(frozen=True)
class Cadence:
    """When held rows are written, and when an engine that is away is asked again."""

    enough_rows: int
    wait_seconds: float
    is_beside: bool = False
    """Whether writes go on in a thread of their own, while the next rows and other stores come."""
    again_seconds: float = 1.0
    most_again_seconds: float = 15.0


class _Here(Executor):
    """Does at once what it is given."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        done: Future[T] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as failure:  # noqa: BLE001 - raised again by who asks for the result
            done.set_exception(failure)
        return done


class Store:
    """One engine, and what is held for it; the reader of the topics asks where it stands."""

    def __init__(
        self,
        engine: Engine,
        log: str,
        cadence: Cadence,
        vitals: Vitals | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._log = log
        self._cadence = cadence
        self._vitals = vitals or Vitals()
        self._clock = clock
        self.is_away = True
        self.life = 0
        """How often it was opened; reading begins anew where it has changed."""
        self._term = 0
        self._reached: dict[Place, int] = {}
        self._written: dict[Place, int] = {}
        self._waits_since: float | None = None
        self._hands = ThreadPoolExecutor(1) if cadence.is_beside else _Here()
        self._writing: _Writing | None = None
        self._opening: Future[Mapping[Place, int]] | None = None
        self._failures = 0
        self._again_at = 0.0
        self._told_at = -QUIET_SECONDS

    @property
    def name(self) -> str:
        """The engine's."""
        return self._engine.name

    def open(self) -> None:
        """Connect; raises ``EngineError`` where the engine is not to be had."""
        self._is_open(self._engine.open(self._log))

    def _is_open(self, places: Mapping[Place, int]) -> None:
        self._written = dict(places)
        self._reached = dict(places)
        self.is_away = False
        self.life += 1

    def refresh(self) -> None:
        """Write what is held and ask the engine for its places: another process may be ahead."""
        self.flush()
        if self.is_away:
            return
        try:
            self._written = dict(self._engine.places())
        except EngineError as failure:
            self._lose(failure)
        else:
            self._reached = dict(self._written)

    def resume(self, term: int) -> None:
        """From now on only slices of this term are taken."""
        self._term = term

    def written(self, place: Place) -> int | None:
        """The offset up to which the engine has everything; ``None``: it has nothing of it."""
        return self._written.get(place)

    def reached(self, place: Place) -> int:
        """The offset up to which everything has arrived here."""
        return self._reached.get(place, 0)

    def add(self, said: Slice) -> None:
        """Hold what is new in a slice; enough of it is written at once."""
        if self.is_away or said.term != self._term:
            return
        reached = self._reached.get(said.place, 0)
        if said.end <= reached:
            return
        self._engine.add(said.place.stream, said.since(reached))
        self._reached[said.place] = said.end
        if self._waits_since is None:
            self._waits_since = self._clock()
        held, enough = self._engine.held(), self._cadence.enough_rows
        if held >= enough and (not self._is_busy or held >= MOST_BATCHES * enough):
            self._begin()

    def tick(self) -> None:
        """Write if it is time; ask an engine that is away again if it is time for that."""
        now = self._clock()
        if self.is_away:
            self._ask_again(now)
        elif not self._is_busy:
            self._end()
            since = self._waits_since
            if since is not None and now - since >= self._cadence.wait_seconds:
                self._begin()

    def flush(self) -> None:
        """Write what is held, whatever the time; returns when it is there."""
        self._begin()
        self._end()

    def _begin(self) -> None:
        """Write what is held, one write after the other."""
        self._end()
        if self.is_away or self._waits_since is None:
            return
        self._waits_since = None
        new = {place: at for place, at in self._reached.items() if at != self._written.get(place)}
        began, taken = self._clock(), self._engine.take()
        self._writing = _Writing(new, began, self._hands.submit(self._engine.write, taken, new))
        if not self._is_busy:
            self._end()

    def _end(self) -> None:
        """Wait for the write that is under way, if one is, and not for ever."""
        if self._writing is None:
            return
        (new, began, done), self._writing = self._writing, None
        try:
            done.result(PATIENCE_SECONDS)
        except TimeoutError:
            self._lose(EngineError(f"{self.name}: has not answered for {PATIENCE_SECONDS:.0f} s"))
            return
        except EngineError as failure:
            self._lose(failure)
            return
        self._written |= new
        self._failures = 0
        now = self._clock()
        self._vitals.count_committed(Counter(), _NOBODY_WAITED, now - began, now)

    def close(self) -> None:
        """Let go of the engine; what is held is not written."""
        self._hands.shutdown()
        self._engine.close()

    @property
    def _is_busy(self) -> bool:
        return self._writing is not None and not self._writing.done.done()

    def _ask_again(self, now: float) -> None:
        """Open it anew; beside, so that an engine that does not answer holds nobody up."""
        if self._opening is None:
            if now < self._again_at:
                return
            self._opening = self._hands.submit(self._engine.open, self._log)
        if not self._opening.done():
            return
        opening, self._opening = self._opening, None
        try:
            self._is_open(opening.result())
        except EngineError as failure:
            self._lose(failure)
            return
        self._vitals.away.pop(self.name, None)
        _log.info("engine is back", sink=self.name, away_attempts=self._failures)
        self._told_at = now - QUIET_SECONDS

    def _lose(self, failure: EngineError) -> None:
        """Drop what is held: the topics have it, and the engine may have a part of it."""
        self._engine.take()
        self._hands.submit(self._engine.close)  # behind a write that may still hang
        self._waits_since = None
        self.is_away = True
        self._failures += 1
        self._vitals.counts["sink_errors", self.name] += 1
        self._vitals.away[self.name] = str(failure)
        cadence, now = self._cadence, self._clock()
        pause = cadence.again_seconds * 2.0 ** min(self._failures - 1, 10)
        self._again_at = now + min(pause, cadence.most_again_seconds)
        if now - self._told_at >= QUIET_SECONDS:
            self._told_at = now
            _log.warning("engine is away", sink=self.name, why=str(failure))


class _StorePartition(StatefulSinkPartition[Slice, None]):
    def __init__(self, store: Store) -> None:
        self._store = store

    def write_batch(self, values: list[Slice]) -> None:
        for said in values:
            self._store.add(said)

    def snapshot(self) -> None:
        """Write if it is time, at the end of the epoch."""
        self._store.tick()


class StoreSink(FixedPartitionedSink[Slice, None]):
    """The store as the dataflow sees it; it was opened before and is closed after."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def list_parts(self) -> list[str]:
        """One: the connection."""
        return [self._store.name]

    def part_fn(self, item_key: str) -> int:
        """Every place goes to the one partition."""
        return 0

    def build_part(
        self, step_id: str, for_part: str, resume_state: None
    ) -> StatefulSinkPartition[Slice, None]:
        """The store behind it."""
        return _StorePartition(self._store)
