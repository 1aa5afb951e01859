"""Keep money units: which visits share a sum of money, which payments make it, who has it.

In:    events that name a provider's visit (money unit) or a sale of goods
Out:   rows of units and payments; which visits and customers an event can reach through them
State: units, ``unit`` of visits and payments; rows say nothing until an event has had its turn

A unit lives as long as anything in it is inside the window. One that is older is as good as gone,
whether or not its row still exists: the next payment that names it begins it anew.
"""

from __future__ import annotations

import numpy as np

from operators.crowds import inside
from operators.money import payment_minor
from operators.units import Graph
from schemas.batch import ATTENDED, I4, I8, NONE, PaymentEvents
from schemas.keys import row_keys
from state.chains import rows_in, walk
from state.index import U8, Rows
from state.lane import LaneState
from state.money import LIVE
from state.money import VACANT as UNTOLD
from state.runs import begins, distinct
from state.tables import NO_DAY, VACANT, Flags

_UNIT_SALT = np.uint64(0x756E69742D69646E)
_PAYMENT_SALT = np.uint64(0x7061796D656E7469)
_SALE_SALT = np.uint64(0x73616C652D69646E)


def payment_rows(state: LaneState, events: PaymentEvents, scopes: Rows) -> tuple[Rows, Rows, Rows]:
    """Rows of the payments, of the units that they name and of the sales that they pay."""
    space = state.scopes.key[scopes]
    ids = events.id.view(np.uint64)
    is_sale = events.is_sale != 0
    keys = row_keys(space ^ np.where(is_sale, _SALE_SALT, _PAYMENT_SALT), ids)
    payment, _ = state.payments.find_or_add(keys)
    units = np.full(len(ids), -1, np.int64)
    named = (events.money_unit != NONE).nonzero()[0]
    if len(named):
        found, fresh = state.units.find_or_add(
            row_keys(space[named] ^ _UNIT_SALT, events.money_unit[named].view(np.uint64))
        )
        state.units.scope[found[fresh]] = scopes[named][fresh]
        state.units.number[found[fresh]] = events.money_unit[named][fresh]
        units[named] = found
    sales = np.full(len(ids), -1, np.int64)
    paying = ((events.sale != NONE) & ~is_sale).nonzero()[0]
    if len(paying):
        keys = row_keys(space[paying] ^ _SALE_SALT, events.sale[paying].view(np.uint64))
        sales[paying], fresh = state.payments.find_or_add(keys)
        state.payments.scope[sales[paying][fresh]] = scopes[paying][fresh]
        state.payments.is_sale[sales[paying][fresh]] = True
    state.payments.scope[payment] = scopes
    return payment, units, sales


def find_units(state: LaneState, space: U8, numbers: I8) -> Rows:
    """Rows of the units of visits in scopes with these keys, -1 where no payment has named one."""
    found = np.full(len(numbers), -1, np.int64)
    if len(state.units):
        named = (numbers != NONE).nonzero()[0]
        keys = row_keys(space[named] ^ _UNIT_SALT, numbers[named].view(np.uint64))
        found[named] = state.units.index.find(keys)
    return found


def join_money(
    state: LaneState, graph: Graph, visit: Rows, payment: Rows, unit: Rows, sale: Rows
) -> None:
    """Joins visits and payments with their units, and those with everybody whose money they are.

    The columns are of events, -1 where an event has no such row.
    """
    visits, payments = state.visits, state.payments
    events = np.where(visit >= 0, graph.nodes("visits", visit), graph.nodes("payments", payment))
    held = rows_in(visits.unit, visit)
    held = np.where(payment >= 0, payments.unit[payment], held)
    paid = rows_in(payments.sale, payment)
    for rows in (unit, held):
        graph.join(events, graph.nodes("units", rows))
    for rows in (sale, paid):
        graph.join(events, graph.nodes("payments", rows))
        within = rows_in(payments.unit, rows)
        graph.join(events, graph.nodes("units", within))
    units = np.concatenate([unit, held])
    units = distinct(units[units >= 0])
    line, row = state.unit_visits.of(state.units.scope[units], state.units.number[units])
    graph.join(graph.nodes("units", units[line]), graph.nodes("visits", row))
    _join_owners(state, graph, graph.nodes("visits", row), visits.client[row])
    line, row = payments_of(state, units)
    graph.join(graph.nodes("units", units[line]), graph.nodes("payments", row))
    known = np.concatenate([row, payment, sale, paid])
    known = known[known >= 0]
    _join_owners(state, graph, graph.nodes("payments", known), payments.client[known])


def _join_owners(state: LaneState, graph: Graph, nodes: Rows, clients: Rows) -> None:
    owner = rows_in(state.clients.customer, clients)
    graph.join(nodes, graph.nodes("clients", clients))
    graph.join(nodes, graph.nodes("customers", owner))


def visits_of(state: LaneState, units: Rows) -> tuple[Rows, Rows]:
    """Visits in these units, with the line of each."""
    line, row = state.unit_visits.of(state.units.scope[units], state.units.number[units])
    there = state.visits.unit[row] == units[line]
    return line[there], row[there]


def payments_of(state: LaneState, units: Rows) -> tuple[Rows, Rows]:
    """Payments and sales in these units, with the line of each."""
    lines = np.arange(len(units), dtype=np.int64)
    return walk(state.units.first_payment[units], state.payments.next_in_unit, lines)


def living(state: LaneState, units: Rows, today: I4, window: I4) -> Flags:
    """Whether each (-1: none) is a unit that has begun and has not left the window."""
    kept = np.where(units >= 0, state.units.kept_day[units], NO_DAY).astype(np.int32)
    alive: Flags = (kept != NO_DAY) & inside(kept, today, window)
    return alive


def begin(state: LaneState, units: Rows, today: I4, window: I4) -> None:
    """Begins distinct units anew: what was in them is gone, visits that name them come in."""
    table, visits = state.units, state.visits
    _, row = payments_of(state, units)
    _let_go(state, units, row)
    line, row = visits_of(state, units)
    visits.unit[row] = -1
    visits.touch(row)
    table.kept_day[units] = NO_DAY
    table.count[units] = 0
    table.paid[units] = 0
    table.holder[units] = -1
    line, row = state.unit_visits.of(table.scope[units], table.number[units])
    there = (visits.status[row] != VACANT) & inside(visits.kept_day[row], today[line], window[line])
    line, row = line[there], row[there]
    visits.unit[row] = units[line]
    visits.touch(row)
    np.maximum.at(table.kept_day, units[line], visits.kept_day[row])
    table.touch(units)
    choose_holders(state, units, today, window)


def _let_go(state: LaneState, units: Rows, rows: Rows) -> None:
    """All payments of these units: what has left the window with its unit is as good as freed."""
    state.units.first_payment[units] = -1
    state.payments.next_in_unit[rows] = -1
    state.payments.unit[rows] = -1
    state.payments.status[rows] = UNTOLD
    state.payments.touch(rows)


def choose_holders(state: LaneState, units: Rows, today: I4, window: I4) -> None:
    """The unit's money goes to its earliest attended record, by start and key."""
    table = state.units
    holder = holders_of(state, units, today, window)
    changed = table.holder[units] != holder
    table.holder[units] = holder
    table.touch(units[changed])


def holders_of(state: LaneState, units: Rows, today: I4, window: I4) -> Rows:
    """Which visits have the units' money now: the earliest attended ones, -1 for none."""
    visits = state.visits
    line, row = visits_of(state, units)
    counts = visits.status[row] == ATTENDED
    counts &= inside(visits.kept_day[row], today[line], window[line])
    line, row = line[counts], row[counts]
    order = np.lexsort((visits.key[row], visits.start_ms[row], line))
    line, row = line[order], row[order]
    first = begins(line)
    holder = np.full(len(units), -1, np.int64)
    holder[line[first]] = row[first]
    return holder


def place_visits(
    state: LaneState, rows: Rows, units: Rows, held: Flags, today: I4, window: I4
) -> None:
    """Puts visits that have just been written into the units that they name now (-1: none).

    The units that they leave and enter choose their holders anew. What a row that was not ``held``
    had been in has forgotten it: the row might as well have been freed.
    """
    visits, table = state.visits, state.units
    if not len(table):
        return
    concerned = ((visits.unit[rows] >= 0) | (units >= 0)).nonzero()[0]
    if not len(concerned):
        return
    rows, units, held = rows[concerned], units[concerned], held[concerned]
    today, window = today[concerned], window[concerned]
    before = visits.unit[rows].astype(np.int64)
    expired = (~held & (before >= 0)).nonzero()[0]
    lost = expired[table.holder[before[expired]] == rows[expired]]
    table.holder[before[lost]] = -1
    table.touch(before[lost])
    before[expired] = -1
    alive = living(state, units, today, window)
    visits.unit[rows] = np.where(alive, units, -1)
    entered = alive.nonzero()[0]
    np.maximum.at(table.kept_day, units[entered], visits.kept_day[rows[entered]])
    for chosen in (before, np.where(alive, units, -1)):
        there = living(state, chosen, today, window).nonzero()[0]
        if len(there):
            choose_holders(state, chosen[there], today[there], window[there])
            table.touch(chosen[there])


def rederive_units(state: LaneState, units: Rows, today: I4, window: I4) -> None:
    """Sums of distinct units, their days and holders after their tenant's settings have changed.

    Whose holder had left the window by then has none: its money stays where it was counted.
    """
    if not len(units):
        return
    table, payments = state.units, state.payments
    table.paid[units] = 0
    line, row = payments_of(state, units)
    np.maximum.at(table.kept_day, units[line], payments.kept_day[row])
    paying = (payments.status[row] == LIVE) & ~payments.is_sale[row]
    np.add.at(table.paid, units[line[paying]], payment_minor(state, row[paying]))
    line, row = visits_of(state, units)
    np.maximum.at(table.kept_day, units[line], state.visits.kept_day[row])
    table.touch(units)
    holder = table.holder[units]
    stands = (holder >= 0) & inside(state.visits.kept_day[holder], today, window)
    count = int(stands.sum())
    choose_holders(state, units[stands], np.repeat(today, count), np.repeat(window, count))
