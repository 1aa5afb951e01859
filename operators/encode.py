"""Encode what the fold owes as messages, each stream in its final order.

In:    rows of customers with the position and instant of what happened to them
Out:   ``Message`` (position, key, JSON) per stream, ordered by (position, due, customer, rule)
State: read only
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from operator import itemgetter

import msgspec
import xxhash

from operators.segments import Codes, own_day, recency_days
from schemas.batch import ATTENDED, I4, I8, NONE, STREAMS, Message
from schemas.outputs import Cause, Command, Consent, Decision, Profile, SegmentChange
from state.index import Rows
from state.lane import LaneState
from state.tables import NO_DAY

_ENCODER = msgspec.json.Encoder()
_FINAL_ORDER = itemgetter(0, 1, 2, 3)
_DIGEST_MASK = (1 << 64) - 1

_Line = tuple[int, int, bytes, str, bytes]


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
        self._lines[stream].append((position, due_ms, key, rule, value))

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
            lines.sort(key=_FINAL_ORDER)
            ordered[stream] = [Message(line[0], line[2], line[4]) for line in lines]
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


def optional_instant(ms: int) -> str | None:
    """The instant as text, ``None`` for NONE."""
    return None if ms == NONE else instant_text(ms)


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
    table, clients = state.customers, state.clients
    rows = standing.customer
    tenants = table.tenant[rows].tolist()
    names = [state.tenants.name[tenant] for tenant in tenants]
    currencies = [state.tenants.settings[tenant].currency for tenant in tenants]
    recency = recency_days(standing.last_day, standing.today)
    for at, (row, name, key, phone, code, last, days) in enumerate(
        zip(
            rows.tolist(),
            names,
            table.id[rows].tolist(),
            table.phone[rows].tolist(),
            standing.segment.tolist(),
            standing.last_day.tolist(),
            recency.tolist(),
            strict=True,
        )
    ):
        client = speaker(state, row)
        profile = Profile(
            tenant=name,
            customer_id=key.decode(),
            phone=f"+{phone}",
            name=clients.name[client] if client >= 0 else None,
            aliases={},
            segment=segment_text(code),
            r=code // 100 or None,
            f=code // 10 % 10 or None,
            m=code % 10 or None,
            recency_days=None if last == NO_DAY else days,
            frequency=int(standing.frequency[at]),
            monetary_minor=int(standing.monetary[at]),
            currency=currencies[at],
            last_visit_at=optional_instant(int(standing.last_visit_ms[at])),
            next_booking_at=optional_instant(int(standing.next_booking_ms[at])),
            birthday=birthday_text(int(clients.birthday[client])) if client >= 0 else None,
            consent=consents(state, row),
            as_of=instant_text(int(standing.as_of_ms[at])),
            position=int(table.position[row]),
        )
        owed.add("profiles", int(positions[at]), int(due_ms[at]), key, "", _ENCODER.encode(profile))


def birthday_text(birthday: int) -> str | None:
    """``YYYY-MM-DD`` of a number yyyymmdd."""
    if not birthday:
        return None
    return f"{birthday // 10_000:04d}-{birthday // 100 % 100:02d}-{birthday % 100:02d}"


def consents(state: LaneState, customer: int) -> dict[str, Consent]:
    """What the newest of the customer's cards says about marketing."""
    clients = state.clients
    client = int(state.customers.first_client[customer])
    newest: tuple[int, int] | None = None
    while client >= 0:
        if clients.consent[client] >= 0:
            told = (int(clients.consent_ms[client]), int(clients.consent[client]))
            newest = told if newest is None else max(newest, told)
        client = int(clients.next_client[client])
    if newest is None:
        return {}
    return {
        "marketing": Consent(value=bool(newest[1]), at=instant_text(newest[0]), source="client")
    }
