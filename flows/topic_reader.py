"""Read one of the engine's topics as far as it goes now, without being a member of a group.

Takes:   ``Environment``; a topic; a group, under whose name places may be kept
Out:     messages of one partition, from a place to where it ended when the reading began
Replays: the same messages, as long as the topic keeps them
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

from flows.environment import Environment
from flows.kafka import REACH_SECONDS, client_properties
from schemas.engines import EngineError
from schemas.topics import MAX_MESSAGE_BYTES
from sources.answers import answered

PATIENCE_SECONDS = 30.0
ANSWER_SECONDS = 8.0

T = TypeVar("T")


class TopicReader:
    """One topic on one cluster."""

    def __init__(self, environment: Environment, topic: str, group: str) -> None:
        self._servers = environment.kafka
        self._topic = topic
        self._heard: list[str] = []
        self.consumer = Consumer(
            client_properties(environment)
            | {
                "error_cb": self._hear,
                "group.id": group,
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "fetch.message.max.bytes": MAX_MESSAGE_BYTES,
                "enable.partition.eof": True,  # a transaction's end is no message
                "fetch.wait.max.ms": 10,  # the next question waits behind a fetch that waits
                "auto.offset.reset": "earliest",
            }
        )

    def close(self) -> None:
        """Disconnect."""
        self.consumer.close()

    def partitions(self) -> list[int]:
        """Their numbers, ascending."""
        name = self._topic
        topic = self.asked(lambda: self.consumer.list_topics(name, REACH_SECONDS)).topics[name]
        if not topic.partitions:
            raise EngineError(f"Kafka has no topic {name}; `flowsell topics create` makes it")
        return sorted(topic.partitions)

    def messages(self, partition: int, start: int = OFFSET_BEGINNING) -> Iterator[Any]:
        """Everything of one partition from this offset on."""
        where = TopicPartition(self._topic, partition, start)
        low, end = self.asked(lambda: self.consumer.get_watermark_offsets(where, REACH_SECONDS))
        if max(low, start) >= end:
            return
        self.consumer.assign([where])
        quiet_since = time.monotonic()
        while True:
            messages = self.consumer.consume(500, 0.2)
            if messages:
                quiet_since = time.monotonic()
            elif time.monotonic() - quiet_since > PATIENCE_SECONDS:
                raise EngineError(f"Kafka at {self._servers}: nothing comes of {self._topic}")
            for message in messages:
                error = message.error()
                if error is None:
                    yield message
                    if (message.offset() or 0) + 1 >= end:
                        return
                elif error.code() == KafkaError._PARTITION_EOF:
                    return
                elif error.fatal():
                    raise EngineError(f"Kafka at {self._servers}: {error.str()}")

    def asked(self, call: Callable[[], T]) -> T:
        """The answer to a question; ``EngineError``, one line, where there is none."""
        try:
            return answered(call, ANSWER_SECONDS, f"Kafka at {self._servers}")
        except EngineError:
            self.consumer.poll(0)  # lets the client say what it has met on the way
            if not self._heard:
                raise
            why = self._heard[-1]
        raise EngineError(f"Kafka at {self._servers}: {why}")

    def _hear(self, error: KafkaError) -> None:
        """A refused connection or password says more than the call that waited for it."""
        if error.code() != KafkaError._ALL_BROKERS_DOWN:
            self._heard.append(error.str())
