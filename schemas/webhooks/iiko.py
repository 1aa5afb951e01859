"""Read webhooks of iiko (Syrve), the tills of restaurants.

Takes: arrays of events; those of tables' and deliveries' orders are read, others are counted and
       skipped
Out:   visits: a closed order was attended, a deleted or cancelled one is taken back. An order that
       is still open says nothing yet, and one reopened stays attended until it is told otherwise
Drift: where one event cannot be understood, the others are kept and the body is refused once

``order`` is null until iiko has created it. A visit is at the moment of its first ``Closed``;
whoever keeps visits sees to that (``keeps_start``), for a body does not tell which one it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
from msgspec import Raw, Struct

from schemas.batch import ATTENDED, DELETED, NONE, VisitEvents
from schemas.keys import text_keys
from schemas.record import UNREADABLE, TypedWebhook, Webhook, typed, unreadable
from schemas.webhooks import drift
from schemas.webhooks.drift import Number, Refusal
from schemas.webhooks.findings import (
    Findings,
    all_the_same,
    flags,
    indexes,
    integers,
    objects,
)
from schemas.webhooks.times import within_years

EVENTS = frozenset({"TableOrderUpdate", "DeliveryOrderUpdate"})
STATUSES = {"Closed": ATTENDED, "Deleted": DELETED, "Cancelled": DELETED}

_LEAST_MS = 10**11
"""Larger timestamps are milliseconds, others seconds."""
_MOST_MS = 10**14


class Customer(Struct, gc=False):
    """Who ordered."""

    name: Any = None
    phone: Any = None


class Order(Struct, gc=False):
    """What was ordered; ``sum`` is what it costs after discounts."""

    status: str | None = None
    sum: Number | None = None
    customer: Customer | None = None
    phone: Any = None
    isDeleted: bool | None = None  # noqa: N815  # as they write it


class Info(Struct, gc=False):
    """The order's state as of ``timestamp``."""

    id: str | None = None
    organizationId: str | None = None  # noqa: N815
    timestamp: Number | None = None
    creationStatus: str | None = None  # noqa: N815
    isDeleted: bool | None = None  # noqa: N815
    order: Order | None = None


class Event(Struct, gc=False):
    """One change of one order."""

    eventType: str  # noqa: N815
    organizationId: str | None = None  # noqa: N815
    eventInfo: Info | None = None  # noqa: N815


class IikoWebhook(TypedWebhook, kw_only=True, gc=False, tag="iiko"):
    """A webhook whose body can be read as a whole."""

    body: list[Event]


WEBHOOKS = (IikoWebhook,)

decode_body = msgspec.json.Decoder(list[Event], strict=False).decode


class _Head(Struct, gc=False):
    eventType: str  # noqa: N815


_decode_head: Callable[[Raw], _Head] = msgspec.json.Decoder(_Head).decode
_decode_event: Callable[[Raw], Event] = msgspec.json.Decoder(Event, strict=False).decode
_decode_pieces: Callable[[Raw], list[Raw]] = msgspec.json.Decoder(list[Raw]).decode


class Reader:
    """Reads bodies one by one; ``finish`` adds to the findings what they said."""

    def __init__(self, provider: str, findings: Findings) -> None:
        self.provider = provider
        self.findings = findings
        self._visits: list[tuple[Any, ...]] = []

    def read_raw(self, record: int, webhook: Webhook) -> None:
        """One webhook, or what of its body can be read; a lone event is one in an array."""
        try:
            whole = bytes(webhook.body)[:1] == b"{"
            pieces = [webhook.body] if whole else _decode_pieces(webhook.body)
        except UNREADABLE as error:
            self.findings.refuse_body(record, webhook.body, error)
            return
        body = []
        for n, piece in enumerate(pieces):
            try:
                head = _decode_head(piece)
                wanted = head.eventType in EVENTS
                body.append(_decode_event(piece) if wanted else Event(head.eventType))
            except UNREADABLE as mistake:
                self.findings.refuse(record, *unreadable(mistake, f"body[{n}]"))
        if body or not pieces:
            self.read(record, typed(webhook, IikoWebhook, body))

    def read(self, record: int, webhook: IikoWebhook) -> None:
        """One webhook; ``record`` is its place in the batch."""
        if not webhook.body:
            self.findings.ignore("empty")
        for n, event in enumerate(webhook.body):
            if event.eventType not in EVENTS:
                self.findings.ignore("resource")
                continue
            try:
                self._take(record, webhook, event, event.eventInfo or Info())
            except Refusal as refusal:
                place = refusal.message.replace("body", f"body[{n}]", 1)
                self.findings.refuse(record, refusal.reason, place)

    def _take(self, record: int, webhook: IikoWebhook, event: Event, info: Info) -> None:
        order = info.order
        if order is None or (info.creationStatus or "Success") != "Success":
            self.findings.ignore("creation")
            return
        status = DELETED if info.isDeleted or order.isDeleted else STATUSES.get(order.status or "")
        if status is None:
            self.findings.ignore("open_order")
            return
        branch = webhook.branch or event.organizationId or info.organizationId
        if not branch:
            raise Refusal("shape", "body.organizationId: missing")
        if not info.id:
            raise Refusal("shape", "body.eventInfo.id: missing")
        customer = order.customer or Customer()
        amount = order.sum or 0
        self._visits.append((
            record,
            self.findings.scopes[webhook.tenant, self.provider, branch],
            info.id,
            _milliseconds(info.timestamp),
            status,
            drift.phone(customer.phone) or drift.phone(order.phone),
            drift.text(customer.name),
            drift.thousandths("body.eventInfo.order.sum", amount, [(amount, 1)]),
            str(branch),
        ))  # fmt: skip

    def finish(self) -> None:
        """Adds everything that was read."""
        _add_visits(self.provider, self._visits, self.findings)


def _milliseconds(timestamp: Number | None) -> int:
    if timestamp is None:
        raise Refusal("shape", "body.eventInfo.timestamp: missing")
    if not -(_LEAST_MS**2) < timestamp < _LEAST_MS**2:  # "nan" and "inf" are numbers too
        return NONE
    return int(timestamp if abs(timestamp) > _LEAST_MS else timestamp * 1000)


def _add_visits(provider: str, rows: list[tuple[Any, ...]], findings: Findings) -> None:
    if not rows:
        return
    record, scope, number, changed, status, phone, name, amount, branch = zip(*rows, strict=True)
    count = len(rows)
    version = within_years(integers(changed))
    code = flags(status)
    visits = VisitEvents(
        record=indexes(record),
        scope=indexes(scope),
        id=text_keys(number),
        id_text=objects(number, count),
        version=version,
        status=code,
        start_ms=np.where(code == ATTENDED, version, NONE),
        local_ms=np.full(count, NONE),
        keeps_start=np.ones(count, np.int8),
        duration_ms=np.full(count, NONE),
        client=np.full(count, NONE),
        phone=objects(phone, count),
        name=objects(name, count),
        money_unit=np.full(count, NONE),
        amount=integers(amount),
        amount_is_major=np.ones(count, np.int8),
        currency=all_the_same(None, count),
        branch=objects(branch, count),
        services=all_the_same("", count),
        staff=all_the_same(None, count),
    )
    findings.add(provider, visits, version != NONE, "body.eventInfo.timestamp")
