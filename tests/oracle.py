"""The final truth of a log, computed slowly and apart from the engine: R, F, M for every customer.

Takes: record lines in log order, the number of lanes; the boundaries that the fold had
Out:   ``Truth``: one ``Customer`` for each id that must have a profile, and the ids that may have
       one (a phone that was once named, but that nothing belongs to any more)
Source: the definitions of R, F, M and the segments, over polars frames; the fold shares nothing
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import polars as pl

from schemas.keys import lane_of
from schemas.settings import TenantSettings
from tests.oracle_ledger import Ledger
from tests.oracle_rows import Told, clocks_of, read

OPEN = ("booked", "confirmed")

Sums = tuple[int, int]
"""Lower bounds of M 3 and M 2."""


class Customer(NamedTuple):
    """What a profile must say; ``None`` digits and days: a lead."""

    segment: str
    r: int | None
    f: int | None
    m: int | None
    recency_days: int | None
    frequency: int
    monetary_minor: int
    last_visit_at: int | None
    next_booking_at: int | None


LEAD = Customer("000", None, None, None, None, 0, 0, None, None)


@dataclass
class Truth:
    """``customers`` must have a profile that equals; ``possible`` may have one, of a lead."""

    customers: dict[str, Customer] = field(default_factory=dict)
    gone: dict[str, str | None] = field(default_factory=dict)  # heir, or None: forgotten
    ledgers: dict[str, Ledger] = field(default_factory=dict)


def truth(
    lines: Sequence[bytes],
    lanes: int,
    id_key: bytes,
    boundaries: Mapping[str, Sums | None] | None = None,
) -> Truth:
    """Every tenant's customers as of its lane's final clock."""
    told = read(lines, lanes)
    clocks = clocks_of(told, lanes)
    found = Truth()
    for each in told:
        take(found.ledgers, each, id_key)
    for tenant, ledger in sorted(found.ledgers.items()):
        ledger.clock = clocks[lane_of(tenant, lanes)]
        had = (boundaries or {}).get(tenant, ledger.rules.boundaries)
        found.customers |= customers(ledger, had)
        found.gone |= ledger.people.gone
    return found


def take(
    ledgers: dict[str, Ledger],
    told: Told,
    id_key: bytes,
    took: Callable[[Ledger], None] = lambda _ledger: None,
) -> int:
    """Folds one record into its tenant's ledger; how many of its facts repeat what is known.

    ``took`` is called after each fact.
    """
    if told.tenant is None:
        return 0
    ledger = ledgers.setdefault(told.tenant, Ledger(told.tenant, id_key))
    ledger.clock = told.clock
    if told.settings is not None:
        ledger.adopt(told.settings)
    if told.forget is not None:
        ledger.forget(told.forget)
    for turn in ledger.recognise(told.facts):
        if turn.refused is None:
            ledger.forget(turn.who)
    repeats = 0
    for fact in told.facts:
        repeats += ledger.take(fact)
        took(ledger)
    return repeats


def customers(ledger: Ledger, boundaries: Sums | None) -> dict[str, Customer]:
    """Everybody who is known, as of the ledger's clock."""
    ledger.expire()
    today, window = ledger.today, ledger.rules.window_days
    visits, past = ledger.visits_frame(), ledger.last_frame()
    payments = ledger.payments_frame().filter(today - pl.col("day") < window)
    attended = visits.filter(pl.col("status") == "attended")
    counting = attended.filter("inside")
    columns = ["owner", "day", "start"]
    ever = pl.concat([attended.select(columns), past.select(columns)])
    paid = pl.concat([counting.select("owner", "money"), payments.select("owner", "money")])
    ahead = visits.filter(pl.col("status").is_in(OPEN) & (pl.col("start") > ledger.clock))

    last_day, last = _by_owner(ever, pl.col("day").max()), _by_owner(ever, pl.col("start").max())
    days = _by_owner(counting, pl.col("day").n_unique())
    money = _by_owner(paid, pl.col("money").sum())
    booking = _by_owner(ahead, pl.col("start").min())
    found = {}
    for who in ledger.people.known:
        lead = LEAD._replace(next_booking_at=booking.get(who), monetary_minor=money.get(who, 0))
        found[who] = lead
        if who in last_day:
            recency, frequency = max(0, today - last_day[who]), days.get(who, 0)
            sum_minor = money.get(who, 0)
            r, f, m = digits(recency, frequency, sum_minor, ledger.rules, boundaries)
            found[who] = lead._replace(
                segment=f"{r}{f}{m}",
                r=r,
                f=f,
                m=m,
                recency_days=recency,
                frequency=frequency,
                last_visit_at=last[who],
            )
    return found


def _by_owner(frame: pl.DataFrame, value: pl.Expr) -> dict[str, int]:
    owned = frame.filter(pl.col("owner").is_not_null())
    return dict(owned.group_by("owner").agg(value.alias("value")).iter_rows())


def digits(
    recency: int, frequency: int, sum_minor: int, rules: TenantSettings, sums: Sums | None
) -> tuple[int, int, int]:
    """A value on a boundary belongs to the better cell; nobody in the window is 111."""
    if frequency == 0:
        return 1, 1, 1
    r3, r2 = rules.recency_days
    f3, f2 = rules.frequency
    r = 3 if recency <= r3 else 2 if recency <= r2 else 1
    f = 3 if frequency >= f3 else 2 if frequency >= f2 else 1
    if sums is None:
        return r, f, 2
    m3, m2 = sums
    return r, f, 3 if sum_minor >= m3 else 2 if sum_minor >= m2 else 1
