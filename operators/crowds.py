"""Tell house numbers from people: of one phone's visits on one day only so many are the phone's.

In:    visit events, as they come to their turn, or before a part's events are joined into units
Out:   which of them are walk-ins: they belong to no client, and tell none its phone or name
State: ``customers.placed``, ``crowds``

A visit is placed when it comes to a customer, or to another day of the same one. Who has had
``CROWD`` of them is crowded: from then on each day inside the window counts what is placed on it,
and never forgets any, so that a day that is full stays full. Hence a visit that has enough simple
ones before it is a walk-in whatever else happens, and need not wait for its turn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from operators.features import history_of
from schemas.batch import DELETED, I4
from state.chains import rows_in
from state.crowds import CROWD, crowd_keys
from state.index import Rows
from state.lane import LaneState
from state.tables import NO_DAY, VACANT, Flags

if TYPE_CHECKING:
    from operators.identify import Named
    from operators.visits import VisitColumns


def inside(days: I4, today: I4, window: I4) -> Flags:
    """Whether days are inside the window as of today; a version that tells no day always is."""
    within: Flags = (days > today - window) | (days == NO_DAY)
    return within


def admit(
    state: LaneState, named: Named, lines: Rows, days: I4, held: Flags, within: Flags
) -> Rows:
    """The clients of visits whose turn it is: the named ones, -1 where the phone's day is full.

    ``days`` are those on which the visits will be, ``within`` whether they are inside the window.
    """
    client = named.client[lines]
    if not len(state.crowds):
        return client
    owner = _owner_to_be(state, named, lines, client)
    rows = named.visit[lines]
    stays = held & (owners(state, rows) == owner) & (state.visits.day[rows] == days)
    full = is_full(state, owner, days, within & ~stays)
    return np.where(full, -1, client)


def is_full(state: LaneState, owner: Rows, days: I4, comes: Flags) -> Flags:
    """Where a visit that ``comes`` to its owner (-1: nobody) on this day finds the day full."""
    full: Flags = comes & (days != NO_DAY) & (owner >= 0)
    full &= state.customers.placed[owner] >= CROWD
    at = full.nonzero()[0]
    full[at] = _placed(state, owner[at], days[at]) >= CROWD
    return full


def place(
    state: LaneState, owner: Rows, came_from: Rows, before: I4, days: I4, today: I4, within: Flags
) -> None:
    """Counts visits that now belong to ``owner`` (distinct, -1: nobody) on ``days``.

    ``came_from`` and ``before``: whose they were, and on which day; -1 and NO_DAY: new ones.
    """
    customers = state.customers
    placed = (owner >= 0) & within & (days != NO_DAY) & ((came_from != owner) | (before != days))
    at = placed.nonzero()[0]
    who = owner[at]
    crowded = customers.placed[who] >= CROWD
    for line in at[crowded].tolist():
        _count(state, int(owner[line]), days[[line]], np.ones(1, np.int32))
    few = who[~crowded]
    customers.placed[few] += 1
    customers.touch(few)
    for line in at[~crowded][customers.placed[few] >= CROWD].tolist():
        _begin_counting(state, int(owner[line]), int(today[line]))


def certain_walk_ins(state: LaneState, named: Named, events: VisitColumns) -> Rows:
    """Lines of visits that will find their day full, whatever comes before their turn.

    A visit is simple where nothing in this part can make it another phone's or another day's. Each
    simple one that is new is placed on its day at its turn, or that day was full before; so
    ``CROWD`` of them, with what the day had, leave no room for the simple ones after them.
    """
    lines = ((named.visit >= 0) & (named.phone > 0)).nonzero()[0]
    lines = lines[_busy(state, named.customer[lines])]
    if not len(lines):
        return lines
    simple = _simple_lines(state, named, events, lines)
    if not len(simple):
        return simple
    rows, first, place = np.unique(named.visit[simple], return_index=True, return_inverse=True)
    at = named.source[simple[first]]
    customer, day = named.customer[simple[first]], events.day[at]
    window = state.tenants.window[named.tenant[simple[first]]]
    held = state.visits.status[rows] != VACANT
    held &= inside(state.visits.kept_day[rows], events.today[at], window)
    order = np.lexsort((first, day, customer))
    begins = np.ones(len(order), np.bool_)
    begins[1:] = (np.diff(customer[order]) != 0) | (np.diff(day[order]) != 0)
    new = (~held[order]).astype(np.int64)
    earlier = np.cumsum(new) - new
    earlier -= np.maximum.accumulate(np.where(begins, earlier, 0))
    had = _placed(state, customer[order], day[order])
    full = np.zeros(len(rows), np.bool_)
    full[order] = had + earlier >= CROWD
    return simple[full[place]]


def _busy(state: LaneState, customer: Rows) -> Flags:
    """Lines of customers who are crowded, or may be before the part is over."""
    busy: Flags = state.customers.placed[customer] >= CROWD
    if len(customer) > CROWD:
        ordered = np.sort(customer)
        many = ordered[CROWD:][ordered[CROWD:] == ordered[:-CROWD]]
        if len(many):
            busy |= np.isin(customer, many)
    return busy


def _simple_lines(
    state: LaneState, named: Named, events: VisitColumns, lines: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Those of the lines whose visit is simple: every line in the part of the visit is."""
    at = named.source[lines]
    day = events.day[at]
    window = state.tenants.window[named.tenant[lines]]
    plain = (events.status[at] != DELETED) & (day != NO_DAY)
    plain &= inside(day, events.today[at], window)
    rows = named.visit[lines]
    plain &= state.visits.client[rows] < 0
    # Of some providers the first time told stands: a visit that is held may be of another day.
    plain &= (state.visits.status[rows] == VACANT) | (state.visits.day[rows] == day)
    plain &= _settled_clients(state, named, lines)
    agreed = np.zeros(len(named.record), np.bool_)
    agreed[lines] = plain
    of_visits = (named.visit >= 0).nonzero()[0]
    days = np.full(len(named.record), NO_DAY, np.int32)
    days[of_visits] = events.day[named.source[of_visits]]
    members = of_visits[np.isin(named.visit[of_visits], named.visit[lines])]
    _, place = np.unique(named.visit[members], return_inverse=True)
    alike = _alike(place, named.phone[members]) & _alike(place, days[members])
    whole = np.ones(len(members), np.bool_)
    whole[place[~(agreed[members] & alike)]] = False  # by group: places are fewer than members
    return members[whole[place]]


def _settled_clients(state: LaneState, named: Named, lines: NDArray[np.intp]) -> Flags:
    """Lines whose client has this phone, or none, and is told no other throughout the part."""
    clients = state.clients
    card_phone = clients.card_phone[named.client[lines]]
    members = np.isin(named.client, named.client[lines]).nonzero()[0]
    own, place = np.unique(named.client[members], return_inverse=True)
    settled = np.ones(len(own), np.bool_)
    settled[place[~_alike(place, named.phone[members])]] = False
    found: Flags = settled[np.searchsorted(own, named.client[lines])]
    found &= (card_phone == 0) | (card_phone == named.phone[lines])
    return found


def _alike(place: NDArray[np.intp], values: NDArray[np.signedinteger]) -> Flags:
    """Whether each member's value is that of its group's last; in a mixed group some are not."""
    last = np.zeros(int(place.max(initial=-1)) + 1, values.dtype)
    last[place] = values
    alike: Flags = last[place] == values
    return alike


def _owner_to_be(state: LaneState, named: Named, lines: Rows, client: Rows) -> Rows:
    """Whose the visits are once they have told their clients' phones."""
    clients = state.clients
    owner = rows_in(clients.customer, client)
    tells = (client >= 0) & (named.phone[lines] != 0) & (clients.card_phone[client] == 0)
    return np.where(tells, named.customer[lines], owner)


def owners(state: LaneState, visits: Rows) -> Rows:
    """Whose visits these are, -1 for nobody's."""
    client = state.visits.client[visits]
    return rows_in(state.clients.customer, client)


def _placed(state: LaneState, customers: Rows, days: I4) -> I4:
    """How many visits these days have counted; 0 where nobody counts."""
    crowds = state.crowds
    rows = crowds.index.find(crowd_keys(state.customers.key[customers], days))
    counted = (rows >= 0) & (state.customers.placed[customers] >= CROWD)
    return np.where(counted, crowds.placed[rows], 0).astype(np.int32)


def _count(state: LaneState, customer: int, days: I4, times: I4) -> None:
    crowds = state.crowds
    rows, _ = crowds.find_or_add(crowd_keys(state.customers.key[[customer]], days))
    crowds.tenant[rows] = state.customers.tenant[customer]
    crowds.day[rows] = days
    crowds.placed[rows] += times
    crowds.touch(rows)


def _begin_counting(state: LaneState, customer: int, today: int) -> None:
    """What a customer has by now is counted, whatever became of it."""
    who = np.array([customer], np.int32)
    days = state.visits.day[history_of(state, who).visit]
    window = state.tenants.window[state.customers.tenant[who]]
    counted = days[(days != NO_DAY) & inside(days, np.array([today], np.int32), window)]
    days, times = np.unique(counted, return_counts=True)
    _count(state, customer, days, times.astype(np.int32))
