"""Tell when customers are written to after their visits of a day in a branch have ended.

In:    visits of customers
Out:   ``Coming``: the latest end of the attended ones of customer, branch and local day, and
       ``after``; the subject is the earliest of them
State: read only
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operators.bookings import runs_of
from operators.coming import Coming, coming, joined, visit_marks
from operators.features import History
from schemas.batch import ATTENDED, I4, I8, NONE
from schemas.keys import mix, row_keys
from state.index import Rows
from state.lane import LaneState
from state.zones import DAY_MS

_SALT = np.uint64(0x61667465722D2D2D)
_LONGEST_DAY_MS = DAY_MS + 2 * 3_600_000
_USUAL_S = 3_600
"""How long a visit lasts that does not say."""


@dataclass(slots=True)
class _Days:
    """Attended visits by owner, branch, local day and start; ``first`` are where days begin."""

    owner: Rows
    visit: Rows
    first: NDArray[np.intp]
    place: I4
    day: I4
    end_ms: I8


def after_visits(
    state: LaneState, customers: Rows, history: History, now_ms: I8, forgotten_ms: int
) -> Coming:
    """One occasion per customer, branch, local day and trigger.

    Days whose occasions were due ``forgotten_ms`` before ``now_ms`` may be left out.
    """
    rules = state.tenants.triggers["after_visit"]
    attended = state.visits.status[history.visit] == ATTENDED
    attended &= rules.some[state.customers.tenant[customers]][history.owner]
    if not attended.any():
        return joined([])
    lasts = _lasts_ms(state, history.visit)
    reach = int(lasts.max()) + rules.most("after_ms") + forgotten_ms + 2 * DAY_MS
    attended &= state.visits.start_ms[history.visit] > now_ms[history.owner] - reach
    if not attended.any():
        return joined([])
    days = _days(state, history.owner[attended], history.visit[attended])
    owner, visit = days.owner[days.first], days.visit[days.first]
    end = np.maximum.reduceat(days.end_ms, days.first)
    place, day = days.place[days.first], days.day[days.first]
    tenants = state.customers.tenant[customers[owner]]
    # Who has been forgotten begins anew, and so do the days.
    person = state.customers.key[customers[owner]] + state.customers.lives[customers[owner]]
    whose = mix(person ^ _SALT, state.places.key[place])
    whose = mix(whose, day.astype(np.int64).view(np.uint64))
    parts = []
    for slot in rules.slots:
        key = rules.key[tenants, slot]
        own = key != 0
        due = end[own] + rules.column("after_ms")[tenants[own], slot]
        mark, also = row_keys(whose[own], key[own]), visit_marks(state, visit[own], key[own])
        parts.append(coming(owner[own], slot, due, visit[own], mark, also))
    return joined(parts)


def visits_of_days(
    state: LaneState, history: History, owner: Rows, start_ms: I8
) -> dict[int, list[int]]:
    """Attended visits of days that begin for their owners at these starts, under the first.

    Of those days that have more than one.
    """
    visits = state.visits
    size = int(history.owner.max(initial=-1)) + 1
    first_ms, last_ms = np.full(size, np.iinfo(np.int64).max), np.full(size, NONE)
    np.minimum.at(first_ms, owner, start_ms)
    np.maximum.at(last_ms, owner, start_ms + _LONGEST_DAY_MS)
    start = visits.start_ms[history.visit]
    near = visits.status[history.visit] == ATTENDED
    near &= (start >= first_ms[history.owner]) & (start < last_ms[history.owner])
    days = _days(state, history.owner[near], history.visit[near])
    return runs_of(days.visit, days.first)


def _lasts_ms(state: LaneState, visits: Rows) -> I8:
    told = state.visits.duration_s[visits].astype(np.int64)
    return np.where(told > 0, told, _USUAL_S) * 1_000


def _days(state: LaneState, owner: Rows, visit: Rows) -> _Days:
    visits = state.visits
    timed = visits.start_ms[visit] != NONE
    owner, visit = owner[timed], visit[timed]
    start, place = visits.start_ms[visit], visits.place[visit]
    day = state.zones.day(state.places.zone[place], start)
    order = np.lexsort((visits.key[visit], visits.imported[visit], start, day, place, owner))
    first = np.ones(len(order), np.bool_)
    for column in (owner[order], place[order], day[order]):
        first[1:] &= column[1:] == column[:-1]
    first[1:] = ~first[1:]
    end = start + _lasts_ms(state, visit)
    return _Days(
        owner[order], visit[order], first.nonzero()[0], place[order], day[order], end[order]
    )
