"""Read dead letters: from their topic, or from the file that a replay wrote.

Takes: a place to begin at in each partition; a file counts as one partition, its lines as offsets
Out:   ``Letter``, as it died: key, value and headers of the record, and why it is dead
State: none; a topic is read to where it ended when the reading began
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from confluent_kafka import OFFSET_BEGINNING, TopicPartition

from flows.environment import Environment
from flows.topic_reader import PATIENCE_SECONDS, TopicReader
from schemas.outputs import DeadLetterLine
from schemas.record import UNREADABLE, decode_outline
from schemas.topics import ERROR_HEADER, TOPICS
from sources.files import InputDamaged, LineReader

DEAD = TOPICS["dead_letters"].name
REPLAY_MARK = "__flowsell.replayed"
"""Header of a record that was a dead letter: where that letter stands; one for each replay."""
IN_FILE = 0
"""The partition of a file's letters."""

Headers = list[tuple[str, str | bytes | None]]
Places = Mapping[int, int]
"""By partition: the offset of the next letter."""

_decode_line = msgspec.json.Decoder(DeadLetterLine).decode


class Origin(NamedTuple):
    """Where the record stood; a file's records come from no topic."""

    partition: int | None
    offset: int


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter."""

    partition: int
    offset: int
    at_ms: int | None
    """When it died; of a file's letter when it was received, ``None`` where that is unreadable."""
    key: bytes | None
    value: bytes | None
    headers: Headers
    """The record's own."""
    origin: Origin
    stage: str
    reason: str
    message: str
    was_bytes: int | None = None
    """How long the value was, where only its beginning was kept."""

    @property
    def tenant(self) -> str | None:
        """Whose it is, by its key, else by what can be read of it."""
        if self.key is not None:
            return self.key.decode(errors="replace")
        return self.named_tenant

    @property
    def named_tenant(self) -> str | None:
        """The tenant that the record itself names."""
        tenant = _outlined(self.value, "tenant")
        return tenant if isinstance(tenant, str) and tenant else None

    @property
    def marks(self) -> list[str]:
        """The letters that this record was before; a replay each."""
        return [
            value.decode(errors="replace")
            for name, value in self.headers
            if name == REPLAY_MARK and isinstance(value, bytes)
        ]


@dataclass(frozen=True)
class Wanted:
    """Which letters are meant; what is not told excludes none."""

    reasons: frozenset[str] = frozenset()
    tenant: str | None = None
    since_ms: int | None = None

    def takes(self, letter: Letter) -> bool:
        """Whether it is one of them; a letter without a time is of any time."""
        return (
            (not self.reasons or letter.reason in self.reasons)
            and (self.tenant is None or self.tenant in (letter.tenant, letter.named_tenant))
            and (self.since_ms is None or letter.at_ms is None or letter.at_ms >= self.since_ms)
        )

    def text(self) -> str:
        """The same filter has the same text; empty for all letters."""
        parts = [f"reason={','.join(sorted(self.reasons))}"] if self.reasons else []
        parts += [f"tenant={self.tenant}"] if self.tenant is not None else []
        return ";".join(parts)


def letters_of_file(path: Path, start: int = 0) -> Iterator[Letter]:
    """The letters of a ``dead_letters.ndjson``; raises ``InputDamaged`` on a line that is none."""
    reader = LineReader([path])
    try:
        reader.skip_to(start)
        while True:
            position = reader.position
            lines = reader.read()
            if not lines:
                return
            for number, line in enumerate(lines, position):
                yield _of_line(path, number, line)
    finally:
        reader.close()


def _of_line(path: Path, number: int, line: bytes) -> Letter:
    try:
        told = _decode_line(line)
        key = None if told.key is None else b64decode(told.key, validate=True)
        value = b64decode(told.value, validate=True)
    except (*UNREADABLE, ValueError):
        raise InputDamaged(f"{path}: line {number + 1} is no dead letter") from None
    errors = told.errors
    return Letter(
        partition=IN_FILE,
        offset=number,
        at_ms=_received_ms(value),
        key=key,
        value=value,
        headers=[],
        origin=Origin(errors.partition, errors.offset),
        stage=errors.stage,
        reason=errors.reason,
        message=errors.message,
    )


def _received_ms(value: bytes) -> int | None:
    received = _outlined(value, "received_at")
    try:
        return int(datetime.fromisoformat(received).timestamp() * 1000)
    except (TypeError, ValueError, OverflowError, OSError):
        return None


def _outlined(value: bytes | None, name: str) -> Any:
    try:
        return getattr(decode_outline(value or b""), name)
    except UNREADABLE:
        return None


class LetterTopic:
    """The topic of dead letters on one cluster."""

    def __init__(self, environment: Environment, group: str) -> None:
        self._topic = TopicReader(environment, DEAD, group)

    def close(self) -> None:
        """Disconnect."""
        self._topic.close()

    def committed(self) -> dict[int, int]:
        """Where the group's last run ended, by partition."""
        topic = self._topic
        asked = [TopicPartition(DEAD, n) for n in topic.partitions()]
        found = topic.asked(lambda: topic.consumer.committed(asked, PATIENCE_SECONDS))
        return {one.partition: one.offset for one in found if one.offset >= 0}

    def commit(self, places: Places) -> None:
        """Where the group's next run begins."""
        topic = self._topic
        where = [TopicPartition(DEAD, n, offset) for n, offset in places.items()]
        if where:
            topic.asked(lambda: topic.consumer.commit(offsets=where, asynchronous=False))

    def letters(self, start: Places) -> Iterator[Letter]:
        """Partition after partition, from the places given, else from its beginning."""
        for partition in self._topic.partitions():
            first = start.get(partition, OFFSET_BEGINNING)
            yield from map(_of_message, self._topic.messages(partition, first))


def _of_message(message: Any) -> Letter:
    headers: Headers = message.headers() or []
    errors = {
        name.removeprefix(ERROR_HEADER): value.decode(errors="replace")
        for name, value in headers
        if name.startswith(ERROR_HEADER) and isinstance(value, bytes)
    }
    return Letter(
        partition=message.partition(),
        offset=message.offset(),
        at_ms=message.timestamp()[1],
        key=message.key(),
        value=message.value(),
        headers=[header for header in headers if not header[0].startswith(ERROR_HEADER)],
        origin=Origin(_number(errors, "partition"), _number(errors, "offset") or 0),
        stage=errors.get("stage", ""),
        reason=errors.get("reason", ""),
        message=errors.get("message", ""),
        was_bytes=_number(errors, "truncated"),
    )


def _number(errors: Mapping[str, str], name: str) -> int | None:
    text = errors.get(name, "")
    return int(text) if text.isascii() and text.isdigit() else None
