"""Tell one visit in two acts: the booking with what becomes of it, then the day on which it starts.

Takes: a desk (a business's CRM and its chance), a visit, when it was booked and when it starts
Out:   moments for ``Put``: about 7 webhooks, fewer where the customer does not come

Between the acts the customer may get a reminder, so whether the customer comes is decided late.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from sources.bodies import ATTENDED, BOOKED, CANCELLED, CONFIRMED, NO_SHOW, Crm, Yclients
from sources.business import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    Business,
    CardState,
    Customer,
    Visit,
    VisitState,
    offset_ms,
)
from sources.places import COMMENTS
from sources.shop import Shop

Writer = Callable[..., bytes]
Put = Callable[[int, int, Writer, tuple[Any, ...]], None]
"""Plan a record: when its provider sends it, how long that may take, who writes it, of what."""

CANCELS = 0.11
"""How many bookings are cancelled."""
MISSES = 0.09
"""How many of the others the customer does not come to, and how many where a reminder was read."""
MISSES_REMINDED = 0.04

_DELAY = 5 * SECOND
_EARLY = 15 * MINUTE
"""The second act begins so long before the visit."""


@dataclass(slots=True)
class Desk:
    """Where a business enters what happens."""

    business: Business
    rng: Random
    put: Put
    crm: Crm
    ledger: Yclients | None
    """The CRM once more, where it tells payments."""
    shop: Shop | None
    """Likewise, where it tells what else was sold."""

    def card(self, at: int, who: Customer, more: int) -> None:
        """The customer's card, ``more`` visits richer than so far."""
        created, who.introduced = not who.introduced, True
        came = who.came + more
        state = CardState(who.branch, at, created, came, who.spent, came >= who.known_after)
        self.put(at, _DELAY, self.crm.card, (who, state))


class Story:
    """The webhooks of one visit, in the order of their moments."""

    def __init__(
        self,
        desk: Desk,
        visit: Visit,
        who: Customer,
        booked: int,
        start: int,
        local: int,
        sure: bool = False,
    ) -> None:
        self.visit = visit
        self.who = who
        self.start = start
        self.cancelled = False
        self.reminded = False
        self.sure = sure
        """The customer comes, and at the time that was booked, whatever happens."""
        self.goes_on = True
        """The customer's next visit follows from this one."""
        self._desk = desk
        self._rng = desk.rng
        self._booked = booked
        self._local = local
        self._last_change = booked
        self._ended = start
        self._status = BOOKED
        self._comment = 0
        self._paid = False
        self._versions = 0

    @property
    def begins(self) -> int:
        """When the second act begins."""
        return self.start - _EARLY

    @property
    def minutes(self) -> int:
        """How long the visit lasts."""
        return self._desk.business.services[self.visit.service][1].minutes

    def book(self) -> None:
        """The first act: the booking, changes of it, its end where it is cancelled."""
        rng, who = self._rng, self.who
        self._say(self._booked)
        if self.visit.who is not None and (not who.introduced or rng.random() < 0.7):
            self._desk.card(self._booked + SECOND + int(2 * SECOND * rng.random()), who, 0)
        self._edit(self._booked, 0.6)
        if not self.sure and rng.random() < 0.09 and self.start - self._booked > 8 * HOUR:
            self._move()
        if not self.sure and rng.random() < CANCELS:
            self._cancel()
            return
        due = self.start - DAY
        if due > self._last_change and rng.random() < 0.85:
            self._status = CONFIRMED
            self._say(due + int((0.05 + 5 * rng.random()) * HOUR))

    def come(self) -> tuple[int, bool]:
        """The second act; returns when it was over and whether the customer came."""
        rng = self._rng
        self._ended = self.start + self.minutes * MINUTE
        misses = MISSES_REMINDED if self.reminded else MISSES
        if not self.sure and rng.random() < misses:
            self._status = NO_SHOW
            self._say(self._marked())
            return self._ended, False
        if rng.random() < 0.6:
            self._status = CONFIRMED
            self._say(self.start - int(10 * MINUTE * rng.random()))
        self._status = ATTENDED
        marked = self._marked()
        self._say(marked)
        settled = self._pay(marked)
        if self.visit.who is not None and rng.random() < 0.97:
            self._desk.card(settled + 3 * SECOND, self.who, 1)
        self._edit(settled, 0.5)
        self._regret(settled)
        return self._ended, True

    def greet(self) -> None:
        """All of a visit that nobody has booked: who comes is entered, and pays."""
        self._ended = self.start + self.minutes * MINUTE
        self._last_change = self.start
        self._status = ATTENDED
        self._say(self.start)
        self._pay(self._ended)

    def _regret(self, settled: int) -> None:
        """What turns out to have been entered wrongly."""
        rng = self._rng
        u = rng.random()
        if u < 0.02:
            self._correct(settled + int((1 + 20 * rng.random()) * HOUR))
        elif u < 0.03 and not self.sure:
            self._take_back(settled + int((1 + 60 * rng.random()) * HOUR))

    def _marked(self) -> int:
        """When the staff says who came: soon after, or the next morning."""
        rng = self._rng
        if rng.random() < 0.9:
            return self._ended + int(25 * MINUTE * rng.random())
        return self._ended - self._local % DAY + DAY + int((9 + rng.random()) * HOUR)

    def _pay(self, marked: int) -> int:
        rng, desk, visit = self._rng, self._desk, self.visit
        at = marked + 20 * SECOND + int(90 * SECOND * rng.random())
        ledger = desk.ledger
        if visit.cost and rng.random() < 0.97:
            if ledger is not None:
                desk.put(at, _DELAY, ledger.payment, (visit, visit.id + 1, visit.cost, at))
                if rng.random() < 0.01:
                    back = at + int(30 * HOUR * rng.random()) + HOUR
                    refund = (visit, visit.id + 2, -visit.cost, back)
                    desk.put(back, _DELAY, ledger.payment, refund)
            else:
                self._say(at)
            self._paid = True
        settled = at + 20 * SECOND
        self._say(settled)
        if desk.shop is not None:
            self._shop(desk.shop, settled)
        return settled

    def _shop(self, shop: Shop, settled: int) -> None:
        """Goods on the way out, a package of visits to come; now and then a new time table."""
        visit, put = self.visit, self._desk.put
        u = self._rng.random()
        if u < 0.02:
            put(settled, _DELAY, shop.schedule, (visit.branch, visit.id + 2))
        elif u < 0.05:
            price = max(1, visit.price // 3)
            put(settled, _DELAY, shop.sale, (visit, visit.id + 3, price, settled))
            if u < 0.04:
                paid = settled + 8 * SECOND
                put(paid, _DELAY, shop.sale_payment, (visit, visit.id + 4, price, paid))
        elif u < 0.06 and visit.who is not None:
            put(settled, _DELAY, shop.package, (visit, visit.id + 5, visit.price * 4, settled))

    def _move(self) -> None:
        rng = self._rng
        at = self._booked + int((self.start - self._booked - 3 * HOUR) * rng.random()) + MINUTE
        moved = rng.randint(0, 4) * DAY + (rng.randint(-4, 4) * 30 * MINUTE)
        zone = self._desk.business.branches[self.visit.branch].zone
        local = self._local + moved
        start = local - offset_ms(zone, local // DAY)
        if start > at + 2 * HOUR:
            self.start = self._ended = start
            self._local = local
            self._say(at)

    def _cancel(self) -> None:
        rng = self._rng
        span = max(self.start - self._last_change - HOUR, 2 * MINUTE)
        at = self._last_change + MINUTE + int(span * rng.random())
        self.cancelled = True
        self._status = CANCELLED
        self._ended = at
        self._say(at)

    @property
    def ended(self) -> int:
        """When it was over or, of a cancelled one, called off."""
        return self._ended

    def _correct(self, at: int) -> None:
        """The price was wrong."""
        old = self.visit.cost
        self.visit = replace(self.visit, cost=max(0, old - max(1, old // 10)))
        self._say(at)

    def _take_back(self, at: int) -> None:
        """It was not this customer, or it was entered twice."""
        self._status = self._rng.choice((BOOKED, NO_SHOW, CANCELLED))
        self._say(at)

    def _edit(self, after: int, probability: float) -> None:
        """A remark by the staff."""
        rng = self._rng
        if rng.random() < probability:
            self._comment = rng.randrange(1, len(COMMENTS))
            self._say(after + 30 * SECOND + int(8 * MINUTE * rng.random()))

    def _say(self, at: int) -> None:
        """The visit as it is now."""
        who = self.who
        at = max(at, self._last_change + SECOND) if self._versions else at
        desk = self._desk
        state = VisitState(
            self._local, at, self._versions, self._status, self._paid, self._comment, who.came,
            who.came >= who.known_after,
        )  # fmt: skip
        desk.put(at, _DELAY, desk.crm.visit, (self.visit, state))
        self._versions += 1
        self._last_change = at
