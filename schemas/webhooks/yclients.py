"""Read webhooks of YCLIENTS and Altegio, which have the same shape.

Takes: ``record``, ``client`` and ``finances_operation``; other resources are counted and skipped
Out:   visits, clients, payments. Where a visit takes place is where the record is kept: the branch
Drift: every field that is read may be absent; numbers may be text, lists may be null, empty
       objects may be lists; a name, a title or a length of time that is none is left out

A deletion needs no more than an id. A record's price is the sum of what its services cost, which
is told after discount; ``date`` is the wall clock of the branch, ``datetime`` is not to be trusted.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any

import msgspec
import numpy as np
from msgspec import Raw, Struct

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
from schemas.record import UNREADABLE, TypedWebhook, Webhook, typed
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


class Data(Struct, gc=False):
    """The fields that we need of all three resources: which one it is, is known after reading."""

    id: Whole | None = None
    services: list[Service] | None = None
    staff: Staff | None = None
    client: Client | None = None
    date: str | None = None
    attendance: Whole | None = None
    seance_length: Whole | None = None
    length: Whole | None = None
    visit_id: Whole | None = None
    deleted: bool | None = None
    amount: Number | None = None
    name: str | None = None
    phone: str | None = None
    birth_date: str | None = None
    birthday: str | None = None
    last_change_date: str | None = None


class Body(Struct, kw_only=True, gc=False):
    """One change of one object."""

    company_id: Whole | str | None = None
    resource: str
    resource_id: Whole | None = None
    status: str | None = None
    data: Data | None = None


class YclientsWebhook(TypedWebhook, kw_only=True, gc=False, tag="yclients"):
    """A webhook of YCLIENTS whose body can be read as it is."""

    body: Body


class AltegioWebhook(TypedWebhook, kw_only=True, gc=False, tag="altegio"):
    """The same of Altegio."""

    body: Body


class _Head(Struct, gc=False):
    resource: str


decode_body = msgspec.json.Decoder(Body, strict=False).decode
_decode_head = msgspec.json.Decoder(_Head).decode

_NO_DATA = Data()
_NO_CLIENT = Client()
_NO_STAFF = Staff()
_ATTENDANCE = {None: BOOKED, 0: BOOKED, 1: ATTENDED, 2: CONFIRMED, -1: NO_SHOW}


class Reader:
    """Reads bodies one by one; ``finish`` adds to the findings what they said."""

    def __init__(self, provider: str, findings: Findings) -> None:
        self.provider = provider
        self.findings = findings
        self._scopes = findings.scopes
        self._visits: list[Any] = []
        self._clients: list[Any] = []
        self._payments: list[Any] = []
        self._take = {
            "record": self._take_visit,
            "client": self._take_client,
            "finances_operation": self._take_payment,
        }

    def read_raw(self, record: int, webhook: Webhook) -> None:
        """One webhook, mended where need be."""
        try:
            try:
                body = decode_body(webhook.body)
            except msgspec.ValidationError:
                body = _mended(webhook.body, self._take)
        except UNREADABLE as error:
            self.findings.refuse_body(record, webhook.body, error)
        else:
            self.read(record, typed(webhook, YclientsWebhook, body))

    def read(self, record: int, webhook: TypedWebhook) -> None:
        """One webhook; ``record`` is its place in the batch."""
        body: Body = webhook.body
        take = self._take.get(body.resource)
        if take is None:
            self.findings.ignore("resource")
            return
        try:
            take(record, webhook, body, body.data or _NO_DATA)
        except Refusal as refusal:
            self.findings.refuse(record, refusal.reason, refusal.message)

    def _scope(self, webhook: TypedWebhook, body: Body) -> int:
        branch = webhook.branch or body.company_id
        if not branch:
            raise Refusal("shape", "body.company_id: missing")
        return self._scopes[webhook.tenant, self.provider, branch]

    def _take_visit(self, record: int, webhook: TypedWebhook, body: Body, data: Data) -> None:
        status = _ATTENDANCE.get(data.attendance)
        if data.deleted or body.status == "delete":
            status = DELETED
        elif status is None:
            raise Refusal("shape", "body.data.attendance: not a value that is known")
        elif data.date is None:
            raise Refusal("shape", "body.data.date: missing")
        client = data.client or _NO_CLIENT
        price, titles = _sold(data.services) if data.services else (0, "")
        self._visits += (
            record,
            self._scope(webhook, body),
            body.resource_id or _id_in(data),
            data.last_change_date or "",
            status,
            data.date or "",
            data.length or data.seance_length or 0,
            client.id or NONE,
            client.phone or None,
            client.name or None,
            data.visit_id or NONE,
            price,
            titles,
            (data.staff or _NO_STAFF).name or None,
        )

    def _take_client(self, record: int, webhook: TypedWebhook, body: Body, data: Data) -> None:
        self._clients += (
            record,
            self._scope(webhook, body),
            body.resource_id or _id_in(data),
            data.last_change_date or "",
            data.phone or None,
            data.name or None,
            yyyymmdd(data.birth_date) or yyyymmdd(data.birthday),
            bool(data.deleted or body.status == "delete"),
        )

    def _take_payment(self, record: int, webhook: TypedWebhook, body: Body, data: Data) -> None:
        deleted = bool(data.deleted or body.status == "delete")
        if not deleted and data.date is None:
            raise Refusal("shape", "body.data.date: missing")
        if not deleted and data.amount is None:
            raise Refusal("shape", "body.data.amount: missing")
        client = data.client or _NO_CLIENT
        amount = data.amount or 0
        thousandths = drift.thousandths("body.data.amount", amount, [(amount, 1)])
        self._payments += (
            record,
            self._scope(webhook, body),
            body.resource_id or _id_in(data),
            data.last_change_date or "",
            data.visit_id or NONE,
            client.id or NONE,
            client.phone or None,
            data.date or "",
            thousandths,
            deleted,
        )

    def finish(self) -> None:
        """Adds everything that was read."""
        branches = [scope.branch for scope in self.findings.scopes.scopes]
        _add_visits(self.provider, self._visits, branches, self.findings)
        _add_clients(self.provider, self._clients, self.findings)
        _add_payments(self.provider, self._payments, self.findings)


def _id_in(data: Data) -> int:
    if not data.id:
        raise Refusal("shape", "body.resource_id: missing")
    return data.id


def _sold(services: Sequence[Service]) -> tuple[int, str]:
    """What services cost together, in thousandths, and their titles."""
    total: float = 0
    titles = ""
    for service in services:
        cost, amount, title = service.cost, service.amount, service.title
        if cost:
            total += cost if amount is None else cost * amount
        if title:
            titles = f"{titles}{SERVICES_SEPARATOR}{title}" if titles else title
    if type(total) is int and -_MOST_UNITS <= total <= _MOST_UNITS:
        return total * 1000, titles
    factors = [(each.cost or 0, _amount(each)) for each in services]
    return drift.thousandths("body.data.services", total, factors), titles


_MOST_UNITS = MOST_MONEY // 1000


def _amount(service: Service) -> Number:
    return 1 if service.amount is None else service.amount


_SPARED_TEXTS = ("title", "name", "birth_date", "birthday", "date", "last_change_date")


def _mended(raw: Raw, wanted: Container[str]) -> Body:
    """The body again, without what has drifted and says nothing or can be spared.

    Raises ``UNREADABLE`` where a field that matters cannot be understood.
    """
    resource = _decode_head(raw).resource
    if resource not in wanted:
        return Body(resource=resource)
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
    return msgspec.convert(told, Body, strict=False)


def _without_empty(told: Any) -> Any:
    """An object's fields that say something; what is empty instead of an object is an empty one."""
    if isinstance(told, dict):
        return {name: value for name, value in told.items() if value not in ("", [], {})}
    return told or {}


def _versions(texts: Sequence[str]) -> I8:
    return instants(texts, zoneless_is_utc=True)


def _lengths(seconds: Sequence[int]) -> I8:
    told = integers(seconds)
    known = (told > 0) & (told < drift.LONGEST_SECONDS)
    return np.where(known, told, 0) * 1000 + np.where(known, 0, NONE)


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
        duration_ms=_lengths(duration),
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
        aliases=all_the_same(None, count),
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
        visit=np.full(count, NONE),
        sale=np.full(count, NONE),
        is_sale=np.zeros(count, np.int8),
        client=integers(client),
        phone=objects(phone, count),
        local_ms=local,
        start_ms=start,
        amount=integers(amount),
        deleted=flags(deleted),
    )
    timely = (local != NONE) | (start != NONE) | (payments.deleted == 1)
    findings.add(provider, payments, timely, "body.data.date")
