"""Synthetic tenants: what each of them is, its settings, its people.

Takes: a number of tenants and a seed; the same arguments give the same businesses everywhere
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from random import Random
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from sources.owner import settings_of
from sources.places import (
    FIRST_NAMES,
    JUNK_PHONES,
    LAST_NAMES,
    PLACES,
    VERTICALS,
    Place,
    Service,
    Vertical,
    mobile,
    written,
)

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_CRMS = ("yclients", "generic", "yclients", "altegio", "yclients", "generic", "altegio")
_MESSENGERS = ("whatsapp", "wazzup", "whatsapp", "greenapi")


@dataclass(frozen=True, slots=True)
class Employee:
    """Who serves; ``name`` as JSON text without quotes."""

    id: int
    name: bytes
    position: bytes


@dataclass(frozen=True, slots=True)
class Branch:
    """A place where visits happen: a CRM company of its own."""

    id: int
    name: str
    zone: str


@dataclass(frozen=True, slots=True)
class Business:
    """A tenant as its providers see it."""

    index: int
    tenant: str
    provider: str
    """Of its CRM."""
    messenger: str
    """The provider that carries its WhatsApp messages."""
    place: Place
    vertical: Vertical
    branches: tuple[Branch, ...]
    services: tuple[tuple[int, Service, bytes], ...]
    staff: tuple[Employee, ...]
    vintage: int
    """How new the CRM's API is (0..2): field types drift between versions."""
    versioned: bool
    """Generic bodies carry versions."""
    settings: dict[str, Any]

    @property
    def check(self) -> float:
        """An ordinary visit in major units of the tenant's currency."""
        return self.vertical.check * self.place.price


class Customer:
    """A person with habits; texts are JSON without quotes."""

    __slots__ = (
        "alias", "birthday", "branch", "called", "called_by", "came", "card", "coming", "factor",
        "introduced", "known_after", "left", "name", "new_phone_after", "phone", "rhythm", "spent",
        "surname", "until", "woman", "written",
    )  # fmt: skip

    card: int
    name: bytes
    surname: bytes
    woman: bool
    phone: bytes
    """E.164 without the plus sign; empty where it is junk: messengers cannot reach it."""
    written: bytes
    alias: bytes
    """What WhatsApp calls a person who hides the phone; empty for most."""
    birthday: bytes
    branch: int
    factor: float
    """Own check, relative to an ordinary one."""
    rhythm: float
    """Days between visits."""
    left: int
    """Visits still to come."""
    until: int
    """The day (since the epoch) on which the customer is lost."""
    known_after: int
    """Visits after which the CRM learns the phone."""
    new_phone_after: int
    """Visits after which the person takes another number; 0 for most: never."""
    coming: int
    """When the next visit of the person's own accord starts, 0 if none is planned."""
    called: int
    """When the last visit starts or started that a command brought about."""
    called_by: str
    """The trigger whose contact that visit is credited to."""
    came: int
    spent: int
    introduced: bool


@dataclass(slots=True)
class Visit:
    """A booking as it was made; what changes later travels with the webhooks about it."""

    id: int
    unit: int
    """The CRM's ``visit_id``."""
    who: Customer | None
    """``None``: a walk-in."""
    branch: int
    service: int
    employee: int
    price: int
    """Major units, before the discount."""
    cost: int
    discount: int
    created: int
    online: bool
    version: int = 0


class VisitState(NamedTuple):
    """A visit as one webhook shows it."""

    local: int
    """Start: the wall clock written as if it were UTC, in ms."""
    changed: int
    version: int
    status: int
    paid: bool
    comment: int
    came: int
    """Visits of the customer so far."""
    phone_known: bool


class CardState(NamedTuple):
    """A customer's card as one webhook shows it."""

    branch: int
    changed: int
    created: bool
    came: int
    spent: int
    phone_known: bool


class Letter(NamedTuple):
    """A message to a customer, as its statuses name it."""

    message: bytes
    phone: bytes
    command: bytes
    """Empty where the sender attached nothing."""
    category: bytes


@lru_cache(maxsize=1 << 16)
def offset_ms(zone: str, day: int) -> int:
    """The zone's offset from UTC at noon of a day since the epoch: opening hours see no other."""
    noon = datetime.fromtimestamp(day * 86_400 + 43_200, UTC).replace(tzinfo=None)
    delta = noon.replace(tzinfo=ZoneInfo(zone)).utcoffset()
    return 0 if delta is None else int(delta.total_seconds() * SECOND)


def businesses(count: int, seed: int) -> list[Business]:
    """``count`` tenants ``t0001``…: every vertical, mostly Russia and Kazakhstan."""
    return [_business(index, Random(f"{seed}:business:{index}")) for index in range(count)]


def shares(
    made: list[Business], customers: int, seed: int, largest: float | None = None
) -> list[int]:
    """How many of the customers each business has; a few are large, as in life.

    ``largest`` is the share of all traffic that the first one has; the others' stay as they are.
    """
    rng = Random(f"{seed}:shares")
    weights = [one.vertical.crowd * rng.lognormvariate(0.0, 0.6) for one in made]
    if largest is not None and len(made) > 1:
        busy = [one.vertical.traffic for one in made]
        rest = sum(w * t for w, t in zip(weights[1:], busy[1:], strict=True))
        weights[0] = rest * largest / (1 - largest) / busy[0]
    total = sum(weights)
    counts = [int(customers * weight / total) for weight in weights]
    for index in range(customers - sum(counts)):
        counts[index % len(counts)] += 1
    return counts


def _business(index: int, rng: Random) -> Business:
    place = PLACES[index % len(PLACES)]
    vertical = VERTICALS[index % len(VERTICALS)]
    provider = _crm_of(index, vertical)
    tenant = f"t{index + 1:04d}"
    first = 100_000 + index * 317
    zones = [place.zone]
    if index % 3 == 1:
        zones.append("Europe/Moscow" if place.dial == "7" and index % 2 else place.zone)
    branches = tuple(
        Branch(first + i, _branch_name(provider, i, first + i), zone)
        for i, zone in enumerate(zones)
    )
    own_zones = {each.name: each.zone for each in branches if each.zone != place.zone}
    russian = place.locale in ("ru", "kk")
    services = tuple(
        (first * 10 + i, service, (service.title if russian else service.english).encode())
        for i, service in enumerate(vertical.services)
    )
    reminders = [("reminder_24h", 24)]
    if index % 4 == 0:
        reminders.append(("reminder_2h", 2))
    return Business(
        index=index,
        tenant=tenant,
        provider=provider,
        messenger=_MESSENGERS[index % len(_MESSENGERS)],
        place=place,
        vertical=vertical,
        branches=branches,
        services=services,
        staff=_staff(rng, place, vertical, first),
        vintage=index % 3,
        versioned=index % 9 != 5,
        settings=settings_of(index, place, vertical, own_zones, reminders),
    )


def _crm_of(index: int, vertical: Vertical) -> str:
    """Every other restaurant has the till of restaurants."""
    if vertical.preset == "restaurant" and index // len(VERTICALS) % 2 == 0:
        return "iiko"
    return _CRMS[index % len(_CRMS)]


def _branch_name(provider: str, at: int, number: int) -> str:
    """As the provider's webhooks name the branch."""
    if provider == "generic":
        return f"b{at + 1}"
    if provider == "iiko":
        return f"{number:08x}-58cc-4372-a567-{number:012x}"
    return str(number)


def _staff(rng: Random, place: Place, vertical: Vertical, first: int) -> tuple[Employee, ...]:
    names = FIRST_NAMES.get(place.locale, FIRST_NAMES["en"])
    return tuple(
        Employee(
            first * 10 + i, rng.choice(names).encode(), rng.choice(vertical.positions).encode()
        )
        for i in range(rng.randint(4, 9))
    )


def customer(business: Business, number: int, arrival: int, rng: Random) -> Customer:
    """A person of the business: who, how often, how much, for how long.

    ``arrival`` is the day since the epoch on which the person first books.
    """
    place = business.place
    who = Customer()
    names = FIRST_NAMES.get(place.locale, FIRST_NAMES["en"])
    who.card = 10_000_000 + business.index * 1_000_003 + number * 4
    who.name = rng.choice(names).encode()
    who.surname = rng.choice(LAST_NAMES.get(place.locale, LAST_NAMES["en"])).encode()
    who.woman = rng.random() < 0.7
    who.branch = rng.randrange(len(business.branches))
    give_phone(who, business, rng)
    who.birthday = b""
    if rng.random() < 0.45:
        leap = rng.random() < 0.004
        month, month_day = (2, 29) if leap else (rng.randint(1, 12), rng.randint(1, 28))
        year = 1988 if leap else rng.randint(1950, 2008)
        who.birthday = b"%d-%02d-%02d" % (year, month, month_day)
    u = rng.random()
    low, high = (0.12, 0.4) if u < 0.3 else (0.6, 1.5) if u < 0.7 else (2.0, 5.5)
    who.factor = low + (high - low) * rng.random()
    who.known_after = rng.randint(1, 3) if rng.random() < 0.03 else 0
    who.new_phone_after = rng.randint(2, 5) if rng.random() < 0.02 else 0
    who.alias = b""
    if rng.random() < 0.03:
        who.alias = b"%b.%d" % (place.country.encode(), rng.randrange(10**15, 10**16))
    who.coming = 0
    who.called = 0
    who.called_by = ""
    who.came = 0
    who.spent = 0
    who.introduced = False
    _give_habits(who, business.vertical, arrival, rng)
    return who


def give_phone(who: Customer, business: Business, rng: Random) -> None:
    """A number, now and then one that is none."""
    u = rng.random()
    if u < 0.004:
        who.phone, who.written = b"", rng.choice(JUNK_PHONES).encode()
        return
    abroad = u < 0.02
    place = rng.choice(PLACES) if abroad else business.place
    number = mobile(rng, place)
    text = f"+{number}"
    # the CRMs write E.164 themselves; what was imported or typed elsewhere comes as people wrote it
    if not abroad and (business.provider in ("generic", "iiko") or rng.random() < 0.08):
        text = written(rng, number, place)
    who.phone, who.written = number.encode(), text.encode()


def _give_habits(who: Customer, vertical: Vertical, arrival: int, rng: Random) -> None:
    """A lead, once only, tried it, an intense course, a regular, or a rare guest."""
    fewest, most, apart = vertical.course
    u = rng.random()
    who.until = arrival + 100_000
    who.rhythm = vertical.rhythm
    if u < 0.05:
        who.left = 0
    elif u < 0.45:
        who.left = 1
    elif u < 0.59:
        who.left = rng.randint(2, 3)
        who.rhythm = vertical.rhythm * 0.7
    elif u < 0.71:
        who.left = rng.randint(fewest, most)
        who.rhythm = apart
    elif u < 0.92:
        who.left = 1_000
        who.rhythm = vertical.rhythm * rng.lognormvariate(0.0, 0.35)
        who.until = arrival + int(20 + rng.expovariate(1 / 150))
    else:
        who.left = 1_000
        who.rhythm = vertical.rhythm * 3
