"""Read webhooks of YCLIENTS and Altegio, which have the same shape.

Takes: ``record``, ``client``, ``finances_operation`` and ``goods_operations_sale``; other resources
       are counted and skipped
Out:   visits, clients, payments and sales. Where a visit takes place is where the record is kept:
       the branch
Drift: every field that is read may be absent; numbers may be text, lists may be null, empty
       objects may be lists; a name, a title or a length of time that is none is left out

A deletion needs no more than an id. A record's price is the sum of what its services cost, which
is told after discount; ``date`` is the wall clock of the branch, ``datetime`` is not to be trusted.
Money that names no client, no record, no visit and nothing sold is the business's own (wages,
suppliers, cash moved between tills): it is counted as ``expense`` and skipped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

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
from schemas.webhooks.drift import MOST_MONEY, Number, Refusal
from schemas.webhooks.findings import (
    Findings,
    all_the_same,
    flags,
    indexes,
    integers,
    objects,
)
from schemas.webhooks.times import instants, starts, walls, yyyymmdd
from schemas.webhooks.yclients_bodies import (
    NO_CARD,
    NO_PAYMENT,
    NO_RECORD,
    NO_SALE,
    RESOURCES,
    Body,
    Change,
    Client,
    ClientChange,
    Object,
    PaymentChange,
    PaymentData,
    RecordChange,
    SaleChange,
    SaleData,
    Service,
    Staff,
    decode_body,
    decode_resource,
    read_body,
)

__all__ = ["GOODS", "WEBHOOKS", "Reader", "decode_body", "durations"]


class YclientsWebhook(TypedWebhook, kw_only=True, gc=False, tag="yclients"):
    """A webhook of YCLIENTS whose body can be read as it is."""

    body: Body


class AltegioWebhook(TypedWebhook, kw_only=True, gc=False, tag="altegio"):
    """The same of Altegio."""

    body: Body


WEBHOOKS = (YclientsWebhook, AltegioWebhook)

_NO_CLIENT = Client()
_NO_STAFF = Staff()
_ATTENDANCE = {None: BOOKED, 0: BOOKED, 1: ATTENDED, 2: CONFIRMED, -1: NO_SHOW}
GOODS = "goods_transaction"


class Reader:
    """Reads bodies one by one; ``finish`` adds to the findings what they said."""

    def __init__(self, provider: str, findings: Findings) -> None:
        self.provider = provider
        self.findings = findings
        self._scopes = findings.scopes
        self._visits: list[Any] = []
        self._clients: list[Any] = []
        self._payments: list[Any] = []
        self._take: dict[type, Callable[[int, TypedWebhook, Any], None]] = {
            RecordChange: self._take_visit,
            ClientChange: self._take_client,
            PaymentChange: self._take_payment,
            SaleChange: self._take_sale,
        }

    def read_raw(self, record: int, webhook: Webhook) -> None:
        """One webhook, mended where need be."""
        try:
            if decode_resource(webhook.body) not in RESOURCES:
                self.findings.ignore("resource")
                return
            body = read_body(webhook.body)
        except UNREADABLE as error:
            self.findings.refuse_body(record, webhook.body, error)
        else:
            self.read(record, typed(webhook, YclientsWebhook, body))

    def read(self, record: int, webhook: TypedWebhook) -> None:
        """One webhook; ``record`` is its place in the batch."""
        body = webhook.body
        try:
            self._take[type(body)](record, webhook, body)
        except Refusal as refusal:
            self.findings.refuse(record, refusal.reason, refusal.message)

    def _scope(self, webhook: TypedWebhook, body: Change) -> int:
        branch = webhook.branch or body.company_id
        if not branch:
            raise Refusal("shape", "body.company_id: missing")
        return self._scopes[webhook.tenant, self.provider, branch]

    def _take_visit(self, record: int, webhook: TypedWebhook, body: RecordChange) -> None:
        data = body.data or NO_RECORD
        status = _ATTENDANCE.get(data.attendance)
        if _deleted(body, data):
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

    def _take_client(self, record: int, webhook: TypedWebhook, body: ClientChange) -> None:
        data = body.data or NO_CARD
        self._clients += (
            record,
            self._scope(webhook, body),
            body.resource_id or _id_in(data),
            data.last_change_date or "",
            data.phone or None,
            data.name or None,
            yyyymmdd(data.birth_date) or yyyymmdd(data.birthday),
            drift.flag(data.sms_not),
            _deleted(body, data),
        )

    def _take_payment(self, record: int, webhook: TypedWebhook, body: PaymentChange) -> None:
        data = body.data or NO_PAYMENT
        client = data.client or _NO_CLIENT
        named = client.id or client.phone or data.record_id or data.visit_id or data.sold_item_id
        if not (named or _deleted(body, data)):
            self.findings.ignore("expense")
            return
        amount = None if data.amount is None else _money("amount", data.amount)
        sale = data.sold_item_id if data.sold_item_type == GOODS else None
        self._take_money(record, webhook, body, data, data.date, amount, sale)

    def _take_sale(self, record: int, webhook: TypedWebhook, body: SaleChange) -> None:
        data = body.data or NO_SALE
        sale = body.resource_id or _id_in(data)
        self._take_money(
            record, webhook, body, data, data.create_date or data.date, _price(data), sale
        )

    def _take_money(
        self,
        record: int,
        webhook: TypedWebhook,
        body: Change,
        data: PaymentData | SaleData,
        date: str | None,
        amount: int | None,
        sale: int | None,
    ) -> None:
        deleted = _deleted(body, data)
        if not deleted and not date:
            raise Refusal("shape", "body.data.date: missing")
        if not deleted and amount is None:
            raise Refusal("shape", "body.data.amount: missing")
        client = data.client or _NO_CLIENT
        self._payments += (
            record,
            self._scope(webhook, body),
            body.resource_id or _id_in(data),
            data.last_change_date or "",
            data.visit_id or NONE,
            data.record_id or NONE,
            sale or NONE,
            type(data) is SaleData,
            client.id or NONE,
            client.phone or None,
            date or "",
            amount or 0,
            deleted,
        )

    def finish(self) -> None:
        """Adds everything that was read."""
        branches = [scope.branch for scope in self.findings.scopes.scopes]
        _add_visits(self.provider, self._visits, branches, self.findings)
        _add_clients(self.provider, self._clients, self.findings)
        _add_payments(self.provider, self._payments, self.findings)


def _deleted(body: Change, data: Object) -> bool:
    return bool(data.deleted or body.status == "delete")


def _id_in(data: Object) -> int:
    if not data.id:
        raise Refusal("shape", "body.resource_id: missing")
    return data.id


def _money(field: str, price: Number, amount: Number = 1) -> int:
    """A product in thousandths of the unit."""
    return drift.thousandths(f"body.data.{field}", price * amount, [(price, amount)])


def _price(data: SaleData) -> int | None:
    """What goods cost: the sum after discount, else what so many of them cost by the piece."""
    if data.cost is not None:
        return _money("cost", data.cost)
    if data.cost_per_unit is None or data.amount is None:
        return None
    return _money("cost_per_unit", data.cost_per_unit, abs(data.amount))


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


def _versions(texts: Sequence[str]) -> I8:
    return instants(texts, zoneless_is_utc=True)


def durations(seconds: Sequence[int] | I8) -> I8:
    """Milliseconds of lengths in seconds; NONE where one is none."""
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
        keeps_start=np.zeros(count, np.int8),
        duration_ms=durations(duration),
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
    record, scope, number, changed, phone, name, birthday, sms_not, deleted = (
        rows[at::9] for at in range(9)
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
        sms_denied=flags(sms_not),
        deleted=flags(deleted),
        aliases=all_the_same(None, count),
    )
    findings.add(provider, clients, np.ones(count, np.bool_), "body")


def _add_payments(provider: str, rows: list[Any], findings: Findings) -> None:
    """A payment's date is an instant where it is told with a zone, else the branch's wall clock."""
    if not rows:
        return
    columns = [rows[at::13] for at in range(13)]
    record, scope, number, changed, money_unit, visit, sale, is_sale = columns[:8]
    client, phone, date, amount, deleted = columns[8:]
    count = len(record)
    start, local = starts(date)
    payments = PaymentEvents(
        record=indexes(record),
        scope=indexes(scope),
        id=integers(number),
        version=_versions(changed),
        money_unit=integers(money_unit),
        visit=integers(visit),
        sale=integers(sale),
        is_sale=flags(is_sale),
        client=integers(client),
        phone=objects(phone, count),
        local_ms=local,
        start_ms=start,
        amount=integers(amount),
        deleted=flags(deleted),
    )
    timely = (local != NONE) | (start != NONE) | (payments.deleted == 1)
    findings.add(provider, payments, timely, "body.data.date")
