"""Build a seeded load in memory: 35 % CRM webhooks, 65 % message statuses.

Takes: numbers of records, customers, tenants and lanes, a seed
Out:   ``Chunk``s of one lane each, as a Kafka source hands them over; values are prebuilt
Clock: 15,000 records a second of the lanes' clock; a minute turns in the middle of each run, so
       that every run has its share of reminders that come due

``warmup`` creates the customers with three attended visits each and opens the bookings that the
runs go on with. A visit of the load is spread over two people, as in any second of real traffic:
one books (record, card, confirmation), the other comes and pays (record, payment, record, card).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from random import Random
from typing import Any

from benchmarks.chunks import Lanes
from schemas.batch import Chunk
from schemas.keys import lane_of
from sources.bodies import (
    ATTENDED,
    BOOKED,
    CONFIRMED,
    NO_SHOW,
    Yclients,
    heartbeat_record,
    naive,
    settings_record,
    utc,
)
from sources.business import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    Branch,
    Business,
    CardState,
    Customer,
    Letter,
    Visit,
    VisitState,
    businesses,
    offset_ms,
)
from sources.messages import Messengers
from sources.story import Writer

RECORDS_PER_SECOND = 15_000
"""300x of 50 webhooks a second, the load of 2,500 businesses."""
VISITS_PER_RECORD = 25 / 505
MESSAGES_PER_VISIT = 4
CUSTOMERS_PER_TENANT = 2_000
LARGEST_TENANT = 0.3
"""Share of the traffic that one tenant has, where nothing else is asked for."""
BATCH_RECORDS = 16_384

FIRST_MINUTE = int(datetime(2026, 6, 10, 10, 0, tzinfo=UTC).timestamp()) * SECOND
"""The minute that turns in the first run; each run has the next. It is midnight nowhere near."""

SLEEPLESS: dict[str, Any] = {
    "quiet_hours": ["00:00", "00:00"],
    "quiet_utility": ["00:00", "00:00"],
}
"""Settings without quiet hours."""

_OPEN_IDS = 500_000_000
_REMINDED_IDS = 600_000_000
_LIVE_IDS = 700_000_000
_COMES, _REMINDED, _BOOKS = range(3)
_STRIDE = 2_654_435_761
"""From one customer to the next: prime, and no neighbour whatever the number of customers."""
_RUN_BITS = 32
"""Every run has positions of its own: a log may have gaps."""
_PREFIXES = (701, 702, 705, 707)
_PAST = (
    b'{"kind":"webhook","tenant":"%b","provider":"yclients","received_at":"%b","body":'
    b'{"company_id":%d,"resource":"record","resource_id":%d,"status":"create","data":{"id":%d,'
    b'"company_id":%d,"services":[{"id":1,"title":"%b","cost":%d,"amount":1}],'
    b'"client":{"id":%d,"name":"%b","phone":"+%b"},"date":"%b","attendance":%d,"visit_id":%d,'
    b'"deleted":false,"seance_length":3600,"last_change_date":"%b"}}}'
)


@dataclass(frozen=True, slots=True)
class Load:
    """How much of everything; ``runs`` windows of ``records`` each."""

    records: int
    customers: int
    seed: int = 1
    lanes: int = 8
    runs: int = 5
    batch: int = BATCH_RECORDS
    tenants: int = 0
    """0: one for every 2,000 customers."""
    visits_each: int = 3
    """Attended visits of every customer before the first run."""
    messages_each: int = 0
    """Messages sent and delivered to every customer before the first run."""
    run_ms: int = MINUTE
    """From the start of one run to that of the next."""
    records_per_second: float = RECORDS_PER_SECOND
    """Of the lanes' clock, all together."""
    largest_tenant: float = LARGEST_TENANT
    """Share of the customers that the first tenant has; 0: as many as the others."""
    first_minute: int = FIRST_MINUTE
    """The instant around which the first run's records are appended."""
    warm_ms: int = 15 * MINUTE
    """From when the past of all customers is told to the first run."""
    zone: str = ""
    """Where all tenants are; empty: each where its business is."""
    is_sleepless: bool = False
    """No tenant has quiet hours: what is due at night is sent at night."""

    @property
    def warm_from(self) -> int:
        """When the past of all customers is told."""
        return self.first_minute - self.warm_ms

    @property
    def warm_records(self) -> int:
        """Of the warm-up, but for settings and heartbeats."""
        each = self.visits_each + self.messages_each
        return self.customers * each + 2 * self.runs * self.visits

    @property
    def tenant_count(self) -> int:
        """How many tenants there are."""
        return self.tenants or max(4, self.customers // CUSTOMERS_PER_TENANT)

    @property
    def visits(self) -> int:
        """Visits of one run."""
        return max(1, round(self.records * VISITS_PER_RECORD))

    def begin(self, run: int) -> int:
        """The instant around which a run's records are appended."""
        return self.first_minute + run * self.run_ms


class Town:
    """The tenants of a load and their customers, told by number.

    ``settings`` are what every tenant has instead of its own.
    """

    def __init__(self, load: Load, settings: dict[str, Any] | None = None) -> None:
        self.load = load
        own = (SLEEPLESS if load.is_sleepless else {}) | (settings or {})
        self.businesses = [
            _crm_tenant(_moved(one, load.zone) if load.zone else one, own)
            for one in businesses(load.tenant_count, load.seed)
        ]
        self.crms = [Yclients(one) for one in self.businesses]
        self.messengers = [Messengers(one) for one in self.businesses]
        self.lanes = [lane_of(one.tenant, load.lanes) for one in self.businesses]
        self._large = int(load.customers * load.largest_tenant)

    def tenant_of(self, number: int) -> int:
        """The index of a customer's tenant."""
        if number < self._large:
            return 0
        first = int(self._large > 0)
        return first + number % (len(self.businesses) - first)

    def phone(self, number: int) -> bytes:
        """E.164 without the plus sign."""
        return b"7%d%07d" % (_PREFIXES[number // 10**7], number % 10**7)

    def person(self, number: int) -> Customer:
        """A customer, made anew each time: half a million objects are not what is measured."""
        who = Customer()
        who.card = 1_000_000 + number
        who.name, who.surname = b"\xd0\x90\xd0\xbd\xd0\xbd\xd0\xb0", b"%d" % number
        who.woman = number % 3 > 0
        who.phone = self.phone(number)
        who.written = b"+" + who.phone
        who.birthday = b"19%02d-%02d-%02d" % (number % 40 + 50, number % 12 + 1, number % 28 + 1)
        return who

    def price(self, number: int) -> int:
        """What a visit of this customer costs, in major units."""
        check = self.businesses[self.tenant_of(number)].check
        return max(1, int(check * (0.2 + number % 29 / 8)))


def warmup(town: Town) -> Iterator[Chunk]:
    """Settings, the attended visits of every customer, and the bookings that the runs need.

    The triggers come after the past, so that nobody is greeted for it.
    """
    load = town.load
    past = load.warm_from
    lanes = Lanes(load.lanes, 8_192)
    for business, lane in zip(town.businesses, town.lanes, strict=True):
        quiet = replace(business, settings=business.settings | {"triggers": []})
        yield from lanes.add(lane, past, settings_record(quiet, past))
    for number in range(load.customers):
        days_ago = 5 + number % 190
        for i in range(load.visits_each):
            ago = days_ago + 30 * i + (number % 53 if i > 1 else 0)
            start = load.first_minute - ago * DAY - number % 8 * HOUR
            booking = number * load.visits_each + i + 1
            yield from lanes.add(*past_visit(town, number, booking, start, ATTENDED))
    for business, lane in zip(town.businesses, town.lanes, strict=True):
        yield from lanes.add(lane, past, settings_record(business, past))
    for number in range(load.customers * load.messages_each):
        yield from lanes.add(*_sent(town, number))
    for at in range(load.runs * load.visits):
        minute = load.begin(at // load.visits)
        comes = past_visit(
            town, _pick(load, _COMES, at), _OPEN_IDS + at, _come_at(at, minute), BOOKED
        )
        yield from lanes.add(*comes)
        reminded = _pick(load, _REMINDED, at)
        yield from lanes.add(*past_visit(town, reminded, _REMINDED_IDS + at, minute + DAY, BOOKED))
    for lane in range(load.lanes):  # what the warm-up owes is paid before the clock is started
        after = past + MINUTE
        yield from lanes.add(lane, after, heartbeat_record(after, after))
    yield from lanes.rest()


def live(town: Town, run: int) -> list[Chunk]:
    """One run's chunks, in the order in which a source would take turns between its lanes."""
    load = town.load
    moments = sorted(_moments(town, run), key=lambda moment: moment[:2])[: load.records]
    lanes = Lanes(load.lanes, load.batch, (run + 1) << _RUN_BITS)
    begin = load.begin(run) - int(len(moments) * SECOND / load.records_per_second / 2)
    chunks: list[Chunk] = []
    for i, (_, _, tenant, write, what) in enumerate(moments):
        appended = begin + int(i * SECOND / load.records_per_second)
        line = write(appended - 3, appended, *what)
        chunks.extend(lanes.add(town.lanes[tenant], appended, line))
    chunks.extend(lanes.rest())
    return chunks


Moment = tuple[float, int, int, Writer, tuple[Any, ...]]
"""A point of the run in 0..1, a number that breaks ties, the tenant, the writer, of what."""


def _moments(town: Town, run: int) -> Iterator[Moment]:
    load = town.load
    rng = Random(f"{load.seed}:run:{run}")
    now = load.begin(run)
    number = 0
    for i in range(load.visits):
        at = run * load.visits + i
        stories = [_coming(town, at, now), _booking(town, at, now)]
        stories += [
            _message(town, int(rng.random() * load.customers), rng, now)
            for _ in range(MESSAGES_PER_VISIT)
        ]
        for tenant, steps in stories:
            points = sorted(rng.random() for _ in steps)
            for point, (write, what) in zip(points, steps, strict=True):
                number += 1
                yield point, number, tenant, write, what


Steps = tuple[int, list[tuple[Writer, tuple[Any, ...]]]]


def _pick(load: Load, why: int, at: int) -> int:
    """A customer for the ``at``-th visit of a kind: another one each time, as long as they last."""
    return (at * _STRIDE + why * 7_919 + load.seed) % load.customers


def _come_at(at: int, now: int) -> int:
    """When an opened booking starts: hours before its run."""
    return now - (at % 16 + 6) * 15 * MINUTE


def _coming(town: Town, at: int, now: int) -> Steps:
    """A booked customer comes: attended, payment, paid in full, card."""
    number, booking = _pick(town.load, _COMES, at), _OPEN_IDS + at
    tenant = town.tenant_of(number)
    crm, who, cost = town.crms[tenant], town.person(number), town.price(number)
    visit = _visit(town, number, who, booking, now - 3 * DAY)
    zone = town.businesses[tenant].place.zone
    start = _come_at(at, now)
    local = start + offset_ms(zone, start // DAY)
    came = VisitState(local, now - 5_000, 3, ATTENDED, False, 2, 3, True)
    paid = came._replace(changed=now + 1_000, version=4, paid=True)
    card = CardState(0, now + 2_000, False, 4, cost * 4, True)
    return tenant, [
        (crm.visit, (visit, came)),
        (crm.payment, (visit, booking + 100_000_000, cost, now)),
        (crm.visit, (visit, paid)),
        (crm.card, (who, card)),
    ]


def _booking(town: Town, at: int, now: int) -> Steps:
    """A customer books a visit of the coming fortnight: record, card, confirmation."""
    number = _pick(town.load, _BOOKS, at)
    tenant = town.tenant_of(number)
    crm, who = town.crms[tenant], town.person(number)
    visit = _visit(town, number, who, _LIVE_IDS + at, now)
    zone = town.businesses[tenant].place.zone
    start = now - now % MINUTE + DAY * (2 + at % 13) + at % 40 * 15 * MINUTE
    local = start + offset_ms(zone, start // DAY)
    booked = VisitState(local, now, 0, BOOKED, False, 0, 3, True)
    confirmed = booked._replace(changed=now + 2_000, version=1, status=CONFIRMED, comment=1)
    card = CardState(0, now + 1_000, False, 3, 0, True)
    return tenant, [
        (crm.visit, (visit, booked)),
        (crm.card, (who, card)),
        (crm.visit, (visit, confirmed)),
    ]


def _message(town: Town, number: int, rng: Random, now: int) -> Steps:
    """Sent, delivered, read, and three times in ten read on a second device."""
    tenant = town.tenant_of(number)
    write = town.messengers[tenant].statuses
    letter = Letter(
        b"wamid.HBgLNzcwNTEyMzQ1NjcVAgARGBI%024XAA==" % rng.getrandbits(96),
        town.phone(number),
        b"%032x" % rng.getrandbits(128),
        b"marketing",
    )
    names = [b"sent", b"delivered", b"read"] + [b"read"] * (rng.random() < 0.3)
    return tenant, [(write, (letter, ((name, now, 0),))) for name in names]


def _visit(town: Town, number: int, who: Customer, booking: int, created: int) -> Visit:
    cost = town.price(number)
    return Visit(
        booking, booking + 10**9, who, 0, number % 3, number % 4, cost, cost, 0, created, True
    )


def past_visit(
    town: Town, number: int, booking: int, start: int, status: int
) -> tuple[int, int, bytes]:
    """Lane, append time and the shortest record that says so, told with the past of all."""
    tenant = town.tenant_of(number)
    business = town.businesses[tenant]
    company = business.branches[0].id
    attended = {ATTENDED: 1, NO_SHOW: -1}.get(status, 0)
    told = town.load.warm_from
    changed = min(start, told) - HOUR
    line = _PAST % (
        business.tenant.encode(), utc(told), company, booking, booking, company,
        business.services[number % 3][2], town.price(number), 1_000_000 + number,
        b"\xd0\x90\xd0\xbd\xd0\xbd\xd0\xb0", town.phone(number),
        naive(start + offset_ms(business.place.zone, start // DAY)), attended,
        booking + 10**9, b"%b+0000" % utc(changed)[:19],
    )  # fmt: skip
    return town.lanes[tenant], told, line


def _sent(town: Town, number: int) -> tuple[int, int, bytes]:
    """Lane, append time and the status of a message that one of our commands has sent."""
    who = number % town.load.customers
    tenant = town.tenant_of(who)
    letter = Letter(
        b"wamid.HBgLNzcwNTEyMzQ1NjcVAgARGBI%024XAA==" % number,
        town.phone(who),
        b"%032x" % (number + (1 << 100)),
        b"marketing",
    )
    write = town.messengers[tenant].statuses
    told = town.load.warm_from
    line = write(told - 3, told, letter, ((b"sent", told - 5_000, 0),))
    return town.lanes[tenant], told, line


def _moved(business: Business, zone: str) -> Business:
    """The business in another zone, with all of its branches."""
    return replace(
        business,
        place=business.place._replace(zone=zone),
        branches=tuple(replace(branch, zone=zone) for branch in business.branches),
        settings=business.settings | {"timezone": zone},
    )


def _crm_tenant(business: Business, settings: dict[str, Any]) -> Business:
    """The business with YCLIENTS and one branch: the CRM with the largest bodies."""
    first = business.branches[0]
    settings = {key: of for key, of in business.settings.items() if key != "branches"} | settings
    return replace(
        business,
        provider="yclients",
        branches=(Branch(first.id, str(first.id), first.zone),),
        settings=settings,
    )
