"""What the nightly batches share: the day's records out of Kafka, and the changes into it.

Takes:    a group, whose committed offsets say what has been loaded
Delivery: the caller commits once its store has everything; a change is told after the refresh
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any

import orjson
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Producer, TopicPartition

from benchmarks.peers.given import Given

_MOST = 50_000

Change = tuple[str, str, str, str]
"""Tenant, phone, segment before and after."""


class Inbox:
    """Records that the store does not have yet."""

    def __init__(self, told: Given) -> None:
        self._lanes = told.lanes
        self._consumer = Consumer(
            {
                "bootstrap.servers": told.bootstrap,
                "group.id": "nightly",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
            }
        )
        lanes = [TopicPartition(told.records, lane) for lane in range(told.lanes)]
        places = self._consumer.committed(lanes, 30)
        for place in places:
            place.offset = place.offset if place.offset >= 0 else OFFSET_BEGINNING
        self._consumer.assign(places)

    def batches(self) -> Iterator[list[bytes]]:
        """Tens of thousands of values at a time, up to the end of every lane."""
        ended = 0
        while ended < self._lanes:
            values = []
            messages: Any = self._consumer.consume(_MOST, 0.2)
            for message in messages:
                if message.error() is None:
                    values.append(message.value() or b"")
                else:
                    ended += message.error().code() == KafkaError._PARTITION_EOF
            if values:
                yield values

    def commit(self) -> None:
        """All that was given is loaded."""
        places: Any = self._consumer.position(self._consumer.assignment())
        self._consumer.commit(offsets=[at for at in places if at.offset >= 0], asynchronous=False)
        self._consumer.close()


def tell(told: Given, changes: Iterable[Change]) -> None:
    """Append the night's changes."""
    producer = Producer({"bootstrap.servers": told.bootstrap, "linger.ms": 50})
    at = int(time.time() * 1000)
    for tenant, phone, before, after in changes:
        value = {"tenant": tenant, "phone": phone, "from": before, "to": after, "at": at}
        while True:
            try:
                producer.produce(told.segments, orjson.dumps(value), f"{tenant}|{phone}")
                break
            except BufferError:
                producer.poll(0.1)
    if producer.flush(60):
        raise RuntimeError("Kafka did not take the changes in time")


def keep_cost(told: Given, seconds: float, cpu_seconds: float) -> None:
    """What the refresh alone has taken."""
    cost = {"seconds": round(seconds, 3), "cpu_seconds": round(cpu_seconds, 3)}
    (told.state / "refresh.json").write_bytes(orjson.dumps(cost))
