"""``flowsell bench kafka``: records topic to committed outputs, exactly once, in records a second.

Takes: the load of ``workload``; the broker shares the machine
Out:   a table, or one JSON line: the median of the runs and their spread
Beside it: ``consume`` alone and ``consume`` with a typed decode of the same records, run by run

The state is filled and the engine drained; then a backlog is appended and the engine started. Its
clock begins with the first commit that it makes and ends with the last.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import click
from confluent_kafka import Consumer, TopicPartition
from rich.console import Console

from benchmarks.machine import options, print_row, tell
from benchmarks.site import RECORDS, Site, cpu_seconds, rss_bytes_of, site
from benchmarks.workload import Load, Town, live, warmup
from operators.decode import decode_only
from sources.business import MINUTE, SECOND

LANES = 16
_MOST = 20_000
_LOOK_SECONDS = 0.02

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Run:
    """One backlog, worked off."""

    records: int
    records_per_second: float
    consume_records_per_second: float
    decode_limit_records_per_second: float
    cpu_seconds: float
    broker_cpu_seconds: float
    rss: int


def measure(load: Load, say: Say) -> list[Run]:
    """Fill the state through the engine itself, then work off one backlog after the other."""
    town = Town(load)
    with site(load.lanes) as deployment:
        say(f"warming up: {load.customers:,} customers")
        deployment.fill(warmup(town))
        runs = []
        for number in range(load.runs):
            begins = deployment.ends()
            count = deployment.append(live(town, number))
            runs.append(_run(deployment, begins, count))
            say(
                f"run {number + 1} of {load.runs}: {runs[-1].records_per_second:,.0f} records/s, "
                f"consume {runs[-1].consume_records_per_second:,.0f}"
            )
    return runs


def _run(deployment: Site, begins: list[int], count: int) -> Run:
    consumed = _consume(deployment, begins, count, lambda _: None)
    decoded = _consume(deployment, begins, count, decode_only)
    broker = cpu_seconds(deployment.broker_pid)
    engine = deployment.start()
    first = wait_past(deployment, begins, engine.check)
    started, before, cpu = time.perf_counter(), sum(first), cpu_seconds(engine.pid)
    deployment.wait_committed(engine)
    seconds = time.perf_counter() - started
    used, rss = cpu_seconds(engine.pid) - cpu, rss_bytes_of(engine.pid)
    engine.drain()
    worked = sum(deployment.committed()) - before
    return Run(
        records=count,
        records_per_second=worked / seconds,
        consume_records_per_second=consumed,
        decode_limit_records_per_second=decoded,
        cpu_seconds=used * count / max(worked, 1),
        broker_cpu_seconds=cpu_seconds(deployment.broker_pid) - broker,
        rss=rss,
    )


def wait_past(deployment: Site, begins: list[int], check: Callable[[], None]) -> list[int]:
    """Until something of the backlog is committed: what is."""
    while sum(at := deployment.committed()) <= sum(begins):
        check()
        time.sleep(_LOOK_SECONDS)
    return at


def _consume(
    deployment: Site, begins: list[int], count: int, use: Callable[[list[bytes]], object]
) -> float:
    """Records a second while the backlog is read; the first answer starts the clock."""
    consumer = Consumer(
        {
            "bootstrap.servers": deployment.bootstrap,
            "group.id": "flowsell.bench",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "fetch.queue.backoff.ms": 50,
            "log_level": 2,
        }
    )
    consumer.assign([TopicPartition(RECORDS, lane, at) for lane, at in enumerate(begins)])
    first = 0
    while not first:
        first = len(consumer.consume(_MOST, 0.02))
    read, started = first, time.perf_counter()
    while read < count:
        messages = consumer.consume(_MOST, 0.02)
        use([message.value() or b"" for message in messages])
        read += len(messages)
    seconds = time.perf_counter() - started
    consumer.close()
    return (read - first) / seconds


def as_json(load: Load, runs: list[Run]) -> dict[str, Any]:
    """Figures with what they were measured on."""
    rates = [run.records_per_second for run in runs]
    limits = [run.decode_limit_records_per_second for run in runs]
    records = sum(run.records for run in runs)
    return {
        "records_per_second": round(median(rates)),
        "consume_records_per_second": round(median(r.consume_records_per_second for r in runs)),
        "decode_limit_records_per_second": round(median(limits)),
        "share_of_decode_limit": round(
            median(rate / limit for rate, limit in zip(rates, limits, strict=True)), 4
        ),
        "rss_bytes": max(run.rss for run in runs),
        "customers": load.customers,
        "records": records,
        "cpu_seconds_per_million": round(sum(r.cpu_seconds for r in runs) / records * 1e6, 2),
        "broker_cpu_seconds_per_million": round(
            sum(r.broker_cpu_seconds for r in runs) / records * 1e6, 2
        ),
        "lanes": load.lanes,
        "tenants": load.tenant_count,
        "seed": load.seed,
        "runs": [round(rate) for rate in rates],
        "spread": round((max(rates) - min(rates)) / median(rates), 4),
    }


def print_runs(told: dict[str, Any], console: Console) -> None:
    """One row."""
    row = {
        "records/s": f"{told['records_per_second']:,}",
        "spread": f"{told['spread']:.0%}",
        "consume alone": f"{told['consume_records_per_second']:,}",
        "consume + decode": f"{told['decode_limit_records_per_second']:,}",
        "share": f"{told['share_of_decode_limit']:.2f}",
        "CPU s / million": f"{told['cpu_seconds_per_million']:.1f}",
        "memory": f"{told['rss_bytes'] / 1e6:,.0f} MB",
    }
    print_row("records topic to committed outputs, exactly once", row, console)


def now_minute() -> int:
    """The minute that begins next: made-up bodies must fit the broker's clock."""
    return (int(time.time()) // 60 + 1) * MINUTE


@click.command("kafka")
@click.option("--records", type=click.IntRange(10_000), default=1_000_000, show_default=True)
@click.option("--runs", type=click.IntRange(1), default=3, show_default=True)
@options(customers=100_000, lanes=LANES)
def kafka(
    records: int, runs: int, customers: int, lanes: int, seed: int, quick: bool, is_json: bool
) -> None:
    """Records a second from the records topic to committed outputs, with the broker beside."""
    err = Console(stderr=True, highlight=False)
    if quick:
        records, runs, customers = 60_000, 2, 2_000
    each = max(records // runs, 1)
    load = Load(
        each, customers, seed, lanes, runs, run_ms=SECOND, first_minute=now_minute(),
        records_per_second=each,
    )  # fmt: skip
    told = as_json(load, measure(load, err.print))
    tell(told, is_json, partial(print_runs, told))
