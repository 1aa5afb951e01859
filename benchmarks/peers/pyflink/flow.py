"""The common job as PyFlink's documentation writes it: a keyed process function in Python.

Takes: the records topic as a table of raw values
Out:   the segments topic, as a table whose key is the customer
State: a value by customer; exactly once by checkpoints of one second
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
from pyflink.common import Row, Types
from pyflink.datastream import FlatMapFunction, KeyedProcessFunction, RuntimeContext
from pyflink.datastream.state import ValueStateDescriptor

from benchmarks.peers.given import Given, given
from benchmarks.peers.job import Visit, day_of_ms, fold, read
from benchmarks.peers.pyflink.cluster import kafka_options, sink_options, table_environment

_SETTINGS = {
    "python.execution-mode": "thread",
    "python.fn-execution.bundle.size": "10000",
    "python.fn-execution.bundle.time": "100",
}
_EVENT = Types.TUPLE(
    [Types.STRING(), Types.STRING(), Types.STRING(), Types.LONG(), Types.LONG(), Types.LONG(),
     Types.LONG()]
)  # fmt: skip


class Read(FlatMapFunction):
    """The visit that a record tells of, and the append time of the record in ms."""

    def flat_map(self, value: Any) -> Iterator[tuple[Any, ...]]:
        """One or none."""
        visit = read(orjson.loads(value[0]))
        if visit is not None:
            yield (*visit, value[1])


class Score(KeyedProcessFunction):
    """The customer's visits, and the change that the next one makes."""

    def open(self, runtime_context: RuntimeContext) -> None:
        """Before the first."""
        kept = ValueStateDescriptor("kept", Types.PICKLED_BYTE_ARRAY())
        self._kept = runtime_context.get_state(kept)

    def process_element(self, value: Any, ctx: Any) -> Iterator[Row]:
        """One version of a visit."""
        visit, at = Visit(*value[:6]), value[6]
        kept, change = fold(self._kept.value(), visit, day_of_ms(at))
        self._kept.update(kept)
        if change is not None:
            yield Row(change.key, orjson.dumps(change.told(at)).decode())


def run(told: Given) -> None:
    """Source to sink, until it is stopped."""
    _, tables = table_environment(told, _SETTINGS)
    tables.execute_sql(
        f"""CREATE TABLE records (
            record STRING, appended TIMESTAMP_LTZ(3) METADATA FROM 'timestamp'
        ) WITH ('connector' = 'kafka', 'format' = 'raw', {kafka_options(told, told.records)})"""
    )
    tables.execute_sql(
        f"""CREATE TABLE segments (customer STRING, told STRING) WITH (
            'connector' = 'kafka', 'key.format' = 'raw', 'key.fields' = 'customer',
            'value.format' = 'raw', 'value.fields-include' = 'EXCEPT_KEY', {sink_options(told)})"""
    )
    # an instant crosses to Python as a number: a timestamp would become an object for each record
    records = tables.sql_query(
        """SELECT record, 1000 * UNIX_TIMESTAMP(CAST(appended AS STRING))
            + EXTRACT(MILLISECOND FROM CAST(appended AS TIMESTAMP(3))) FROM records"""
    )
    changes = (
        tables.to_data_stream(records)
        .flat_map(Read(), output_type=_EVENT)
        .key_by(lambda event: event[0] + "|" + event[1], key_type=Types.STRING())
        .process(Score(), output_type=Types.ROW_NAMED(
            ["customer", "told"], [Types.STRING(), Types.STRING()]
        ))
    )  # fmt: skip
    tables.from_data_stream(changes).execute_insert("segments").wait()


if __name__ == "__main__":
    run(given())
