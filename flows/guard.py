"""Bytewax's ends under a ``Stop``: what fails is kept and ends the input, and nothing panics.

Takes: a source or a sink, and the flow's ``Stop``
Out:   the same, whose source ends and whose sink writes nothing more once any step has failed
"""

from __future__ import annotations

from typing import TypeVar

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from flows.stop import Stop

X = TypeVar("X")


class GuardedSource(FixedPartitionedSource[X, None]):
    """Ends the input when any step has failed."""

    def __init__(self, source: FixedPartitionedSource[X, None], stop: Stop) -> None:
        self._source = source
        self._stop = stop

    def list_parts(self) -> list[str]:
        """The source's own."""
        return self._source.list_parts()

    def build_part(
        self, step_id: str, for_part: str, resume_state: None
    ) -> StatefulSourcePartition[X, None]:
        """The source's own, guarded."""
        part = self._source.build_part(step_id, for_part, resume_state)
        part.next_batch = self._stop.guard(part.next_batch, _end)  # type: ignore[method-assign]
        return part


class GuardedSink(FixedPartitionedSink[X, None]):
    """Writes and commits nothing more once any step has failed."""

    def __init__(self, sink: FixedPartitionedSink[X, None], stop: Stop) -> None:
        self._sink = sink
        self._stop = stop

    def list_parts(self) -> list[str]:
        """The sink's own."""
        return self._sink.list_parts()

    def part_fn(self, item_key: str) -> int:
        """The sink's own."""
        return self._sink.part_fn(item_key)

    def build_part(
        self, step_id: str, for_part: str, resume_state: None
    ) -> StatefulSinkPartition[X, None]:
        """The sink's own, guarded."""
        part = self._sink.build_part(step_id, for_part, resume_state)
        part.write_batch = self._stop.guard(part.write_batch, _nothing)  # type: ignore[method-assign]
        part.snapshot = self._stop.guard(part.snapshot, _nothing)  # type: ignore[method-assign]
        return part


def _end() -> list[X]:
    raise StopIteration


def _nothing() -> None:
    return None
