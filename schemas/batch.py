"""What travels between the steps of a lane: raw chunks, event columns, outputs.

Takes: nothing; these are plain records shared by sources, operators, sinks and flows
Units: instants are int64 milliseconds since the Unix epoch, UTC; ``local`` times are the wall
       clock written as if it were UTC; money is an integer; ``NONE`` marks an absent integer
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.settings import TenantSettings

I1 = NDArray[np.int8]
I4 = NDArray[np.int32]
I8 = NDArray[np.int64]
Objects = NDArray[np.object_]

NONE = np.iinfo(np.int64).min
"""The absent integer: no version, no client, no instant."""

BOOKED, CONFIRMED, ATTENDED, NO_SHOW, CANCELLED, DELETED = range(6)
"""Visit statuses; the first two are open bookings, only ATTENDED counts."""

ACCEPTED, SENT, DELIVERED, READ, FAILED = range(1, 6)
"""Message statuses, in funnel order; FAILED stands apart."""

FORGOTTEN, NOBODYS = "forgotten", -1
"""Stands in for a phone, as text and as number, whose owner wants to be forgotten: not told, and
yet told. The text is known by being this very object."""

SERVICES_SEPARATOR = "\x1f"


class Scope(NamedTuple):
    """The name space in which a provider's ids are unique."""

    tenant: str
    provider: str
    branch: str


class Message(NamedTuple):
    """One encoded output: the log position that caused it, its key and its bytes."""

    position: int
    key: bytes
    value: bytes


class DeadLetter(NamedTuple):
    """A record that cannot be used, with its bytes; ``reason`` is from the closed set."""

    position: int
    stage: str
    reason: str
    message: str
    key: bytes | None
    value: bytes


@dataclass(slots=True)
class Chunk:
    """Raw records in log order, as a source hands them to decode.

    ``lane`` is -1 for files, where decode routes by tenant; ``appended_ms`` is the log's append
    time, ``None`` for files, where the envelope carries it. ``size_limit`` breaches are the
    decoder's to judge.
    """

    lane: int
    positions: I8
    appended_ms: I8 | None
    values: list[bytes]
    keys: list[bytes | None] | None = None


class Originals(NamedTuple):
    """A batch's records as they came: the chunk, and where in it each of them stands."""

    chunk: Chunk
    places: I8

    def value(self, record: int) -> bytes:
        """The record's bytes."""
        return self.chunk.values[int(self.places[record])]

    def letter(self, record: int, stage: str, reason: str, message: str) -> DeadLetter:
        """The record as a dead letter."""
        chunk, place = self.chunk, int(self.places[record])
        key = None if chunk.keys is None else chunk.keys[place]
        position = int(chunk.positions[place])
        return DeadLetter(position, stage, reason, message, key, chunk.values[place])


@dataclass(slots=True)
class VisitEvents:
    """One row per version of a visit (k rows)."""

    record: I4  # index into Batch.positions
    scope: I4  # index into Batch.scopes
    id: I8  # the provider's integer id, or a stable hash of its text
    id_text: Objects  # the text of an id that is not an integer, else None
    version: I8  # provider's version or change time; NONE: the position orders
    status: I1
    start_ms: I8  # instant, NONE where only local_ms is given
    local_ms: I8  # naive local start, NONE where start_ms is given
    keeps_start: I1  # 1: of all starts told of the visit, the earliest counts
    duration_ms: I8  # NONE if unknown
    client: I8  # client id (as ``id``), NONE: no client named
    phone: Objects  # as written by the provider, or None
    name: Objects
    money_unit: I8  # yclients ``visit_id``; NONE elsewhere
    amount: I8  # minor units, or thousandths of the major unit where amount_is_major
    amount_is_major: I1
    currency: Objects  # ISO 4217 or None: the tenant's
    branch: Objects  # where the visit takes place, "" if not told
    services: Objects  # titles joined by SERVICES_SEPARATOR
    staff: Objects


@dataclass(slots=True)
class ClientEvents:
    """One row per version of a CRM card."""

    record: I4
    scope: I4
    id: I8
    version: I8
    phone: Objects
    name: Objects
    birthday: I4  # yyyymmdd, 0 if unknown
    locale: Objects
    consent: I1  # marketing: 1 given, 0 denied, -1 not told
    sms_denied: I1  # marketing by SMS: 1 denied, 0 not denied, -1 not told
    deleted: I1
    aliases: Objects  # tuple of (kind, value), e.g. ("whatsapp_bsuid", "KZ.123"), or None


@dataclass(slots=True)
class StatusEvents:
    """Message statuses and senders' receipts."""

    record: I4
    scope: I4
    message: I8  # stable hash of the message id
    status: I1
    at_ms: I8
    command: Objects  # our command id, or None
    phone: Objects  # digits of the recipient as the provider writes them, or None
    error: I4  # provider's error code, 0 if none
    alias: Objects  # (kind, value) of the recipient, or None
    channel: Objects  # or None


@dataclass(slots=True)
class IncomingEvents:
    """Messages written by customers."""

    record: I4
    scope: I4
    message: I8
    at_ms: I8
    phone: Objects
    channel: Objects
    kind: Objects  # text, button, image, ...
    text: Objects
    alias: Objects  # (kind, value) of who writes, or None


@dataclass(slots=True)
class PaymentEvents:
    """Money operations that a provider sends apart from its visits.

    A payment is money that has moved. A sale (``is_sale``) is the price of goods: it counts unless
    a payment names the same sale, or the visit that it belongs to is paid.
    """

    record: I4
    scope: I4
    id: I8
    version: I8
    money_unit: I8  # yclients ``visit_id``; NONE: names no visit
    visit: I8  # the record (as ``VisitEvents.id``) that it is for, NONE where not told
    sale: I8  # the sale of goods that it is, or that it pays; NONE for neither
    is_sale: I1
    client: I8
    phone: Objects
    local_ms: I8
    start_ms: I8
    amount: I8  # thousandths of the major unit, negative for a refund
    deleted: I1


@dataclass(slots=True)
class SettingsEvent:
    """A tenant's new settings, already checked."""

    record: int
    tenant: str
    settings: TenantSettings


@dataclass(slots=True)
class ForgetEvent:
    """A customer's wish to be forgotten."""

    record: int
    tenant: str
    customer_id: str


@dataclass(slots=True)
class WebhookRows:
    """One row per webhook whose tenant and provider could be read, dead ones among them."""

    record: I4
    scope: I4  # index into Batch.scopes, the one without a branch
    dead: I1


@dataclass(slots=True)
class Batch:
    """One lane's records as event columns, n records in log order.

    ``positions`` and ``appended_ms`` have a row for every record, also for heartbeats, dead
    letters and those that carry nothing for us: they move the lane's clock.
    """

    lane: int
    positions: I8
    appended_ms: I8
    scopes: list[Scope]
    visits: VisitEvents
    clients: ClientEvents
    statuses: StatusEvents
    incoming: IncomingEvents
    payments: PaymentEvents
    webhooks: WebhookRows
    imported: I1
    """Per record: 1 where its events are history, which changes scores and fires nothing."""
    settings: list[SettingsEvent] = field(default_factory=list)
    forgets: list[ForgetEvent] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    counts: Counter[tuple[str, ...]] = field(default_factory=Counter)
    originals: Originals | None = None
    """Where the batch was decoded: what can still become a dead letter."""


STREAMS = ("commands", "decisions", "segments", "profiles", "aggregates")
"""Output streams that carry encoded messages; dead letters travel as records."""


@dataclass(slots=True)
class Outputs:
    """What folding one batch owes, each stream in its final order.

    ``next_position`` is the first position not folded yet: what a commit writes as C.
    ``digest`` is the lane's rolling digest after this batch.
    """

    lane: int
    next_position: int
    clock_ms: int
    digest: int
    streams: dict[str, list[Message]]
    dead_letters: list[DeadLetter]
    counts: Counter[tuple[str, ...]]
