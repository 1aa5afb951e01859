"""Keep one tenant's facts as the log tells them, in plain dicts, and lay them out as frames.

Takes: facts in log order, each with the clock at which it arrived
Out:   ``Ledger.visits_frame``, ``payments_frame``: what stands now, whose it is, what it is worth
Source: versions replace one another in log order; what has left the window is as good as gone;
        who somebody is, and what a visit is worth, is worked out anew each time it is asked
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from schemas.settings import TenantSettings, parse_settings
from tests.oracle_bodies import CardFact, Fact, Key, PaymentFact, VisitFact
from tests.oracle_crowds import Crowds
from tests.oracle_messages import Messages
from tests.oracle_money import Money
from tests.oracle_people import NOBODYS, People, Turn, stand_in
from tests.oracle_times import called_from, day_of, naive_instant

Schema = dict[str, Any]

VISITS: Schema = {
    "key": pl.List(pl.String),
    "owner": pl.String,
    "walk_in": pl.Boolean,
    "status": pl.String,
    "start": pl.Int64,
    "day": pl.Int64,
    "inside": pl.Boolean,
    "money": pl.Int64,
}
PAYMENTS: Schema = {
    "key": pl.List(pl.String),
    "day": pl.Int64,
    "owner": pl.String,
    "money": pl.Int64,
}
LAST: Schema = {"owner": pl.String, "day": pl.Int64, "start": pl.Int64}


@dataclass
class Visit:
    """The winning version of a visit, and the latest day that any version has told."""

    fact: VisitFact
    version: int | None
    client: Key | None
    kept_day: int

    @property
    def is_attended(self) -> bool:
        """Whether it counts."""
        return self.fact.status == "attended"


@dataclass
class Past:
    """An attended visit or a payment that has left the window, as it was then."""

    key: Key
    day: int
    is_visit: bool
    walk_in: bool
    money: int


@dataclass
class Ledger:
    """Everything that one tenant's log has told so far."""

    tenant: str
    id_key: bytes
    clock: int = 0
    rules: TenantSettings = field(default_factory=lambda: parse_settings({}, "oracle"))
    visits: dict[Key, Visit] = field(default_factory=dict)
    past: list[Past] = field(default_factory=list)
    crowds: Crowds = field(default_factory=Crowds)
    messages: Messages = field(default_factory=Messages)

    def __post_init__(self) -> None:
        self.people = People(self.tenant, self.id_key)
        self.money = Money(self)

    @property
    def today(self) -> int:
        """The tenant's day at the clock."""
        return day_of(self.clock, self.rules.timezone)

    def take(self, fact: Fact) -> bool:
        """One fact more; tells whether it repeats what is known."""
        self.expire()
        fact = self.people.keep_out(self.called(fact))
        if isinstance(fact, VisitFact):
            return self._take_visit(fact)
        if isinstance(fact, PaymentFact):
            return self.money.take(fact)
        if isinstance(fact, CardFact):
            self.people.take_card(fact, self.clock)
            return False
        self.people.take_message(fact, self.clock)
        return self.messages.take(fact, self.clock)

    def called(self, fact: Fact) -> Fact:
        """With its phone as the tenant's country writes it."""
        if fact.phone is None:
            return fact
        return replace(fact, phone=called_from(self.rules.country, fact.phone))

    def recognise(self, facts: Iterable[Fact]) -> Iterator[Turn]:
        """Who turns out to be forgotten, or to have refused, by what a record tells."""
        return self.people.recognise([self.called(fact) for fact in facts], self.clock)

    def adopt(self, rules: TenantSettings) -> None:
        """New settings: what they say about places, zones and money holds for the past too."""
        self.expire()
        self.crowds.expire(self.is_inside)
        self.rules = rules
        for visit in self.visits.values():
            visit.kept_day = max(visit.kept_day, self.day(visit.fact) or visit.kept_day)
        self.money.rederive()

    def forget(self, named: str) -> None:
        """The customer's visits are nobody's from now on, and its cards say nothing.

        A version that has been told already names nobody again, so each counts as one newer.
        """
        if not re.fullmatch("[0-9a-f]{32}", named):
            return
        who = self.people.living(named) or named
        self.expire()
        whose = self.people.clients_of(who)
        for visit in self.visits.values():
            phone = visit.fact.phone
            own = visit.client in whose
            if own or (phone not in {None, NOBODYS} and self.people.person(phone or 0) == who):
                visit.fact = replace(visit.fact, phone=None)
                ordered = visit.version is not None and visit.fact.status != "deleted"
                visit.version = (visit.version or 0) + 1 if ordered else visit.version
            visit.client = None if own else visit.client
        for payment in self.money.payments.values():
            if self.money.payer(payment.fact) in whose:
                payment.fact = replace(payment.fact, client=None, phone=None)
                ordered = payment.version is not None and not payment.fact.deleted
                payment.version = (payment.version or 0) + 1 if ordered else payment.version
        self.people.forget(who, self.clock)
        self.crowds.forget(who)

    def start(self, fact: VisitFact | PaymentFact) -> int | None:
        """The instant, by the zone of the place where only a wall clock is told."""
        if fact.start is not None or fact.local is None:
            return fact.start
        return naive_instant(fact.local, self.rules.zone_of(fact.place))

    def day(self, fact: VisitFact | PaymentFact) -> int | None:
        """The tenant's day."""
        start = self.start(fact)
        return None if start is None else day_of(start, self.rules.timezone)

    def is_inside(self, day: int | None) -> bool:
        """Whether a day is inside the window; what tells no day always is."""
        return day is None or self.today - day < self.rules.window_days

    def expire(self) -> None:
        """Lets go of what has left the window, which nothing can change any more."""
        gone = [visit for visit in self.visits.values() if not self.is_inside(visit.kept_day)]
        worth = self.money.of_visits() if gone else {}
        self.money.expire()
        for visit in gone:
            key, day, start = visit.fact.key, self.day(visit.fact), self.start(visit.fact)
            if visit.is_attended and day is not None and start is not None:
                self.keep_past(key, day, worth[key], visit)
                if visit.client is not None:
                    self.people.remember(visit.client, day, start)
            del self.visits[key]

    def keep_past(self, key: Key, day: int, money: int, visit: Visit | None = None) -> None:
        """What has left the window stays counted as it was."""
        walk_in = visit is not None and visit.client is None
        self.past.append(Past(key, day, visit is not None, walk_in, money))

    def _take_visit(self, fact: VisitFact) -> bool:
        stored = self.visits.get(fact.key)
        if stored is not None:
            fact = self._with_first_start(fact, stored)
        day, client = self.day(fact), fact.client or stand_in(fact.phone)
        if stored is None and not self.is_inside(day):
            self._remember_only(fact, client, day)
            return False
        gone = fact.status == "deleted"
        will_be_on = self.day(stored.fact) if stored is not None and gone else day
        if client is not None and self._is_crowded(fact, client, stored, will_be_on):
            client = None
        if stored is not None and _repeats(fact, stored, client):
            return True
        if stored is not None and _is_older(fact, stored):
            return False
        self._write(fact, client, stored, will_be_on)
        return False

    def _write(
        self, fact: VisitFact, client: Key | None, stored: Visit | None, day: int | None
    ) -> None:
        told = self.day(fact)
        kept_day = self.today if told is None else told
        came_from = unit = None
        if stored is None:
            stored = self.visits[fact.key] = Visit(fact, fact.version, client, kept_day)
        else:
            came_from, unit = (self.owner(stored.client), self.day(stored.fact)), stored.fact.unit
            gone = fact.status == "deleted"
            kept = replace(stored.fact, status="deleted", phone=fact.phone) if gone else fact
            client = stored.client if gone and client is None else client
            version = stored.version if fact.version is None else fact.version
            kept_day = max(stored.kept_day, kept_day)
            stored.fact, stored.version = kept, version
            stored.client, stored.kept_day = client, kept_day
        if client is not None:
            self.people.name(client, fact.phone, self.clock)
        self.money.placed(stored, unit)
        who = self.owner(client)
        if who is not None and day is not None and self.is_inside(day) and came_from != (who, day):
            self.crowds.place(who, day, lambda: self._days_of(who))

    def _with_first_start(self, fact: VisitFact, stored: Visit) -> VisitFact:
        """Where the first start told is the visit's, later ones do not move it."""
        if not fact.keeps_start or fact.start is None:
            return fact
        first = stored.fact.start
        if first is not None and first < fact.start:
            return replace(fact, start=first)
        if _is_older(fact, stored):
            self._begin_earlier(stored, fact.start)
        return fact

    def _begin_earlier(self, stored: Visit, start: int) -> None:
        before, who = self.day(stored.fact), self.owner(stored.client)
        stored.fact = replace(stored.fact, start=start)
        day = self.day(stored.fact)
        if who is None or day is None or day == before or not self.is_inside(day):
            return
        if self.crowds.is_full(who, day):
            stored.client = None
        else:
            self.crowds.place(who, day, lambda: self._days_of(who))

    def _remember_only(self, fact: VisitFact, client: Key | None, day: int | None) -> None:
        """An attended visit older than the window was the last one once."""
        start = self.start(fact)
        if fact.status == "attended" and client and day is not None and start is not None:
            self.people.remember(client, day, start)
            self.people.name(client, fact.phone, self.clock)

    def _is_crowded(
        self, fact: VisitFact, client: Key, stored: Visit | None, day: int | None
    ) -> bool:
        card = self.people.clients.get(client)
        phone = fact.phone if card is None else card.card_phone or fact.phone or card.visit_phone
        if phone in {None, NOBODYS} or day is None or not self.is_inside(day):
            return False
        who = self.people.person(phone or 0)
        if stored is not None and (self.owner(stored.client), self.day(stored.fact)) == (who, day):
            return False
        return self.crowds.is_full(who, day)

    def _days_of(self, who: str) -> list[int]:
        own = [visit for visit in self.visits.values() if self.owner(visit.client) == who]
        days = [day for visit in own if (day := self.day(visit.fact)) is not None]
        return [day for day in days if self.is_inside(day)]

    def owner(self, client: Key | None) -> str | None:
        """The customer whom a client is."""
        return None if client is None else self.people.owner(client)

    def visits_frame(self) -> pl.DataFrame:
        """Visits that stand, one a row."""
        worth = self.money.of_visits()
        rows = [
            {
                "key": list(key),
                "owner": self.owner(visit.client),
                "walk_in": visit.client is None,
                "status": visit.fact.status,
                "start": self.start(visit.fact),
                "day": self.day(visit.fact),
                "inside": self.is_inside(self.day(visit.fact)),
                "money": worth.get(key, 0),
            }
            for key, visit in self.visits.items()
        ]
        return pl.DataFrame(rows, schema=VISITS)

    def payments_frame(self) -> pl.DataFrame:
        """Money of its own day, also of one that has left the window."""
        rows = [(list(key), *rest) for key, *rest in self.money.alone()]
        return pl.DataFrame(rows, schema=PAYMENTS, orient="row")

    def last_frame(self) -> pl.DataFrame:
        """Days and instants of attended visits that have left the window, by customer."""
        last = self.people.last.items()
        rows = [(self.owner(client), day, start) for client, (day, start) in last]
        return pl.DataFrame(rows, schema=LAST, orient="row")


def _repeats(fact: VisitFact, stored: Visit, client: Key | None) -> bool:
    if fact.version not in {None, stored.version} or fact.status != stored.fact.status:
        return False
    own = replace(fact, version=None, client=None)
    same = own == replace(stored.fact, version=None, client=None) and client == stored.client
    return same or fact.status == "deleted"


def _is_older(fact: VisitFact, stored: Visit) -> bool:
    if fact.version is None or stored.version is None:
        return False
    undead = stored.fact.status == "deleted" and fact.status != "deleted"
    return fact.version < stored.version or (fact.version == stored.version and undead)
