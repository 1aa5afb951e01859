"""Excerpt what was written over WhatsApp from records, with its words.

In:    records as raw bytes, each with its position in the lane
Out:   ``Written`` for each message of a chat between two, in either direction, and ``Forgotten``
State: none; nothing that the bytes can hold raises

Bodies are looked at piece by piece: where one message cannot be understood, the others are kept.
Who wrote is told by a keyed hash alone. A message that names nobody is left out: none could be
found again when its customer is to be forgotten; nor could that of a phone without its country.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec

from operators.phones import canonical_phone
from schemas.batch import NONE
from schemas.consent_words import IN, said
from schemas.keys import alias_customer_id, customer_id, lane_of
from schemas.record import SIZE_LIMIT, UNREADABLE, Forget, Webhook, decode_record
from schemas.webhooks import drift
from schemas.webhooks.people import bsuid
from schemas.webhooks.times import from_seconds, instants
from schemas.written import Forgotten, Written

CHANNEL = "whatsapp"

_MARKS = (b'_echoes"', b'MessageReceived"', b'"message_in"', b'"forget"')
_MESSAGES = re.compile(rb'"messages"\s*:')
"""A record without any of these holds no message; most are statuses, and not even decoded."""
_PHONES = frozenset({"", "c.us", "s.whatsapp.net"})
_LID = "lid"


class _Message(NamedTuple):
    """A message as a provider tells it."""

    id: Any
    at_ms: int
    is_incoming: bool
    phone: str | None
    """In full, with or without a plus."""
    alias: tuple[str, str] | None
    kind: Any
    text: Any


Line = Written | Forgotten


def excerpt(value: bytes, position: int, lane: int, lanes: int, id_key: bytes) -> list[Line]:
    """What a record of the lane holds; nothing where it is of another kind, or no record."""
    if len(value) > SIZE_LIMIT or not _may_hold(value):
        return []
    try:
        record = decode_record(value)
        if isinstance(record, Forget) and lane_of(record.tenant, lanes) == lane:
            who = record.customer_id
            return [Forgotten(tenant=record.tenant, customer_id=who, position=position)]
        if not isinstance(record, Webhook) or lane_of(record.tenant, lanes) != lane:
            return []
        body = msgspec.json.decode(record.body)
    except UNREADABLE:
        return []
    told = _PROVIDERS.get(record.provider, _nothing)(_table(body))
    lines = [_written(each, record, position, id_key) for each in told]
    return [line for line in lines if line is not None]


def _may_hold(value: bytes) -> bool:
    return _MESSAGES.search(value) is not None or any(mark in value for mark in _MARKS)


def _written(message: _Message, record: Webhook, position: int, id_key: bytes) -> Written | None:
    number, text = drift.text(message.id), drift.text(message.text)
    phone = canonical_phone(message.phone.removeprefix("+"), None, True) if message.phone else 0
    alias_id = message.alias and alias_customer_id(id_key, record.tenant, *message.alias)
    who = customer_id(id_key, record.tenant, phone) if phone else alias_id
    if number is None or who is None or message.at_ms == NONE:
        return None
    return Written(
        tenant=record.tenant,
        provider=record.provider,
        message_id=number,
        customer_id=who,
        alias_id=alias_id if phone else None,
        direction="in" if message.is_incoming else "out",
        kind=drift.text(message.kind) or "unsupported",
        text=text,
        at_ms=message.at_ms,
        position=position,
        is_opt_in=message.is_incoming and text is not None and said(text) == IN,
    )


def _nothing(body: dict[str, Any]) -> Iterator[_Message]:
    del body
    return iter(())


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _tables(value: Any) -> Iterator[dict[str, Any]]:
    return (
        (each for each in value if isinstance(each, dict)) if isinstance(value, list) else iter(())
    )


def _at_seconds(value: Any) -> int:
    seconds = drift.phone(value) or ""  # a whole number, or a text of one
    return int(from_seconds([int(seconds)])[0]) if _is_short_number(seconds) else NONE


def _is_short_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 15


def _at_instant(value: Any) -> int:
    return int(instants([value])[0]) if isinstance(value, str) else NONE


def _whatsapp(body: dict[str, Any]) -> Iterator[_Message]:
    for entry in _tables(body.get("entry")):
        for change in _tables(entry.get("changes")):
            value = _table(change.get("value"))
            contacts = [*_tables(value.get("contacts"))]
            for name, other in (("messages", "from"), ("message_echoes", "to")):
                for message in _tables(value.get(name)):
                    phone = drift.phone(message.get(other))
                    user = drift.text(message.get(f"{other}_user_id"))
                    if not user:
                        users = [
                            each.get("user_id") for each in contacts if each.get("wa_id") == phone
                        ]
                        user = drift.text(users[0]) if users else None
                    alias = bsuid(user) or bsuid(phone)
                    yield _Message(
                        drift.phone(message.get("id")),
                        _at_seconds(message.get("timestamp")),
                        name == "messages",
                        None if bsuid(phone) else phone,
                        alias,
                        message.get("type"),
                        _words_of_whatsapp(message),
                    )


def _words_of_whatsapp(message: dict[str, Any]) -> Any:
    if text := _table(message.get("text")).get("body"):
        return text
    if button := _table(message.get("button")).get("text"):
        return button
    choice = _table(message.get("interactive"))
    reply = _table(choice.get("button_reply")) or _table(choice.get("list_reply"))
    media = _table(message.get(str(message.get("type"))))
    return reply.get("title") or media.get("caption")


def _wazzup(body: dict[str, Any]) -> Iterator[_Message]:
    for message in _tables(body.get("messages")):
        if message.get("chatType") != CHANNEL:
            continue
        name = drift.phone(message.get("chatId"))
        is_echo = message.get("isEcho") or (message.get("status") or "inbound") != "inbound"
        yield _Message(
            message.get("messageId"),
            _at_instant(message.get("dateTime")),
            not is_echo,
            None if bsuid(name) else name,
            bsuid(name),
            message.get("type"),
            message.get("text"),
        )


def _greenapi(body: dict[str, Any]) -> Iterator[_Message]:
    kind, instance = body.get("typeWebhook"), _table(body.get("instanceData"))
    if not isinstance(kind, str) or not kind.endswith("MessageReceived"):
        return
    sender, message = _table(body.get("senderData")), _table(body.get("messageData"))
    name, _, place = (drift.text(sender.get("chatId")) or "").partition("@")
    if (instance.get("typeInstance") or CHANNEL) != CHANNEL or place not in _PHONES | {_LID}:
        return
    is_incoming = kind.startswith("incoming")
    hidden = drift.phone(sender.get("senderPhoneNumber")) if is_incoming else None
    alias = ("whatsapp_lid", name) if place == _LID else bsuid(name)
    yield _Message(
        body.get("idMessage"),
        _at_seconds(body.get("timestamp")),
        is_incoming,
        hidden if alias else name or hidden,
        alias,
        message.get("typeMessage"),
        _words_of_greenapi(message),
    )


def _words_of_greenapi(message: dict[str, Any]) -> Any:
    for name, keys in (
        ("textMessageData", ("textMessage",)),
        ("extendedTextMessageData", ("text",)),
        ("buttonsResponseMessage", ("selectedButtonText",)),
        ("templateButtonReplyMessage", ("selectedDisplayText",)),
        ("interactiveButtonsResponse", ("selectedDisplayText",)),
        ("listResponseMessage", ("title",)),
        ("fileMessageData", ("caption",)),
    ):
        part = _table(message.get(name))
        if words := next((part[key] for key in keys if part.get(key)), None):
            return words
    return None


def _generic(body: dict[str, Any]) -> Iterator[_Message]:
    phone = drift.phone(body.get("phone")) or ""
    if body.get("type") != "message_in" or body.get("channel") != CHANNEL:
        return
    yield _Message(
        drift.phone(body.get("message_id")),
        _at_instant(body.get("at")),
        True,
        phone if phone.startswith("+") else None,
        None,
        "text",
        body.get("text"),
    )


_PROVIDERS: dict[str, Callable[[dict[str, Any]], Iterator[_Message]]] = {
    "whatsapp": _whatsapp,
    "wazzup": _wazzup,
    "greenapi": _greenapi,
    "generic": _generic,
}
