"""Keep the daily tables: what was attended and earned, and how many customers ended in a segment.

In:    a part's ``Tally``; the midnights of tenants; settings that move a tenant's calendar
Out:   absolute rows of ``visits_daily``, ``segment_daily`` and ``segment_flow_daily``
State: ``visit_days``, ``segment_days``, ``flow_days``, ``day_ends``, the customers' ``day_segment``

A day's segments are those at its end. Money that changes later counts under the segment that has
the visit, or where none has it yet under its customer's at that day's end.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import msgspec
import numpy as np

from operators.contributions import Codes, DayChanges, Tally
from operators.money import counts_alone, payment_money, visit_money
from operators.owed import Owed
from operators.restate import (
    Passage,
    Restated,
    as_they_stand,
    mark,
    next_telling,
    restate,
)
from schemas.aggregates import SegmentDaily, SegmentFlowDaily, VisitsDaily
from schemas.batch import ATTENDED, I4, I8
from schemas.keys import row_keys
from schemas.texts import day_text, segment_text
from state.chains import rows_in
from state.days import DAYS_KEPT, FlowDays, SegmentDays
from state.index import Rows
from state.lane import LaneState
from state.money import Payments
from state.tables import UNATTRIBUTED, Visits

_ENCODE = msgspec.json.Encoder().encode
_CODES = 334  # segments are 0 to 333


def tell_days(
    state: LaneState,
    owed: Owed,
    tally: Tally,
    passage: Passage,
    first: int,
    counts: Counter[tuple[str, ...]],
) -> None:
    """Applies what a part has changed and tells what is due; ``first`` is its first record."""
    visits = segments = None
    if tally.days:
        changes, old = _kept(state, tally.days, passage, first)
        counts["ignored", "day"] += old
        row = visit_day_rows(state, changes.tenant, changes.day)
        measures = (changes.visits, changes.walk_ins, changes.money)
        visits = passage.changes(row, changes.record, measures)
    if tally.segments:
        changes, _ = _kept(state, tally.segments, passage, first)
        row = segment_day_rows(state, changes.tenant, changes.day, changes.segment)
        money = (np.zeros_like(changes.money), changes.money)
        segments = passage.changes(row, changes.record, money)
    owe_visit_days(state, owed, restate(state.visit_days, passage, visits))
    owe_segment_days(state, owed, restate(state.segment_days, passage, segments))
    owe_flow_days(state, owed, restate(state.flow_days, passage, None))


def _kept(
    state: LaneState, changes: list[DayChanges], passage: Passage, first: int
) -> tuple[DayChanges, int]:
    """All changes of days that are still kept, records counted from the first; and how many not."""
    tenant, day, segment, record, visits, walk_ins, money = (
        np.concatenate([getattr(each, name) for each in changes]) for name in DayChanges.__slots__
    )
    record = record - first
    today = state.tenant_day(tenant, passage.clock_ms[record])
    kept = today.astype(np.int64) - day < DAYS_KEPT
    columns = (tenant, day, segment, record, visits, walk_ins, money)
    return DayChanges(*(column[kept] for column in columns)), len(kept) - int(kept.sum())


def end_days(
    state: LaneState, owed: Owed, tenants: Rows, days: I4, midnight_ms: int, position: int
) -> None:
    """Closes one day of each of these tenants: everybody is counted where they are now.

    The rows are told when the record that brings the midnight is folded; ``position`` is its.
    """
    passage = Passage(np.array([midnight_ms]), np.array([position]), midnight_ms - 1)
    owe_segment_days(state, owed, restate(state.segment_days, passage, None))
    owe_flow_days(state, owed, restate(state.flow_days, passage, None))
    end_segments(state, tenants, days, midnight_ms, position)
    _count_money(state, tenants, days, midnight_ms, position)


def end_segments(state: LaneState, tenants: Rows, days: I4, due_ms: int, position: int) -> None:
    """Customers by segment, and where they began the day, which becomes the next day's start."""
    table = state.customers
    at = _places(state, tenants)[table.tenant[: table.rows]]
    known, own = table.known[: table.rows], at >= 0
    # Whoever is not known, a free row as well, is nowhere.
    start, end = table.day_segment[: table.rows], table.segment[: table.rows] * known
    changed = ((start != end) & own).nonzero()[0]
    start, end, where = start[changed], end[changed], at[changed]
    chosen = changed
    keys = row_keys(table.key[chosen], days[where].astype(np.int64).view(np.uint64))
    ends, _ = state.day_ends.find_or_add(keys)
    state.day_ends.day[ends] = days[where]
    state.day_ends.segment[ends] = start
    table.day_segment[chosen] = end
    table.touch(chosen)
    here = known & own
    cells = at[here] * np.int32(_CODES) + table.segment[: table.rows][here]
    held = np.bincount(cells, minlength=len(tenants) * _CODES)
    cells = held.nonzero()[0]
    place, code = cells // _CODES, (cells % _CODES).astype(np.int16)
    told = segment_day_rows(state, tenants[place], days[place], code)
    state.segment_days.customers[told] = held[cells]
    mark(state.segment_days, told, position, due_ms)
    moved = known[chosen]
    pairs = _pairs(start[moved], end[moved], where[moved].astype(np.int64))
    cells, flows = np.unique(pairs, return_counts=True)
    place, origin, target = cells // _CODES**2, cells // _CODES % _CODES, cells % _CODES
    told = flow_day_rows(state, tenants[place], days[place], origin, target)
    state.flow_days.customers[told] = flows
    mark(state.flow_days, told, position, due_ms)


def _pairs(start: Codes, end: Codes, at: I8) -> I8:
    pairs: I8 = (at * _CODES + start) * _CODES + end
    return pairs


def _customers_of(state: LaneState, tenants: Rows) -> tuple[Rows, I8]:
    """Customers of these tenants, and each one's place in ``tenants``."""
    table = state.customers
    at = _places(state, tenants)[table.tenant[: table.rows]]
    rows = ((at >= 0) & (table.key[: table.rows] != 0)).nonzero()[0]
    return rows, at[rows].astype(np.int64)


def _places(state: LaneState, tenants: Rows) -> Rows:
    """Each tenant's place in ``tenants``, -1 for others."""
    places = np.full(state.tenants.rows, -1, np.int64)
    places[tenants] = np.arange(len(tenants))
    return places


@dataclass(slots=True)
class Earned:
    """Visits, or payments that count by themselves, on a day of each of some tenants.

    ``at`` is the tenant's place; ``segment`` that of the customer now, UNATTRIBUTED for nobody.
    """

    table: Visits | Payments
    row: Rows
    at: I8
    segment: Codes
    money: I8


def _count_money(state: LaneState, tenants: Rows, days: I4, due_ms: int, position: int) -> None:
    """What was earned on the day gets the segment that has its money from now on."""
    for earned in earned_on(state, tenants, days):
        earned.table.counted[earned.row] = earned.segment
        earned.table.touch(earned.row)
        paid = ((earned.segment >= 0) & (earned.money != 0)).nonzero()[0]
        at = earned.at[paid]
        told = segment_day_rows(state, tenants[at], days[at], earned.segment[paid])
        np.add.at(state.segment_days.revenue, told, earned.money[paid])
        mark(state.segment_days, told, position, due_ms)


def earned_on(state: LaneState, tenants: Rows, days: I4) -> tuple[Earned, Earned]:
    """Attended visits, and payments and sales that count by themselves."""
    visits, payments = state.visits, state.payments
    row, at = _on_days(state, visits, tenants, days)
    counts = visits.status[row] == ATTENDED
    row, at = row[counts], at[counts]
    segment = _segments_now(state, visits.client[row])
    attended = Earned(visits, row, at, segment, visit_money(state, row))
    row, at = _on_days(state, payments, tenants, days)
    counts = counts_alone(state, row)
    row, at = row[counts], at[counts]
    segment = _segments_now(state, payments.client[row])
    return attended, Earned(payments, row, at, segment, payment_money(state, row))


def _on_days(
    state: LaneState, table: Visits | Payments, tenants: Rows, days: I4
) -> tuple[Rows, I8]:
    place = _places(state, tenants).astype(np.int64)
    found, places = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for day in np.unique(days).tolist():
        rows = (table.day[: table.rows] == day).nonzero()[0]
        rows = rows[table.key[rows] != 0]
        at = place[state.scopes.tenant[table.scope[rows]]]
        own = (at >= 0) & (days[at] == day)
        found.append(rows[own])
        places.append(at[own])
    return np.concatenate(found), np.concatenate(places)


def _segments_now(state: LaneState, clients: Rows) -> Codes:
    customer = rows_in(state.clients.customer, clients)
    segment = np.where(customer >= 0, state.customers.segment[customer], UNATTRIBUTED)
    return segment.astype(np.int16)


def move_calendar(state: LaneState, tenant: int, before: int, today: int, passage: Passage) -> None:
    """Another zone may skip days of a tenant, which are then over, or begin ended ones again."""
    one = np.array([tenant], np.int32)
    due_ms = int(next_telling(passage.clock_ms)[0])
    position = int(passage.positions[0])
    for day in range(before, today):
        end_segments(state, one, np.array([day], np.int32), due_ms, position)
    for day in range(before - 1, today - 1, -1):
        _reopen(state, one, day, due_ms, position)


def _reopen(state: LaneState, tenant: Rows, day: int, due_ms: int, position: int) -> None:
    """The day is not over after all: nobody has ended it, its visits give their money back."""
    table, ends = state.customers, state.day_ends
    rows, _ = _customers_of(state, tenant)
    when = np.full(len(rows), day, np.int64).view(np.uint64)
    found = ends.index.find(row_keys(table.key[rows], when))
    there = found >= 0
    table.day_segment[rows[there]] = ends.segment[found[there]]
    table.touch(rows)
    if there.any():
        ends.free(found[there])
    for days in (state.segment_days, state.flow_days):
        told = days.live()
        told = told[(days.tenant[told] == tenant[0]) & (days.day[told] == day)]
        days.customers[told] = 0
        mark(days, told, position, due_ms)


def owe_standing_days(state: LaneState, owed: Owed) -> None:
    """At the end of the input: what is still to be told, and the days that run, as of the clock."""
    owe_visit_days(state, owed, as_they_stand(state.visit_days, state.position, state.clock_ms))
    owe_segment_days(state, owed, _ended(state, state.segment_days))
    owe_flow_days(state, owed, _ended(state, state.flow_days))
    _owe_running_days(state, owed)


def _ended(state: LaneState, table: SegmentDays | FlowDays) -> Restated:
    """Rows still to be told, but not of days that have begun again: these are told as running."""
    told = as_they_stand(table, state.position, state.clock_ms)
    tenant = table.tenant[told.row]
    today = state.tenant_day(tenant, np.full(len(tenant), state.clock_ms))
    return told.take((table.day[told.row] < today).nonzero()[0])


def _owe_running_days(state: LaneState, owed: Owed) -> None:
    """Where everybody is now and what they paid today, as if the day ended here."""
    table = state.customers
    tenants = state.tenants.live()
    days = state.tenant_day(tenants, np.full(len(tenants), state.clock_ms))
    rows, at = _customers_of(state, tenants)
    known = table.known[rows]
    cells, customers, revenue = _standing(state, tenants, days, rows[known], at[known])
    where, code = cells // _CODES, cells % _CODES
    names, texts = named_days(state, tenants[where], days[where])
    segments = list(map(segment_text, code.tolist()))
    position = max(state.position - 1, 0)
    for tenant, day, segment, count, money in zip(
        names, texts, segments, customers.tolist(), revenue.tolist(), strict=True
    ):
        value = _ENCODE(SegmentDaily(tenant, day, segment, count, money, position))
        _owe_now(state, owed, f"segment_daily/{tenant}/{day}/{segment}", value)
    moved = known & (table.day_segment[rows] != table.segment[rows])
    pairs = _pairs(table.day_segment[rows[moved]], table.segment[rows[moved]], at[moved])
    cells, flows = np.unique(pairs, return_counts=True)
    names, texts = named_days(state, tenants[cells // _CODES**2], days[cells // _CODES**2])
    for tenant, day, pair, count in zip(names, texts, cells.tolist(), flows.tolist(), strict=True):
        old, new = segment_text(pair // _CODES % _CODES), segment_text(pair % _CODES)
        value = _ENCODE(SegmentFlowDaily(tenant, day, old, new, count, position))
        _owe_now(state, owed, f"segment_flow_daily/{tenant}/{day}/{old}/{new}", value)


def _standing(
    state: LaneState, tenants: Rows, days: I4, customers: Rows, at: I8
) -> tuple[I8, I8, I8]:
    """Cells (tenant's place and segment) with anything in them, their customers and money."""
    size = len(tenants) * _CODES
    held = np.bincount(at * _CODES + state.customers.segment[customers], minlength=size)
    money = np.zeros(size, np.int64)
    for earned in earned_on(state, tenants, days):
        owned = earned.segment >= 0
        np.add.at(money, earned.at[owned] * _CODES + earned.segment[owned], earned.money[owned])
    cells = ((held != 0) | (money != 0)).nonzero()[0]
    return cells, held[cells], money[cells]


def _owe_now(state: LaneState, owed: Owed, key: str, value: bytes) -> None:
    owed.add("aggregates", state.position, state.clock_ms, key.encode(), "", value)


def visit_day_rows(state: LaneState, tenants: Rows, days: I4) -> Rows:
    """Rows of tenants' days."""
    return state.visit_days.of(_keys(state, tenants, days), tenant=tenants, day=days)


def segment_day_rows(state: LaneState, tenants: Rows, days: I4, segments: Codes) -> Rows:
    """Rows of tenants' days and segments."""
    keys = row_keys(_keys(state, tenants, days), segments.astype(np.uint64))
    return state.segment_days.of(keys, tenant=tenants, day=days, segment=segments)


def flow_day_rows(state: LaneState, tenants: Rows, days: I4, origin: I8, target: I8) -> Rows:
    """Rows of tenants' days and pairs of segments."""
    pair = (origin * _CODES + target).astype(np.uint64)
    keys = row_keys(_keys(state, tenants, days), pair)
    return state.flow_days.of(keys, tenant=tenants, day=days, origin=origin, target=target)


def _keys(state: LaneState, tenants: Rows, days: I4) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    return row_keys(state.tenants.key[tenants], days.astype(np.int64).view(np.uint64))


def owe_visit_days(state: LaneState, owed: Owed, told: Restated | None) -> None:
    """Rows of ``visits_daily``."""
    if told is not None:
        table = state.visit_days
        names = named_days(state, table.tenant[told.row], table.day[told.row])
        owed.restated(VisitsDaily, names, told)


def owe_segment_days(state: LaneState, owed: Owed, told: Restated | None) -> None:
    """Rows of ``segment_daily``."""
    if told is not None:
        table = state.segment_days
        names = named_days(state, table.tenant[told.row], table.day[told.row])
        segments = list(map(segment_text, table.segment[told.row].tolist()))
        owed.restated(SegmentDaily, (*names, segments), told)


def owe_flow_days(state: LaneState, owed: Owed, told: Restated | None) -> None:
    """Rows of ``segment_flow_daily``."""
    if told is not None:
        table = state.flow_days
        names = named_days(state, table.tenant[told.row], table.day[told.row])
        ends = (table.origin[told.row], table.target[told.row])
        segments = (list(map(segment_text, end.tolist())) for end in ends)
        owed.restated(SegmentFlowDaily, (*names, *segments), told)


def named_days(state: LaneState, tenants: Rows, days: I4) -> tuple[list[str], list[str]]:
    """The names of tenants, and days as text."""
    return state.tenants.name[tenants].tolist(), list(map(day_text, days.tolist()))
