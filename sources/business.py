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

_PROVIDERS = ("yclients", "yclients", "generic", "altegio", "yclients", "yclients", "altegio")
_WINBACK = ["133", "132", "123"]
_SECOND_VISIT = ["323", "322", "321"]
_FIRST_VISIT = ["313", "312", "311"]


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
    place: Place
    vertical: Vertical
    branches: tuple[Branch, ...]
    services: tuple[tuple[int, Service, bytes], ...]
    staff: tuple[Employee, ...]
    vintage: int
    """How new the CRM's API is (0..2): field types drift between versions."""
    versioned: bool
    """Generic bodies carry versions."""
    reminders: tuple[tuple[str, int], ...]
    """Trigger id and lead time in ms."""
    settings: dict[str, Any]

    @property
    def check(self) -> float:
        """An ordinary visit in major units of the tenant's currency."""
        return self.vertical.check * self.place.price


class Customer:
    """A person with habits; texts are JSON without quotes."""

    __slots__ = (
        "birthday", "branch", "came", "card", "factor", "introduced", "known_after", "left",
        "name", "phone", "rhythm", "spent", "surname", "until", "woman", "written",
    )  # fmt: skip

    card: int
    name: bytes
    surname: bytes
    woman: bool
    phone: bytes
    """E.164 without the plus sign; empty where it is junk: messengers cannot reach it."""
    written: bytes
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


def shares(made: list[Business], customers: int, seed: int) -> list[int]:
    """How many of the customers each business has; a few are large, as in life."""
    rng = Random(f"{seed}:shares")
    weights = [one.vertical.crowd * rng.lognormvariate(0.0, 0.6) for one in made]
    total = sum(weights)
    counts = [int(customers * weight / total) for weight in weights]
    for index in range(customers - sum(counts)):
        counts[index % len(counts)] += 1
    return counts


def _business(index: int, rng: Random) -> Business:
    place = PLACES[index % len(PLACES)]
    vertical = VERTICALS[index % len(VERTICALS)]
    provider = _PROVIDERS[index % len(_PROVIDERS)]
    tenant = f"t{index + 1:04d}"
    first = 100_000 + index * 317
    zones = [place.zone]
    if index % 3 == 1:
        zones.append("Europe/Moscow" if place.dial == "7" and index % 2 else place.zone)
    branches = tuple(
        Branch(first + i, f"b{i + 1}" if provider == "generic" else str(first + i), zone)
        for i, zone in enumerate(zones)
    )
    russian = place.locale in ("ru", "kk")
    services = tuple(
        (first * 10 + i, service, (service.title if russian else service.english).encode())
        for i, service in enumerate(vertical.services)
    )
    reminders = [("reminder_24h", 24 * HOUR)]
    if index % 4 == 0:
        reminders.append(("reminder_2h", 2 * HOUR))
    return Business(
        index=index,
        tenant=tenant,
        provider=provider,
        place=place,
        vertical=vertical,
        branches=branches,
        services=services,
        staff=_staff(rng, place, vertical, first),
        vintage=index % 3,
        versioned=index % 9 != 2,
        reminders=tuple(reminders),
        settings=_settings(index, place, vertical, branches, reminders),
    )


def _staff(rng: Random, place: Place, vertical: Vertical, first: int) -> tuple[Employee, ...]:
    names = FIRST_NAMES.get(place.locale, FIRST_NAMES["en"])
    return tuple(
        Employee(
            first * 10 + i, rng.choice(names).encode(), rng.choice(vertical.positions).encode()
        )
        for i in range(rng.randint(4, 9))
    )


def _settings(
    index: int,
    place: Place,
    vertical: Vertical,
    branches: tuple[Branch, ...],
    reminders: list[tuple[str, int]],
) -> dict[str, Any]:
    """Settings as the tenant's owner wrote them."""
    check = round(vertical.check * place.price * 100)
    settings: dict[str, Any] = {
        "name": f"Business {index + 1}",
        "preset": vertical.preset,
        "timezone": place.zone,
        "country": place.country,
        "currency": place.currency,
        "locale": place.locale,
        "quiet_hours": ["21:00", "10:00"],
        "holdout_percent": 10,
        "offers": {
            code: {"template": f"winback_{place.locale}", "params": {"discount": 10 + 5 * i}}
            for i, code in enumerate(reversed(_WINBACK))
        },
        "triggers": _triggers(index, place, reminders),
    }
    if index % 5 in (0, 1, 3):
        settings["scoring"] = {"monetary": [round(check * 3.2), round(check * 1.1)]}
    elif index % 5 == 2:
        settings["average_check_minor"] = check
    own_zones = {b.name: {"timezone": b.zone} for b in branches if b.zone != place.zone}
    if own_zones:
        settings["branches"] = own_zones
    if index % 6 == 5:
        settings["consent_default"] = "allow"
    return settings


def _triggers(index: int, place: Place, reminders: list[tuple[str, int]]) -> list[dict[str, Any]]:
    channels = ["whatsapp"] if index % 2 else ["whatsapp", "sms"]
    triggers: list[dict[str, Any]] = [
        {
            "id": name,
            "kind": "reminder",
            "before": f"{lead // HOUR}h",
            "channels": channels,
            "template": f"reminder_{place.locale}",
        }
        for name, lead in reminders
    ]
    entered: list[tuple[str, list[str], list[str] | None, str]] = [
        ("winback", _WINBACK, None, "offer"),
        ("second_visit", _SECOND_VISIT, _FIRST_VISIT, f"second_visit_{place.locale}"),
    ]
    if index % 2 == 0:
        entered.append(("champion", ["333"], None, f"champion_{place.locale}"))
        entered.append(("cooling", ["233", "232", "223"], ["333", "332", "323"], "cooling"))
    for name, segments, came_from, template in entered:
        trigger: dict[str, Any] = {
            "id": name,
            "kind": "segment_entered",
            "segments": segments,
            "channels": channels,
            "template": template,
        }
        if came_from is not None:
            trigger["from"] = came_from
        triggers.append(trigger)
    return triggers


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
    _give_phone(who, business, rng)
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
    who.came = 0
    who.spent = 0
    who.introduced = False
    _give_habits(who, business.vertical, arrival, rng)
    return who


def _give_phone(who: Customer, business: Business, rng: Random) -> None:
    u = rng.random()
    if u < 0.004:
        who.phone, who.written = b"", rng.choice(JUNK_PHONES).encode()
        return
    abroad = u < 0.02
    place = rng.choice(PLACES) if abroad else business.place
    number = mobile(rng, place)
    text = f"+{number}"
    # the CRMs write E.164 themselves; what was imported or typed elsewhere comes as people wrote it
    if not abroad and (business.provider == "generic" or rng.random() < 0.08):
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
