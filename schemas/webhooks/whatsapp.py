"""Read webhooks of the WhatsApp Cloud API.

Takes: bodies with several entries, changes, statuses and messages
Out:   message statuses and incoming messages; a change of another field than ``messages`` and a
       status that says nothing of delivery are counted and skipped
Drift: where one status or message of a body cannot be understood, the others are kept and the
       body is refused once
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct, field

from schemas.batch import (
    DELIVERED,
    FAILED,
    I1,
    I4,
    I8,
    READ,
    SENT,
    Objects,
)
from schemas.record import UNREADABLE, TypedWebhook, Webhook, typed, unreadable
from schemas.webhooks import drift
from schemas.webhooks.drift import Whole
from schemas.webhooks.findings import (
    Findings,
)
from schemas.webhooks.message_columns import add_incoming, add_statuses
from schemas.webhooks.people import bsuid
from schemas.webhooks.times import from_seconds

CHANNEL = "whatsapp"

STATUSES = {"sent": SENT, "delivered": DELIVERED, "read": READ, "failed": FAILED}


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


class WhatsappWebhook(TypedWebhook, kw_only=True, gc=False, tag="whatsapp"):
    """A webhook whose body can be read as a whole."""

    body: Body


WEBHOOKS = (WhatsappWebhook,)

decode_body = msgspec.json.Decoder(Body, strict=False).decode
"""The whole body at once; raises where anything in it is wrong."""


class Reader:
    """Reads bodies one by one; ``finish`` adds to the findings what they said."""

    def __init__(self, provider: str, findings: Findings) -> None:
        self.provider = provider
        self.findings = findings
        self._scopes = findings.scopes
        self._statuses: list[Any] = []
        self._messages: list[Any] = []

    def read_raw(self, record: int, webhook: Webhook) -> None:
        """One webhook, or what of its body can be read."""
        try:
            body = decode_body(webhook.body)
        except UNREADABLE as error:
            body = _readable_part(record, webhook.body, error, self.findings)
            if not body.entry:
                return
        self.read(record, typed(webhook, WhatsappWebhook, body))

    def read(self, record: int, webhook: WhatsappWebhook) -> None:
        """One webhook; ``record`` is its place in the batch."""
        entries = webhook.body.entry
        if not entries:
            self.findings.ignore("empty")
        for entry in entries:
            for change in entry.changes:
                value = change.value
                if value is None or change.field != "messages":
                    self.findings.ignore("field")
                    continue
                branch: str | int | None = webhook.branch
                if branch is None and value.metadata is not None:
                    branch = value.metadata.phone_number_id
                scope = self._scopes[webhook.tenant, self.provider, branch]
                for status in value.statuses or ():
                    code = STATUSES.get(status.status)
                    if code is None:
                        self.findings.ignore("status")
                        continue
                    self._statuses += (
                        record,
                        scope,
                        status.id,
                        code,
                        status.timestamp,
                        status.biz_opaque_callback_data,
                        drift.error_code(status.errors) if status.errors else 0,
                        status.recipient_id,
                        status.recipient_user_id,
                    )
                if value.messages:
                    self._take_messages(record, scope, value)
                elif not value.statuses:
                    self.findings.ignore("empty")

    def _take_messages(self, record: int, scope: int, value: Value) -> None:
        contacts = value.contacts or ()
        for message in value.messages or ():
            phone = drift.phone(message.sender)
            user = message.from_user_id
            if not user:
                users = [each.user_id for each in contacts if each.wa_id == phone]
                user = users[0] if users else None
            self._messages += (
                record,
                scope,
                message.id,
                message.timestamp,
                message.type,
                _text(message),
                phone,
                user,
            )

    def finish(self) -> None:
        """Adds everything that was read."""
        if self._statuses:
            record, scope, message, status, seconds, command, error, phone, user = (
                self._statuses[at::9] for at in range(9)
            )
            tell_statuses(
                self.provider,
                self.findings,
                record=record,
                scope=scope,
                message=message,
                status=status,
                seconds=seconds,
                command=command,
                error=error,
                phone=phone,
                user=user,
            )
        _add_messages(self.provider, self._messages, self.findings)


def _text(message: Message) -> str | None:
    """What the customer said in words, if anything."""
    if message.text:
        return drift.text(message.text.body)
    if message.button:
        return drift.text(message.button.text)
    choice = message.interactive
    reply = choice and (choice.button_reply or choice.list_reply)
    return drift.text(reply.title) if reply else None


def _peers(
    phones: Sequence[Any] | Objects, users: Sequence[Any] | Objects
) -> tuple[Sequence[Any] | Objects, list[Any]]:
    """Phones and aliases; who hides the phone may stand in its place under the other name."""
    if any(users) or "." in "".join(filter(None, phones)):
        named = [bsuid(user) or bsuid(phone) for user, phone in zip(users, phones, strict=True)]
        return [None if bsuid(phone) else phone for phone in phones], named
    return phones, [None] * len(phones)


def tell_statuses(
    provider: str,
    findings: Findings,
    *,
    record: Sequence[int] | I4,
    scope: Sequence[int] | I4,
    message: Sequence[str] | I8,
    status: Sequence[int] | I1,
    seconds: Sequence[int] | I8,
    command: Sequence[Any] | Objects,
    error: Sequence[int] | I4 | None,
    phone: Sequence[Any] | Objects,
    user: Sequence[Any] | Objects,
) -> None:
    """Adds statuses; ``phone`` and ``user`` are what they call the recipient."""
    phones, alias = _peers(phone, user)
    add_statuses(
        findings,
        provider,
        "body.entry.changes.value.statuses.timestamp",
        record=record,
        scope=scope,
        message=message,
        status=status,
        at_ms=from_seconds(seconds),
        command=command,
        phone=phones,
        error=error,
        alias=alias,
        channel=CHANNEL,
    )


def _add_messages(provider: str, rows: list[Any], findings: Findings) -> None:
    if not rows:
        return
    columns = [rows[at::8] for at in range(8)]
    record, scope, message, seconds, kind, text, told, users = columns
    phone, alias = _peers(told, users)
    at_ms = from_seconds(seconds)
    add_incoming(
        findings,
        provider,
        "body.entry.changes.value.messages.timestamp",
        record=record,
        scope=scope,
        message=message,
        at_ms=at_ms,
        phone=phone,
        channel=CHANNEL,
        kind=kind,
        text=text,
        alias=alias,
    )


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


def _readable_part(record: int, body: Raw, error: Exception, findings: Findings) -> Body:
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
