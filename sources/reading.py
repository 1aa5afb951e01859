"""A reader of Kafka as the dataflow sees it: it is asked for what has come, then to drain.

Takes:   a reader that was opened before and is closed after; whether a drain was asked for
Out:     what it reads, until it has drained
Replays: as the reader
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

X = TypeVar("X")


class Reading(Protocol[X]):
    """What is asked of a reader."""

    def read(self) -> list[X]:
        """What has come since; waits for a time slice at most."""

    def drain(self) -> list[X] | None:
        """What is still to be done; ``None`` once nothing is."""


class _Process(StatefulSourcePartition[X, None]):
    def __init__(self, reader: Reading[X], is_draining: Callable[[], bool]) -> None:
        self._reader = reader
        self._is_draining = is_draining

    def next_batch(self) -> list[X]:
        if not self._is_draining():
            return self._reader.read()
        last = self._reader.drain()
        if last is None:
            raise StopIteration
        return last

    def snapshot(self) -> None:
        """Nothing: positions live in Kafka and in the stores."""


class ReadingSource(FixedPartitionedSource[X, None]):
    """One partition: the whole process."""

    def __init__(self, reader: Reading[X], is_draining: Callable[[], bool]) -> None:
        self._reader = reader
        self._is_draining = is_draining

    def list_parts(self) -> list[str]:
        """One."""
        return ["process"]

    def build_part(
        self, step_id: str, for_part: str, resume_state: None
    ) -> StatefulSourcePartition[X, None]:
        """The reader behind it."""
        return _Process(self._reader, self._is_draining)
