"""A member of a consumer group that reads what is committed, and never where it was not told.

Takes:   librdkafka's properties, the group, the static member id
Out:     a consumer
Replays: nothing by itself: positions are always given
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import msgspec
from confluent_kafka import Consumer, KafkaError

from schemas.engines import EngineError
from sources.answers import RETRY_SECONDS
from state.snapshots import StateError
from state.vitals import Vitals

STATISTICS_MS = 5_000
"""How often the client says which brokers it is connected to."""
LEAVE_SECONDS = 5.0
SESSION_MS = 20_000
"""How long lanes wait for a member that ended without leaving; a restart takes a few seconds."""
HEARTBEAT_MS = 1_000
"""How soon a member hears that lanes are moving: all of them stand still until all have heard."""


class _Broker(msgspec.Struct):
    state: str


class _Statistics(msgspec.Struct):
    """What we read of the client's statistics."""

    brokers: dict[str, _Broker]


def member(properties: Mapping[str, Any], group: str, instance: str, vitals: Vitals) -> Any:
    """A consumer of this group; ``vitals`` are told whether any broker is connected."""

    def hear(statistics: str) -> None:
        brokers = msgspec.json.decode(statistics, type=_Statistics).brokers.values()
        vitals.is_connected = any(broker.state == "UP" for broker in brokers)

    return Consumer(
        {
            "fetch.queue.backoff.ms": 50,
            # One fetch is under way for each broker: where it waits for lanes that have no more,
            # those that have, and were full when it was sent, wait as well.
            "fetch.wait.max.ms": 50,
            "socket.nagle.disable": True,
            "statistics.interval.ms": STATISTICS_MS,
            "stats_cb": hear,
            "session.timeout.ms": SESSION_MS,
            "heartbeat.interval.ms": HEARTBEAT_MS,
        }
        | dict(properties)
        | {
            "group.id": group,
            "group.instance.id": instance,
            "partition.assignment.strategy": "range",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "isolation.level": "read_committed",
        }
    )


def judge(error: Any, instance: str, topic: str, place: str) -> None:
    """Raise what cannot be waited out; librdkafka retries the rest by itself.

    ``place`` is what lacks the next record where the log does not hold it.
    """
    if error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
        raise StateError(f"{place}: the log does not hold the next record: {error.str()}")
    if error.code() == KafkaError.FENCED_INSTANCE_ID or error.fatal():
        raise EngineError(
            f"Kafka ends this member: {error.str()}; does another process run as "
            f"FLOWSELL_INSTANCE={instance}?"
        )
    if error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
        raise EngineError(f"topic {topic}: {error.str()}")


def leave(consumer: Any) -> None:
    """Tell the group that we are gone for good, so that others get the lanes at once."""
    # A static member says nothing when it is closed; one that unsubscribes before does.
    consumer.unsubscribe()
    deadline = time.monotonic() + LEAVE_SECONDS
    while consumer.memberid() and time.monotonic() < deadline:
        consumer.consume(1, RETRY_SECONDS)
