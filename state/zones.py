"""IANA time zones as sorted transitions: a column of instants converts in one look-up.

Takes: zone names of the tz database (the pinned ``tzdata`` distribution)
Source: offsets are asked of the rules and their changes found by bisection, 1990 to 2100; a local
        time inside a gap or told twice is read as zoneinfo reads it with ``fold=0``
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from schemas.zones import zone as rules_of
from state.loops import in_force
from state.rows_plain import Rows

I4 = NDArray[np.int32]
I8 = NDArray[np.int64]

MINUTE_MS = 60_000
DAY_MS = 86_400_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FROM = 631_152_000  # 1990-01-01
_TO = 4_102_444_800  # 2100-01-01
_STEP = 7 * 86_400
_BITS = 34  # zone << 34 | seconds: 2**34 s reach beyond the year 2500
_BASE = 1 << 33  # keeps seconds positive back to the year 1698


@lru_cache(maxsize=1024)
def _transitions(name: str) -> tuple[list[int], list[int]]:
    """Seconds at which the zone's offset changes, and the offsets before, between and after."""
    zone = rules_of(name)

    def offset(second: int) -> int:
        shift = (_EPOCH + timedelta(seconds=second)).astimezone(zone).utcoffset()
        return 0 if shift is None else int(shift.total_seconds())

    instants: list[int] = []
    offsets = [offset(_FROM)]
    for end in range(_FROM + _STEP, _TO, _STEP):
        # A week may hold more than one change (a short summer's Ramadan in Morocco).
        while offsets[-1] != offset(end):
            low, high = instants[-1] if instants else _FROM, end
            low = max(low, end - _STEP)
            while high - low > 1:
                middle = (low + high) // 2
                if offset(middle) == offsets[-1]:
                    low = middle
                else:
                    high = middle
            instants.append(high)
            offsets.append(offset(high))
    return instants, offsets


class Zones:
    """Numbers zones by first use and converts columns between instant and wall clock.

    Instants are ms since the epoch, UTC; local times are the wall clock written as if it were UTC.
    """

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}
        self._utc = np.zeros(0, np.int64)
        self._local = np.zeros(0, np.int64)
        self._offset_ms = np.zeros(0, np.int64)

    def code(self, name: str) -> int:
        """The zone's number; raises ``KeyError`` for an unknown name."""
        code = self._codes.get(name)
        if code is None:
            instants, offsets = _transitions(name)
            code = self._codes[name] = len(self._codes)
            base = (code << _BITS) + _BASE
            utc = np.array([-_BASE, *instants], np.int64) + base
            known = np.array(offsets, np.int64)
            widest = np.maximum(known[1:], known[:-1])
            local = np.concatenate([[-_BASE], np.array(instants, np.int64) + widest]) + base
            self._utc = np.concatenate([self._utc, utc])
            self._local = np.concatenate([self._local, local])
            self._offset_ms = np.concatenate([self._offset_ms, known * 1000])
        return code

    def names(self) -> list[str]:
        """The zones' names, by their numbers."""
        return list(self._codes)

    def to_local(self, zones: Rows, instants: I8) -> I8:
        """The wall clock of each instant in each zone."""
        return instants + self._offsets(self._utc, zones, instants)

    def to_instant(self, zones: Rows, locals_: I8) -> I8:
        """The instant of each wall clock in each zone."""
        return locals_ - self._offsets(self._local, zones, locals_)

    def day(self, zones: Rows, instants: I8) -> I4:
        """Local calendar days since 1970-01-01."""
        return (self.to_local(zones, instants) // DAY_MS).astype(np.int32)

    def midnight(self, zones: Rows, days: I4) -> I8:
        """The instant at which each local day begins."""
        return self.to_instant(zones, days.astype(np.int64) * DAY_MS)

    def _offsets(self, table: I8, zones: Rows, times: I8) -> I8:
        return in_force(table, self._offset_ms, zones, times, _BITS, _BASE)
