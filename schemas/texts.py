"""Write instants, dates and segments as messages tell them.

In:    integers of the lane's columns
Out:   text
State: none; what comes again is cached
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import lru_cache

_EPOCH_DAY = date(1970, 1, 1).toordinal()


@lru_cache(maxsize=200_000)
def instant_text(ms: int) -> str:
    """RFC 3339, UTC, with milliseconds only where there are any."""
    second, rest = divmod(ms, 1000)
    whole = _second_text(second)
    return f"{whole}.{rest:03d}Z" if rest else f"{whole}Z"


@lru_cache(maxsize=65_536)
def _second_text(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat()[:19]


def minute_text(ms: int) -> str:
    """``2026-11-20T07:00Z``."""
    return f"{_second_text(ms // 1000)[:16]}Z"


def wall_text(ms: int) -> str:
    """A local time without its zone, ``2026-11-20T12:00:00``."""
    return instant_text(ms).removesuffix("Z")


@lru_cache(maxsize=65_536)
def day_text(day: int) -> str:
    """``YYYY-MM-DD`` of a day since 1970-01-01."""
    return date.fromordinal(_EPOCH_DAY + day).isoformat()


@lru_cache(maxsize=64)
def segment_text(code: int) -> str:
    """``333`` to ``111``, ``000`` for a lead."""
    return f"{code:03d}"


@lru_cache(maxsize=65_536)
def birthday_text(birthday: int) -> str:
    """``YYYY-MM-DD`` of a number yyyymmdd."""
    return f"{birthday // 10_000:04d}-{birthday // 100 % 100:02d}-{birthday % 100:02d}"
