"""Score customers into one of the 27 segments, and tell when time alone will change the score.

In:    ``Features`` of customers, the day as of which they hold
Out:   codes i2, ``100*r + 10*f + m`` (3 is best); 0 for a lead; the next day to look again
State: read only; thresholds are the tenant's settings
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

LOST = 111
"""Who came once, and all of whose visits have left the window."""


def recency_days(last_day: I4, today: I4) -> I8:
    """Whole local days since the last attended visit; a future day counts as today."""
    days: I8 = np.maximum(today.astype(np.int64) - last_day, 0)
    return days


def segment_codes(state: LaneState, tenants: I4, features: Features, today: I4) -> Codes:
    """Boundaries belong to the better cell; a customer who never came is a lead."""
    rules = state.tenants
    recency = recency_days(features.last_day, today)
    r = 1 + (recency <= rules.cooling[tenants]) + (recency <= rules.recent[tenants])
    f = 1 + (features.frequency >= rules.repeated[tenants])
    f = f + (features.frequency >= rules.often[tenants])
    m = 1 + (features.monetary >= rules.fair[tenants])
    m = m + (features.monetary >= rules.big[tenants])
    m = np.where(rules.bounded[tenants], m, 2)
    codes = np.where(features.frequency == 0, LOST, 100 * r + 10 * f + m)
    return np.where(features.last_day == NO_DAY, 0, codes).astype(np.int16)


def next_day(state: LaneState, tenants: I4, features: Features, today: I4) -> I8:
    """The first later day on which R, F or M can be scored otherwise; far away for a lead.

    R falls on the day after each of its thresholds, F and M when a visit leaves the window.
    """
    never = np.iinfo(np.int64).max
    soonest = features.leaves_day
    last = features.last_day.astype(np.int64)
    for threshold in (state.tenants.recent, state.tenants.cooling):
        falls = last + threshold[tenants] + 1
        soonest = np.minimum(soonest, np.where(falls > today, falls, never))
    return np.where(features.last_day == NO_DAY, never, soonest)


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
