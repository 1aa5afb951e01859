"""Write what messengers and senders say: statuses, incoming messages, receipts.

Takes: a business; each writer gives one record of the log as JSON, without a line end
Units: instants in ms since the epoch
"""

from __future__ import annotations

from random import Random
from typing import Protocol

from sources.bodies import envelope, utc, wrapped
from sources.business import SECOND, Business, Letter

_HEADLINE = (
    b'{"object":"whatsapp_business_account","entry":[{"id":"%d","changes":[{"field":"messages",'
    b'"value":{"messaging_product":"whatsapp","metadata":{"display_phone_number":"%d",'
    b'"phone_number_id":"%d"},'
)
_STATUS = (
    b'{"id":"%b","status":"%b","timestamp":"%d","recipient_id":"%b",%b%b"pricing":'
    b'{"billable":true,"pricing_model":"PMP","category":"%b"}}'
)
_CONVERSATION = b'"conversation":{"id":"%b","origin":{"type":"%b"}},'
_FAILED = (
    b'{"id":"%b","status":"failed","timestamp":"%d","recipient_id":"%b",%b"errors":[{"code":%d,'
    b'"title":"%b","message":"%b","error_data":{"details":"%b"}}]}'
)
_INCOMING = (
    b'%b"contacts":[{"profile":{"name":"%b"}%b%b}],"messages":[{%b%b"id":"%b",'
    b'"timestamp":"%d",%b}]}}]}]}'
)

ERRORS = {
    131026: b"Message undeliverable",
    131049: b"This message was not delivered to maintain healthy ecosystem engagement.",
    130429: b"Rate limit hit",
}

Told = tuple[bytes, int, int]
"""A status: its name, its instant, its error code or 0."""


class Messenger(Protocol):
    """Who carries a business's WhatsApp messages; each writer gives a whole record."""

    most: int
    """Statuses that one body can hold."""

    def number(self, rng: Random) -> bytes:
        """The id of another message."""
        ...

    def statuses(
        self, received: int, appended: int, letter: Letter, told: tuple[Told, ...]
    ) -> bytes:
        """Statuses of one message."""
        ...

    def incoming(
        self, received: int, appended: int, message: bytes, phone: bytes, name: bytes, at: int,
        text: bytes,
    ) -> bytes:  # fmt: skip
        """A message from a customer; without a text it is a picture."""
        ...


class Messengers:
    """WhatsApp's own Cloud API; the sender's receipts; text messages in the generic format."""

    most = 1_000

    def __init__(self, business: Business) -> None:
        tenant = business.tenant.encode()
        account = 102_290_129_000_000 + business.index
        self._whatsapp = envelope(business.tenant, "whatsapp")
        self._generic = envelope(business.tenant, "generic")
        self._receipt = b'{"kind":"receipt","tenant":"%b","received_at":"' % tenant
        display = int(business.place.dial) * 10**9 + business.index
        self._headline = _HEADLINE % (account, display, account + 7_000_000)

    def number(self, rng: Random) -> bytes:
        """``wamid.…``."""
        return b"wamid.HBgLNzcwNTEyMzQ1NjcVAgARGBI%024XAA==" % rng.getrandbits(96)

    def statuses(
        self, received: int, appended: int, letter: Letter, told: tuple[Told, ...]
    ) -> bytes:
        """A WhatsApp body with statuses of one message."""
        message, phone, command, category = letter
        echo = b'"biz_opaque_callback_data":"%b",' % command if command else b""
        parts = []
        for status, at, error in told:
            if error:
                title = ERRORS[error]
                parts.append(
                    _FAILED % (message, at // SECOND, phone, echo, error, title, title, title)
                )
                continue
            talk = b""
            if status == b"sent":
                talk = _CONVERSATION % (message[-32:-4].lower(), category)
            parts.append(_STATUS % (message, status, at // SECOND, phone, echo, talk, category))
        body = b'%b"statuses":[%b]}}]}]}' % (self._headline, b",".join(parts))
        return wrapped(self._whatsapp, received, appended, body)

    def incoming(
        self, received: int, appended: int, message: bytes, phone: bytes, name: bytes, at: int,
        text: bytes, alias: bytes = b"",
    ) -> bytes:  # fmt: skip
        """A message from a customer who shows a phone, a name of WhatsApp's own, or both."""
        content = b'"type":"text","text":{"body":"%b"}' % text
        if not text:
            content = (
                b'"type":"image","image":{"id":"1003383421387256","mime_type":"image/jpeg",'
                b'"sha256":"SfInY0gGKTsJlUWbwxC1k+FAD0FZHvzwfpvO0zX0GUI="}'
            )
        body = _INCOMING % (
            self._headline, name,
            b',"wa_id":"%b"' % phone if phone else b"",
            b',"user_id":"%b"' % alias if alias else b"",
            b'"from":"%b",' % phone if phone else b"",
            b'"from_user_id":"%b",' % alias if alias else b"",
            message, at // SECOND, content,
        )  # fmt: skip
        return wrapped(self._whatsapp, received, appended, body)

    def sms_status(
        self, received: int, appended: int, letter: Letter, told: tuple[Told, ...]
    ) -> bytes:
        """A generic ``message_status`` body; of several statuses the last."""
        status, at, _ = told[-1]
        command = b'"command_id":"%b",' % letter.command if letter.command else b""
        body = (
            b'{"type":"message_status","message_id":"%b",%b"phone":"+%b",'
            b'"channel":"sms","status":"%b","at":"%b"}'
        ) % (letter.message, command, letter.phone, status, utc(at))
        return wrapped(self._generic, received, appended, body)

    def receipt(self, received: int, appended: int, letter: Letter, channel: bytes) -> bytes:
        """The sender's word that the provider took a message."""
        return (
            b'%b%b","appended_at":"%b","command_id":"%b","message_id":"%b","channel":"%b",'
            b'"status":"accepted"}'
        ) % (self._receipt, utc(received), utc(appended), letter.command, letter.message, channel)

    def refusal(
        self, received: int, appended: int, command: bytes, channel: bytes, error: int
    ) -> bytes:
        """The sender's word that a channel did not take a message."""
        return (
            b'%b%b","appended_at":"%b","command_id":"%b","channel":"%b","status":"failed",'
            b'"error":%d}'
        ) % (self._receipt, utc(received), utc(appended), command, channel, error)


class Wazzup:
    """Wazzup v3: statuses name the message and nobody."""

    most = 100

    def __init__(self, business: Business) -> None:
        self._head = envelope(business.tenant, "wazzup")
        self._channel = b"b96a353b-ba8e-4c28-a05e-%012x" % business.index

    def number(self, rng: Random) -> bytes:
        """A UUID."""
        return _uuid(rng.getrandbits(128))

    def statuses(
        self, received: int, appended: int, letter: Letter, told: tuple[Told, ...]
    ) -> bytes:
        """A body with statuses of one message."""
        parts = []
        for status, at, error in told:
            name = b"error" if error else status
            why = b',"error":{"error":"BAD_CONTACT","description":"no account"}' if error else b""
            parts.append(
                b'{"messageId":"%b","timestamp":"%b","status":"%b"%b}'
                % (letter.message, utc(at), name, why)
            )
        return wrapped(self._head, received, appended, b'{"statuses":[%b]}' % b",".join(parts))

    def incoming(
        self, received: int, appended: int, message: bytes, phone: bytes, name: bytes, at: int,
        text: bytes,
    ) -> bytes:  # fmt: skip
        """A message from a customer."""
        content = b'"type":"text","text":"%b"' % text
        if not text:
            content = b'"type":"image","contentUri":"https://store.example.com/%b"' % message
        body = (
            b'{"messages":[{"messageId":"%b","dateTime":"%b","channelId":"%b",'
            b'"chatType":"whatsapp","chatId":"%b",%b,"isEcho":false,"contact":{"name":"%b"},'
            b'"status":"inbound"}]}'
        ) % (message, utc(at), self._channel, phone, content, name)
        return wrapped(self._head, received, appended, body)


class Greenapi:
    """GREEN-API: a body for each status, the chat instead of the phone."""

    most = 1

    def __init__(self, business: Business) -> None:
        self._head = envelope(business.tenant, "greenapi")
        self._instance = (
            b'"instanceData":{"idInstance":%d,"wid":"%b%09d@c.us","typeInstance":"whatsapp"}'
        ) % (1_101_000_000 + business.index, business.place.dial.encode(), business.index)

    def number(self, rng: Random) -> bytes:
        """Hex digits."""
        return b"%032X" % rng.getrandbits(128)

    def statuses(
        self, received: int, appended: int, letter: Letter, told: tuple[Told, ...]
    ) -> bytes:
        """The last of the statuses."""
        status, at, error = told[-1]
        body = (
            b'{"typeWebhook":"outgoingMessageStatus","chatId":"%b@c.us",%b,"timestamp":%d,'
            b'"idMessage":"%b","status":"%b","sendByApi":true}'
        ) % (
            letter.phone, self._instance, at // SECOND, letter.message,
            b"failed" if error else status,
        )  # fmt: skip
        return wrapped(self._head, received, appended, body)

    def incoming(
        self, received: int, appended: int, message: bytes, phone: bytes, name: bytes, at: int,
        text: bytes,
    ) -> bytes:  # fmt: skip
        """A message from a customer."""
        content = b'"typeMessage":"textMessage","textMessageData":{"textMessage":"%b"}' % text
        if not text:
            content = (
                b'"typeMessage":"imageMessage","fileMessageData":'
                b'{"downloadUrl":"https://store.example.com/%b","caption":""}' % message
            )
        body = (
            b'{"typeWebhook":"incomingMessageReceived",%b,"timestamp":%d,"idMessage":"%b",'
            b'"senderData":{"chatId":"%b@c.us","sender":"%b@c.us","senderName":"%b"},'
            b'"messageData":{%b}}'
        ) % (self._instance, at // SECOND, message, phone, phone, name, content)
        return wrapped(self._head, received, appended, body)


def messenger_of(business: Business, own: Messengers) -> Messenger:
    """Whoever carries this business's WhatsApp messages."""
    if business.messenger == "wazzup":
        return Wazzup(business)
    return Greenapi(business) if business.messenger == "greenapi" else own


def _uuid(bits: int) -> bytes:
    text = b"%032x" % bits
    return b"-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
