"""Tell when customers are written to who missed a visit or cancelled it.

In:    visits of customers
Out:   ``Coming``: the minute at which a visit was missed, at the latest its start, and ``after``
State: read only; ``visits.missed_at`` is kept where versions are
"""

from __future__ import annotations

import numpy as np

from operators.coming import Coming, coming, visit_marks
from operators.features import History
from schemas.batch import CANCELLED, NO_SHOW, NONE
from state.index import Rows
from state.lane import LaneState
from state.zones import MINUTE_MS


def no_shows(state: LaneState, customers: Rows, history: History) -> Coming:
    """One occasion per missed visit and trigger; the visit is its subject."""
    rules, visits = state.tenants.triggers["no_show"], state.visits
    status = visits.status[history.visit]
    missed = ((status == NO_SHOW) | (status == CANCELLED)) & (
        visits.start_ms[history.visit] != NONE
    )
    owner, visit = history.owner[missed], history.visit[missed]
    tenants = state.customers.tenant[customers[owner]]
    line, slot = rules.each(tenants)
    owner, visit, tenant = owner[line], visit[line], tenants[line]
    since = np.minimum(visits.missed_at[visit] * np.int64(MINUTE_MS), visits.start_ms[visit])
    due = since + rules.column("after_ms")[tenant, slot]
    mark = visit_marks(state, visit, rules.key[tenant, slot])
    return coming(owner, slot, due, visit, mark)
