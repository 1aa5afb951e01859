"""Read webhooks of Wazzup (v3), which passes on several messengers.

Takes: bodies with messages, statuses or both; ``{"test": true}`` probes and bodies of other kinds
       are counted and skipped
Out:   message statuses, which name no person, and incoming messages. A WhatsApp chat is named by a
       phone, any other by an alias of its ``chatType``; what staff wrote by hand (``isEcho``) and
       what was written in a group are counted and skipped
Drift: where one message or status cannot be understood, the others are kept and the body is
       refused once
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw, Struct

from schemas.batch import DELIVERED, FAILED, READ, SENT
from schemas.record import UNREADABLE, TypedWebhook, Webhook, typed, unreadable
from schemas.webhooks import drift
from schemas.webhooks.drift import Whole
from schemas.webhooks.findings import (
    Findings,
)
from schemas.webhooks.message_columns import add_incoming, add_statuses
from schemas.webhooks.people import peer
from schemas.webhooks.times import instants

STATUSES = {"sent": SENT, "delivered": DELIVERED, "read": READ, "error": FAILED}
GROUPS = frozenset({"whatsgroup", "telegroup", "vkgroup", "vibergroup", "maxgroup"})


class Contact(Struct, gc=False):
    """What the messenger tells of who writes."""

    phone: Any = None


class Message(Struct, gc=False):
    """A message, in whichever direction."""

    messageId: str  # noqa: N815  # as they write it
    dateTime: str  # noqa: N815
    chatType: str  # noqa: N815
    chatId: str | Whole | None = None  # noqa: N815
    channelId: str | None = None  # noqa: N815
    type: str | None = None
    isEcho: bool | None = None  # noqa: N815
    status: str | None = None
    text: Any = None
    contact: Contact | None = None


class Status(Struct, gc=False):
    """What became of one message of ours."""

    messageId: str  # noqa: N815
    timestamp: str
    status: str
    error: Any = None


class Body(Struct, gc=False):
    """One POST."""

    messages: list[Message] | None = None
    statuses: list[Status] | None = None
    test: Any = None


class WazzupWebhook(TypedWebhook, kw_only=True, gc=False, tag="wazzup"):
    """A webhook whose body can be read as a whole."""

    body: Body


WEBHOOKS = (WazzupWebhook,)

decode_body = msgspec.json.Decoder(Body, strict=False).decode


class Reader:
    """Reads bodies one by one; ``finish`` adds to the findings what they said."""

    def __init__(self, provider: str, findings: Findings) -> None:
        self.provider = provider
        self.findings = findings
        self._statuses: list[tuple[Any, ...]] = []
        self._messages: list[tuple[Any, ...]] = []

    def read_raw(self, record: int, webhook: Webhook) -> None:
        """One webhook, or what of its body can be read."""
        try:
            body = decode_body(webhook.body)
        except UNREADABLE:
            try:
                body = _readable_part(record, webhook.body, self.findings)
            except UNREADABLE as error:
                self.findings.refuse_body(record, webhook.body, error)
                return
        self.read(record, typed(webhook, WazzupWebhook, body))

    def read(self, record: int, webhook: WazzupWebhook) -> None:
        """One webhook; ``record`` is its place in the batch."""
        body = webhook.body
        if body.messages is None and body.statuses is None:
            self.findings.ignore("resource" if body.test is None else "test")
        for status in body.statuses or ():
            self._take_status(record, webhook, status)
        for message in body.messages or ():
            self._take_message(record, webhook, message)

    def _take_status(self, record: int, webhook: WazzupWebhook, status: Status) -> None:
        code = STATUSES.get(status.status)
        if code is None:
            self.findings.ignore("status")
            return
        scope = self.findings.scopes[webhook.tenant, self.provider, webhook.branch]
        error = drift.error_code(status.error)
        self._statuses.append((record, scope, status.messageId, code, status.timestamp, error))

    def _take_message(self, record: int, webhook: WazzupWebhook, message: Message) -> None:
        kind = message.chatType
        if message.isEcho or (message.status or "inbound") != "inbound":
            self.findings.ignore("echo")
            return
        if kind in GROUPS:
            self.findings.ignore("group")
            return
        branch = webhook.branch or message.channelId
        phone, alias = peer(kind, str(message.chatId or ""))
        self._messages.append((
            record,
            self.findings.scopes[webhook.tenant, self.provider, branch],
            message.messageId,
            message.dateTime,
            phone or (message.contact and drift.phone(message.contact.phone)),
            kind,
            message.type or "unsupported",
            drift.text(message.text),
            alias,
        ))  # fmt: skip

    def finish(self) -> None:
        """Adds everything that was read."""
        _add_statuses(self.provider, self._statuses, self.findings)
        _add_messages(self.provider, self._messages, self.findings)


def _add_statuses(provider: str, rows: list[tuple[Any, ...]], findings: Findings) -> None:
    if not rows:
        return
    record, scope, message, status, at, error = zip(*rows, strict=True)
    at_ms = instants(at)
    add_statuses(
        findings,
        provider,
        "body.statuses.timestamp",
        record=record,
        scope=scope,
        message=message,
        status=status,
        at_ms=at_ms,
        error=error,
    )


def _add_messages(provider: str, rows: list[tuple[Any, ...]], findings: Findings) -> None:
    if not rows:
        return
    record, scope, message, at, phone, channel, kind, text, alias = zip(*rows, strict=True)
    at_ms = instants(at)
    add_incoming(
        findings,
        provider,
        "body.messages.dateTime",
        record=record,
        scope=scope,
        message=message,
        at_ms=at_ms,
        phone=phone,
        channel=channel,
        kind=kind,
        text=text,
        alias=alias,
    )


class _RawBody(Struct):
    messages: list[Raw] | None = None
    statuses: list[Raw] | None = None
    test: Any = None


def _readable_part(record: int, raw: Raw, findings: Findings) -> Body:
    """What can be read message by message; the first that cannot refuses the body."""
    told = msgspec.json.decode(raw, type=_RawBody)
    read = Body(messages=[], statuses=[], test=told.test)
    for name, kind, pieces in (
        ("statuses", Status, told.statuses or ()),
        ("messages", Message, told.messages or ()),
    ):
        for n, piece in enumerate(pieces):
            try:
                each = msgspec.json.decode(piece, type=kind, strict=False)
            except UNREADABLE as mistake:
                findings.refuse(record, *unreadable(mistake, f"body.{name}[{n}]"))
            else:
                getattr(read, name).append(each)
    return read
