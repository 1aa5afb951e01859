"""Hold messages until their quiet window is over, and hand them to the gate again then.

In:    dues that the gate has held; customers whose window ends; settings; what takes a reason away
Out:   dues at the end of the window, in ``Owed.dues``; withdrawals of what is held
State: ``held``, each customer's next release, the marks of held occasions
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operators.gate import Asked
from operators.owed import Dues, Owed
from operators.quiet import window_ends, windows_of
from schemas.batch import I8
from schemas.keys import command_id
from state.index import Rows
from state.lane import LaneState
from state.runs import distinct
from state.tables import HELD, NEVER, WITHDRAWN


@dataclass(slots=True)
class Waiting:
    """Messages that are held, n lines: for whom, the rows of their occasions.

    ``last_ms`` is the start of the customer's last visit when they were held, NONE for none.
    """

    customer: Rows
    mark: Rows
    last_ms: I8


def hold(state: LaneState, asked: Asked, lines: NDArray[np.intp]) -> None:
    """Keeps what is needed to decide these again at the end of their window."""
    if not len(lines):
        return
    table, tenant = state.held, asked.tenant[lines]
    rows, _ = table.find_or_add(asked.key[lines])
    customers = asked.customer[lines]
    table.customer[rows] = customers
    table.last_ms[rows] = state.customers.last_visit_ms[customers]
    table.due_ms[rows], table.expires_ms[rows] = asked.due_ms[lines], asked.expires_ms[lines]
    table.mark[rows] = asked.mark[lines]
    for row, line in zip(rows.tolist(), lines.tolist(), strict=True):
        table.trigger[row], table.occasion[row] = asked.trigger[line], asked.occasion[line]
        table.branch[row], table.visit[row] = asked.branch[line], asked.visit[line]
    _, end = windows_of(state, tenant, state.tenants.rules.marketing[asked.rule[lines]])
    release = window_ends(state, asked.zone[lines], asked.now_ms[lines], end)
    table.release_ms[rows] = release
    table.touch(rows)
    np.minimum.at(state.customers.held_due, customers, release)
    state.customers.touch(customers)
    state.due.refresh(customers)


def release(
    state: LaneState, owed: Owed, customers: Rows, due_ms: I8, now_ms: I8, position: I8
) -> None:
    """Queues what these customers' windows have held until ``due_ms``; one line a customer."""
    table, rows = state.held, _held_by(state, customers)
    place = _places(customers, table.customer[rows])
    ready = table.release_ms[rows] <= due_ms[place]
    rows, place = rows[ready], place[ready]
    _queue(state, owed, rows, due_ms[place], now_ms[place], position[place])


def withdraw_removed(state: LaneState, owed: Owed, tenant: int, now_ms: int, position: int) -> None:
    """Takes back what rules that are gone have held; others meet the new settings at release."""
    table = state.held
    rows = table.live()
    rows = rows[table.customer[rows] >= 0]
    rows = rows[state.customers.tenant[table.customer[rows]] == tenant]
    triggers = table.trigger[rows].tolist()
    gone = [state.tenants.rules.number(tenant, trigger) < 0 for trigger in triggers]
    rows = rows[np.array(gone, np.bool_)]
    _withdraw(state, owed, rows, np.full(len(rows), now_ms), np.full(len(rows), position))


def withdraw_held(state: LaneState, owed: Owed, marks: Rows, now_ms: I8, position: I8) -> None:
    """Takes back what is held for these occasions, one line each; others have nothing held."""
    waiting = state.occasions.state[marks] == HELD
    if not waiting.any():
        return
    marks, now_ms, position = marks[waiting], now_ms[waiting], position[waiting]
    table = state.held
    rows = table.live()
    rows = rows[(table.customer[rows] >= 0) & np.isin(table.mark[rows], marks)]
    place = _places(marks, table.mark[rows])
    _withdraw(state, owed, rows, now_ms[place], position[place])


def waiting_of(state: LaneState, customers: Rows) -> Waiting:
    """What is held for any of these, as far as it has an occasion."""
    table = state.held
    rows = _held_by(state, customers)
    rows = rows[table.mark[rows] >= 0]
    return Waiting(table.customer[rows], table.mark[rows], table.last_ms[rows])


def move_mark(state: LaneState, old: int, new: int) -> None:
    """Another row keeps the occasion of what is held from now on."""
    rows = state.held.live()
    rows = rows[(state.held.customer[rows] >= 0) & (state.held.mark[rows] == old)]
    state.held.mark[rows] = new
    state.held.touch(rows)


def inherit_held(state: LaneState, old: int, heir: int) -> None:
    """In a merge what one customer waits for the other one gets."""
    rows = _held_by(state, np.array([old], np.int32))
    state.held.customer[rows] = heir
    state.held.touch(rows)
    state.customers.held_due[old] = NEVER
    _reschedule(state, np.array([heir], np.int32))


def withdraw_all_of(
    state: LaneState, owed: Owed, customer: Rows, now_ms: int, position: int
) -> None:
    """Takes back all that is held for one customer."""
    rows = _held_by(state, customer)
    count = len(rows)
    _withdraw(state, owed, rows, np.full(count, now_ms), np.full(count, position))


def free_decided(state: LaneState) -> None:
    """Frees rows of what has been decided since."""
    rows = state.held.live()
    over = rows[state.held.customer[rows] < 0]
    if len(over):
        state.held.free(over)


def _held_by(state: LaneState, customers: Rows) -> Rows:
    rows = state.held.live()
    found: Rows = rows[np.isin(state.held.customer[rows], customers)]
    return found


def _places(named: Rows, asked: Rows) -> NDArray[np.intp]:
    """Where each of the asked stands among the named, which are all there."""
    order = np.argsort(named, kind="stable")
    return order[np.searchsorted(named[order], asked)]


def _queue(state: LaneState, owed: Owed, rows: Rows, made_ms: I8, now_ms: I8, position: I8) -> None:
    """They are due again; their rows are free to be held once more."""
    if not len(rows):
        return
    table = state.held
    whose = table.customer[rows].copy()
    tenants = state.customers.tenant[whose].tolist()
    number, triggers = state.tenants.rules.number, table.trigger[rows].tolist()
    dues = Dues(
        customer=whose,
        rule=np.array(list(map(number, tenants, triggers)), np.int32),
        occasion=table.occasion[rows].tolist(),
        due_ms=table.due_ms[rows],
        made_ms=made_ms,
        now_ms=now_ms,
        position=position,
        expires_ms=table.expires_ms[rows],
        visit=table.visit[rows].tolist(),
        branch=table.branch[rows].tolist(),
        mark=table.mark[rows],
        held=np.ones(len(rows), np.bool_),
    )
    owed.dues.append(dues)
    _let_go(state, rows)


def _withdraw(state: LaneState, owed: Owed, rows: Rows, now_ms: I8, position: I8) -> None:
    table, customers = state.held, state.customers
    for row, now, at in zip(rows.tolist(), now_ms.tolist(), position.tolist(), strict=True):
        customer = table.customer[row]
        tenant, trigger = state.tenants.name[customers.tenant[customer]], table.trigger[row]
        identity = command_id(tenant, trigger, table.occasion[row])
        owed.withdrawal(identity, tenant, customers.id[customer].decode(), trigger, now, at)
    marks = table.mark[rows]
    marks = marks[marks >= 0]
    state.occasions.state[marks] = WITHDRAWN
    state.occasions.touch(marks)
    _let_go(state, rows)


def _let_go(state: LaneState, rows: Rows) -> None:
    """Rows are freed when many are, as that costs an index; till then they are nobody's."""
    table = state.held
    whose = table.customer[rows].copy()
    table.customer[rows] = -1
    table.release_ms[rows] = NEVER
    table.visit[rows] = None
    table.touch(rows)
    _reschedule(state, whose)


def _reschedule(state: LaneState, customers: Rows) -> None:
    """Sets these customers' next release from what is still held for them."""
    customers = distinct(customers)
    rows = _held_by(state, customers)
    state.customers.held_due[customers] = NEVER
    np.minimum.at(state.customers.held_due, state.held.customer[rows], state.held.release_ms[rows])
    state.customers.touch(customers)
    state.due.refresh(customers)
