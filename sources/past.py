"""Imported past: the visits that a business had before its records began, as history has them.

Takes: a business and its people as the log begins
Out:   ``history`` records, each of some hundreds of visits and the cards that they name
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import orjson

from sources.bodies import naive, signed, utc
from sources.business import DAY, HOUR, MINUTE, Business, Customer, offset_ms

_MOST_VISITS = 400
_DAYS = 300


def imports(business: Business) -> bool:
    """Whether the business had another CRM before."""
    return business.index % 5 == 3


def history_records(
    business: Business, people: list[Customer], first_day: int, at: int, rng: Random
) -> Iterator[bytes]:
    """The past of the regulars among the people, up to a fortnight before ``first_day``."""
    visits: list[dict[str, Any]] = []
    cards: list[dict[str, Any]] = []
    for who in people:
        if who.left < 100 or not who.phone or who.known_after or rng.random() < 0.4:
            continue
        cards.append(_card(who))
        day = first_day - 15 - int(rng.random() * who.rhythm)
        while day > first_day - _DAYS and rng.random() < 0.85:
            visits.append(_visit(business, who, day, len(visits), rng))
            day -= max(1, int(rng.gammavariate(5.0, who.rhythm / 5.0)))
        if len(visits) >= _MOST_VISITS:
            yield _record(business, visits, cards, at)
            visits, cards = visits[:0], cards[:0]
    if cards:
        yield _record(business, visits, cards, at)


def _card(who: Customer) -> dict[str, Any]:
    card = {
        "type": "client",
        "id": f"old-{who.card}",
        "version": 1,
        "phone": who.written.decode(),
        "name": f"{who.name.decode()} {who.surname.decode()}",
    }
    return card | ({"birthday": who.birthday.decode()} if who.birthday else {})


def _visit(business: Business, who: Customer, day: int, number: int, rng: Random) -> dict[str, Any]:
    branch = business.branches[who.branch]
    _, service, title = business.services[rng.randrange(len(business.services))]
    hour = rng.randrange(business.vertical.opens, business.vertical.closes)
    local = day * DAY + hour * HOUR
    offset = signed(offset_ms(branch.zone, day), b":").decode()
    start, end = (
        naive(each).decode().replace(" ", "T") + offset
        for each in (local, local + service.minutes * MINUTE)
    )
    price = max(1, round(business.check * service.weight * who.factor)) * 100
    return {
        "type": "visit",
        "id": f"old-{who.card}-{day}-{number}",
        "version": 1,
        "status": "attended",
        "phone": who.written.decode(),
        "client": f"old-{who.card}",
        "branch": branch.name,
        "starts_at": start,
        "ends_at": end,
        "amount_minor": price,
        "currency": business.place.currency,
        "services": [title.decode()],
    }


def _record(
    business: Business, visits: list[dict[str, Any]], cards: list[dict[str, Any]], at: int
) -> bytes:
    text = utc(at).decode()
    return orjson.dumps(
        {
            "kind": "history",
            "tenant": business.tenant,
            "received_at": text,
            "appended_at": text,
            "visits": visits,
            "customers": cards,
        }
    )
