"""``flowsell bench midnight``: many customers on a few processes, through a local midnight of all.

Takes: numbers of customers and processes, a rate; all tenants are in one zone, whose midnight is
       the next one that leaves time for the warm-up and the restore
Out:   a table, or one JSON line: memory once all are known, seconds of a restore, percentiles of
       commands before and after the midnight, and who moved between segments because of it
Clock: a lane's is that of its records' append times, so this midnight is a real one; the past of
       the customers is appended by a broker whose clock is a day late, so it is not their first.
       Seconds of a restore are those from the processes' start until each has its lanes and every
       lane has committed a heartbeat that was appended then
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from datetime import time as clock
from functools import partial
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.latency import (
    WARM_RATE,
    Latencies,
    Say,
    Watch,
    follow,
    seconds_behind,
    still_ahead,
    told_of,
    warmed,
)
from benchmarks.machine import options, tell
from benchmarks.pacing import pacing, steady, wait_for
from benchmarks.site import Engine, Site, drain_all, rss_bytes_of, site
from benchmarks.workload import CUSTOMERS_PER_TENANT, Load
from schemas.topics import TOPICS
from schemas.zones import zone, zone_names
from sources.business import DAY, MINUTE, SECOND

LANES = 8
"""Four for each of two processes: more cost a batch each, fewer leave a large lane to one core."""
_SEGMENTS = TOPICS["segments"].name
_AS_SHIPPED = "group.initial.rebalance.delay.ms=3000\n"
"""Kafka's own wait for the others of a new group, which a broker for tests goes without: there the
first process to come restores all lanes, and the others theirs only after that."""
_RESTART_CUSTOMERS_PER_SECOND = 50_000
"""A slow estimate of a drain and a restore together, by which the midnight is chosen."""
_CALM_SECONDS = 60
"""Before midnight that are told of: the load's beginning is a crowd of reminders of its own."""
_SPARE_SECONDS = 30
"""For two starts of the processes, and for the load's own to be ready."""


class _Change(msgspec.Struct):
    at: str
    cause: str


_change = msgspec.json.Decoder(_Change).decode


def soonest_midnight(after_ms: int) -> tuple[int, str]:
    """The next instant at which a day begins somewhere, and a zone in which it does.

    With all offsets in use it is within the hour: most are whole hours.
    """
    return min((_day_begins(name, after_ms), name) for name in zone_names())


def _day_begins(name: str, after_ms: int) -> int:
    """The first midnight of a zone that is not before an instant; both in ms."""
    there = zone(name)
    today = datetime.fromtimestamp(after_ms / SECOND, there).date()
    days = (datetime.combine(today + timedelta(n), clock(), there) for n in range(3))
    instants = (int(day.timestamp()) * SECOND for day in days)
    return next(instant for instant in instants if instant >= after_ms)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked for beside the load itself."""

    processes: int
    before: int
    """Seconds of load before the midnight."""
    seconds: int
    """Of load from the midnight on."""
    patience: int
    """Minutes to wait for a midnight, once all is ready."""
    warm_rate: int
    """Records a second that the warm-up is thought to make."""
    is_first: bool
    """The midnight is the first since the customers' past was told."""

    @property
    def late_ms(self) -> int:
        """How long before that past was told."""
        return 0 if self.is_first else DAY


def planned(load: Load, plan: Plan) -> Load:
    """The load, to begin so long before the first midnight that leaves time for what is first.

    Where none comes while there is patience, there is none in the load, and its tenants are each
    in a zone of their own.
    """
    load = steady(load, load.records, [1] * (plan.before + plan.seconds), 0)
    restart = load.customers / _RESTART_CUSTOMERS_PER_SECOND + _SPARE_SECONDS
    now = int(time.time() * SECOND)
    soonest = now + int((load.warm_records / plan.warm_rate + restart + plan.before) * SECOND)
    midnight, where = soonest_midnight(soonest)
    if midnight - soonest > plan.patience * MINUTE:
        midnight, where = soonest, ""
    first = midnight - plan.before * SECOND
    # At night nearly everybody is quiet: there would be no command to wait for.
    warm_ms = first - now + plan.late_ms
    return replace(load, first_minute=first, warm_ms=warm_ms, zone=where, is_sleepless=True)


def measure(load: Load, plan: Plan, say: Say) -> dict[str, Any]:
    """Warm up, restart, and go through a midnight, on one site."""
    with site(load.lanes, _AS_SHIPPED) as deployment:
        load = planned(load, plan)
        turn = load.first_minute + plan.before * SECOND
        say(f"the load begins at {_text(load.first_minute)}, " + _what(load, turn))
        say(f"warming up: {load.customers:,} customers, {load.warm_records:,} records")
        started = time.monotonic()
        engines = warmed(deployment, load, plan.processes, say, plan.late_ms)
        warm, warm_rss = time.monotonic() - started, _rss_bytes(engines)
        say(f"{warm:,.0f} s, {warm_rss / 1e6:,.0f} MB; draining")
        drain_all(engines)
        engines, restore = _restored(deployment, plan.processes)
        restored_rss = _rss_bytes(engines)
        say(f"restored in {restore:.1f} s, {restored_rss / 1e6:,.0f} MB")
        still_ahead(load)
        told = _through(deployment, load, engines, turn, say)
        drain_all(engines)
    return {
        "customers": load.customers,
        "processes": plan.processes,
        "warm_records": load.warm_records,
        "warm_seconds": round(warm, 1),
        "warm_rss_bytes": warm_rss,
        "restore_seconds": round(restore, 1),
        "restored_rss_bytes": restored_rss,
        "midnight": _text(turn) if load.zone else None,
        "zone": load.zone or None,
        "is_first": plan.is_first,
        "rate": load.records,
        "run_in_seconds": plan.before,
        "seconds": plan.seconds,
        **told,
        "lanes": load.lanes,
        "tenants": load.tenant_count,
        "seed": load.seed,
    }


def _text(instant_ms: int) -> str:
    at = datetime.fromtimestamp(instant_ms // SECOND, UTC)
    return at.isoformat().replace("+00:00", "Z")


def _what(load: Load, turn: int) -> str:
    return f"midnight is at {_text(turn)} in {load.zone}" if load.zone else "without a midnight"


def _rss_bytes(engines: Sequence[Engine]) -> int:
    return sum(rss_bytes_of(engine.pid) for engine in engines)


def _restored(deployment: Site, processes: int) -> tuple[list[Engine], float]:
    """Engines on the state that is there, and the seconds until every lane is at work."""
    started = time.monotonic()
    engines = deployment.start_all(processes)
    deployment.wait_joined(engines)
    deployment.beat()
    deployment.wait_committed(*engines)
    return engines, time.monotonic() - started


def _through(
    deployment: Site, load: Load, engines: Sequence[Engine], turn: int, say: Say
) -> dict[str, Any]:
    """The load on running engines: what it met before an instant and after it."""
    begin, at = load.first_minute / SECOND, turn / SECOND
    over, calm = begin + load.runs, max(begin, at - _CALM_SECONDS)
    watch, latencies = Watch(deployment.bootstrap, load.lanes), Latencies()
    with pacing(deployment.bootstrap, load, [1] * load.runs) as traffic:
        begins = deployment.ends(_SEGMENTS)
        wait_for(load.first_minute)
        follow(traffic, engines, watch, latencies, say)
        behind = seconds_behind(deployment, engines, watch, latencies, over)
    rss = _rss_bytes(engines)
    watch.close()
    say("reading who moved between segments")
    causes = _moves(deployment, begins, at, over)
    return {
        "before_seconds": round(at - calm),
        **told_of("before", latencies.between(calm, at)),
        **told_of("after", latencies.between(at, over)),
        "commands_by_midnight": latencies.days_begun(at, over),
        "caught_up_seconds": round(behind, 1),
        "segment_changes": causes.total(),
        "segment_changes_by_cause": dict(causes.most_common()),
        "rss_bytes": rss,
    }


def _moves(deployment: Site, begins: list[int], begin: float, end: float) -> Counter[str]:
    """Changes of segment between two instants, by their cause."""
    causes: Counter[str] = Counter()
    for partition, offset in enumerate(begins):
        for messages in deployment.read(_SEGMENTS, partition, offset):
            for message in messages:
                told = _change(message.value())
                if begin <= datetime.fromisoformat(told.at).timestamp() < end:
                    causes[told.cause] += 1
    return causes


def print_midnight(told: dict[str, Any], console: Console) -> None:
    """What a process holds and how it starts, and a row for each part of the load."""
    console.print(
        f"{told['customers']:,} customers on {told['processes']} processes: "
        f"{told['warm_rss_bytes'] / 1e6:,.0f} MB; restored in {told['restore_seconds']} s, "
        f"{told['restored_rss_bytes'] / 1e6:,.0f} MB; {told['rss_bytes'] / 1e6:,.0f} MB at the end",
        soft_wrap=True,
    )
    when = f"midnight {told['midnight']} in {told['zone']}" if told["zone"] else "no midnight"
    table = Table(title=f"append to committed command at {told['rate']:,} records/s; {when}")
    for name in ("load", "p50", "p99", "longest", "commands"):
        table.add_column(name, justify="right")
    for name, length in (("before", told["before_seconds"]), ("after", told["seconds"])):
        milliseconds = (f"{told[f'{name}_{part}_ms']:,.0f} ms" for part in ("p50", "p99", "max"))
        table.add_row(f"{length} s {name}", *milliseconds, f"{told[f'{name}_commands']:,}")
    console.print(table)
    causes = told["segment_changes_by_cause"]
    console.print(
        f"{told['segment_changes']:,} moved between segments after it: "
        + (", ".join(f"{count:,} by {cause}" for cause, count in causes.items()) or "nobody")
        + f"; {told['commands_by_midnight']:,} commands of that are in no figure of these, as they "
        "are told by the minute",
        soft_wrap=True,
    )
    console.print(f"caught up {told['caught_up_seconds']} s after the end of the load")


@click.command("midnight")
@click.option("--processes", type=click.IntRange(1), default=2, show_default=True)
@click.option("--rate", type=click.IntRange(100), default=15_000, show_default=True)
@click.option(
    "--before", type=click.IntRange(1), default=120, show_default=True,
    help="Seconds of load before midnight.",
)  # fmt: skip
@click.option(
    "--seconds", type=click.IntRange(1), default=360, show_default=True,
    help="Of load from midnight on; customers change within 300.",
)  # fmt: skip
@click.option(
    "--wait", "patience", type=click.IntRange(0), default=60, show_default=True,
    help="Minutes to wait for a midnight at most, once all is ready; else the load has none.",
)  # fmt: skip
@click.option(
    "--warm-rate", type=click.IntRange(100), default=WARM_RATE, show_default=True,
    help="Records a second that the warm-up is thought to make: less on a busy machine.",
)  # fmt: skip
@click.option(
    "--first", "is_first", is_flag=True,
    help="Tell the past today: all boundaries are new at midnight. Else it was told a day ago.",
)  # fmt: skip
@options(customers=5_000_000, lanes=LANES)
def midnight(
    processes: int,
    rate: int,
    before: int,
    seconds: int,
    patience: int,
    warm_rate: int,
    is_first: bool,
    customers: int,
    lanes: int,
    seed: int,
    quick: bool,
    is_json: bool,
) -> None:
    """Memory and restore of a large state, and milliseconds through a midnight of all tenants.

    Customers have six visits and two messages each. A midnight may have to be waited for: half an
    hour as a rule, an hour at most; --quick waits for none.
    """
    err = Console(stderr=True, highlight=False)
    if quick:
        rate, before, seconds, patience, customers = 1_000, 5, 10, 0, CUSTOMERS_PER_TENANT
    load = Load(rate, customers, seed, lanes, visits_each=6, messages_each=2)
    plan = Plan(processes, before, seconds, patience, warm_rate, is_first)
    told = measure(load, plan, err.print)
    tell(told, is_json, partial(print_midnight, told))
