"""What a lane says: commands, decisions, segment changes and profiles.

Units: every time is RFC 3339 text, UTC with ``Z`` unless its name says local; money is an integer
       of minor units
Readers: fields stay in this order, none is left out, unknown ones are ``null``
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from schemas.segments import CODES, SCHEME
from schemas.triggers import Category

Kind = Literal[
    "birthday",
    "reminder",
    "after_visit",
    "rebook",
    "winback",
    "no_show",
    "segment_entered",
    "reply",
]
Outcome = Literal["sent", "held", "refused", "withdrawn", "holdout"]
Reason = Literal[
    "segment",
    "cooldown",
    "undeliverable",
    "consent",
    "channel",
    "future_booking",
    "stale",
    "quiet_hours",
    "priority",
    "cap",
    "holdout",
]
DeadReason = Literal["envelope", "json", "provider", "shape", "time", "clock", "tenant", "size"]
Cause = Literal["visit", "time", "thresholds", "history", "correction", "merge"]

CustomerId = Annotated[str, Meta(extra_json_schema={"pattern": "^[0-9a-f]{32}$"})]
Hash = Annotated[str, Meta(extra_json_schema={"pattern": "^[0-9a-f]{32}$"})]
Code = Annotated[str, Meta(extra_json_schema={"enum": list(CODES)})]
Instant = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
Digit = Annotated[int, Meta(ge=1, le=3)]
Position = Annotated[int, Meta(ge=0)]


class Rfm(msgspec.Struct, frozen=True, gc=False):
    """Features of the customer when the command was made."""

    recency_days: int | None
    """``None``: no attended visit yet."""
    frequency: int
    monetary_minor: int
    currency: str | None


class Visit(msgspec.Struct, frozen=True, gc=False):
    """The booking that a command is about: all records of one customer, branch and local day."""

    ids: list[str]
    starts_at: Instant
    local_start: str
    """Wall clock of the branch, ``2026-11-20T12:00:00``."""
    services: list[str]
    staff: list[str]


class Command(msgspec.Struct, frozen=True, gc=False):
    """One instruction to a sender: a template, a customer, channels to try in order."""

    command_id: Hash
    tenant: str
    customer_id: CustomerId
    phone: str | None
    aliases: dict[str, str]
    name: str | None
    trigger: str
    kind: Kind
    category: Category
    channels: list[str]
    template: str
    params: dict[str, Any]
    locale: str
    timezone: str
    branch: str | None
    visit: Visit | None
    segment: Code
    rfm: Rfm
    scheme: str
    thresholds_version: str
    due_at: Instant
    expires_at: Instant
    created_at: Instant
    occasion: str
    withdrawn: bool


class Decision(msgspec.Struct, frozen=True, gc=False):
    """What became of a due trigger; ``held`` is the one outcome that is not final."""

    decision_id: Hash
    command_id: Hash
    tenant: str
    customer_id: CustomerId
    trigger: str
    outcome: Outcome
    reason: Reason | None
    at: Instant
    position: Position


class SegmentChange(msgspec.Struct, frozen=True, gc=False):
    """A customer moved from one segment to another; a first ``from`` is ``000``."""

    tenant: str
    customer_id: CustomerId
    from_: Code = msgspec.field(name="from")
    to: Code
    cause: Cause
    at: Instant
    position: Position


class Consent(msgspec.Struct, frozen=True, gc=False):
    """What a customer said about a category of messages, when, and where it was said."""

    value: bool
    at: Instant
    source: Literal["client", "message"]


class Profile(msgspec.Struct, frozen=True, gc=False):
    """Everything known of a customer, absolute, as of a moment of the lane's clock."""

    tenant: str
    customer_id: CustomerId
    phone: str | None
    name: str | None
    aliases: dict[str, str]
    segment: Code
    r: Digit | None
    f: Digit | None
    m: Digit | None
    recency_days: int | None
    frequency: int
    monetary_minor: int
    currency: str | None
    last_visit_at: Instant | None
    next_booking_at: Instant | None
    birthday: str | None
    """``YYYY-MM-DD``."""
    consent: dict[str, Consent]
    """What the customer said by category; a category that is missing is not known."""
    as_of: Instant
    position: Position


class Tombstone(msgspec.Struct, frozen=True, gc=False):
    """The last profile of an id that is no more: merged into another one, or forgotten."""

    tenant: str
    customer_id: CustomerId
    merged_into: CustomerId | None
    forgotten: bool
    as_of: Instant
    position: Position


class DeadLetterErrors(msgspec.Struct, frozen=True, gc=False):
    """Why a record is dead and where it stood; in Kafka these are headers."""

    topic: str | None
    partition: int | None
    offset: Position
    stage: str
    reason: DeadReason
    message: str


class DeadLetterLine(msgspec.Struct, frozen=True, gc=False):
    """A dead letter as ``dead_letters.ndjson`` has it: the bytes in base64."""

    key: str | None
    value: str
    errors: DeadLetterErrors


decode_command = msgspec.json.Decoder(Command).decode
decode_decision = msgspec.json.Decoder(Decision).decode
decode_change = msgspec.json.Decoder(SegmentChange).decode
decode_profile = msgspec.json.Decoder(Profile).decode
decode_tombstone = msgspec.json.Decoder(Tombstone).decode
"""Bytes to an output, for who knows which it is; all raise ``msgspec.DecodeError``."""


def instant_ms(text: str) -> int:
    """Milliseconds of an instant as outputs write it."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)


OUTPUTS = {
    "command": Command,
    "decision": Decision,
    "segment_change": SegmentChange,
    "profile": Profile,
    "tombstone": Tombstone,
    "dead_letter": DeadLetterLine,
}

__all__ = [
    "OUTPUTS",
    "SCHEME",
    "Command",
    "Consent",
    "DeadLetterLine",
    "Decision",
    "Profile",
    "Rfm",
    "SegmentChange",
    "Tombstone",
    "Visit",
    "decode_change",
    "decode_command",
    "decode_decision",
    "decode_profile",
    "decode_tombstone",
    "instant_ms",
]
