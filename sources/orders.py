"""Write what a restaurant's till says: iiko's webhooks about the orders of a table.

Takes: a business; each writer gives one record of the log as JSON, without a line end
Units: instants in ms since the epoch; money in major units

There are no bookings and no cards: a table is opened, orders, gets the bill, and is closed.
"""

from __future__ import annotations

from random import Random

from sources.bodies import envelope, naive, wrapped
from sources.business import DAY, MINUTE, SECOND, Business, Customer, Visit, offset_ms
from sources.story import Desk

NEW, BILL, CLOSED, DELETED = b"New", b"Bill", b"Closed", b"Deleted"
_DELAY = 4 * SECOND
_DISHES = (b"Tom yum", b"Steak", b"Caesar", b"Borsch", b"Dessert", b"Espresso")


class Till:
    """One restaurant's till."""

    def __init__(self, business: Business) -> None:
        self._business = business
        self._heads = [envelope(business.tenant, "iiko") for _ in business.branches]

    def order(
        self, received: int, appended: int, visit: Visit, status: bytes, total: int, at: int
    ) -> bytes:
        """A ``TableOrderUpdate``: an array with one event."""
        branch = self._business.branches[visit.branch]
        name = branch.name.encode()
        order = b"%08x-1c2d-4e5f-8a9b-%012x" % (visit.id, visit.id)
        who = visit.who
        person = b"null"
        if who is not None:
            person = b'{"id":"%08x-aaaa-4bbb-8ccc-%012x","name":"%b","phone":"%b"}' % (
                who.card, who.card, who.name, who.written,
            )  # fmt: skip
        items = b",".join(
            b'{"product":{"name":"%b"},"amount":1.0,"sum":%d}' % (dish, total // 3)
            for dish in _DISHES[visit.id % 3 : visit.id % 3 + 3]
        )
        paid = b'{"sum":%d,"paymentType":{"name":"Visa","kind":"Card"}}' % total
        body = (
            b'[{"eventType":"TableOrderUpdate","eventTime":"%b.000","organizationId":"%b",'
            b'"correlationId":"%032x","eventInfo":{"id":"%b","posId":"%b","externalNumber":null,'
            b'"organizationId":"%b","timestamp":%d,"creationStatus":"Success","errorInfo":null,'
            b'"order":{"id":"%b","status":"%b","number":%d,"sum":%d,"customer":%b,'
            b'"tableIds":["%032x"],"guestsInfo":{"count":2},"items":[%b],"payments":[%b]}}}]'
        ) % (
            naive(at + offset_ms(branch.zone, at // DAY)), name,
            (visit.id * 0x9E3779B97F4A7C15 + at) % (1 << 128), order, order, name, at // SECOND,
            order, status, visit.id % 1000, total, person, visit.id % 17, items,
            paid if status == CLOSED else b"",
        )  # fmt: skip
        return wrapped(self._heads[visit.branch], received, appended, body)


def dine(desk: Desk, till: Till, visit: Visit, start: int, minutes: int) -> int:
    """Plans every webhook of a table; returns when it was closed."""
    rng, put = desk.rng, desk.put
    closed = start + minutes * MINUTE
    told = [(start, NEW, 0)]
    courses = rng.randint(1, 4)
    told += [
        (start + (i + 1) * (closed - start) // (courses + 3), NEW, visit.cost * (i + 1) // courses)
        for i in range(courses)
    ]
    told += [(closed - 6 * MINUTE, BILL, visit.cost), (closed, CLOSED, visit.cost)]
    if rng.random() < 0.006:
        told.append((closed + rng.randint(5, 600) * MINUTE, DELETED, visit.cost))
    for at, status, total in told:
        put(at, _DELAY, till.order, (visit, status, total, at))
    return closed


def guest(who: Customer, sure: bool, rng: Random) -> Customer | None:
    """Who the order names: often nobody, for nobody asked."""
    return who if sure or (who.phone and rng.random() < 0.75) else None
