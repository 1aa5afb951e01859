"""The warehouse flow: segment changes, decisions and aggregates into ClickHouse.

In:    slices of ``sinks.clickhouse.STREAMS``; the environment: FLOWSELL_CLICKHOUSE, …
Out:   absolute rows, guarded by position; a write every second or every 10,000 rows
State: ClickHouse keeps how far each partition is; a start goes on from there
"""

from __future__ import annotations

from collections.abc import Mapping

from bytewax.dataflow import Dataflow

from flows.environment import Environment, EnvironmentMistake, require
from flows.migrate import wanted
from flows.stop import Stop
from flows.stores import NEEDED, Flow, Settings, Sink, Source, build_stores, run_stores
from sinks.clickhouse import ENOUGH_ROWS, STREAMS
from sinks.clickhouse_target import Embedded
from sinks.store import Cadence
from sinks.warehouse import WarehouseEngine

NAME = "warehouse"
CADENCE = Cadence(enough_rows=ENOUGH_ROWS, wait_seconds=1.0)


def build(source: Source, sinks: Mapping[str, Sink], settings: Settings) -> Dataflow:
    """The dataflow; a sink's name is part of its step id."""
    return build_stores(NAME, source, sinks, settings)


def check(environment: Environment, processes: int) -> None:
    """Raise what keeps so many processes from starting."""
    require(environment, "run", *NEEDED, "clickhouse")
    if processes > 1 and isinstance(wanted(environment), Embedded):
        raise EnvironmentMistake(
            "FLOWSELL_CLICKHOUSE: an embedded ClickHouse takes one process at a time; "
            "leave --processes out, or give a server"
        )


def run_warehouse(environment: Environment, stop: Stop, is_over_gaps: bool = False) -> None:
    """Run until ``stop`` asks for a drain; raises what ended the flow before."""
    check(environment, 1)
    engine = WarehouseEngine(wanted(environment))
    run_stores(environment, stop, Flow(NAME, STREAMS, [(engine, CADENCE)], build, is_over_gaps))
