"""Daily and minutely tables, counted over the log: what the stream of aggregates must end at.

Takes: record lines in log order; the segments that the fold told
Out:   tables as dicts from a row's key to its values; what is all zero need not be there
Source: polars group-bys over the final visits and payments; customers by their segment at each
        midnight, over those known by then; the money of a day that is over under the segment that
        its customer had at that day's end, or that the visit was counted under before
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from tests.oracle_bodies import Key, event_time
from tests.oracle_days import Midnight, Step, days
from tests.oracle_ledger import Ledger
from tests.oracle_times import day_text, instant

Row = dict[str, Any]
Name = tuple[str, ...]

MINUTE = 60_000
NOBODY = ""


@dataclass
class Tables:
    """Rows by key: (tenant, day, …)."""

    visits_daily: dict[Name, tuple[int, int, int]] = field(default_factory=dict)
    segment_customers: dict[Name, int] = field(default_factory=dict)
    segment_revenue: dict[Name, int] = field(default_factory=dict)
    segment_flow_daily: dict[Name, int] = field(default_factory=dict)
    webhooks: dict[Name, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))


@dataclass
class Segments:
    """Who was in which segment, followed through the stream of changes."""

    changes: list[Row]
    now: dict[str, str] = field(default_factory=dict)
    at: int = 0

    def pass_until(self, position: int, clock: int) -> None:
        """Everything told before a record, and what that record lets happen before an instant."""
        while self.at < len(self.changes):
            change = self.changes[self.at]
            in_time = change["position"] == position and instant(change["at"]) < clock
            if not (change["position"] < position or in_time):
                break
            self.now[change["customer_id"]] = change["to"]
            self.at += 1

    def begin_anew(self, gone: dict[str, str | None]) -> None:
        """Whoever was forgotten has no segment any more."""
        for who in [who for who, heir in gone.items() if heir is None]:
            self.now.pop(who, None)


@dataclass
class Books:
    """One tenant's days that are over: where everybody ended them, what counts under whom.

    ``past`` runs beside the ledger's: the segments of what has left the window.
    """

    ends: dict[int, dict[str, str]] = field(default_factory=dict)
    counted: dict[Key, tuple[int, str]] = field(default_factory=dict)  # day and segment
    past: list[str] = field(default_factory=list)

    def count(self, ledger: Ledger, today: int) -> None:
        """Visits and payments of days before ``today`` get the segment that has their money."""
        standing: dict[Key, tuple[int, str | None]] = {}
        for key, visit in ledger.visits.items():
            day = ledger.day(visit.fact)
            if visit.is_attended and day is not None and day < today:
                standing[key] = day, ledger.owner(visit.client)
        for key, day, who, _ in ledger.money.alone():
            if day < today:
                standing[key] = day, who
        # One that is told again after it has left is another one, under the same key.
        for each in ledger.past[len(self.past) :]:
            self.past.append(self.counted.pop(each.key, (each.day, NOBODY))[1])
        self.counted = {
            key: told
            for key, told in self.counted.items()
            if key in standing and standing[key][0] == told[0]
        }
        for key, (day, who) in standing.items():
            segment = NOBODY if who is None else self.ends.get(day, {}).get(who, "000")
            self.counted.setdefault(key, (day, segment))

    def segment(self, key: list[str]) -> str | None:
        """Under which a visit or payment that stands is counted, ``None`` if under none."""
        told = self.counted.get((key[0], key[1]))
        return None if told is None else told[1]


def tables(lines: Sequence[bytes], id_key: bytes, changes: list[Row]) -> Tables:
    """All of them, of a run in one lane."""
    found = Tables()
    segments = Segments(changes)
    books: dict[str, Books] = defaultdict(Books)
    ledgers: dict[str, Ledger] = {}
    running: dict[str, int] = {}
    clock = 0

    def end(ledger: Ledger, day: int) -> None:
        own = books[ledger.tenant]
        before = own.ends.get(day - 1, {})
        own.ends[day] = {who: segments.now.get(who, "000") for who in ledger.people.known}
        own.count(ledger, day + 1)
        _count_customers(found, ledger.tenant, day, before, own.ends[day])

    def begin(midnight: Midnight) -> None:
        segments.pass_until(midnight.position, midnight.at)
        end(midnight.ledger, midnight.day - 1)
        running[midnight.ledger.tenant] = midnight.day

    def move_calendar(ledger: Ledger, before: int) -> None:
        """Another zone may end days that were running, or begin ended ones again."""
        for day in range(before, ledger.today):
            end(ledger, day)
        for day in range(before - 1, ledger.today - 1, -1):
            books[ledger.tenant].ends.pop(day, None)
            _reopen(found, ledger.tenant, day)

    def count(ledger: Ledger) -> None:
        """At once: what a record says later of who somebody is moves no money of ended days."""
        books[ledger.tenant].count(ledger, ledger.today)

    for step in days(lines, 1, id_key, begin, count):
        told, ledgers = step.told, step.ledgers
        clock = told.clock
        _count_webhook(found, step)
        if told.forget is not None and told.tenant is not None:
            segments.pass_until(told.position, told.clock + 1)
            segments.begin_anew(ledgers[told.tenant].people.gone)
        if told.tenant is not None:
            ledger = ledgers[told.tenant]
            if told.settings is not None:
                segments.pass_until(told.position, told.clock)
                move_calendar(ledger, running.get(told.tenant, ledger.today))
            running[told.tenant] = ledger.today
            count(ledger)
    segments.pass_until(len(lines), 0)
    for ledger in ledgers.values():
        ledger.clock = clock
        ledger.expire()
        end(ledger, ledger.today)  # as if the day ended where the log does
        _count_days(found, ledger, books[ledger.tenant])
    return found


def _reopen(found: Tables, tenant: str, day: int) -> None:
    for rows in (found.segment_customers, found.segment_flow_daily):
        for key in [key for key in rows if key[:2] == (tenant, day_text(day))]:
            del rows[key]


def _count_webhook(found: Tables, step: Step) -> None:
    told = step.told
    if told.provider is None or told.tenant is None:
        return
    minute = told.clock - told.clock % MINUTE
    times = [event_time(fact, told.provider) for fact in told.facts]
    found.webhooks[told.tenant, told.provider, str(minute)] += Counter(
        records=1,
        events=len(told.facts),
        duplicates=step.repeats,
        late=sum(at is not None and at < minute - 60 * MINUTE for at in times),
        dead=int(told.dead),
    )


def _count_customers(
    found: Tables, tenant: str, day: int, before: dict[str, str], now: dict[str, str]
) -> None:
    frame = pl.DataFrame(
        [{"from": before.get(who, "000"), "to": segment} for who, segment in now.items()],
        schema={"from": pl.String, "to": pl.String},
    )
    for segment, count in frame.group_by("to").len().iter_rows():
        found.segment_customers[tenant, day_text(day), segment] = count
    moved = frame.filter(pl.col("from") != pl.col("to"))
    for old, new, count in moved.group_by("from", "to").len().iter_rows():
        found.segment_flow_daily[tenant, day_text(day), old, new] = count


def _count_days(found: Tables, ledger: Ledger, books: Books) -> None:
    frame = _money_of_days(ledger, books)
    by_day = frame.group_by("day").agg(pl.col("visits", "walk_ins", "money").sum())
    for day, *values in by_day.iter_rows():
        found.visits_daily[ledger.tenant, day_text(day)] = (values[0], values[1], values[2])
    owned = frame.filter(pl.col("segment").is_not_null() & (pl.col("segment") != NOBODY))
    sums = owned.group_by("day", "segment").agg(pl.col("money").sum())
    for day, segment, money in sums.iter_rows():
        found.segment_revenue[ledger.tenant, day_text(day), segment] = money


def _money_of_days(ledger: Ledger, books: Books) -> pl.DataFrame:
    """Attended visits and payments without one, that stand or that have left the window."""
    visits = ledger.visits_frame().filter(pl.col("status") == "attended")
    rows = [
        (day, 1, int(walk_in), money, books.segment(key))
        for key, day, walk_in, money in visits.select("key", "day", "walk_in", "money").iter_rows()
    ]
    payments = ledger.payments_frame().select("key", "day", "money")
    rows += [(day, 0, 0, money, books.segment(key)) for key, day, money in payments.iter_rows()]
    rows += [
        (each.day, int(each.is_visit), int(each.walk_in), each.money, segment)
        for each, segment in zip(ledger.past, books.past, strict=True)
    ]
    columns = ("day", "visits", "walk_ins", "money")
    schema = dict.fromkeys(columns, pl.Int64) | {"segment": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")
