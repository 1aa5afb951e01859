"""Tell when customers have not come for as long as a trigger ``winback`` waits.

In:    customers and the day of their last attended visit
Out:   ``Coming``: the day of the last visit moved by ``after_days``, at a local time
State: read only
"""

from __future__ import annotations

import numpy as np

from operators.coming import Coming, coming, customer_marks, joined
from schemas.batch import I4
from state.index import Rows
from state.lane import LaneState
from state.tables import NO_DAY
from state.zones import DAY_MS, MINUTE_MS

_SALT = np.uint64(0x77696E6261636B2D)


def winbacks(state: LaneState, customers: Rows, last_day: I4) -> Coming:
    """One occasion per customer and trigger; its subject is the last day."""
    rules = state.tenants.triggers["winback"]
    came = ((last_day != NO_DAY) & rules.some[state.customers.tenant[customers]]).nonzero()[0]
    parts = []
    for slot in rules.slots if len(came) else ():
        tenants = state.customers.tenant[customers[came]]
        own = rules.key[tenants, slot] != 0
        owner, tenants = came[own], tenants[own]
        day = last_day[owner].astype(np.int64)
        local = (day + rules.column("after_days")[tenants, slot]) * DAY_MS
        local += rules.column("at_minute")[tenants, slot] * MINUTE_MS
        due = state.zones.to_instant(state.tenants.zone[tenants], local)
        mark = customer_marks(state, customers[owner], _SALT, day, rules.key[tenants, slot])
        parts.append(coming(owner, slot, due, day, mark))
    return joined(parts)
