"""Plausible life of one business: people book, move, come or do not, pay, and hear from it.

Takes: a business, its customers' number, a seeded generator of chance; commands as they are made
Out:   moments (instant, the record to be written then), planned day by day
Mix:   per booked visit about 7 webhooks of the CRM and 4 messages with 3.3 statuses each
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from random import Random
from typing import Any, NamedTuple

from schemas.triggers import SHIPPED
from sources.bodies import Generic, Yclients, forget_record
from sources.business import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    Business,
    Customer,
    Visit,
    customer,
    give_phone,
    offset_ms,
)
from sources.messages import Messengers
from sources.orders import Till, dine, guest
from sources.pull import RETURN_DAYS, Pull, last_credit
from sources.senders import Sender
from sources.shop import Shop
from sources.story import Desk, Put, Story

OWN_MESSAGES = 3
"""Messages for each booked visit that the business sends by itself; about one is a command's."""
FORGETS = 0.0006
"""Commands after which the customer wants to be forgotten."""
HOUSE_VISITS = 40
"""Guests of an open day, all entered under the house's own number."""

_LONG = 90
"""Days over which new customers arrive at least: a short log sees a part of them."""
_IDS_EACH = 8


class Booking(NamedTuple):
    """A visit that will be booked at ``booked``."""

    who: Customer
    booked: int
    start: int
    local: int
    lured: str
    """The command that brought it about, empty where the customer comes of their own accord."""
    goes_on: bool
    """Whether the customer's next visit follows from it."""


def cooldowns(business: Business) -> dict[str, int]:
    """Days between two contacts of one customer, by trigger."""
    return {
        each["id"]: each.get("cooldown_days", SHIPPED[each["kind"]].cooldown_days)
        for each in business.settings["triggers"]
    }


class Life:
    """One business and its people. ``live`` is called for each day in turn."""

    def __init__(
        self,
        business: Business,
        customers: int,
        first_day: int,
        days: int,
        rng: Random,
        put: Put,
        pull: Pull,
    ) -> None:
        self._business = business
        self._rng = rng
        self._put = put
        self._pull = pull
        self._generic = business.provider == "generic"
        crm = Generic(business) if self._generic else Yclients(business)
        told = business.provider in ("yclients", "altegio")
        ledger = crm if isinstance(crm, Yclients) and told else None
        self._till = Till(business) if business.provider == "iiko" else None
        self._desk = Desk(business, rng, put, crm, ledger, Shop(business) if told else None)
        self._sender = Sender(business, rng, put)
        self._first_day = first_day
        self._bookings: dict[int, list[Booking]] = {}
        self._coming: dict[int, list[Story]] = {}
        self._awaited: dict[str, Story] = {}
        self._mail: dict[int, list[tuple[int, Customer]]] = {}
        self._by_phone: dict[bytes, list[Customer]] = {}
        """Families have one; who had to do with the business last stands last."""
        self._cooldowns = cooldowns(business)
        self._withdrawn: set[str] = set()
        self._numbers = 200_000_000 + business.index * 2_000_000
        self.people: list[Customer] = []
        for number in range(customers):
            self.people.append(self._arrive(number, first_day, days))
        self._house = self._own_number() if customers > HOUSE_VISITS else None

    def live(self, day: int) -> None:
        """Plans what is decided on this day: bookings, who comes, messages of the business."""
        # a list that grows while it is walked: who is booked today may book again today
        for booking in self._bookings.get(day, ()):
            self._book(booking)
        self._bookings.pop(day, None)
        for story in self._coming.pop(day, ()):
            self._come(story)
        for at, who in self._mail.pop(day, ()):
            self._sender.send_own(at, who.phone, who.name)
        if self._house is not None and (day - self._first_day) % 50 == 37:
            self._open_day(day, self._house)

    def hear(self, command: Mapping[str, Any], made: int) -> None:
        """Carries out a command that was made at an instant; the customer may act upon it."""
        if command["withdrawn"]:
            self._withdrawn.add(command["command_id"])
            return
        if command["phone"] is None:
            return
        phone = command["phone"][1:].encode()
        people = self._by_phone.get(phone, [])
        outcome = self._sender.carry_out(command, made, phone, people[-1].name if people else b"")
        if command["visit"] is not None and outcome.read:
            for number in command["visit"]["ids"]:
                if number in self._awaited:
                    self._awaited[number].reminded = True
        if not people:
            return
        if command["category"] == "marketing":
            self._call(people, phone, command, made)
        if self._rng.random() < FORGETS:
            at = made + int((0.2 + 20 * self._rng.random()) * DAY)
            tenant, identity = self._business.tenant.encode(), command["customer_id"].encode()
            self._put(at, 300, forget_record, (tenant, identity))
            people[-1].left, people[-1].until = 0, at // DAY

    def _call(
        self, people: list[Customer], phone: bytes, command: Mapping[str, Any], made: int
    ) -> None:
        """A contact of those who share a phone, and what it brings about."""
        who, trigger, zone = people[-1], command["trigger"], self._business.place.zone
        day = (made + offset_ms(zone, made // DAY)) // DAY
        until = (last_credit(day, self._cooldowns[trigger]) + 1) * DAY - offset_ms(zone, day)
        starts = [start for each in people for start in (each.coming, each.called)]
        # whose phone is another one by now cannot return as this customer
        settled = who.phone != phone or any(made < start <= until for start in starts)
        if made < who.called <= made + RETURN_DAYS * DAY and who.called_by != trigger:
            self._pull.passes(who.called_by, trigger)
            who.called_by = trigger
        if self._pull.lures(trigger, command["customer_id"], day, settled, self._rng):
            self._lure(who, made, command["command_id"])
            who.called_by = trigger

    def _know(self, who: Customer) -> None:
        people = self._by_phone.setdefault(who.phone, [])
        if who in people:
            people.remove(who)
        people.append(who)

    def _arrive(self, number: int, first_day: int, days: int) -> Customer:
        rng = self._rng
        arrival = first_day + int(rng.random() * max(days, _LONG))
        who = customer(self._business, number, arrival, rng)
        if self.people and rng.random() < 0.03:  # a family, or a couple, with one phone
            relative = self.people[-1]
            who.phone, who.written, who.alias = relative.phone, relative.written, b""
        if who.phone:
            self._know(who)
        if who.left == 0:
            at = arrival * DAY + int((4 + 10 * rng.random()) * HOUR)
            if self._till is None:
                self._desk.card(at, who, 0)
        else:
            if who.left > 100 and rng.random() < 0.3:
                arrival = first_day + int(rng.random() * min(who.rhythm, days))
                who.until = arrival + int(20 + rng.expovariate(1 / 150))
            self._plan_visit(who, arrival * DAY, 0.0)
        if who.alias and who.phone and self._business.messenger == "whatsapp":
            self._write_first(who, (arrival - 2) * DAY)
        return who

    def _write_first(self, who: Customer, day: int) -> None:
        """Who hides the phone asks first, and tells the phone a day later."""
        rng = self._rng
        messenger = Messengers(self._business)
        asked = day + int((6 + 12 * rng.random()) * HOUR)
        for at, phone, text in (
            (asked, b"", "Можно записаться?"),
            (asked + DAY, who.phone, "Вот мой номер"),
        ):
            told = (messenger.number(rng), phone, who.name, at, text.encode(), who.alias)
            self._put(at, SECOND, messenger.incoming, told)

    def _own_number(self) -> Customer | None:
        """Whom walk-in guests of an open day are entered as; few businesses do that."""
        if self._business.index % 6 != 4:
            return None
        house = customer(self._business, len(self.people), self._first_day, self._rng)
        while not house.phone:
            give_phone(house, self._business, self._rng)
        house.name, house.surname, house.birthday = b"Guest", b"of the day", b""
        return house

    def _plan_visit(
        self, who: Customer, after: int, interval: float, lured: str = "", goes_on: bool = True
    ) -> None:
        """The next visit: a slot in opening hours, booked hours or days ahead."""
        rng, vertical = self._rng, self._business.vertical
        lead = int(rng.expovariate(0.3))
        if lured:
            lead = min(lead, int(interval))
        zone = self._business.branches[who.branch].zone
        day = (after + int((interval + (lead if interval == 0.0 else 0)) * DAY)) // DAY
        if not lured and (day + 3) % 7 in (0, 1) and rng.random() < 0.4:
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
        if goes_on:
            who.coming = start
        if lured:
            who.called = start
        booking = Booking(who, booked, start, local, lured, goes_on)
        self._bookings.setdefault(booked // DAY, []).append(booking)

    def _lure(self, who: Customer, made: int, command: str) -> None:
        """A visit within a fortnight that would not have been; some of the lost come to stay."""
        rng = self._rng
        lost = not who.coming
        if lost:
            stays = rng.random() < 0.5
            who.left = rng.randint(2, 6) if stays else 1
            who.until = made // DAY + (120 if stays else RETURN_DAYS)
        tomorrow = (made // DAY + 1) * DAY
        self._plan_visit(who, tomorrow, 1 + 10.5 * rng.random() ** 1.5, command, goes_on=lost)

    def _book(self, booking: Booking) -> None:
        """One visit from its booking up to its day."""
        who = booking.who
        if who.left <= 0 or booking.lured in self._withdrawn:
            return
        visit = self._visit(who, booking.booked, bool(booking.lured))
        story = Story(
            self._desk, visit, who, booking.booked, booking.start, booking.local,
            sure=bool(booking.lured),
        )  # fmt: skip
        story.goes_on = booking.goes_on
        if who.phone and visit.who is not None:
            self._know(who)
        if self._till is None:
            story.book()
        self._write_own(booking.booked)
        if story.cancelled:
            self._go_on(story, came=False, ended=story.ended)
            return
        self._awaited[self._number(visit)] = story
        self._coming.setdefault(story.begins // DAY, []).append(story)

    def _come(self, story: Story) -> None:
        visit = story.visit
        self._awaited.pop(self._number(visit), None)
        if self._till is None:
            ended, came = story.come()
        else:
            ended = dine(self._desk, self._till, visit, story.start, story.minutes)
            came = True
        self._go_on(story, came, ended)

    def _go_on(self, story: Story, came: bool, ended: int) -> None:
        """What the customer does next."""
        rng, who = self._rng, story.who
        if came:
            who.came += 1
            who.spent += story.visit.cost
            if who.came == who.new_phone_after and who.phone:
                give_phone(who, self._business, rng)
                self._know(who)
                if self._till is None:
                    self._desk.card(ended + HOUR, who, 0)
        if not story.goes_on:
            return
        who.left -= 1
        who.coming = 0
        if who.left > 0:
            shape = 5.0
            interval = rng.gammavariate(shape, who.rhythm / shape)
            if ended // DAY + interval < who.until:
                self._plan_visit(who, ended, interval)

    def _number(self, visit: Visit) -> str:
        """The visit's id as a command names it."""
        return f"v-{visit.id}" if self._generic else str(visit.id)

    def _visit(self, who: Customer, booked: int, sure: bool) -> Visit:
        business, rng = self._business, self._rng
        service = int(len(business.services) * rng.random() ** 1.5)
        weight = business.services[service][1].weight
        full = business.check * weight * who.factor * (0.85 + 0.3 * rng.random())
        step = 10 ** max(0, int(math.log10(max(full, 1.0))) - 1)
        price = max(step, round(full / step) * step)
        if rng.random() < 0.01:
            price = 0
        discount = rng.choice((5, 10, 15, 20)) if rng.random() < 0.15 else 0
        named: Customer | None = who
        if self._till is not None:
            named = guest(who, sure, rng)
        elif rng.random() < 0.03 and not sure:
            named = None
        branch = who.branch
        if len(business.branches) > 1 and rng.random() < 0.1:
            branch = rng.randrange(len(business.branches))
        self._numbers += _IDS_EACH
        return Visit(
            id=self._numbers,
            unit=self._numbers + 400_000_000,
            who=named,
            branch=branch,
            service=service,
            employee=rng.randrange(len(business.staff)),
            price=price,
            cost=price * (100 - discount) // 100,
            discount=discount,
            created=booked,
            online=rng.random() < 0.4,
        )

    def _write_own(self, booked: int) -> None:
        """What the business writes by itself to whomever, while this visit is booked."""
        rng, people = self._rng, self.people
        for _ in range(OWN_MESSAGES):
            at = booked + int(8 * HOUR * rng.random())
            to = people[int(len(people) * rng.random())]
            if to.phone:
                self._mail.setdefault(at // DAY, []).append((at, to))

    def _open_day(self, day: int, house: Customer) -> None:
        """One phone, dozens of visits: a house number, not a person."""
        rng, vertical, zone = self._rng, self._business.vertical, self._business.place.zone
        house.branch = 0
        for _ in range(HOUSE_VISITS):
            quarters = rng.randrange((vertical.closes - vertical.opens) * 4)
            local = day * DAY + vertical.opens * HOUR + quarters * 15 * MINUTE
            start = local - offset_ms(zone, day)
            visit = self._visit(house, start - HOUR, sure=True)
            story = Story(self._desk, visit, house, start - HOUR, start, local, sure=True)
            story.greet()
