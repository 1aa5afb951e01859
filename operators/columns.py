"""Bring visit events into the lane's terms: places, instants, days, minor units, words.

In:    ``VisitEvents`` of one batch, the lane's clock at each record
Out:   ``VisitColumns``, line by line
State: rows for words and places seen for the first time
"""

from __future__ import annotations

import numpy as np

from operators.visits import VisitColumns
from schemas.batch import I8, NONE, VisitEvents
from state.index import Rows
from state.lane import LaneState
from state.tables import NO_DAY

_MAJOR_DIGITS = 3  # decoders give major units in thousandths


def visit_columns(
    state: LaneState, events: VisitEvents, scopes: Rows, clock_ms: I8
) -> VisitColumns:
    """A local time is read in the zone of its place; the day is the tenant's."""
    scope = scopes[events.scope]
    tenant = state.scopes.tenant[scope]
    place = state.places_of(tenant.tolist(), events.branch.tolist())
    zone = state.places.zone[place]
    local = events.start_ms == NONE
    told = ~local | (events.local_ms != NONE)
    start = np.where(
        local & told, state.zones.to_instant(zone, _present(events.local_ms)), events.start_ms
    )
    day = np.where(told, state.tenant_day(tenant, _present(start)), NO_DAY).astype(np.int32)
    currency = state.intern(events.currency.tolist())
    return VisitColumns(
        record=events.record,
        scope=scope,
        id=events.id,
        id_text=events.id_text,
        version=events.version,
        status=events.status,
        start_ms=start,
        local_ms=np.where(local, events.local_ms, NONE),
        duration_ms=events.duration_ms,
        day=day,
        today=state.tenant_day(tenant, clock_ms[events.record]),
        amount=_minor(state, tenant, events),
        foreign=foreign_currencies(state, tenant, currency),
        currency=currency,
        place=place,
        services=state.intern([text or None for text in events.services.tolist()]),
        staff=state.intern(events.staff.tolist()),
        name=events.name,
    )


def foreign_currencies(
    state: LaneState, tenants: Rows, currency: Rows
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Whether an amount's currency is told and is not the tenant's."""
    foreign = np.zeros(len(currency), np.bool_)
    for at in np.flatnonzero(currency >= 0).tolist():
        own = state.tenants.settings[tenants[at]].currency
        foreign[at] = own is not None and own != state.words.text[currency[at]]
    return foreign


def _present(instants: I8) -> I8:
    """Any instant will do where there is none: its result is not used."""
    return np.where(instants == NONE, 0, instants)


def _minor(state: LaneState, tenant: Rows, events: VisitEvents) -> I8:
    """Minor units of the tenant's currency, halves away from zero."""
    digits = np.maximum(_MAJOR_DIGITS - state.tenants.exponent[tenant].astype(np.int64), 0)
    divisor = np.where(events.amount_is_major != 0, 10**digits, 1)
    size = np.abs(events.amount)
    minor: I8 = np.sign(events.amount) * ((size + divisor // 2) // divisor)
    return minor
