"""Compute recency, frequency and monetary value of customers from their visits and payments.

In:    rows of customers, and the day and instant as of which to look
Out:   ``Features``, one line per customer given
State: read only
Source: R whole local days since the last attended visit; F distinct visit days inside the window;
        M the money of those visits and of payments that name none, on their own days
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from operators.money import counts_alone, payment_money, visit_money
from schemas.batch import ATTENDED, CONFIRMED, I4, I8, NONE
from state.chains import walk
from state.index import Rows
from state.lane import LaneState
from state.runs import begins
from state.tables import NO_DAY, Flags


@dataclass(slots=True)
class History:
    """All visits of some customers: ``owner`` indexes the customers asked for.

    And all their clients, with ``client_owner``.
    """

    owner: Rows
    visit: Rows
    client_owner: Rows
    client: Rows


@dataclass(slots=True)
class Features:
    """n lines; ``last_day`` NO_DAY and ``last_visit_ms`` NONE for who never came.

    ``leaves_day`` is the first day on which a visit or payment inside the window has left it.
    """

    last_day: I4
    last_visit_ms: I8
    frequency: I4
    monetary: I8
    leaves_day: I8
    next_booking_ms: I8


def history_of(state: LaneState, customers: Rows) -> History:
    """Follows the chains customer → clients → visits for all customers at once."""
    clients, visits = state.clients, state.visits
    owners = np.arange(len(customers), dtype=np.int64)
    holder, client = walk(state.customers.first_client[customers], clients.next_client, owners)
    owner, visit = walk(clients.first_visit[client], visits.next_visit, holder)
    return History(owner, visit, holder, client)


def only(history: History, chosen: Flags) -> History:
    """That of the chosen customers, as if they alone had been asked for."""
    lines, clients = chosen[history.owner], chosen[history.client_owner]
    place = np.cumsum(chosen, dtype=np.int64) - 1
    return History(
        place[history.owner[lines]],
        history.visit[lines],
        place[history.client_owner[clients]],
        history.client[clients],
    )


def compute_features(
    state: LaneState, customers: Rows, history: History, today: I4, now_ms: I8
) -> Features:
    """Features of customers as of their local day ``today`` and instant ``now_ms``.

    A visit is inside the window while ``today - day < window``; a future day is inside.
    """
    window = state.tenants.window[state.customers.tenant[customers]].astype(np.int64)
    features = _features(state, history, window, today, now_ms)
    if len(state.payments):
        _add_payments(state, history, today, window, features.monetary, features.leaves_day)
    return features


def _features(state: LaneState, history: History, window: I8, today: I4, now_ms: I8) -> Features:
    """The same without what payments add by themselves."""
    count = len(window)
    visits = state.visits
    status, start = visits.status[history.visit], visits.start_ms[history.visit]
    attended = (status == ATTENDED).nonzero()[0]
    owner, visit = history.owner[attended], history.visit[attended]
    day = visits.day[visit]
    last_day, last_ms = _gone(state, history, count)
    np.maximum.at(last_day, owner, day)
    np.maximum.at(last_ms, owner, start[attended])
    inside = (today[owner] - day.astype(np.int64) < window[owner]).nonzero()[0]
    if len(inside) < len(owner):
        owner, visit, day = owner[inside], visit[inside], day[inside]
    monetary = np.zeros(count, np.int64)
    np.add.at(monetary, owner, visit_money(state, visit))
    leaves = np.full(count, np.iinfo(np.int64).max)
    np.minimum.at(leaves, owner, day + window[owner])
    booked = ((status <= CONFIRMED) & (start > now_ms[history.owner])).nonzero()[0]
    next_ms = np.full(count, np.iinfo(np.int64).max)
    np.minimum.at(next_ms, history.owner[booked], start[booked])
    return Features(
        last_day=last_day,
        last_visit_ms=last_ms,
        frequency=np.bincount(visit_days(owner, day) >> 32, minlength=count).astype(np.int32),
        monetary=monetary,
        leaves_day=leaves,
        next_booking_ms=np.where(next_ms == np.iinfo(np.int64).max, NONE, next_ms),
    )


def _add_payments(
    state: LaneState, history: History, today: I4, window: I8, monetary: I8, leaves: I8
) -> None:
    clients, payments = state.clients, state.payments
    heads = clients.first_payment[history.client]
    owner, payment = walk(heads, payments.next_payment, history.client_owner)
    if not len(payment):
        return
    day = payments.day[payment].astype(np.int64)
    counts = counts_alone(state, payment) & (today[owner] - day < window[owner])
    owner, payment, day = owner[counts], payment[counts], day[counts]
    np.add.at(monetary, owner, payment_money(state, payment))
    np.minimum.at(leaves, owner, day + window[owner])


def visit_days(owner: Rows, day: I4) -> I8:
    """Each owner's days once and in order: the owner in the upper 32 bits, then the day + 2**31."""
    pairs = np.sort((owner.astype(np.int64) << 32) + (day.astype(np.int64) + (1 << 31)))
    fresh = begins(pairs)
    return pairs[fresh]


def _gone(state: LaneState, history: History, count: int) -> tuple[I4, I8]:
    """Last day and instant of visits that have left the lane, over each customer's clients."""
    last_day = np.full(count, NO_DAY, np.int32)
    last_ms = np.full(count, NONE)
    np.maximum.at(last_day, history.client_owner, state.clients.gone_day[history.client])
    np.maximum.at(last_ms, history.client_owner, state.clients.gone_ms[history.client])
    return last_day, last_ms
