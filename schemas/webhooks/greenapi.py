"""Read webhooks of GREEN-API.

Takes: ``outgoingMessageStatus`` and ``incomingMessageReceived``; what the business wrote itself,
       groups, and other kinds are counted and skipped
Out:   message statuses and incoming messages. ``7900...@c.us`` is a phone; an instance of another
       messenger than WhatsApp names people by aliases
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from schemas.batch import DELIVERED, FAILED, READ, SENT
from schemas.record import UNREADABLE, TypedWebhook, Webhook, typed
from schemas.webhooks import drift
from schemas.webhooks.drift import Refusal, Whole
from schemas.webhooks.findings import (
    Findings,
)
from schemas.webhooks.message_columns import add_incoming, add_statuses
from schemas.webhooks.people import NOBODY, Peer, peer
from schemas.webhooks.times import from_seconds

STATUSES = {
    "sent": SENT,
    "delivered": DELIVERED,
    "read": READ,
    "failed": FAILED,
    "noAccount": FAILED,
    "noActiveSession": FAILED,
    "notInGroup": FAILED,
    "yellowCard": FAILED,
}
MESSENGERS = {"whatsapp": "whatsapp", "telegram": "telegram", "v3": "max"}
_KINDS = {"extendedText": "text", "quoted": "text", "buttonsResponse": "button"}
_PHONES = frozenset({"c.us", "s.whatsapp.net"})
_LID = "lid"


class Instance(Struct, gc=False):
    """The account of ours that it is about."""

    idInstance: str | Whole | None = None  # noqa: N815  # as they write it
    typeInstance: str | None = None  # noqa: N815


class Sender(Struct, gc=False):
    """Who writes, and in which chat."""

    chatId: str | None = None  # noqa: N815
    senderPhoneNumber: Any = None  # noqa: N815


class Text(Struct, gc=False):
    """A text message."""

    textMessage: Any = None  # noqa: N815


class ExtendedText(Struct, gc=False):
    """A text with a link, with a quotation, or a reaction."""

    text: Any = None


class Choice(Struct, gc=False):
    """What was chosen of buttons or of a list."""

    selectedButtonText: Any = None  # noqa: N815
    selectedDisplayText: Any = None  # noqa: N815
    title: Any = None


class Message(Struct, gc=False):
    """What was written; ``typeMessage`` tells which of the others there is."""

    typeMessage: str | None = None  # noqa: N815
    textMessageData: Text | None = None  # noqa: N815
    extendedTextMessageData: ExtendedText | None = None  # noqa: N815
    buttonsResponseMessage: Choice | None = None  # noqa: N815
    templateButtonReplyMessage: Choice | None = None  # noqa: N815
    interactiveButtonsResponse: Choice | None = None  # noqa: N815
    listResponseMessage: Choice | None = None  # noqa: N815


class Body(Struct, gc=False):
    """One notification; which fields there are depends on its type."""

    typeWebhook: str  # noqa: N815
    idMessage: str | None = None  # noqa: N815
    timestamp: Whole | None = None
    chatId: str | None = None  # noqa: N815
    status: str | None = None
    instanceData: Instance | None = None  # noqa: N815
    senderData: Sender | None = None  # noqa: N815
    messageData: Message | None = None  # noqa: N815


class _Head(Struct, gc=False):
    typeWebhook: str  # noqa: N815


class GreenapiWebhook(TypedWebhook, kw_only=True, gc=False, tag="greenapi"):
    """A webhook whose body can be read as it is."""

    body: Body


WEBHOOKS = (GreenapiWebhook,)

decode_body = msgspec.json.Decoder(Body, strict=False).decode
_decode_head = msgspec.json.Decoder(_Head).decode

_STATUS, _MESSAGE = "outgoingMessageStatus", "incomingMessageReceived"
_NO_INSTANCE = Instance()
_NO_SENDER = Sender()
_NO_MESSAGE = Message()


class Reader:
    """Reads bodies one by one; ``finish`` adds to the findings what they said."""

    def __init__(self, provider: str, findings: Findings) -> None:
        self.provider = provider
        self.findings = findings
        self._statuses: list[tuple[Any, ...]] = []
        self._messages: list[tuple[Any, ...]] = []

    def read_raw(self, record: int, webhook: Webhook) -> None:
        """One webhook of which only the envelope is decoded."""
        try:
            if _decode_head(webhook.body).typeWebhook in {_STATUS, _MESSAGE}:
                body = decode_body(webhook.body)
            else:
                body = Body("")
        except UNREADABLE as error:
            self.findings.refuse_body(record, webhook.body, error)
        else:
            self.read(record, typed(webhook, GreenapiWebhook, body))

    def read(self, record: int, webhook: GreenapiWebhook) -> None:
        """One webhook; ``record`` is its place in the batch."""
        body = webhook.body
        if body.typeWebhook not in {_STATUS, _MESSAGE}:
            own = body.typeWebhook.startswith("outgoing")
            self.findings.ignore("echo" if own else "resource")
            return
        try:
            if body.typeWebhook == _STATUS:
                self._take_status(record, webhook, body)
            else:
                self._take_message(record, webhook, body)
        except Refusal as refusal:
            self.findings.refuse(record, refusal.reason, refusal.message)

    def _scope(self, webhook: GreenapiWebhook, body: Body) -> int:
        branch = webhook.branch or (body.instanceData or _NO_INSTANCE).idInstance
        return self.findings.scopes[webhook.tenant, self.provider, branch]

    def _take_status(self, record: int, webhook: GreenapiWebhook, body: Body) -> None:
        code = STATUSES.get(body.status or "")
        who = _who(body, body.chatId)
        if code is None or who is None:
            self.findings.ignore("status" if code is None else "group")
            return
        number, seconds = _told(body)
        scope = self._scope(webhook, body)
        self._statuses.append((record, scope, number, code, seconds, *who, _messenger(body)))

    def _take_message(self, record: int, webhook: GreenapiWebhook, body: Body) -> None:
        sender = body.senderData or _NO_SENDER
        who = _who(body, sender.chatId)
        if who is None:
            self.findings.ignore("group")
            return
        number, seconds = _told(body)
        message = body.messageData or _NO_MESSAGE
        phone, alias = who
        self._messages.append((
            record,
            self._scope(webhook, body),
            number,
            seconds,
            phone or drift.phone(sender.senderPhoneNumber),
            _messenger(body),
            _kind(message.typeMessage or "unsupported"),
            _text(message),
            alias,
        ))  # fmt: skip

    def finish(self) -> None:
        """Adds everything that was read."""
        _add_statuses(self.provider, self._statuses, self.findings)
        _add_messages(self.provider, self._messages, self.findings)


def _told(body: Body) -> tuple[str, int]:
    """The message and its time."""
    if not body.idMessage:
        raise Refusal("shape", "body.idMessage: missing")
    if body.timestamp is None:
        raise Refusal("shape", "body.timestamp: missing")
    return body.idMessage, body.timestamp


def _messenger(body: Body) -> str:
    told = (body.instanceData or _NO_INSTANCE).typeInstance or "whatsapp"
    return MESSENGERS.get(told, told)


def _who(body: Body, chat: str | None) -> Peer | None:
    """Who is at the other end; ``None`` where that is a group, a broadcast or a channel."""
    if not chat:
        return NOBODY
    messenger = _messenger(body)
    name, _, kind = chat.partition("@")
    if messenger != "whatsapp":
        return None if name.startswith("-") else peer(messenger, name)
    if kind == _LID:
        return None, ("whatsapp_lid", name)
    return peer(messenger, name) if not kind or kind in _PHONES else None


def _kind(written: str) -> str:
    """``textMessage`` and its like, in our words."""
    kind = written.removesuffix("Message")
    return _KINDS.get(kind, kind)


def _text(message: Message) -> str | None:
    """What the customer said in words, if anything."""
    if message.textMessageData:
        return drift.text(message.textMessageData.textMessage)
    if message.extendedTextMessageData:
        return drift.text(message.extendedTextMessageData.text)
    choice = (
        message.buttonsResponseMessage
        or message.templateButtonReplyMessage
        or message.interactiveButtonsResponse
        or message.listResponseMessage
    )
    if choice is None:
        return None
    return drift.text(choice.selectedButtonText or choice.selectedDisplayText or choice.title)


def _add_statuses(provider: str, rows: list[tuple[Any, ...]], findings: Findings) -> None:
    if not rows:
        return
    record, scope, message, status, seconds, phone, alias, channel = zip(*rows, strict=True)
    at_ms = from_seconds(seconds)
    add_statuses(
        findings,
        provider,
        "body.timestamp",
        record=record,
        scope=scope,
        message=message,
        status=status,
        at_ms=at_ms,
        phone=phone,
        alias=alias,
        channel=channel,
    )


def _add_messages(provider: str, rows: list[tuple[Any, ...]], findings: Findings) -> None:
    if not rows:
        return
    record, scope, message, seconds, phone, channel, kind, text, alias = zip(*rows, strict=True)
    at_ms = from_seconds(seconds)
    add_incoming(
        findings,
        provider,
        "body.timestamp",
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
