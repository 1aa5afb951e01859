"""Write what messengers and senders say: statuses, incoming messages, receipts.

Takes: a business; each writer gives one record of the log as JSON, without a line end
Units: instants in ms since the epoch
"""

from __future__ import annotations

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
    b'%b"contacts":[{"profile":{"name":"%b"},"wa_id":"%b"}],"messages":[{"from":"%b","id":"%b",'
    b'"timestamp":"%d",%b}]}}]}]}'
)

ERRORS = {
    131026: b"Message undeliverable",
    131049: b"This message was not delivered to maintain healthy ecosystem engagement.",
    130429: b"Rate limit hit",
}


Told = tuple[bytes, int, int]
"""A status: its name, its instant, its error code or 0."""


class Messengers:
    """WhatsApp, the sender's own receipts, and text messages in the generic format."""

    def __init__(self, business: Business) -> None:
        tenant = business.tenant.encode()
        account = 102_290_129_000_000 + business.index
        self._whatsapp = envelope(business.tenant, "whatsapp")
        self._generic = envelope(business.tenant, "generic")
        self._receipt = b'{"kind":"receipt","tenant":"%b","received_at":"' % tenant
        display = int(business.place.dial) * 10**9 + business.index
        self._headline = _HEADLINE % (account, display, account + 7_000_000)

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
        text: bytes,
    ) -> bytes:  # fmt: skip
        """A WhatsApp message from a customer; without a text it is a picture."""
        content = b'"type":"text","text":{"body":"%b"}' % text
        if not text:
            content = (
                b'"type":"image","image":{"id":"1003383421387256","mime_type":"image/jpeg",'
                b'"sha256":"SfInY0gGKTsJlUWbwxC1k+FAD0FZHvzwfpvO0zX0GUI="}'
            )
        body = _INCOMING % (self._headline, name, phone, phone, message, at // SECOND, content)
        return wrapped(self._whatsapp, received, appended, body)

    def sms_status(
        self, received: int, appended: int, letter: Letter, told: tuple[Told, ...]
    ) -> bytes:
        """A generic ``message_status`` body; of several statuses the last."""
        status, at, _ = told[-1]
        body = (
            b'{"type":"message_status","message_id":"%b","command_id":"%b","phone":"+%b",'
            b'"channel":"sms","status":"%b","at":"%b"}'
        ) % (letter.message, letter.command, letter.phone, status, utc(at))
        return wrapped(self._generic, received, appended, body)

    def receipt(self, received: int, appended: int, letter: Letter, channel: bytes) -> bytes:
        """The sender's word that the provider took a message."""
        return (
            b'%b%b","appended_at":"%b","command_id":"%b","message_id":"%b","channel":"%b",'
            b'"status":"accepted"}'
        ) % (self._receipt, utc(received), utc(appended), letter.command, letter.message, channel)
