"""Fold one lane's records in order, and emit only what was not committed before.

In:    per lane key: ``Assigned`` first, then ``Part`` (one lane's share of a decoded chunk) and
       the other control items, all of one term
Out:   ``Folded``, one for each part at or past the committed position, and one at end of input
State: the ``LaneState`` that came with ``Assigned``; it belongs to this step until ``Revoked``

Nothing here reads a clock or a file: folding, closing and saving are given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from schemas.batch import (
    I8,
    Batch,
    ClientEvents,
    IncomingEvents,
    Outputs,
    PaymentEvents,
    SettingsEvent,
    StatusEvents,
    VisitEvents,
    WebhookRows,
)
from schemas.keys import lane_of
from schemas.settings import TenantSettings
from schemas.webhooks.findings import nothing
from state.control import Assigned, Control, EndOfInput, Folded, Revoked, SnapshotDue
from state.lane import LaneState
from state.snapshots import StateError


@dataclass(slots=True)
class Part:
    """One lane's share of a decoded chunk; ``parts`` lanes have a share in this ``chunk``."""

    term: int
    chunk: int
    parts: int
    batch: Batch


@dataclass(frozen=True, slots=True)
class Work:
    """What a lane does with its state, given from outside so that this step needs no engine."""

    fold: Callable[[LaneState, Batch], Outputs]
    close: Callable[[LaneState], Outputs]
    save: Callable[[LaneState], object]


def owed(outputs: Outputs, committed: int) -> Outputs:
    """The outputs without those that were committed before, whose positions are below C."""
    return replace(
        outputs,
        streams={
            stream: [message for message in messages if message.position >= committed]
            for stream, messages in outputs.streams.items()
        },
        dead_letters=[dead for dead in outputs.dead_letters if dead.position >= committed],
    )


def append_times(batch: Batch, outputs: Outputs) -> I8:
    """When the records behind the outputs' commands were appended, in ms, beside the commands."""
    positions = [message.position for message in outputs.streams.get("commands", ())]
    return batch.appended_ms[np.searchsorted(batch.positions, positions)]


def settings_batch(
    lane: int, lanes: int, tenants: Mapping[str, TenantSettings], appended_ms: int
) -> Batch | None:
    """The lane's tenants' settings as records ahead of position 0, or None if it has none."""
    own = sorted(tenant for tenant in tenants if lane_of(tenant, lanes) == lane)
    if not own:
        return None
    return Batch(
        lane=lane,
        positions=np.arange(-len(own), 0, dtype=np.int64),
        appended_ms=np.full(len(own), appended_ms, dtype=np.int64),
        scopes=[],
        visits=nothing(VisitEvents),
        clients=nothing(ClientEvents),
        statuses=nothing(StatusEvents),
        incoming=nothing(IncomingEvents),
        payments=nothing(PaymentEvents),
        webhooks=nothing(WebhookRows),
        imported=np.zeros(len(own), np.int8),
        settings=[SettingsEvent(row, tenant, tenants[tenant]) for row, tenant in enumerate(own)],
    )


def take_settings(
    state: LaneState,
    lanes: int,
    tenants: Mapping[str, TenantSettings],
    appended_ms: int,
    fold: Callable[[LaneState, Batch], Outputs],
) -> None:
    """Before the lane's first record that has a time; the same ones twice change nothing."""
    position = state.position
    first = settings_batch(state.lane, lanes, tenants, appended_ms)
    if first is not None:
        fold(state, first)
        state.position = position


class Lane:
    """One lane under one term; a new term replaces it."""

    def __init__(
        self, work: Work, assigned: Assigned, lanes: int, tenants: Mapping[str, TenantSettings]
    ) -> None:
        self._work = work
        self._lanes = lanes
        self._tenants = tenants
        self.term = assigned.term
        self.state = assigned.state
        self.committed = assigned.committed
        self._expected = assigned.digest
        if self.state.position > self.committed:
            raise AssertionError(f"lane {self.state.lane}: restored past the committed position")

    def obey(self, item: Part | Control) -> list[Folded]:
        """Do what the item asks; only parts and the end of input have something to emit."""
        if item.term != self.term:
            raise AssertionError(f"lane {self.state.lane}: item of term {item.term}")
        if isinstance(item, Part):
            return self._fold(item)
        if isinstance(item, SnapshotDue | EndOfInput) and item.position is not None:
            self.state.position = max(self.state.position, item.position)
        if isinstance(item, EndOfInput):
            self._reached(self.committed)
            closed = self._work.close(self.state)
            return [Folded(self.term, closed, -1, self._lanes, closing=True)]
        if isinstance(item, SnapshotDue | Revoked):
            self._work.save(self.state)
        return []

    def _fold(self, part: Part) -> list[Folded]:
        batch = part.batch
        first, last = int(batch.positions[0]), int(batch.positions[-1])
        if last < self.state.position:
            return []  # another lane's snapshot is older: this share is in ours already
        across = self._expected is not None and first < self.committed <= last
        if first < self.state.position or across:
            raise AssertionError(f"lane {batch.lane}: a chunk across S or C")
        self._reached(first)
        if self.state.clock_ms == 0:
            appended_ms = max(int(batch.appended_ms[0]), 0)
            take_settings(self.state, self._lanes, self._tenants, appended_ms, self._work.fold)
        outputs = self._work.fold(self.state, batch)
        if last < self.committed:
            return []
        given = owed(outputs, self.committed)
        asked = append_times(batch, given)
        return [Folded(self.term, given, part.chunk, part.parts, commands_ms=asked)]

    def _reached(self, position: int) -> None:
        """Compare digests once, when everything before C has been folded again."""
        if self._expected is None or position < self.committed:
            return
        if self.state.digest != self._expected:
            raise StateError(
                f"lane {self.state.lane}: folding up to position {self.committed} gave other "
                "outputs than were committed; the log, the settings or the rules have changed"
            )
        self._expected = None
