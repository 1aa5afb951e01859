"""What the group of the engagement flow has committed, as anyone may ask Kafka for it.

In:    properties of a client; the number of lanes
Out:   by lane C, what its commit says, and the log's beginning; ``EngineError`` where Kafka does
       not answer
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaException, TopicPartition

from schemas.engines import EngineError
from schemas.topics import TOPICS
from state.pointer import Pointer, read_pointer

ANSWER_SECONDS = 30.0

_RECORDS = TOPICS["records"].name


class At(NamedTuple):
    """C of a lane, with what the commit says beside it, and where its log begins."""

    position: int
    pointer: Pointer | None
    begin: int


def committed(properties: Mapping[str, Any], group: str, lanes: int) -> dict[int, At]:
    """C of every lane; 0 where nothing was ever committed. Joins no group."""
    consumer = Consumer(dict(properties) | {"group.id": group, "enable.auto.commit": False})
    asked = [TopicPartition(_RECORDS, lane) for lane in range(lanes)]
    try:
        found = consumer.committed(asked, ANSWER_SECONDS)
        begins = [consumer.get_watermark_offsets(one, ANSWER_SECONDS)[0] for one in asked]
    except KafkaException as failure:
        raise EngineError(f"Kafka does not answer: {failure.args[0].str()}") from None
    finally:
        consumer.close()
    for one in found:
        if one.error is not None:
            raise EngineError(f"Kafka does not say what is committed: {one.error.str()}")
    return {
        one.partition: At(max(one.offset, 0), read_pointer(one.metadata), begin)
        for one, begin in zip(found, begins, strict=True)
    }
