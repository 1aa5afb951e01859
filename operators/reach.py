"""Find what an event can change beside what it tells of: other visits and payments, their money.

In:    lines of one round of events
Out:   ``Reach``: visits that share money with what the lines tell of, payments and sales;
       additions to ``touched``: customers whose money has changed, cause ``correction``
State: read only
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from operators.clients import Cause, TouchedRows
from operators.crowds import inside
from operators.identify import PAYMENT, VISIT, Named
from operators.money import payment_money, visit_money
from operators.money_units import living, payments_of
from schemas.batch import ATTENDED, I4, I8
from state.chains import rows_in
from state.index import Rows
from state.lane import LaneState
from state.money import VACANT
from state.runs import begins, in_order
from state.tables import Flags


@dataclass(slots=True)
class Reach:
    """Visits and payments whose money events may change, each with the event's line.

    ``visit_today`` and ``payment_today`` are the tenant-local days of those events.
    """

    visit: Rows
    visit_line: Rows
    visit_today: I4
    payment: Rows
    payment_line: Rows
    payment_today: I4


@dataclass(slots=True)
class Worth:
    """Whose money rows are, and how much on which day; 0 for what does not count."""

    client: Rows
    owner: Rows
    day: I4
    money: I8


def reach(state: LaneState, named: Named, lines: Rows, clocks: I8) -> Reach:
    """What these lines can change beside the visits that they tell of, asked before they do.

    ``clocks`` are per record.
    """
    lines = lines[(named.kind[lines] == PAYMENT) | (named.kind[lines] == VISIT)]
    if not len(lines) or not len(state.payments):
        return _nothing(lines)
    payment, visit = named.payment[lines], named.visit[lines]
    held = rows_in(state.payments.unit, payment)
    held = np.where(visit >= 0, state.visits.unit[visit], held)
    units = np.concatenate([named.money[lines], held])
    there = (units >= 0).nonzero()[0]
    if not len(there) and not (payment >= 0).any():
        return _nothing(lines)
    owners, units = np.concatenate([lines, lines])[there], units[there]
    line, row = state.unit_visits.of(state.units.scope[units], state.units.number[units])
    others = row != named.visit[owners[line]]
    visits, visit_lines = _distinct(row[others], owners[line[others]])
    line, row = payments_of(state, units)
    sale = rows_in(state.payments.sale, payment)
    rows = np.concatenate([row, payment, named.sale[lines], sale])
    owners = np.concatenate([owners[line], lines, lines, lines])
    payments, payment_lines = _distinct(rows[rows >= 0], owners[rows >= 0])

    def today(chosen: Rows) -> I4:
        return state.tenant_day(named.tenant[chosen], clocks[named.record[chosen]])

    found = Reach(
        visits, visit_lines, today(visit_lines), payments, payment_lines, today(payment_lines)
    )
    return _there(state, found, np.concatenate([payment, named.sale[lines], sale]))


def _nothing(lines: Rows) -> Reach:
    nothing, no_days = lines[:0], np.zeros(0, np.int32)
    return Reach(nothing, nothing, no_days, nothing, nothing, no_days)


def _there(state: LaneState, found: Reach, named: Rows) -> Reach:
    """Without what has left the window, which nobody may touch: it might as well be freed.

    Payments that are ``named`` may come back; all of them have been found.
    """
    kept = state.visits.kept_day[found.visit]
    window = _windows(state, state.visits.scope[found.visit])
    stays = inside(kept, found.visit_today, window).nonzero()[0]
    window = _windows(state, state.payments.scope[found.payment])
    held = is_held(state, found.payment, found.payment_today, window)
    held[found.payment.searchsorted(named[named >= 0])] = True
    paid = held.nonzero()[0]
    return Reach(
        found.visit[stays],
        found.visit_line[stays],
        found.visit_today[stays],
        found.payment[paid],
        found.payment_line[paid],
        found.payment_today[paid],
    )


def worth(state: LaneState, reached: Reach) -> tuple[Worth, Worth]:
    """What the reached visits and payments are worth now, and to whom.

    What has left the window is worth nothing to anybody: it might as well have been freed.
    """
    return _visits_worth(state, reached), _payments_worth(state, reached)


def _visits_worth(state: LaneState, reached: Reach) -> Worth:
    visits, row = state.visits, reached.visit
    if not len(row):
        return _WORTHLESS
    counts = visits.status[row] == ATTENDED
    counts &= inside(visits.kept_day[row], reached.visit_today, _windows(state, visits.scope[row]))
    return Worth(
        client=visits.client[row],
        owner=np.where(counts, _owners(state, visits.client[row]), -1),
        day=visits.day[row],
        money=np.where(counts, visit_money(state, row), 0),
    )


def _payments_worth(state: LaneState, reached: Reach) -> Worth:
    payments, row = state.payments, reached.payment
    if not len(row):
        return _WORTHLESS
    counts = is_held(state, row, reached.payment_today, _windows(state, payments.scope[row]))
    return Worth(
        client=payments.client[row],
        owner=np.where(counts, _owners(state, payments.client[row]), -1),
        day=payments.day[row],
        money=np.where(counts, payment_money(state, row), 0),
    )


_NOTHING = np.zeros(0, np.int64)
_WORTHLESS = Worth(_NOTHING, _NOTHING, np.zeros(0, np.int32), _NOTHING)


def is_held(state: LaneState, rows: Rows, today: I4, window: I4) -> Flags:
    """Whether payments have been told, and stay: by their own day, or by that of their unit."""
    payments = state.payments
    held: Flags = payments.status[rows] != VACANT
    held &= inside(payments.kept_day[rows], today, window) | living(
        state, payments.unit[rows], today, window
    )
    return held


def note_changes(
    state: LaneState, reached: Reach, before: tuple[Worth, Worth], touched: TouchedRows
) -> None:
    """Customers who had or have money that is worth something else than before."""
    after = worth(state, reached)
    for old, new, line in zip(
        before, after, (reached.visit_line, reached.payment_line), strict=True
    ):
        if not len(line):
            continue
        changed = (old.money != new.money) | ((old.day != new.day) & (new.money != 0))
        # A client that becomes another customer's takes its money along: that is told as such.
        changed |= (old.client != new.client) & ((old.money != 0) | (new.money != 0))
        at = changed.nonzero()[0]
        touched.add(old.owner[at], line[at], Cause.CORRECTION)
        touched.add(new.owner[at], line[at], Cause.CORRECTION)


def _distinct(rows: Rows, lines: Rows) -> tuple[Rows, Rows]:
    """Each row once; its lines are the same, as one line's units are no other's in a round."""
    order = in_order(rows)
    ordered = rows[order]
    first = begins(ordered)
    return ordered[first], lines[order[first]]


def _owners(state: LaneState, clients: Rows) -> Rows:
    return rows_in(state.clients.customer, clients)


def _windows(state: LaneState, scopes: Rows) -> I4:
    tenants = state.scopes.tenant[scopes.astype(np.int64)]
    return state.tenants.window[tenants.astype(np.int64)]
