"""Set the monetary boundaries of a tenant's new day.

In:    tenants whose local midnight it is, after everything due before it
Out:   boundaries in force from that day on; customers whose digit they change get a roll
State: boundaries, ``crowd`` and ``check`` of tenants, ``roll_due`` of customers
Source: P33 and P67 by nearest rank, x[ceil(p * n) - 1], of M over customers with an attended visit
        in the window; with few customers multiples of the lower median of a visit day's sum
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from operators.features import compute_features, history_of
from operators.money import visit_money
from operators.segments import ROLL_SPREAD_MS, crosses, roll_delay_ms
from schemas.batch import ATTENDED, I4, I8, NONE
from state.index import Rows
from state.lane import LaneState
from state.runs import begins
from state.tables import NO_DAY
from state.tenants import BIG_ENOUGH

_HYSTERESIS = 20
"""A tertile replaces what is in force where it differs by more than a twentieth of it."""


@dataclass(slots=True)
class _Spenders:
    """Customers with a visit in the window as of the new day, grouped by tenant.

    ``monetary`` is as of the new day; the customers of the i-th tenant are ``starts[i]`` to
    ``starts[i + 1]``.
    """

    customer: Rows
    monetary: I8
    starts: NDArray[np.int64]


def set_boundaries(state: LaneState, tenants: Rows, day: I4, midnight_ms: int) -> None:
    """The boundaries that hold from this midnight on, over the facts folded before it."""
    if not len(tenants):
        return
    spenders = _spenders(state, tenants, day, midnight_ms)
    rules = state.tenants
    rules.crowd[tenants] = np.diff(spenders.starts)
    rules.check[tenants] = _checks(state, tenants, day, spenders)
    big, fair = rules.big[tenants], rules.fair[tenants]
    for at, tenant in enumerate(tenants.tolist()):
        settings = rules.settings[tenant]
        if settings.monetary is not None:
            big[at], fair[at] = settings.monetary
        elif rules.crowd[tenant] < BIG_ENOUGH:
            big[at], fair[at] = rules.fixed_boundaries(tenant, settings)
        else:
            first, end = spenders.starts[at], spenders.starts[at + 1]
            low, high = tertiles(spenders.monetary[first:end])
            big[at], fair[at] = settled(int(big[at]), high), settled(int(fair[at]), low)
    rules.begin_boundaries(tenants, day, big, fair)
    _plan_rolls(state, tenants, day, spenders)


def tertiles(values: I8) -> tuple[int, int]:
    """P33 and P67 by nearest rank of at least one value."""
    count = len(values)
    ranks = [-(-33 * count // 100) - 1, -(-67 * count // 100) - 1]
    ordered = np.partition(values, ranks)
    return int(ordered[ranks[0]]), int(ordered[ranks[1]])


def settled(held: int, new: int) -> int:
    """The boundary in force, unless the new one differs by more than 5 % of it."""
    return new if _HYSTERESIS * abs(new - held) > abs(held) else held


def lower_median(values: I8) -> int:
    """The lower of the two middle values, NONE of none."""
    if not len(values):
        return NONE
    middle = (len(values) - 1) // 2
    return int(np.partition(values, middle)[middle])


def _spenders(state: LaneState, tenants: Rows, day: I4, midnight_ms: int) -> _Spenders:
    table = state.customers
    place = np.full(state.tenants.rows, -1, np.int64)
    place[tenants] = np.arange(len(tenants))
    group = place[table.tenant[: table.rows]]
    rows = ((group >= 0) & table.known[: table.rows]).nonzero()[0]
    group = group[rows]
    frequency, monetary = table.frequency[rows], table.monetary[rows]
    # Scores hold as of the last day on which one could change; who has something to lose today
    # is looked at anew.
    stale = (table.roll_due[rows] < midnight_ms + ROLL_SPREAD_MS).nonzero()[0]
    if len(stale):
        chosen = rows[stale]
        now = np.full(len(chosen), midnight_ms)
        history = history_of(state, chosen)
        features = compute_features(state, chosen, history, day[group[stale]], now)
        frequency[stale], monetary[stale] = features.frequency, features.monetary
    counted = frequency > 0
    rows, group, monetary = rows[counted], group[counted], monetary[counted]
    starts = np.zeros(len(tenants) + 1, np.int64)
    starts[1:] = np.cumsum(np.bincount(group, minlength=len(tenants)))
    if len(tenants) > 1:
        order = np.argsort(group, kind="stable")
        rows, monetary = rows[order], monetary[order]
    return _Spenders(rows, monetary, starts)


def _checks(state: LaneState, tenants: Rows, day: I4, spenders: _Spenders) -> I8:
    """What a visit day brings in the middle, for tenants whose boundaries may be built on it."""
    crowd = np.diff(spenders.starts)
    group = np.repeat(np.arange(len(tenants)), crowd)
    few = crowd[group] < BIG_ENOUGH
    customers, group = spenders.customer[few], group[few]
    history = history_of(state, customers)
    visits = state.visits
    own = visits.day[history.visit].astype(np.int64)
    inside = day[group[history.owner]] - own < state.tenants.window[tenants][group[history.owner]]
    inside &= visits.status[history.visit] == ATTENDED
    owner, visit, own = history.owner[inside], history.visit[inside], own[inside]
    checks = np.full(len(tenants), NONE)
    if not len(owner):
        return checks
    visit_day = (owner.astype(np.int64) << 32) + (own - NO_DAY)
    order = np.argsort(visit_day)
    visit_day, visit = visit_day[order], visit[order]
    first = begins(visit_day)
    heads = first.nonzero()[0]
    sums = np.add.reduceat(visit_money(state, visit), heads)
    positive = sums > 0
    sums, of = sums[positive], group[owner[order[heads[positive]]]]
    starts = np.searchsorted(of, np.arange(len(tenants) + 1)).tolist()
    for at, (start, end) in enumerate(pairwise(starts)):
        checks[at] = lower_median(sums[start:end])
    return checks


def _plan_rolls(state: LaneState, tenants: Rows, day: I4, spenders: _Spenders) -> None:
    """Who is scored otherwise from this day on is looked at when its own day begins."""
    table = state.customers
    owners = np.repeat(tenants, np.diff(spenders.starts))
    crossed = crosses(state, owners, spenders.monetary).nonzero()[0]
    if not len(crossed):
        return
    rows, owners = spenders.customer[crossed], owners[crossed]
    days = np.repeat(day, np.diff(spenders.starts))[crossed]
    begins = state.zones.midnight(state.tenants.zone[owners], days) + roll_delay_ms(state, rows)
    table.roll_due[rows] = np.minimum(table.roll_due[rows], begins)
    table.touch(rows)
    state.due.refresh(rows)
