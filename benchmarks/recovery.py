"""``flowsell bench recovery``: kill -9 under load; how long until caught up, and was it exact?

Takes: a rate, numbers of processes and of customers
Out:   a table, or one JSON line: seconds from the kill until no more is waiting than before it, the
       other processes' longest wait, and outputs lost or told twice
Beside it: one pass over the same log, which says what was owed
"""

from __future__ import annotations

import time
from collections import Counter
from functools import partial
from typing import Any

import click
import xxhash
from rich.console import Console

from benchmarks.kafka import LANES
from benchmarks.latency import Latencies, Say, Watch, planned, ready, span_of
from benchmarks.machine import options, tell
from benchmarks.pacing import pacing, wait_for
from benchmarks.site import ID_KEY, RECORDS, Site, site
from benchmarks.workload import CUSTOMERS_PER_TENANT, Load
from operators.decode import decode
from operators.fold import fold
from schemas.batch import STREAMS
from schemas.topics import TOPICS
from sources.business import SECOND
from sources.kafka import chunk_of
from state.lane import LaneState

_LOOK_SECONDS = 0.05
_CALM_SECONDS = 10
"""Before the kill, so that the lag of a calm engine is known, and once it has caught up."""

Outputs = Counter[int]
"""Hashes of topic, key and value."""


def measure(load: Load, rate: int, seconds: int, say: Say) -> dict[str, Any]:
    """Kill the engine in the middle of the load and start it again at once."""
    spans = [1] * seconds
    load = planned(load, rate, spans)
    with site(load.lanes) as deployment:
        engine = ready(deployment, load, say)
        watch, latencies = Watch(deployment.bootstrap, load.lanes), Latencies()
        with pacing(deployment.bootstrap, load, spans) as traffic:
            wait_for(load.first_minute)
            watch.look(latencies, _CALM_SECONDS)
            usual = max(_lag(deployment) for _ in range(20))
            say(f"kill -9, with {usual:,} records waiting")
            engine.kill()
            killed = time.time()
            engine = deployment.start()
            while _lag(deployment) > usual:
                engine.check()
                watch.look(latencies, _LOOK_SECONDS)
            caught_up = time.time() - killed
            say(f"caught up after {caught_up:.1f} s")
            while traffic.is_alive():
                watch.look(latencies, 1.0)
                engine.check()
        deployment.wait_committed(engine)
        watch.close()
        engine.drain()
        say("reading what was committed, and folding the log once more")
        lost, duplicated = compare(_owed(deployment), _given(deployment))
    begin = load.first_minute / SECOND
    return {
        "seconds_to_caught_up": round(caught_up, 2),
        "lost": lost,
        "duplicated": duplicated,
        "rate": rate,
        "waiting_before": usual,
        "p99_ms_before": round(span_of(latencies.between(begin, killed - 1)).p99_ms, 1),
        "customers": load.customers,
        "lanes": load.lanes,
        "seed": load.seed,
    }


def compare(owed: Outputs, given: Outputs) -> tuple[int, int]:
    """Outputs that are missing, and those that are there although they are not owed, or again."""
    return (owed - given).total(), (given - owed).total()


def _lag(deployment: Site) -> int:
    time.sleep(_LOOK_SECONDS)
    return sum(deployment.ends()) - sum(deployment.committed())


def _owed(deployment: Site) -> Outputs:
    owed: Outputs = Counter()
    for lane in range(deployment.lanes):
        state = LaneState(lane, ID_KEY)
        for messages in deployment.read(RECORDS, lane):
            for batch in decode(chunk_of(lane, messages), deployment.lanes):
                outputs = fold(state, batch)
                for stream, told in outputs.streams.items():
                    topic = TOPICS[stream].name
                    owed.update(_hash(topic, message.key, message.value) for message in told)
    return owed


def _given(deployment: Site) -> Outputs:
    given: Outputs = Counter()
    for stream in STREAMS:
        topic = TOPICS[stream].name
        for lane in range(deployment.lanes):
            for messages in deployment.read(topic, lane):
                given.update(_hash(topic, each.key(), each.value()) for each in messages)
    return given


def _hash(topic: str, key: bytes, value: bytes) -> int:
    return xxhash.xxh3_64_intdigest(b"\x1f".join((topic.encode(), key, value)))


def print_recovery(told: dict[str, Any], console: Console) -> None:
    """One line."""
    console.print(
        f"caught up {told['seconds_to_caught_up']} s after kill -9 at {told['rate']:,} records/s "
        f"with {told['customers']:,} customers; lost {told['lost']:,}, "
        f"told twice {told['duplicated']:,}",
        soft_wrap=True,
    )


@click.command("recovery")
@click.option("--rate", type=click.IntRange(100), default=15_000, show_default=True)
@click.option("--seconds", type=click.IntRange(20), default=90, show_default=True)
@options(customers=1_000_000, lanes=LANES)
def recovery(
    rate: int, seconds: int, customers: int, lanes: int, seed: int, quick: bool, is_json: bool
) -> None:
    """Seconds from kill -9 under load to caught up; outputs lost and told twice."""
    err = Console(stderr=True, highlight=False)
    if quick:
        rate, seconds, customers = 1_000, 25, CUSTOMERS_PER_TENANT
    told = measure(Load(rate, customers, seed, lanes), rate, seconds, err.print)
    tell(told, is_json, partial(print_recovery, told))
