"""Tell when customers have not come for as long as a trigger ``winback`` waits.

In:    customers and the day of their last attended visit
Out:   ``Coming``: the day of the last visit moved by ``after_days``, at a local time
State: read only
"""

from __future__ import annotations

import numpy as np

from operators.coming import Coming, coming, customer_marks
from schemas.batch import I4
from state.index import Rows
from state.lane import LaneState
from state.tables import NO_DAY
from state.zones import DAY_MS, MINUTE_MS

_SALT = np.uint64(0x77696E6261636B2D)


def winbacks(state: LaneState, customers: Rows, last_day: I4) -> Coming:
    """One occasion per customer and trigger; its subject is the last day."""
    rules = state.tenants.triggers["winback"]
    came = (last_day != NO_DAY).nonzero()[0]
    tenants = state.customers.tenant[customers[came]]
    line, slot = rules.each(tenants)
    owner, tenant = came[line], tenants[line]
    day = last_day[owner].astype(np.int64)
    local = (day + rules.column("after_days")[tenant, slot]) * DAY_MS
    local += rules.column("at_minute")[tenant, slot] * MINUTE_MS
    due = state.zones.to_instant(state.tenants.zone[tenant], local)
    mark = customer_marks(state, customers[owner], _SALT, day, rules.key[tenant, slot])
    return coming(owner, slot, due, day, mark)
