"""Generate a log of plausible life: seeded tenants, customers and months of their records.

Takes:    numbers of tenants, customers and days, a seed, faults
Gives:    records in log order (by append time), each one JSON object without a line end
Replays:  the same arguments give the same bytes in every process, on every machine
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from itertools import islice
from random import Random
from typing import Any

from sources.bodies import heartbeat_record, settings_record
from sources.business import DAY, HOUR, MINUTE, SECOND, businesses, shares
from sources.life import Life
from sources.poison import SPOILS, decoy, oversized
from sources.story import Writer

BURN_IN_DAYS = 14
"""Days lived before the log begins, so that its first day has visits booked earlier."""

_MOST_OVERSIZED = 3


@dataclass(frozen=True, slots=True)
class Faults:
    """How often the way to the log goes wrong, as shares of all records."""

    duplicate: float = 0.02
    disordered: float = 0.05
    """Out of order by up to a minute."""
    late: float = 0.01
    """By 1 to 24 hours."""
    very_late: float = 0.001
    """By 1 to 7 days."""
    poison: float = 0.001

    @property
    def any(self) -> float:
        """The share of records that something happens to."""
        return self.duplicate + self.disordered + self.late + self.very_late + self.poison


NO_FAULTS = Faults(0.0, 0.0, 0.0, 0.0, 0.0)

Moment = tuple[int, int, int, Writer, tuple[Any, ...]]
"""Append time, a number that breaks ties, receive time, the writer and what it writes of."""


def generate(
    tenants: int,
    customers: int,
    days: int,
    seed: int,
    faults: bool | Faults = False,
    records: int | None = None,
    start: date = date(2026, 1, 5),
) -> Iterator[bytes]:
    """Records of ``days`` days from ``start`` on, at most ``records`` of them.

    ``customers`` are spread over the tenants; a log under 90 days sees a part of them. A settings
    record of each tenant comes first, a heartbeat every six hours and at the end. A late or
    repeated record keeps its own times and body and appears later in the log.
    """
    if tenants < 1 or customers < 0 or days < 1:
        raise ValueError("tenants and days must be at least 1, customers at least 0")
    if isinstance(faults, bool):
        faults = Faults() if faults else NO_FAULTS
    return islice(_all(tenants, customers, days, seed, faults, start), records)


def _all(
    tenants: int, customers: int, days: int, seed: int, faults: Faults, start: date
) -> Iterator[bytes]:
    made = businesses(tenants, seed)
    first = (start - date(1970, 1, 1)).days
    for business in made:
        yield settings_record(business, first * DAY + business.index)
    log = _Log((first * DAY) + tenants, first + days, faults, Random(f"{seed}:faults"))
    lives = [
        Life(
            business, count, first - BURN_IN_DAYS, days + BURN_IN_DAYS,
            Random(f"{seed}:life:{business.index}"), log.put,
        )
        for business, count in zip(made, shares(made, customers, seed), strict=True)
    ]  # fmt: skip
    for day in range(first - BURN_IN_DAYS, first + days):
        for life in lives:
            life.live(day)
        if day >= first:
            log.beat(day)
            yield from log.written(day)


class _Log:
    """Records waiting for their moment, by the day on which they appear."""

    def __init__(self, begin: int, end_day: int, faults: Faults, rng: Random) -> None:
        self._begin = begin
        self._end_day = end_day
        self._faults = faults
        self._any = faults.any
        self._random = rng.random
        self._rng = rng
        self._number = 0
        self._oversized = 0
        self._days: dict[int, list[Moment]] = {}

    def put(self, at: int, delay: int, write: Writer, what: tuple[Any, ...]) -> None:
        """Plans a record that its provider sends within ``delay`` ms after ``at``."""
        u = self._random()
        received = at + 100 + int(u * delay)
        if self._any and (f := self._random()) < self._any:
            self._go_wrong(f, received, write, what)
        else:
            self._add(received, received + 2 + int(u * 7919) % 40, write, what)

    def beat(self, day: int) -> None:
        """Plans the day's heartbeats; the last one ends the day."""
        for quarter in range(1, 5):
            at = day * DAY + quarter * 6 * HOUR - 1
            self._add(at - 1, at, heartbeat_record, ())

    def written(self, day: int) -> Iterator[bytes]:
        """The day's records in log order."""
        moments = self._days.pop(day, [])
        moments.sort()
        for appended, _, received, write, what in moments:
            yield write(received, appended, *what)

    def _add(self, received: int, appended: int, write: Writer, what: tuple[Any, ...]) -> None:
        day = appended // DAY
        if appended >= self._begin and day < self._end_day:
            self._number += 1
            moment = (appended, self._number, received, write, what)
            try:
                self._days[day].append(moment)
            except KeyError:
                self._days[day] = [moment]

    def _go_wrong(self, f: float, received: int, write: Writer, what: tuple[Any, ...]) -> None:
        """One fault; ``f`` is uniform below the sum of all shares and says which."""
        faults, rng = self._faults, self._rng
        late = 0
        if f < (edge := faults.disordered):
            late = rng.randrange(MINUTE)
        elif f < (edge := edge + faults.late):
            late = rng.randrange(HOUR, DAY)
        elif f < (edge := edge + faults.very_late):
            late = rng.randrange(DAY, 7 * DAY)
        elif f < edge + faults.poison:
            self._poison(received, write, what)
        else:
            again = rng.randrange(SECOND, HOUR if rng.random() < 0.2 else 20 * SECOND)
            self._add(received + again, received + again + 5, write, what)
        received += late
        self._add(received, received + 5, write, what)

    def _poison(self, received: int, write: Writer, what: tuple[Any, ...]) -> None:
        """A spoilt copy, a moment before the good record."""
        rng = self._rng
        spoil = SPOILS[rng.choice(tuple(SPOILS))]
        if rng.random() < 0.02 and received >= self._begin and self._oversized < _MOST_OVERSIZED:
            self._oversized += 1
            spoil = oversized
        chance = rng.getrandbits(32)

        def spoilt(received: int, appended: int, *what: Any) -> bytes:
            line = write(received, appended, *what)
            if b'"body":' not in line:
                line = decoy(line.split(b'"', 8)[7].decode(), received, appended)
            return spoil(line, Random(chance))

        self._add(received, received + 1, spoilt, what)
