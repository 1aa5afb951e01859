"""Which trigger of which customer is due when, for which occasion: one customer at a time.

Takes: a diary, a customer, the tenant's day and instant as of which to look
Out:   ``Due``, one for each occasion that is planned, whether or not it was decided before
Source: domain.md's triggers; minutes are floors, local times are read as zoneinfo reads them
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from fractions import Fraction
from itertools import groupby, pairwise
from math import ceil
from typing import NamedTuple
from zoneinfo import ZoneInfo

from schemas.settings import Trigger
from tests.oracle_bodies import Key, MessageFact
from tests.oracle_diary import LOST, OPEN, Booking, Diary, minute_text
from tests.oracle_keys import message_key
from tests.oracle_times import day_of, naive_instant
from tests.oracle_words import plain

MINUTE = 60_000
EPOCH = date(1970, 1, 1)
KINDS = frozenset(
    (
        *("birthday", "reminder", "after_visit", "rebook"),
        *("winback", "no_show", "segment_entered", "reply"),
    )
)
ENOUGH_DAYS = 3

Mark = tuple[str | int | Key, ...]
"""What is decided once: the trigger's id first."""


class Due(NamedTuple):
    """One occasion of one trigger for one customer."""

    trigger: Trigger
    mark: Mark
    due: int
    expires: int
    occasion: str
    place: str | None = None  # of the visit
    visits: tuple[str, ...] = ()  # as the command lists them
    held: tuple[Key, int] | None = None  # of a reminder: the visit and its start


class View(NamedTuple):
    """A customer as of an instant; ``today`` is the day that the customer is in."""

    diary: Diary
    who: str
    today: int
    now: int


def planned(view: View) -> list[Due]:
    """Everything that facts and the clock alone can bring about."""
    return [
        due
        for trigger in view.diary.rules.triggers
        if trigger.kind in _KINDS
        for due in _KINDS[trigger.kind](view, trigger)
    ]


def wall(day: int, minute: int, zone: str) -> int:
    """The instant of a minute of a local day."""
    whole, minute = divmod(minute, 24 * 60)
    text = (EPOCH + timedelta(days=day + whole)).isoformat()
    return naive_instant(f"{text}T{minute // 60:02d}:{minute % 60:02d}", zone)


def minute_of_day(at: int, zone: str) -> int:
    """Minutes of the wall clock, as it shows them."""
    moment = datetime.fromtimestamp(at // 1000, ZoneInfo(zone))
    return 60 * moment.hour + moment.minute


def _text(day: int) -> str:
    return (EPOCH + timedelta(days=day)).isoformat()


def is_inside(minute: int, window: tuple[int, int]) -> bool:
    """Start inclusive, end exclusive, over midnight where the start is after the end."""
    start, end = window
    return start <= minute < end if start <= end else minute >= start or minute < end


def _ttl(trigger: Trigger) -> int:
    assert trigger.ttl_ms is not None
    return trigger.ttl_ms


def birthday_in(year: int, told: str) -> date:
    """29 February counts on 28 February in other years."""
    born = date.fromisoformat(told)
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return date(
        year, born.month, 28 if (born.month, born.day) == (2, 29) and not leap else born.day
    )


def _birthdays(view: View, trigger: Trigger) -> Iterator[Due]:
    diary, who = view.diary, view.who
    told = diary.speaker(who).birthday
    if not told:
        return
    here = (EPOCH + timedelta(days=day_of(view.now, diary.rules.timezone))).year
    for year in (here - 1, here, here + 1):
        day = (birthday_in(year, told) - EPOCH).days - trigger.days_before
        due = wall(day, trigger.at_minute, diary.rules.timezone)
        mark = (trigger.id, "birthday", who, year)
        yield Due(trigger, mark, due, due + _ttl(trigger), f"birthday:{who}:{year}")


def held_starts(diary: Diary, who: str, now: int) -> dict[Key, int]:
    """The visits that hold the occasion of their day, with their starts."""
    return {
        group[0].key: group[0].start
        for group in _days(b for b in diary.bookings(who) if b.status in OPEN or b.came)
        if group[0].status in OPEN and group[0].start > now
    }


def _days(bookings: Iterator[Booking]) -> list[list[Booking]]:
    """Visits by place and its local day, each in order of their start."""

    def day(booking: Booking) -> tuple[str, int]:
        return booking.place, booking.day

    return [list(group) for _, group in groupby(sorted(bookings, key=lambda b: (day(b), b)), day)]


def _reminders(view: View, trigger: Trigger) -> Iterator[Due]:
    diary, who = view.diary, view.who
    for group in _days(b for b in diary.bookings(who) if b.status in OPEN or b.came):
        first = group[0]
        if first.status not in OPEN or first.start <= view.now:
            continue
        due = (first.start - trigger.before_ms) // MINUTE * MINUTE
        if trigger.category == "marketing":
            due = before_window(due, diary.rules.quiet_hours, diary.rules.timezone)
        else:
            due = before_window(due, diary.rules.quiet_utility, first.zone)
        lasting = first.start if trigger.ttl_ms is None else due + trigger.ttl_ms
        yield Due(
            trigger,
            (trigger.id, "reminder", first.key, first.start),
            due,
            min(first.start, lasting),
            first.occasion,
            first.place,
            tuple(b.key[1] for b in group if b.start >= due),
            (first.key, first.start),
        )


def before_window(due: int, window: tuple[int, int], zone: str) -> int:
    """The last minute before a window begins, of a minute inside it."""
    minute, day = minute_of_day(due, zone), day_of(due, zone)
    if not is_inside(minute, window):
        return due
    start, _ = window
    began = day if minute >= start else day - 1
    return wall(began, start - 1, zone)


def _after_visits(view: View, trigger: Trigger) -> Iterator[Due]:
    diary, who = view.diary, view.who
    for group in _days(b for b in diary.inside(who, view.today) if b.came):
        first, end = group[0], max(b.end for b in group)
        due = (end + trigger.after_ms) // MINUTE * MINUTE
        mark = (trigger.id, "after_visit", who, first.place, first.day)
        ids = tuple(b.key[1] for b in group)
        yield Due(trigger, mark, due, due + _ttl(trigger), first.occasion, first.place, ids)


def _rebooks(view: View, trigger: Trigger) -> Iterator[Due]:
    diary, who = view.diary, view.who
    came = [b for b in diary.inside(who, view.today) if b.came]
    if trigger.service is not None:
        wanted = trigger.service.casefold()
        came = [b for b in came if wanted in {title.casefold() for title in b.services}]
    days = trigger.after_days
    if trigger.interval_factor is not None:
        usual = usual_interval(diary.visit_days(who, view.today))
        days = 0 if usual is None else ceil(Fraction(str(trigger.interval_factor)) * usual)
    if not came or not days:
        return
    last = max(came, key=lambda b: (b.start, -b.rank))
    minute = minute_of_day(last.start, last.zone)
    due = wall(last.day + days, minute, last.zone)
    mark = (trigger.id, "rebook", last.key, last.start)
    yield Due(trigger, mark, due, due + _ttl(trigger), last.occasion, last.place, (last.key[1],))


def usual_interval(days: list[int]) -> int | None:
    """The lower median of the gaps between visit days; of too few days none."""
    gaps = sorted(later - day for day, later in pairwise(days))
    return gaps[(len(gaps) - 1) // 2] if len(days) >= ENOUGH_DAYS else None


def _winbacks(view: View, trigger: Trigger) -> Iterator[Due]:
    diary, who = view.diary, view.who
    last = diary.last_day(who)
    if last is None:
        return
    due = wall(last + trigger.after_days, trigger.at_minute, diary.rules.timezone)
    mark = (trigger.id, "winback", who, last)
    yield Due(trigger, mark, due, due + _ttl(trigger), f"winback:{who}:{_text(last)}")


def _no_shows(view: View, trigger: Trigger) -> Iterator[Due]:
    diary, who = view.diary, view.who
    for each in diary.inside(who, view.today):
        if each.status not in LOST:
            continue
        since = min(diary.lost_at[each.key], each.start)
        due = (since + trigger.after_ms) // MINUTE * MINUTE
        mark = (trigger.id, "no_show", each.key, each.start)
        ids = (each.key[1],)
        yield Due(trigger, mark, due, due + _ttl(trigger), each.occasion, each.place, ids)


_KINDS: dict[str, Callable[[View, Trigger], Iterator[Due]]] = {
    "birthday": _birthdays,
    "reminder": _reminders,
    "after_visit": _after_visits,
    "rebook": _rebooks,
    "winback": _winbacks,
    "no_show": _no_shows,
}


def entries(diary: Diary, who: str, before: str, after: str, at: int) -> list[Due]:
    """What a crossing from one segment into another sets off at once."""
    minute = at // MINUTE * MINUTE
    found = []
    for trigger in diary.rules.triggers:
        goes = not trigger.segments or int(after) in trigger.segments
        came = not trigger.from_segments or int(before) in trigger.from_segments
        if trigger.kind == "segment_entered" and goes and came:
            mark = (trigger.id, "segment", who, after, minute)
            occasion = f"segment:{who}:{after}@{minute_text(minute)}"
            found.append(Due(trigger, mark, minute, minute + _ttl(trigger), occasion))
    return found


def replies(diary: Diary, who: str, fact: MessageFact, now: int) -> list[Due]:
    """What an incoming message sets off at once."""
    due = min(fact.at, now) // MINUTE * MINUTE
    key = message_key(fact.id)
    return [
        Due(
            trigger,
            (trigger.id, "reply", key),
            due,
            due + _ttl(trigger),
            f"reply:{who}:{key:016x}",
        )
        for trigger in diary.rules.triggers
        if trigger.kind == "reply" and _matches(trigger, fact)
    ]


def _matches(trigger: Trigger, fact: MessageFact) -> bool:
    said = f" {plain(fact.text)} "
    asked = [plain(each) for each in trigger.match]
    return (
        not trigger.match
        or fact.kind in trigger.match
        or any(words and f" {words} " in said for words in asked)
    )
