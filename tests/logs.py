"""Build record logs: one function per kind of record, and a small, nasty life for the properties.

Takes: instants in ms since the epoch, or ISO text with a zone
Out:   records as dicts (``lines_of`` encodes a log), or whole logs as lines
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

Record = dict[str, Any]
When = int | str

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def ms(when: When) -> int:
    """The instant in ms; text must carry its zone."""
    if isinstance(when, int):
        return when
    moment = datetime.fromisoformat(when)
    assert moment.tzinfo is not None, when
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def local(text: str, zone: str) -> int:
    """The instant of a wall clock such as ``2026-03-29 00:00`` in a zone."""
    return ms(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).isoformat())


def stamp(when: When) -> str:
    """RFC 3339 in UTC with ms."""
    moment = _EPOCH + timedelta(milliseconds=ms(when))
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def wall(when: When, zone: str) -> str:
    """The naive local text that yclients writes, ``2020-11-21 16:00:00``."""
    moment = (_EPOCH + timedelta(milliseconds=ms(when))).astimezone(ZoneInfo(zone))
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def envelope(kind: str, tenant: str | None, at: When, **rest: Any) -> Record:
    """Any record; ``received_at`` is all a file without ``appended_at`` has."""
    who = {} if tenant is None else {"tenant": tenant}
    return {"kind": kind, **who, "received_at": stamp(at), **rest}


def heartbeat(at: When) -> Record:
    """Moves every lane's clock."""
    return envelope("heartbeat", None, at)


def heartbeats(start: When, stop: When, step: int = MINUTE) -> list[Record]:
    """One a minute from start to stop, both included."""
    return [heartbeat(at) for at in range(ms(start), ms(stop) + 1, step)]


OPEN_GATE: Record = {
    "consent_default": "allow",
    "quiet_hours": ["00:00", "00:00"],
    "caps": [],
    "holdout_percent": 0,
}
"""Settings under which the gate refuses next to nothing."""


def settings(tenant: str, at: When, **fields: Any) -> Record:
    """The tenant's settings: generic preset, UTC and KZT and an open gate unless told."""
    told: Record = {"preset": "generic", "timezone": "UTC", "country": "KZ", "currency": "KZT"}
    told |= OPEN_GATE | fields
    return envelope("settings", tenant, at, settings=told)


def trigger(kind: str, **fields: Any) -> Record:
    """A trigger of the settings; its id is its kind unless told."""
    return {"id": kind, "kind": kind, "channels": ["whatsapp"], "template": f"{kind}_ru", **fields}


def visit(tenant: str, at: When, id: str, **body: Any) -> Record:
    """A ``generic`` visit; ``starts_at`` may be an instant, keys of None are left out."""
    if isinstance(body.get("starts_at"), int):
        body["starts_at"] = stamp(body["starts_at"])
    told = {key: value for key, value in body.items() if value is not None}
    return envelope(
        "webhook", tenant, at, provider="generic", body={"type": "visit", "id": id, **told}
    )


def card(tenant: str, at: When, id: str, **body: Any) -> Record:
    """A ``generic`` client."""
    told = {key: value for key, value in body.items() if value is not None}
    return envelope(
        "webhook", tenant, at, provider="generic", body={"type": "client", "id": id, **told}
    )


def message_in(tenant: str, at: When, id: str, phone: str, text: str = "здравствуйте") -> Record:
    """A ``generic`` incoming message that asks nothing of us, unless told."""
    body = {"type": "message_in", "message_id": id, "phone": phone, "channel": "whatsapp"}
    body |= {"text": text, "at": stamp(at)}
    return envelope("webhook", tenant, at, provider="generic", body=body)


def whatsapp_message(tenant: str, at: When, id: str, digits: str) -> Record:
    """The same through the Cloud API."""
    text = {"from": digits, "id": id, "timestamp": str(ms(at) // 1000), "type": "text"}
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "15550783881", "phone_number_id": "1065403"},
        "contacts": [{"profile": {"name": "А"}, "wa_id": digits}],
        "messages": [text | {"text": {"body": "здравствуйте"}}],
    }
    entry = [{"id": "1022901", "changes": [{"field": "messages", "value": value}]}]
    body = {"object": "whatsapp_business_account", "entry": entry}
    return envelope("webhook", tenant, at, provider="whatsapp", body=body)


def changed_at(version: int) -> str:
    """A yclients ``last_change_date``: the version counts seconds of 2026 in Moscow."""
    moment = datetime(2026, 1, 1) + timedelta(seconds=version)
    return moment.strftime("%Y-%m-%dT%H:%M:%S+0300")


def record(
    tenant: str,
    at: When,
    id: int,
    *,
    date: str,
    attendance: int = 0,
    version: int | None = None,
    deleted: bool = False,
    status: str = "update",
    client: int | None = None,
    phone: str | None = None,
    costs: tuple[tuple[float, int], ...] = (),
    company: int = 501,
    provider: str = "yclients",
    unit: int | None = None,
) -> Record:
    """A yclients record; ``costs`` are (cost, amount) of its services, ``date`` is naive local."""
    services = [
        {"id": n, "title": f"s{n}", "cost": cost, "amount": amount, "discount": 0}
        for n, (cost, amount) in enumerate(costs)
    ]
    who = None if client is None else {"id": client, "name": "Я", "phone": phone or ""}
    body: Record = {"id": id, "company_id": company, "services": services, "client": who}
    body |= {"staff": {"id": 1, "name": "М"}, "date": date, "attendance": attendance}
    body |= {"datetime": "2020-11-21T16:00:00+03:00", "seance_length": 3600, "deleted": deleted}
    body |= {"visit_id": unit or id + 900_000, "confirmed": 1, "paid_full": 0, "custom_fields": []}
    if version is not None:
        body["last_change_date"] = changed_at(version)
    return _yclients(tenant, at, provider, company, "record", id, status, body)


def client(
    tenant: str,
    at: When,
    id: int,
    *,
    phone: str | None = None,
    version: int | None = None,
    status: str = "update",
    company: int = 501,
    provider: str = "yclients",
) -> Record:
    """A yclients client card."""
    body: Record = {"id": id, "name": "Я", "phone": phone or "", "categories": []}
    if version is not None:
        body["last_change_date"] = changed_at(version)
    return _yclients(tenant, at, provider, company, "client", id, status, body)


def _yclients(
    tenant: str,
    at: When,
    provider: str,
    company: int,
    resource: str,
    id: int,
    status: str,
    data: Record,
) -> Record:
    body = {"company_id": company, "resource": resource, "resource_id": id, "status": status}
    return envelope(
        "webhook", tenant, at, provider=provider, branch=str(company), body=body | {"data": data}
    )


def payment(
    tenant: str,
    at: When,
    id: int,
    amount: float,
    *,
    date: str,
    version: int | None = None,
    unit: int | None = None,
    sale: int | None = None,
    client: int | None = None,
    phone: str | None = None,
    deleted: bool = False,
    company: int = 501,
    provider: str = "yclients",
) -> Record:
    """A yclients payment for a visit's unit, for a sale of goods, or for neither."""
    body = _money(id, date, version, unit, client, phone, deleted) | {"amount": amount}
    if sale is not None:
        body |= {"sold_item_id": sale, "sold_item_type": "goods_transaction"}
    status = "delete" if deleted else "update"
    return _yclients(tenant, at, provider, company, "finances_operation", id, status, body)


def sale(
    tenant: str,
    at: When,
    id: int,
    cost: float,
    *,
    date: str,
    version: int | None = None,
    unit: int | None = None,
    client: int | None = None,
    phone: str | None = None,
    deleted: bool = False,
    company: int = 501,
    provider: str = "yclients",
) -> Record:
    """A yclients sale of goods."""
    body = _money(id, date, version, unit, client, phone, deleted)
    body |= {"cost": cost, "amount": -1, "create_date": body.pop("date")}
    status = "delete" if deleted else "update"
    return _yclients(tenant, at, provider, company, "goods_operations_sale", id, status, body)


def _money(
    id: int,
    date: str,
    version: int | None,
    unit: int | None,
    client: int | None,
    phone: str | None,
    deleted: bool,
) -> Record:
    who = None if client is None else {"id": client, "name": "Я", "phone": phone or ""}
    body: Record = {"id": id, "date": date, "visit_id": unit or 0, "record_id": 0, "client": who}
    body |= {"deleted": deleted, "expense": {"id": 5, "title": "s"}}
    return body if version is None else body | {"last_change_date": changed_at(version)}


def history(tenant: str, at: When, *told: Record) -> Record:
    """Imported past: the bodies of these ``generic`` webhooks."""
    found = [each["body"] for each in told]
    visits = [body for body in found if body["type"] == "visit"]
    customers = [body for body in found if body["type"] == "client"]
    return envelope("history", tenant, at, visits=visits, customers=customers)


def forget(tenant: str, at: When, customer_id: str) -> Record:
    """A customer's wish to be forgotten."""
    return envelope("forget", tenant, at, customer_id=customer_id)


def whatsapp_status(
    tenant: str, at: When, id: str, digits: str | None, status: str = "delivered"
) -> Record:
    """What became of a message, through the Cloud API."""
    told: Record = {"id": id, "status": status, "timestamp": str(ms(at) // 1000)}
    if digits is not None:
        told["recipient_id"] = digits
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "15550783881", "phone_number_id": "1065403"},
        "statuses": [told],
    }
    entry = [{"id": "1022901", "changes": [{"field": "messages", "value": value}]}]
    body = {"object": "whatsapp_business_account", "entry": entry}
    return envelope("webhook", tenant, at, provider="whatsapp", body=body)


def wazzup_message(
    tenant: str, at: When, id: str, chat: str, kind: str = "whatsapp", is_echo: bool = False
) -> Record:
    """An incoming message, or one that the staff wrote by hand."""
    told: Record = {"messageId": id, "dateTime": stamp(at), "channelId": "b96a353b"}
    told |= {"chatType": kind, "chatId": chat, "type": "text", "isEcho": is_echo}
    told |= {"text": "здравствуйте", "status": "inbound" if not is_echo else "sent"}
    return envelope("webhook", tenant, at, provider="wazzup", body={"messages": [told]})


def wazzup_status(tenant: str, at: When, id: str, status: str = "delivered") -> Record:
    """A status, which names nobody."""
    body = {"statuses": [{"messageId": id, "timestamp": stamp(at), "status": status}]}
    return envelope("webhook", tenant, at, provider="wazzup", body=body)


def greenapi_message(tenant: str, at: When, id: str, digits: str) -> Record:
    """An incoming message."""
    chat = f"{digits}@c.us"
    body: Record = {"typeWebhook": "incomingMessageReceived", "timestamp": ms(at) // 1000}
    body |= {"instanceData": {"idInstance": 1101000002}, "idMessage": id}
    body |= {"senderData": {"chatId": chat, "sender": chat, "senderName": "Я"}}
    text = {"textMessage": "здравствуйте"}
    body |= {"messageData": {"typeMessage": "textMessage", "textMessageData": text}}
    return envelope("webhook", tenant, at, provider="greenapi", body=body)


def greenapi_status(
    tenant: str, at: When, id: str, digits: str, status: str = "delivered"
) -> Record:
    """What became of a message."""
    body: Record = {"typeWebhook": "outgoingMessageStatus", "chatId": f"{digits}@c.us"}
    body |= {"instanceData": {"idInstance": 1101000002}, "timestamp": ms(at) // 1000}
    body |= {"idMessage": id, "status": status, "sendByApi": True}
    return envelope("webhook", tenant, at, provider="greenapi", body=body)


def order(
    tenant: str,
    at: When,
    id: str,
    *,
    closed: When,
    status: str = "Closed",
    sum: float = 4200,
    phone: str | None = None,
    provider: str = "iiko",
) -> Record:
    """An iiko order."""
    who = None if phone is None else {"name": "Я", "phone": phone}
    told = {"id": f"o-{id}", "status": status, "number": 57, "sum": sum, "customer": who}
    info = {"id": id, "organizationId": "550e8400", "timestamp": ms(closed) // 1000}
    info |= {"creationStatus": "Success", "errorInfo": None}
    body: Record = {"eventType": "TableOrderUpdate", "organizationId": "550e8400"}
    body |= {"eventTime": stamp(at)[:23].replace("T", " "), "correlationId": "c090de0b"}
    body |= {"eventInfo": info | {"order": told | {"items": [], "payments": []}}}
    return envelope("webhook", tenant, at, provider=provider, body=[body])


def rubbish(tenant: str, at: When, kind: int) -> Record:
    """A webhook that cannot be used: no JSON, no start, an unknown provider."""
    bodies: tuple[tuple[str, Any], ...] = (
        ("generic", "<html>502</html>"),
        ("generic", {"type": "visit", "id": "broken", "status": "attended"}),
        ("yclients", {"company_id": 501, "resource": "record", "resource_id": 7, "data": 3}),
    )
    provider, body = bodies[kind % len(bodies)]
    return envelope("webhook", tenant, at, provider=provider, body=body)


def lines_of(records: list[Record]) -> list[bytes]:
    """One JSON object a line."""
    return [json.dumps(record, ensure_ascii=False).encode() for record in records]
