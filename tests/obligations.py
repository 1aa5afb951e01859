"""The obligations oracle: what a log owes, and whether the output topics hold exactly that.

Takes: the records topic lane after lane; what a ``read_committed`` consumer finds in the others
Out:   ``Owed``, from one pass of the fold over the log; ``Said``, the same from the topics; an
       assertion that names stream, customer, lane and position of the first difference

A scenario may kill, stop and cut off what it likes: at its end ``assert_exactly_once`` and
``assert_pointers`` must hold. No counter of the flow is believed.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any, NamedTuple

from operators.decode import decode
from operators.fold import fold
from schemas.batch import STREAMS, Outputs
from schemas.topics import ERROR_HEADER, TOPICS
from sources.kafka import chunk_of
from state.lane import LaneState
from state.tenants import EVERYWHERE

CHUNK = 20_000
"""Records of one lane that the pass folds at a time: any number gives the same."""

Dead = tuple[int, int, str, bytes | None, bytes | None, str]
"""Lane, offset, reason, key, value, the record's own headers."""


class Place(NamedTuple):
    """The record that an output is owed for."""

    lane: int
    position: int


class Pointer(NamedTuple):
    """Where a lane must stand once everything is committed, and the digest of its outputs."""

    position: int
    digest: str


@dataclass
class Said:
    """Outputs by stream and key, each key's values in their order; dead letters, counted."""

    streams: dict[str, dict[bytes, list[bytes]]] = field(
        default_factory=lambda: {stream: defaultdict(list) for stream in STREAMS}
    )
    dead: Counter[Dead] = field(default_factory=Counter)

    def count(self, stream: str) -> int:
        """Messages of a stream."""
        return sum(map(len, self.streams[stream].values()))


@dataclass
class Owed(Said):
    """What one pass over the log owes, for which records, and where it ends."""

    places: dict[str, dict[bytes, list[Place]]] = field(
        default_factory=lambda: {stream: defaultdict(list) for stream in STREAMS}
    )
    pointers: dict[int, Pointer] = field(default_factory=dict)

    def add(self, outputs: Outputs, originals: Mapping[int, Any]) -> None:
        """One chunk's outputs; ``originals``: the chunk's records by position."""
        for stream, messages in outputs.streams.items():
            for message in messages:
                self.streams[stream][message.key].append(message.value)
                self.places[stream][message.key].append(Place(outputs.lane, message.position))
        for dead in outputs.dead_letters:
            record = originals[dead.position]
            own = repr(record.headers() or [])
            self.dead[
                outputs.lane, dead.position, dead.reason, record.key(), record.value(), own
            ] += 1


def owed(
    log: Iterable[tuple[int, list[Any]]],
    lanes: int,
    id_key: bytes,
    countries: frozenset[str] = EVERYWHERE,
) -> Owed:
    """What the records of each lane owe, folded from nothing in one pass."""
    whole = Owed()
    for lane, records in log:
        state = LaneState(lane, id_key, countries)
        for at in range(0, len(records), CHUNK):
            chunk = records[at : at + CHUNK]
            originals = {record.offset(): record for record in chunk}
            for batch in decode(chunk_of(lane, chunk), lanes):
                whole.add(fold(state, batch), originals)
        end = records[-1].offset() + 1 if records else 0
        whole.pointers[lane] = Pointer(end, f"{state.digest:016x}")
    return whole


def given(read: Callable[[str], Iterable[Any]]) -> Said:
    """What the output topics hold; ``read`` gives a topic's messages, each partition in order."""
    said = Said()
    for stream in STREAMS:
        for message in read(TOPICS[stream].name):
            said.streams[stream][message.key()].append(message.value())
    said.dead.update(_dead_letter(message) for message in read(TOPICS["dead_letters"].name))
    return said


def assert_exactly_once(found: Said, due: Owed) -> None:
    """Nothing missing, nothing twice, in order per customer, in every stream."""
    for stream in STREAMS:
        for key in due.streams[stream].keys() | found.streams[stream].keys():
            is_, should = found.streams[stream].get(key, []), due.streams[stream].get(key, [])
            assert is_ == should, _difference(stream, key, is_, should, due)
    extra, missing = found.dead - due.dead, due.dead - found.dead
    assert not extra, f"dead letters that are not owed: {[one[:3] for one in extra]}"
    assert not missing, f"dead letters are missing: {[one[:3] for one in missing]}"


def assert_pointers(committed: Mapping[int, tuple[int, str | None]], due: Owed) -> None:
    """Every lane is committed up to the log's end, under the digest of what it owed."""
    for lane, (position, digest) in due.pointers.items():
        at, text = committed[lane]
        assert at == position, f"lane {lane}: C is {at}, the log ends at {position}"
        assert at == 0 or json.loads(text or "{}")["digest"] == digest, f"lane {lane}: its digest"


def _difference(stream: str, key: bytes, is_: list[bytes], should: list[bytes], due: Owed) -> str:
    places = due.places[stream].get(key, [])
    pairs = zip_longest(is_, should)
    first = next(n for n, (one, other) in enumerate(pairs) if one != other)
    where = places[first] if first < len(places) else "nothing more"
    what = "missing"
    if first < len(is_):
        what = "twice" if is_[first] in is_[:first] else "another one"
    return (
        f"{stream} of {key.decode()}: {len(is_)} for {len(should)} owed; "
        f"number {first} is {what}, owed by {where}"
    )


def _dead_letter(message: Any) -> Dead:
    errors = {
        name.removeprefix(ERROR_HEADER): value.decode()
        for name, value in message.headers()
        if name.startswith(ERROR_HEADER)
    }
    own = [header for header in message.headers() if not header[0].startswith(ERROR_HEADER)]
    where = int(errors["partition"]), int(errors["offset"])
    return (*where, errors["reason"], message.key(), message.value(), repr(own))
