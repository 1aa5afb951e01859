"""Put a tenant's new settings in force and re-derive everything that depends on them.

In:    a settings event, with the lane's clock and position at its record
Out:   segment changes of cause ``thresholds``, reminders planned anew, in silence where too late
State: tenants, zones of places, instants and days of visits, scores
"""

from __future__ import annotations

import numpy as np

from operators.columns import foreign_currencies
from operators.owed import Owed
from operators.prune import prune
from operators.reminders import Moment
from operators.score import score
from schemas.batch import NONE, SettingsEvent
from state.lane import LaneState


def apply_settings(
    state: LaneState, owed: Owed, event: SettingsEvent, now_ms: int, position: int
) -> None:
    """Everybody of the tenant is scored again, and nobody is greeted for it."""
    tenant = state.tenants.row(event.tenant)
    if event.settings.window_days > state.tenants.window[tenant]:
        # What has left the old window is gone, whether or not it has been freed yet.
        prune(state, now_ms)
    state.tenants.adopt(tenant, event.settings)
    state.tenants.await_midnight(np.array([tenant], np.int32), now_ms)
    _rederive_visits(state, tenant)
    table = state.customers
    rows = np.flatnonzero(table.known[: table.rows] & (table.tenant[: table.rows] == tenant))
    if len(rows):
        moment = Moment(np.full(len(rows), now_ms), np.full(len(rows), position))
        cause = np.full(len(rows), "thresholds", np.object_)
        score(state, owed, rows.astype(np.int32), cause, moment.now_ms, moment, anew=True)


def _rederive_visits(state: LaneState, tenant: int) -> None:
    places, visits = state.places, state.visits
    for place in places.live().tolist():
        if places.tenant[place] == tenant:
            places.zone[place] = state.zone_of_place(place)
    live = visits.live()
    rows = live[state.scopes.tenant[visits.scope[live]] == tenant]
    if not len(rows):
        return
    local = rows[visits.local_ms[rows] != NONE]
    zone = places.zone[visits.place[local]]
    visits.start_ms[local] = state.zones.to_instant(zone, visits.local_ms[local])
    timed = rows[visits.start_ms[rows] != NONE]
    owners = np.full(len(timed), tenant, np.int32)
    visits.day[timed] = state.tenant_day(owners, visits.start_ms[timed])
    visits.kept_day[timed] = np.maximum(visits.kept_day[timed], visits.day[timed])
    visits.foreign[rows] = foreign_currencies(
        state, np.full(len(rows), tenant, np.int32), visits.currency[rows]
    )
    visits.touch(rows)
