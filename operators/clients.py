"""Keep every client under its newest phone, and in the chain of the customer whom that phone is.

In:    one round of events: at most one per unit, so no two touch the same rows
Out:   additions to ``touched``: customers, the lines of ``Named`` that touched them, and the cause
State: clients, the chains customer → clients; customers become known here

A card's phone is that of its newest body, else of the latest visit that names one.
"""

from __future__ import annotations

from collections import Counter
from enum import IntEnum

import numpy as np

from operators.identify import Named, customer_rows
from schemas.batch import I8, NONE, ClientEvents, Objects
from state.index import Rows
from state.lane import LaneState
from state.tables import Flags


class Cause(IntEnum):
    """Why a customer's facts changed; what says more comes first."""

    BECAME_ATTENDED = 0
    CORRECTION = 1
    IDENTITY = 2


TouchedRows = list[tuple[Rows, Rows, Cause]]
"""Customers (-1: none), beside the lines of ``Named``, for one cause."""


def apply_cards(
    state: LaneState,
    named: Named,
    lines: Rows,
    events: ClientEvents,
    clocks: I8,
    counts: Counter[tuple[str, ...]],
    touched: TouchedRows,
) -> None:
    """CRM cards in their newest version; the position orders those without one."""
    clients = state.clients
    if not len(lines):
        return
    at, rows = named.source[lines], named.client[lines]
    stored, given = clients.version[rows], events.version[at]
    older = (stored != NONE) & (given != NONE) & (given < stored)
    gone = events.deleted[at] != 0
    counts["ignored", "older_version"] += int((older & ~gone).sum())
    # A card that is deleted in the CRM takes no visit back: they happened.
    counts["ignored", "deleted_client"] += int(gone.sum())
    lines, at, rows = (column[~older & ~gone] for column in (lines, at, rows))
    given = events.version[at]
    clients.version[rows] = np.where(given == NONE, clients.version[rows], given)
    clients.has_card[rows] = True
    clients.card_phone[rows] = named.phone[lines]
    told = events.consent[at] >= 0
    changed = told.copy()
    for name in ("name", "birthday", "locale"):
        changed |= getattr(clients, name)[rows] != getattr(events, name)[at]
        getattr(clients, name)[rows] = getattr(events, name)[at]
    clients.consent[rows[told]] = events.consent[at[told]]
    clients.consent_ms[rows[told]] = clocks[events.record[at[told]]]
    clients.touch(rows)
    target = named.customer[lines]
    fallback = np.where(named.phone[lines] == 0, clients.visit_phone[rows], 0)
    target = np.where(fallback != 0, customer_rows(state, clients.tenant[rows], fallback), target)
    moved, old = _link(state, rows, target)
    changed |= moved
    touched.append((clients.customer[rows[changed]], lines[changed], Cause.IDENTITY))
    touched.append((old[moved], lines[moved], Cause.IDENTITY))


def note_visit_phone(
    state: LaneState,
    named: Named,
    lines: Rows,
    client: Rows,
    names: Objects,
    touched: TouchedRows,
) -> Flags:
    """A visit that names a phone and a card tells the card's phone, unless the card does itself."""
    clients = state.clients
    linked = np.zeros(len(lines), np.bool_)
    nameless = (client >= 0) & ~clients.has_card[client]
    nameless &= (names != None) & (names != clients.name[client])  # noqa: E711  # elementwise
    told = np.flatnonzero(nameless)
    clients.name[client[told]] = names[told]
    clients.touch(client[told])
    touched.append((clients.customer[client[told]], lines[told], Cause.IDENTITY))
    phone = named.phone[lines]
    told = np.flatnonzero((client >= 0) & (phone != 0))
    chosen = client[told]
    clients.visit_phone[chosen] = phone[told]
    clients.touch(chosen)
    free = clients.card_phone[chosen] == 0
    told = told[free]
    moved, old = _link(state, chosen[free], named.customer[lines[told]])
    linked[told] = moved
    touched.append((old[moved], lines[told[moved]], Cause.IDENTITY))
    return linked


def _link(state: LaneState, client: Rows, target: Rows) -> tuple[Flags, Rows]:
    """Points clients to customers (-1: nobody any more); returns which moved, and from whom."""
    clients, customers = state.clients, state.customers
    old = clients.customer[client]
    moved: Flags = old != target
    for at in np.flatnonzero(moved & (old >= 0)).tolist():
        unchain(customers.first_client, clients.next_client, int(old[at]), int(client[at]))
    clients.customer[client] = target
    clients.touch(client[moved])
    linked = moved & (target >= 0)
    chosen, parent = client[linked], target[linked]
    clients.next_client[chosen] = customers.first_client[parent]
    customers.first_client[parent] = chosen
    customers.known[parent] = True
    return moved, old.copy()


def unchain(first: Rows, following: Rows, parent: int, child: int) -> None:
    """Takes one child out of its parent's chain; rare, so one by one."""
    if first[parent] == child:
        first[parent] = following[child]
    else:
        before = int(first[parent])
        while following[before] != child:
            before = int(following[before])
        following[before] = following[child]
    following[child] = -1
