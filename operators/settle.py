"""Put a tenant's new settings in force and re-derive everything that depends on them.

In:    a settings event, with the lane's clock and position at its record
Out:   segment changes of cause ``thresholds``, triggers planned anew, in silence where too late;
       what rules that are gone have held is withdrawn
State: tenants, zones of places, instants and days of visits, scores
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from operators.columns import foreign_currencies
from operators.contributions import (
    Tally,
    payments_contribution,
    recount_payments,
    recount_visits,
    visits_contribution,
)
from operators.crowds import inside
from operators.days import move_calendar, tell_days
from operators.decide import decide
from operators.held import withdraw_removed
from operators.owed import Owed
from operators.payments import rederive_payments
from operators.prune import forget_contacts_beyond, prune
from operators.reach import is_held
from operators.reminders import Moment
from operators.restate import Passage
from operators.score import score
from schemas.batch import NONE, SettingsEvent
from state.index import Rows
from state.lane import LaneState


def apply_settings(
    state: LaneState,
    owed: Owed,
    event: SettingsEvent,
    now_ms: int,
    position: int,
    counts: Counter[tuple[str, ...]],
) -> None:
    """Everybody of the tenant is scored again, and nobody is greeted for it."""
    tenant = state.tenants.row(event.tenant)
    zone = state.zones.code(event.settings.timezone)
    wider = event.settings.window_days > state.tenants.window[tenant]
    moved = zone != state.tenants.zone[tenant]
    moved |= event.settings.branches != state.tenants.settings[tenant].branches
    if (wider or moved) and (len(_visits_of(state, tenant)) or len(state.payments)):
        # What has left the old window is gone, whether or not it has been freed yet.
        prune(state, now_ms)
    today = _today(state, tenant, now_ms)
    visits, payments = _inside(state, tenant, today)
    visits_before = visits_contribution(state, visits)
    payments_before = payments_contribution(state, payments)
    forget_contacts_beyond(state, tenant, event.settings, today)
    state.tenants.adopt(tenant, event.settings)
    state.tenants.await_midnight(np.array([tenant], np.int32), now_ms)
    passage = Passage(np.array([now_ms]), np.array([position]), now_ms)
    move_calendar(state, tenant, today, _today(state, tenant, now_ms), passage)
    _rederive_visits(state, tenant)
    rederive_payments(state, tenant, _today(state, tenant, now_ms))
    tally = Tally()
    after = recount_visits(state, visits, visits_before, np.full(len(visits), now_ms))
    tally.change(visits_before, after, np.zeros(len(visits), np.int32))
    after = recount_payments(state, payments, payments_before, np.full(len(payments), now_ms))
    tally.change(payments_before, after, np.zeros(len(payments), np.int32))
    tell_days(state, owed, tally, passage, 0, counts)
    table = state.customers
    rows = np.flatnonzero(table.known[: table.rows] & (table.tenant[: table.rows] == tenant))
    if len(rows):
        moment = Moment(np.full(len(rows), now_ms), np.full(len(rows), position))
        cause = np.full(len(rows), "thresholds", np.object_)
        score(state, owed, rows.astype(np.int32), cause, moment.now_ms, moment, anew=True)
    withdraw_removed(state, owed, tenant, now_ms, position)
    decide(state, owed)


def _today(state: LaneState, tenant: int, now_ms: int) -> int:
    return int(state.tenant_day(np.array([tenant], np.int32), np.array([now_ms]))[0])


def _visits_of(state: LaneState, tenant: int) -> Rows:
    live = state.visits.live()
    rows: Rows = live[state.scopes.tenant[state.visits.scope[live]] == tenant]
    return rows


def _payments_of(state: LaneState, tenant: int) -> Rows:
    live = state.payments.live()
    rows: Rows = live[state.scopes.tenant[state.payments.scope[live]] == tenant]
    return rows


def _inside(state: LaneState, tenant: int, today: int) -> tuple[Rows, Rows]:
    """Visits and payments inside the tenant's window: others might as well have been freed."""
    visits, payments = _visits_of(state, tenant), _payments_of(state, tenant)
    day, window = np.array([today], np.int32), state.tenants.window[[tenant]]
    kept = inside(state.visits.kept_day[visits], day, window)
    return visits[kept], payments[is_held(state, payments, day, window)]


def _rederive_visits(state: LaneState, tenant: int) -> None:
    places, visits = state.places, state.visits
    for place in places.live().tolist():
        if places.tenant[place] == tenant:
            places.zone[place] = state.zone_of_place(place)
    rows = _visits_of(state, tenant)
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
