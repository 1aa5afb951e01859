"""The record: one line of the log, whatever it carries, and how it is decoded.

Takes: JSON objects told apart by ``kind``; the body of a webhook stays as raw bytes
Errors: ``unreadable`` says why a record is none, with a path and without any value of it
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from schemas.webhooks import MODULES

SIZE_LIMIT = 4 * 1024 * 1024
"""Bytes of a record; a larger one is not even parsed."""

REASONS = ("envelope", "json", "provider", "shape", "time", "clock", "tenant", "size")
"""Why a record can be a dead letter."""

PROVIDERS = tuple(MODULES)
"""Who may send webhooks."""

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises on bytes that are not the JSON that was asked for."""

Tenant = Annotated[str, Meta(description="The business that the record belongs to", min_length=1)]
ReceivedAt = Annotated[
    str,
    Meta(
        description="When the gateway got it, RFC 3339 with a zone",
        examples=["2026-11-22T10:00:00.123Z"],
    ),
]
AppendedAt = Annotated[
    str | None,
    Meta(description="The log's append time, in an exported file; without it received_at counts"),
]


class Webhook(Struct, kw_only=True, gc=False, tag_field="kind", tag="webhook"):
    """What a provider sent us, untouched."""

    tenant: Tenant
    provider: Annotated[str, Meta(description="Who sent it", examples=list(PROVIDERS))]
    branch: Annotated[
        str | int | None, Meta(description="The branch that it is about; else the body tells")
    ] = None
    received_at: ReceivedAt
    appended_at: AppendedAt = None
    body: Annotated[
        Raw, Meta(description="The provider's JSON as it came; a string where it is not JSON")
    ]


class TypedWebhook(Struct, kw_only=True, gc=False, tag_field="provider"):
    """A webhook whose envelope and body are decoded in one pass; a subclass for each provider.

    What can be read like this says the same as a ``Webhook``, but not every webhook can. Bodies
    are decoded leniently, an envelope is not: a branch that is a number could be a fraction.
    """

    kind: Literal["webhook"]
    tenant: Tenant
    branch: str | None = None
    received_at: ReceivedAt
    appended_at: AppendedAt = None
    body: Any


T = TypeVar("T", bound=TypedWebhook)


def typed(webhook: Webhook, kind: type[T], body: object) -> T:
    """The webhook with its body decoded; a branch 0 is one that is not told."""
    return kind(
        kind="webhook",
        tenant=webhook.tenant,
        branch=None if webhook.branch is None else str(webhook.branch or ""),
        received_at=webhook.received_at,
        appended_at=webhook.appended_at,
        body=body,
    )


class Receipt(Struct, kw_only=True, gc=False, tag_field="kind", tag="receipt"):
    """A sender's answer to a command, one for each attempt."""

    tenant: Tenant
    received_at: ReceivedAt
    appended_at: AppendedAt = None
    command_id: Annotated[str, Meta(description="The command that was carried out", min_length=1)]
    message_id: Annotated[
        str | None, Meta(description="The provider's id of the message, once there is one")
    ] = None
    channel: Annotated[str | None, Meta(description="The channel that was tried")] = None
    status: Literal["accepted", "failed"]
    error: Annotated[Any, Meta(description="Of a failed attempt: the provider's error code")] = None


class SettingsRecord(Struct, kw_only=True, gc=False, tag_field="kind", tag="settings"):
    """A tenant's settings, in full; they hold from this record on."""

    tenant: Tenant
    received_at: ReceivedAt
    appended_at: AppendedAt = None
    settings: Annotated[Raw, Meta(description="As in the schema of the settings")]


class History(Struct, kw_only=True, gc=False, tag_field="kind", tag="history"):
    """Imported past: it changes features and segments and fires nothing."""

    tenant: Tenant
    received_at: ReceivedAt
    appended_at: AppendedAt = None
    visits: Annotated[Raw | UnsetType, Meta(description="Visits as in generic webhooks")] = UNSET
    customers: Annotated[Raw | UnsetType, Meta(description="Clients as in generic webhooks")] = (
        UNSET
    )


class Forget(Struct, kw_only=True, gc=False, tag_field="kind", tag="forget"):
    """A customer's request to be forgotten."""

    tenant: Tenant
    received_at: ReceivedAt
    appended_at: AppendedAt = None
    customer_id: Annotated[str, Meta(description="Whom to forget", min_length=1)]


class Heartbeat(Struct, kw_only=True, gc=False, tag_field="kind", tag="heartbeat"):
    """Time passes in a lane without traffic; in a file it reaches every lane."""

    received_at: ReceivedAt
    appended_at: AppendedAt = None


Record = Webhook | Receipt | SettingsRecord | History | Forget | Heartbeat

RECORD_KINDS = (Webhook, Receipt, SettingsRecord, History, Forget, Heartbeat)

decode_record = msgspec.json.Decoder(Record).decode
"""Bytes to a record; raises ``UNREADABLE``."""


class Outline(Struct, gc=False):
    """What can still be told of a record that is none: where it belongs, and its time."""

    kind: Any = None
    tenant: Any = None
    received_at: Any = None
    appended_at: Any = None


decode_outline = msgspec.json.Decoder(Outline).decode

well_formed = msgspec.json.Decoder(Raw).decode
"""Raises ``UNREADABLE`` where bytes are no JSON at all; texts are not looked into."""

_AT = re.compile(r" - at `(?:key in )?\$?\.?(?P<path>[^`]*)`$")
_MISSING = re.compile(r"Object missing required field `(?P<field>[^`]*)`")
_TIMES = frozenset(
    ["received_at", "appended_at", "at", "starts_at", "ends_at", "timestamp", "dateTime"]
)
_LONGEST = 200


def utc_text(at: datetime) -> str:
    """An instant, which is in UTC, as records tell it: RFC 3339 with milliseconds and ``Z``."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def unreadable(error: Exception, path: str = "") -> tuple[str, str]:
    """The reason (``shape``, ``time``, ``json``) and a message, ``path: what is wrong``, no values.

    A time that is there and cannot be understood is a ``time``, whatever it is written as.
    """
    if isinstance(error, RecursionError):
        return "json", _placed(path, "nested too deep")
    if isinstance(error, UnicodeDecodeError):
        return "json", _placed(path, "not UTF-8")
    text = str(error)
    if not isinstance(error, msgspec.ValidationError):
        return "json", _placed(path, text)
    inner = ""
    if at := _AT.search(text):
        inner, text = at["path"], text[: at.start()]
    if missing := _MISSING.fullmatch(text):
        inner, text = f"{inner}.{missing['field']}", "missing"
    elif text.startswith("Invalid"):  # msgspec quotes the value, which may be anything
        text = "not a value that is known"
    steps = [step.strip(".") for step in (path, inner) if step.strip(".")]
    is_time = inner.rpartition(".")[2] in _TIMES and not text.endswith(("missing", "got `null`"))
    return "time" if is_time else "shape", _placed(".".join(steps).replace(".[", "["), text)


def _placed(path: str, text: str) -> str:
    return f"{path}: {text}"[:_LONGEST] if path else text[:_LONGEST]
