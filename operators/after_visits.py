"""Tell when customers are written to after their visits of a day in a branch have ended.

In:    visits of customers
Out:   ``Coming``: the latest end of the attended ones of customer, branch and local day, and
       ``after``; the subject is the earliest of them
State: read only
"""

from __future__ import annotations

import numpy as np

from operators.coming import Coming, coming, joined
from operators.features import History
from operators.same_day import days_of, several_of
from schemas.batch import ATTENDED, I8, NONE
from schemas.keys import mix, row_keys
from state.index import Rows
from state.lane import LaneState
from state.zones import DAY_MS

_SALT = np.uint64(0x61667465722D2D2D)
_LONGEST_DAY_MS = DAY_MS + 2 * 3_600_000
_USUAL_S = 3_600
"""How long a visit lasts that does not say."""


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
    lines = attended.nonzero()[0]
    days = days_of(state, history.owner[lines], history.visit[lines])
    ends = state.visits.start_ms[days.visit] + lasts[lines[days.line]]
    end = np.maximum.reduceat(ends, days.first)
    owner, visit = history.owner[lines[days.line[days.first]]], days.visit[days.first]
    place, day = state.visits.place[visit], days.day[days.first]
    tenants = state.customers.tenant[customers[owner]]
    # Who has been forgotten begins anew, and so do the days.
    person = state.customers.key[customers[owner]] + state.customers.lives[customers[owner]]
    whose = mix(person ^ _SALT, state.places.key[place])
    whose = mix(whose, day.astype(np.int64).view(np.uint64))
    line, slot = rules.each(tenants)
    key = rules.key[tenants[line], slot]
    due = end[line] + rules.column("after_ms")[tenants[line], slot]
    return coming(owner[line], slot, due, visit[line], row_keys(whose[line], key))


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
    return several_of(state, history.owner[near], history.visit[near])


def _lasts_ms(state: LaneState, visits: Rows) -> I8:
    told = state.visits.duration_s[visits].astype(np.int64)
    return np.where(told > 0, told, _USUAL_S) * 1_000
