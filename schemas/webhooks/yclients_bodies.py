"""Bodies of YCLIENTS and Altegio: what we read of each resource, and how drift is mended.

Takes: raw bodies
Out:   a change of one object, with the fields that we need; which resource it is, is its type
Errors: ``UNREADABLE`` where a field that matters cannot be understood
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw, Struct

from schemas.webhooks import drift
from schemas.webhooks.drift import Number, Whole


class Service(Struct, gc=False):
    """One service of a record; ``cost`` is of one unit after discount."""

    title: str | None = None
    cost: Number | None = None
    amount: Number | None = None


class Staff(Struct, gc=False):
    """Who serves."""

    name: str | None = None


class Client(Struct, gc=False):
    """The card that a record or a payment names."""

    id: Whole | None = None
    name: str | None = None
    phone: str | None = None


class Object(Struct, kw_only=True, gc=False):
    """What every object of theirs tells."""

    id: Whole | None = None
    deleted: bool | None = None
    last_change_date: str | None = None


class RecordData(Object, kw_only=True, gc=False):
    """A booking, or what came of it."""

    services: list[Service] | None = None
    staff: Staff | None = None
    client: Client | None = None
    date: str | None = None
    attendance: Whole | None = None
    seance_length: Whole | None = None
    length: Whole | None = None
    visit_id: Whole | None = None


class ClientData(Object, kw_only=True, gc=False):
    """A client's card."""

    name: str | None = None
    phone: str | None = None
    birth_date: str | None = None
    birthday: str | None = None
    sms_not: Any = None
    """Whether the client wants no SMS: a number, a boolean or a text."""


class PaymentData(Object, kw_only=True, gc=False):
    """Money that has moved; ``amount`` is below zero where it was given back."""

    date: str | None = None
    amount: Number | None = None
    client: Client | None = None
    record_id: Whole | None = None
    visit_id: Whole | None = None
    sold_item_id: Whole | None = None
    sold_item_type: str | None = None


class SaleData(Object, kw_only=True, gc=False):
    """Goods that were sold: ``cost`` is the sum, ``amount`` how much of them left the stock."""

    amount: Number | None = None
    create_date: str | None = None
    date: str | None = None
    cost_per_unit: Number | None = None
    cost: Number | None = None
    record_id: Whole | None = None
    visit_id: Whole | None = None
    client: Client | None = None


class Change(Struct, kw_only=True, gc=False, tag_field="resource"):
    """One change of one object; a subclass for each resource that tells us something."""

    company_id: Whole | str | None = None
    resource_id: Whole | None = None
    status: str | None = None
    data: Any = None


class RecordChange(Change, kw_only=True, gc=False, tag="record"):
    """Of a record."""

    data: RecordData | None = None


class ClientChange(Change, kw_only=True, gc=False, tag="client"):
    """Of a card."""

    data: ClientData | None = None


class PaymentChange(Change, kw_only=True, gc=False, tag="finances_operation"):
    """Of a payment."""

    data: PaymentData | None = None


class SaleChange(Change, kw_only=True, gc=False, tag="goods_operations_sale"):
    """Of a sale of goods."""

    data: SaleData | None = None


Body = RecordChange | ClientChange | PaymentChange | SaleChange

RESOURCES = ("record", "client", "finances_operation", "goods_operations_sale")

NO_RECORD, NO_CARD, NO_PAYMENT, NO_SALE = RecordData(), ClientData(), PaymentData(), SaleData()
"""What a change without data says."""

decode_body: Callable[[Raw], Body] = msgspec.json.Decoder(Body, strict=False).decode
"""A body that has not drifted."""


class _Head(Struct, gc=False):
    resource: str


_decode_head = msgspec.json.Decoder(_Head).decode

_SPARED_TEXTS = (
    "title",
    "name",
    "birth_date",
    "birthday",
    "date",
    "create_date",
    "last_change_date",
    "sold_item_type",
)


def decode_resource(raw: Raw) -> str:
    """What the body is about; raises ``UNREADABLE``."""
    return _decode_head(raw).resource


def _mended(raw: Raw) -> Any:
    """What the body says, without what has drifted and says nothing or can be spared."""
    told = _without_empty(msgspec.json.decode(raw))
    data = told["data"] = _without_empty(told.get("data"))
    if isinstance(data, dict):
        client, services = _without_empty(data.get("client")), data.get("services", [])
        staff = data["staff"] if isinstance(data.get("staff"), dict) else {}
        if isinstance(services, dict):  # a list whose numbering has a hole is written as an object
            services = list(services.values())
        if isinstance(services, list):
            services = [_without_empty(each) for each in services]
        data |= {"client": client, "staff": staff, "services": services}
        for each in (data, client, staff, *services):
            if isinstance(each, dict):
                each |= {name: drift.text(each.get(name)) for name in _SPARED_TEXTS}
                each["phone"] = drift.phone(each.get("phone"))
        data |= {name: drift.seconds(data.get(name)) for name in ("length", "seance_length")}
    return told


def read_body(raw: Raw) -> Body:
    """The body, mended where need be."""
    try:
        return decode_body(raw)
    except msgspec.ValidationError:
        body: Body = msgspec.convert(_mended(raw), Body, strict=False)
        return body


def _without_empty(told: Any) -> Any:
    """An object's fields that say something; what is empty instead of an object is an empty one."""
    if isinstance(told, dict):
        return {name: value for name, value in told.items() if value not in ("", [], {})}
    return told or {}
