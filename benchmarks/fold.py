"""``flowsell bench fold``: records a second of decode, fold and encode in one process, no Kafka.

Takes: the load of ``workload``; the state is filled first, values are built outside the clock
Out:   a table, or one JSON line; the median of the runs and their spread
Beside it: the decode limit, a typed decode of the same values and nothing else, run by run
"""

from __future__ import annotations

import gc
import multiprocessing
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from statistics import median
from time import perf_counter
from typing import Any

import click
import orjson
from rich.console import Console
from rich.table import Table

from benchmarks.machine import measured_on, options, rss_bytes, tell
from benchmarks.scenarios import house_number, memory_and_midnight, sparse
from benchmarks.triggers import against_none, due_minutes
from benchmarks.workload import BATCH_RECORDS, Load, Town, live, warmup
from operators.decode import decode, decode_only
from operators.fold import fold as fold_batch
from schemas.batch import Chunk
from state.lane import LaneState

CURVE = (10_000, 100_000, 1_000_000)
ID_KEY = b"bench"


def _memory(quick: bool, say: Callable[[str], None]) -> dict[str, Any]:
    customers = 10_000 if quick else 1_000_000
    load = Load(1_000, customers, lanes=16, runs=1, visits_each=6, messages_each=2)
    return memory_and_midnight(load, say)


def _sparse(quick: bool, say: Callable[[str], None]) -> dict[str, Any]:
    return sparse(Load(0, 2_000, runs=20 if quick else 365), say)


def _house(_: bool, say: Callable[[str], None]) -> dict[str, Any]:
    return house_number(Load(0, 0, batch=4_096), say)


def _triggers(quick: bool, say: Callable[[str], None]) -> dict[str, Any]:
    if quick:
        return against_none(Load(20_000, 5_000, runs=3), say)
    return against_none(Load(100_000, 100_000, runs=8), say)


def _due(quick: bool, say: Callable[[str], None]) -> dict[str, Any]:
    customers, count = (10_000, 1_000) if quick else (1_000_000, 10_000)
    return due_minutes(Load(0, customers, lanes=8, runs=0, visits_each=6), count, say)


SCENARIOS = {
    "memory": _memory,
    "sparse": _sparse,
    "house": _house,
    "triggers": _triggers,
    "due": _due,
}


@dataclass(frozen=True, slots=True)
class Run:
    """One window of the load."""

    records: int
    records_per_second: float
    decode_limit_records_per_second: float
    commands: int
    segment_changes: int
    profiles: int
    dead_letters: int

    @property
    def share(self) -> float:
        """Of the decode limit, measured on the same values a moment apart."""
        return self.records_per_second / self.decode_limit_records_per_second


@dataclass(frozen=True, slots=True)
class Result:
    """What a number of runs over one state came to."""

    load: Load
    runs: tuple[Run, ...]
    warmup_records: int
    warmup_seconds: float
    rss: int

    @property
    def records_per_second(self) -> float:
        """The median of the runs."""
        return median(run.records_per_second for run in self.runs)

    def as_json(self) -> dict[str, Any]:
        """Figures with what they were measured on."""
        rates = [run.records_per_second for run in self.runs]
        limits = [run.decode_limit_records_per_second for run in self.runs]
        return {
            "records_per_second": round(self.records_per_second),
            "decode_limit_records_per_second": round(median(limits)),
            "share_of_decode_limit": round(median(run.share for run in self.runs), 4),
            "rss_bytes": self.rss,
            "customers": self.load.customers,
            "records": sum(run.records for run in self.runs),
            "lanes": self.load.lanes,
            "tenants": self.load.tenant_count,
            "batch": self.load.batch,
            "seed": self.load.seed,
            "runs": [round(rate) for rate in rates],
            "spread": round((max(rates) - min(rates)) / self.records_per_second, 4),
            "commands": sum(run.commands for run in self.runs),
            "segment_changes": sum(run.segment_changes for run in self.runs),
            "profiles": sum(run.profiles for run in self.runs),
            "dead_letters": sum(run.dead_letters for run in self.runs),
            "warmup_records": self.warmup_records,
            "warmup_seconds": round(self.warmup_seconds, 2),
        }


def measure(load: Load, say: Callable[[str], None] = lambda _: None) -> Result:
    """Fill the state, then time each run."""
    town = Town(load)
    states = [LaneState(lane, ID_KEY) for lane in range(load.lanes)]
    say(f"warming up: {load.customers:,} customers")
    started = perf_counter()
    warm = 0
    for chunk in warmup(town):
        warm += len(chunk.values)
        _fold_all([chunk], states, load.lanes)
    warmed = perf_counter() - started
    runs = []
    for number in range(load.runs):
        runs.append(_run(live(town, number), states, load.lanes, limit_first=number % 2 == 1))
        say(f"run {number + 1} of {load.runs}: {runs[-1].records_per_second:,.0f} records/s")
    gc.collect()
    return Result(load, tuple(runs), warm, warmed, rss_bytes())


def flatness(results: Iterable[Result]) -> float:
    """How much slower the slowest state is than the fastest: 0.25 is a quarter."""
    rates = [result.records_per_second for result in results]
    return 1 - min(rates) / max(rates)


def _run(chunks: list[Chunk], states: list[LaneState], lanes: int, limit_first: bool) -> Run:
    """Fold and bare decode of the same values, both with a collector that starts clean."""
    limit = _decode_seconds(chunks) if limit_first else 0.0
    _settle()
    started = perf_counter()
    owed = _fold_all(chunks, states, lanes)
    seconds = perf_counter() - started
    limit = limit or _decode_seconds(chunks)
    records = sum(len(chunk.values) for chunk in chunks)
    return Run(records, records / seconds, records / limit, *owed)


def _fold_all(
    chunks: list[Chunk], states: list[LaneState], lanes: int
) -> tuple[int, int, int, int]:
    commands = segments = profiles = dead = 0
    for chunk in chunks:
        for batch in decode(chunk, lanes):
            outputs = fold_batch(states[batch.lane], batch)
            commands += len(outputs.streams["commands"])
            segments += len(outputs.streams["segments"])
            profiles += len(outputs.streams["profiles"])
            dead += len(outputs.dead_letters)
    return commands, segments, profiles, dead


def _decode_seconds(chunks: list[Chunk]) -> float:
    _settle()
    started = perf_counter()
    for chunk in chunks:
        decode_only(chunk.values)
    return perf_counter() - started


def _settle() -> None:
    """Nothing left over from before is collected inside the clock; the collector stays on."""
    gc.collect()
    gc.freeze()


def print_results(results: list[Result], console: Console) -> None:
    """A row for each size of the state."""
    table = Table(title="decode + fold + encode, one process")
    for name in ("customers", "records/s", "spread", "decode limit", "share", "memory", "commands"):
        table.add_column(name, justify="right")
    for result in results:
        row = result.as_json()
        table.add_row(
            f"{row['customers']:,}", f"{row['records_per_second']:,}", f"{row['spread']:.0%}",
            f"{row['decode_limit_records_per_second']:,}", f"{row['share_of_decode_limit']:.2f}",
            f"{row['rss_bytes'] / 1e6:,.0f} MB", f"{row['commands']:,}",
        )  # fmt: skip
    console.print(table)
    if len(results) > 1:
        console.print(f"slowest is {flatness(results):.0%} below the fastest")
    load = results[0].load
    console.print(
        f"{load.runs} runs of {load.records:,} records, {load.lanes} lanes, seed {load.seed}",
        soft_wrap=True,
    )


@click.command("fold")
@click.option(
    "--records",
    type=click.IntRange(1_000),
    default=500_000,
    show_default=True,
    help="Of all runs together.",
)
@click.option("--runs", type=click.IntRange(1), default=5, show_default=True)
@click.option(
    "--batch",
    type=click.IntRange(1),
    default=BATCH_RECORDS,
    show_default=True,
    help="Records of one lane folded at a time.",
)
@click.option("--curve", is_flag=True, help="10k, 100k and 1M customers.")
@click.option(
    "--scenario",
    type=click.Choice(list(SCENARIOS)),
    help="memory: 1 M customers, 6 M visits, 2 M messages, and a day that passes over them; "
    "sparse: a record a minute for a year; house: a phone with 10,000 visits a day; "
    "triggers: twelve of all kinds against none; due: minutes of 1 M customers in which nobody or "
    "10,000 are due.",
)
@options(customers=100_000, lanes=8)
def fold(
    records: int,
    runs: int,
    customers: int,
    lanes: int,
    batch: int,
    seed: int,
    quick: bool,
    curve: bool,
    scenario: str | None,
    is_json: bool,
) -> None:
    """Records a second of decode, fold and encode, and the share of the bare decode."""
    err = Console(stderr=True, highlight=False)
    if scenario:
        told = SCENARIOS[scenario](quick, err.print) | measured_on()
        click.echo(orjson.dumps(told, option=0 if is_json else orjson.OPT_INDENT_2))
        return
    if quick:
        records, runs, customers = 60_000, 3, 5_000
    load = Load(max(records // runs, 1), customers, seed, lanes, runs, batch)
    if curve:
        results = []
        for size in CURVE:
            results.append(_apart(replace(load, customers=size)))
            err.print(f"{size:,} customers: {results[-1].records_per_second:,.0f} records/s")
    else:
        results = [measure(load, err.print)]
    told = results[-1].as_json()
    if curve:
        told["curve"] = [result.as_json() for result in results]
        told["flatness"] = round(flatness(results), 4)
    tell(told, is_json, partial(print_results, results))


def _apart(load: Load) -> Result:
    """Measured in a process of its own, so that no state inherits another's memory."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context) as pool:
        return pool.submit(measure, load).result()
