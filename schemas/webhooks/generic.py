"""Read our own webhook format, for everyone who has no connector of their own.

Takes: visits, clients, message statuses and incoming messages; history uses the same objects
Out:   the same as events. Ids are unique in a tenant (or in the branch that the record names);
       ``branch`` of a visit says where it takes place, not whose id it is
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from schemas.batch import (
    ACCEPTED,
    ATTENDED,
    BOOKED,
    CANCELLED,
    CONFIRMED,
    DELIVERED,
    FAILED,
    I8,
    NO_SHOW,
    NONE,
    READ,
    SENT,
    SERVICES_SEPARATOR,
    ClientEvents,
    VisitEvents,
)
from schemas.keys import text_key, text_keys
from schemas.record import UNREADABLE, TypedWebhook, Webhook, typed
from schemas.webhooks import drift
from schemas.webhooks.drift import LARGEST, MOST_MONEY, Refusal, Whole
from schemas.webhooks.findings import (
    Alias,
    Findings,
    all_the_same,
    flags,
    indexes,
    integers,
    objects,
)
from schemas.webhooks.message_columns import add_incoming, add_statuses
from schemas.webhooks.times import instants, starts, yyyymmdd

Id = Annotated[Annotated[str, Meta(min_length=1)] | Whole, Meta(description="Unique in the tenant")]
Version = Annotated[
    Whole | str | None,
    Meta(
        description="Orders the versions of one object: a number that grows, or the time of the "
        "change; without one the order of arrival decides"
    ),
]
Phone = Annotated[
    str | Whole | float | None, Meta(description="In any writing", examples=["+77011234567"])
]
When = Annotated[
    str, Meta(description="RFC 3339 with a zone", examples=["2026-11-20T12:00:00+05:00"])
]
Channel = Annotated[str | None, Meta(description="The messenger", examples=["whatsapp", "sms"])]


class Visit(Struct, kw_only=True, gc=False, tag_field="type", tag="visit"):
    """A visit as it stands now: booked, moved, attended or cancelled."""

    id: Id
    version: Version = None
    status: Literal["booked", "confirmed", "attended", "no_show", "cancelled"]
    phone: Phone = None
    client: Annotated[
        str | Whole | None, Meta(description="The id of the client's card, if there is one")
    ] = None
    branch: Annotated[str | Whole | None, Meta(description="Where it takes place")] = None
    starts_at: Annotated[
        str | None,
        Meta(
            description="RFC 3339; without a zone it is the wall clock of the branch. Only a "
            "cancelled visit may lack it",
            examples=["2026-11-20T12:00:00+05:00"],
        ),
    ] = None
    ends_at: Annotated[str | None, Meta(description="RFC 3339, as starts_at")] = None
    amount_minor: Annotated[
        Annotated[int, Meta(ge=-MOST_MONEY, le=MOST_MONEY)] | None,
        Meta(description="What was paid, in minor units of the currency"),
    ] = None
    currency: Annotated[
        str | None, Meta(description="ISO 4217; the tenant's where absent", examples=["KZT"])
    ] = None
    services: Annotated[list[str] | None, Meta(description="Titles of what was done")] = None
    staff: Annotated[str | None, Meta(description="Who served")] = None


class Consent(Struct, gc=False):
    """What the customer agreed to; a category that is not told stays as it was."""

    marketing: bool | None = None


class Client(Struct, kw_only=True, gc=False, tag_field="type", tag="client"):
    """A client's card as it stands now."""

    id: Id
    version: Version = None
    phone: Phone = None
    name: str | None = None
    birthday: Annotated[str | None, Meta(description="YYYY-MM-DD", examples=["1990-02-28"])] = None
    locale: Annotated[str | None, Meta(description="Language", examples=["ru"])] = None
    consent: Consent | None = None
    aliases: Annotated[
        dict[str, Any] | None,
        Meta(description="Other names of the person", examples=[{"whatsapp_bsuid": "KZ.123"}]),
    ] = None


class MessageStatus(Struct, kw_only=True, gc=False, tag_field="type", tag="message_status"):
    """What became of one message that was sent."""

    message_id: Id
    command_id: Annotated[
        str | None, Meta(description="The command that it carried out, if the sender knows")
    ] = None
    phone: Phone = None
    channel: Channel = None
    status: Literal["accepted", "sent", "delivered", "read", "failed"]
    at: When


class MessageIn(Struct, kw_only=True, gc=False, tag_field="type", tag="message_in"):
    """A message that a customer wrote."""

    message_id: Id
    phone: Phone = None
    channel: Channel = None
    text: str | None = None
    at: When


Body = Visit | Client | MessageStatus | MessageIn

BODY_KINDS = (Visit, Client, MessageStatus, MessageIn)


class GenericWebhook(TypedWebhook, kw_only=True, gc=False, tag="generic"):
    """A webhook in our own format."""

    body: Body


WEBHOOKS = (GenericWebhook,)

decode_body = msgspec.json.Decoder(Body, strict=False).decode

VISIT_STATUSES = {
    "booked": BOOKED,
    "confirmed": CONFIRMED,
    "attended": ATTENDED,
    "no_show": NO_SHOW,
    "cancelled": CANCELLED,
}
MESSAGE_STATUSES = {
    "accepted": ACCEPTED,
    "sent": SENT,
    "delivered": DELIVERED,
    "read": READ,
    "failed": FAILED,
}

Row = tuple[Any, ...]


class Reader:
    """Reads bodies one by one; ``finish`` adds to the findings what they said."""

    def __init__(self, provider: str, findings: Findings) -> None:
        self.provider = provider
        self.findings = findings
        self._rows: dict[type[Body], list[Row]] = {kind: [] for kind in _ROWS}

    def read_raw(self, record: int, webhook: Webhook) -> None:
        """One webhook of which only the envelope is decoded."""
        try:
            body = decode_body(webhook.body)
        except UNREADABLE as error:
            self.findings.refuse_body(record, webhook.body, error)
        else:
            self.read(record, typed(webhook, GenericWebhook, body))

    def read(self, record: int, webhook: GenericWebhook) -> None:
        """One webhook; ``record`` is its place in the batch."""
        try:
            self.take(record, webhook.tenant, webhook.branch, webhook.body)
        except Refusal as refusal:
            self.findings.refuse(record, refusal.reason, refusal.message)

    def take(self, record: int, tenant: str, branch: str | None, body: Body) -> None:
        """One object; raises ``Refusal`` where it lacks something."""
        row = _ROWS[type(body)](body, branch or "")
        scope = self.findings.scopes[tenant, self.provider, branch]
        self._rows[type(body)].append((record, scope, *row))

    def finish(self) -> None:
        """Adds everything that was read."""
        rows = self._rows
        _add_visits(self.provider, rows[Visit], self.findings)
        _add_clients(self.provider, rows[Client], self.findings)
        _add_statuses(self.provider, rows[MessageStatus], self.findings)
        _add_messages(self.provider, rows[MessageIn], self.findings)


def _visit(body: Visit, branch: str) -> Row:
    if not body.starts_at and body.status != "cancelled":
        raise Refusal("shape", "body.starts_at: missing")
    return (
        str(body.id),
        _version(body.version),
        VISIT_STATUSES[body.status],
        body.starts_at or "",
        body.ends_at or "",
        NONE if body.client in {None, ""} else text_key(str(body.client)),
        drift.phone(body.phone),
        body.amount_minor or 0,
        body.currency or None,
        str(body.branch or branch),
        SERVICES_SEPARATOR.join(body.services or ()),
        body.staff or None,
    )


def _client(body: Client, _: str) -> Row:
    told = None if body.consent is None else body.consent.marketing
    return (
        str(body.id),
        _version(body.version),
        drift.phone(body.phone),
        body.name or None,
        yyyymmdd(body.birthday),
        body.locale or None,
        -1 if told is None else int(told),
        _aliases(body.aliases),
    )


def _aliases(told: dict[str, Any] | None) -> tuple[Alias, ...] | None:
    """What messengers call the person; a name that is neither a text nor a number is none."""
    names = ((kind, drift.phone(name)) for kind, name in (told or {}).items() if kind)
    return tuple(sorted((kind, name) for kind, name in names if name)) or None


def _status(body: MessageStatus, _: str) -> Row:
    phone, channel = drift.phone(body.phone), body.channel or None
    status = MESSAGE_STATUSES[body.status]
    return str(body.message_id), status, body.at, body.command_id or None, phone, channel


def _message(body: MessageIn, _: str) -> Row:
    phone, channel = drift.phone(body.phone), body.channel or None
    return str(body.message_id), body.at, phone, channel, body.text or None


def _version(value: int | str | None) -> int:
    """A number, as number or text, or the milliseconds of a time."""
    if type(value) is int:
        return value
    if not value:
        return NONE
    text = str(value)
    if text.isascii() and text.removeprefix("-").isdigit():
        version = int(text) if len(text) < 20 else NONE
    else:
        version = int(instants([text], zoneless_is_utc=True)[0])
    if abs(version) > LARGEST:
        raise Refusal("shape", "body.version: neither a whole number nor a time")
    return version


_ROWS: dict[type[Body], Callable[[Any, str], Row]] = {
    Visit: _visit,
    Client: _client,
    MessageStatus: _status,
    MessageIn: _message,
}


def _add_visits(provider: str, rows: list[Row], findings: Findings) -> None:
    if not rows:
        return
    record, scope, number, version, status, begun, ended, *rest = zip(*rows, strict=True)
    client, phone, amount, currency, branch, services, staff = rest
    count = len(rows)
    start, local = starts(begun)
    end, local_end = starts(ended)
    length = np.where(start == NONE, local_end, end) - np.where(start == NONE, local, start)
    known = (start != NONE) & (end != NONE) | (local != NONE) & (local_end != NONE)
    timely = _told(begun, start, local) & _told(ended, end, local_end)
    visits = VisitEvents(
        record=indexes(record),
        scope=indexes(scope),
        id=text_keys(number),
        id_text=objects(number, count),
        version=integers(version),
        status=flags(status),
        start_ms=start,
        local_ms=local,
        keeps_start=np.zeros(count, np.int8),
        duration_ms=np.where(known & (length > 0), length, NONE),
        client=integers(client),
        phone=objects(phone, count),
        name=all_the_same(None, count),
        money_unit=np.full(count, NONE),
        amount=integers(amount),
        amount_is_major=np.zeros(count, np.int8),
        currency=objects(currency, count),
        branch=objects(branch, count),
        services=objects(services, count),
        staff=objects(staff, count),
    )
    findings.add(provider, visits, timely, "body.starts_at, ends_at")


def _told(texts: Sequence[str], instant: I8, local: I8) -> NDArray[np.bool_]:
    """Whether each time is either known or was not given."""
    absent = np.fromiter((text == "" for text in texts), np.bool_, len(texts))
    known: NDArray[np.bool_] = absent | (instant != NONE) | (local != NONE)
    return known


def _add_clients(provider: str, rows: list[Row], findings: Findings) -> None:
    if not rows:
        return
    record, scope, number, version, phone, name, *rest = zip(*rows, strict=True)
    birthday, locale, consent, aliases = rest
    count = len(rows)
    clients = ClientEvents(
        record=indexes(record),
        scope=indexes(scope),
        id=text_keys(number),
        version=integers(version),
        phone=objects(phone, count),
        name=objects(name, count),
        birthday=indexes(birthday),
        locale=objects(locale, count),
        consent=flags(consent),
        sms_denied=np.full(count, -1, np.int8),
        deleted=np.zeros(count, np.int8),
        aliases=objects(aliases, count),
    )
    findings.add(provider, clients, np.ones(count, np.bool_), "body")


def _add_statuses(provider: str, rows: list[Row], findings: Findings) -> None:
    if not rows:
        return
    record, scope, message, status, at, command, phone, channel = zip(*rows, strict=True)
    at_ms = instants(at)
    add_statuses(
        findings,
        provider,
        "body.at",
        record=record,
        scope=scope,
        message=message,
        status=status,
        at_ms=at_ms,
        command=command,
        phone=phone,
        channel=channel,
    )


def _add_messages(provider: str, rows: list[Row], findings: Findings) -> None:
    if not rows:
        return
    record, scope, message, at, phone, channel, text = zip(*rows, strict=True)
    at_ms = instants(at)
    add_incoming(
        findings,
        provider,
        "body.at",
        record=record,
        scope=scope,
        message=message,
        at_ms=at_ms,
        phone=phone,
        channel=channel,
        kind="text",
        text=text,
    )
