"""Drive decode and the fold over raw lines, as a replay of one file does.

Takes: record lines in log order; positions are line numbers, from 0
Out:   ``Streams``: each lane's messages per stream, in the order in which they were owed
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np

from operators.decode import decode
from operators.fold import close, fold
from schemas.batch import STREAMS, Chunk, DeadLetter, Message, Outputs
from schemas.keys import customer_id
from state.lane import LaneState
from state.tenants import EVERYWHERE

ID_KEY = b"demo"

Row = dict[str, Any]


@dataclass
class Streams:
    """What a run gave: ``messages[lane, stream]`` and every lane's rolling digest."""

    messages: dict[tuple[int, str], list[Message]] = field(
        default_factory=lambda: defaultdict(list)
    )
    digests: dict[int, int] = field(default_factory=dict)
    states: dict[int, LaneState] = field(default_factory=dict)
    dead: list[DeadLetter] = field(default_factory=list)
    counts: Counter[tuple[str, ...]] = field(default_factory=Counter)

    def add(self, outputs: Outputs) -> None:
        """Append what one batch owed."""
        self.digests[outputs.lane] = outputs.digest
        self.dead += outputs.dead_letters
        self.counts.update(outputs.counts)
        for stream, messages in outputs.streams.items():
            if messages:
                self.messages[outputs.lane, stream].extend(messages)

    def rows(self, stream: str) -> list[Row]:
        """The stream's messages decoded, lane after lane, each in its order."""
        lanes = sorted({lane for lane, _ in self.messages})
        return [
            json.loads(message.value)
            for lane in lanes
            for message in self.messages.get((lane, stream), [])
        ]

    def of(self, stream: str, tenant: str, phone: int) -> list[Row]:
        """The decoded messages about one customer."""
        who = customer_id(ID_KEY, tenant, phone)
        return [row for row in self.rows(stream) if row.get("customer_id") == who]

    def profiles(self) -> dict[str, Row]:
        """The last line of every customer that is still one."""
        last = self._last_profiles()
        return {who: row for who, row in last.items() if not _is_tombstone(row)}

    def tombstones(self) -> dict[str, Row]:
        """The last line of every customer that was merged or forgotten, and is no more."""
        last = self._last_profiles()
        return {who: row for who, row in last.items() if _is_tombstone(row)}

    def _last_profiles(self) -> dict[str, Row]:
        return {row["customer_id"]: row for row in self.rows("profiles")}

    def boundaries(self) -> dict[str, tuple[int, int] | None]:
        """Lower bounds of M 3 and M 2 in force at every tenant; ``None``: every digit is 2."""
        found: dict[str, tuple[int, int] | None] = {}
        for state in self.states.values():
            tenants = state.tenants
            for row in tenants.live().tolist():
                found[tenants.name[row]] = tenants.boundaries(row)
        return found

    def profile(self, tenant: str, phone: int) -> Row:
        """The customer's last profile; ``KeyError`` if there never was one."""
        return self.profiles()[customer_id(ID_KEY, tenant, phone)]


def _is_tombstone(row: Row) -> bool:
    return row.get("merged_into") is not None or bool(row.get("forgotten"))


def chunk_of(lines: Sequence[bytes], start: int, stop: int) -> Chunk:
    """The lines ``start`` to ``stop`` as a files source hands them to decode."""
    return Chunk(
        lane=-1,
        positions=np.arange(start, stop, dtype=np.int64),
        appended_ms=None,
        values=list(lines[start:stop]),
    )


def pieces(length: int, cuts: Iterable[int] | None) -> list[tuple[int, int]]:
    """The spans between cuts; ``None`` is one piece."""
    edges = [0, *sorted({cut for cut in cuts or () if 0 < cut < length}), length]
    return list(pairwise(edges))


def feed(
    states: dict[int, LaneState], lines: Sequence[bytes], start: int, stop: int, into: Streams
) -> None:
    """Fold one piece of the log into the lanes that it concerns."""
    for batch in decode(chunk_of(lines, start, stop), len(states)):
        into.add(fold(states[batch.lane], batch))


def run(
    lines: Sequence[bytes],
    lanes: int = 1,
    cuts: Iterable[int] | None = None,
    ended: bool = True,
    restarts: Container[int] = (),
    countries: frozenset[str] = EVERYWHERE,
) -> Streams:
    """Fold the whole log, cut as told; ``ended`` closes every lane, as a replay does.

    Before the records of ``restarts``, which must be cuts, what is not stored is built anew.
    """
    states = {lane: LaneState(lane, ID_KEY, countries) for lane in range(lanes)}
    streams = Streams(states=states)
    for start, stop in pieces(len(lines), cuts):
        if start in restarts:
            for state in states.values():
                state.rederive()
        feed(states, lines, start, stop, streams)
    if ended:
        for state in states.values():
            streams.add(close(state))
    return streams


T = TypeVar("T")


def watch(lines: Sequence[bytes], look: Callable[[Streams], T]) -> Iterator[tuple[int, T]]:
    """Folds one record at a time and looks after each: its position, and what is seen."""
    states = {0: LaneState(0, id_key=ID_KEY)}
    streams = Streams(states=states)
    for position in range(len(lines)):
        feed(states, lines, position, position + 1, streams)
        yield position, look(streams)


def comparable(streams: Streams) -> dict[tuple[int, str], list[Message]]:
    """The streams alone, without those that stayed empty."""
    return {
        (lane, stream): messages
        for (lane, stream), messages in sorted(streams.messages.items())
        if messages and stream in STREAMS
    }
