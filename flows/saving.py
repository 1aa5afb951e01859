"""Save lanes behind the worker's back: copying what has changed is all that a lane waits for.

Takes: a ``SnapshotStore``; a lane's state, on the worker's thread
Delivery: snapshots of a lane are written in the order in which they were taken; a write that fails
          is told at once, and raised by the next call; bases are merged apart, and nobody waits
Replays: what was taken and not written when the process dies is folded again

Threads, not processes: packing, hashing, compressing and writing let go of the interpreter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import structlog

from schemas.engines import EngineError
from state.lane import LaneState
from state.snapshots import Saved, SnapshotStore, StateError, Taken
from state.tenants import EVERYWHERE

Observe = Callable[[int, Saved], None]

_log = structlog.get_logger("state")


class Saver:
    """Snapshots of this process's lanes.

    ``failed`` is told, on the thread that writes, of what makes a write fail; ``observe`` of every
    snapshot that is written.
    """

    def __init__(
        self,
        store: SnapshotStore,
        failed: Callable[[BaseException], None],
        observe: Observe | None = None,
    ) -> None:
        self._store = store
        self._failed = failed
        self._observe = observe
        self._writing = ThreadPoolExecutor(1, "snapshots")
        self._merging = ThreadPoolExecutor(1, "bases")
        self._writes: dict[int, Future[None]] = {}
        self._is_closed = False

    def save(self, state: LaneState) -> None:
        """Takes a snapshot, which is written soon; waits for the one of the lane before it."""
        for lane, write in [*self._writes.items()]:
            if lane == state.lane or write.done():
                self._settle(lane)
        taken = self._store.take(state)
        self._writes[state.lane] = self._writing.submit(self._write, taken)

    def save_now(self, state: LaneState) -> None:
        """Saves, and returns once it is written: from then on the lane may be another's."""
        self.save(state)
        self._settle(state.lane)

    def restore(
        self, lane: int, id_key: bytes, at_most: int, countries: frozenset[str] = EVERYWHERE
    ) -> LaneState:
        """As the store does, when nothing of the lane is left to be written."""
        self._settle(lane)
        with storing():
            return self._store.restore(lane, id_key, at_most, countries)

    def finish(self) -> None:
        """Returns once everything is written."""
        for lane in [*self._writes]:
            self._settle(lane)

    def close(self) -> None:
        """Gives up what has not begun; raises nothing."""
        self._is_closed = True
        self._writing.shutdown(cancel_futures=True)
        self._merging.shutdown(cancel_futures=True)

    def _settle(self, lane: int) -> None:
        write = self._writes.pop(lane, None)
        if write is not None:
            write.result()

    def _write(self, taken: Taken) -> None:
        try:
            with storing():
                saved = self._store.write(taken)
        except BaseException as failure:
            self._failed(failure)
            raise
        if self._observe is not None:
            self._observe(taken.lane, saved)
        if self._store.wants_merge(taken.lane):
            self._merging.submit(self._merge, taken.lane)

    def _merge(self, lane: int) -> None:
        """What fails here harms nothing that is saved: it is tried again after the next save."""
        try:
            if self._store.wants_merge(lane):
                self._store.merge(lane, lambda: not self._is_closed)
        except (StateError, OSError) as error:
            _log.warning("bases not merged", lane=lane, why=str(error))


@contextmanager
def storing() -> Iterator[None]:
    """A store that cannot be reached or written is an engine that failed."""
    try:
        yield
    except OSError as error:
        raise EngineError(f"the state cannot be read or written: {error}") from error
