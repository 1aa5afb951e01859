"""Own the lanes that a consumer group gives this process, from their committed positions on.

Takes:   an open consumer's group callbacks; an outlet that commits; snapshots to restore and save
Out:     ``Assigned`` items; ``Group.lanes``, what is read from where
Replays: a lane is read from its newest snapshot at S <= C; C is what the group committed, and
         nothing else is believed

Callbacks run inside ``consume``, on the worker's thread, with nothing in flight. They only note
what was assigned, or commit and save what is taken away; ``settle`` does the rest afterwards. What
is taken away is saved in the callback and not by an item in the dataflow: once the callback has
returned, another process may be writing the lane's snapshots.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import structlog
from confluent_kafka import KafkaException, TopicPartition

from schemas.topics import TOPICS
from sources.answers import ANSWER_SECONDS, answered
from sources.member import leave, member
from state.control import Assigned, Control, Data
from state.lane import LaneState
from state.pointer import difference, read_pointer
from state.snapshots import StateError
from state.vitals import LaneVitals, Vitals

RECORDS = TOPICS["records"].name

Item = Control | Data

_log = structlog.get_logger("group")


class Outlet(Protocol):
    """What the source asks of the sink that commits."""

    def assign(self, term: int, membership: object, committed: Mapping[int, int]) -> None:
        """Commit for these lanes from now on, under this group metadata."""

    def committed(self, lane: int) -> int:
        """C of the lane, as far as this process has moved it."""

    def reached(self, lane: int) -> int:
        """The position up to which everything of the lane has arrived."""

    def tick(self) -> None:
        """Commit if it is time."""

    def rest(self) -> float:
        """Seconds until it may be time."""

    def commit(self) -> bool:
        """Commit what is held; ``False`` if it was refused and is still held."""

    def commit_now(self) -> None:
        """Commit what is held, or raise."""

    def discard(self) -> None:
        """Forget what is held, and the lanes."""


@dataclass(frozen=True)
class Membership:
    """Who we are in which group, and how often lanes are saved and kept awake."""

    properties: Mapping[str, Any]
    group: str
    instance: str
    fingerprint: Mapping[str, object]
    snapshot_seconds: float = 15.0
    heartbeat_seconds: float = 60.0


class Committed(NamedTuple):
    """C of a lane; the fingerprint and the digest there, if the commit told them."""

    position: int
    fingerprint: Mapping[str, object] | None
    digest: int | None


@dataclass(slots=True)
class OwnedLane:
    """Where reading of a lane goes on, and when it was last heard of and saved."""

    state: LaneState
    position: int
    committed: int
    heard_at: float
    saved_at: float
    saved: int


def _vitals_of(lane: OwnedLane) -> LaneVitals:
    """A snapshot is as old as its last record."""
    now = time.monotonic()
    age = time.time() - lane.state.clock_ms / 1000 if lane.state.clock_ms else 0.0
    return LaneVitals(
        position=lane.position,
        emits_from=lane.committed,
        committed=lane.committed,
        committed_ms=lane.state.clock_ms,
        saved_at=now - max(age, 0.0),
        owned_at=now,
    )


def refusal(
    state: LaneState, committed: Committed, log: tuple[int, int], own: Mapping[str, object]
) -> str:
    """Why the restored state cannot be continued on this log; empty if it can."""
    low, high = log
    if committed.position > high:
        return f"the log ends at {high}, before the committed position {committed.position}"
    if low > state.position:
        return (
            f"the log begins at {low}, behind the snapshot's position {state.position}: the "
            "records between them are gone; restore a newer snapshot"
        )
    is_drained = state.position == committed.position
    differs = difference(committed.fingerprint or {}, own, is_drained)
    if differs:
        return differs
    if is_drained and committed.digest not in (None, state.digest):
        return "the snapshot comes from other outputs than were committed"
    return ""


class Group:
    """This process in its consumer group, and the lanes that it owns under the current term.

    ``restore(lane, at_most)`` gives the newest state at S <= ``at_most``; ``save(state)`` keeps
    one.
    """

    def __init__(
        self,
        membership: Membership,
        outlet: Outlet,
        restore: Callable[[int, int], LaneState],
        save: Callable[[LaneState], None],
        vitals: Vitals | None = None,
    ) -> None:
        self.membership = membership
        self.vitals = vitals or Vitals()
        self.consumer: Any = None
        self.lanes: dict[int, OwnedLane] = {}
        self.term = 0
        self.is_unsettled = False
        """A callback has changed what we own; ``settle`` comes before anything else."""
        self._outlet = outlet
        self._restore = restore
        self._save = save
        self._given: tuple[object, list[int]] | None = None
        self._parked: dict[int, LaneState] = {}
        self._own_commits: dict[int, int] = {}

    def join(self) -> None:
        """Connect and ask for lanes; they come with ``consume``."""
        own = self.membership
        self.consumer = member(own.properties, own.group, own.instance, self.vitals)
        self.vitals.phase = "joining"
        self.consumer.subscribe(
            [RECORDS], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )

    def leave(self) -> None:
        """Tell the group that we are gone for good, so that others get the lanes at once."""
        self.lanes.clear()
        leave(self.consumer)

    def close(self) -> None:
        """Disconnect; the lanes of a member that did not leave wait until its session times out."""
        self.lanes.clear()
        if self.consumer is not None:
            self.consumer.close()

    def settle(self) -> list[Item]:
        """Restore the lanes that a rebalance gave us, and read them from S on."""
        self.is_unsettled = False
        if self._given is None:
            return []
        items: list[Item] = []
        (metadata, numbers), self._given = self._given, None
        self.term += 1
        self.vitals.phase = "restoring"
        now = time.monotonic()
        every = self.membership.snapshot_seconds / max(1, len(numbers))
        committed = self._committed(numbers) if numbers else {}
        for turn, n in enumerate(numbers):
            at = committed[n].position
            state = self._state(n, committed[n])
            digest = committed[n].digest if state.position < at else None
            self.lanes[n] = OwnedLane(
                state, state.position, at, now, now - every * turn, state.position
            )
            items.append(Assigned(n, self.term, at, state, digest))
            self.vitals.lanes[n] = _vitals_of(self.lanes[n])
            self.vitals.alive_at = time.monotonic()
        self._parked.clear()
        behind = sum(lane.committed - lane.position for lane in self.lanes.values())
        _log.info("lanes assigned", term=self.term, lanes=numbers, to_fold_again=behind)
        self._outlet.assign(self.term, metadata, {n: committed[n].position for n in numbers})
        self.consumer.assign(
            [TopicPartition(RECORDS, n, lane.position) for n, lane in self.lanes.items()]
        )
        self.vitals.phase = "running"
        return items

    def _on_assign(self, consumer: Any, partitions: list[Any]) -> None:
        # The metadata of exactly this assignment fences its commits; a later call may tell another.
        self._given = (consumer.consumer_group_metadata(), sorted(p.partition for p in partitions))
        self.is_unsettled = True
        consumer.assign([])  # nothing is read before the lanes are restored

    def _on_revoke(self, consumer: Any, partitions: list[Any]) -> None:
        del partitions  # an eager revoke takes them all
        if self.lanes and self._outlet.commit():
            for n, lane in self.lanes.items():
                if self._outlet.reached(n) == lane.state.position:
                    self._save(lane.state)
                    self._parked[n] = lane.state
        if self.lanes:
            _log.info("lanes revoked", term=self.term, lanes=[*self.lanes])
        self._let_go(consumer)

    def _on_lost(self, consumer: Any, partitions: list[Any]) -> None:
        del partitions
        # Another process may own the lanes by now: nothing is committed, nothing is saved.
        _log.warning("lanes lost", term=self.term, lanes=[*self.lanes])
        self._parked.clear()
        self._let_go(consumer)

    def _let_go(self, consumer: Any) -> None:
        self._own_commits |= {n: self._outlet.committed(n) for n in self.lanes}
        self._given = None
        self._outlet.discard()
        self.lanes.clear()
        self.vitals.lanes = {}
        self.vitals.phase = "rebalancing"
        self.is_unsettled = True
        consumer.unassign()

    def _committed(self, numbers: list[int]) -> dict[int, Committed]:
        """C of each lane; waits for positions under a transaction that is still open."""
        wanted = [TopicPartition(RECORDS, n) for n in numbers]

        def answer() -> list[Any]:
            found: list[Any] = self.consumer.committed(wanted, ANSWER_SECONDS)
            if errors := [one.error for one in found if one.error is not None]:
                raise KafkaException(errors[0])
            return found

        committed = {}
        for one in answered(answer, meanwhile=self._stay_alive):
            position, own = max(one.offset, 0), self._own_commits.get(one.partition, 0)
            if position < own:
                raise StateError(
                    f"lane {one.partition}: Kafka says that {position} is committed, this process "
                    f"has committed {own}"
                )
            pointer = read_pointer(one.metadata)
            committed[one.partition] = Committed(
                position,
                pointer.fingerprint if pointer else None,
                int(pointer.digest, 16) if pointer else None,
            )
        return committed

    def _state(self, n: int, committed: Committed) -> LaneState:
        state = self._parked.get(n)
        if state is None or state.position != committed.position:
            state = self._restore(n, committed.position)
        partition = TopicPartition(RECORDS, n)
        log = answered(
            lambda: self.consumer.get_watermark_offsets(partition, ANSWER_SECONDS),
            meanwhile=self._stay_alive,
        )
        if why := refusal(state, committed, log, self.membership.fingerprint):
            raise StateError(f"lane {n}: {why}")
        return state

    def _stay_alive(self) -> None:
        """The loop turns while Kafka is asked."""
        self.vitals.alive_at = time.monotonic()
