"""What the demo reads back from ClickHouse: segments, what a business earned, what messages did.

Takes: where ClickHouse is
Out:   ``Views``, out of the views ``<table>_now`` of days, of the funnel and of the uplift
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

import msgspec

from flows.uplift import rows_of
from sinks.clickhouse_engine import ClickHouse
from sinks.clickhouse_target import Embedded

if TYPE_CHECKING:
    from flows.uplift_statistics import Uplift, UpliftRow

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


STEPS = ("commanded", "accepted", "sent", "delivered", "read", "replied", "returned")
"""Of the funnel, as far as a contact may come."""
RETURN_DAYS = 14
"""Days after a contact that a visit may credit it, in the settings of the demo's businesses."""


@dataclass(frozen=True)
class Funnel:
    """How far the contacts of one trigger on one channel came, over all businesses and days."""

    trigger: str
    channel: str
    reached: tuple[int, ...]
    """By ``STEPS``."""

    def as_json(self) -> dict[str, object]:
        """For machines."""
        steps = dict(zip(STEPS, self.reached, strict=True))
        return {"trigger": self.trigger, "channel": self.channel, **steps}


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
    funnel: list[Funnel]
    """The busiest first; without those that were held out."""
    months: list[str]
    """Those whose every contact has had its time to bring a return."""
    uplift: list[Uplift]
    """By trigger, over all businesses and these months; the tenant is empty."""


def read_views(target: Embedded) -> Views | None:
    """What is there; ``None`` before any day is over."""
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
        months, found = _uplift(rows_of(engine), last)
        weeks = [last - timedelta(days=7 * back) for back in range(WEEKS - 1, -1, -1)]
        return Views(
            folder=str(target.folder),
            last_day=last,
            days=weeks,
            segments=_sizes(engine, weeks),
            tenant=tenant,
            visits=_visits(engine, tenant, last),
            funnel=_funnel(engine),
            months=months,
            uplift=found,
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


def _funnel(engine: ClickHouse) -> list[Funnel]:
    sums = ", ".join(f"sum({step})" for step in STEPS)
    rows = engine.rows(
        f"SELECT trigger, channel, {sums} FROM flowsell.message_funnel_daily_now"  # noqa: S608  # constants alone
        " WHERE variant = 'treated' GROUP BY trigger, channel ORDER BY 3 DESC, 1, 2"
    )
    return [Funnel(trigger, channel, tuple(map(int, sums))) for trigger, channel, *sums in rows]


def _uplift(rows: list[UpliftRow], last: date) -> tuple[list[str], list[Uplift]]:
    """Of all businesses as if they were one: each holds out the same share of its customers."""
    from flows.uplift_statistics import uplifts

    settled = [row for row in rows if _month_ends(row.month) + timedelta(days=RETURN_DAYS) <= last]
    pooled = [msgspec.structs.replace(row, tenant="") for row in settled]
    return sorted({row.month for row in settled}), uplifts(pooled)


def _month_ends(month: str) -> date:
    first = date.fromisoformat(f"{month}-01")
    return (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
