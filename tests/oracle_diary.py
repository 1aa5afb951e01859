"""Follow one tenant's ledger closely: what decisions need to know besides the final truth.

Takes: facts in log order, as the ledger does
Out:   visits with their ends, places and owners; who speaks for a customer; segments on any day
Source: domain.md; what has left the window counts for customers whose own day has not begun yet
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from schemas.settings import TenantSettings
from tests.oracle import Sums, digits
from tests.oracle_bodies import NOTHING_TOLD, About, CardFact, Fact, Key, PaymentFact, VisitFact
from tests.oracle_keys import alias_delay, client_key, phone_delay, visit_key
from tests.oracle_ledger import Ledger, Visit
from tests.oracle_people import NOBODYS, People
from tests.oracle_times import day_of

HOUR = 3_600_000
LOST = {"no_show", "cancelled"}
OPEN = {"booked", "confirmed"}


class Booking(NamedTuple):
    """One visit that stands, with a start, of a known customer."""

    start: int
    came: bool
    imported: bool
    rank: int  # of what starts together
    key: Key
    status: str
    end: int
    place: str
    zone: str
    day: int  # of its place
    services: tuple[str, ...]

    @property
    def occasion(self) -> str:
        """``visit:<provider>:<branch>:<id>@<start minute>``."""
        provider, _, branch = self.key[0].partition("/")
        return f"visit:{provider}:{branch}:{self.key[1]}@{minute_text(self.start)}"


class Departed(NamedTuple):
    """What has left the window, as it counted until then."""

    key: Key
    client: Key | None
    day: int
    start: int
    money: int
    is_visit: bool


@dataclass
class Notes:
    """What is known of a client besides its phone."""

    about: About = NOTHING_TOLD
    has_card: bool = False
    marketing: tuple[int, bool] | None = None  # since when, what
    sms: tuple[int, bool] | None = None


class Persons(People):
    """People who keep the numbers behind their ids."""

    def __init__(self, tenant: str, id_key: bytes) -> None:
        super().__init__(tenant, id_key)
        self.phones: dict[str, int] = {}
        self.delays: dict[str, int] = {}

    def person(self, phone: int) -> str:
        """The id of whoever has this phone."""
        who = super().person(phone)
        self.phones[who] = phone
        self.delays[who] = phone_delay(self.tenant, phone)
        return who

    def nameless(self, alias: tuple[str, str]) -> str:
        """The id of somebody known by another name alone."""
        who = super().nameless(alias)
        self.delays[who] = alias_delay(self.tenant, alias)
        return who


class Diary(Ledger):
    """A ledger that remembers how things came about; ``imported``: its facts are history now."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.people: Persons = Persons(self.tenant, self.id_key)
        self.imported = False
        self.notes: dict[Key, Notes] = {}
        self.imports: dict[Key, bool] = {}
        self.lost_at: dict[Key, int] = {}
        self.handed: list[Key] = []  # visits that another client has now
        self.departed: list[Departed] = []
        self.on_leaving: Callable[[Departed], None] = lambda _: None
        self._worth: dict[Key, int] | None = None

    def take(self, fact: Fact) -> bool:
        """One fact more; tells whether it repeats what is known."""
        self._worth = None
        if isinstance(fact, CardFact):
            self._note(fact)
        return super().take(fact)

    def _note(self, fact: CardFact) -> None:
        card = self.people.clients.get(fact.key)
        known = None if card is None else card.version
        older = fact.version is not None and known is not None and fact.version < known
        if fact.deleted or older:
            return
        notes = self.notes.setdefault(fact.key, Notes())
        told = self.people.keep_out(self.called(fact))
        if isinstance(told, CardFact) and self.people.is_silent(told):
            fact = replace(fact, about=NOTHING_TOLD)
        notes.about, notes.has_card = fact.about, True
        if fact.about.marketing is not None:
            notes.marketing = self.clock, fact.about.marketing
        if fact.about.sms is not None:
            notes.sms = self.clock, fact.about.sms

    def expire(self) -> None:
        """Lets go of what has left the window."""
        before = len(self.visits), len(self.money.payments)
        super().expire()
        if before != (len(self.visits), len(self.money.payments)):
            self._worth = None

    def keep_past(self, key: Key, day: int, money: int, visit: Visit | None = None) -> None:
        """What has left the window stays counted as it was."""
        super().keep_past(key, day, money, visit)
        fact: VisitFact | PaymentFact = (
            self.money.payments[key].fact if visit is None else visit.fact
        )
        client = visit.client if visit is not None else self.money.payer(self._payment(key))
        start = self.start(fact) or 0
        leaving = Departed(key, client, day, start, money, visit is not None)
        self.departed.append(leaving)
        if visit is not None and visit.is_attended:
            self.on_leaving(leaving)

    def _payment(self, key: Key) -> PaymentFact:
        return self.money.payments[key].fact

    def _write(
        self, fact: VisitFact, client: Key | None, stored: Visit | None, day: int | None
    ) -> None:
        key = fact.key
        start = None if stored is None else self.start(stored.fact)
        before = None if stored is None else stored.client
        super()._write(fact, client, stored, day)
        visit = self.visits[key]
        if stored is None:
            self.lost_at.pop(key, None)
        if stored is None or (fact.status != "deleted" and start != self.start(fact)):
            self.imports[key] = self.imported
        if visit.fact.status in LOST:
            self.lost_at.setdefault(key, self.clock)
        else:
            self.lost_at.pop(key, None)
        if before is not None and visit.client != before:
            self.handed.append(key)
        self._note_name(visit.client, fact)

    def _remember_only(self, fact: VisitFact, client: Key | None, day: int | None) -> None:
        super()._remember_only(fact, client, day)
        if fact.status == "attended":
            self._note_name(client, fact)

    def _note_name(self, client: Key | None, fact: VisitFact) -> None:
        if client is None or fact.name is None:
            return
        notes = self.notes.setdefault(client, Notes())
        if not notes.has_card and self.people.clients[client].phone != NOBODYS:
            notes.about = notes.about._replace(name=fact.name)

    def forget_notes(self, who: str) -> None:
        """Cards of a customer who is about to be forgotten say nothing."""
        self._worth = None
        for client in self.people.clients_of(who):
            self.notes.pop(client, None)

    def delay(self, who: str) -> int:
        """How long after midnight the customer's day begins."""
        return self.people.delays[who]

    def own_day(self, who: str, at: int) -> int:
        """The tenant's day that the customer is in."""
        return day_of(at - self.delay(who), self.rules.timezone)

    def bookings(self, who: str) -> list[Booking]:
        """The customer's visits in order of their start."""
        return sorted(
            self._booking(visit)
            for visit in self.visits.values()
            if self.start(visit.fact) is not None and self.owner(visit.client) == who
        )

    def inside(self, who: str, today: int) -> list[Booking]:
        """Those whose day is inside the window as of a day."""
        window = self.rules.window_days
        return [b for b in self.bookings(who) if today - self._day(b) < window]

    def _booking(self, visit: Visit) -> Booking:
        fact, start = visit.fact, self.start(visit.fact) or 0
        zone = self.rules.zone_of(fact.place)
        return Booking(
            start=start,
            came=fact.status == "attended",
            imported=self.imports[fact.key],
            rank=visit_key(self.tenant, fact.key),
            key=fact.key,
            status=fact.status,
            end=start + (HOUR if fact.duration is None else fact.duration // 1000 * 1000),
            place=fact.place,
            zone=zone,
            day=day_of(start, zone),
            services=fact.services,
        )

    def next_booking(self, who: str, at: int) -> int | None:
        """The start of the customer's next booked visit after an instant."""
        starts = [b.start for b in self.bookings(who) if b.status in OPEN and b.start > at]
        return min(starts, default=None)

    def last_day(self, who: str) -> int | None:
        """The day of the last attended visit, whether or not it is in the window."""
        days = [self._day(b) for b in self.bookings(who) if b.came]
        days += [day for client, (day, _) in self.people.last.items() if self.owner(client) == who]
        return max(days, default=None)

    def last_start(self, who: str) -> int | None:
        """When the last attended visit was."""
        starts = [b.start for b in self.bookings(who) if b.came]
        last = self.people.last.items()
        starts += [start for client, (_, start) in last if self.owner(client) == who]
        return max(starts, default=None)

    def visit_days(self, who: str, today: int) -> list[int]:
        """Days with an attended visit inside the window as of a day, in order."""
        days = {self._day(b) for b in self.bookings(who) if b.came}
        days |= {each.day for each in self._lately(who, today) if each.is_visit}
        return sorted(day for day in days if today - day < self.rules.window_days)

    def segment(self, who: str, today: int, sums: Sums | None) -> str:
        """The customer's segment on a day; ``000`` for who never came."""
        last = self.last_day(who)
        if last is None:
            return "000"
        window = self.rules.window_days
        money = [(self._day(b), self.worth[b.key]) for b in self.bookings(who) if b.came]
        money += [(day, minor) for _, day, owner, minor in self.money.alone() if owner == who]
        money += [(each.day, each.money) for each in self._lately(who, today)]
        total = sum(minor for day, minor in money if today - day < window)
        days = self.visit_days(who, today)
        r, f, m = digits(max(0, today - last), len(days), total, self.rules, sums)
        return f"{r}{f}{m}"

    @property
    def worth(self) -> dict[Key, int]:
        """What each attended visit is worth."""
        if self._worth is None:
            self._worth = self.money.of_visits()
        return self._worth

    def _day(self, booking: Booking) -> int:
        return day_of(booking.start, self.rules.timezone)

    def _lately(self, who: str, today: int) -> list[Departed]:
        """What left with a day that has begun for the tenant, and not yet for the customer."""
        if today >= self.today:
            return []
        return [each for each in self.departed if self.owner(each.client) == who]

    def speaker(self, who: str) -> About:
        """What the client with the latest attended visit says; one without a name speaks last."""
        ranked = []
        for client in self.people.clients_of(who):
            visits = [v for v in self.visits.values() if v.client == client and v.is_attended]
            starts = [self.start(visit.fact) or 0 for visit in visits]
            if client in self.people.last:
                starts.append(self.people.last[client][1])
            about = self.notes.get(client, Notes()).about
            latest = max(starts, default=-(1 << 62))
            rank = about.name is not None, latest, -client_key(self.tenant, client)
            ranked.append((rank, about))
        return max(ranked, key=lambda each: each[0])[1] if ranked else NOTHING_TOLD

    def adopt(self, rules: TenantSettings) -> None:
        """New settings: they may price and place everything anew."""
        self._worth = None
        super().adopt(rules)


def minute_text(at: int) -> str:
    """``2026-11-20T07:00Z``."""
    return instant_text(at - at % 60_000)[:16] + "Z"


def instant_text(at: int) -> str:
    """RFC 3339 in UTC, with ms where there are any."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at)
    text = moment.replace(tzinfo=None).isoformat(timespec="milliseconds")
    return text.removesuffix(".000") + "Z"
