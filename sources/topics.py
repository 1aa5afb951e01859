"""Read the engine's own topics for stores that keep what they say, each from its own places on.

Takes:   streams by name; stores, which know how far they are; who we are in which group
Out:     ``Slice``, one for each place with something new
Replays: from the lowest place of the stores that are there; positions of the group are for tools

A store that comes back after its engine was away has lower places: reading begins there anew, under
a new term. While every store is away nothing is read, and the member stays in its group.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import structlog
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from schemas.slices import Place, Slice
from schemas.topics import TOPICS
from sources.answers import ANSWER_SECONDS, answered
from sources.member import judge, leave, member
from sources.reading import ReadingSource
from state.snapshots import StateError
from state.vitals import LaneVitals, Vitals

SLICE_SECONDS = 0.02
MOST_MESSAGES = 20_000
TELL_SECONDS = 1.0

_STREAMS = {topic.name: topic.stream for topic in TOPICS.values()}
_log = structlog.get_logger("topics")


class Keeper(Protocol):
    """What the reader asks of a store."""

    is_away: bool
    life: int

    @property
    def name(self) -> str:
        """As errors name it."""

    def refresh(self) -> None:
        """Ask the engine for its places."""

    def resume(self, term: int) -> None:
        """Only slices of this term are taken from now on."""

    def written(self, place: Place) -> int | None:
        """The offset up to which the engine has everything."""

    def reached(self, place: Place) -> int:
        """The offset up to which everything has arrived."""

    def tick(self) -> None:
        """Write if it is time."""

    def flush(self) -> None:
        """Write whatever is held."""


@dataclass(frozen=True)
class Subscription:
    """Which streams are read, and as whom."""

    properties: Mapping[str, Any]
    group: str
    instance: str
    streams: tuple[str, ...]
    is_over_gaps: bool = False
    """Go on behind messages that were deleted before they were read."""


@dataclass(slots=True)
class _Reading:
    """Where a place is read next, and how old what was read and not written is."""

    offset: int
    end: int
    read_ms: int
    """Append time of what was read last; before that, when reading began."""
    waiting: deque[tuple[int, int]] = field(default_factory=deque)
    """Slices that are read and not written: the offset behind each, its first append time."""

    def oldest_ms(self, written: int) -> int:
        """Append time of the oldest message that is not written, as far as it is known."""
        while self.waiting and self.waiting[0][0] <= written:
            self.waiting.popleft()
        return self.waiting[0][1] if self.waiting else self.read_ms


def start_of(place: Place, written: int | None, log: tuple[int, int], over_gaps: bool) -> int:
    """Where reading begins for a store; ``StateError`` where the topic cannot be gone on with."""
    low, high = log
    where = f"topic {TOPICS[place.stream].name}, partition {place.partition}"
    if written is None:
        return low
    if written > high:
        raise StateError(
            f"{where}: ends at {high}, and {written} messages were written already; "
            "the topic is another one than before"
        )
    if written < low and not over_gaps:
        raise StateError(
            f"{where}: begins at {low}, and was written up to {written}; what was between is "
            "gone; --over-gaps goes on without it"
        )
    return max(written, low)


class TopicsReader:
    """One member of the group, and where it reads."""

    def __init__(
        self, subscription: Subscription, stores: Sequence[Keeper], vitals: Vitals | None = None
    ) -> None:
        self._own = subscription
        self._stores = stores
        self._vitals = vitals or Vitals()
        self._consumer: Any = None
        self._given: list[Place] | None = None
        self._readings: dict[Place, _Reading] = {}
        self._lives: list[int] = []
        self._term = 0
        self._is_paused = False
        self._is_drained = False
        self._committed: dict[Place, int] = {}
        self._told_at = 0.0

    def open(self) -> None:
        """Connect and ask for partitions; they come with ``consume``."""
        own = self._own
        properties = {
            **own.properties,
            "enable.partition.eof": True,
            "on_commit": self._hear_commit,
        }
        self._consumer = member(properties, own.group, own.instance, self._vitals)
        self._vitals.phase = "joining"
        self._consumer.subscribe(
            [TOPICS[stream].name for stream in own.streams],
            on_assign=self._on_assign,
            on_revoke=self._on_revoke,
            on_lost=self._on_lost,
        )

    def leave(self) -> None:
        """After a drain: let others have the partitions at once."""
        self._readings = {}
        leave(self._consumer)

    def close(self) -> None:
        """Let go of Kafka."""
        if self._consumer is not None:
            self._consumer.close()

    def read(self) -> list[Slice]:
        """What has come since; waits for a time slice at most."""
        self._vitals.turn(time.monotonic())
        for store in self._stores:
            store.tick()
        if self._readings and self._lives != [store.life for store in self._stores]:
            self._begin([*self._readings])
        self._pause(all(store.is_away for store in self._stores))
        messages = self._consumer.consume(MOST_MESSAGES, SLICE_SECONDS)
        if self._given is not None:  # what came with it may belong to the assignment before
            self._take(self._given)
            return []
        slices = [self._slice(place, those) for place, those in self._by_place(messages).items()]
        self._tell(time.monotonic())
        return slices

    def drain(self) -> list[Slice] | None:
        """Write everything that was read; ``None`` once that is done."""
        self._vitals.phase = "draining"
        self._vitals.turn(time.monotonic())
        if self._is_drained:
            return None
        there = [
            store
            for store, life in zip(self._stores, self._lives, strict=False)
            if store.life == life and not store.is_away
        ]
        for place, reading in self._readings.items():
            if any(store.reached(place) < reading.offset for store in there if reading.waiting):
                return []  # some is still on its way to the stores
        self._write()
        self._is_drained = True
        return []

    def _on_assign(self, consumer: Any, partitions: list[Any]) -> None:
        self._given = sorted(Place(_STREAMS[one.topic], one.partition) for one in partitions)
        consumer.assign([])  # nothing is read before the stores have told their places

    def _on_revoke(self, consumer: Any, partitions: list[Any]) -> None:
        del partitions  # an eager revoke takes them all
        self._write()
        self._let_go(consumer)

    def _on_lost(self, consumer: Any, partitions: list[Any]) -> None:
        # What is held is written all the same: a place never goes back, nor does a row.
        del partitions
        self._let_go(consumer)

    def _let_go(self, consumer: Any) -> None:
        self._given = None
        self._readings = {}
        self._vitals.lanes = {}
        self._vitals.phase = "rebalancing"
        consumer.unassign()

    def _take(self, places: list[Place]) -> None:
        self._given = None
        for store in self._stores:
            store.refresh()
        self._committed = {}
        self._begin(places)
        _log.info("partitions assigned", term=self._term, partitions=len(places))
        self._vitals.phase = "running"

    def _begin(self, places: list[Place]) -> None:
        """Read these places from where the stores are, under a new term."""
        self._term += 1
        self._lives = [store.life for store in self._stores]
        there = [store for store in self._stores if not store.is_away]
        for store in self._stores:
            store.resume(self._term)
        self._readings = {}
        now_ms = int(time.time() * 1000)
        for place in places:
            where = TopicPartition(TOPICS[place.stream].name, place.partition)
            log = self._ends(where)
            starts = [
                start_of(place, store.written(place), log, self._own.is_over_gaps)
                for store in there
            ]
            self._readings[place] = _Reading(min(starts, default=log[0]), log[1], now_ms)
        begins = [
            TopicPartition(TOPICS[place.stream].name, place.partition, reading.offset)
            for place, reading in self._readings.items()
        ]
        self._consumer.assign(begins)
        # A partition that was paused is so in its next assignment too.
        self._consumer.resume(begins)
        self._is_paused = False

    def _ends(self, where: Any) -> tuple[int, int]:
        def stay_alive() -> None:
            self._vitals.alive_at = time.monotonic()

        def ask() -> tuple[int, int]:
            found: tuple[int, int] = self._consumer.get_watermark_offsets(where, ANSWER_SECONDS)
            return found

        return answered(ask, meanwhile=stay_alive)

    def _pause(self, wanted: bool) -> None:
        """Read nothing while nobody could keep it."""
        if wanted != self._is_paused and self._readings:
            where = [TopicPartition(TOPICS[p.stream].name, p.partition) for p in self._readings]
            (self._consumer.pause if wanted else self._consumer.resume)(where)
            self._is_paused = wanted

    def _by_place(self, messages: list[Any]) -> dict[Place, list[Any]]:
        """Messages by place, and the ends of places: behind a message there may be a marker."""
        by_place: dict[Place, list[Any]] = defaultdict(list)
        for message in messages:
            error = message.error()
            if error is not None and error.code() != KafkaError._PARTITION_EOF:
                topic, partition = message.topic(), message.partition()
                judge(error, self._own.instance, topic, f"topic {topic}, partition {partition}")
                continue
            place = Place(_STREAMS[message.topic()], message.partition())
            reading = self._readings.get(place)
            if reading is not None and message.offset() >= reading.offset + (error is not None):
                by_place[place].append(message)
        return by_place

    def _slice(self, place: Place, found: list[Any]) -> Slice:
        reading = self._readings[place]
        messages = [message for message in found if message.error() is None]
        is_end = found[-1].error() is not None  # of errors only ends come this far
        reading.offset = found[-1].offset() + (not is_end)
        if messages:
            reading.read_ms = messages[0].timestamp()[1]
        reading.waiting.append((reading.offset, reading.read_ms))
        return Slice(
            self._term,
            place,
            [message.offset() for message in messages],
            [message.value() for message in messages],
            reading.offset,
        )

    def _write(self) -> None:
        """Write what is held, and tell the group how far everybody is."""
        for store in self._stores:
            store.flush()
        self._commit(is_waiting=True)

    def _commit(self, is_waiting: bool) -> None:
        """For tools that show lag; what is refused of it is told again a second later."""
        told = {
            place: at
            for place in self._readings
            if (at := self._everywhere(place)) > self._committed.get(place, 0)
        }
        if not told:
            return
        offsets = [TopicPartition(TOPICS[p.stream].name, p.partition, at) for p, at in told.items()]
        try:
            self._consumer.commit(offsets=offsets, asynchronous=not is_waiting)
        except KafkaException as refusal:
            _log.info("positions not told", why=refusal.args[0].name())

    def _hear_commit(self, error: Any, partitions: list[Any]) -> None:
        if error is None:
            self._committed |= {
                Place(_STREAMS[one.topic], one.partition): one.offset for one in partitions
            }

    def _everywhere(self, place: Place) -> int:
        return min(store.written(place) or 0 for store in self._stores)

    def _tell(self, now: float) -> None:
        """Once a second, how far every partition is: its topics together."""
        if now - self._told_at < TELL_SECONDS:
            return
        self._told_at = now
        self._commit(is_waiting=False)
        lanes: dict[int, LaneVitals] = {}
        for place, reading in self._readings.items():
            where = TopicPartition(TOPICS[place.stream].name, place.partition)
            _, end = self._consumer.get_watermark_offsets(where, cached=True)
            reading.end = max(reading.end, end, reading.offset)
            written = max(self._everywhere(place), 0)
            oldest = reading.oldest_ms(written)
            lane = lanes.setdefault(place.partition, LaneVitals(0, 0, 0, 0, None, now))
            lane.position += reading.offset
            lane.committed += written
            lane.end += reading.end
            if reading.end > written:
                lane.committed_ms = min(lane.committed_ms or oldest, oldest)
        self._vitals.lanes = lanes


class TopicsSource(ReadingSource[Slice]):
    """The reader as the dataflow sees it."""
