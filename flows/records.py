"""Append records to the records topic, each delivery verified.

Takes:    ``Environment``; records with their keys
Delivery: at least once: ``settle`` returns when the log has all of them, else ``EngineError``
Replays:  the same records can be appended again; what is repeated changes nothing
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from confluent_kafka import KafkaException, Producer

from flows.environment import Environment
from flows.kafka import REACH_SECONDS, client_properties
from schemas.engines import EngineError
from schemas.topics import MAX_MESSAGE_BYTES, TOPICS

RECORDS = TOPICS["records"].name
PATIENCE_SECONDS = 30.0

Header = tuple[str, str | bytes | None]


class RecordsTopic:
    """The log on one cluster."""

    def __init__(self, environment: Environment) -> None:
        self._servers = environment.kafka
        self._producer = Producer(
            {"message.max.bytes": MAX_MESSAGE_BYTES, "enable.idempotence": True}
            | client_properties(environment)
            | {"acks": "all", "partitioner": "murmur2_random"}
        )
        self._is_reached = False
        self._added = 0
        self._failures: Counter[str] = Counter()
        self.last = -1
        """The offset of the record that was taken last."""

    def append(
        self,
        value: bytes | None,
        key: bytes | None,
        lane: int | None = None,
        headers: Sequence[Header] = (),
    ) -> None:
        """Hands a record to the client; without ``lane`` its key chooses one."""
        partition = -1 if lane is None else lane
        try:
            if not self._is_reached:  # says at once that nobody is there
                self._producer.list_topics(RECORDS, REACH_SECONDS)
                self._is_reached = True
            self._producer.produce(
                RECORDS, value, key, partition, on_delivery=self._delivered, headers=[*headers]
            )
        except KafkaException as failure:
            why = failure.args[0].str()
            raise EngineError(f"Kafka at {self._servers}: {why}") from None
        self._added += 1
        self._producer.poll(0)

    def settle(self) -> None:
        """Returns once all that was appended is in the log; raises ``EngineError``."""
        left = self._producer.flush(PATIENCE_SECONDS) + self._failures.total()
        added, self._added = self._added, 0
        if left:
            why = next(iter(self._failures), "no answer in time")
            # What is left might arrive when something newer has been sent already.
            self._producer.purge()
            self._producer.flush(REACH_SECONDS)
            raise EngineError(
                f"Kafka at {self._servers}: {left} of {added} records were not taken: {why}; "
                "the same command can be run again"
            )

    def _delivered(self, error: Any, message: Any) -> None:
        if error is not None:
            self._failures[error.str()] += 1
        else:
            self.last = message.offset()
