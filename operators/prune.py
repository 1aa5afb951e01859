"""Free what lies beyond its horizon; no output may depend on whether this has run.

In:    the lane's clock
Out:   nothing
State: visits and payments that have left the tenant's window (the last attended day stays with
       the client), occasions and marks whose time is over, messages not awaited any more, full
       days of house numbers, days that are told and too old to change, contacts and failures of
       long ago
"""

from __future__ import annotations

import numpy as np

from operators.aliases import free_the_gone
from operators.held import free_decided
from operators.messages import forget_messages
from operators.segments import ROLL_SPREAD_MS
from operators.visits import remember_last_day
from schemas.batch import ATTENDED, I4, I8
from schemas.settings import TenantSettings
from state.days import DAYS_KEPT
from state.funnel import FUNNEL_DAYS
from state.index import Rows
from state.lane import LaneState
from state.messages import KEPT_MS
from state.tables import HELD, NEVER, NO_DAY, VACANT, Flags
from state.tenants import contact_days, cooldown_days
from state.zones import DAY_MS

_DAYS_AGAIN = 3  # by so many days another zone can take a tenant back


def prune(state: LaneState, now_ms: int, settled: int = -1) -> None:
    """Every later record finds these rows outside their horizon, there or not.

    ``settled`` is a tenant whose customers are all scored anew after this.
    """
    visits, occasions = state.visits, state.occasions
    # Until the last customer's day has begun, somebody's scores still count what has left.
    begun_ms = np.full(state.tenants.rows, now_ms - ROLL_SPREAD_MS)
    if settled >= 0:
        begun_ms[settled] = now_ms
    live = visits.live()
    empty = visits.status[live] == VACANT
    gone = live[empty | _are_over(state, visits.scope[live], visits.kept_day[live], begun_ms)]
    if len(gone):
        counted = gone[(visits.status[gone] == ATTENDED) & (visits.client[gone] >= 0)]
        remember_last_day(
            state, visits.client[counted], visits.day[counted], visits.start_ms[counted]
        )
        lost = np.isin(state.units.holder, gone).nonzero()[0]
        state.units.holder[lost] = -1
        state.units.touch(lost)
        texts = state.visit_texts.index.find(visits.key[gone])
        if (texts >= 0).any():
            state.visit_texts.free(texts[texts >= 0])
        visits.free(gone)
        state.relink()
    _prune_payments(state, begun_ms)
    free_the_gone(state, now_ms)
    _prune_crowds(state, now_ms)
    forget_messages(state, now_ms)
    rows = occasions.live()
    # What is held may outlast the time in which its occasion can come again.
    over = rows[(occasions.start_ms[rows] < now_ms) & (occasions.state[rows] != HELD)]
    if len(over):
        occasions.free(over)
    rows = state.marks.live()
    over = rows[state.marks.until_ms[rows] <= now_ms]
    if len(over):
        state.marks.free(over)
    free_decided(state)
    _prune_contacts(state, now_ms)
    _prune_days(state, now_ms)


def _prune_contacts(state: LaneState, now_ms: int) -> None:
    contacts, cooldowns, failures = state.contacts, state.cooldowns, state.failures
    rows = contacts.live()
    tenant = contacts.tenant[rows]
    age = _ages(state, tenant, contacts.day[rows], now_ms)
    over = age >= state.tenants.contact_days[tenant] + _DAYS_AGAIN
    # What is no marketing waits for its messages, and for nothing else.
    over |= ~contacts.fills[rows] & (contacts.sent_ms[rows] < now_ms - KEPT_MS)
    if over.any():
        contacts.free(rows[over])
    told = rows[~over & (age > FUNNEL_DAYS + _DAYS_AGAIN)]
    contacts.funnel[told] = -1
    contacts.touch(told)
    gone = rows[over]
    rows = cooldowns.live()
    tenant = state.customers.tenant[cooldowns.customer[rows]]
    age = _ages(state, tenant, cooldowns.day[rows], now_ms)
    over = age >= state.tenants.cooldown_days[tenant] + _DAYS_AGAIN
    if over.any():
        cooldowns.free(rows[over])
    rows = failures.live()
    over = failures.heard_ms[rows] < now_ms - KEPT_MS
    if over.any():
        failures.free(rows[over])
    if over.any() or len(gone):
        state.relink_contacts()


def _ages(state: LaneState, tenants: Rows, days: I4, now_ms: int) -> I8:
    """For how many of the tenants' days these are over."""
    today = state.tenant_day(tenants, np.full(len(tenants), now_ms))
    return today.astype(np.int64) - days


def forget_contacts_beyond(
    state: LaneState, tenant: int, settings: TenantSettings, today: int
) -> None:
    """Where new settings look further back, what the old ones had no use for is gone."""
    tenants = state.tenants
    contacts, cooldowns = state.contacts, state.cooldowns
    if contact_days(settings) > tenants.contact_days[tenant]:
        rows = contacts.live()
        rows = rows[contacts.tenant[rows] == tenant]
        over = rows[today - contacts.day[rows].astype(np.int64) >= tenants.contact_days[tenant]]
        if len(over):
            contacts.free(over)
            state.relink_contacts()
    if cooldown_days(settings) > tenants.cooldown_days[tenant]:
        rows = cooldowns.live()
        rows = rows[state.customers.tenant[cooldowns.customer[rows]] == tenant]
        over = rows[today - cooldowns.day[rows].astype(np.int64) >= tenants.cooldown_days[tenant]]
        if len(over):
            cooldowns.free(over)


def _prune_payments(state: LaneState, begun_ms: I8) -> None:
    """Payments of a unit stay as long as it does; a sale that was named stays for its payments."""
    payments, units = state.payments, state.units
    rows = payments.live()
    unit = payments.unit[rows]
    kept = np.maximum(payments.kept_day[rows], np.where(unit >= 0, units.kept_day[unit], NO_DAY))
    over = _are_over(state, payments.scope[rows], kept, begun_ms)
    needed = payments.sale[rows[~over]].astype(np.int64)
    gone = np.setdiff1d(rows[over].astype(np.int64), needed)
    rows = units.live()
    ended = rows[_are_over(state, units.scope[rows], units.kept_day[rows], begun_ms)]
    if not len(gone) and not len(ended):
        return
    payments.free(gone)
    units.free(ended)
    state.relink_money()


def _are_over(state: LaneState, scopes: Rows, kept: I4, begun_ms: I8) -> Flags:
    """``begun_ms`` is per tenant."""
    tenant = state.scopes.tenant[scopes]
    today = state.tenant_day(tenant, begun_ms[tenant])
    age = today - kept.astype(np.int64)  # of NO_DAY, which nobody has told of yet, beyond any
    over: Flags = age >= state.tenants.window[tenant]
    return over


def _prune_crowds(state: LaneState, now_ms: int) -> None:
    """Days outside the window are not limited, so nobody asks what they had."""
    crowds = state.crowds
    rows = crowds.live()
    tenant = crowds.tenant[rows]
    over = rows[_ages(state, tenant, crowds.day[rows], now_ms) >= state.tenants.window[tenant]]
    if len(over):
        crowds.free(over)


def _prune_days(state: LaneState, now_ms: int) -> None:
    kept = (
        (state.visit_days, DAYS_KEPT),
        (state.segment_days, DAYS_KEPT),
        (state.flow_days, 0),
        (state.funnel_days, FUNNEL_DAYS),
        (state.uplift_months, DAYS_KEPT),
    )
    for table, days in kept:
        rows = table.live()
        over = _ages(state, table.tenant[rows], table.day[rows], now_ms) > days + _DAYS_AGAIN
        over &= table.due_ms[rows] == NEVER
        if over.any():
            table.free(rows[over])
    # Of any tenant: no calendar is further than a day from that of UTC.
    ends = state.day_ends
    rows = ends.live()
    over = now_ms // DAY_MS - ends.day[rows].astype(np.int64) > DAYS_KEPT + _DAYS_AGAIN
    if over.any():
        ends.free(rows[over])
