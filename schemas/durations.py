"""Durations, times of day and instants, as people write them in settings and commands.

Units: durations in milliseconds, times of day in minutes after local midnight
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

DURATION_PATTERN = r"^(?=\d)(\d{1,5}d)?(\d{1,5}h)?(\d{1,5}m)?$"
TIME_OF_DAY_PATTERN = r"^([01]\d|2[0-3]):([0-5]\d)$"

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

LONGEST_DURATION_MS = 3_660 * DAY_MS

_DURATION = re.compile(DURATION_PATTERN, re.ASCII)
_TIME_OF_DAY = re.compile(TIME_OF_DAY_PATTERN, re.ASCII)
_UNITS = (DAY_MS, HOUR_MS, MINUTE_MS)


def parse_duration(text: str) -> int | None:
    """Milliseconds of ``90m``, ``24h``, ``3d`` or ``1d12h``; ``None`` if it is none of these.

    Over ten years is none either. A day here is 24 hours of elapsed time, not a calendar day.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        return None
    total = sum(
        int(part[:-1]) * unit
        for part, unit in zip(match.groups(), _UNITS, strict=True)
        if part is not None
    )
    return total if total <= LONGEST_DURATION_MS else None


def parse_time_of_day(text: str) -> int | None:
    """Minutes after midnight of ``HH:MM``, 00:00 to 23:59; ``None`` if it is none."""
    match = _TIME_OF_DAY.fullmatch(text)
    return None if match is None else 60 * int(match[1]) + int(match[2])


def parse_instant(text: str) -> datetime | None:
    """An instant in UTC of RFC 3339 with its zone; ``None`` if it is none, or a wall clock."""
    try:
        at = datetime.fromisoformat(text)
        return None if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):  # in UTC it may be before the year 1
        return None
