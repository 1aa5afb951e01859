"""Read webhooks of the WhatsApp Cloud API.

Takes: bodies with several entries, changes, statuses and messages
Out:   message statuses and incoming messages; a change of another field than ``messages`` and a
       status that says nothing of delivery are counted and skipped
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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
from schemas.record import UNREADABLE, TypedWebhook, Webhook, typed
from schemas.webhooks import drift
from schemas.webhooks.findings import (
    Findings,
)
from schemas.webhooks.message_columns import add_incoming, add_statuses
from schemas.webhooks.people import bsuid
from schemas.webhooks.times import from_seconds
from schemas.webhooks.whatsapp_bodies import Body, Message, Value, decode_body, readable_part

CHANNEL = "whatsapp"

STATUSES = {"sent": SENT, "delivered": DELIVERED, "read": READ, "failed": FAILED}


class WhatsappWebhook(TypedWebhook, kw_only=True, gc=False, tag="whatsapp"):
    """A webhook whose body can be read as a whole."""

    body: Body


WEBHOOKS = (WhatsappWebhook,)


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
            body = readable_part(record, webhook.body, error, self.findings)
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
