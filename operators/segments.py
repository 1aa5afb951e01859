"""Score customers into one of the 27 segments, and tell when time alone will change the score.

In:    ``Features`` of customers, the day as of which they hold
Out:   codes i2, ``100*r + 10*f + m`` (3 is best); 0 for a lead; the next day to look again
State: read only; thresholds of R and F are the tenant's settings, those of M the day's boundaries
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from operators.features import Features
from schemas.batch import I4, I8
from state.index import Rows
from state.lane import LaneState
from state.tables import NO_DAY

Codes = NDArray[np.int16]

_SECOND_MS = 1_000
_ROLL_SPREAD_S = 300
ROLL_SPREAD_MS = _ROLL_SPREAD_S * _SECOND_MS
"""A customer's day begins less than this after local midnight."""

LOST = 111
"""Who came once, and all of whose visits have left the window."""


def recency_days(last_day: I4, today: I4) -> I8:
    """Whole local days since the last attended visit; a future day counts as today."""
    days: I8 = np.maximum(today.astype(np.int64) - last_day, 0)
    return days


def segment_codes(state: LaneState, tenants: Rows, features: Features, today: I4) -> Codes:
    """Boundaries belong to the better cell; a customer who never came is a lead.

    The boundaries of M are those of the day that each customer is in.
    """
    bounds = state.tenants.boundaries_on(tenants, today)
    return codes_under(state, tenants, features, today, bounds)


def codes_under(
    state: LaneState, tenants: Rows, features: Features, today: I4, bounds: tuple[I8, I8]
) -> Codes:
    """The same under other lower bounds of M 3 and M 2."""
    rules = state.tenants
    recency = recency_days(features.last_day, today)
    r = 1 + (recency <= rules.cooling[tenants]) + (recency <= rules.recent[tenants])
    f = 1 + (features.frequency >= rules.repeated[tenants])
    f = f + (features.frequency >= rules.often[tenants])
    m = digit(features.monetary, *bounds)
    codes = np.where(features.frequency == 0, LOST, 100 * r + 10 * f + m)
    return np.where(features.last_day == NO_DAY, 0, codes).astype(np.int16)


def digit(monetary: I8, big: I8, fair: I8) -> NDArray[np.int64]:
    """1 to 3 by the lower bounds of 3 and 2."""
    return 1 + (monetary >= fair).astype(np.int64) + (monetary >= big)


def next_day(state: LaneState, tenants: Rows, features: Features, today: I4) -> I8:
    """The first later day on which R, F or M can be scored otherwise; far away if there is none.

    R falls on the day after each of its thresholds, F and M when a visit leaves the window, and M
    also where boundaries of a day that has not begun yet for the customer score it otherwise.
    """
    rules = state.tenants
    never = np.iinfo(np.int64).max
    soonest = features.leaves_day
    last = features.last_day.astype(np.int64)
    for threshold in (rules.recent, rules.cooling):
        falls = last + threshold[tenants] + 1
        soonest = np.minimum(soonest, np.where(falls > today, falls, never))
    ahead = (features.frequency > 0) & (today < rules.bounds_day[tenants])
    ahead &= crosses(state, tenants, features.monetary)
    return np.where(ahead, np.minimum(soonest, rules.bounds_day[tenants]), soonest)


def crosses(state: LaneState, tenants: Rows, monetary: I8) -> NDArray[np.bool_]:
    """Whether the boundaries in force give another digit than those before them."""
    rules = state.tenants
    before = digit(monetary, rules.big_before[tenants], rules.fair_before[tenants])
    found: NDArray[np.bool_] = before != digit(monetary, rules.big[tenants], rules.fair[tenants])
    return found


def roll_delay_ms(state: LaneState, customers: Rows) -> I8:
    """How long after local midnight a customer's day begins: under five minutes, by its key.

    So a midnight's work is spread, and a customer still has exactly one moment of change a day.
    """
    spread = state.customers.key[customers] % np.uint64(_ROLL_SPREAD_S)
    return spread.astype(np.int64) * _SECOND_MS


def own_day(state: LaneState, customers: Rows, now_ms: I8) -> I4:
    """The tenant-local day that the customer is in."""
    tenants = state.customers.tenant[customers]
    return state.tenant_day(tenants, now_ms - roll_delay_ms(state, customers))
