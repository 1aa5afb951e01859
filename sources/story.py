"""Tell one visit: every webhook that a CRM sends about it, from the booking to the payment.

Takes: a desk (a business's CRM and its chance), a visit, when it was booked and when it starts
Out:   moments for ``Put``: about 7 webhooks, fewer where the customer does not come
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
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

Writer = Callable[..., bytes]
Put = Callable[[int, int, Writer, tuple[Any, ...]], None]
"""Plan a record: when its provider sends it, how long that may take, who writes it, of what."""

_DELAY = 5 * SECOND


@dataclass(slots=True)
class Desk:
    """Where a business enters what happens."""

    business: Business
    rng: Random
    put: Put
    crm: Crm
    ledger: Yclients | None
    """The CRM once more, where it tells payments."""

    def card(self, at: int, who: Customer, more: int) -> None:
        """The customer's card, ``more`` visits richer than so far."""
        created, who.introduced = not who.introduced, True
        came = who.came + more
        state = CardState(who.branch, at, created, came, who.spent, came >= who.known_after)
        self.put(at, _DELAY, self.crm.card, (who, state))


class Story:
    """The webhooks of one visit, in the order of their moments."""

    def __init__(
        self, desk: Desk, visit: Visit, who: Customer, booked: int, start: int, local: int
    ) -> None:
        self._desk = desk
        self._rng = desk.rng
        self._visit = visit
        self._who = who
        self.booked = booked
        self.start = start
        self.planned = booked
        self._local = local
        self._last_change = booked
        self._cancelled = False
        self.attended = False
        self.ended = start
        self._status = BOOKED
        self._comment = 0
        self._paid = False
        self._versions = 0

    def coming_at(self, instant: int) -> bool:
        """Whether the booking still stood at the instant."""
        return not self._cancelled or instant < self.ended

    def tell(self) -> tuple[int, bool]:
        """Plans every webhook; returns when it was over and whether the customer came."""
        rng, who = self._rng, self._who
        self._say(self.booked)
        if self._visit.who is not None and (not who.introduced or rng.random() < 0.7):
            self._desk.card(self.booked + SECOND + int(2 * SECOND * rng.random()), who, 0)
        self._edit(self.booked, 0.6)
        if rng.random() < 0.09 and self.start - self.booked > 8 * HOUR:
            self._move()
        u = rng.random()
        if u < 0.11:
            self._cancel()
            return self.ended, False
        due = self.start - DAY
        if due > self._last_change and rng.random() < 0.85:
            self._status = CONFIRMED
            self._say(due + int((0.05 + 5 * rng.random()) * HOUR))
        minutes = self._desk.business.services[self._visit.service][1].minutes
        self.ended = self.start + minutes * MINUTE
        if u < 0.17:
            self._status = NO_SHOW
            self._say(self._marked())
            return self.ended, False
        self._attend()
        return self.ended, True

    def _attend(self) -> None:
        rng = self._rng
        if rng.random() < 0.6:
            self._status = CONFIRMED
            self._say(self.start - int(10 * MINUTE * rng.random()))
        self.attended = True
        self._status = ATTENDED
        marked = self._marked()
        self._say(marked)
        settled = self._pay(marked)
        if self._visit.who is not None and rng.random() < 0.97:
            self._desk.card(settled + 3 * SECOND, self._who, 1)
        self._edit(settled, 0.5)
        u = rng.random()
        if u < 0.02:
            self._correct(settled + int((1 + 20 * rng.random()) * HOUR))
        elif u < 0.03:
            self._take_back(settled + int((1 + 60 * rng.random()) * HOUR))

    def _marked(self) -> int:
        """When the staff says who came: soon after, or the next morning."""
        rng = self._rng
        if rng.random() < 0.9:
            return self.ended + int(25 * MINUTE * rng.random())
        return self.ended - self._local % DAY + DAY + int((9 + rng.random()) * HOUR)

    def _pay(self, marked: int) -> int:
        rng, desk, visit = self._rng, self._desk, self._visit
        at = marked + 20 * SECOND + int(90 * SECOND * rng.random())
        ledger = desk.ledger
        if visit.cost and rng.random() < 0.97:
            if ledger is not None:
                desk.put(at, _DELAY, ledger.payment, (visit, visit.id + 1, visit.cost, at))
                if rng.random() < 0.004:
                    back = at + int(30 * HOUR * rng.random()) + HOUR
                    refund = (visit, visit.id + 2, -visit.cost, back)
                    desk.put(back, _DELAY, ledger.payment, refund)
            else:
                self._say(at)
            self._paid = True
        settled = at + 20 * SECOND
        self._say(settled)
        if ledger is not None and rng.random() < 0.02:
            desk.put(settled, _DELAY, ledger.other, (visit.branch, visit.id + 2))
        return settled

    def _move(self) -> None:
        rng = self._rng
        at = self.booked + int((self.start - self.booked - 3 * HOUR) * rng.random()) + MINUTE
        moved = rng.randint(0, 4) * DAY + (rng.randint(-4, 4) * 30 * MINUTE)
        zone = self._desk.business.branches[self._visit.branch].zone
        local = self._local + moved
        start = local - offset_ms(zone, local // DAY)
        if start > at + 2 * HOUR:
            self.start = self.ended = start
            self._local = local
            self.planned = at
            self._say(at)

    def _cancel(self) -> None:
        rng = self._rng
        span = max(self.start - self._last_change - HOUR, 2 * MINUTE)
        at = self._last_change + MINUTE + int(span * rng.random())
        self._cancelled = True
        self._status = CANCELLED
        self.ended = at
        self._say(at)

    def _correct(self, at: int) -> None:
        """The price was wrong."""
        visit = self._visit
        old = visit.cost
        self._visit = Visit(
            visit.id, visit.unit, visit.who, visit.branch, visit.service, visit.employee,
            visit.price, max(0, old - max(1, old // 10)), visit.discount, visit.created,
            visit.online,
        )  # fmt: skip
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
        who = self._who
        at = max(at, self._last_change + SECOND) if self._versions else at
        desk = self._desk
        state = VisitState(
            self._local, at, self._versions, self._status, self._paid, self._comment, who.came,
            who.came >= who.known_after,
        )  # fmt: skip
        desk.put(at, _DELAY, desk.crm.visit, (self._visit, state))
        self._versions += 1
        self._last_change = at
