"""Tell what visits and payments add to their days, and collect what a part's records change of it.

In:    rows of visits (or payments) before and after something has happened to them
Out:   ``Tally``: differences by day and by day and segment, with the records that made them
State: ``counted`` of visits and payments: the segment under which a day that is over has them

The rounds find the differences out of the clock's order, so nothing is told from here; ``days``
puts them in order when the part is over. Within a part no tenant's day begins.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from operators.money import counts_alone, payment_money, visit_money
from operators.restate import Lines
from schemas.batch import ATTENDED, I4, I8
from schemas.keys import row_keys
from state.chains import rows_in
from state.days import DAYS_KEPT
from state.index import Rows
from state.lane import LaneState
from state.money import Payments
from state.tables import UNATTRIBUTED, UNCOUNTED, Flags, Visits

Codes = NDArray[np.int16]


@dataclass(slots=True)
class Contribution:
    """What n rows add: ``visits`` and ``walk_ins`` are 0 or 1; ``money`` counts on ``day``.

    ``counts`` tells where there is anything at all; ``segment`` is UNCOUNTED, UNATTRIBUTED or the
    one in whose revenue of that day the money is.
    """

    tenant: Rows
    day: I4
    counts: Flags
    visits: I8
    walk_ins: I8
    money: I8
    segment: Codes


@dataclass(slots=True)
class DayChanges:
    """n differences of tenants' days; ``segment`` holds what ``money`` changes in, or UNCOUNTED."""

    tenant: Rows
    day: I4
    segment: Codes
    record: I8  # of the batch
    visits: I8
    walk_ins: I8
    money: I8


@dataclass(slots=True)
class Tally:
    """What the records of a part have changed in the aggregates, in any order."""

    days: list[DayChanges] = field(default_factory=list)
    segments: list[DayChanges] = field(default_factory=list)
    repeats: list[Rows] = field(default_factory=list)

    def change(self, before: Contribution, after: Contribution, record: Rows) -> None:
        """Contributions of the same rows before and after each row's record."""
        moved = before.counts & after.counts & (before.day != after.day)
        moved |= before.money != after.money
        differs = moved | (before.visits != after.visits) | (before.walk_ins != after.walk_ins)
        if differs.any():
            _note(self.days, before, after, record, differs.nonzero()[0])
        moved |= before.segment != after.segment
        moved &= (before.segment >= 0) | (after.segment >= 0)
        if moved.any():
            _note(self.segments, before, after, record, moved.nonzero()[0], owned=True)

    def duplicates(self, record: Rows) -> None:
        """Records (a number each time) that said something a second time."""
        if len(record):
            self.repeats.append(record)


def contribution(
    state: LaneState, table: Visits | Payments, rows: Rows, held: Flags | None = None
) -> Contribution:
    """What these visits add now, or these payments and sales by themselves.

    Rows that are not ``held`` are as good as freed: nothing.
    """
    is_visits = isinstance(table, Visits)
    counts = table.status[rows] == ATTENDED if is_visits else counts_alone(state, rows)
    if held is not None:
        counts &= held
    money = np.zeros(len(rows), np.int64)
    chosen = counts.nonzero()[0]
    if len(chosen):
        money[chosen] = (visit_money if is_visits else payment_money)(state, rows[chosen])
    came = counts & is_visits
    return Contribution(
        tenant=state.scopes.tenant[table.scope[rows].astype(np.int64)].astype(np.int64),
        day=table.day[rows],
        counts=counts,
        visits=came.astype(np.int64),
        walk_ins=(came & (table.client[rows] < 0)).astype(np.int64),
        money=money,
        segment=np.where(counts, table.counted[rows], UNCOUNTED).astype(np.int16),
    )


def recount(
    state: LaneState,
    tally: Tally,
    table: Visits | Payments,
    rows: Rows,
    before: Contribution,
    record: Rows,
    clocks: I8,
    held: Flags | None = None,
) -> None:
    """Notes what has become of these rows, counted anew where their day is over.

    ``record`` is each row's, ``clocks`` are per record. A row stays under the segment that has it.
    """
    after = contribution(state, table, rows, held)
    _recount(state, before, after, table.client[rows], clocks[record])
    if (table.counted[rows] != after.segment).any():
        table.counted[rows] = after.segment
        table.touch(rows)
    tally.change(before, after, record)


def _recount(
    state: LaneState, before: Contribution, after: Contribution, client: Rows, clock_ms: I8
) -> None:
    """Sets ``after.segment``: kept while the day stays, else the customer's at the day's end."""
    after.segment[:] = UNCOUNTED
    counts = after.counts.nonzero()[0]
    if not len(counts):
        return
    today = state.tenant_day(after.tenant[counts], clock_ms[counts])
    over = counts[after.day[counts] < today]
    if not len(over):
        return
    kept = before.counts[over] & (before.segment[over] != UNCOUNTED)
    kept &= before.day[over] == after.day[over]
    after.segment[over[kept]] = before.segment[over[kept]]
    new = over[~kept]
    if len(new):
        customer = rows_in(state.clients.customer, client)
        today = state.tenant_day(after.tenant[new], clock_ms[new])
        after.segment[new] = day_end_segments(state, customer[new], after.day[new], today)


def day_end_segments(state: LaneState, customers: Rows, days: I4, today: I4) -> Codes:
    """The customers' segments at the ends of these days, all of them before ``today``.

    UNATTRIBUTED for nobody (-1) and for days that are no longer kept.
    """
    table, ends = state.customers, state.day_ends
    there = (customers >= 0) & (today.astype(np.int64) - days < DAYS_KEPT)
    segments = np.where(there, table.day_segment[customers], UNATTRIBUTED).astype(np.int16)
    waiting = there.nonzero()[0]
    day = days[waiting].astype(np.int64) + 1
    while True:
        on = day < today[waiting]
        waiting, day = waiting[on], day[on]
        if not len(waiting):
            return segments
        found = ends.index.find(row_keys(table.key[customers[waiting]], day.view(np.uint64)))
        hit = found >= 0
        segments[waiting[hit]] = ends.segment[found[hit]]
        waiting, day = waiting[~hit], day[~hit] + 1


def _note(
    into: list[DayChanges],
    before: Contribution,
    after: Contribution,
    record: Rows,
    lines: Lines,
    owned: bool = False,
) -> None:
    """What was there goes, what is there comes; a row that adds nothing has no day.

    ``owned``: only what is in some segment's revenue.
    """
    for side, sign in ((before, -1), (after, 1)):
        there = side.counts[lines]
        chosen = lines[there & (side.segment[lines] >= 0) if owned else there]
        into.append(
            DayChanges(
                side.tenant[chosen],
                side.day[chosen],
                side.segment[chosen],
                record[chosen].astype(np.int64),
                sign * side.visits[chosen],
                sign * side.walk_ins[chosen],
                sign * side.money[chosen],
            )
        )
