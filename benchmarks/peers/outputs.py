"""Read the changes of segment as somebody downstream would, and judge them.

Takes: a topic of changes: key of the customer; ``from`` and ``to``
Out:   when each was there; the share of customers right; how many changes are lost, how many twice
Clock: a ``read_committed`` consumer's on the same machine
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson
from confluent_kafka import Consumer, TopicPartition

from schemas.engines import EngineError

_MOST = 10_000
_TAKEN_BACK = ("pathway_diff", b"-1")
"""Pathway tells the end of a row before the row that takes its place."""


@dataclass(frozen=True, slots=True)
class Told:
    """One message."""

    received: float
    """Seconds since the epoch."""
    key: str
    value: bytes


class Outputs:
    """Everything that a peer has told so far, in the order of its partitions."""

    def __init__(self, bootstrap: str, topic: str, lanes: int, settled_seconds: float) -> None:
        self.told: list[Told] = []
        self._settled_seconds = settled_seconds
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "flowsell.bench.peers",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 10,
                "log_level": 2,
            }
        )
        self._consumer.assign([TopicPartition(topic, lane, 0) for lane in range(lanes)])

    def look(self, seconds: float) -> None:
        """Take what comes within so many seconds."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            messages = self._consumer.consume(_MOST, min(left, 0.02))
            now = time.time()
            self.told += [
                Told(now, (message.key() or b"").decode(), message.value() or b"")
                for message in messages
                if message.error() is None and _is_told(message)
            ]

    def until(
        self, keys: set[str], turn: Callable[[], None], patience: float, begin: int = 0
    ) -> float:
        """Wait for a message of each key after ``begin``, and for silence: when the last one came.

        ``turn`` is called some twenty times a second.
        """
        missing, seen, started = set(keys), begin, time.monotonic()
        quiet_since = 0.0
        while missing or time.monotonic() - quiet_since < self._settled_seconds:
            self.look(0.05)
            turn()
            new = self.told[seen:]
            seen += len(new)
            missing -= {each.key for each in new}
            if new or not quiet_since:
                quiet_since = time.monotonic()
            if time.monotonic() - started > patience:
                raise EngineError(f"{len(missing)} lanes were not read within {patience:,.0f} s")
        return self.told[-1].received

    def close(self) -> None:
        """Let go of the broker."""
        self._consumer.close()


def _is_told(message: Any) -> bool:
    """Whether a message tells a segment, and does not only take the one before back."""
    return message.value() is not None and _TAKEN_BACK not in (message.headers() or ())


def share_right(told: list[Told], owed: dict[str, str]) -> float:
    """Share of the customers whose last change leads to the segment that they are owed."""
    final: dict[str, str] = {each.key: orjson.loads(each.value)["to"] for each in told}
    return sum(final.get(key) == code for key, code in owed.items()) / len(owed)


@dataclass(frozen=True, slots=True)
class Harm:
    """What a reader of the changes suffers."""

    lost: int
    """Changes that are missing: one leads from a segment to which none has led."""
    twice: int | None
    """Messages that were there already; a peer that tells rows, not changes, has no such thing."""


def harm(told: list[Told], owed: dict[str, str]) -> Harm:
    """Follow each customer from segment to segment; where rows are told, look at their end."""
    at: dict[str, str] = {}
    seen: set[tuple[str, bytes]] = set()
    lost = twice = 0
    is_change = True
    for each in told:
        change: dict[str, Any] = orjson.loads(each.value)
        is_change = "from" in change
        if is_change:  # a row may well be what it was before
            if (each.key, each.value) in seen:
                twice += 1
                continue
            seen.add((each.key, each.value))
            lost += at.get(each.key, "000") != change["from"]
        at[each.key] = change["to"]
    lost += sum(at.get(key) != code for key, code in owed.items())
    return Harm(lost, twice if is_change else None)
