"""What the demo reads back from ClickHouse: how segments grew, what a business earned.

Takes: where ClickHouse is
Out:   ``Views``, out of the views ``segment_daily_now`` and ``visits_daily_now``
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from sinks.clickhouse_engine import ClickHouse
from sinks.clickhouse_target import Embedded

WEEKS = 5
DAYS = 7
_LARGEST = 8

QUERY = (
    "SELECT segment, sum(customers) AS customers FROM flowsell.segment_daily_now"
    " WHERE day = '{day}' GROUP BY segment ORDER BY segment"
)
"""The query to try."""


@dataclass(frozen=True)
class Day:
    """One day of one business; money in minor units of its currency."""

    day: date
    visits: int
    walk_ins: int
    revenue_minor: int


@dataclass(frozen=True)
class Views:
    """The last days as ClickHouse has them."""

    folder: str
    last_day: date
    """The last one that is over everywhere."""
    days: list[date]
    """A week apart."""
    segments: list[tuple[str, list[int]]]
    """The largest segments and their customers on each of the days."""
    tenant: str
    """The business with the most visits."""
    visits: list[Day]


def read_views(target: Embedded) -> Views | None:
    """Both views; ``None`` before any day is over."""
    engine = ClickHouse(target)
    engine.open()
    try:
        ((last, days),) = engine.rows(
            "SELECT min(last), count() FROM (SELECT tenant, max(day) AS last"
            " FROM flowsell.segment_daily_now GROUP BY tenant)"
        )
        if not days:
            return None
        ((tenant,),) = engine.rows(
            "SELECT tenant FROM flowsell.visits_daily_now"
            " GROUP BY tenant ORDER BY sum(visits) DESC, tenant LIMIT 1"
        )
        weeks = [last - timedelta(days=7 * back) for back in range(WEEKS - 1, -1, -1)]
        return Views(
            folder=str(target.folder),
            last_day=last,
            days=weeks,
            segments=_sizes(engine, weeks),
            tenant=tenant,
            visits=_visits(engine, tenant, last),
        )
    finally:
        engine.close()


def _sizes(engine: ClickHouse, days: list[date]) -> list[tuple[str, list[int]]]:
    rows = engine.rows(
        "SELECT toString(segment), day, sum(customers) FROM flowsell.segment_daily_now"
        " WHERE has({days:Array(Date)}, day) AND segment != '000' GROUP BY segment, day",
        days=days,
    )
    sizes: dict[str, dict[date, int]] = {}
    for segment, day, customers in rows:
        sizes.setdefault(segment, {})[day] = int(customers)
    table = [(segment, [by.get(day, 0) for day in days]) for segment, by in sizes.items()]
    largest = sorted(table, key=lambda row: (-row[1][-1], row[0]))[:_LARGEST]
    return sorted(largest, reverse=True)


def _visits(engine: ClickHouse, tenant: str, last: date) -> list[Day]:
    rows = engine.rows(
        "SELECT day, visits, walk_ins, revenue_minor FROM flowsell.visits_daily_now"
        " WHERE tenant = {tenant:String} AND day > {after:Date} AND day <= {last:Date}"
        " ORDER BY day",
        tenant=tenant,
        after=last - timedelta(days=DAYS),
        last=last,
    )
    return [Day(day, int(n), int(walk_ins), int(money)) for day, n, walk_ins, money in rows]
