"""Read times and phones as the logs of these tests write them, one at a time.

Takes: one text
Units: ms since the epoch; days since 1970-01-01 of a zone's wall clock; E.164 without the plus
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_DAY = date(1970, 1, 1)
_SUBSCRIBERS = 10**10


def instant(text: str) -> int:
    """Ms since the epoch of a time with a zone."""
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(milliseconds=1)


@lru_cache(maxsize=100_000)
def naive_instant(text: str, zone: str) -> int:
    """Ms since the epoch of a wall clock; one told twice is the first of both."""
    return instant(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).isoformat())


@lru_cache(maxsize=100_000)
def day_of(at: int, zone: str) -> int:
    """The day on the zone's wall clock."""
    moment = (_EPOCH + timedelta(milliseconds=at)).astimezone(ZoneInfo(zone))
    return (moment.date() - _FIRST_DAY).days


def midnight_of(day: int, zone: str) -> int:
    """The first instant of a day, also where clocks skip its midnight or tell it twice."""
    noon = datetime.combine(_FIRST_DAY + timedelta(days=day), datetime.min.time())
    guess = instant(noon.replace(tzinfo=ZoneInfo(zone)).isoformat())
    at = guess - 3 * 3_600_000
    while day_of(at, zone) < day:
        at += 60_000
    return at


def day_text(day: int) -> str:
    """``2026-03-29`` of a day."""
    return (_FIRST_DAY + timedelta(days=day)).isoformat()


def phone_number(text: str | int | None) -> int | None:
    """E.164 without the plus, of the writings that these tests use; a home ``8 …`` stays so."""
    written = str(text or "")
    if not written or any(letter.isalpha() for letter in written):
        return None
    digits = "".join(letter for letter in written if letter.isdigit())
    return int(digits) if 11 <= len(digits) <= 15 else None


def called_from(country: str | None, phone: int) -> int | None:
    """A leading 8 is +7 in Russia and Kazakhstan; where the country is not known it is nobody's."""
    if phone // _SUBSCRIBERS != 8:
        return phone
    return phone - _SUBSCRIBERS if country in {"RU", "KZ"} else None
