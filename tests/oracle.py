"""The final truth of a log, computed slowly and apart from the engine: R, F, M for every customer.

Takes: record lines in log order, the number of lanes
Out:   ``Truth``: one ``Customer`` for each id that must have a profile, and the ids that may have
       one (a phone that was once named, but that nothing belongs to any more)
Source: the definitions of R, F, M and the segments, over polars frames; the fold shares nothing
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import polars as pl

from schemas.keys import customer_id, lane_of
from schemas.settings import TenantSettings, parse_settings
from tests.oracle_rows import Rows, read

Row = dict[str, Any]
OPEN = ("booked", "confirmed")


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
    possible: set[str] = field(default_factory=set)


@dataclass
class Settled:
    """What became of one tenant's visit records."""

    standing: list[Row] = field(default_factory=list)  # the winning version of each visit
    remembered: list[Row] = field(default_factory=list)  # too old to count: the day of the last
    naming: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)  # position, phone


def truth(lines: Sequence[bytes], lanes: int, id_key: bytes) -> Truth:
    """Every tenant's customers as of its lane's final clock."""
    rows = read(lines, lanes)
    found = Truth()
    tenants = {
        tenant
        for frame in (rows.visits, rows.cards, rows.messages)
        for tenant in frame["tenant"].unique()
    }
    for tenant in sorted(tenants):
        rules = rows.settings.get(tenant) or parse_settings({}, tenant)
        customers, possible = _tenant(tenant, rows, rules, rows.clocks[lane_of(tenant, lanes)])
        found.customers |= {
            customer_id(id_key, tenant, phone): customer for phone, customer in customers.items()
        }
        found.possible |= {customer_id(id_key, tenant, phone) for phone in possible}
    return found


def _tenant(
    tenant: str, rows: Rows, rules: TenantSettings, clock: int
) -> tuple[dict[int, Customer], set[int]]:
    of_tenant = pl.col("tenant") == tenant
    visits = rows.visits.filter(of_tenant).with_columns(
        day=_day("start", rules), today=_day("clock", rules)
    )
    cards, messages = rows.cards.filter(of_tenant), rows.messages.filter(of_tenant)
    settled = _settle(visits, rules.window_days)
    phones = _phones(cards, settled)

    standing = _owned(settled.standing, visits, phones)
    remembered = _owned(settled.remembered, visits, phones)
    today = pl.select(_day_of(pl.lit(clock), rules)).item()
    scored = _score(standing, remembered, today, clock, rules)

    known = set(_named(messages)) | set(_named(standing.filter(pl.col("status") != "deleted")))
    known |= set(_named(remembered)) | set(phones.values())
    possible = {phone for frame in (visits, cards) for phone in _named(frame)}
    return {phone: scored.get(phone, LEAD) for phone in known}, possible - known


def _day(column: str, rules: TenantSettings) -> pl.Expr:
    return _day_of(pl.col(column), rules)


def _day_of(instants: pl.Expr, rules: TenantSettings) -> pl.Expr:
    """Days since 1970 of the tenant's wall clock."""
    zoned = pl.from_epoch(instants, time_unit="ms").dt.replace_time_zone("UTC")
    return zoned.dt.convert_time_zone(rules.timezone).dt.date().to_physical().cast(pl.Int64)


def _named(frame: pl.DataFrame) -> list[int]:
    return frame["phone"].drop_nulls().unique().to_list()


def _settle(visits: pl.DataFrame, window: int) -> Settled:
    """Let the versions of each visit replace one another in log order."""
    settled = Settled()
    by_visit: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in visits.sort("position").iter_rows(named=True):
        by_visit[row["scope"], row["id"]].append(row)
    for versions in by_visit.values():
        stored: Row | None = None
        latest_day = 0  # that any version told: until it leaves the window, versions are compared
        for row in versions:
            if stored is not None and row["today"] - latest_day >= window:
                if stored["status"] == "attended":
                    settled.remembered.append(stored)
                stored = None  # left the window: whether it is still kept must not matter
            if stored is None and row["today"] - row["day"] >= window:
                if row["status"] == "attended":
                    settled.remembered.append(row)
                    _name(settled, row)
                continue
            if stored is not None and not _replaces(row, stored):
                continue
            if row["version"] is None and stored is not None:
                row["version"] = stored["version"]
            latest_day = row["day"] if stored is None else max(latest_day, row["day"])
            stored = row
            _name(settled, row)
        if stored is not None:
            settled.standing.append(stored)
    return settled


def _replaces(row: Row, stored: Row) -> bool:
    if row["content"] == stored["content"]:
        return False
    if row["status"] == stored["status"] == "deleted" and row["version"] in {
        None,
        stored["version"],
    }:
        return False  # a visit is deleted once
    if row["version"] is None or stored["version"] is None:
        return True
    if row["version"] == stored["version"]:
        return bool(row["status"] == "deleted" or stored["status"] != "deleted")
    return bool(row["version"] > stored["version"])


def _name(settled: Settled, row: Row) -> None:
    if row["client"] is not None and row["phone"] is not None:
        key = (row["scope"], row["client"])
        settled.naming[key] = max(settled.naming.get(key, (-1, 0)), (row["position"], row["phone"]))


def _phones(cards: pl.DataFrame, settled: Settled) -> dict[tuple[str, str], int]:
    """Each client's phone: of its newest card, else of the latest visit that names one."""
    phones = {key: phone for key, (_, phone) in settled.naming.items()}
    # a card without a version keeps the stored one, so it beats all versions told so far
    newest = (
        cards.sort("position")
        .with_columns(
            rank=pl.col("version").fill_null(strategy="forward").cum_max().over("scope", "id"),
            block=pl.col("version").is_null().cum_sum().over("scope", "id"),
        )
        .with_columns(
            rank=pl.when(pl.col("version").is_null()).then(pl.col("rank")).otherwise("version"),
        )
        .sort("rank", "block", "deleted", "position", nulls_last=False)
        .group_by("scope", "id", maintain_order=True)
        .last()
    )
    for card in newest.iter_rows(named=True):
        if card["phone"] is not None:
            phones[card["scope"], card["id"]] = card["phone"]
    return phones


def _owned(rows: list[Row], like: pl.DataFrame, phones: dict[tuple[str, str], int]) -> pl.DataFrame:
    """The rows with the phone of the customer they belong to; null for nobody's."""
    told = [
        row
        | {"phone": phones.get((row["scope"], row["client"])) if row["client"] else row["phone"]}
        for row in rows
    ]
    return pl.DataFrame(told, schema=like.schema)


def _score(
    standing: pl.DataFrame, remembered: pl.DataFrame, today: int, clock: int, rules: TenantSettings
) -> dict[int, Customer]:
    attended = standing.filter(pl.col("status") == "attended")
    counting = attended.filter(today - pl.col("day") < rules.window_days)
    own = pl.lit(rules.currency, pl.String)  # null: any currency counts
    paid = counting.filter(
        pl.col("currency").is_null() | (pl.col("currency") == own) | own.is_null()
    )
    open_visits = standing.filter(pl.col("status").is_in(OPEN) & (pl.col("start") > clock))

    last = _by_phone(pl.concat([attended, remembered]), pl.col("start").max())
    last_day = _by_phone(pl.concat([attended, remembered]), pl.col("day").max())
    days = _by_phone(counting, pl.col("day").n_unique())
    money = _by_phone(paid, pl.col("amount").sum())
    booking = _by_phone(open_visits, pl.col("start").min())

    found = {phone: LEAD._replace(next_booking_at=start) for phone, start in booking.items()}
    for phone, day in last_day.items():
        recency, frequency, sum_minor = max(0, today - day), days.get(phone, 0), money.get(phone, 0)
        r, f, m = _digits(recency, frequency, sum_minor, rules)
        found[phone] = Customer(
            segment=f"{r}{f}{m}",
            r=r,
            f=f,
            m=m,
            recency_days=recency,
            frequency=frequency,
            monetary_minor=sum_minor,
            last_visit_at=last[phone],
            next_booking_at=booking.get(phone),
        )
    return found


def _by_phone(frame: pl.DataFrame, value: pl.Expr) -> dict[int, int]:
    owned = frame.filter(pl.col("phone").is_not_null())
    return dict(owned.group_by("phone").agg(value.alias("value")).iter_rows())


def _digits(
    recency: int, frequency: int, sum_minor: int, rules: TenantSettings
) -> tuple[int, int, int]:
    if frequency == 0:
        return 1, 1, 1
    r3, r2 = rules.recency_days
    f3, f2 = rules.frequency
    r = 3 if recency <= r3 else 2 if recency <= r2 else 1
    f = 3 if frequency >= f3 else 2 if frequency >= f2 else 1
    if rules.boundaries is None:
        return r, f, 2
    m3, m2 = rules.boundaries
    return r, f, 3 if sum_minor >= m3 else 2 if sum_minor >= m2 else 1
