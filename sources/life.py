"""Plausible life of one business: people book, move, come or do not, pay, get messages, answer.

Takes: a business, its customers' number, a seeded generator of chance
Out:   moments (instant, the record to be written then), planned day by day
Mix:   per booked visit about 7 webhooks of the CRM and 4 messages with 3.3 statuses each
"""

from __future__ import annotations

import math
from random import Random

from schemas.keys import command_id
from sources.bodies import Generic, Yclients, utc
from sources.business import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    Business,
    Customer,
    Letter,
    Visit,
    customer,
    offset_ms,
)
from sources.messages import ERRORS, Messengers, Told
from sources.places import OPT_OUTS, REPLIES
from sources.story import Desk, Put, Story

MESSAGES_PER_VISIT = 4
_MESSENGER_DELAY = 1_200
_LONG = 90
"""Days over which new customers arrive at least: a short log sees a part of them."""


class Life:
    """One business and its people. ``live`` is called for each day in turn."""

    def __init__(
        self, business: Business, customers: int, first_day: int, days: int, rng: Random, put: Put
    ) -> None:
        self._business = business
        self._rng = rng
        self._put = put
        self._generic = business.provider == "generic"
        ledger = None if self._generic else Yclients(business)
        self._desk = Desk(business, rng, put, ledger or Generic(business), ledger)
        self._messengers = Messengers(business)
        self._bookings: dict[int, list[tuple[Customer, int, int, int]]] = {}
        self._mail: dict[int, list[tuple[int, Customer, bytes, bytes]]] = {}
        self._numbers = 200_000_000 + business.index * 1_000_000
        self._people = [self._arrive(i, first_day, days) for i in range(customers)]

    def live(self, day: int) -> None:
        """Plans what is decided on this day: bookings with all that follows, messages."""
        # a list that grows while it is walked: who is booked today may book again today
        for who, booked, start, local in self._bookings.get(day, ()):
            self._book(who, booked, start, local)
        self._bookings.pop(day, None)
        for at, who, command, category in self._mail.pop(day, ()):
            self._send(at, who, command, category)

    def _arrive(self, number: int, first_day: int, days: int) -> Customer:
        rng = self._rng
        arrival = first_day + int(rng.random() * max(days, _LONG))
        who = customer(self._business, number, arrival, rng)
        if who.left == 0:
            at = arrival * DAY + int((4 + 10 * rng.random()) * HOUR)
            self._desk.card(at, who, 0)
        else:
            if who.left > 100 and rng.random() < 0.3:
                arrival = first_day + int(rng.random() * min(who.rhythm, days))
                who.until = arrival + int(20 + rng.expovariate(1 / 150))
            self._plan_visit(who, arrival * DAY, 0.0)
        return who

    def _plan_visit(self, who: Customer, after: int, interval: float) -> None:
        """The next visit: a slot in opening hours, booked hours or days ahead."""
        rng, vertical = self._rng, self._business.vertical
        lead = int(rng.expovariate(0.3))
        zone = self._business.branches[who.branch].zone
        day = (after + int((interval + (lead if interval == 0.0 else 0)) * DAY)) // DAY
        if (day + 3) % 7 in (0, 1) and rng.random() < 0.4:
            day += 3  # fewer people come on Mondays and Tuesdays
        span = (vertical.closes - vertical.opens) * 4
        slot = int(span * (rng.random() + rng.random()) / 2)
        local = day * DAY + vertical.opens * HOUR + slot * 15 * MINUTE
        start = local - offset_ms(zone, day)
        if lead:
            booked = start - lead * DAY + int((rng.random() - 0.7) * 5 * HOUR)
        else:
            booked = start - int((0.5 + 4 * rng.random()) * HOUR)
        booked = max(booked, after + 5 * MINUTE)
        while start < booked + 20 * MINUTE:
            local += DAY
            start = local - offset_ms(zone, local // DAY)
        self._bookings.setdefault(booked // DAY, []).append((who, booked, start, local))

    def _book(self, who: Customer, booked: int, start: int, local: int) -> None:
        """One visit from its booking to its end, and what the customer does next."""
        rng = self._rng
        visit = self._visit(who, booked)
        story = Story(self._desk, visit, who, booked, start, local)
        ended, came = story.tell()
        self._write_to(visit, who, story)
        who.left -= 1
        if came:
            who.came += 1
            who.spent += visit.cost
        if who.left > 0:
            shape = 5.0
            interval = rng.gammavariate(shape, who.rhythm / shape)
            if ended // DAY + interval < who.until:
                self._plan_visit(who, ended, interval)

    def _visit(self, who: Customer, booked: int) -> Visit:
        business, rng = self._business, self._rng
        service = int(len(business.services) * rng.random() ** 1.5)
        weight = business.services[service][1].weight
        full = business.check * weight * who.factor * (0.85 + 0.3 * rng.random())
        step = 10 ** max(0, int(math.log10(max(full, 1.0))) - 1)
        price = max(step, round(full / step) * step)
        if rng.random() < 0.01:
            price = 0
        discount = rng.choice((5, 10, 15, 20)) if rng.random() < 0.15 else 0
        cost = price * (100 - discount) // 100
        self._numbers += 3
        return Visit(
            id=self._numbers,
            unit=self._numbers + 400_000_000,
            who=None if rng.random() < 0.03 else who,
            branch=who.branch,
            service=service,
            employee=rng.randrange(len(business.staff)),
            price=price,
            cost=cost,
            discount=discount,
            created=booked,
            online=rng.random() < 0.4,
        )

    def _write_to(self, visit: Visit, who: Customer, story: Story) -> None:
        """Four messages for a booked visit: its reminders, thanks, the rest campaigns."""
        rng, business = self._rng, self._business
        written = 0
        if visit.who is not None:
            for trigger, lead in business.reminders:
                due = story.start - lead
                if story.planned < due and story.coming_at(due):
                    command = self._reminder_id(trigger, visit, story.start)
                    written += self._post(due + SECOND, who, command, b"utility")
            if story.attended and rng.random() < 0.8:
                written += self._post(story.ended + 2 * HOUR, who, b"", b"marketing")
        people = self._people
        while written < MESSAGES_PER_VISIT:
            at = story.booked + int(8 * HOUR * rng.random())
            to = people[int(len(people) * rng.random())]
            written += self._post(at, to, b"", b"marketing")

    def _reminder_id(self, trigger: str, visit: Visit, start: int) -> bytes:
        """The id that the engine gives to this reminder: its statuses find their command."""
        business = self._business
        number = f"v-{visit.id}" if self._generic else str(visit.id)
        branch = business.branches[visit.branch].name
        minute = utc(start)[:16].decode()
        occasion = f"visit:{business.provider}:{branch}:{number}@{minute}Z"
        return command_id(business.tenant, trigger, occasion).encode()

    def _post(self, at: int, who: Customer, command: bytes, category: bytes) -> int:
        self._mail.setdefault(at // DAY, []).append((at, who, command, category))
        return 1

    def _send(self, at: int, who: Customer, command: bytes, category: bytes) -> None:
        """One message: the sender's receipt, its statuses, rarely an answer."""
        rng, put = self._rng, self._put
        phone = who.phone or b"70000000000"
        command = command or b"%032x" % rng.getrandbits(128)
        sms = self._generic and rng.random() < 0.2
        write = self._messengers.sms_status if sms else self._messengers.statuses
        message = b"sms-%024x" if sms else b"wamid.HBgLNzcwNTEyMzQ1NjcVAgARGBI%024XAA=="
        letter = Letter(message % rng.getrandbits(96), phone, command, category)
        if rng.random() < 0.42:
            channel = b"sms" if sms else b"whatsapp"
            put(at, 300, self._messengers.receipt, (letter, channel))
            if not sms and rng.random() < 0.5:
                letter = letter._replace(command=b"")

        def tell(when: int, *told: Told) -> None:
            put(when, _MESSENGER_DELAY, write, (letter, told))

        sent = at + 700 + int(rng.random() * 2 * SECOND)
        u = rng.random()
        if u < 0.03 and not sms:
            error = rng.choice(tuple(ERRORS))
            tell(sent, (b"failed", sent, error))
            return
        delivered = sent + int(rng.expovariate(1 / (8 * SECOND))) + SECOND
        if u < 0.05:
            tell(delivered, (b"sent", sent, 0), (b"delivered", delivered, 0))
        else:
            tell(sent, (b"sent", sent, 0))
            tell(delivered, (b"delivered", delivered, 0))
        if rng.random() < 0.85:
            read = delivered + 2 * SECOND + int(rng.expovariate(1 / (25 * MINUTE)))
            tell(read, (b"read", read, 0))
            if rng.random() < 0.15:  # a second device reads it too
                tell(read + 3 * SECOND, (b"read", read + 2 * SECOND, 0))
            if rng.random() < 0.012 and not sms:
                self._answer(read + 40 * SECOND, who, phone)

    def _answer(self, at: int, who: Customer, phone: bytes) -> None:
        rng = self._rng
        u = rng.random()
        text = rng.choice(OPT_OUTS if u < 0.12 else REPLIES) if u < 0.9 else ""
        message = b"wamid.HBgLNzcwNTEyMzQ1NjcVAgASGBI%024XAA==" % rng.getrandbits(96)
        self._put(at, _MESSENGER_DELAY, self._messengers.incoming, (
            message, phone, who.name, at, text.encode(),
        ))  # fmt: skip
