"""Keep every visit in its newest version, and each round's events in their tables.

In:    one round of events: at most one per unit, so no two touch the same rows
Out:   ``Touched``: the customers whose facts changed, and why
State: visits, the chains client → visits; clients through ``clients``
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from operators.aliases import Merged, meet_writers
from operators.clients import Cause, TouchedRows, apply_cards, note_visit_phone
from operators.consent import Words, take_words
from operators.contributions import Tally, contribution, recount
from operators.crowds import admit, inside, is_full, place
from operators.failures import note_failures
from operators.identify import CLIENT, FAILURE, PAYMENT, VISIT, Named
from operators.money_units import place_visits
from operators.payments import PaymentColumns, apply_payments
from operators.reach import note_changes, reach, worth
from operators.reached import note_reached, reached_contributions
from operators.versions import kept_version, same_version, superseded
from schemas.batch import (
    ATTENDED,
    CANCELLED,
    DELETED,
    I1,
    I4,
    I8,
    NO_SHOW,
    NONE,
    ClientEvents,
    Objects,
)
from state.chains import rechain, rows_in
from state.facts import alike, keep
from state.index import Rows
from state.lane import LaneState
from state.runs import begins
from state.tables import ATTENDANCE, BOOKING, NO_DAY, VACANT, Flags
from state.zones import MINUTE_MS


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
    ahead_ms: I4
    keeps_start: Flags
    duration_s: I4
    day: I4
    today: I4
    amount: I8
    is_major: Flags
    money_unit: I8
    foreign: Flags
    currency: Rows
    place: Rows
    services: Rows
    staff: Rows
    name: Objects
    imported: Flags


@dataclass(slots=True)
class Touched:
    """Distinct customers, the line of ``Named`` that touched each, and the cause.

    ``anew``: who they are or what their cards say has changed, whatever else has.
    ``moved``: clients came from another customer or went to one, with what was greeted there.
    ``reassigned`` are visits that now belong to another client or to none, with their lines.
    """

    customer: Rows
    line: Rows
    cause: I1
    anew: Flags
    moved: Flags
    reassigned: Rows
    reassigned_line: Rows
    merged: Merged


_FACTS = ("start_ms", "ahead_ms", "duration_s", "day", "amount", "foreign", "currency")
_START = ("start_ms", "ahead_ms", "day")
_WHERE = ("place", "services", "staff", "is_major", "money_unit")
_COPIED = (*_FACTS, *_WHERE, "status")
_TELLING = ("status", "start_ms", "duration_s", "day", "place", "services")
"""What triggers go by: money, staff and versions are nothing to them."""


def apply_round(
    state: LaneState,
    named: Named,
    lines: Rows,
    visits: VisitColumns,
    cards: ClientEvents,
    payments: PaymentColumns,
    words: Words | None,
    clocks: I8,
    counts: Counter[tuple[str, ...]],
    tally: Tally,
) -> Touched:
    """Folds one event of each unit; ``lines`` choose them, ``clocks`` are per record."""
    touched = TouchedRows()
    kind = named.kind[lines]
    reached = reach(state, named, lines, clocks)
    before = None
    if len(reached.visit) or len(reached.payment):
        before = worth(state, reached), reached_contributions(state, reached)
    moved = _apply_visits(
        state, named, lines[kind == VISIT], visits, clocks, counts, touched, tally
    )
    apply_cards(state, named, lines[kind == CLIENT], cards, clocks, counts, touched)
    apply_payments(state, named, lines[kind == PAYMENT], payments, counts, touched, tally)
    if before is not None:
        note_changes(state, reached, before[0], touched)
        note_reached(state, tally, named, reached, before[1], clocks)
    merged = meet_writers(state, named, lines, clocks, touched)
    take_words(state, named, lines, words, touched)
    note_failures(state, named, lines[kind == FAILURE], clocks)
    return _merged(touched, moved, merged)


def _merged(touched: TouchedRows, reassigned: tuple[Rows, Rows], merged: Merged) -> Touched:
    customer = np.concatenate(touched.customers)
    line = np.concatenate(touched.lines)
    cause = np.concatenate(touched.causes)
    present = customer >= 0
    customer, line, cause = customer[present], line[present], cause[present]
    order = np.lexsort((cause, customer))
    customer, line, cause = customer[order], line[order], cause[order]
    first = begins(customer)
    anew, moved = np.zeros((2, int(np.count_nonzero(first))), np.bool_)
    place = np.cumsum(first) - 1
    anew[place[cause >= Cause.IDENTITY]] = True
    moved[place[cause == Cause.MOVED]] = True
    return Touched(customer[first], line[first], cause[first], anew, moved, *reassigned, merged)


def _apply_visits(
    state: LaneState,
    named: Named,
    lines: Rows,
    events: VisitColumns,
    clocks: I8,
    counts: Counter[tuple[str, ...]],
    touched: TouchedRows,
    tally: Tally,
) -> tuple[Rows, Rows]:
    visits, clients = state.visits, state.clients
    if not len(lines):
        return lines, lines
    at, rows = named.source[lines], named.visit[lines]
    window = state.tenants.window[named.tenant[lines]]
    today, deleted, was = events.today[at], events.status[at] == DELETED, visits.status[rows]
    held = (was != VACANT) & inside(visits.kept_day[rows], today, window)
    too_old = ~held & ~inside(events.day[at], today, window)
    if too_old.any():
        _advance_last_day(state, named, lines[too_old], events, touched)
        counts["ignored", "horizon"] += int(np.count_nonzero(too_old))
    stored, told = visits.version[rows], events.version[at]
    refused = superseded(held, stored, told, was == DELETED, deleted)
    _keep_first_starts(state, named, lines, events, held, refused, clocks, touched, tally)
    # A deletion leaves what it deletes on its day.
    days = np.where(held & deleted, visits.day[rows], events.day[at])
    within = inside(days, today, window)
    admitted = admit(state, named, lines, days, held, within)
    same = held & _repeats(state, rows, admitted, named.phone[lines], events, at)
    repeated = same & ~too_old
    for line in lines[repeated].tolist():
        scope = events.scope[named.source[line]]
        counts["duplicates", state.scopes.provider[scope]] += 1
    tally.duplicates(named.record[lines[repeated]])
    applied = (~(too_old | refused | same)).nonzero()[0]
    counts["ignored", "older_version"] += int(np.count_nonzero(refused & ~(same | too_old)))
    lines, at, rows, held = lines[applied], at[applied], rows[applied], held[applied]
    admitted, days, within = admitted[applied], days[applied], within[applied]
    today, deleted, was = today[applied], deleted[applied], was[applied]
    _keep_expired(state, rows[~held])

    is_attended = events.status[at] == ATTENDED
    counts["ignored", "currency"] += int(np.count_nonzero(events.foreign[at] & is_attended))
    was_attended = held & (was == ATTENDED)
    old_client = np.where(was != VACANT, visits.client[rows], np.int64(-1))
    # Whose row had expired is not touched: the row might as well have been freed.
    old_owner = np.where(held, rows_in(clients.customer, old_client), -1)
    old_day = np.where(held, visits.day[rows], NO_DAY).astype(np.int32)
    before = contribution(state, visits, rows, held)
    was_missed = held & _is_missed(was)
    still = held & alike(_TELLING, visits, rows, events, at)
    _store(state, rows, events, at, held, deleted)
    is_missed = _is_missed(visits.status[rows])
    newly = is_missed & ~was_missed
    visits.missed_at[rows[newly]] = clocks[named.record[lines[newly]]] // MINUTE_MS
    visits.phone[rows] = named.phone[lines]
    stays = deleted & held & (admitted < 0)
    client = np.where(stays, old_client, admitted)
    _move_visits(state, rows, old_client, client)
    money = np.where(deleted & held, visits.unit[rows], named.money[lines])
    place_visits(state, rows, money, held, today, window[applied])
    linked = note_visit_phone(state, named, lines, client, events.name[at], touched)
    recount(state, tally, visits, rows, before, named.record[lines], clocks)
    owner = rows_in(clients.customer, client)
    place(state, owner, old_owner, old_day, days, today, within)
    changed = np.where(is_attended & ~was_attended, Cause.BECAME_ATTENDED, Cause.CORRECTION)
    factual = was_attended | is_attended
    differs = ~(still & (client == old_client))
    _stir(state, (owner, old_owner), differs, factual | was_missed | is_missed)
    cause = np.where(factual, changed, np.where(linked, Cause.IDENTITY, Cause.CORRECTION))
    touched.add(owner, lines, cause.astype(np.int8))
    left = (old_owner != owner) & (old_owner >= 0)
    touched.add(old_owner[left], lines[left], Cause.CORRECTION)
    moved = held & (old_client != client) & (old_client >= 0)
    return rows[moved], lines[moved]


def _keep_first_starts(
    state: LaneState,
    named: Named,
    lines: Rows,
    events: VisitColumns,
    held: Flags,
    refused: Flags,
    clocks: I8,
    touched: TouchedRows,
    tally: Tally,
) -> None:
    """Where the first time told is the visit's own, no version moves it, and an older one finds it.

    So it is the same in whatever order the versions come.
    """
    visits = state.visits
    at, rows = named.source[lines], named.visit[lines]
    keeps = held & events.keeps_start[at] & (events.start_ms[at] != NONE)
    if not keeps.any():
        return
    known = visits.start_ms[rows] != NONE
    later = keeps & known & (visits.start_ms[rows] < events.start_ms[at])
    for name in _START:
        getattr(events, name)[at[later]] = getattr(visits, name)[rows[later]]
    found = keeps & refused & (~known | (visits.start_ms[rows] > events.start_ms[at]))
    if found.any():
        _begin_earlier(state, named, lines[found], rows[found], events, clocks, touched, tally)


def _begin_earlier(
    state: LaneState,
    named: Named,
    lines: Rows,
    rows: Rows,
    events: VisitColumns,
    clocks: I8,
    touched: TouchedRows,
    tally: Tally,
) -> None:
    """Moves visits to the starts that older versions tell; nothing else of those counts."""
    visits, at = state.visits, named.source[lines]
    before = contribution(state, visits, rows)
    day, client = visits.day[rows], visits.client[rows].astype(np.int64)
    owner = rows_in(state.clients.customer, client)
    for name in _START:
        getattr(visits, name)[rows] = getattr(events, name)[at]
    days, today = visits.day[rows], events.today[at]
    within = inside(days, today, state.tenants.window[named.tenant[lines]])
    full = is_full(state, owner, days, within & (days != day))
    _move_visits(state, rows, client, np.where(full, -1, client))
    recount(state, tally, visits, rows, before, named.record[lines], clocks)
    place(state, np.where(full, -1, owner), owner, day, days, today, within)
    visits.touch(rows)
    counted = (visits.status[rows] == ATTENDED) & (client >= 0)
    touched.add(owner[counted], lines[counted], Cause.CORRECTION)
    state.customers.stir(owner[counted], ATTENDANCE | BOOKING)


def _repeats(
    state: LaneState, rows: Rows, client: Rows, phone: I8, events: VisitColumns, at: Rows
) -> Flags:
    """The same version with the same content: nothing to do, not even a touch."""
    visits = state.visits
    same = same_version(visits.version[rows], events.version[at])
    same &= visits.status[rows] == events.status[at]
    content = alike((*_FACTS, *_WHERE), visits, rows, events, at)
    content &= visits.client[rows] == client
    content &= visits.phone[rows] == phone
    repeats: Flags = same & (content | (events.status[at] == DELETED))
    return repeats


def _stir(state: LaneState, owners: Iterable[Rows], differs: Flags, tells: Flags) -> None:
    """A visit that differs moves its reminders; of attendance it may tell as well, or have told."""
    for owner in owners:
        state.customers.stir(owner[differs], BOOKING)
        state.customers.stir(owner[differs & tells], ATTENDANCE)


def _is_missed(status: I1) -> Flags:
    missed: Flags = (status == NO_SHOW) | (status == CANCELLED)
    return missed


def _store(
    state: LaneState,
    rows: Rows,
    events: VisitColumns,
    at: Rows,
    held: Flags,
    deleted: Flags,
) -> None:
    visits = state.visits
    visits.version[rows] = kept_version(held, visits.version[rows], events.version[at])
    visits.held_ms[rows[~held]] = NONE
    whole = (~(deleted & held)).nonzero()[0]
    chosen, source = rows[whole], at[whole]
    # Who told the start decides: what history has told is not told again by a newer version.
    stays = held[whole] & (visits.start_ms[chosen] == events.start_ms[source])
    visits.imported[chosen] = np.where(stays, visits.imported[chosen], events.imported[source])
    renamed = visits.money_unit[chosen] != events.money_unit[source]
    renamed = renamed.nonzero()[0]
    named_before = chosen[renamed][visits.money_unit[chosen[renamed]] != NONE]
    state.unit_visits.remove(named_before)
    keep((*_COPIED, "scope", "id"), visits, chosen, events, source)
    _keep_texts(state, chosen, events.id_text[source])
    names_now = chosen[renamed][visits.money_unit[chosen[renamed]] != NONE]
    state.unit_visits.add(names_now)
    visits.status[rows[deleted & held]] = DELETED
    # A tombstone of a visit never seen ages from the day on which it was told.
    told = np.where(events.day[at] == NO_DAY, events.today[at], events.day[at])
    visits.kept_day[rows] = np.where(held, np.maximum(visits.kept_day[rows], told), told)
    visits.touch(rows)


def _keep_texts(state: LaneState, rows: Rows, texts: Objects) -> None:
    """An id that is a text is kept as long as the visit is, under the visit's key."""
    told = (texts != None).nonzero()[0]  # noqa: E711  # elementwise
    if not len(told):
        return
    table = state.visit_texts
    found, fresh = table.find_or_add(state.visits.key[rows[told]])
    table.text[found[fresh]] = texts[told[fresh]]


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
    touched.add(state.clients.customer[client], lines, Cause.BECAME_ATTENDED)
    state.customers.stir(state.clients.customer[client], ATTENDANCE)


def _keep_expired(state: LaneState, rows: Rows) -> None:
    """Rows outside the window that are about to be written anew leave their day behind."""
    visits = state.visits
    gone = rows[(visits.status[rows] == ATTENDED) & (visits.client[rows] >= 0)]
    if not len(gone):
        return
    remember_last_day(state, visits.client[gone], visits.day[gone], visits.start_ms[gone])


def remember_last_day(state: LaneState, client: Rows, day: I4, start_ms: I8) -> None:
    """Keeps with the client that visits which leave the lane were attended on these days."""
    np.maximum.at(state.clients.gone_day, client, day)
    np.maximum.at(state.clients.gone_ms, client, start_ms)
    state.clients.touch(client)


def _move_visits(state: LaneState, rows: Rows, old: Rows, new: Rows) -> None:
    rechain(state.clients.first_visit, state.visits.next_visit, rows, old, new)
    state.visits.client[rows] = new
