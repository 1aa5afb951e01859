"""Write outputs and the lanes' positions to Kafka in one transaction, again and again.

Takes:    ``Folded`` of the lanes that were assigned, one term at a time
Delivery: exactly once: a transaction holds the outputs and C, the next position of each lane; it
          is open only during the burst of a commit, and every delivery is verified by its commit
Replays:  never needed: what was not committed is folded again from the log; a position at or
          below C is never committed a second time

Outputs are held until all lanes have had their turn and a commit is due (75 ms after the last one
began), or are many. Once they are produced a thread beside the worker's commits them, one
transaction at a time, and lanes go on meanwhile. A refusal that aborts keeps them for the next try;
a time-out repeats the same call until a deadline; a fatal error or fencing ends the flow.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
import structlog
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition
from confluent_kafka import TopicPartition

from schemas.batch import I8, DeadLetter, Outputs
from schemas.engines import EngineError
from schemas.topics import COMMAND_SCHEMA, ERROR_HEADER, MAX_MESSAGE_BYTES, TOPICS
from sinks.transactions import (
    HEADROOM_BYTES,
    PATIENCE_SECONDS,
    Headers,
    Refused,
    Run,
    Transactions,
)
from state.control import Folded
from state.pointer import pointer_text
from state.vitals import AT_LEAST_RECORDS, MINUTE_SECONDS, MOST_DEAD_SHARE, Vitals

COMMIT_SECONDS = 0.075
"""From the beginning of a commit to that of the next, at least."""
POSITIONS_SECONDS = 1.0
"""How long positions alone may wait, when there is nothing to say with them."""
RETRY_SECONDS = 0.25
MANY_MESSAGES = 4_096
"""So many are on their way while other lanes fold."""
MOST_HELD_MESSAGES = 100_000
MOST_HELD_BYTES = 64 << 20
OFFSET_BITS = 48

_VALUE = attrgetter("value")

_log = structlog.get_logger("sink")


_COMMAND_BEGINS = b'{"command_id":"'
_ID = slice(len(_COMMAND_BEGINS), len(_COMMAND_BEGINS) + 32)
_SCHEMA_HEADER = ("schema", COMMAND_SCHEMA.encode())


def command_headers(value: bytes) -> Headers:
    """Headers of a command: what to dedupe by, and how to read it; its id is its first field."""
    assert value.startswith(_COMMAND_BEGINS), "a command begins with its id"
    return [("command-id", value[_ID]), _SCHEMA_HEADER]


def dead_letter_headers(lane: int, dead: DeadLetter, original: Headers | None) -> Headers:
    """The record's own headers, then where it stood and why it is dead."""
    errors = {
        "topic": TOPICS["records"].name,
        "partition": str(lane),
        "offset": str(dead.position & ((1 << OFFSET_BITS) - 1)),
        "stage": dead.stage,
        "reason": dead.reason,
        "message": dead.message,
    }
    if len(dead.value) > MAX_MESSAGE_BYTES - HEADROOM_BYTES:
        errors["truncated"] = str(len(dead.value))
    return [*(original or []), *((ERROR_HEADER + k, v.encode()) for k, v in errors.items())]


def _same(headers: Headers, _: object) -> Headers:
    return headers


def _nothing_else(lane: int, position: int) -> tuple[Headers | None, bool]:
    del lane, position
    return None, False


def size_of(outputs: Outputs) -> tuple[int, int]:
    """Messages, and bytes of their values."""
    letters = outputs.dead_letters
    count = sum(map(len, outputs.streams.values())) + len(letters)
    size = sum(len(dead.value) for dead in letters)
    for messages in outputs.streams.values():
        size += sum(map(len, map(_VALUE, messages)))
    return count, size


@dataclass
class _Held:
    """What the next transaction says."""

    outputs: list[Outputs] = field(default_factory=list)
    reached: dict[int, tuple[int, int]] = field(default_factory=dict)
    """By lane: the next position and the digest there."""
    counts: Counter[tuple[str, ...]] = field(default_factory=Counter)
    commands_ms: list[I8] = field(default_factory=list)
    messages: int = 0
    bytes: int = 0

    @property
    def is_full(self) -> bool:
        return self.messages >= MOST_HELD_MESSAGES or self.bytes >= MOST_HELD_BYTES

    def extend(self, later: _Held) -> None:
        """Takes in what has come after it."""
        self.outputs += later.outputs
        self.reached |= later.reached
        self.counts.update(later.counts)
        self.commands_ms += later.commands_ms
        self.messages += later.messages
        self.bytes += later.bytes


class _Written(NamedTuple):
    """A transaction that is committed: how long it took, and when that was."""

    seconds: float
    at_ms: int


class KafkaCommitter:
    """One transactional producer, and everything that is held for its next transaction.

    ``fingerprint`` goes with every committed position; ``vitals`` are told of every commit.
    """

    def __init__(
        self,
        properties: Mapping[str, Any],
        instance: str,
        group: str,
        fingerprint: Mapping[str, object],
        patience: float = PATIENCE_SECONDS,
        vitals: Vitals | None = None,
    ) -> None:
        self._fingerprint = dict(fingerprint)
        self.original: Callable[[int, int], tuple[Headers | None, bool]] = _nothing_else
        """Tells a record's own headers, and whether its value was null."""
        self._vitals = vitals or Vitals()
        self._transactions = Transactions(
            properties, f"{group}.{instance}", MOST_HELD_BYTES, patience, self._vitals
        )
        self._warned_at = -MINUTE_SECONDS
        self._membership: object = None
        self._term = 0
        self._committed: dict[int, int] = {}
        self._held = _Held()
        self._writer = ThreadPoolExecutor(1, "commit")
        self._writing: _Held | None = None
        """What the transaction says that is under way."""
        self._written: Future[_Written | None]
        self._tried_at = 0.0
        self._refused = False

    def open(self) -> None:
        """Connect, end the transaction that an earlier life of this instance left open."""
        self._transactions.open()

    def assign(self, term: int, membership: object, committed: Mapping[int, int]) -> None:
        """Lanes with their C; ``membership`` is the group metadata of this assignment."""
        assert not self._held.reached, "a new term while outputs of the old one are held"
        assert self._writing is None, "a new term while the old one is committed"
        self._term = term
        self._membership = membership
        self._committed = dict(committed)

    def reached(self, lane: int) -> int:
        """The position up to which everything of the lane has arrived here."""
        for held in (self._held, self._writing):
            if held is not None and lane in held.reached:
                return held.reached[lane][0]
        return self._committed[lane]

    def committed(self, lane: int) -> int:
        """C of a lane, as far as this process has moved it."""
        return self._committed[lane]

    def add(self, folded: Folded) -> None:
        """Hold one lane's outputs for the next transaction."""
        outputs = folded.outputs
        assert folded.term == self._term, f"outputs of term {folded.term} in {self._term}"
        assert outputs.next_position > self.reached(outputs.lane), (
            "C never stands still or goes back"
        )
        assert all(
            stream[0].position >= self.reached(outputs.lane)
            for stream in outputs.streams.values()
            if stream
        ), "an output that was committed before"
        held = self._held
        messages, size = size_of(outputs)
        if messages:
            held.outputs.append(outputs)
        held.reached[outputs.lane] = (outputs.next_position, outputs.digest)
        held.counts.update(outputs.counts)
        if len(folded.commands_ms):
            held.commands_ms.append(folded.commands_ms)
        held.messages += messages
        held.bytes += size

    def tick(self) -> None:
        """Begin a commit if it is time, and wait for one if no more can be held."""
        is_full = self._held.is_full
        if self._writing is not None and not is_full and not self._written.done():
            return
        if not self._end() and is_full:
            self.commit_now()
        elif is_full or self._is_due():
            self._begin()

    def relieve(self) -> None:
        """The same between lanes, where many messages are held already."""
        if self._held.is_full or self._held.messages >= MANY_MESSAGES:
            self.tick()

    def rest(self) -> float:
        """Seconds until the next commit of messages may begin."""
        wait = RETRY_SECONDS if self._refused else COMMIT_SECONDS
        return max(0.0, self._tried_at + wait - time.monotonic())

    def _is_due(self) -> bool:
        if not self._held.messages:
            is_late = time.monotonic() - self._tried_at >= POSITIONS_SECONDS
            return is_late and bool(self._held.reached)
        return self.rest() == 0.0

    def commit(self) -> bool:
        """Commit everything that is held; ``False`` if Kafka refused it and it is still held."""
        if not self._end():
            return False
        if self._held.reached:
            self._begin()
        return self._end()

    def commit_now(self) -> None:
        """Commit everything that is held, through refusals; ``EngineError`` after the deadline."""
        deadline = time.monotonic() + self._transactions.patience
        while not self.commit():
            if time.monotonic() > deadline:
                raise EngineError("Kafka refused the same transaction again and again")
            time.sleep(RETRY_SECONDS)

    def _begin(self) -> None:
        """Produces everything that is held, and has it committed beside whatever comes.

        Producing needs the interpreter all the time: a thread would wait for it again and again
        while lanes fold, with the transaction open. A commit waits for Kafka alone.
        """
        self._writing, self._held = self._held, _Held()
        self._tried_at = time.monotonic()
        try:
            self._transactions.produce(chain.from_iterable(map(self._runs, self._writing.outputs)))
        except Refused:
            self._written = self._writer.submit(self._transactions.abort)
        else:
            offsets = self._offsets(self._writing)
            self._written = self._writer.submit(
                self._commit, self._tried_at, offsets, self._membership
            )

    def _commit(self, began: float, offsets: list[Any], membership: object) -> _Written | None:
        """On the writer's thread; ``None``: Kafka refused it."""
        try:
            self._transactions.commit(offsets, membership)
        except Refused:
            self._transactions.abort()
            return None
        return _Written(time.monotonic() - began, int(time.time() * 1000))

    def _end(self) -> bool:
        """Waits for what is being written; ``False`` if it was refused and is held again."""
        if self._writing is None:
            return True
        written, held = self._written.result(), self._writing
        self._writing = None
        self._refused = written is None
        if written is None:
            held.extend(self._held)
            self._held = held
        else:
            self._committed |= {lane: at for lane, (at, _) in held.reached.items()}
            self._tell(held, written)
        return not self._refused

    def discard(self) -> None:
        """Forget what is held and the lanes it is of: another process will fold it again."""
        self._end()
        self._held = _Held()
        self._committed = {}
        self._refused = False

    def close(self) -> None:
        """Let go of the producer; what is not being written is not committed."""
        self._writer.shutdown()
        self._transactions.close()

    def _tell(self, held: _Held, written: _Written) -> None:
        """What was committed, and a warning where too much of it is rubbish."""
        vitals, now = self._vitals, time.monotonic()
        ages = [written.at_ms - asked for asked in held.commands_ms]
        ages_ms = np.concatenate(ages) if ages else np.empty(0, np.int64)
        vitals.count_committed(held.counts, ages_ms, written.seconds, now)
        if not held.counts or now - self._warned_at < MINUTE_SECONDS:
            return
        records, dead = vitals.last_minute(now)
        if records >= AT_LEAST_RECORDS and dead > MOST_DEAD_SHARE * records:
            self._warned_at = now
            _log.warning("many dead letters", records=records, dead=dead)

    def _offsets(self, held: _Held) -> list[Any]:
        return [
            TopicPartition(
                TOPICS["records"].name,
                lane,
                at,
                metadata=pointer_text(self._fingerprint, digest),
            )
            for lane, (at, digest) in held.reached.items()
        ]

    def _runs(self, outputs: Outputs) -> Iterator[Run]:
        for stream, messages in outputs.streams.items():
            headers_of = command_headers if stream == "commands" else None
            yield TOPICS[stream].name, messages, headers_of
        for dead in outputs.dead_letters:
            own, is_null = self.original(outputs.lane, dead.position)
            headers = dead_letter_headers(outputs.lane, dead, own)
            told = None if is_null else dead.value[: MAX_MESSAGE_BYTES - HEADROOM_BYTES]
            letter = dead.position, dead.key, told
            yield TOPICS["dead_letters"].name, [letter], partial(_same, headers)


class _CommitterPartition(StatefulSinkPartition[Folded, None]):
    def __init__(self, committer: KafkaCommitter) -> None:
        self._committer = committer

    def write_batch(self, values: list[Folded]) -> None:
        for folded in values:
            self._committer.add(folded)
        self._committer.relieve()

    def snapshot(self) -> None:
        """Nothing: what is held is committed between two turns of the reader."""


class KafkaSink(FixedPartitionedSink[Folded, None]):
    """The committer as the dataflow sees it; it was opened before and is closed after."""

    def __init__(self, committer: KafkaCommitter) -> None:
        self._committer = committer

    def list_parts(self) -> list[str]:
        """One: the whole process."""
        return ["process"]

    def part_fn(self, item_key: str) -> int:
        """Every lane goes to the one partition."""
        return 0

    def build_part(
        self, step_id: str, for_part: str, resume_state: None
    ) -> StatefulSinkPartition[Folded, None]:
        """The committer behind it."""
        return _CommitterPartition(self._committer)
