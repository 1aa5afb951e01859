"""Generate a log of plausible life: seeded tenants, customers and months of their records.

Takes:    numbers of tenants, customers and days, a seed, faults, an effect; commands day by day
Gives:    records in log order (by append time), each one JSON object without a line end
Replays:  the same arguments give the same bytes in every process, on every machine
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from heapq import merge
from itertools import islice
from random import Random
from typing import Any

from sources.bodies import heartbeat_record, settings_record
from sources.business import DAY, HOUR, MINUTE, SECOND, Business, businesses, shares
from sources.life import Life
from sources.past import history_records, imports
from sources.poison import SPOILS, decoy, oversized
from sources.pull import Pull
from sources.story import Writer

EPOCH = date(1970, 1, 1)
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
    largest_tenant: float = 0.3
    """The share of all traffic that one tenant has; 0: as it comes."""

    @property
    def any(self) -> float:
        """The share of records that something happens to."""
        return self.duplicate + self.disordered + self.late + self.very_late + self.poison


NO_FAULTS = Faults(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)

Moment = tuple[int, int, int, Writer, tuple[Any, ...]]
"""Append time, a number that breaks ties, receive time, the writer and what it writes of."""
Line = tuple[int, int, bytes]
"""Append time, the number that breaks ties, the record."""


class World:
    """Everything that happens, a day at a time.

    For each of ``days`` in turn: ``live`` gives what is appended of people's own accord, ``hear``
    takes the commands that this caused, ``settle`` gives the answers to them, and ``written`` both
    in the order of the log. An answer may also belong to a later day. ``made`` takes the
    place of the seed's own businesses; as many as ``tenants``, each with an index of its own.
    """

    def __init__(
        self,
        tenants: int,
        customers: int,
        days: int,
        seed: int,
        faults: bool | Faults = False,
        start: date = date(2026, 1, 5),
        effect: float = 0.0,
        made: Sequence[Business] | None = None,
    ) -> None:
        if tenants < 1 or customers < 0 or days < 1:
            raise ValueError("tenants and days must be at least 1, customers at least 0")
        if isinstance(faults, bool):
            faults = Faults() if faults else NO_FAULTS
        self._made = businesses(tenants, seed) if made is None else list(made)
        self._seed = seed
        first = (start - EPOCH).days
        self.days = range(first, first + days)
        """Days since the epoch."""
        self._log = _Log(first * DAY + tenants, first + days, faults, seed)
        largest = faults.largest_tenant or None
        self._lives = {
            business.tenant: Life(
                business, count, first - BURN_IN_DAYS, days + BURN_IN_DAYS,
                Random(f"{seed}:life:{business.index}"), self._log.put,
                Pull(effect),
            )
            for business, count in zip(
                self._made, shares(self._made, customers, seed, largest), strict=True
            )
        }  # fmt: skip
        self._past = self._history()
        for day in range(first - BURN_IN_DAYS, first):
            self._begin(day)

    def opening(self) -> list[bytes]:
        """What the log begins with: every tenant's settings, the past of those that import it."""
        first = self.days[0] * DAY
        settings = [settings_record(each, first + each.index) for each in self._made]
        return settings + self._past

    def live(self, day: int) -> list[bytes]:
        """The records of a day but the answers to its own commands, in log order."""
        self._begin(day)
        self._log.beat(day)
        return self._log.planned(day)

    def hear(self, commands: Iterable[Mapping[str, Any]]) -> None:
        """Carries out commands; nobody acts before the next day."""
        for command in commands:
            made = datetime.fromisoformat(command["created_at"])
            self._lives[command["tenant"]].hear(command, round(made.timestamp() * SECOND))

    def settle(self, day: int) -> list[bytes]:
        """The answers to a day's commands that are appended on the same day."""
        return self._log.answers(day)

    def written(self) -> list[bytes]:
        """Both parts of the day that was last settled, in log order."""
        return self._log.merged()

    def _begin(self, day: int) -> None:
        for life in self._lives.values():
            life.live(day)

    def _history(self) -> list[bytes]:
        first = self.days[0]
        at = first * DAY + len(self._made)
        return [
            record
            for each in self._made
            if imports(each)
            for record in history_records(
                each, self._lives[each.tenant].people, first, at,
                Random(f"{self._seed}:past:{each.index}"),
            )
        ]  # fmt: skip


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
    record of each tenant comes first, a heartbeat every hour and at the end. A late or repeated
    record keeps its own times and body and appears later in the log. Nobody carries out the
    commands that this log causes: that takes a fold, and flows/living.py.
    """
    return islice(_all(World(tenants, customers, days, seed, faults, start)), records)


def _all(world: World) -> Iterator[bytes]:
    yield from world.opening()
    for day in world.days:
        yield from world.live(day)


class _Log:
    """Records waiting for their moment, by the day on which they appear."""

    def __init__(self, begin: int, end_day: int, faults: Faults, seed: int) -> None:
        self._begin = begin
        self._end_day = end_day
        self._faults = faults
        self._any = faults.any
        self._delay = Random(f"{seed}:delays").random
        self._rng = Random(f"{seed}:faults")
        self._number = 0
        self._oversized = 0
        self._days: dict[int, list[Moment]] = {}
        self._written: list[list[Line]] = []

    def put(self, at: int, delay: int, write: Writer, what: tuple[Any, ...]) -> None:
        """Plans a record that its provider sends within ``delay`` ms after ``at``."""
        u = self._delay()
        received = at + 100 + int(u * delay)
        if self._any and (f := self._rng.random()) < self._any:
            self._go_wrong(f, received, write, what)
        else:
            self._add(received, received + 2 + int(u * 7919) % 40, write, what)

    def beat(self, day: int) -> None:
        """Plans the day's heartbeats; the last one ends the day."""
        for hour in range(1, 25):
            at = day * DAY + hour * HOUR - 1
            self._add(at - 1, at, heartbeat_record, ())

    def planned(self, day: int) -> list[bytes]:
        """The day's records so far, in log order."""
        self._written = [self._lines(day)]
        return [line for *_, line in self._written[0]]

    def answers(self, day: int) -> list[bytes]:
        """The day's records since then, in log order."""
        self._written.append(self._lines(day))
        return [line for *_, line in self._written[-1]]

    def merged(self) -> list[bytes]:
        """Both, in log order."""
        return [line for *_, line in merge(*self._written)]

    def _lines(self, day: int) -> list[Line]:
        moments = self._days.pop(day, [])
        moments.sort()
        return [
            (appended, number, write(received, appended, *what))
            for appended, number, received, write, what in moments
        ]

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
