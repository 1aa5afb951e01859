"""Credit contacts with returns: attended visits that start after them, and not too long after.

In:    distinct customers whose visits, money or contacts have changed, by which records
Out:   changes of the funnel and of the months
State: what each contact is credited with
Source: a visit credits the last contact before it, if that was at most ``return_days`` local days
        ago; a contact is credited once, by the earliest visit; of equal instants the cheaper visit,
        and the contact of the greater rule, then of the greater key

A visit that leaves the window is a fact no more: what it was credited for stays as it was.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from operators.enrolments import enrolments, note_enrolments
from operators.features import history_of
from operators.funnel import note
from operators.moments import Moment
from operators.money import visit_money
from operators.owed import Owed
from schemas.batch import ATTENDED, I4, I8, NONE
from state.chains import walk
from state.days import DAYS_KEPT
from state.index import Rows
from state.lane import LaneState
from state.runs import distinct
from state.tables import NO_DAY


@dataclass(slots=True)
class _Credits:
    """What contacts are credited with, n lines; NONE, NO_DAY and 0 for no return."""

    credit_ms: I8
    credit_day: I4
    credit_money: I8


def credit(state: LaneState, owed: Owed, customers: Rows, moment: Moment) -> None:
    """Looks at these customers anew, as of the day on which they were scored."""
    table = state.contacts
    heads = state.customers.first_contact[customers]
    met = (heads >= 0).nonzero()[0]
    if not len(met):
        return
    place, contact = walk(heads[met], table.next_contact, met)
    today = state.customers.scored_day[customers].astype(np.int64)
    counts = table.fills[contact] & (table.funnel[contact] >= 0)
    counts &= today[place] - table.day[contact] < DAYS_KEPT
    place, contact = place[counts], contact[counts]
    if not len(contact):
        return
    owner, visit = _visits(state, customers, today, place, table.at_ms[contact])
    # Who has not come since the first of them, and is credited with nothing, stays as it is.
    concerned = np.zeros(len(customers), np.bool_)
    concerned[owner] = concerned[place[table.credit_ms[contact] != NONE]] = True
    if not concerned.any():
        return
    counts = concerned[place]
    place, contact = place[counts], contact[counts]
    found = _credits(state, today, place, contact, owner, visit)
    changed = found.credit_ms != table.credit_ms[contact]
    changed |= found.credit_money != table.credit_money[contact]
    changed |= found.credit_day != table.credit_day[contact]
    lines = changed.nonzero()[0]
    if len(lines):
        _keep(state, owed, customers, place[lines], contact[lines], _taken(found, lines), moment)


def _keep(
    state: LaneState,
    owed: Owed,
    customers: Rows,
    place: Rows,
    contact: Rows,
    found: _Credits,
    moment: Moment,
) -> None:
    table = state.contacts
    chosen = distinct(place)
    before = enrolments(state, customers[chosen])
    was, now = table.credit_ms[contact] != NONE, found.credit_ms != NONE
    returned = now.astype(np.int64) - was
    revenue = found.credit_money - table.credit_money[contact]
    moved = ((returned != 0) | (revenue != 0)).nonzero()[0]
    told = moment.take(place[moved])
    note(state, owed, contact[moved], told, returned=returned[moved], revenue=revenue[moved])
    for name in _Credits.__slots__:
        getattr(table, name)[contact] = getattr(found, name)
    table.touch(contact)
    after = enrolments(state, customers[chosen])
    note_enrolments(state, owed, before, after, moment.take(chosen))


def _credits(
    state: LaneState, today: I8, place: Rows, contact: Rows, owner: Rows, visit: Rows
) -> _Credits:
    """What each contact has; ``place`` is its customer's, ``owner`` each visit's."""
    table, visits = state.contacts, state.visits
    contacts = len(contact)
    whose = np.concatenate([place, owner])
    at_ms = np.concatenate([table.at_ms[contact], visits.start_ms[visit]])
    money = visit_money(state, visit)
    tie = np.concatenate([table.rule[contact].view(np.int64), money])
    key = np.concatenate([table.key[contact], visits.key[visit]])  # chains have no order of theirs
    is_contact = np.arange(len(whose)) < contacts
    # What starts at a contact was before it.
    order = np.lexsort((key, tie, is_contact, at_ms, whose))
    at = np.maximum.accumulate(np.where(is_contact[order], np.arange(len(order)), -1))
    seen = (~is_contact[order] & (at >= 0)).nonzero()[0]
    line, found = order[at[seen]], order[seen] - contacts
    own = place[line] == owner[found]
    line, found = line[own], found[own]
    day = visits.day[visit[found]]
    soon = day - table.day[contact[line]].astype(np.int64) <= table.return_days[contact[line]]
    line, first = np.unique(line[soon], return_index=True)
    found = found[soon][first]
    credited = _Credits(
        np.full(contacts, NONE), np.full(contacts, NO_DAY, np.int32), np.zeros(contacts, np.int64)
    )
    credited.credit_ms[line] = visits.start_ms[visit[found]]
    credited.credit_day[line] = visits.kept_day[visit[found]]
    credited.credit_money[line] = money[found]
    window = state.tenants.window[table.tenant[contact]].astype(np.int64)
    stays = table.credit_ms[contact] != NONE
    stays &= today[place] - table.credit_day[contact] >= window
    for name in _Credits.__slots__:
        column = getattr(credited, name)
        column[stays] = getattr(table, name)[contact[stays]]
    return credited


def _visits(
    state: LaneState, customers: Rows, today: I8, place: Rows, contact_ms: I8
) -> tuple[Rows, Rows]:
    """Attended visits inside the window, after the first contact of their owners, by place.

    There is a line of ``place`` and ``contact_ms`` for each contact.
    """
    visits = state.visits
    first_ms = np.full(len(customers), np.iinfo(np.int64).max)
    np.minimum.at(first_ms, place, contact_ms)
    owners = distinct(place)
    history = history_of(state, customers[owners])
    owner, visit = owners[history.owner], history.visit
    after = (visits.start_ms[visit] > first_ms[owner]).nonzero()[0]
    owner, visit = owner[after], visit[after]
    window = state.tenants.window[state.customers.tenant[customers[owner]]]
    counts = visits.status[visit] == ATTENDED
    counts &= today[owner] - visits.kept_day[visit] < window
    return owner[counts], visit[counts]


def _taken(credited: _Credits, lines: np.ndarray[tuple[int], np.dtype[np.intp]]) -> _Credits:
    return _Credits(*(getattr(credited, name)[lines] for name in _Credits.__slots__))


def freeze(state: LaneState, tenant: int, today: int) -> None:
    """What has left the window that a tenant had stays credited, whatever window comes next."""
    table = state.contacts
    rows = table.live()
    rows = rows[(table.tenant[rows] == tenant) & (table.credit_day[rows] != NO_DAY)]
    gone = rows[today - table.credit_day[rows].astype(np.int64) >= state.tenants.window[tenant]]
    table.credit_day[gone] = NO_DAY
    table.touch(gone)
