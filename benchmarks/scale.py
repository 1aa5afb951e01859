"""``flowsell bench scale``: what a second process brings, with even tenants and with a large one.

Takes: the backlog of ``bench kafka``
Out:   a table, or one JSON line: records a second of one and of two processes, and their ratio
"""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from statistics import median
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from benchmarks.kafka import LANES, Say, now_minute, wait_past
from benchmarks.machine import options, tell
from benchmarks.site import Site, drain_all, site
from benchmarks.workload import LARGEST_TENANT, Load, Town, live, warmup
from sources.business import SECOND

PROCESSES = (1, 2)
SHARES = {"even": 0.0, "skewed": LARGEST_TENANT}
"""Of the traffic that the largest tenant has."""


def measure(load: Load, say: Say) -> dict[str, list[float]]:
    """Records a second by number of processes, in turn, so that noise falls on both alike."""
    rates: dict[str, list[float]] = {str(each): [] for each in PROCESSES}
    town = Town(load)
    with site(load.lanes) as deployment:
        say(f"warming up: {load.customers:,} customers")
        deployment.fill(warmup(town))
        for number in range(load.runs):
            processes = PROCESSES[number % len(PROCESSES)]
            begins = deployment.ends()
            deployment.append(live(town, number))
            rates[str(processes)].append(_run(deployment, processes, begins))
            say(f"{processes} processes: {rates[str(processes)][-1]:,.0f} records/s")
    return rates


def _run(deployment: Site, processes: int, begins: list[int]) -> float:
    """Works the backlog off, from the first commit after all processes have their lanes."""
    engines = deployment.start_all(processes)
    before = sum(wait_past(deployment, begins, engines[0].check))
    started = time.perf_counter()
    deployment.wait_committed(*engines)
    seconds = time.perf_counter() - started
    worked = sum(deployment.committed()) - before
    drain_all(engines)
    return worked / seconds


def as_json(load: Load, told: dict[str, dict[str, list[float]]]) -> dict[str, Any]:
    """Figures with what they were measured on."""
    found: dict[str, Any] = {}
    for name, rates in told.items():
        one, two = (median(rates[str(each)]) for each in PROCESSES)
        found[name] = {
            "one_records_per_second": round(one),
            "two_records_per_second": round(two),
            "times": round(two / one, 3),
            "runs": {each: [round(rate) for rate in runs] for each, runs in rates.items()},
        }
    return found | {"customers": load.customers, "lanes": load.lanes, "seed": load.seed}


def print_scale(told: dict[str, Any], console: Console) -> None:
    """A row for each share of the largest tenant."""
    table = Table(title="records topic to committed outputs, by number of processes")
    for column in ("tenants", "one", "two", "times"):
        table.add_column(column, justify="right")
    for name in SHARES:
        row = told[name]
        table.add_row(
            name, f"{row['one_records_per_second']:,}", f"{row['two_records_per_second']:,}",
            f"{row['times']:.2f}",
        )  # fmt: skip
    console.print(table)


@click.command("scale")
@click.option("--records", type=click.IntRange(10_000), default=500_000, show_default=True)
@click.option("--runs", type=click.IntRange(1), default=3, show_default=True, help="Of each.")
@options(customers=100_000, lanes=LANES, least_lanes=max(PROCESSES))
def scale(
    records: int, runs: int, customers: int, lanes: int, seed: int, quick: bool, is_json: bool
) -> None:
    """Records a second of one and of two processes on this machine."""
    err = Console(stderr=True, highlight=False)
    if quick:
        records, runs, customers = 30_000, 1, 2_000
    load = Load(
        records, customers, seed, lanes, runs * len(PROCESSES), run_ms=SECOND,
        first_minute=now_minute(), records_per_second=records,
    )  # fmt: skip
    told = as_json(
        load,
        {
            name: measure(replace(load, largest_tenant=share), err.print)
            for name, share in SHARES.items()
        },
    )
    tell(told, is_json, partial(print_scale, told))
