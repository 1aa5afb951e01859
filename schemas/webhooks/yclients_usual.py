"""Read usual webhooks of YCLIENTS and Altegio, all at once: records, cards and payments.

Takes: tables of ``shape``
Out:   visits, clients and payments, as ``yclients`` reads them one by one
"""

from __future__ import annotations

import numpy as np

from schemas.batch import (
    ATTENDED,
    BOOKED,
    CONFIRMED,
    DELETED,
    I4,
    I8,
    NO_SHOW,
    NONE,
    SERVICES_SEPARATOR,
    ClientEvents,
    Objects,
    PaymentEvents,
    VisitEvents,
)
from schemas.shapes import Cases, Kind, Leaf, Members, Part, Rows
from schemas.webhooks.findings import Findings, all_the_same, objects
from schemas.webhooks.tables import Mask, Table, Usual
from schemas.webhooks.times import instants_of, starts_of, within_years
from schemas.webhooks.yclients import GOODS, durations

_MOST_AMOUNT = 10_000
"""Of one service: with costs that are prices, sums stay exact whatever computes them."""
_STATUSES = np.array([NO_SHOW, BOOKED, ATTENDED, CONFIRMED], np.int8)
"""By attendance, from -1 on."""


def shape(provider: str) -> Rows:
    """A body of one of three resources, told before the data; sums are whole units."""
    whole, text, time = Leaf(Kind.WHOLE), Leaf(Kind.FULL_TEXT), Leaf(Kind.TIME)
    price, name = Leaf(Kind.PRICE), Leaf(Kind.NAME)
    anything: Members = {"id": whole, "deleted": Leaf(Kind.YES), "last_change_date": time}
    client = Part({"id": whole, "name": text, "phone": text})
    service = {"title": text, "cost": price, "amount": price}
    record: Members = {
        **anything,
        "services": Rows(f"{provider}.services", service),
        "staff": Part({"name": text}),
        "client": client,
        "date": time,
        "attendance": whole,
        "seance_length": whole,
        "length": whole,
        "visit_id": whole,
    }
    card: Members = {
        **anything,
        "name": text,
        "phone": text,
        "birth_date": Leaf(Kind.DAY),
        "birthday": Leaf(Kind.DAY),
        "sms_not": Leaf(Kind.FLAG),
    }
    payment: Members = {
        **anything,
        "date": time,
        "amount": price,
        "client": client,
        "record_id": whole,
        "visit_id": whole,
        "sold_item_id": whole,
        "sold_item_type": name,
    }
    data = {
        "record": Rows(f"{provider}.records", record),
        "client": Rows(f"{provider}.cards", card),
        "finances_operation": Rows(f"{provider}.payments", payment),
    }
    return Rows(
        provider,
        {
            "company_id": Leaf(Kind.NAME, or_number=True),
            "resource": Leaf(Kind.WORD, needed=True, words=tuple(data)),
            "resource_id": whole,
            "status": name,
            "data": Cases("resource", data),
        },
    )


def unfit(provider: str, usual: Usual) -> list[I4]:
    """What lacks something that the long way misses too, or is no business of any customer."""
    found = []
    for name in ("records", "cards", "payments"):
        table = usual.tables[f"{provider}.{name}"]
        if not len(table):
            continue
        company, _ = usual.tables[provider].names("company_id")
        bad = (company[table.parent] < 0) & (usual.branches_of(table.record) < 0)
        bad |= _ids(provider, usual, table) == NONE
        if name != "cards":
            stands = ~_deleted(provider, usual, table)
            bad |= stands & (_untold if name == "records" else _unmoved)(table)
        found.append(table.record[bad])
    services = usual.tables[f"{provider}.services"]
    if len(services):
        amount = services.whole("amount")
        found.append(services.record[(amount != NONE) & (np.abs(amount) > _MOST_AMOUNT)])
    return found


def add(provider: str, usual: Usual, number: I4, findings: Findings) -> None:
    """Adds their events; ``number`` is each record's in the batch, by its place in the chunk."""
    tables = usual.tables
    if len(table := tables[f"{provider}.records"]):
        visits = _visits(provider, usual, table, number, findings)
        findings.add(provider, visits, _all(table), "body.data.date")
    if len(table := tables[f"{provider}.cards"]):
        clients = _clients(provider, usual, table, number, findings)
        findings.add(provider, clients, _all(table), "body")
    if len(table := tables[f"{provider}.payments"]):
        payments = _payments(provider, usual, table, number, findings)
        findings.add(provider, payments, _all(table), "body.data.date")


def _all(table: Table) -> Mask:
    """What has no time in it is unfit."""
    return np.ones(len(table), np.bool_)


def _untold(table: Table) -> Mask:
    """Records that do not say when, or whose attendance is none."""
    attendance = _attendance(table)
    untold: Mask = within_years(table.times("date").wall) == NONE
    untold |= (attendance < -1) | (attendance > 2)
    return untold


def _unmoved(table: Table) -> Mask:
    """Payments without a time or a sum, and the business's own."""
    start, local = starts_of(table.times("date"))
    untold: Mask = ((start == NONE) & (local == NONE)) | (table.whole("amount") == NONE)
    named = np.array([phone is not None for phone in table.texts("client.phone")])
    for title in ("client.id", "record_id", "visit_id", "sold_item_id"):
        named |= table.number(title) != NONE
    untold |= ~named
    return untold


def _attendance(table: Table) -> I8:
    told = table.whole("attendance")
    return np.where(told == NONE, 0, told)


def _ids(provider: str, usual: Usual, table: Table) -> I8:
    named = usual.tables[provider].number("resource_id")[table.parent]
    return np.where(named == NONE, table.number("id"), named)


def _deleted(provider: str, usual: Usual, table: Table) -> Mask:
    deleted: Mask = usual.tables[provider].said("status", "delete")[table.parent]
    deleted |= table.flags("deleted") == 1
    return deleted


def _versions(table: Table) -> I8:
    return instants_of(table.times("last_change_date"), zoneless_is_utc=True)


def _scopes(provider: str, usual: Usual, table: Table, findings: Findings) -> I4:
    numbers, texts = usual.tables[provider].names("company_id")
    return usual.scopes(provider, table.record, (numbers[table.parent], texts), findings)


def _visits(
    provider: str, usual: Usual, table: Table, number: I4, findings: Findings
) -> VisitEvents:
    count = len(table)
    scope = _scopes(provider, usual, table, findings)
    deleted = _deleted(provider, usual, table)
    status = _STATUSES[np.where(deleted, 0, _attendance(table)) + 1]
    length = table.number("length")
    price, titles = _sold(usual.tables[f"{provider}.services"], count)
    branches = [each.branch for each in findings.scopes.scopes]
    return VisitEvents(
        record=number[table.record],
        scope=scope,
        id=_ids(provider, usual, table),
        id_text=all_the_same(None, count),
        version=_versions(table),
        status=np.where(deleted, np.int8(DELETED), status),
        start_ms=np.full(count, NONE),
        local_ms=within_years(table.times("date").wall),
        keeps_start=np.zeros(count, np.int8),
        duration_ms=durations(np.where(length == NONE, table.number("seance_length"), length)),
        client=table.number("client.id"),
        phone=table.texts("client.phone"),
        name=table.texts("client.name"),
        money_unit=table.number("visit_id"),
        amount=price * 1000,
        amount_is_major=np.ones(count, np.int8),
        currency=all_the_same(None, count),
        branch=objects([branches[each] for each in scope.tolist()], count),
        services=titles,
        staff=table.texts("staff.name"),
    )


def _sold(services: Table, count: int) -> tuple[I8, Objects]:
    """What the services of each of so many records cost together, and their titles."""
    cost, amount = services.whole("cost"), services.whole("amount")
    of_each = np.where(cost == NONE, 0, cost) * np.where(amount == NONE, 1, amount)
    price = np.bincount(services.parent, of_each, count).astype(np.int64)
    titles = all_the_same("", count)
    for record, title in zip(services.parent.tolist(), services.texts("title"), strict=True):
        if title:
            before = titles[record]
            titles[record] = f"{before}{SERVICES_SEPARATOR}{title}" if before else title
    return price, titles


def _clients(
    provider: str, usual: Usual, table: Table, number: I4, findings: Findings
) -> ClientEvents:
    count = len(table)
    birthday = table.days("birth_date")
    return ClientEvents(
        record=number[table.record],
        scope=_scopes(provider, usual, table, findings),
        id=_ids(provider, usual, table),
        version=_versions(table),
        phone=table.texts("phone"),
        name=table.texts("name"),
        birthday=np.where(birthday == 0, table.days("birthday"), birthday),
        locale=all_the_same(None, count),
        consent=np.full(count, -1, np.int8),
        sms_denied=table.flags("sms_not"),
        deleted=_deleted(provider, usual, table).astype(np.int8),
        aliases=all_the_same(None, count),
    )


def _payments(
    provider: str, usual: Usual, table: Table, number: I4, findings: Findings
) -> PaymentEvents:
    start, local = starts_of(table.times("date"))
    amount = table.whole("amount")
    sold = table.said("sold_item_type", GOODS)
    return PaymentEvents(
        record=number[table.record],
        scope=_scopes(provider, usual, table, findings),
        id=_ids(provider, usual, table),
        version=_versions(table),
        money_unit=table.number("visit_id"),
        visit=table.number("record_id"),
        sale=np.where(sold, table.number("sold_item_id"), NONE),
        is_sale=np.zeros(len(table), np.int8),
        client=table.number("client.id"),
        phone=table.texts("client.phone"),
        local_ms=local,
        start_ms=start,
        amount=np.where(amount == NONE, 0, amount) * 1000,
        deleted=_deleted(provider, usual, table).astype(np.int8),
    )
