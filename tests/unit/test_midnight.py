"""Time alone changes a digit exactly at the tenant's midnight, on the right day, once."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from schemas.keys import customer_id
from tests.engine import ID_KEY, Row, Streams, run
from tests.logs import (
    DAY,
    HOUR,
    MINUTE,
    Record,
    heartbeat,
    heartbeats,
    lines_of,
    local,
    ms,
    record,
    settings,
    visit,
)

TENANT = "t1"
OFFSET = 5 * MINUTE  # of the customer, so that a midnight is not one stroke
SCORING = {
    "window_days": 30,
    "recency_days": [2, 5],
    "frequency": [3, 2],
    "monetary": [500_000, 100_000],
}

MIDNIGHTS = [
    ("Asia/Almaty", "2026-05-10"),
    ("Asia/Almaty", "2026-12-31"),
    ("Europe/Moscow", "2026-05-10"),
    ("Europe/Moscow", "2026-03-29"),
    ("Europe/Berlin", "2026-03-29"),  # 23 hours
    ("Europe/Berlin", "2026-03-30"),
    ("Europe/Berlin", "2026-10-25"),  # 25 hours
    ("Europe/Berlin", "2026-10-26"),
    ("America/New_York", "2026-03-08"),
    ("America/New_York", "2026-03-09"),
    ("America/New_York", "2026-11-01"),
    ("America/New_York", "2026-11-02"),
    ("Africa/Cairo", "2026-04-24"),  # this day begins at 01:00
    ("Asia/Kathmandu", "2026-05-10"),  # +05:45
]
CLOCKS = ["00:01", "12:00", "23:59"]


def visited(zone: str, starts: int, phone: str = "+77011234567") -> list[Record]:
    """Settings and one attended visit, told an hour after it."""
    attended = {"status": "attended", "phone": phone, "amount_minor": 300_000}
    return [
        settings(TENANT, starts - DAY, timezone=zone, scoring=SCORING),
        visit(TENANT, starts + HOUR, f"v{phone}", version=1, starts_at=starts, **attended),
    ]


def earlier(day: str, days: int) -> str:
    return (date.fromisoformat(day) - timedelta(days=days)).isoformat()


def by_time(streams: Streams, phone: int = 77011234567) -> list[Row]:
    return [row for row in streams.of("segments", TENANT, phone) if row["cause"] == "time"]


def crossings(streams: Streams) -> list[tuple[str, str]]:
    return [(row["from"], row["to"]) for row in by_time(streams)]


@pytest.mark.parametrize("clock", CLOCKS)
@pytest.mark.parametrize(("zone", "day"), MIDNIGHTS)
def test_recency_changes_its_digit_at_local_midnight_once(zone: str, day: str, clock: str) -> None:
    midnight = local(f"{day} 00:00", zone)
    log = visited(zone, local(f"{earlier(day, 3)} {clock}", zone))
    log += heartbeats(midnight - 90 * MINUTE, midnight + 27 * HOUR)
    (change,) = by_time(run(lines_of(log)))
    assert (change["from"], change["to"]) == ("312", "212")
    assert midnight <= ms(change["at"]) <= midnight + OFFSET
    told_by = log[change["position"]]
    passed = ms(told_by["received_at"])  # ``at`` is a whole minute, the stroke is within it
    assert passed - MINUTE <= ms(change["at"]) <= passed


@pytest.mark.parametrize(("zone", "day"), MIDNIGHTS)
def test_nothing_changes_before_midnight(zone: str, day: str) -> None:
    midnight = local(f"{day} 00:00", zone)
    log = visited(zone, local(f"{earlier(day, 3)} 12:00", zone))
    streams = run(lines_of([*log, heartbeat(midnight - 1)]))
    assert by_time(streams) == []
    assert streams.profile(TENANT, 77011234567)["recency_days"] == 2


@pytest.mark.parametrize(("zone", "day"), MIDNIGHTS)
def test_one_leap_over_many_midnights_tells_each_crossing_on_its_day(zone: str, day: str) -> None:
    log = visited(zone, local(f"{earlier(day, 3)} 12:00", zone))
    streams = run(lines_of([*log, heartbeat(local(f"{earlier(day, -40)} 12:00", zone))]))
    assert crossings(streams) == [("312", "212"), ("212", "112"), ("112", "111")]
    for change, days in zip(by_time(streams), (3, 6, 30), strict=True):
        midnight = local(f"{earlier(day, 3 - days)} 00:00", zone)
        assert midnight <= ms(change["at"]) <= midnight + OFFSET
        assert change["position"] == 2


def test_a_leap_and_a_heartbeat_a_minute_tell_the_same() -> None:
    zone, day = "Europe/Berlin", "2026-03-29"
    log = visited(zone, local(f"{earlier(day, 3)} 12:00", zone))
    end = local(f"{earlier(day, -4)} 12:00", zone)
    walked = run(lines_of([*log, *heartbeats(ms(log[-1]["received_at"]) + MINUTE, end)]))
    leapt = run(lines_of([*log, heartbeat(end)]))
    told = [{k: v for k, v in row.items() if k != "position"} for row in walked.rows("segments")]
    assert told == [
        {k: v for k, v in row.items() if k != "position"} for row in leapt.rows("segments")
    ]


def test_midnight_is_spread_over_five_minutes() -> None:
    zone, day = "Asia/Almaty", "2026-05-10"
    midnight = local(f"{day} 00:00", zone)
    log = [visited(zone, midnight - 2 * DAY - 12 * HOUR, "+77010000000")[0]]
    phones = [f"+770100000{number:02d}" for number in range(60)]
    log += [visited(zone, midnight - 2 * DAY - 12 * HOUR, phone)[1] for phone in phones]
    streams = run(lines_of([*log, heartbeat(midnight + HOUR)]))
    strokes = [ms(row["at"]) for row in streams.rows("segments") if row["cause"] == "time"]
    assert len(strokes) == 60
    assert len(set(strokes)) >= 3
    assert all(midnight <= at <= midnight + OFFSET for at in strokes)


def test_a_branch_in_another_zone_has_its_days_in_the_tenants_zone() -> None:
    """A visit at 23:00 in Moscow is 01:00 of the next day in Almaty."""
    starts = local("2026-05-10 23:00", "Europe/Moscow")
    midnight = local("2026-05-14 00:00", "Asia/Almaty")
    rules = {"timezone": "Asia/Almaty", "branches": {"501": {"timezone": "Europe/Moscow"}}}
    log = [
        settings(TENANT, starts - DAY, scoring=SCORING, **rules),
        record(TENANT, starts + HOUR, 1, date="2026-05-10 23:00:00", attendance=1, client=1,
               phone="+77011234567", version=1, costs=((3000, 1),)),
        *heartbeats(midnight - HOUR, midnight + HOUR),
    ]  # fmt: skip
    (change,) = by_time(run(lines_of(log)))
    assert midnight <= ms(change["at"]) <= midnight + OFFSET


def test_a_visit_in_the_future_counts_as_today() -> None:
    starts = local("2026-05-10 12:00", "Asia/Almaty")
    log = visited("Asia/Almaty", starts)
    log[1]["received_at"] = log[0]["received_at"]
    profile = run(lines_of(log)).profile(TENANT, 77011234567)
    assert (profile["recency_days"], profile["frequency"]) == (0, 1)
    midnight = local("2026-05-13 00:00", "Asia/Almaty")
    assert by_time(run(lines_of([*log, heartbeat(midnight - 1)]))) == []
    (change,) = by_time(run(lines_of([*log, heartbeat(midnight + HOUR)])))
    assert midnight <= ms(change["at"]) <= midnight + OFFSET


def test_frequency_and_money_leave_the_window_at_midnight_as_well() -> None:
    zone, phone = "Asia/Almaty", "+77011234567"
    first, second = local("2026-05-01 12:00", zone), local("2026-05-29 12:00", zone)
    told = {"status": "attended", "phone": phone, "version": 1}
    log = [
        settings(TENANT, first, timezone=zone, scoring=SCORING),
        visit(TENANT, first, "v1", starts_at=first, amount_minor=450_000, **told),
        visit(TENANT, second, "v2", starts_at=second, amount_minor=50_000, **told),
        heartbeat(local("2026-05-31 12:00", zone)),
    ]
    midnight = local("2026-05-31 00:00", zone)
    change = by_time(run(lines_of(log)))[-1]
    assert (change["from"], change["to"]) == ("323", "311")
    assert midnight <= ms(change["at"]) <= midnight + OFFSET
    assert customer_id(ID_KEY, TENANT, 77011234567) == change["customer_id"]
