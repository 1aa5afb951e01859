"""``flowsell bench latency``: from a record's append to the command that it caused, committed.

Takes: a rate for some minutes, three times as much for a minute, and a time to drain
Out:   a table, or one JSON line: percentiles of all commands, of those that a record caused by
       itself and of those that its minute made due, and how long the burst was felt
Clock: a ``read_committed`` consumer's, on the same machine, against the command's ``created_at``,
       which is the append time of the record, or the due minute that the clock has passed
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from multiprocessing.process import BaseProcess
from typing import Any

import click
import msgspec
import numpy as np
from confluent_kafka import Consumer, TopicPartition
from rich.console import Console
from rich.table import Table

from benchmarks.kafka import LANES, now_minute
from benchmarks.machine import options, tell
from benchmarks.pacing import asked_town, pacing, steady, wait_for
from benchmarks.site import Engine, Site, cpu_seconds, rss_bytes_of, site
from benchmarks.triggers import BY_CLOCK
from benchmarks.workload import CUSTOMERS_PER_TENANT, Load, warmup
from schemas.batch import Chunk
from schemas.topics import TOPICS
from sources.business import MINUTE, SECOND

COMMANDS = TOPICS["commands"].name
WARM_RATE = 25_000
"""Records a second. A slow estimate: the load begins when the warm-up is over for certain."""
_SAY_SECONDS = 15.0
_FIGURE_SECONDS = 5.0
_LOOK_SECONDS = 0.2
"""By so much at most the end of the load is noticed late, and a drain told as longer."""

Say = Callable[[str], None]


class _Made(msgspec.Struct):
    created_at: str
    kind: str


_made = msgspec.json.Decoder(_Made).decode


@dataclass
class Latencies:
    """When each command was made, by how much later it was there, in seconds, and its kind."""

    made: list[float] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)

    def between(
        self, begin: float, end: float, by_clock: bool | None = None
    ) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Milliseconds of those made between two instants: all, or of one origin.

        What a customer's day brings is told as of the minute in which that day begins, for up to a
        minute later: nobody can tell from it how long it waited, so it is left out.
        """
        made, waited = np.array(self.made), np.array(self.waited)
        chosen = (made >= begin) & (made < end) & ~self._by_a_day()
        if by_clock is not None:
            chosen &= np.isin(self.kinds, BY_CLOCK) == by_clock
        return waited[chosen] * 1000

    def days_begun(self, begin: float, end: float) -> int:
        """How many were left out of those between two instants."""
        made = np.array(self.made)
        return int(((made >= begin) & (made < end) & self._by_a_day()).sum())

    def _by_a_day(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Entered at a whole minute, as no record is: its time has milliseconds."""
        found: np.ndarray[Any, np.dtype[np.bool_]] = np.isin(self.kinds, ("segment_entered",))
        found &= np.array(self.made) % 60 == 0
        return found


@dataclass(frozen=True, slots=True)
class Span:
    """Percentiles of one part of the load, in milliseconds."""

    commands: int
    p50_ms: float
    p99_ms: float
    max_ms: float


def span_of(waited_ms: np.ndarray[Any, np.dtype[np.float64]]) -> Span:
    """What these commands waited; zeros where there were none."""
    if not len(waited_ms):
        return Span(0, 0.0, 0.0, 0.0)
    p50, p99 = np.percentile(waited_ms, [50, 99])
    return Span(len(waited_ms), float(p50), float(p99), float(waited_ms.max()))


class Watch:
    """Reads the commands as a sender would, and notes when each was there."""

    def __init__(self, bootstrap: str, lanes: int) -> None:
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "flowsell.bench.senders",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 10,
                "log_level": 2,
            }
        )
        ends = [
            self._consumer.get_watermark_offsets(TopicPartition(COMMANDS, lane), 10)[1]
            for lane in range(lanes)
        ]
        self._consumer.assign(
            [TopicPartition(COMMANDS, lane, end) for lane, end in enumerate(ends)]
        )

    def look(self, latencies: Latencies, seconds: float) -> None:
        """Notes what comes within so many seconds."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            messages = self._consumer.consume(10_000, min(left, 0.01))
            now = time.time()
            for message in messages:
                if message.error() is None:
                    told = _made(message.value() or b"")
                    made = datetime.fromisoformat(told.created_at).timestamp()
                    latencies.made.append(made)
                    latencies.waited.append(now - made)
                    latencies.kinds.append(told.kind)

    def close(self) -> None:
        """Let go of the broker."""
        self._consumer.close()


def warmed(
    deployment: Site, load: Load, processes: int, say: Say, late_ms: int = 0
) -> list[Engine]:
    """So many running engines that know the past of all customers, told so long ago."""
    seldom = _seldom(say)
    past = _counted(warmup(asked_town(load)), load.warm_records, seldom)
    if late_ms:
        with deployment.earlier(late_ms):
            deployment.append(past)
        deployment.beat()
    else:
        deployment.append(past)
    engines = deployment.start_all(processes)
    deployment.wait_committed(
        *engines, said=lambda missing: seldom(f"{missing:,} records are not committed yet")
    )
    deployment.beat()  # or everybody's profile would be owed with the first record of the load
    return engines


def _counted(chunks: Iterator[Chunk], some: int, say: Say) -> Iterator[Chunk]:
    count = 0
    for chunk in chunks:
        count += len(chunk.values)
        say(f"{count:,} of some {some:,} records appended")
        yield chunk


def _seldom(say: Say) -> Say:
    """Says what is new now and then, and nothing where all is over soon."""
    last = time.monotonic()

    def seldom(what: str) -> None:
        nonlocal last
        if time.monotonic() - last >= _SAY_SECONDS:
            last = time.monotonic()
            say(what)

    return seldom


def still_ahead(load: Load) -> None:
    """Raises where the load should have begun before now."""
    if time.time() > load.first_minute / SECOND:
        raise click.ClickException("the warm-up took longer than was thought: fewer --customers")


def ready(deployment: Site, load: Load, say: Say) -> Engine:
    """A running engine that knows the past of all customers, before the load begins."""
    say(f"warming up: {load.customers:,} customers; the load begins in the minute after that")
    (engine,) = warmed(deployment, load, 1, say)
    still_ahead(load)
    return engine


def planned(load: Load, rate: int, seconds: list[int]) -> Load:
    """The load, to begin in the minute in which the warm-up will be over."""
    load = steady(load, rate, seconds, now_minute())
    wait = load.warm_records // WARM_RATE // 60 * MINUTE
    return replace(load, first_minute=load.first_minute + wait + MINUTE)


def measure(load: Load, rate: int, sustained: int, burst: int, say: Say) -> dict[str, Any]:
    """The load for ``sustained`` seconds, three times of it for ``burst``, then nothing new."""
    seconds = [1] * sustained + [3] * burst
    load = planned(load, rate, seconds)
    begin = load.first_minute / SECOND
    calm, over = begin + sustained, begin + sustained + burst
    with site(load.lanes) as deployment:
        engine = ready(deployment, load, say)
        watch, latencies = Watch(deployment.bootstrap, load.lanes), Latencies()
        with pacing(deployment.bootstrap, load, seconds) as traffic:
            wait_for(load.first_minute)
            cpu, rss = cpu_seconds(engine.pid), rss_bytes_of(engine.pid)
            follow(traffic, [engine], watch, latencies, say)
            drained = seconds_behind(deployment, [engine], watch, latencies, over)
        used, rss_after = cpu_seconds(engine.pid) - cpu, rss_bytes_of(engine.pid)
        watch.close()
        engine.drain()
    first = span_of(latencies.between(begin, calm))
    return {
        "rate": rate,
        "seconds": sustained,
        "p50_ms": round(first.p50_ms, 1),
        "p99_ms": round(first.p99_ms, 1),
        "max_ms": round(first.max_ms, 1),
        "commands": first.commands,
        **told_of("by_record", latencies.between(begin, calm, by_clock=False)),
        **told_of("by_clock", latencies.between(begin, calm, by_clock=True)),
        "burst_rate": 3 * rate,
        "burst_seconds": burst,
        "burst_p99_ms": round(span_of(latencies.between(calm, over)).p99_ms, 1),
        "burst_drained_seconds": round(drained, 1),
        "customers": load.customers,
        "lanes": load.lanes,
        "seed": load.seed,
        "rss_bytes_before": rss,
        "rss_bytes": rss_after,
        "cpu_seconds": round(used, 1),
    }


def told_of(name: str, waited_ms: np.ndarray[Any, np.dtype[np.float64]]) -> dict[str, Any]:
    """Figures of one part of the load, under its name."""
    span = span_of(waited_ms)
    return {
        f"{name}_commands": span.commands,
        f"{name}_p50_ms": round(span.p50_ms, 1),
        f"{name}_p99_ms": round(span.p99_ms, 1),
        f"{name}_max_ms": round(span.max_ms, 1),
    }


def follow(
    traffic: BaseProcess, engines: Sequence[Engine], watch: Watch, latencies: Latencies, say: Say
) -> None:
    """Notes what comes until all of the load is appended."""
    began = said = time.time()
    while traffic.is_alive():
        watch.look(latencies, _LOOK_SECONDS)
        for engine in engines:
            engine.check()
        now = time.time()
        if now - said >= _FIGURE_SECONDS:
            said = now
            told = span_of(latencies.between(now - 10, now))
            say(f"{now - began:,.0f} s: p99 {told.p99_ms:,.0f} ms")


def seconds_behind(
    deployment: Site, engines: Sequence[Engine], watch: Watch, latencies: Latencies, over: float
) -> float:
    """Seconds from the end of the load until everything of it was committed."""
    ends = deployment.ends()
    while sum(deployment.committed()) < sum(ends):
        watch.look(latencies, 0.1)
        for engine in engines:
            engine.check()
    behind = max(0.0, time.time() - over)
    watch.look(latencies, 1.0)
    return behind


def print_latency(told: dict[str, Any], console: Console) -> None:
    """A row for each part of the load."""
    table = Table(title="append of the record to its command, committed")
    for name in ("load", "records/s", "p50", "p99", "longest", "commands"):
        table.add_column(name, justify="right")
    table.add_row(
        f"{told['seconds']} s", f"{told['rate']:,}", f"{told['p50_ms']:,.0f} ms",
        f"{told['p99_ms']:,.0f} ms", f"{told['max_ms']:,.0f} ms", f"{told['commands']:,}",
    )  # fmt: skip
    for name, what in (("by_record", "by a record itself"), ("by_clock", "by their minute")):
        p50, p99 = (f"{told[f'{name}_{part}_ms']:,.0f} ms" for part in ("p50", "p99"))
        table.add_row(what, "", p50, p99, "", f"{told[f'{name}_commands']:,}")
    if told["burst_seconds"]:
        burst = f"{told['burst_p99_ms']:,.0f} ms"
        table.add_row(
            f"{told['burst_seconds']} s", f"{told['burst_rate']:,}", "", burst, "", "",
        )  # fmt: skip
    console.print(table)
    console.print(f"caught up {told['burst_drained_seconds']} s after the end of the load")


@click.command("latency")
@click.option("--rate", type=click.IntRange(100), default=15_000, show_default=True)
@click.option("--seconds", type=click.IntRange(5), default=600, show_default=True)
@click.option("--burst", type=click.IntRange(0), default=60, show_default=True)
@options(customers=200_000, lanes=LANES)
def latency(
    rate: int,
    seconds: int,
    burst: int,
    customers: int,
    lanes: int,
    seed: int,
    quick: bool,
    is_json: bool,
) -> None:
    """Milliseconds from append to committed command, at a rate and through a burst."""
    err = Console(stderr=True, highlight=False)
    if quick:
        rate, seconds, burst, customers = 1_000, 10, 3, CUSTOMERS_PER_TENANT
    # By night the answer would be another one than by day.
    load = Load(rate, customers, seed, lanes, is_sleepless=True)
    told = measure(load, rate, seconds, burst, err.print)
    tell(told, is_json, partial(print_latency, told))
