"""Flink's local cluster, set up as its documentation advises, for the two Flink peers.

Takes: where checkpoints are kept; the newest complete one is what a start goes on from
Out:   a table environment with the Kafka connector
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from pyflink.common import Configuration
from pyflink.datastream import StreamExecutionEnvironment
from pyflink.table import StreamTableEnvironment

from benchmarks.peers.given import Given

_JARS = Path(__file__).resolve().parent.parent / ".environments" / "pyflink-jars"
_CORES = "2"


def table_environment(told: Given, more: dict[str, str]) -> tuple[Any, Any]:
    """The stream's environment and the tables'; ``more`` settings are the peer's own."""
    # the interpreter inside the JVM is the base one, which knows nothing of this environment
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)
    checkpoints = told.state / "checkpoints"
    settings = {
        "parallelism.default": _CORES,
        "pipeline.jars": ";".join(path.as_uri() for path in sorted(_JARS.glob("*.jar"))),
        "pipeline.object-reuse": "true",
        "state.backend.type": "hashmap",
        "execution.checkpointing.interval": "1 s",
        "execution.checkpointing.mode": "EXACTLY_ONCE",
        "execution.checkpointing.storage": "filesystem",
        "execution.checkpointing.dir": checkpoints.as_uri(),
        "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
        "restart-strategy.type": "none",  # who starts the peer again is the harness
        "table.local-time-zone": "UTC",
        "python.executable": sys.executable,
        **more,
    }
    if (newest := _newest(checkpoints)) is not None:
        settings["execution.state-recovery.path"] = newest.as_uri()
    configuration = Configuration()
    for key, value in settings.items():
        configuration.set_string(key, value)
    stream = StreamExecutionEnvironment.get_execution_environment(configuration)
    return stream, StreamTableEnvironment.create(stream)


def _newest(checkpoints: Path) -> Path | None:
    complete = checkpoints.glob("*/chk-*/_metadata")
    found = max(complete, key=lambda path: path.stat().st_mtime_ns, default=None)
    return found and found.parent


def kafka_options(told: Given, topic: str) -> str:
    """Of a table's ``WITH``."""
    return f"""
        'topic' = '{topic}',
        'properties.bootstrap.servers' = '{told.bootstrap}',
        'properties.group.id' = 'peers',
        'properties.isolation.level' = 'read_committed',
        'scan.startup.mode' = 'earliest-offset'
    """


def sink_options(told: Given) -> str:
    """Of the changes' table: its transactions end with the checkpoints."""
    return f"""
        'topic' = '{told.segments}',
        'properties.bootstrap.servers' = '{told.bootstrap}',
        'properties.transaction.timeout.ms' = '60000',
        'sink.delivery-guarantee' = 'exactly-once',
        'sink.transactional-id-prefix' = 'peers'
    """
