"""The common job as Quix Streams' documentation writes it: a StreamingDataFrame with state.

Takes: the records topic; its key is the tenant, so a tenant's state is all in one store
Out:   the segments topic
State: by tenant and phone in RocksDB, with a changelog topic; committed in Kafka transactions
"""

from __future__ import annotations

from typing import Any

import orjson
from quixstreams import Application, State
from quixstreams.models import JSONDeserializer, JSONSerializer

from benchmarks.peers.given import Given, given
from benchmarks.peers.job import day_of_ms, fold, read

_COMMIT_SECONDS = 1.0


def score(record: Any, _key: Any, at: int, _headers: Any, state: State) -> dict[str, Any] | None:
    """The change that a record makes, if any."""
    visit = read(record)
    if visit is None:
        return None
    known = state.get(visit.phone)
    kept, change = fold(known, visit, day_of_ms(at))
    state.set(visit.phone, kept)
    return change.told(at) if change else None


def build(told: Given) -> Application:
    """Source to sink."""
    app = Application(
        broker_address=told.bootstrap,
        consumer_group="peers",
        auto_offset_reset="earliest",
        processing_guarantee="exactly-once",
        commit_interval=_COMMIT_SECONDS,
        state_dir=told.state / "quix",
        consumer_extra_config={"session.timeout.ms": 6_000},
        producer_extra_config={"transaction.timeout.ms": 10_000},
        loglevel="WARNING",
    )
    records = app.topic(
        told.records,
        key_deserializer="str",
        value_deserializer=JSONDeserializer(loads=orjson.loads),
    )
    segments = app.topic(told.segments, value_serializer=JSONSerializer(dumps=orjson.dumps))
    frame = app.dataframe(records)
    frame = frame.apply(score, stateful=True, metadata=True)
    frame = frame.filter(lambda change: change is not None)
    frame.to_topic(segments, key=lambda change: f"{change['tenant']}|{change['phone']}")
    return app


def main() -> None:
    """Run as one process."""
    build(given()).run()


if __name__ == "__main__":
    main()
