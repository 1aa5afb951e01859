"""Tell when customers are due to come again, by a number of days or by their own usual interval.

In:    visits of customers inside the window, as of their day
Out:   ``Coming``: the start of the last attended visit (of a service) moved by local days
State: read only
Source: the usual interval is the lower median of the days between consecutive visit days
"""

from __future__ import annotations

import numpy as np

from operators.bookings import service_titles
from operators.coming import Coming, coming, joined, visit_marks
from operators.features import History, visit_days
from schemas.batch import ATTENDED, I4, I8, NONE
from state.index import Rows
from state.lane import LaneState
from state.runs import begins, distinct
from state.tables import Flags
from state.zones import DAY_MS

NO_INTERVAL = 0
"""Of who has fewer than three visit days."""

_FEWEST_GAPS = 2
_DAYS = (1 << 32) - 1


def rebooks(state: LaneState, customers: Rows, history: History) -> Coming:
    """One occasion per customer and trigger; its subject is the last visit that it goes by."""
    rules, visits = state.tenants.triggers["rebook"], state.visits
    tenants = state.customers.tenant[customers]
    attended = (visits.status[history.visit] == ATTENDED) & rules.some[tenants][history.owner]
    attended &= visits.start_ms[history.visit] != NONE
    if not attended.any():
        return joined([])
    owner, visit = history.owner[attended], history.visit[attended]
    lasts = _lasts(state, owner, visit)
    interval: I8 | None = None
    owners, subjects, slots, days_after = [], [], [], []
    for slot in rules.slots:
        own = rules.key[tenants, slot] != 0
        days = rules.column("after_days")[tenants, slot]
        factor = rules.column("interval_factor")[tenants, slot]
        by_interval = own & (factor > 0)
        if by_interval.any():
            if interval is None:
                interval = usual_intervals(len(customers), owner, visits.day[visit])
            # 2.2 times 25 is 55.00000000000001 in floats, and 55 days to everybody else.
            whole = np.ceil(np.round(factor * interval, 6)).astype(np.int64)
            days = np.where(by_interval, whole, days)
            own &= ~by_interval | (interval != NO_INTERVAL)
        last_owner, last = lasts
        if rules.column("names_service")[tenants, slot].any():
            chosen = _of_service(state, slot, tenants[owner], visit)
            last_owner, last = _lasts(state, owner[chosen], visit[chosen])
        goes_by = own[last_owner]
        owners.append(last_owner[goes_by])
        subjects.append(last[goes_by])
        slots.append(np.full(len(owners[-1]), slot))
        days_after.append(days[owners[-1]])
    owner, last, slot_of = map(np.concatenate, (owners, subjects, slots))
    zone = state.places.zone[visits.place[last]]
    local = state.zones.to_local(zone, visits.start_ms[last]) + np.concatenate(days_after) * DAY_MS
    due = state.zones.to_instant(zone, local)
    mark = visit_marks(state, last, rules.key[tenants[owner], slot_of])
    return coming(owner, slot_of, due, last, mark)


def usual_intervals(count: int, owner: Rows, day: I4) -> I8:
    """Days between visits of each of ``count`` owners, ``NO_INTERVAL`` where they cannot be told.

    ``owner`` and ``day`` are a line for each attended visit inside the window.
    """
    days = visit_days(owner, day)
    whose = days >> 32
    same = whose[1:] == whose[:-1]
    gaps, whose = (days[1:] - days[:-1])[same], whose[1:][same]
    gaps = np.sort((whose << 32) + gaps) & _DAYS
    number = np.bincount(whose, minlength=count)
    starts = np.cumsum(number) - number
    middle = starts + (number - 1) // 2
    found = np.full(count, NO_INTERVAL, np.int64)
    enough = number >= _FEWEST_GAPS
    found[enough] = gaps[middle[enough]]
    return found


def _lasts(state: LaneState, owner: Rows, visit: Rows) -> tuple[Rows, Rows]:
    """Owners, and the last visit of each; of two that start together the smaller key's."""
    start = state.visits.start_ms[visit]
    latest = np.full(owner.max(initial=-1) + 1, NONE)
    np.maximum.at(latest, owner, start)
    at = (start == latest[owner]).nonzero()[0]
    owner, visit = owner[at], visit[at]
    if len(at) and np.bincount(owner).max() > 1:
        order = np.lexsort((state.visits.key[visit], owner))
        owner, visit = owner[order], visit[order]
        first = begins(owner)
        owner, visit = owner[first], visit[first]
    return owner, visit


def _of_service(state: LaneState, slot: int, tenants: Rows, visit: Rows) -> Flags:
    """Whether one of a visit's titles is the service that its tenant's trigger in the slot names.

    A trigger that names none goes by any visit.
    """
    rules = state.tenants.triggers["rebook"]
    asks = rules.column("names_service")[tenants, slot] != 0
    matches: Flags = ~asks
    for tenant in distinct(tenants[asks]).tolist():
        wanted = rules.of[tenant][slot].service.casefold()
        lines = (tenants == tenant).nonzero()[0]
        words, place = np.unique(state.visits.services[visit[lines]], return_inverse=True)
        named = [
            any(wanted == title.casefold() for title in service_titles(state, word))
            for word in words.tolist()
        ]
        matches[lines] = np.array(named, np.bool_)[place]
    return matches
