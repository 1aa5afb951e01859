"""The engagement flow: records in; commands, decisions, segment changes and profiles out.

In:    a source of ``Data`` and control items; ``Assigned`` comes before a lane's first data
Out:   ``Folded`` to every sink, one item for each lane with a share in a chunk
State: none of Bytewax's; a lane's state travels with ``Assigned`` and is saved through the settings
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from importlib.metadata import version
from itertools import count

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource
from bytewax.operators import StatefulBatchLogic
from bytewax.outputs import FixedPartitionedSink

from flows.guard import GuardedSink, GuardedSource
from flows.lane import Lane, Part, Work
from flows.stop import Stop
from operators.decode import decode
from operators.fold import close, fold
from schemas.batch import Batch
from schemas.settings import TenantSettings
from state.control import Assigned, Control, Data, Folded
from state.lane import LaneState
from state.tenants import EVERYWHERE

FOLD_VERSION = 7
"""Raised with every change after which the same log would give other outputs."""

Source = FixedPartitionedSource[Control | Data, None]
Sink = FixedPartitionedSink[Folded, None]


@dataclass(frozen=True)
class Settings:
    """What the flow needs to know beside where records come from and go to."""

    lanes: int
    save: Callable[[LaneState], object]
    """Saves a lane's snapshot: ``SnapshotStore.save``."""
    stop: Stop = field(default_factory=Stop)
    tenants: Mapping[str, TenantSettings] = field(default_factory=dict)
    """Settings in force before the first record."""
    observe: Callable[[Sequence[Batch]], None] | None = None
    """Is shown every chunk when it is folded, with all its dead letters from C on."""


def fingerprint(
    lanes: int, id_key: bytes, countries: frozenset[str] = EVERYWHERE
) -> dict[str, str]:
    """What a snapshot depends on beside the log: it is restored only under the same."""
    return {
        "fold": str(FOLD_VERSION),
        "tzdata": version("tzdata"),
        "phonenumbers": version("phonenumbers"),
        "id_key": blake2b(b"id_key", digest_size=8, key=id_key[:64]).hexdigest(),
        "lanes": str(lanes),
        "countries": ",".join(sorted(countries)) or "all",
    }


def build(source: Source, sinks: Mapping[str, Sink], settings: Settings) -> Dataflow:
    """The dataflow; a sink's name is part of its step id."""
    flow = Dataflow("engagement")
    records = op.input("records", flow, GuardedSource(source, settings.stop))
    shares = op.flat_map("decode", records, _decoding(settings))
    sight = _Sight(settings.observe)
    folded = op.stateful_batch("fold", shares, lambda _: _LaneLogic(settings, sight))
    for name, sink in sinks.items():
        op.output(name, folded, GuardedSink(sink, settings.stop))
    return flow


def _decoding(settings: Settings) -> Callable[[Control | Data], list[tuple[str, Part | Control]]]:
    chunks = count()

    def shares(item: Control | Data) -> list[tuple[str, Part | Control]]:
        if not isinstance(item, Data):
            return [(str(item.lane), item)]
        batches = decode(item.chunk, settings.lanes)
        chunk = next(chunks)
        return [(str(batch.lane), Part(item.term, chunk, len(batches), batch)) for batch in batches]

    return settings.stop.guard(shares, list)


class _Sight:
    """Gathers the lanes' shares of a chunk, and shows them together."""

    def __init__(self, observe: Callable[[Sequence[Batch]], None] | None) -> None:
        self._observe = observe
        self._batches: list[Batch] = []

    def see(self, part: Part, folded: list[Folded]) -> None:
        """One more share, and what came of it."""
        if self._observe is None:
            return
        dead = [letter for each in folded for letter in each.outputs.dead_letters]
        self._batches.append(replace(part.batch, dead_letters=dead))
        if len(self._batches) == part.parts:
            self._observe(self._batches)
            self._batches = []


class _LaneLogic(StatefulBatchLogic[Part | Control, Folded, None]):
    """Bytewax tells a logic no key: the first item, ``Assigned``, brings what it needs."""

    def __init__(self, settings: Settings, sight: _Sight) -> None:
        self._settings = settings
        self._sight = sight
        self._lane: Lane | None = None
        self._guarded = settings.stop.guard(self._obey, list)

    def on_batch(self, values: list[Part | Control]) -> tuple[list[Folded], bool]:
        return [folded for item in values for folded in self._guarded(item)], False

    def _obey(self, item: Part | Control) -> list[Folded]:
        if isinstance(item, Assigned):
            settings = self._settings
            work = Work(fold, close, settings.save)
            self._lane = Lane(work, item, settings.lanes, settings.tenants)
            return []
        if self._lane is None:
            raise AssertionError(f"an item before its lane was assigned: {type(item).__name__}")
        folded = self._lane.obey(item)
        if isinstance(item, Part):
            self._sight.see(item, folded)
        return folded

    def snapshot(self) -> None:
        """Nothing: Bytewax's recovery store is not used."""
