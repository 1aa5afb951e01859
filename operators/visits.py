"""Keep every visit in its newest version, and each round's events in their tables.

In:    one round of events: at most one per unit, so no two touch the same rows
Out:   ``Touched``: the customers whose facts changed, and why
State: visits, the chains client → visits; clients through ``clients``
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operators.clients import Cause, TouchedRows, apply_cards, note_visit_phone, unchain
from operators.identify import CLIENT, INCOMING, VISIT, Named
from schemas.batch import ATTENDED, DELETED, I1, I4, I8, NONE, ClientEvents, Objects
from state.index import Rows
from state.lane import LaneState
from state.tables import NO_DAY, VACANT

Mask = NDArray[np.bool_]


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
    touched: TouchedRows = []
    kind = named.kind[lines]
    moved = _apply_visits(state, named, lines[kind == VISIT], visits, counts, touched)
    apply_cards(state, named, lines[kind == CLIENT], cards, clocks, counts, touched)
    writers = lines[kind == INCOMING]
    writers = writers[named.customer[writers] >= 0]
    counts["ignored", "nobody"] += int((kind == INCOMING).sum()) - len(writers)
    new = writers[~state.customers.known[named.customer[writers]]]
    state.customers.known[named.customer[new]] = True
    touched.append((named.customer[new], new, Cause.IDENTITY))
    return _merged(touched, moved)


def _merged(touched: TouchedRows, moved: tuple[Rows, Rows]) -> Touched:
    customer = np.concatenate([c for c, _, _ in touched])
    line = np.concatenate([ls for _, ls, _ in touched])
    cause = np.concatenate([np.full(len(c), why, np.int8) for c, _, why in touched])
    present = customer >= 0
    customer, line, cause = customer[present], line[present], cause[present]
    order = np.lexsort((cause, customer))
    customer, line, cause = customer[order], line[order], cause[order]
    first = np.ones(len(customer), np.bool_)
    first[1:] = customer[1:] != customer[:-1]
    anew = np.zeros(int(first.sum()), np.bool_)
    np.logical_or.at(anew, np.cumsum(first) - 1, cause == Cause.IDENTITY)
    return Touched(customer[first], line[first].astype(np.int32), cause[first], anew, *moved)


def _apply_visits(
    state: LaneState,
    named: Named,
    lines: Rows,
    events: VisitColumns,
    counts: Counter[tuple[str, ...]],
    touched: TouchedRows,
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

    foreign = events.foreign[at] & (events.status[at] == ATTENDED)
    counts["ignored", "currency"] += int(foreign.sum())
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
    linked = note_visit_phone(state, named, lines, client, events.name[at], touched)
    owner = np.where(client >= 0, clients.customer[client], -1)
    changed = np.where(is_attended & ~was_attended, Cause.BECAME_ATTENDED, Cause.CORRECTION)
    factual = was_attended | is_attended
    cause = np.where(factual, changed, np.where(linked, Cause.IDENTITY, Cause.CORRECTION))
    for why in Cause:
        chosen = cause == why
        touched.append((owner[chosen], lines[chosen], why))
    touched.append((owner[linked], lines[linked], Cause.IDENTITY))
    left = (old_owner != owner) & (old_owner >= 0)
    touched.append((old_owner[left].astype(np.int32), lines[left], Cause.CORRECTION))
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
    touched: TouchedRows,
) -> None:
    """An attended visit older than the window is no fact any more, but it was the last day once."""
    at = named.source[lines]
    kept = (events.status[at] == ATTENDED) & (named.client[lines] >= 0)
    lines, at, client = lines[kept], at[kept], named.client[lines][kept]
    remember_last_day(state, client, events.day[at], events.start_ms[at])
    note_visit_phone(state, named, lines, client, events.name[at], touched)
    touched.append((state.clients.customer[client], lines, Cause.BECAME_ATTENDED))


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
        unchain(clients.first_visit, visits.next_visit, int(old[at]), int(rows[at]))
    placed = (old != new) & (new >= 0)
    chosen, parent = rows[placed], new[placed]
    visits.next_visit[chosen] = clients.first_visit[parent]
    clients.first_visit[parent] = chosen
    visits.client[rows] = new
