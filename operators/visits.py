"""Keep every visit in its newest version and every client under its newest phone.

In:    one round of events: at most one per unit, so no two touch the same rows
Out:   ``Touched``: the customers whose facts changed, and why
State: visits, clients, the chains customer → clients → visits
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operators.identify import CLIENT, INCOMING, VISIT, Named, customer_rows
from schemas.batch import ATTENDED, DELETED, I1, I4, I8, NONE, ClientEvents, Objects
from state.index import Rows
from state.lane import LaneState
from state.tables import NO_DAY, VACANT

Mask = NDArray[np.bool_]

CORRECTION, BECAME_ATTENDED, IDENTITY = range(3)
"""Why a customer's facts changed."""


@dataclass(slots=True)
class VisitColumns:
    """Visit events as the lane stores them, k rows: instants, rows of words, minor units."""

    record: I4
    scope: Rows
    id: I8
    id_text: Objects
    version: I8
    status: I1
    start_ms: I8
    local_ms: I8
    duration_ms: I8
    day: I4
    today: I4
    amount: I8
    foreign: Mask
    currency: Rows
    place: Rows
    services: Rows
    staff: Rows
    name: Objects


@dataclass(slots=True)
class Touched:
    """Distinct customers, the line of ``Named`` that touched each, and the cause.

    ``anew``: who they are or what their cards say has changed, whatever else has.
    ``reassigned`` are visits that now belong to another client or to none, with their lines.
    """

    customer: Rows
    line: Rows
    cause: I1
    anew: Mask
    reassigned: Rows
    reassigned_line: Rows


_FACTS = ("start_ms", "local_ms", "duration_ms", "day", "amount", "foreign", "currency")
_COPIED = (*_FACTS, "status", "place", "services", "staff")


def apply_round(
    state: LaneState,
    named: Named,
    lines: Rows,
    visits: VisitColumns,
    cards: ClientEvents,
    clocks: I8,
    counts: Counter[tuple[str, ...]],
) -> Touched:
    """Folds one event of each unit; ``lines`` choose them, ``clocks`` are per record."""
    touched: list[tuple[Rows, Rows, int]] = []
    kind = named.kind[lines]
    moved = _apply_visits(state, named, lines[kind == VISIT], visits, counts, touched)
    _apply_cards(state, named, lines[kind == CLIENT], cards, clocks, counts, touched)
    writers = lines[kind == INCOMING]
    writers = writers[named.customer[writers] >= 0]
    counts["ignored", "nobody"] += int((kind == INCOMING).sum()) - len(writers)
    new = writers[~state.customers.known[named.customer[writers]]]
    state.customers.known[named.customer[new]] = True
    touched.append((named.customer[new], new, IDENTITY))
    return _merged(touched, moved)


def _merged(touched: list[tuple[Rows, Rows, int]], moved: tuple[Rows, Rows]) -> Touched:
    customer = np.concatenate([c for c, _, _ in touched])
    line = np.concatenate([ls for _, ls, _ in touched])
    cause = np.concatenate([np.full(len(c), why, np.int8) for c, _, why in touched])
    present = customer >= 0
    customer, line, cause = customer[present], line[present], cause[present]
    # Became attended says more than a correction, and both say more than a change of identity.
    order = np.lexsort((_RANK[cause], customer))
    customer, line, cause = customer[order], line[order], cause[order]
    first = np.ones(len(customer), np.bool_)
    first[1:] = customer[1:] != customer[:-1]
    anew = np.zeros(int(first.sum()), np.bool_)
    np.logical_or.at(anew, np.cumsum(first) - 1, cause == IDENTITY)
    return Touched(customer[first], line[first].astype(np.int32), cause[first], anew, *moved)


_RANK = np.array([1, 0, 2], np.int8)


def _apply_visits(
    state: LaneState,
    named: Named,
    lines: Rows,
    events: VisitColumns,
    counts: Counter[tuple[str, ...]],
    touched: list[tuple[Rows, Rows, int]],
) -> tuple[Rows, Rows]:
    visits, clients = state.visits, state.clients
    if not len(lines):
        return lines, lines
    at, rows = named.source[lines], named.visit[lines]
    window = state.tenants.window[named.tenant[lines]]
    held = visits.status[rows] != VACANT
    held &= _inside(visits.kept_day[rows], events.today[at], window)
    too_old = ~held & ~_inside(events.day[at], events.today[at], window)
    if too_old.any():
        _advance_last_day(state, named, lines[too_old], events, touched)
        counts["ignored", "horizon"] += int(too_old.sum())
    refused = _superseded(state, rows, events, at, held)
    same = held & _repeats(state, named, lines, rows, events, at)
    for line in lines[same & ~too_old].tolist():
        scope = events.scope[named.source[line]]
        counts["duplicates", state.scopes.provider[scope]] += 1
    counts["ignored", "older_version"] += int((refused & ~same & ~too_old).sum())
    applied = ~too_old & ~refused & ~same
    lines, at, rows, held = lines[applied], at[applied], rows[applied], held[applied]
    _keep_expired(state, rows[~held])

    was_attended = held & (visits.status[rows] == ATTENDED)
    is_attended = events.status[at] == ATTENDED
    old_client = np.where(visits.status[rows] != VACANT, visits.client[rows], -1)
    deleted = events.status[at] == DELETED
    # Whose row had expired is not touched: the row might as well have been freed.
    old_owner = np.where(held & (old_client >= 0), clients.customer[old_client], -1)
    _store(state, rows, events, at, held, deleted)
    visits.phone[rows] = named.phone[lines]
    stays = deleted & held & (named.client[lines] < 0)
    client = np.where(stays, old_client, named.client[lines]).astype(np.int32)
    _move_visits(state, rows, old_client, client)
    linked = _note_visit_phone(state, named, lines, client, events, at, touched)
    owner = np.where(client >= 0, clients.customer[client], -1)
    changed = np.where(is_attended & ~was_attended, BECAME_ATTENDED, CORRECTION)
    factual = was_attended | is_attended
    cause = np.where(factual, changed, np.where(linked, IDENTITY, CORRECTION))
    for why in (BECAME_ATTENDED, CORRECTION, IDENTITY):
        chosen = cause == why
        touched.append((owner[chosen], lines[chosen], why))
    touched.append((owner[linked], lines[linked], IDENTITY))
    left = (old_owner != owner) & (old_owner >= 0)
    touched.append((old_owner[left].astype(np.int32), lines[left], CORRECTION))
    moved = held & (old_client != client) & (old_client >= 0)
    return rows[moved], lines[moved]


def _inside(days: I4, today: I4, window: I4) -> Mask:
    """Whether days are inside the window as of today; a version that tells no day always is."""
    inside: Mask = (days == NO_DAY) | (today.astype(np.int64) - days < window)
    return inside


def _superseded(state: LaneState, rows: Rows, events: VisitColumns, at: I4, held: Mask) -> Mask:
    """Older than what is held; of equal versions a deletion wins, else the later position."""
    stored, given = state.visits.version[rows], events.version[at]
    ordered = held & (stored != NONE) & (given != NONE)
    undead = (state.visits.status[rows] == DELETED) & (events.status[at] != DELETED)
    superseded: Mask = ordered & ((given < stored) | ((given == stored) & undead))
    return superseded


def _repeats(
    state: LaneState, named: Named, lines: Rows, rows: Rows, events: VisitColumns, at: I4
) -> Mask:
    """The same version with the same content: nothing to do, not even a touch."""
    visits = state.visits
    version = events.version[at]
    same = (visits.version[rows] == version) | (version == NONE)
    same &= visits.status[rows] == events.status[at]
    content = np.ones(len(rows), np.bool_)
    for name in (*_FACTS, "place", "services", "staff"):
        content &= getattr(visits, name)[rows] == getattr(events, name)[at]
    content &= visits.client[rows] == named.client[lines]
    content &= visits.phone[rows] == named.phone[lines]
    repeats: Mask = same & (content | (events.status[at] == DELETED))
    return repeats


def _store(
    state: LaneState,
    rows: Rows,
    events: VisitColumns,
    at: I4,
    held: Mask,
    deleted: Mask,
) -> None:
    visits = state.visits
    given = events.version[at]
    visits.version[rows] = np.where((given == NONE) & held, visits.version[rows], given)
    visits.held_ms[rows[~held]] = NONE
    whole = ~(deleted & held)
    chosen, source = rows[whole], at[whole]
    for name in _COPIED:
        getattr(visits, name)[chosen] = getattr(events, name)[source]
    for name in ("scope", "id", "id_text"):
        getattr(visits, name)[chosen] = getattr(events, name)[source]
    visits.status[rows[~whole]] = DELETED
    # A tombstone of a visit never seen ages from the day on which it was told.
    told = np.where(events.day[at] == NO_DAY, events.today[at], events.day[at])
    visits.kept_day[rows] = np.where(held, np.maximum(visits.kept_day[rows], told), told)
    visits.touch(rows)


def _advance_last_day(
    state: LaneState,
    named: Named,
    lines: Rows,
    events: VisitColumns,
    touched: list[tuple[Rows, Rows, int]],
) -> None:
    """An attended visit older than the window is no fact any more, but it was the last day once."""
    at = named.source[lines]
    kept = (events.status[at] == ATTENDED) & (named.client[lines] >= 0)
    lines, at, client = lines[kept], at[kept], named.client[lines][kept]
    remember_last_day(state, client, events.day[at], events.start_ms[at])
    _note_visit_phone(state, named, lines, client, events, at, touched)
    touched.append((state.clients.customer[client], lines, BECAME_ATTENDED))


def _keep_expired(state: LaneState, rows: Rows) -> None:
    """Rows outside the window that are about to be written anew leave their day behind."""
    visits = state.visits
    gone = rows[(visits.status[rows] == ATTENDED) & (visits.client[rows] >= 0)]
    remember_last_day(state, visits.client[gone], visits.day[gone], visits.start_ms[gone])


def remember_last_day(state: LaneState, client: Rows, day: I4, start_ms: I8) -> None:
    """Keeps with the client that visits which leave the lane were attended on these days."""
    np.maximum.at(state.clients.gone_day, client, day)
    np.maximum.at(state.clients.gone_ms, client, start_ms)
    state.clients.touch(client)


def _move_visits(state: LaneState, rows: Rows, old: Rows, new: Rows) -> None:
    visits, clients = state.visits, state.clients
    for at in np.flatnonzero((old != new) & (old >= 0)).tolist():
        _unchain(clients.first_visit, visits.next_visit, int(old[at]), int(rows[at]))
    placed = (old != new) & (new >= 0)
    chosen, parent = rows[placed], new[placed]
    visits.next_visit[chosen] = clients.first_visit[parent]
    clients.first_visit[parent] = chosen
    visits.client[rows] = new


def _unchain(first: Rows, following: Rows, parent: int, child: int) -> None:
    """Takes one child out of its parent's chain; rare, so one by one."""
    if first[parent] == child:
        first[parent] = following[child]
    else:
        before = int(first[parent])
        while following[before] != child:
            before = int(following[before])
        following[before] = following[child]
    following[child] = -1


def _note_visit_phone(
    state: LaneState,
    named: Named,
    lines: Rows,
    client: Rows,
    events: VisitColumns,
    at: I4,
    touched: list[tuple[Rows, Rows, int]],
) -> Mask:
    """A visit that names a phone and a card tells the card's phone, unless the card does itself."""
    clients = state.clients
    linked = np.zeros(len(lines), np.bool_)
    nameless = (client >= 0) & ~clients.has_card[client]
    renamed = nameless & (events.name[at] != None) & (events.name[at] != clients.name[client])  # noqa: E711  # elementwise
    told = np.flatnonzero(renamed)
    clients.name[client[told]] = events.name[at[told]]
    clients.touch(client[told])
    touched.append((clients.customer[client[told]], lines[told], IDENTITY))
    phone = named.phone[lines]
    told = np.flatnonzero((client >= 0) & (phone != 0))
    chosen = client[told]
    clients.visit_phone[chosen] = phone[told]
    clients.touch(chosen)
    free = clients.card_phone[chosen] == 0
    told = told[free]
    moved, old = _link(state, chosen[free], named.customer[lines[told]])
    linked[told] = moved
    touched.append((old[moved], lines[told[moved]], IDENTITY))
    return linked


def _apply_cards(
    state: LaneState,
    named: Named,
    lines: Rows,
    events: ClientEvents,
    clocks: I8,
    counts: Counter[tuple[str, ...]],
    touched: list[tuple[Rows, Rows, int]],
) -> None:
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
    touched.append((clients.customer[rows[changed]], lines[changed], IDENTITY))
    touched.append((old[moved], lines[moved], IDENTITY))


def _link(state: LaneState, client: Rows, target: Rows) -> tuple[Mask, Rows]:
    """Points clients to customers (-1: nobody any more); returns which moved, and from whom."""
    clients, customers = state.clients, state.customers
    old = clients.customer[client]
    moved: Mask = old != target
    for at in np.flatnonzero(moved & (old >= 0)).tolist():
        _unchain(customers.first_client, clients.next_client, int(old[at]), int(client[at]))
    clients.customer[client] = target
    clients.touch(client[moved])
    linked = moved & (target >= 0)
    chosen, parent = client[linked], target[linked]
    clients.next_client[chosen] = customers.first_client[parent]
    customers.first_client[parent] = chosen
    customers.known[parent] = True
    return moved, old.copy()
