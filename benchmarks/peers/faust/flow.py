"""The common job as Faust's documentation writes it: an agent and a table.

Takes: the records topic; its key is the tenant, so that a customer is in one partition, and the
       table in the partition of its records: no repartitioning
Out:   the segments topic
State: a table by customer, with a changelog topic
"""

from __future__ import annotations

from typing import Any

import faust
import orjson

from benchmarks.peers.given import Given, given
from benchmarks.peers.job import day_of_ms, fold, read


def build(told: Given) -> faust.App:
    """Source to sink."""
    app = faust.App(
        "peers",
        broker=f"kafka://{told.bootstrap}",
        store="memory://",
        datadir=told.state / "faust",
        topic_partitions=told.lanes,
        consumer_auto_offset_reset="earliest",
        broker_commit_interval=1.0,
        broker_session_timeout=6.0,
        broker_heartbeat_interval=2.0,
        stream_wait_empty=False,
        stream_buffer_maxsize=16_384,
        producer_linger=0.005,
        web_enabled=False,
    )
    records = app.topic(told.records, key_type=bytes, value_type=bytes, value_serializer="raw")
    segments = app.topic(told.segments, key_type=str, value_serializer="raw")
    customers = app.Table("customers", partitions=told.lanes, key_type=str)

    @app.agent(records)
    async def score(stream: Any) -> None:
        async for event in stream.events():
            visit = read(orjson.loads(event.value))
            if visit is None:
                continue
            at = int(event.message.timestamp * 1000)
            kept, change = fold(customers.get(visit.customer), visit, day_of_ms(at))
            customers[visit.customer] = kept
            if change is not None:
                await segments.send(key=change.key, value=orjson.dumps(change.told(at)))

    return app


def main() -> None:
    """Run as one worker."""
    worker = faust.Worker(build(given()), loglevel="warning")
    worker.execute_from_commandline()


if __name__ == "__main__":
    main()
