"""One transactional producer of Kafka, asked again and again until it answers.

Takes:    messages and positions, all of one transaction
Delivery: everything is committed, or nothing: ``Refused`` says that the same may be tried again
          after ``abort``, ``EngineError`` that this process must end
Replays:  a call that timed out is repeated until a deadline; it goes on where it was
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from confluent_kafka import KafkaException, Producer

from schemas.engines import EngineError
from schemas.topics import MAX_MESSAGE_BYTES
from state.vitals import Vitals

Headers = list[tuple[str, bytes | None]]
Messages = Iterable[tuple[object, bytes | None, bytes | None]]
"""A position, a key and a value each."""
Run = tuple[str, Messages, Callable[[Any], Headers] | None]
"""A topic, what goes there, and what tells headers by the value."""

PATIENCE_SECONDS = 30.0
"""How long an engine that does not answer is asked again."""
GRACE_SECONDS = 2.0
REFUSED = ("sink_errors", "kafka")
"""What a refusal is counted as."""
HEADROOM_BYTES = 64 << 10
"""What a message's key, headers and framing may add to its value."""


class Refused(Exception):
    """This transaction must be aborted; the same outputs may go into the next one."""


class Transactions:
    """The transactions of one ``transactional_id``, one after the other.

    ``most_bytes`` is the most that one holds; ``vitals`` are told of every refusal.
    """

    def __init__(
        self,
        properties: Mapping[str, Any],
        transactional_id: str,
        most_bytes: int,
        patience: float,
        vitals: Vitals,
    ) -> None:
        self._properties = {
            "linger.ms": 1,
            "compression.type": "lz4",
            "socket.nagle.disable": True,
            "message.max.bytes": MAX_MESSAGE_BYTES + HEADROOM_BYTES,
            # Re-bootstrapping (librdkafka 2.16) forgets the group's coordinator when every
            # broker was away: positions sent to a transaction then wait for ever.
            "metadata.recovery.strategy": "none",
            **properties,
            "transactional.id": transactional_id,
            "transaction.timeout.ms": 10_000,
            "enable.idempotence": True,
            "acks": "all",
            "partitioner": "murmur2_random",
            "queue.buffering.max.messages": 0,
            "queue.buffering.max.kbytes": (most_bytes >> 10) * 4,
        }
        self.patience = patience
        self._vitals = vitals
        self._producer: Any = None

    def open(self) -> None:
        """Connect, end the transaction that an earlier life of this instance left open."""
        self._producer = Producer(self._properties)
        try:
            self._patiently(lambda: self._producer.init_transactions(self.patience))
        except Refused as refused:
            raise EngineError(f"Kafka refuses transactions: {refused}") from None

    def produce(self, runs: Iterable[Run]) -> None:
        """Begins a transaction with these messages; they are on their way when it returns."""
        self._patiently(self._producer.begin_transaction)
        try:
            for topic, messages, headers_of in runs:
                self._produce(topic, messages, headers_of)
        except KafkaException as refusal:
            raise _judged(refusal) from None

    def commit(self, offsets: list[Any], membership: object) -> None:
        """Ends it with positions, under the group metadata of their assignment."""

        def send_offsets() -> None:
            self._producer.send_offsets_to_transaction(offsets, membership, self.patience)

        self._patiently(lambda: self._in_time(send_offsets))
        self._patiently(lambda: self._producer.commit_transaction(self.patience))

    def abort(self) -> None:
        """End the transaction that was refused."""
        self._vitals.counts[REFUSED] += 1
        self._patiently(lambda: self._producer.abort_transaction(self.patience))

    def close(self) -> None:
        """Let go of the producer; nothing is committed."""
        self._producer = None

    def _produce(
        self,
        topic: str,
        messages: Messages,
        headers_of: Callable[[Any], Headers] | None,
    ) -> None:
        produce = self._producer.produce
        for _, key, value in messages:
            try:
                if headers_of is None:  # a keyword costs a third of the call
                    produce(topic, value, key)
                else:
                    produce(topic, value, key, headers=headers_of(value))
            except BufferError:
                self._produce_later(topic, value, key, headers_of and headers_of(value))

    def _produce_later(
        self, topic: str, value: bytes | None, key: bytes | None, headers: Headers | None
    ) -> None:
        """Waits for room among what has not been sent yet."""
        deadline = time.monotonic() + self.patience
        while time.monotonic() < deadline:
            self._producer.poll(0.05)
            with suppress(BufferError):
                self._producer.produce(topic, value, key, headers=headers)
                return
        raise EngineError("Kafka takes no more messages")

    def _in_time(self, call: Callable[[], None]) -> None:
        """The call, which should end by itself, or ``EngineError`` where it does not.

        librdkafka 2.16 may wait for ever, whatever time-out it was given, when the group's
        coordinator has moved to another broker.
        """
        failures: list[BaseException] = []

        def attempt() -> None:
            try:
                call()
            except BaseException as failure:  # noqa: BLE001 - raised again by who waits
                failures.append(failure)

        calling = threading.Thread(target=attempt, daemon=True)
        calling.start()
        calling.join(self.patience + GRACE_SECONDS)
        if calling.is_alive():
            raise EngineError("Kafka does not take the positions, and the call does not end")
        if failures:
            raise failures[0]

    def _patiently(self, call: Callable[[], object]) -> None:
        """The same call again after a time-out, until a deadline: it goes on where it was."""
        deadline = time.monotonic() + self.patience
        while True:
            try:
                call()
            except KafkaException as refusal:
                if not refusal.args[0].retriable() or time.monotonic() > deadline:
                    raise _judged(refusal) from None
                self._vitals.counts[REFUSED] += 1
                self._vitals.alive_at = time.monotonic()
                time.sleep(0.05)
            else:
                return


def _judged(refusal: KafkaException) -> Exception:
    """What an error of the producer means for the transaction."""
    error = refusal.args[0]
    if error.txn_requires_abort():
        return Refused(f"{error.name()}: {error.str()}")
    return EngineError(f"Kafka ends this producer: {error.name()}: {error.str()}")
