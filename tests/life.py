"""A small, nasty life of a few tenants, drawn from any source of chance.

Takes: ``random.Random`` (a seeded one, or Hypothesis's, which shrinks), how much should happen
Out:   records in log order: settings first, then visits that collide, are corrected, deleted,
       repeated, late and told by three providers; cards whose phone comes later; messages;
       heartbeats
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any, NamedTuple

import hypothesis
from hypothesis import strategies as st

from tests.life_parts import PARTS, draw, some_gate, some_triggers
from tests.logs import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    Record,
    card,
    client,
    heartbeat,
    lines_of,
    local,
    message_in,
    ms,
    record,
    settings,
    stamp,
    trigger,
    visit,
    wall,
    whatsapp_message,
)


class Place(NamedTuple):
    """A tenant and where it is; ``phone`` lacks its last digit."""

    tenant: str
    zone: str
    country: str
    currency: str
    phone: str


PLACES = (
    Place("t-almaty", "Asia/Almaty", "KZ", "KZT", "+7701555000"),
    Place("t-berlin", "Europe/Berlin", "DE", "EUR", "+49151555001"),
    Place("t-moscow", "Europe/Moscow", "RU", "RUB", "+7916555000"),
    Place("t-york", "America/New_York", "US", "USD", "+1212555010"),
)
DAYS = ("2026-06-10", "2026-03-07", "2026-03-28", "2026-10-24", "2026-10-31")
MINUTES_OF_DAY = (600, 0, 1, 119, 150, 1439)
LATENESS = (0, 0, 0, 0, 40 * SECOND, 3 * HOUR, 2 * DAY)
STATUSES = ("attended", "booked", "attended", "confirmed", "no_show", "cancelled", "deleted")
ATTENDANCE = {"attended": 1, "no_show": -1, "confirmed": 2, "cancelled": -1}
TRIGGERS = [
    trigger("reminder", before="24h"),
    trigger("reminder", id="soon", before="90m", segments=["333", "322", "312", "000"]),
    trigger("segment_entered", segments=["333", "322", "312", "211", "111"]),
    trigger("segment_entered", id="cooled", segments=["212", "222", "211"], **{"from": ["312"]}),
]
SCORINGS = (
    {"recency_days": [2, 5], "frequency": [3, 2], "monetary": [500_000, 100_000]},
    {"recency_days": [1, 3], "frequency": [2, 1]},
    {"recency_days": [0, 9], "frequency": [4, 2], "monetary": "tertiles"},
)


class Log(list[Record]):
    """Records whose repr does not fill the terminal; the seed is what tells a failure."""

    def __repr__(self) -> str:
        return f"<log of {len(self)} records>"


class Lines(list[bytes]):
    """The same as lines."""

    def __repr__(self) -> str:
        return f"<{len(self)} lines>"


@dataclass
class Life:
    """Draws one log.

    ``orderly``: every version is newer than the last and no visit is too old to count.
    ``plain``: phones are written in E.164, so that they need no country.
    ``parts``: what the life may hold besides, each in one of three lives.
    """

    chance: Random
    orderly: bool = False
    plain: bool = False
    parts: tuple[str, ...] = ()

    def log(self, size: int, tenants: int) -> list[Record]:
        """About ``3 * size`` records."""
        chance = self.chance
        begin = local(f"{chance.choice(DAYS)} 12:00", "UTC") + chance.randrange(24) * HOUR
        self.begin, self.span = begin, chance.choice((2, 6, 20)) * DAY
        self.places = PLACES[:tenants]
        self.window = 365 if self.orderly else chance.choice((365, 365, 5, 12))
        self.appended = chance.random() < 0.5
        self.pool = max(2, size // 3)
        self.items: list[tuple[int, int, Record]] = []
        for _ in range(size):
            self._visit(chance.choice(self.places))
        for _ in range(size // 4 + 1):
            self._card(chance.choice(self.places))
        for _ in range(size // 8):
            self._message(chance.choice(self.places))
        for _ in range(size // 8):
            event = self.moment()
            self.add(event, heartbeat(event))
        if not self.orderly and chance.random() < 0.3:
            self._rescore(chance.choice(self.places))
        for part in self.parts:
            if chance.random() < 0.35:
                for _ in range(1 if part == "crowd" else chance.randrange(1, size // 6 + 3)):
                    draw(self, part)
        return self._in_order()

    def moment(self) -> int:
        """When something happens, to the minute."""
        return self.begin + self.chance.randrange(1, self.span // MINUTE) * MINUTE

    def add(self, event: int, told: Record) -> None:
        """A record that tells of this moment, and arrives then or later."""
        self.items.append((event + self.chance.choice(LATENESS), event, told))

    def settings(self, place: Place, at: int) -> Record:
        """Settings of a place, scored in one of a few ways."""
        scoring = self.chance.choice(SCORINGS) | {"window_days": self.window}
        return settings(
            place.tenant,
            at,
            timezone=place.zone,
            country=place.country,
            currency=place.currency,
            scoring=scoring,
            triggers=TRIGGERS if self.chance.random() < 0.5 else some_triggers(self.chance),
            branches={"502": {"timezone": "Asia/Tokyo"}},
            **self.chance.choice(({}, {"average_check_minor": 90_000})),
            **some_gate(self.chance),
        )

    def _rescore(self, place: Place) -> None:
        event = self.moment()
        self.add(event, self.settings(place, event))

    def phone(self, place: Place, who: int | None) -> str | None:
        """A number in one of the ways in which people write it, or none; orderly: the client's."""
        digit = who if self.orderly else self.chance.choice((1, 1, 2, 3, 4, None))
        if digit is None:
            return None
        written = f"{place.phone}{digit}"
        if self.plain:
            return written
        spaced = f"{written[:2]} ({written[2:5]}) {written[5:8]}-{written[8:]}"
        ways = [written, written, written[1:] if written.startswith("+7") else written]
        if place.country in {"RU", "KZ"}:
            ways += [spaced, f"8 {written[2:5]} {written[5:]}"]
        return self.chance.choice(ways)

    def start(self, place: Place) -> int:
        """When a visit starts, often at the edge of a day."""
        first, last = (-3 if self.orderly else -8), self.span // DAY + 3
        day = self.begin + self.chance.randrange(first, last + 1) * DAY
        midnight = local(wall(day, place.zone)[:10], place.zone)
        return midnight + self.chance.choice(MINUTES_OF_DAY) * MINUTE

    def _visit(self, place: Place) -> None:
        chance = self.chance
        provider = chance.choice(("generic", "generic", "yclients", "altegio"))
        company = chance.choice((501, 501, 502))
        number, who = chance.randrange(1, self.pool), chance.choice((1, None, 2, 3))
        phone = self.phone(place, who)
        start, event = self.start(place), self.moment()
        for step in range(chance.choice((1, 1, 2, 3, 4))):
            event += step * chance.choice((0, 1, 90, 1500)) * MINUTE
            if chance.random() < 0.2:
                start = self.start(place)
            if chance.random() < 0.1:
                who = chance.choice((1, None, 2))
                phone = self.phone(place, who)
            status, amount = chance.choice(STATUSES), chance.choice((0, 90_000, 250_000, 500_000))
            version = self.version(event)
            if provider == "generic":
                told: dict[str, Any] = {"status": "cancelled" if status == "deleted" else status}
                told |= {"version": version, "phone": phone, "starts_at": start}
                told |= {"client": None if who is None else f"crm-{who}", "amount_minor": amount}
                told |= {"currency": chance.choice((None, place.currency, "XAF"))}
                told |= {"branch": chance.choice((None, "b1")), "services": ["s"]}
                self.add(event, visit(place.tenant, event, f"v{number}", **told))
            else:
                wide: dict[str, Any] = {"attendance": ATTENDANCE.get(status, 0)}
                wide |= {"date": wall(start, "Asia/Tokyo" if company == 502 else place.zone)}
                wide |= {"costs": ((amount / 200, 1), (amount / 400, 2))[: chance.randrange(3)]}
                wide |= {"provider": provider, "company": company, "version": version}
                wide |= {"client": who, "phone": phone, "deleted": status == "deleted"}
                wide |= {"status": "delete" if chance.random() < 0.05 else "update"}
                self.add(event, record(place.tenant, event, number, **wide))

    def version(self, event: int) -> int | None:
        """A version that grows with the moment, collides with others, or is not told."""
        if self.orderly:
            self.last = getattr(self, "last", 0) + 1
            return self.last
        if self.chance.random() < 0.1:
            return None
        return (event - self.begin) // (self.chance.choice((1, 1, 100)) * MINUTE) + 100

    def _card(self, place: Place) -> None:
        chance = self.chance
        who, event = chance.choice((1, 2, 3)), self.moment()
        company, provider = chance.choice((501, 502)), chance.choice(("yclients", "altegio"))
        crm = chance.random() < 0.5
        for _ in range(chance.choice((1, 2))):
            phone, version = self.phone(place, who), self.version(event)
            if crm:
                told = card(place.tenant, event, f"crm-{who}", phone=phone, version=version)
            else:
                wide: dict[str, Any] = {"provider": provider, "company": company}
                told = client(place.tenant, event, who, phone=phone, version=version, **wide)
            self.add(event, told)
            event += chance.randrange(1, 3000) * MINUTE

    def _message(self, place: Place) -> None:
        phone, event = f"{place.phone}{self.chance.choice((1, 5))}", self.moment()
        if self.chance.random() < 0.5:
            self.add(event, message_in(place.tenant, event, f"m{event}", phone))
        else:
            self.add(event, whatsapp_message(place.tenant, event, f"w{event}", phone[1:]))

    def _in_order(self) -> list[Record]:
        """By arrival, settings first, a heartbeat last; some records come again."""
        if not self.orderly:
            for arrival, event, told in list(self.items):
                if told["kind"] == "webhook" and self.chance.random() < 0.06:
                    self.items.append((arrival + self.chance.choice(LATENESS), event, dict(told)))
        self.items.sort(key=lambda item: item[0])
        firsts = [(self.begin, self.settings(place, self.begin)) for place in self.places]
        log = [*firsts, *((arrival, told) for arrival, _, told in self.items)]
        end = max(arrival for arrival, _ in log) + self.chance.choice((0, 0, 1, 5, 30)) * DAY
        log.append((past_midnight(end), heartbeat(past_midnight(end))))
        if self.appended:
            return Log(told | {"appended_at": stamp(arrival)} for arrival, told in log)
        return Log(told for _, told in log)


def past_midnight(at: int) -> int:
    """Ten minutes past the next hour: by then every customer's midnight is over."""
    return (at // HOUR + 1) * HOUR + 10 * MINUTE


def ended(log: list[Record]) -> list[Record]:
    """The log with a heartbeat after whatever it ends with."""
    clock = max(ms(told.get("appended_at") or told["received_at"]) for told in log)
    return [*log, heartbeat(past_midnight(clock))]


def small_logs(parts: tuple[str, ...] = PARTS) -> st.SearchStrategy[list[Record]]:
    """Tens of records whose every choice shrinks."""
    return st.builds(
        lambda chance, size, tenants: Life(chance, parts=parts).log(size, tenants),
        st.randoms(use_true_random=False),
        st.integers(1, 12),
        st.integers(1, 4),
    )


ORDERLY = ("payments", "sales", "messengers", "rubbish")
"""Parts of which the order does not matter as long as versions tell it."""

LARGEST = 100 if hypothesis.settings().max_examples > 100 else 24
"""How much happens in a large log: much in a long run."""


def large_logs(
    orderly: bool = False, plain: bool = False, parts: tuple[str, ...] | None = None
) -> st.SearchStrategy[list[Record]]:
    """Hundreds of records from a seed."""
    drawn = (ORDERLY if orderly else PARTS) if parts is None else parts
    return st.builds(
        lambda seed, size, tenants: Life(Random(seed), orderly, plain, drawn).log(size, tenants),
        st.integers(0, 2**32),
        st.integers(8, LARGEST),
        st.integers(1, 4),
    )


def logs(parts: tuple[str, ...] = PARTS) -> st.SearchStrategy[list[bytes]]:
    """Lines of either."""
    return st.one_of(small_logs(parts), large_logs(parts=parts)).map(
        lambda log: Lines(lines_of(log))
    )
