"""Free what lies beyond its horizon; no output may depend on whether this has run.

In:    the lane's clock
Out:   nothing
State: visits that have left the tenant's window (the last attended day stays with the client),
       occasions whose time is over
"""

from __future__ import annotations

import numpy as np

from operators.visits import remember_last_day
from schemas.batch import ATTENDED
from state.lane import LaneState
from state.tables import VACANT


def prune(state: LaneState, now_ms: int) -> None:
    """Every later record finds these rows outside their horizon, there or not."""
    visits, occasions = state.visits, state.occasions
    live = visits.live()
    tenant = state.scopes.tenant[visits.scope[live]]
    today = state.tenant_day(tenant, np.full(len(live), now_ms))
    age = today - visits.kept_day[live].astype(np.int64)
    empty = visits.status[live] == VACANT
    gone = live[empty | (age >= state.tenants.window[tenant])]
    if len(gone):
        counted = gone[(visits.status[gone] == ATTENDED) & (visits.client[gone] >= 0)]
        remember_last_day(
            state, visits.client[counted], visits.day[counted], visits.start_ms[counted]
        )
        visits.free(gone)
        state.relink()
    rows = occasions.live()
    over = rows[occasions.start_ms[rows] < now_ms]
    if len(over):
        occasions.free(over)
