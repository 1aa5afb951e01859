"""Read webhooks of YCLIENTS and Altegio, which have the same shape.

Takes: ``record``, ``client`` and ``finances_operation``; other resources are counted and skipped
Out:   visits, clients, payments. Where a visit takes place is where the record is kept: the branch
Drift: every field that is read may be absent; numbers may be text, lists may be null, empty
       objects may be lists; a name, a title or a length of time that is none is left out

A deletion needs no more than an id. A record's price is the sum of what its services cost, which
is told after discount; ``date`` is the wall clock of the branch, ``datetime`` is not to be trusted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct

from schemas.batch import (
    ATTENDED,
    BOOKED,
    CONFIRMED,
    DELETED,
    I8,
    NO_SHOW,
    NONE,
    SERVICES_SEPARATOR,
    ClientEvents,
    PaymentEvents,
    VisitEvents,
)
from schemas.record import UNREADABLE, Webhook
from schemas.webhooks import drift
from schemas.webhooks.drift import MOST_MONEY, Number, Refusal, Whole
from schemas.webhooks.findings import (
    Findings,
    all_the_same,
    flags,
    indexes,
    integers,
    objects,
)
from schemas.webhooks.times import instants, starts, walls, yyyymmdd


class Service(Struct, gc=False):
    """One service of a record; ``cost`` is of one unit after discount."""

    title: Any = None
    cost: Number | None = None
    amount: Number | None = None


class Staff(Struct, gc=False):
    """Who serves."""

    name: Any = None


class Client(Struct, gc=False):
    """The card that a record or a payment names."""

    id: Whole | None = None
    name: Any = None
    phone: Any = None


class Data(Struct, gc=False):
    """The fields that we need of all three resources: which one it is, is known after reading."""

    id: Whole | None = None
    services: list[Service] | None = None
    staff: Staff | list[Any] | str | Whole | None = None
    client: Client | list[Any] | None = None
    date: Any = None
    attendance: Whole | None = None
    seance_length: Any = None
    length: Any = None
    visit_id: Whole | None = None
    deleted: bool | None = None
    amount: Number | None = None
    name: Any = None
    phone: Any = None
    birth_date: Any = None
    birthday: Any = None
    last_change_date: Any = None


class Body(Struct, kw_only=True, gc=False):
    """One change of one object."""

    company_id: Whole | str | None = None
    resource: str
    resource_id: Whole | None = None
    status: str | None = None
    data: Data | list[Any] | None = None


class _Head(Struct, gc=False):
    resource: str


decode_body = msgspec.json.Decoder(Body, strict=False).decode
_decode_head = msgspec.json.Decoder(_Head).decode

_NO_DATA = Data()
_NO_CLIENT = Client()
_ATTENDANCE = {None: BOOKED, 0: BOOKED, 1: ATTENDED, 2: CONFIRMED, -1: NO_SHOW}

Row = tuple[Any, ...]


def read(
    provider: str, records: Sequence[int], webhooks: Sequence[Webhook], findings: Findings
) -> None:
    """Adds what these webhooks say; ``records`` are their places in the batch, ascending."""
    found: dict[str, list[Any]] = {resource: [] for resource in _ROWS}
    scopes = findings.scopes
    for record, webhook in zip(records, webhooks, strict=True):
        try:
            body = decode_body(webhook.body)
            row_of = _ROWS.get(body.resource)
            if row_of is None:
                findings.ignore("resource")
                continue
            row = row_of(body, body.data if type(body.data) is Data else _NO_DATA)
            branch = webhook.branch or body.company_id
            if not branch:
                raise Refusal("shape", "body.company_id: missing")
        except (*UNREADABLE, Refusal) as error:
            if _concerns_us(webhook):
                findings.refuse_body(record, webhook.body, error)
            else:
                findings.ignore("resource")
            continue
        rows = found[body.resource]
        rows += (record, scopes[webhook.tenant, provider, str(branch)])
        rows += row
    branches = [scope[2] for scope in scopes]
    _add_visits(provider, found["record"], branches, findings)
    _add_clients(provider, found["client"], findings)
    _add_payments(provider, found["finances_operation"], findings)


def _concerns_us(webhook: Webhook) -> bool:
    """Whether a body that cannot be read is of a resource that we would read."""
    try:
        return _decode_head(webhook.body).resource in _ROWS
    except UNREADABLE:
        return True


def _id_of(body: Body, data: Data) -> int:
    number = body.resource_id or data.id
    if not number:
        raise Refusal("shape", "body.resource_id: missing")
    return number


def _visit(body: Body, data: Data) -> Row:
    number = _id_of(body, data)
    changed, date = data.last_change_date, data.date
    status = _ATTENDANCE.get(data.attendance)
    if data.deleted or body.status == "delete":
        status = DELETED
    elif status is None:
        raise Refusal("shape", "body.data.attendance: not a value that is known")
    elif type(date) is not str:
        raise Refusal("shape", "body.data.date: missing")
    client = data.client if type(data.client) is Client else _NO_CLIENT
    name, phone, staff = client.name, client.phone, data.staff
    services = data.services or ()
    return (
        number,
        changed if type(changed) is str else "",
        status,
        date if type(date) is str else "",
        (drift.seconds(data.length) or drift.seconds(data.seance_length) or 0) * 1000 or NONE,
        client.id or NONE,
        phone if type(phone) is str and phone else drift.phone(phone),
        name if type(name) is str and name else None,
        data.visit_id or NONE,
        _price(services),
        SERVICES_SEPARATOR.join([each.title for each in services if type(each.title) is str]),
        drift.text(staff.name) if type(staff) is Staff else None,
    )


def _price(services: Sequence[Service]) -> int:
    """Thousandths; whole sums, nearly all of them, need no decimals."""
    total: float = 0
    for service in services:
        price = (service.cost or 0) * (1 if service.amount is None else service.amount)
        if price % 1:
            return drift.thousandths(
                "body.data.services",
                ((each.cost or 0, 1 if each.amount is None else each.amount) for each in services),
            )
        total += price
    if abs(total) > MOST_MONEY // 1000:
        raise Refusal("shape", "body.data.services: not a sum of money")
    return int(total) * 1000


def _client(body: Body, data: Data) -> Row:
    changed = data.last_change_date
    return (
        _id_of(body, data),
        changed if type(changed) is str else "",
        drift.phone(data.phone),
        drift.text(data.name),
        yyyymmdd(data.birth_date) or yyyymmdd(data.birthday),
        bool(data.deleted or body.status == "delete"),
    )


def _payment(body: Body, data: Data) -> Row:
    number = _id_of(body, data)
    changed, date, amount = data.last_change_date, data.date, data.amount
    deleted = bool(data.deleted or body.status == "delete")
    if not deleted and type(date) is not str:
        raise Refusal("shape", "body.data.date: missing")
    if not deleted and amount is None:
        raise Refusal("shape", "body.data.amount: missing")
    client = data.client if type(data.client) is Client else _NO_CLIENT
    return (
        number,
        changed if type(changed) is str else "",
        data.visit_id or NONE,
        client.id or NONE,
        drift.phone(client.phone),
        date if type(date) is str else "",
        drift.thousandths("body.data.amount", [(amount or 0, 1)]),
        deleted,
    )


_ROWS: dict[str, Callable[[Body, Data], Row]] = {
    "record": _visit,
    "client": _client,
    "finances_operation": _payment,
}


def _versions(texts: Sequence[str]) -> I8:
    return instants(texts, zoneless_is_utc=True)


def _add_visits(
    provider: str, rows: list[Any], branches: Sequence[str], findings: Findings
) -> None:
    if not rows:
        return
    columns = [rows[at::14] for at in range(14)]
    record, scope, number, changed, status, date, duration = columns[:7]
    client, phone, name, money_unit, amount, services, staff = columns[7:]
    count = len(record)
    local = walls(date)
    visits = VisitEvents(
        record=indexes(record),
        scope=indexes(scope),
        id=integers(number),
        id_text=all_the_same(None, count),
        version=_versions(changed),
        status=flags(status),
        start_ms=np.full(count, NONE),
        local_ms=local,
        duration_ms=integers(duration),
        client=integers(client),
        phone=objects(phone, count),
        name=objects(name, count),
        money_unit=integers(money_unit),
        amount=integers(amount),
        amount_is_major=np.ones(count, np.int8),
        currency=all_the_same(None, count),
        branch=objects([branches[each] for each in scope], count),
        services=objects(services, count),
        staff=objects(staff, count),
    )
    findings.add(provider, visits, (local != NONE) | (visits.status == DELETED), "body.data.date")


def _add_clients(provider: str, rows: list[Any], findings: Findings) -> None:
    if not rows:
        return
    record, scope, number, changed, phone, name, birthday, deleted = (
        rows[at::8] for at in range(8)
    )
    count = len(record)
    clients = ClientEvents(
        record=indexes(record),
        scope=indexes(scope),
        id=integers(number),
        version=_versions(changed),
        phone=objects(phone, count),
        name=objects(name, count),
        birthday=indexes(birthday),
        locale=all_the_same(None, count),
        consent=np.full(count, -1, np.int8),
        deleted=flags(deleted),
    )
    findings.add(provider, clients, np.ones(count, np.bool_), "body")


def _add_payments(provider: str, rows: list[Any], findings: Findings) -> None:
    """A payment's date is an instant where it is told with a zone, else the branch's wall clock."""
    if not rows:
        return
    columns = [rows[at::10] for at in range(10)]
    record, scope, number, changed, money_unit, client, phone, date, amount, deleted = columns
    count = len(record)
    start, local = starts(date)
    payments = PaymentEvents(
        record=indexes(record),
        scope=indexes(scope),
        id=integers(number),
        version=_versions(changed),
        money_unit=integers(money_unit),
        client=integers(client),
        phone=objects(phone, count),
        local_ms=local,
        start_ms=start,
        amount=integers(amount),
        deleted=flags(deleted),
    )
    timely = (local != NONE) | (start != NONE) | (payments.deleted == 1)
    findings.add(provider, payments, timely, "body.data.date")
