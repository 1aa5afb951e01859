"""Encode what the fold owes as messages, each stream in its final order.

In:    rows of customers with the position and instant of what happened to them
Out:   ``Message`` (position, key, JSON) per stream, ordered by (position, due, customer, rule)
State: read only
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np
import xxhash

from operators.features import walk
from operators.segments import Codes, own_day, recency_days
from schemas.batch import ATTENDED, I4, I8, NONE, STREAMS, Message
from schemas.outputs import Cause, Command, Consent, Decision, Profile, SegmentChange
from state.index import Rows
from state.lane import LaneState
from state.tables import NO_DAY

_ENCODER = msgspec.json.Encoder()
_DIGEST_MASK = (1 << 64) - 1

_NONE_KNOWN: dict[str, Any] = {}

_Line = tuple[int, int, bytes, str, int, bytes]


class Owed:
    """Collects outputs while a batch is folded.

    Within one position, instant, customer and rule the order of adding stays: it is the order of
    that customer's own events, which no cut of the log can change.
    """

    def __init__(self) -> None:
        self._lines: dict[str, list[_Line]] = {stream: [] for stream in STREAMS}

    def add(
        self, stream: str, position: int, due_ms: int, key: bytes, rule: str, value: bytes
    ) -> None:
        """Owes one encoded message."""
        lines = self._lines[stream]
        lines.append((position, due_ms, key, rule, len(lines), value))

    def decision(self, due_ms: int, decision: Decision) -> None:
        """Owes a decision."""
        key = decision.customer_id.encode()
        value = _ENCODER.encode(decision)
        self.add("decisions", decision.position, due_ms, key, decision.trigger, value)

    def command(self, position: int, due_ms: int, command: Command) -> bytes:
        """Owes a command; returns its bytes."""
        value = _ENCODER.encode(command)
        key = command.customer_id.encode()
        self.add("commands", position, due_ms, key, command.trigger, value)
        return value

    def streams(self) -> dict[str, list[Message]]:
        """Everything owed, in final order."""
        ordered = {}
        for stream, lines in self._lines.items():
            lines.sort()
            ordered[stream] = [Message(line[0], line[2], line[5]) for line in lines]
        return ordered


def digest_of(streams: dict[str, list[Message]]) -> int:
    """Sum of the hashes of all messages, modulo 2**64: the same for any cut of the log."""
    digest = xxhash.xxh3_64_intdigest
    return (
        sum(
            digest(message.value, message.position)
            for messages in streams.values()
            for message in messages
        )
        & _DIGEST_MASK
    )


@lru_cache(maxsize=65_536)
def instant_text(ms: int) -> str:
    """RFC 3339, UTC, with milliseconds only where there are any."""
    moment = datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{moment}.{ms % 1000:03d}Z" if ms % 1000 else f"{moment}Z"


@lru_cache(maxsize=64)
def segment_text(code: int) -> str:
    """``333`` to ``111``, ``000`` for a lead."""
    return f"{code:03d}"


def owe_segment_changes(
    state: LaneState,
    owed: Owed,
    customers: Rows,
    before: Codes,
    cause: list[Cause],
    at_ms: I8,
    positions: I8,
    due_ms: I8,
) -> None:
    """One message for each customer whose segment is another one than before."""
    table = state.customers
    tenants = table.tenant[customers]
    for name, key, old, new, why, at, position, due in zip(
        state.tenants.name[tenants].tolist(),
        table.id[customers].tolist(),
        before.tolist(),
        table.segment[customers].tolist(),
        cause,
        at_ms.tolist(),
        positions.tolist(),
        due_ms.tolist(),
        strict=True,
    ):
        change = SegmentChange(
            tenant=name,
            customer_id=key.decode(),
            from_=segment_text(old),
            to=segment_text(new),
            cause=why,
            at=instant_text(at),
            position=position,
        )
        owed.add("segments", position, due, key, "", _ENCODER.encode(change))


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


@dataclass(slots=True)
class Standing:
    """What a profile says of n customers: their score and the day and instant of it."""

    customer: Rows
    segment: Codes
    last_day: I4
    last_visit_ms: I8
    next_booking_ms: I8
    frequency: I4
    monetary: I8
    today: I4
    as_of_ms: I8


def standing_of(state: LaneState, customers: Rows) -> Standing:
    """The score that the lane keeps, as of the last change."""
    table = state.customers
    as_of = table.as_of_ms[customers]
    return Standing(
        customer=customers,
        segment=table.segment[customers],
        last_day=table.last_day[customers],
        last_visit_ms=table.last_visit_ms[customers],
        next_booking_ms=table.next_booking_ms[customers],
        frequency=table.frequency[customers],
        monetary=table.monetary[customers],
        today=own_day(state, customers, as_of),
        as_of_ms=as_of,
    )


def owe_profiles(
    state: LaneState, owed: Owed, standing: Standing, positions: I8, due_ms: I8
) -> None:
    """One profile for each customer, owed at the given positions and instants."""
    table = state.customers
    rows = standing.customer
    tenants = table.tenant[rows].tolist()
    client = _speakers(state, rows)
    recency = recency_days(standing.last_day, standing.today)
    for (
        tenant,
        key,
        phone,
        name,
        birthday,
        code,
        last,
        days,
        f,
        m,
        last_ms,
        next_ms,
        as_of,
        changed,
        consent,
        at,
        due,
    ) in zip(
        tenants,
        table.id[rows].tolist(),
        table.phone[rows].tolist(),
        np.where(client >= 0, state.clients.name[client], None).tolist(),
        np.where(client >= 0, state.clients.birthday[client], 0).tolist(),
        standing.segment.tolist(),
        standing.last_day.tolist(),
        recency.tolist(),
        standing.frequency.tolist(),
        standing.monetary.tolist(),
        standing.last_visit_ms.tolist(),
        standing.next_booking_ms.tolist(),
        standing.as_of_ms.tolist(),
        table.position[rows].tolist(),
        consents(state, rows),
        positions.tolist(),
        due_ms.tolist(),
        strict=True,
    ):
        profile = Profile(
            tenant=state.tenants.name[tenant],
            customer_id=key.decode(),
            phone=f"+{phone}",
            name=name,
            aliases=_NONE_KNOWN,
            segment=segment_text(code),
            r=code // 100 or None,
            f=code // 10 % 10 or None,
            m=code % 10 or None,
            recency_days=None if last == NO_DAY else days,
            frequency=f,
            monetary_minor=m,
            currency=state.tenants.settings[tenant].currency,
            last_visit_at=None if last_ms == NONE else instant_text(last_ms),
            next_booking_at=None if next_ms == NONE else instant_text(next_ms),
            birthday=birthday_text(birthday) if birthday else None,
            consent=consent,
            as_of=instant_text(as_of),
            position=changed,
        )
        owed.add("profiles", at, due, key, "", _ENCODER.encode(profile))


def _speakers(state: LaneState, customers: Rows) -> Rows:
    """``speaker`` of each; most customers have one card."""
    clients = state.customers.first_client[customers]
    several = (clients >= 0) & (state.clients.next_client[clients] >= 0)
    for at in np.flatnonzero(several).tolist():
        clients[at] = speaker(state, int(customers[at]))
    return clients


def consents(state: LaneState, customers: Rows) -> list[dict[str, Consent]]:
    """What the newest of each customer's cards says about marketing."""
    clients = state.clients
    found = [_NONE_KNOWN] * len(customers)
    owner, client = walk(
        state.customers.first_client[customers],
        clients.next_client,
        np.arange(len(customers), dtype=np.int32),
    )
    told = clients.consent[client] >= 0
    owner, client = owner[told], client[told]
    # Sorted by when it was told: the last one written stays.
    for at in np.lexsort((clients.consent[client], clients.consent_ms[client])).tolist():
        row = client[at]
        found[owner[at]] = {
            "marketing": Consent(
                value=bool(clients.consent[row]),
                at=instant_text(int(clients.consent_ms[row])),
                source="client",
            )
        }
    return found


@lru_cache(maxsize=65_536)
def birthday_text(birthday: int) -> str:
    """``YYYY-MM-DD`` of a number yyyymmdd."""
    return f"{birthday // 10_000:04d}-{birthday // 100 % 100:02d}-{birthday % 100:02d}"
