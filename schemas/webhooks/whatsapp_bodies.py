"""Typed bodies of the WhatsApp Cloud API, and what of a body can be read piece by piece.

Takes: a body's JSON
Out:   ``Body``
Drift: each piece that cannot be understood refuses the body; the others are kept
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw, Struct, field

from schemas.record import UNREADABLE, unreadable
from schemas.webhooks.drift import Whole
from schemas.webhooks.findings import Findings


class Status(Struct, gc=False):
    """What became of one message of ours; ``timestamp`` is written as a text of seconds."""

    id: str
    status: str
    timestamp: Whole
    recipient_id: str | None = None
    recipient_user_id: str | None = None
    biz_opaque_callback_data: str | None = None
    errors: Any = None


class Text(Struct, gc=False):
    """A text message."""

    body: Any = None


class Button(Struct, gc=False):
    """A tap on a button of a template."""

    text: Any = None


class Reply(Struct, gc=False):
    """What was chosen of an interactive message."""

    title: Any = None


class Interactive(Struct, gc=False):
    """A choice from buttons or from a list."""

    button_reply: Reply | None = None
    list_reply: Reply | None = None


class Message(Struct, gc=False):
    """What a customer wrote; ``sender`` is absent where the customer hides the phone."""

    id: str
    timestamp: Whole
    sender: Any = field(name="from", default=None)
    from_user_id: str | None = None
    type: str = "unsupported"
    text: Text | None = None
    button: Button | None = None
    interactive: Interactive | None = None


class Contact(Struct, gc=False):
    """Who writes: ``wa_id`` is the phone's, and absent where the phone is hidden."""

    wa_id: str | None = None
    user_id: str | None = None


class Metadata(Struct, gc=False):
    """The number of ours that it is about."""

    phone_number_id: str | Whole | None = None


class Value(Struct, gc=False):
    """Statuses or messages of one number."""

    metadata: Metadata | None = None
    contacts: list[Contact] | None = None
    statuses: list[Status] | None = None
    messages: list[Message] | None = None


class Change(Struct, gc=False):
    """One update; only those of the field ``messages`` are read."""

    value: Value | None = None
    field: str = ""


class Entry(Struct, gc=False):
    """Updates of one business account."""

    changes: list[Change]


class Body(Struct, gc=False):
    """One POST, of up to a thousand updates."""

    entry: list[Entry]


decode_body = msgspec.json.Decoder(Body, strict=False).decode
"""The whole body at once; raises where anything in it is wrong."""


class _RawEntries(Struct):
    entry: list[Raw]


class _RawChanges(Struct):
    changes: list[Raw]


class _RawChange(Struct):
    field: str
    value: Raw = Raw(b"{}")


class _RawValue(Struct):
    metadata: Metadata | None = None
    contacts: Any = None
    statuses: list[Raw] | None = None
    messages: list[Raw] | None = None


_IDS_AS_TEXT = (
    "recipient_id",
    "recipient_user_id",
    "biz_opaque_callback_data",
    "id",
    "from",
    "from_user_id",
)


def readable_part(record: int, body: Raw, error: Exception, findings: Findings) -> Body:
    """What of a body can be read piece by piece; the first piece that cannot refuses the body.

    A body whose every piece can be read after all (an id was written as a number) is not refused.
    """
    readable = Body(entry=[])
    at = "body"
    try:
        entries = msgspec.json.decode(body, type=_RawEntries).entry
    except UNREADABLE:
        findings.refuse_body(record, body, error)
        return readable
    for e, entry in enumerate(entries):
        at = f"body.entry[{e}]"
        try:
            changes = msgspec.json.decode(entry, type=_RawChanges).changes
        except UNREADABLE as mistake:
            findings.refuse(record, *unreadable(mistake, at))
            continue
        kept = Entry(changes=[])
        readable.entry.append(kept)
        for c, raw in enumerate(changes):
            at = f"body.entry[{e}].changes[{c}]"
            try:
                change = msgspec.json.decode(raw, type=_RawChange)
                value = Value()
                if change.field == "messages":
                    value = _readable_value(record, change.value, f"{at}.value", findings)
                kept.changes.append(Change(value=value, field=change.field))
            except UNREADABLE as mistake:
                findings.refuse(record, *unreadable(mistake, at))
    return readable


def _readable_value(record: int, raw: Raw, at: str, findings: Findings) -> Value:
    value = msgspec.json.decode(raw, type=_RawValue, strict=False)
    contacts = _contacts(value.contacts)
    read = Value(metadata=value.metadata, contacts=contacts, statuses=[], messages=[])
    for name, kind, pieces in (
        ("statuses", Status, value.statuses or ()),
        ("messages", Message, value.messages or ()),
    ):
        for n, piece in enumerate(pieces):
            try:
                told = msgspec.json.decode(piece)
                if isinstance(told, dict):
                    told |= {key: str(told[key]) for key in _IDS_AS_TEXT if _is_number(told, key)}
                getattr(read, name).append(msgspec.convert(told, kind, strict=False))
            except UNREADABLE as mistake:
                findings.refuse(record, *unreadable(mistake, f"{at}.{name}[{n}]"))
    return read


def _contacts(told: Any) -> list[Contact]:
    """What can be read of them; they only add a name to a message."""
    try:
        return msgspec.convert(told or [], list[Contact], strict=False)
    except UNREADABLE:
        return []


def _is_number(told: dict[str, Any], key: str) -> bool:
    return type(told.get(key)) is int
