"""Read the records of the lanes that this process owns, one chunk per lane and batch.

Takes:   a ``Group`` of its lanes; an outlet that commits
Out:     ``Assigned`` for every lane before its data, ``Data``, ``SnapshotDue`` for one lane at a
         time
Replays: from S <= C of each lane; a chunk ends at C, where emission begins

Whatever one ``consume`` returned together with a rebalance is dropped: it may belong to the
assignment before, and is read again.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np
from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, Producer, TopicPartition

from schemas.batch import Chunk
from schemas.record import utc_text
from sources.group import RECORDS, Group, Item, Outlet
from sources.member import judge
from sources.reading import ReadingSource
from state.census import take_census
from state.control import Data, SnapshotDue
from state.snapshots import StateError
from state.vitals import MINUTE_SECONDS

IDLE_SECONDS = 0.05
SLICE_SECONDS = 0.02
ENOUGH_RECORDS = 8_192
"""A batch that gains nothing by being larger: nothing more is waited for."""
MOST_RECORDS = 40_000
STARVED_SECONDS = 1.0
ALONE_SECONDS = 2.0
"""How long the others wait for a lane that got nothing, at most."""
IN_VAIN_SECONDS = 60.0
TELL_SECONDS = 1.0
CENSUS_SECONDS = 10.0
"""How often a lane's customers are counted for the ops endpoint."""

Headers = list[tuple[str, bytes | None]]


def chunk_of(lane: int, messages: list[Any]) -> Chunk:
    """One lane's records, as decode takes them; a null value is a JSON null: no envelope."""
    return Chunk(
        lane=lane,
        positions=np.array([message.offset() for message in messages], np.int64),
        appended_ms=np.array([message.timestamp()[1] for message in messages], np.int64),
        values=[b"null" if (value := message.value()) is None else value for message in messages],
        keys=[message.key() for message in messages],
    )


def heartbeat(now: datetime) -> bytes:
    """The record that tells an idle lane what time it is; ``now`` in UTC."""
    return msgspec.json.encode({"kind": "heartbeat", "received_at": utc_text(now)})


def seconds_to_turn() -> float:
    """Until the next minute turns, by the host's clock."""
    return MINUTE_SECONDS - time.time() % MINUTE_SECONDS


class Reader:
    """Reads, keeps idle lanes awake, and says when a lane is due to be saved."""

    def __init__(self, group: Group, outlet: Outlet) -> None:
        self._group = group
        self._outlet = outlet
        self._awake: Any = None
        self._is_drained = False
        self._waiting: deque[Item] = deque()
        self._paused: list[int] = []
        self._paused_at = 0.0
        self._pause_after = 0.0
        self._originals: dict[tuple[int, int], tuple[Headers | None, bool]] = {}
        self._told_at = 0.0

    def open(self) -> None:
        """Connect and join the group."""
        self._awake = Producer(
            dict(self._group.membership.properties) | {"enable.idempotence": True}
        )
        self._group.join()

    def leave(self) -> None:
        """After a drain: let others have the lanes at once."""
        self._group.leave()

    def close(self) -> None:
        """Let go of the engine; nothing is committed."""
        self._group.close()
        self._awake = None

    def read(self) -> list[Item]:
        """What has come since: control items, then records. Waits for a time slice at most.

        Lanes come one at a time: what one has made is written while the next one folds.
        """
        group = self._group
        group.vitals.turn(time.monotonic())
        if self._waiting:
            return [self._waiting.popleft()]
        self._outlet.tick()
        self._forget_originals()
        messages = self._gathered()
        if group.is_unsettled:
            self._originals.clear()
            self._paused = []
            return group.settle()
        now = time.monotonic()
        self._waiting.extend(self._due_snapshot(now))
        for lane, own in self._by_lane(messages).items():
            self._waiting.extend(Data(group.term, chunk) for chunk in self._chunks(lane, own, now))
        self._let_others_wait(len(messages), now)
        self._keep_awake(now)
        self._tell(now)
        return [self._waiting.popleft()] if self._waiting else []

    def _gathered(self) -> list[Any]:
        """What is there, and what comes until it could be committed.

        A lane's batch costs some milliseconds however small it is: one that were folded earlier
        would only wait for its commit. The turn of a minute is not waited over: what is due then
        is work for longer than that.
        """
        group, enough = self._group, min(ENOUGH_RECORDS, MOST_RECORDS)
        messages: list[Any] = group.consumer.consume(1, IDLE_SECONDS)
        if messages and not group.is_unsettled:
            wait = min(self._outlet.rest(), seconds_to_turn())
            messages += group.consumer.consume(enough - len(messages), max(SLICE_SECONDS, wait))
        if len(messages) == enough and not group.is_unsettled:
            messages += group.consumer.consume(MOST_RECORDS - enough, SLICE_SECONDS)
        return messages

    def drain(self) -> list[Item] | None:
        """Commit everything, save every lane there; ``None`` once that is done."""
        lanes = self._group.lanes
        self._group.vitals.phase = "draining"
        self._group.vitals.turn(time.monotonic())
        if self._is_drained:
            return None
        if self._waiting:
            return [self._waiting.popleft()]
        if any(self._outlet.reached(n) < lane.position for n, lane in lanes.items()):
            return []  # some is still on its way to the outlet
        self._outlet.commit_now()
        self._is_drained = True
        term = self._group.term
        return [SnapshotDue(n, term) for n, lane in lanes.items() if lane.position > lane.saved]

    def original(self, lane: int, position: int) -> tuple[Headers | None, bool]:
        """Headers of a record that is not committed yet, and whether its value was null."""
        return self._originals.get((lane, position), (None, False))

    def _forget_originals(self) -> None:
        if self._originals:
            committed = {n: self._outlet.committed(n) for n in self._group.lanes}
            self._originals = {
                at: kept for at, kept in self._originals.items() if at[1] >= committed[at[0]]
            }

    def _let_others_wait(self, read: int, now: float) -> None:
        """Read a starved lane alone for a moment, while the others have a backlog.

        A broker answers with a batch larger than a fetch (a body of some MB) only where it is the
        first of its answer, which it never is while other lanes have more.
        """
        lanes, consumer = self._group.lanes, self._group.consumer
        if self._paused:
            alone = next(n for n in lanes if n not in self._paused)
            is_fed = lanes[alone].heard_at > self._paused_at
            if is_fed or now - self._paused_at > ALONE_SECONDS:
                consumer.resume([TopicPartition(RECORDS, n) for n in self._paused])
                self._paused = []
                self._pause_after = now if is_fed else now + IN_VAIN_SECONDS
        elif read == MOST_RECORDS and now > self._pause_after:
            for n, lane in lanes.items():
                if now - lane.heard_at > STARVED_SECONDS and self._is_behind(n):
                    self._paused = [other for other in lanes if other != n]
                    self._paused_at = now
                    consumer.pause([TopicPartition(RECORDS, other) for other in self._paused])
                    return

    def _is_behind(self, n: int) -> bool:
        where = TopicPartition(RECORDS, n)
        _, end = self._group.consumer.get_watermark_offsets(where, cached=True)
        return bool(end > self._group.lanes[n].position)

    def _by_lane(self, messages: list[Any]) -> dict[int, list[Any]]:
        by_lane: dict[int, list[Any]] = defaultdict(list)
        for message in messages:
            if (error := message.error()) is None:
                by_lane[message.partition()].append(message)
            else:
                n = message.partition()
                judge(error, self._group.membership.instance, RECORDS, f"lane {n}")
        return by_lane

    def _chunks(self, n: int, messages: list[Any], now: float) -> list[Chunk]:
        """The records of one lane, cut where emission begins."""
        lane = self._group.lanes[n]
        if messages[0].offset() < lane.position:  # after a pause, what was on its way comes again
            messages = [message for message in messages if message.offset() >= lane.position]
            if not messages:
                return []
        if messages[0].timestamp()[0] != TIMESTAMP_LOG_APPEND_TIME:
            raise StateError(f"topic {RECORDS} needs message.timestamp.type=LogAppendTime")
        for message in messages:
            headers, is_null = message.headers(), message.value() is None
            if (headers or is_null) and message.offset() >= lane.committed:
                self._originals[n, message.offset()] = (headers, is_null)
        lane.position = messages[-1].offset() + 1
        lane.heard_at = now
        if lane.position > lane.committed:
            self._group.vitals.lanes[n].waiting.append((lane.position, messages[0].timestamp()[1]))
        if messages[0].offset() >= lane.committed:
            return [chunk_of(n, messages)]
        old = sum(message.offset() < lane.committed for message in messages)
        return [chunk_of(n, part) for part in (messages[:old], messages[old:]) if part]

    def _due_snapshot(self, now: float) -> list[Item]:
        """One lane whose turn it is; its outputs are committed first, so that S = C as a rule."""
        for n, lane in self._group.lanes.items():
            if now - lane.saved_at < self._group.membership.snapshot_seconds:
                continue
            lane.saved_at = now
            if lane.position == lane.saved:
                self._group.vitals.lanes[n].saved_at = now  # nothing has changed since
            if lane.position > lane.saved:
                lane.saved = lane.position
                self._outlet.commit()
                return [SnapshotDue(n, self._group.term)]
        return []

    def _tell(self, now: float) -> None:
        """Once a second, where each lane stands; of one lane at a time, who is in it."""
        if now - self._told_at < TELL_SECONDS:
            return
        self._told_at = now
        vitals = self._group.vitals.lanes
        for n, lane in self._group.lanes.items():
            where = TopicPartition(RECORDS, n)
            _, end = self._group.consumer.get_watermark_offsets(where, cached=True)
            told = vitals[n]
            told.position = lane.position
            told.end = max(told.end, end, lane.position)
            told.commit(self._outlet.committed(n))
        if not vitals:
            return
        n = min(vitals, key=lambda each: vitals[each].counted_at)
        if now - vitals[n].counted_at >= CENSUS_SECONDS:
            vitals[n].census = take_census(self._group.lanes[n].state)
            vitals[n].counted_at = now

    def _keep_awake(self, now: float) -> None:
        """Append a heartbeat to each lane that has been silent for too long."""
        for n, lane in self._group.lanes.items():
            if now - lane.heard_at >= self._group.membership.heartbeat_seconds:
                lane.heard_at = now
                self._awake.produce(RECORDS, heartbeat(datetime.now(UTC)), partition=n)
        self._awake.poll(0)


class KafkaSource(ReadingSource[Item]):
    """The reader as the dataflow sees it."""
