"""Keep every payment and sale in its newest version, and what money it makes where.

In:    one round of events: at most one per unit of ``Named``, so no two touch the same rows
Out:   additions to ``touched``: who is known now; whose money has changed is told by ``reach``
State: payments, money units, the chains client → payments and unit → payments

A payment for a visit is money of the visit; what counts by itself belongs to the client whom it
names, and waits with it until its phone is known.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from operators.clients import TouchedRows, note_visit_phone
from operators.contributions import Tally
from operators.crowds import inside
from operators.identify import Named
from operators.money import payment_minor
from operators.money_units import begin, living
from operators.reach import is_held
from operators.versions import kept_version, same_version, superseded
from schemas.batch import I4, I8, NONE
from state.chains import rechain, unchain
from state.facts import alike, keep
from state.index import Rows
from state.lane import LaneState
from state.money import GONE, LIVE, VACANT
from state.tables import NO_DAY, Flags


@dataclass(slots=True)
class PaymentColumns:
    """Payment events as the lane stores them, k rows: instants, days, thousandths."""

    record: I4
    version: I8
    deleted: Flags
    is_sale: Flags
    standing_in: Flags  # names a phone and no card
    start_ms: I8
    local_ms: I8
    day: I4
    today: I4
    amount: I8
    place: Rows


_COPIED = ("is_sale", "start_ms", "local_ms", "day", "amount", "place")


def apply_payments(
    state: LaneState,
    named: Named,
    lines: Rows,
    events: PaymentColumns,
    counts: Counter[tuple[str, ...]],
    touched: TouchedRows,
    tally: Tally,
) -> None:
    """Payments in their newest version; older than the window is no fact any more."""
    if not len(lines):
        return
    at, rows = named.source[lines], named.payment[lines]
    today, window = events.today[at], state.tenants.window[named.tenant[lines]]
    payments = state.payments
    held = is_held(state, rows, today, window)
    too_old = ~held & ~inside(events.day[at], today, window)
    was_deleted = payments.status[rows] == GONE
    given, stored = events.version[at], payments.version[rows]
    refused = superseded(held, stored, given, was_deleted, events.deleted[at])
    same = held & same_version(stored, given) & (was_deleted == events.deleted[at])
    same &= _repeats(state, named, lines, events) | was_deleted
    for scope in payments.scope[rows[same]].tolist():
        counts["duplicates", state.scopes.provider[scope]] += 1
    tally.duplicates(named.record[lines[same]])
    counts["ignored", "horizon"] += int(np.count_nonzero(too_old))
    counts["ignored", "older_version"] += int(np.count_nonzero(refused & ~same))
    applied = (~(too_old | refused | same)).nonzero()[0]
    lines, at, rows, held = lines[applied], at[applied], rows[applied], held[applied]
    today, window = today[applied], window[applied]
    _withdraw(state, rows, held)
    _store(state, named, lines, events, held, today, window)
    _count(state, rows, today, window)
    stands_in = events.standing_in[at] & ~events.deleted[at]
    payer = np.where(stands_in, payments.client[rows], -1)
    nameless = np.full(len(lines), None, np.object_)
    note_visit_phone(state, named, lines, payer, nameless, touched)


def _repeats(state: LaneState, named: Named, lines: Rows, events: PaymentColumns) -> Flags:
    payments = state.payments
    at, rows = named.source[lines], named.payment[lines]
    same: Flags = payments.client[rows] == named.client[lines]
    same &= payments.unit[rows] == named.money[lines]
    same &= payments.sale[rows] == named.sale[lines]
    same &= alike(_COPIED, payments, rows, events, at)
    return same


def _withdraw(state: LaneState, rows: Rows, held: Flags) -> None:
    """Takes what these payments made out of their units and sales, before they are written."""
    payments, units = state.payments, state.units
    live = held & (payments.status[rows] == LIVE) & ~payments.is_sale[rows]
    paying = rows[live & (payments.unit[rows] >= 0)]
    units.count[payments.unit[paying]] -= 1
    units.paid[payments.unit[paying]] -= payment_minor(state, paying)
    units.touch(payments.unit[paying])
    covering = rows[live & (payments.sale[rows] >= 0)]
    payments.covers[payments.sale[covering]] -= 1
    payments.touch(payments.sale[covering])


def _store(
    state: LaneState,
    named: Named,
    lines: Rows,
    events: PaymentColumns,
    held: Flags,
    today: I4,
    window: I4,
) -> None:
    payments = state.payments
    at, rows = named.source[lines], named.payment[lines]
    deleted = events.deleted[at]
    payments.version[rows] = kept_version(held, payments.version[rows], events.version[at])
    payments.status[rows] = np.where(deleted, GONE, LIVE)
    # A deletion need not say what is deleted: what was held stays as it was.
    whole = (~(deleted & held)).nonzero()[0]
    chosen, source, told = rows[whole], at[whole], lines[whole]
    keep(_COPIED, payments, chosen, events, source)
    _move(state, chosen, named.client[told], named.money[told])
    payments.sale[chosen] = named.sale[told]
    fresh = rows[~held]
    # Payments may have named a sale before it was told itself.
    known = inside(payments.kept_day[fresh], today[~held], window[~held])
    known &= payments.kept_day[fresh] != NO_DAY
    payments.covers[fresh[~known]] = 0
    _unname(state, fresh[~known])
    payments.kept_day[fresh[~known]] = NO_DAY
    told_day = np.where(events.day[at] == NO_DAY, today, events.day[at])
    payments.kept_day[rows] = np.maximum(payments.kept_day[rows], told_day)
    payments.touch(rows)


def _count(state: LaneState, rows: Rows, today: I4, window: I4) -> None:
    """Adds what these payments make now to their units and sales."""
    payments, units = state.payments, state.units
    unit = payments.unit[rows].astype(np.int64)
    there = (unit >= 0).nonzero()[0]
    new = there[~living(state, unit[there], today[there], window[there])]
    if len(new):
        _begin(state, rows[new], today[new], window[new])
    unit = unit[there]
    units.kept_day[unit] = np.maximum(units.kept_day[unit], payments.kept_day[rows[there]])
    live = (payments.status[rows] == LIVE) & ~payments.is_sale[rows]
    paying = rows[live & (payments.unit[rows] >= 0)]
    units.count[payments.unit[paying]] += 1
    units.paid[payments.unit[paying]] += payment_minor(state, paying)
    units.touch(unit)
    named = (payments.sale[rows] >= 0).nonzero()[0]
    sale = payments.sale[rows[named]]
    expired = payments.kept_day[sale] != NO_DAY
    expired &= ~inside(payments.kept_day[sale], today[named], window[named])
    expired &= ~living(state, payments.unit[sale], today[named], window[named])
    _reset_sales(state, sale[expired], rows[named[expired]])
    payments.kept_day[sale] = np.maximum(payments.kept_day[sale], payments.kept_day[rows[named]])
    # What stays lets its unit stay: else it would lose what covers it.
    unit, kept = payments.unit[sale].astype(np.int64), payments.kept_day[sale]
    inner = unit >= 0
    units.kept_day[unit[inner]] = np.maximum(units.kept_day[unit[inner]], kept[inner])
    units.touch(unit[inner])
    covering = rows[live & (payments.sale[rows] >= 0)]
    payments.covers[payments.sale[covering]] += 1
    payments.touch(sale)


def _begin(state: LaneState, rows: Rows, today: I4, window: I4) -> None:
    """A unit that begins lets go of all its payments; the one that begins it is the first in it."""
    unit, status = state.payments.unit[rows].astype(np.int64), state.payments.status[rows]
    begin(state, unit, today, window)
    state.payments.status[rows] = status
    _chain_in_unit(state, rows, unit)


def _move(state: LaneState, rows: Rows, clients: Rows, units: Rows) -> None:
    """Puts payments into the chains of these clients and units (-1: none)."""
    payments, first = state.payments, state.clients.first_payment
    rechain(first, payments.next_payment, rows, payments.client[rows].astype(np.int64), clients)
    payments.client[rows] = clients
    old = payments.unit[rows].copy()
    moves = (old != units).nonzero()[0]
    for at in moves[old[moves] >= 0].tolist():
        row, unit = int(rows[at]), int(old[at])
        unchain(state.units.first_payment, payments.next_in_unit, unit, row)
    _chain_in_unit(state, rows[moves], units[moves])


def _chain_in_unit(state: LaneState, rows: Rows, units: Rows) -> None:
    payments = state.payments
    payments.unit[rows] = units
    there = units >= 0
    chosen, parent = rows[there], units[there]
    payments.next_in_unit[chosen] = state.units.first_payment[parent]
    state.units.first_payment[parent] = chosen


def _reset_sales(state: LaneState, sales: Rows, namers: Rows) -> None:
    """Sales that have left the window and are named again: as if their rows were new."""
    if not len(sales):
        return
    nobody = np.full(len(sales), -1, np.int64)
    _move(state, sales, nobody, nobody)
    _unname(state, sales)
    state.payments.sale[namers] = sales
    state.payments.status[sales] = VACANT
    state.payments.version[sales] = NONE
    state.payments.covers[sales] = 0
    state.payments.kept_day[sales] = NO_DAY


def _unname(state: LaneState, sales: Rows) -> None:
    """Payments that named these sales before they left the window name nothing any more."""
    payments = state.payments
    old = sales[payments.is_sale[sales] & (payments.kept_day[sales] != NO_DAY)]
    if not len(old):
        return
    live = payments.live()
    naming = live[np.isin(payments.sale[live], old)]
    payments.sale[naming] = -1
    payments.touch(naming)


def rederive_payments(state: LaneState, tenant: int, rows: Rows) -> None:
    """Instants and days of a tenant's payments under its new settings."""
    payments = state.payments
    local = rows[payments.local_ms[rows] != NONE]
    zone = state.places.zone[payments.place[local]]
    payments.start_ms[local] = state.zones.to_instant(zone, payments.local_ms[local])
    timed = rows[payments.start_ms[rows] != NONE]
    owners = np.full(len(timed), tenant, np.int64)
    payments.day[timed] = state.tenant_day(owners, payments.start_ms[timed])
    payments.kept_day[timed] = np.maximum(payments.kept_day[timed], payments.day[timed])
    payments.touch(rows)
    naming = rows[payments.sale[rows] >= 0]
    sales = payments.sale[naming]
    np.maximum.at(payments.kept_day, sales, payments.kept_day[naming])
    payments.touch(sales)
