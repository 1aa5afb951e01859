"""Bring visit and payment events into the lane's terms: places, instants, days, words.

In:    ``VisitEvents``, ``PaymentEvents`` of one batch, the lane's clock at each record
Out:   ``VisitColumns``, ``PaymentColumns``, line by line
State: rows for words and places seen for the first time
"""

from __future__ import annotations

import numpy as np

from operators.payments import PaymentColumns
from operators.visits import VisitColumns
from schemas.batch import I1, I8, NONE, PaymentEvents, VisitEvents
from state.index import Rows
from state.lane import LaneState
from state.tables import NO_DAY, NO_WALL


def visit_columns(
    state: LaneState, events: VisitEvents, scopes: Rows, clock_ms: I8, imported: I1
) -> VisitColumns:
    """A local time is read in the zone of its place; the day is the tenant's.

    ``clock_ms`` and ``imported`` are per record.
    """
    scope = scopes[events.scope]
    tenant = state.scopes.tenant[scope].astype(np.int64)
    place = state.places_of(tenant.tolist(), events.branch.tolist())
    zone = state.places.zone[place]
    local = events.start_ms == NONE
    told = ~local | (events.local_ms != NONE)
    start = np.where(
        local & told, state.zones.to_instant(zone, _present(events.local_ms)), events.start_ms
    )
    day = np.where(told, state.tenant_day(tenant, _present(start)), NO_DAY).astype(np.int32)
    ahead = np.where(local & told, _present(events.local_ms) - start, NO_WALL).astype(np.int32)
    currency = state.intern(events.currency.tolist())
    return VisitColumns(
        record=events.record,
        scope=scope.astype(np.int32),
        id=events.id,
        id_text=events.id_text,
        version=events.version,
        status=events.status,
        start_ms=start,
        ahead_ms=ahead,
        keeps_start=events.keeps_start != 0,
        duration_s=np.maximum(events.duration_ms // 1000, -1).astype(np.int32),
        day=day,
        today=state.tenant_day(tenant, clock_ms[events.record]),
        amount=events.amount,
        is_major=events.amount_is_major != 0,
        money_unit=events.money_unit,
        foreign=foreign_currencies(state, tenant, currency),
        currency=currency,
        place=place,
        services=state.intern([text or None for text in events.services.tolist()]),
        staff=state.intern(events.staff.tolist()),
        name=events.name,
        imported=imported[events.record] != 0,
    )


def payment_columns(
    state: LaneState, events: PaymentEvents, scopes: Rows, clock_ms: I8
) -> PaymentColumns:
    """A local time is read in the zone of the branch that tells it; ``clock_ms`` is per record."""
    scope = scopes[events.scope]
    tenant = state.scopes.tenant[scope].astype(np.int64)
    place = state.places_of(tenant.tolist(), state.scopes.branch[scope].tolist())
    local = events.start_ms == NONE
    told = ~local | (events.local_ms != NONE)
    here = state.zones.to_instant(state.places.zone[place], _present(events.local_ms))
    start = np.where(local & told, here, events.start_ms)
    day = np.where(told, state.tenant_day(tenant, _present(start)), NO_DAY).astype(np.int32)
    return PaymentColumns(
        record=events.record,
        version=events.version,
        deleted=events.deleted != 0,
        is_sale=events.is_sale != 0,
        standing_in=events.client == NONE,
        start_ms=start,
        local_ms=np.where(local, events.local_ms, NONE),
        day=day,
        today=state.tenant_day(tenant, clock_ms[events.record]),
        amount=events.amount,
        place=place,
    )


def foreign_currencies(
    state: LaneState, tenants: Rows, currency: Rows
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Whether an amount's currency is told and is not the tenant's."""
    foreign = np.zeros(len(currency), np.bool_)
    for at in (currency >= 0).nonzero()[0].tolist():
        own = state.tenants.settings[tenants[at]].currency
        foreign[at] = own is not None and own != state.words.text[currency[at]]
    return foreign


def _present(instants: I8) -> I8:
    """Any instant will do where there is none: its result is not used."""
    return np.where(instants == NONE, 0, instants)
