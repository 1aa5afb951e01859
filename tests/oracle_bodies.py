"""Understand the bodies of every provider, as the providers document them.

Takes: one record as JSON gave it
Out:   facts: visits, cards, payments, messages and statuses, in the order in which they are told
Errors: ``Unusable`` where the body is a dead letter
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

from tests.oracle_times import instant, phone_number

Json = dict[str, Any]
Alias = tuple[str, str]
Key = tuple[str, str]
"""A scope (provider and branch) and an id in it."""

ATTENDANCE = {1: "attended", -1: "no_show", 2: "confirmed", 0: "booked", None: "booked"}
MESSENGERS = {"whatsapp"}
"""Channels whose chat is named by a phone."""


class Unusable(Exception):
    """The body cannot be understood."""


@dataclass(frozen=True)
class VisitFact:
    """One version of a visit; ``start`` or ``local`` (naive, of ``place``), or neither."""

    key: Key
    version: int | None
    status: str
    start: int | None
    local: str | None
    place: str
    client: Key | None
    phone: int | None
    unit: Key | None
    amount: int | None  # minor units
    major: Decimal | None  # or major ones
    currency: str | None
    rest: tuple[Any, ...] = ()  # what else a repetition must equal
    keeps_start: bool = False  # the first start that any version told
    duration: int | None = None  # ms
    services: tuple[str, ...] = ()
    name: str | None = field(default=None, compare=False)


class About(NamedTuple):
    """What a card says of the person."""

    name: str | None = None
    birthday: str | None = None
    locale: str | None = None
    marketing: bool | None = None  # consent
    sms: bool | None = None  # False: no SMS, True: that is no longer said


NOTHING_TOLD = About()


@dataclass(frozen=True)
class CardFact:
    """One version of a client's card."""

    key: Key
    version: int | None
    phone: int | None
    deleted: bool = False
    aliases: tuple[Alias, ...] = ()
    rest: tuple[Any, ...] = ()
    about: About = NOTHING_TOLD


@dataclass(frozen=True)
class PaymentFact:
    """One version of a payment, or of a sale of goods."""

    key: Key
    version: int | None
    unit: Key | None
    visit: Key | None
    sale: Key | None
    is_sale: bool
    client: Key | None
    phone: int | None
    start: int | None
    local: str | None
    place: str
    major: Decimal
    deleted: bool


@dataclass(frozen=True)
class MessageFact:
    """An incoming message."""

    id: str
    at: int
    phone: int | None
    alias: Alias | None = None
    kind: str = "text"
    text: str = ""


@dataclass(frozen=True)
class StatusFact:
    """What became of an outgoing message."""

    id: str
    at: int
    status: str
    phone: int | None
    alias: Alias | None = None
    command: str | None = None
    error: int = 0


CLOCKED = {"yclients", "altegio", "iiko"}
"""Providers whose versions are instants."""

Fact = VisitFact | CardFact | PaymentFact | MessageFact | StatusFact


def bodies(record: Json) -> Iterator[Fact]:
    """What a webhook says."""
    try:
        yield from list(_READERS[record["provider"]](record))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Unusable from error


def event_time(fact: Fact, provider: str) -> int | None:
    """When it happened, where that is told."""
    if isinstance(fact, MessageFact | StatusFact):
        return fact.at
    return fact.version if provider in CLOCKED else None


def history(record: Json) -> Iterator[Fact]:
    """What an import says."""
    scope = f"generic/{record.get('branch', '')}"
    for body in record.get("visits", []):
        yield _generic_visit(body, scope, record.get("branch", ""))
    for body in record.get("customers", []):
        yield _generic_card(body, scope)


def _generic(record: Json) -> Iterator[Fact]:
    body, branch = record["body"], record.get("branch", "")
    scope = f"generic/{branch}"
    if body["type"] == "visit":
        yield _generic_visit(body, scope, branch)
    elif body["type"] == "client":
        yield _generic_card(body, scope)
    elif body["type"] == "message_in":
        phone = phone_number(body.get("phone"))
        at, text = instant(body["at"]), body.get("text") or ""
        yield MessageFact(str(body["message_id"]), at, phone, text=text)
    else:
        phone, at = phone_number(body.get("phone")), instant(body["at"])
        command = body.get("command_id")
        yield StatusFact(str(body["message_id"]), at, body["status"], phone, None, command)


def _generic_visit(body: Json, scope: str, branch: str) -> VisitFact:
    client = body.get("client")
    told = body.get("starts_at")
    if told is None and body["status"] != "cancelled":
        raise KeyError("starts_at")
    zoned = told is not None and (told.endswith("Z") or ":" in told[19:])
    ended = body.get("ends_at")
    length = instant(ended) - instant(told) if ended and told and zoned else 0
    return VisitFact(
        key=(scope, str(body["id"])),
        version=body.get("version"),
        status=body["status"],
        start=instant(told) if told and zoned else None,
        local=None if zoned else told,
        place=str(body.get("branch") or branch),
        client=None if client is None else (scope, str(client)),
        phone=phone_number(body.get("phone")),
        unit=None,
        amount=body.get("amount_minor", 0),
        major=None,
        currency=body.get("currency"),
        rest=(body.get("ends_at"), tuple(body.get("services", ())), body.get("staff")),
        duration=length if length > 0 else None,
        services=tuple(body.get("services", ())),
    )


def _generic_card(body: Json, scope: str) -> CardFact:
    told = tuple(sorted((body.get("aliases") or {}).items()))
    return CardFact(
        (scope, str(body["id"])),
        body.get("version"),
        phone_number(body.get("phone")),
        aliases=told,
        rest=(body.get("name"), body.get("birthday"), body.get("locale"), str(body.get("consent"))),
        about=About(
            body.get("name"),
            body.get("birthday"),
            body.get("locale"),
            (body.get("consent") or {}).get("marketing"),
        ),
    )


def _whatsapp(record: Json) -> Iterator[Fact]:
    values = [change["value"] for entry in record["body"]["entry"] for change in entry["changes"]]
    for value in values:
        for each in value.get("messages", []):
            alias = ("whatsapp_bsuid", each["from_user_id"]) if "from_user_id" in each else None
            phone, hidden = _whatsapp_who(each.get("from"))
            at = int(each["timestamp"]) * 1000
            text = each.get("text", {}).get("body", "")
            yield MessageFact(each["id"], at, phone, alias or hidden, each["type"], text)
        for each in value.get("statuses", []):
            who = _whatsapp_who(each.get("recipient_id"))
            command = each.get("biz_opaque_callback_data")
            at = int(each["timestamp"]) * 1000
            error = (each.get("errors") or [{}])[0].get("code", 0)
            yield StatusFact(each["id"], at, each["status"], *who, command, error)


def _whatsapp_who(text: str | None) -> tuple[int | None, Alias | None]:
    """Digits are a phone; ``BR.1502576394655843`` is a name that hides one."""
    if text and text[:2].isalpha() and text[2:3] == ".":
        return None, ("whatsapp_bsuid", text)
    return phone_number(text), None


def _wazzup(record: Json) -> Iterator[Fact]:
    for each in record["body"].get("messages", []):
        if each.get("isEcho") or each.get("status", "inbound") != "inbound":
            continue
        named = each["chatType"] in MESSENGERS
        phone = phone_number(each["chatId"]) if named else None
        alias = None if named else (each["chatType"], each["chatId"])
        at, text = instant(each["dateTime"]), each.get("text") or ""
        yield MessageFact(each["messageId"], at, phone, alias, each["type"], text)
    for each in record["body"].get("statuses", []):
        if each["status"] in {"sent", "delivered", "read", "error"}:
            status = "failed" if each["status"] == "error" else each["status"]
            yield StatusFact(each["messageId"], instant(each["timestamp"]), status, None)


def _greenapi(record: Json) -> Iterator[Fact]:
    body = record["body"]
    kind, at = body["typeWebhook"], body["timestamp"] * 1000
    if kind == "incomingMessageReceived":
        chat = body["senderData"]["chatId"]
        if chat.endswith("@c.us"):
            text = body["messageData"].get("textMessageData", {}).get("textMessage", "")
            phone = phone_number(chat.removesuffix("@c.us"))
            yield MessageFact(body["idMessage"], at, phone, text=text)
    elif kind == "outgoingMessageStatus":
        phone = phone_number(body["chatId"].removesuffix("@c.us"))
        status = {"noActiveSession": "failed"}.get(body["status"], body["status"])
        yield StatusFact(body["idMessage"], at, status, phone)


def _iiko(record: Json) -> Iterator[Fact]:
    for event in record["body"]:
        info = event["eventInfo"]
        order = info.get("order")
        if info.get("creationStatus") != "Success" or order is None:
            continue
        if order["status"] not in {"Closed", "Deleted"}:
            continue
        scope = f"iiko/{event['organizationId']}"
        stamp = info["timestamp"] if info["timestamp"] > 10**11 else info["timestamp"] * 1000
        who = order.get("customer") or {}
        yield VisitFact(
            key=(scope, info["id"]),
            version=stamp,
            status="attended" if order["status"] == "Closed" else "deleted",
            start=stamp if order["status"] == "Closed" else None,
            local=None,
            place=event["organizationId"],
            keeps_start=True,
            client=None,
            phone=phone_number(who.get("phone")),
            name=who.get("name") or None,
            unit=None,
            amount=None,
            major=Decimal(str(order.get("sum") or 0)),
            currency=None,
        )


def _yclients(record: Json) -> Iterator[Fact]:
    body = record["body"]
    scope = f"{record['provider']}/{body['company_id']}"
    if body["resource"] == "record":
        yield _yclients_visit(body, scope)
    elif body["resource"] == "client":
        data = body["data"]
        key = (scope, str(data["id"]))
        phone, deleted = phone_number(data.get("phone")), body["status"] == "delete"
        sms = None if "sms_not" not in data else not data["sms_not"]
        about = About(data.get("name"), data.get("birth_date"), sms=sms)
        yield CardFact(key, _changed(data), phone, deleted, rest=(about,), about=about)
    elif body["resource"] == "finances_operation":
        yield from _yclients_payment(body, scope)
    elif body["resource"] == "goods_operations_sale":
        yield _yclients_sale(body, scope)


def _changed(data: Json) -> int | None:
    return instant(data["last_change_date"]) if data.get("last_change_date") else None


def _card_of(data: Json, scope: str) -> tuple[Key | None, int | None]:
    who = data.get("client") or {}
    return (scope, str(who["id"])) if who.get("id") else None, phone_number(who.get("phone"))


def _yclients_visit(body: Json, scope: str) -> VisitFact:
    data = body["data"]
    gone = data.get("deleted") or body["status"] == "delete"
    sums = [Decimal(str(each["cost"])) * each["amount"] for each in data.get("services", [])]
    client, phone = _card_of(data, scope)
    return VisitFact(
        key=(scope, str(data["id"])),
        version=_changed(data),
        status="deleted" if gone else ATTENDANCE[data["attendance"]],
        start=None,
        local=data["date"],
        place=str(body["company_id"]),
        client=client,
        phone=phone,
        unit=(scope, str(data["visit_id"])) if data.get("visit_id") else None,
        amount=None,
        major=sum(sums, Decimal(0)),
        currency=None,
        rest=(data.get("seance_length"), data.get("staff", {}).get("name"), len(sums)),
        duration=data.get("seance_length", 0) * 1000 or None,
        services=tuple(each["title"] for each in data.get("services", [])),
        name=(data.get("client") or {}).get("name") or None,
    )


def _yclients_payment(body: Json, scope: str) -> Iterator[PaymentFact]:
    data = body["data"]
    goods = data.get("sold_item_type") == "goods_transaction"
    sale = (scope, str(data["sold_item_id"])) if goods and data.get("sold_item_id") else None
    fact = _money(body, scope, data["date"], data["amount"], sale, is_sale=False)
    gone = fact.deleted
    if gone or fact.client or fact.phone or fact.unit or fact.visit or data.get("sold_item_id"):
        yield fact  # else it is the business's own money


def _yclients_sale(body: Json, scope: str) -> PaymentFact:
    data = body["data"]
    sale = (scope, str(data["id"]))
    return _money(body, scope, data["create_date"], data["cost"], sale, is_sale=True)


def _money(
    body: Json, scope: str, date: str, amount: float, sale: Key | None, is_sale: bool
) -> PaymentFact:
    data = body["data"]
    client, phone = _card_of(data, scope)
    zoned = len(date) > 19
    return PaymentFact(
        key=(f"{scope}/{body['resource']}", str(data["id"])),
        version=_changed(data),
        unit=(scope, str(data["visit_id"])) if data.get("visit_id") else None,
        visit=(scope, str(data["record_id"])) if data.get("record_id") else None,
        sale=sale,
        is_sale=is_sale,
        client=client,
        phone=phone,
        start=instant(date) if zoned else None,
        local=None if zoned else date,
        place=str(body["company_id"]),
        major=Decimal(str(amount)),
        deleted=bool(data.get("deleted") or body["status"] == "delete"),
    )


_READERS: dict[str, Callable[[Json], Iterator[Fact]]] = {
    "generic": _generic,
    "whatsapp": _whatsapp,
    "wazzup": _wazzup,
    "greenapi": _greenapi,
    "iiko": _iiko,
    "yclients": _yclients,
    "altegio": _yclients,
}
