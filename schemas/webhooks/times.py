"""Read the written times of webhooks into milliseconds, many at once.

Takes: texts in any ISO 8601 writing (RFC 3339 among them); "" stands for a time that is not given
Units: int64 milliseconds since the Unix epoch; ``NONE`` where a text is unreadable or lies
       outside the years 1990 to 2099

A text is read by position where all of a batch are written alike, by ``datetime`` otherwise;
both readings of a text are the same, so that a time never depends on its neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.batch import I8, NONE
from schemas.durations import DAY_MS, MINUTE_MS

FIRST_YEAR, LAST_YEAR = 1990, 2099

_MS = timedelta(milliseconds=1)
_EPOCH = datetime(1970, 1, 1)
_EPOCH_DAY = _EPOCH.toordinal()
FIRST_MS = (datetime(FIRST_YEAR, 1, 1) - _EPOCH) // _MS
END_MS = (datetime(LAST_YEAR + 1, 1, 1) - _EPOCH) // _MS

_FEW = 150
"""Below this many texts the fixed cost of the columns is more than they save."""

_MONTHS = np.arange(f"{FIRST_YEAR}-01", f"{LAST_YEAR + 1}-02", dtype="datetime64[M]")
_MONTH_END = _MONTHS.astype("datetime64[D]").astype(np.int64)
_MONTH_DAYS = np.diff(_MONTH_END).astype(np.uint8)
_MONTH_START = _MONTH_END - 1  # days are counted from 1
_MONTHS_KNOWN = (LAST_YEAR - FIRST_YEAR + 1) * 12

Bytes = NDArray[np.uint8]


class Times(NamedTuple):
    """Wall clocks as written and what they are ahead of UTC; ``offset`` is NONE without a zone."""

    wall: I8
    offset: I8


def instants(texts: Sequence[str], *, zoneless_is_utc: bool = False) -> I8:
    """Instants of texts with a zone; NONE for those without, unless they are meant as UTC."""
    return instants_of(read_times(texts), zoneless_is_utc=zoneless_is_utc)


def instants_of(times: Times, *, zoneless_is_utc: bool = False) -> I8:
    """The same of times that have been read."""
    wall, offset = times
    zoneless = offset == NONE
    if zoneless.any():
        unknown = wall == NONE if zoneless_is_utc else zoneless
        return within_years(np.where(unknown, NONE, wall - np.where(zoneless, 0, offset)))
    return within_years(wall - offset)


def walls(texts: Sequence[str]) -> I8:
    """Local wall clocks written as if they were UTC; a zone that is written beside is left out."""
    return within_years(read_times(texts).wall)


def starts(texts: Sequence[str]) -> tuple[I8, I8]:
    """Instants of texts with a zone, and local wall clocks of those without; NONE elsewhere."""
    return starts_of(read_times(texts))


def starts_of(times: Times) -> tuple[I8, I8]:
    """The same of times that have been read."""
    wall, offset = times
    zoneless = offset == NONE
    known = np.where(zoneless, wall, wall - np.where(zoneless, 0, offset))
    known = within_years(np.where(wall == NONE, NONE, known))
    return np.where(zoneless, NONE, known), np.where(zoneless, known, NONE)


def within_years(ms: I8) -> I8:
    """The same instants, NONE where one is outside 1990 to 2099."""
    outside = (ms < FIRST_MS) | (ms >= END_MS)
    if outside.any():
        ms = np.where(outside, NONE, ms)
    return ms


def from_seconds(seconds: Sequence[int] | I8) -> I8:
    """Instants of Unix seconds; NONE where one is outside 1990 to 2099."""
    at = np.asarray(seconds, np.int64)
    known = (at >= FIRST_MS // 1000) & (at < END_MS // 1000)
    return np.where(known, at, 0) * 1000 + np.where(known, 0, NONE)


def yyyymmdd(text: object) -> int:
    """A date written ``YYYY-MM-DD`` (a time may follow) as a number; 0 where it is none."""
    return _date_number(text[:10]) if type(text) is str else 0


@lru_cache(maxsize=65_536)
def _date_number(text: str) -> int:
    try:
        day = datetime.fromisoformat(text)
    except ValueError:
        return 0
    return day.year * 10_000 + day.month * 100 + day.day


def read_times(texts: Sequence[str]) -> Times:
    """Wall clocks and zones; both NONE where a text is no time at all."""
    count = len(texts)
    width = len(texts[0]) if count else 0
    if count < _FEW or width not in _WIDTHS:
        wall = np.empty(count, np.int64)
        offset = np.empty(count, np.int64)
        for row, text in enumerate(texts):
            wall[row], offset[row] = read_time(text)
        return Times(wall, offset)
    blank = "0" * width
    alike = [text if len(text) == width else blank for text in texts]
    # "replace" keeps one byte a character, so that a stray letter cannot shift its neighbours
    letters = np.frombuffer("".join(alike).encode("ascii", "replace"), np.uint8)
    wall, offset, good = _by_position(letters.reshape(count, width).T.copy())
    for row in np.flatnonzero(~good).tolist():
        wall[row], offset[row] = read_time(texts[row])
    return Times(wall, offset)


def read_time(text: str) -> tuple[int, int]:
    """One text's wall clock and offset in milliseconds; NONE as in ``Times``."""
    if not text:
        return NONE, NONE
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        usual = _usual(text)
        return (NONE, NONE) if usual == text else read_time(usual)
    seconds = (moment.hour * 60 + moment.minute) * 60 + moment.second
    days = moment.toordinal() - _EPOCH_DAY
    wall = days * DAY_MS + seconds * 1000 + moment.microsecond // 1000
    zone = moment.tzinfo
    if zone is None:
        return wall, NONE
    return wall, 0 if zone is UTC else zone.utcoffset(None) // _MS  # type: ignore[operator]


def _usual(text: str) -> str:
    """RFC 3339 as ``fromisoformat`` knows it: a capital Z, a leap second as the one before it."""
    if text[16:19] == ":60":
        text = f"{text[:16]}:59{text[19:]}"
    return f"{text[:-1]}Z" if text.endswith("z") else text


_WIDTHS = frozenset({19, 20, 24, 25})
"""``2020-11-21 16:00:00``, with ``Z``, with ``.123Z`` or ``+0300``, with ``+03:00``."""


def _by_position(columns: Bytes) -> tuple[I8, I8, NDArray[np.bool_]]:
    """Reads texts of one width, a row of ``columns`` for each place in them."""
    width = len(columns)
    digits = columns - np.uint8(ord("0"))
    month_of_year, day = _pair(digits, 5), _pair(digits, 8)
    hour, minute, second = _pair(digits, 11), _pair(digits, 14), _pair(digits, 17)
    month = _pair(digits, 0) * np.int32(100) + _pair(digits, 2) - FIRST_YEAR
    month = month * 12 + month_of_year - 1
    good = digits[_DIGITS].max(axis=0) <= 9
    good &= (columns[4] == ord("-")) & (columns[7] == ord("-"))
    good &= (columns[10] == ord("T")) | (columns[10] == ord(" "))
    good &= (columns[13] == ord(":")) & (columns[16] == ord(":"))
    good &= (month_of_year >= 1) & (month_of_year <= 12) & (month >= 0) & (month < _MONTHS_KNOWN)
    good &= (hour < 24) & (minute < 60) & (second < 60) & (day >= 1)
    month[~good] = 0
    good &= day <= _MONTH_DAYS[month]
    seconds = (hour * np.int32(60) + minute) * 60 + second
    wall = (_MONTH_START[month] + day) * DAY_MS + seconds * np.int64(1000)
    offset = np.full(columns.shape[1], NONE if width == 19 else 0)
    if width == 20:
        good &= columns[19] == ord("Z")
    elif width > 20:
        fraction = columns[19] == ord(".")
        if fraction.any():
            wall += np.where(fraction, digits[20] * np.int32(100) + _pair(digits, 21), 0)
            ended = (digits[20:23].max(axis=0) <= 9) & (columns[-1] == ord("Z")) & (width == 24)
            good &= ended | ~fraction
        if not fraction.all():
            zone, known = _zone(columns, digits)
            offset = np.where(fraction, 0, zone)
            good &= known | fraction
    return wall, offset, good


_DIGITS = np.array([0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18])


def _zone(columns: Bytes, digits: Bytes) -> tuple[I8, NDArray[np.bool_]]:
    """Offsets written ``+hhmm`` or ``+hh:mm`` from place 19 on, and which of them are readable."""
    sign, at = columns[19], len(columns) - 2
    known = (sign == ord("+")) | (sign == ord("-"))
    if at == 23:
        known &= columns[22] == ord(":")
    hours, minutes = _pair(digits, 20), _pair(digits, at)
    known &= (digits[[20, 21, at, at + 1]].max(axis=0) <= 9) & (hours < 24) & (minutes < 60)
    zone = (hours * np.int64(60) + minutes) * MINUTE_MS
    return np.where(sign == ord("-"), -zone, zone), known


def _pair(digits: Bytes, at: int) -> Bytes:
    """Two digits as a number; of other letters it is any, they are told by ``good``."""
    number: Bytes = digits[at] * np.uint8(10) + digits[at + 1]
    return number
