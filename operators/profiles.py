"""Write customers' profiles: absolute values, as of the last change.

In:    rows of customers that are due for a flush
Out:   ``Standing``: what their profiles say, captured now; ``Profile`` as JSON once they are sorted
State: read only
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from operators.consent import told_consents
from operators.features import compute_features, history_of
from operators.people import told_aliases
from operators.segments import Codes, own_day, recency_days, segment_codes
from schemas.batch import ATTENDED, I4, I8, NONE, Objects
from schemas.forms import DATE, INSTANT, JSON, KEY, NUMBER, PHONE, TEXT, VALUE, form_of
from schemas.outputs import Profile
from schemas.texts import segment_text
from state.index import Rows
from state.lane import LaneState
from state.tables import NO_DAY, Flags

_PROFILE = form_of(
    Profile,
    TEXT,
    KEY,
    PHONE,
    TEXT,
    VALUE,  # aliases
    KEY,
    *[NUMBER] * 6,  # r to monetary_minor
    TEXT,
    INSTANT,
    INSTANT,
    DATE,
    JSON,  # consent
    INSTANT,
    NUMBER,
)

_CODES = range(334)
SEGMENTS = np.array([segment_text(code) for code in _CODES], "S3")
"""Codes as text, by their numbers."""

_DIGITS = np.array([(code // 100, code // 10 % 10, code % 10) for code in _CODES])
_SCORED = np.where(_DIGITS, _DIGITS, NONE)

NOWHERE: I8 = np.zeros(0, np.int64)
"""Positions and instants of a standing that is not owed as profiles."""


@dataclass(slots=True)
class Standing:
    """What is to be said of n customers, and where it is owed as a profile; one line each."""

    tenant: I4
    key: NDArray[np.bytes_]
    phone: I8
    name: Objects
    birthday: I4
    locale: Objects
    aliases: Objects
    consent: Objects
    segment: Codes
    last_day: I4
    last_visit_ms: I8
    next_booking_ms: I8
    frequency: I4
    monetary: I8
    currency: Objects
    today: I4
    as_of_ms: I8
    score_changed: Flags
    changed_at: I8
    owed_at: I8
    due_ms: I8

    def take(self, lines: NDArray[np.intp]) -> Standing:
        """The same with these lines."""
        return Standing(*(getattr(self, field.name)[lines] for field in fields(self)))

    def recency(self) -> I8:
        """Whole days since the last attended visit, NONE for who never came."""
        return told_recency(self.last_day, self.today)


def told_recency(last_day: I4, today: I4) -> I8:
    """Whole days since the last attended visit, NONE for who never came."""
    return np.where(last_day == NO_DAY, NONE, recency_days(last_day, today))


def standing_of(state: LaneState, customers: Rows, owed_at: I8, due_ms: I8) -> Standing:
    """The score that the lane keeps, as of each customer's last change."""
    table = state.customers
    client = speakers(state, customers)
    as_of = table.as_of_ms[customers]
    return Standing(
        tenant=table.tenant[customers],
        key=table.id[customers],
        phone=table.phone[customers],
        name=_told(state.clients.name, client),
        birthday=np.where(client >= 0, state.clients.birthday[client], 0),
        locale=_told(state.clients.locale, client),
        aliases=told_aliases(state, customers),
        consent=told_consents(state, customers),
        segment=table.segment[customers],
        last_day=table.last_day[customers],
        last_visit_ms=table.last_visit_ms[customers],
        next_booking_ms=table.next_booking_ms[customers],
        frequency=table.frequency[customers],
        monetary=table.monetary[customers],
        currency=_currencies(state, table.tenant[customers]),
        today=own_day(state, customers, as_of),
        as_of_ms=as_of,
        score_changed=table.score_changed[customers],
        changed_at=table.position[customers],
        owed_at=owed_at,
        due_ms=due_ms,
    )


def standing_now(state: LaneState, customers: Rows) -> Standing:
    """What can be said as of the lane's clock."""
    tenants = state.customers.tenant[customers]
    now = np.full(len(customers), state.clock_ms)
    today = state.tenant_day(tenants, now)
    features = compute_features(state, customers, history_of(state, customers), today, now)
    return replace(
        standing_of(state, customers, np.full(len(customers), state.position), now),
        segment=segment_codes(state, tenants, features, today),
        last_day=features.last_day,
        last_visit_ms=features.last_visit_ms,
        next_booking_ms=features.next_booking_ms,
        frequency=features.frequency,
        monetary=features.monetary,
        today=today,
        as_of_ms=now,
    )


def joined(standings: list[Standing]) -> Standing:
    """All lines, in the order in which they were captured."""
    if len(standings) == 1:
        return standings[0]
    names = [field.name for field in fields(Standing)]
    return Standing(*(np.concatenate([getattr(s, name) for s in standings]) for name in names))


def standing_order(standing: Standing) -> NDArray[np.intp]:
    """Lines by position, instant and customer; the order of capture decides what is equal."""
    return np.lexsort((standing.key, standing.due_ms, standing.owed_at))


def encoded_profiles(state: LaneState, standing: Standing) -> list[bytes]:
    """One JSON object a line."""
    return _PROFILE.fill(
        state.tenants.name[standing.tenant].tolist(),
        standing.key,
        standing.phone,
        standing.name.tolist(),
        standing.aliases.tolist(),
        *scored(standing.segment),
        standing.recency(),
        standing.frequency,
        standing.monetary,
        standing.currency.tolist(),
        standing.last_visit_ms,
        standing.next_booking_ms,
        standing.birthday,
        standing.consent.tolist(),
        standing.as_of_ms,
        standing.changed_at,
    )


def scored(codes: Codes) -> tuple[NDArray[np.bytes_], I8, I8, I8]:
    """Segments as text, and their R, F and M, NONE for a lead."""
    told = _SCORED[codes]
    return SEGMENTS[codes], told[:, 0], told[:, 1], told[:, 2]


def _currencies(state: LaneState, tenants: I4) -> Objects:
    settings = state.tenants.settings
    found = np.empty(len(tenants), np.object_)
    found[:] = [settings[tenant].currency for tenant in tenants.tolist()]
    return found


def _told(column: Objects, clients: Rows) -> Objects:
    told: Objects = column[clients]
    told[clients < 0] = None
    return told


def speakers(state: LaneState, customers: Rows) -> Rows:
    """``speaker`` of each; most customers have one card."""
    clients = state.customers.first_client[customers]
    several = (clients >= 0) & (state.clients.next_client[clients] >= 0)
    for at in several.nonzero()[0].tolist():
        clients[at] = speaker(state, int(customers[at]))
    return clients


def speaker(state: LaneState, customer: int) -> int:
    """The client whose name and birthday are the customer's: of the latest attended visit.

    One without a name speaks only if none has one; ties go to the smallest key; -1: no client.
    """
    clients, visits = state.clients, state.visits
    client = int(state.customers.first_client[customer])
    if client < 0 or clients.next_client[client] < 0:
        return client
    best, best_rank = -1, (-1, NONE, 0)
    while client >= 0:
        latest = int(clients.gone_ms[client])
        visit = int(clients.first_visit[client])
        while visit >= 0:
            if visits.status[visit] == ATTENDED:
                latest = max(latest, int(visits.start_ms[visit]))
            visit = int(visits.next_visit[visit])
        rank = (int(clients.name[client] is not None), latest, -int(clients.key[client]))
        if rank > best_rank:
            best, best_rank = client, rank
        client = int(clients.next_client[client])
    return best
