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
from operators.contributions import Tally, contribution, recount
from operators.crowds import inside
from operators.days import move_calendar, tell_days
from operators.decide import decide
from operators.funnel import tell_funnel
from operators.held import withdraw_removed
from operators.moments import Moment
from operators.money_units import living, rederive_units
from operators.owed import Owed
from operators.payments import rederive_payments
from operators.prune import forget_contacts_beyond, prune
from operators.reach import is_held
from operators.restate import Passage
from operators.returns import credit, freeze
from operators.score import score
from schemas.batch import I4, NONE, SettingsEvent
from state.index import Rows
from state.lane import LaneState
from state.tables import NO_WALL, STIRRED


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
    facts = len(_visits_of(state, tenant)) or len(state.payments) or len(state.crowds)
    if (wider or moved) and facts:
        # What has left the old window is gone, whether or not it has been freed yet.
        prune(state, now_ms, tenant)
    today = _today(state, tenant, now_ms)
    freeze(state, tenant, today)
    day, window = np.array([today], np.int32), state.tenants.window[[tenant]]
    visits, payments, units = _inside(state, tenant, day, window)
    visits_before = contribution(state, state.visits, visits)
    payments_before = contribution(state, state.payments, payments)
    forget_contacts_beyond(state, tenant, event.settings, today)
    state.tenants.adopt(tenant, event.settings)
    state.tenants.await_midnight(np.array([tenant], np.int32), now_ms)
    clocks = np.array([now_ms])
    passage = Passage.of_one(now_ms, position)
    move_calendar(state, tenant, today, _today(state, tenant, now_ms), passage)
    _rederive_visits(state, tenant, visits)
    rederive_payments(state, tenant, payments)
    rederive_units(state, units, day, window)
    tally = Tally()
    first = np.zeros_like(visits)  # of the passage's records, for there is but one
    recount(state, tally, state.visits, visits, visits_before, first, clocks)
    first = np.zeros_like(payments)
    recount(state, tally, state.payments, payments, payments_before, first, clocks)
    tell_days(state, owed, tally, passage, 0, counts)
    table = state.customers
    rows = (table.known[: table.rows] & (table.tenant[: table.rows] == tenant)).nonzero()[0]
    if len(rows):
        moment = Moment(np.full(len(rows), now_ms), np.full(len(rows), position))
        cause = np.full(len(rows), "thresholds", np.object_)
        table.stir(rows, STIRRED)
        score(state, owed, rows, cause, moment.now_ms, moment, anew=True)
        credit(state, owed, rows, moment)
    withdraw_removed(state, owed, tenant, now_ms, position)
    decide(state, owed)
    tell_funnel(state, owed, passage)


def _today(state: LaneState, tenant: int, now_ms: int) -> int:
    return int(state.tenant_day(np.array([tenant], np.int32), np.array([now_ms]))[0])


def _visits_of(state: LaneState, tenant: int) -> Rows:
    live = state.visits.live()
    rows: Rows = live[state.scopes.tenant[state.visits.scope[live]] == tenant]
    return rows


def _inside(state: LaneState, tenant: int, day: I4, window: I4) -> tuple[Rows, Rows, Rows]:
    """Visits, payments and units inside the window: others might as well have been freed."""
    visits, payments = _visits_of(state, tenant), state.payments.live()
    payments = payments[state.scopes.tenant[state.payments.scope[payments]] == tenant]
    units = state.units.live()
    units = units[state.scopes.tenant[state.units.scope[units]] == tenant]
    kept = inside(state.visits.kept_day[visits], day, window)
    held = is_held(state, payments, day, window)
    return visits[kept], payments[held], units[living(state, units, day, window)]


def _rederive_visits(state: LaneState, tenant: int, rows: Rows) -> None:
    places, visits = state.places, state.visits
    for place in places.live().tolist():
        if places.tenant[place] == tenant:
            places.zone[place] = state.zone_of_place(place)
    if not len(rows):
        return
    local = rows[visits.ahead_ms[rows] != NO_WALL]
    wall = visits.start_ms[local] + visits.ahead_ms[local]
    start = state.zones.to_instant(places.zone[visits.place[local]], wall)
    visits.start_ms[local], visits.ahead_ms[local] = start, wall - start
    timed = rows[visits.start_ms[rows] != NONE]
    owners = np.full(len(timed), tenant, np.int64)
    visits.day[timed] = state.tenant_day(owners, visits.start_ms[timed])
    visits.kept_day[timed] = np.maximum(visits.kept_day[timed], visits.day[timed])
    visits.foreign[rows] = foreign_currencies(
        state, np.full(len(rows), tenant, np.int64), visits.currency[rows]
    )
    visits.touch(rows)
