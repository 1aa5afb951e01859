"""The planted effect: by how many points of a hundred a trigger's contacts raise returns.

Takes: percentage points; contacts as they are heard, and whether their customers come anyway
Out:   whether a contact brings its customer back

A trigger contacts a customer once or several times in a month, and the customer has returned or
not. Of a hundred such customers as many return more than without as there are points: each draws
once, at the month's first contact. Who comes anyway cannot return more: what such a customer draws
goes to the next who would not come.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date
from random import Random

RETURN_DAYS = 14
EPOCH = date(1970, 1, 1).toordinal()


@dataclass(slots=True)
class Pull:
    """That of one business."""

    points: float
    _owed: Counter[str] = field(default_factory=Counter)
    """By trigger, what was drawn and has brought nobody back yet."""
    _drawn: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    """By trigger and customer, the last month that has drawn."""

    def lures(self, trigger: str, customer: str, day: int, anyway: bool, rng: Random) -> bool:
        """Whether this contact on a local day brings back a customer who would not come."""
        month, name = month_of(day), (trigger, customer)
        if self._drawn.get(name) == month:
            return False
        self._drawn[name] = month
        self._owed[trigger] += rng.random() < self.points / 100
        if anyway or self._owed[trigger] <= 0:
            return False
        self._owed[trigger] -= 1
        return True

    def passes(self, before: str, trigger: str) -> None:
        """Whom one trigger has lured another one contacts before the visit, and is credited."""
        self._owed[before] += 1
        self._owed[trigger] -= 1


def month_of(day: int) -> tuple[int, int]:
    """Year and month of a day since the epoch."""
    at = date.fromordinal(EPOCH + day)
    return at.year, at.month


def last_credit(day: int, cooldown_days: int) -> int:
    """The last day on which a visit can credit any contact of this day's month.

    ``day`` is that of a contact; the next one may follow ``cooldown_days`` later.
    """
    year, month = month_of(day)
    ends = date(year + month // 12, month % 12 + 1, 1).toordinal() - EPOCH - 1
    return (ends if day + cooldown_days <= ends else day) + RETURN_DAYS
