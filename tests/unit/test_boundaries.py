"""The monetary boundaries of a day, worked out by hand, and who is scored otherwise by them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from operators.boundaries import lower_median, settled, tertiles
from operators.segments import roll_delay_ms
from schemas.batch import NONE
from schemas.settings import parse_settings, thresholds_version
from tests.engine import Row, Streams, run
from tests.logs import (
    DAY,
    HOUR,
    MINUTE,
    Record,
    heartbeat,
    lines_of,
    local,
    ms,
    settings,
    trigger,
    visit,
)

TENANT, ZONE = "t1", "Asia/Almaty"
NOON = local("2026-05-10 12:00", ZONE)
MIDNIGHT = local("2026-05-11 00:00", ZONE)
MORNING = heartbeat(MIDNIGHT + 6 * MINUTE)
RULES: Row = {
    "timezone": ZONE,
    "scoring": {"window_days": 30, "recency_days": [10, 20], "frequency": [4, 2]},
}


def phone(who: int) -> str:
    return f"+7701{who:07d}"


def came(who: int, amount: int, at: int = NOON, id: str = "", **told: Any) -> Record:
    """An attended visit, told when it is over; sums are minor units."""
    body = {"status": "attended", "phone": phone(who), "amount_minor": amount, "version": 1}
    start = {"starts_at": told.pop("starts_at", at - HOUR)}
    return visit(TENANT, at, id or f"v{who}", **body | start | told)


def crowd(sums: list[int], at: int = NOON) -> list[Record]:
    """One customer for each sum."""
    return [came(who, amount, at) for who, amount in enumerate(sums)]


def fold(*records: Record, **rules: Any) -> Streams:
    return run(lines_of([settings(TENANT, NOON - DAY, **RULES | rules), *records]))


def bounds(*records: Record, **rules: Any) -> tuple[int, int] | None:
    """Lower bounds of M 3 and M 2 in force at the end."""
    return fold(*records, **rules).boundaries()[TENANT]


def segment(streams: Streams, who: int) -> str:
    return str(streams.profile(TENANT, int(phone(who)))["segment"])


def roll_delay(streams: Streams, who: int) -> int:
    """Seconds after midnight at which the customer's day begins."""
    state = streams.states[0]
    (row,) = np.flatnonzero(state.customers.phone == int(phone(who))).astype(np.int32)
    return int(roll_delay_ms(state, np.array([row]))[0]) // 1000


def changes(streams: Streams, who: int) -> list[tuple[str, str, str]]:
    rows = streams.of("segments", TENANT, int(phone(who)))
    return [(row["from"], row["to"], row["cause"]) for row in rows]


@pytest.mark.parametrize(
    ("count", "low", "high"),
    # ceil(0.33 n) and ceil(0.67 n) of the values 1 to n
    [(1, 1, 1), (2, 1, 2), (3, 1, 3), (4, 2, 3), (10, 4, 7), (100, 33, 67), (300, 99, 201)],
)
def test_tertiles_are_nearest_ranks(count: int, low: int, high: int) -> None:
    values = np.random.default_rng(count).permutation(np.arange(1, count + 1))
    assert tertiles(values) == (low, high)


@pytest.mark.parametrize(
    ("held", "new", "then"),
    [
        (1000, 1050, 1000),
        (1000, 1051, 1051),
        (1000, 950, 1000),
        (1000, 949, 949),
        (0, 0, 0),
        (0, 1, 1),
        (-1000, -1050, -1000),
        (-1000, 0, 0),
        (np.iinfo(np.int64).max, 7, 7),
        (np.iinfo(np.int64).min, 7, 7),
    ],
)
def test_a_boundary_stays_unless_the_new_one_differs_by_more_than_five_percent(
    held: int, new: int, then: int
) -> None:
    assert settled(int(held), new) == then


def test_a_lower_median_is_the_lower_of_two_middle_values() -> None:
    assert lower_median(np.array([9, 1, 3, 7])) == 3
    assert lower_median(np.array([5, 4, 8])) == 5
    assert lower_median(np.zeros(0, np.int64)) == NONE


def test_without_anything_to_go_by_every_m_is_2() -> None:
    streams = fold(came(1, 100), came(2, 9_999_999))
    assert (segment(streams, 1), segment(streams, 2)) == ("312", "312")
    assert bounds(came(1, 0), MORNING) is None


def test_with_few_customers_boundaries_are_multiples_of_the_median_visit_day() -> None:
    log = crowd([100, 400, 200, 300])
    assert bounds(*log) is None
    assert bounds(*log, MORNING) == (4 * 200, 2 * 200)
    streams = fold(*log, came(1, 500, id="w1"), MORNING)  # 900 on one day
    assert streams.boundaries()[TENANT] == (4 * 200, 2 * 200)
    assert segment(streams, 1) == "313"


def test_only_positive_sums_of_visit_days_inside_the_window_are_typical() -> None:
    log = [
        came(1, 100, id="a"), came(1, 200, id="b"),  # one day: 300
        came(1, 700, id="c", starts_at=NOON - 2 * DAY),
        came(2, 0, id="d"),
        came(3, 90, id="e", currency="USD"),
        came(4, 5_000, id="f", starts_at=NOON - 29 * DAY),  # has left at midnight
        visit(TENANT, NOON, "g", status="attended", amount_minor=1, starts_at=NOON - HOUR),
        came(5, 800, id="h", status="booked"),
    ]  # fmt: skip
    assert bounds(*log, MORNING) == (4 * 300, 2 * 300)
    assert bounds(*log, came(6, 600), MORNING) == (4 * 600, 2 * 600)


def test_an_average_check_holds_over_the_median_and_at_once() -> None:
    assert bounds(came(1, 100), average_check_minor=50) == (200, 100)
    assert bounds(came(1, 100), MORNING, average_check_minor=50) == (200, 100)


def test_at_300_customers_boundaries_become_tertiles() -> None:
    sums = list(range(1, 301))
    assert bounds(*crowd(sums[:299]), MORNING) == (4 * 150, 2 * 150)
    assert bounds(*crowd(sums), MORNING) == (201, 99)
    assert bounds(*crowd(sums), MORNING, average_check_minor=7) == (201, 99)
    gone = came(300, 5, id="gone", status="no_show")
    assert bounds(*crowd(sums[:299]), gone, MORNING) == (600, 300)
    old = came(0, 1, starts_at=NOON - 29 * DAY)
    assert bounds(*crowd(sums)[1:], old, MORNING) == (4 * 151, 2 * 151)


def test_each_tertile_replaces_its_own_boundary_only() -> None:
    """P67 goes from 201 to 211, which is within 5 %; P33 from 99 to 109, which is not."""
    sums = list(range(1, 301))
    more = [came(who, 10, NOON + DAY, id=f"w{who}") for who in range(300)]
    end = heartbeat(MIDNIGHT + DAY + 6 * MINUTE)
    assert bounds(*crowd(sums), *more, end) == (201, 109)


def test_sums_of_the_settings_hold_whatever_customers_spend() -> None:
    rules = {"scoring": {"window_days": 30, "monetary": [5000, 700]}}
    assert bounds(*crowd(list(range(1, 301))), MORNING, **rules) == (5000, 700)


def test_who_is_scored_otherwise_changes_at_its_own_midnight_because_of_thresholds() -> None:
    log = crowd(list(range(1, 301)))
    entered = trigger("segment_entered", segments=["311", "312", "313"])
    streams = fold(*log, MORNING, triggers=[entered])
    assert changes(streams, 97) == [("000", "312", "visit"), ("312", "311", "thresholds")]
    assert changes(streams, 98) == [("000", "312", "visit")]
    assert changes(streams, 200) == [("000", "312", "visit"), ("312", "313", "thresholds")]
    later = [row for row in streams.rows("segments") if row["cause"] == "thresholds"]
    assert len(later) == 98 + 100
    assert all(MIDNIGHT <= ms(row["at"]) <= MIDNIGHT + 5 * MINUTE for row in later)
    assert len({row["at"] for row in later}) >= 3
    assert len(streams.rows("decisions")) == 300  # of the first visits, none of thresholds


def test_what_the_day_alone_would_have_changed_is_of_time() -> None:
    """Recency falls on the same midnight on which the boundaries come."""
    log = crowd(list(range(1, 301)))
    old = came(0, 1, starts_at=NOON - 10 * DAY)
    streams = fold(*log[1:], old, MORNING)
    assert changes(streams, 0) == [("000", "312", "visit"), ("312", "211", "time")]


def test_before_its_own_midnight_a_customer_is_scored_by_the_boundaries_before() -> None:
    """A visit told in the minutes between: by the new day's boundaries its sum is a big one."""
    log = crowd(list(range(1, 301)))
    more = [came(who, 500, MIDNIGHT + 1_000, id=f"w{who}") for who in range(90)]
    streams = fold(*log, *more, MORNING)
    for who in range(90):
        begun = roll_delay(streams, who) <= 1
        passed = [("312", "311", "thresholds"), ("311", "313", "visit")]
        told = passed if begun else [("312", "313", "thresholds")]
        assert changes(streams, who) == [("000", "312", "visit"), *told]


def test_commands_carry_the_version_of_the_boundaries_that_scored_them() -> None:
    rule = trigger("reminder", before="24h")
    log = crowd(list(range(1, 301)))
    booked = {"status": "booked", "phone": phone(1), "version": 1}
    log += [
        visit(TENANT, NOON, "b1", starts_at=MIDNIGHT + 20 * HOUR, **booked),
        visit(TENANT, NOON, "b2", starts_at=MIDNIGHT + 3 * DAY, **booked),
    ]
    streams = fold(*log, heartbeat(MIDNIGHT + 2 * DAY + HOUR), triggers=[rule])
    rules = parse_settings(RULES | {"currency": "KZT"}, "x")
    sent = {row["visit"]["ids"][0]: row["thresholds_version"] for row in streams.rows("commands")}
    assert sent["b2"] == thresholds_version(rules, (201, 99))
    booked_late = visit(TENANT, NOON, "b3", starts_at=NOON + 25 * HOUR, **booked)
    streams = fold(*log, booked_late, heartbeat(NOON + 2 * HOUR), triggers=[rule])
    sent = {row["visit"]["ids"][0]: row["thresholds_version"] for row in streams.rows("commands")}
    assert sent["b3"] == thresholds_version(rules, None)


def test_new_settings_change_fixed_boundaries_at_once_and_tertiles_at_midnight() -> None:
    few, many = crowd([100, 300, 200]), crowd(list(range(1, 301)))
    noon = MIDNIGHT + 12 * HOUR
    stricter = {"window_days": 30, "recency_days": [10, 20], "frequency": [6, 3]}
    rules = settings(TENANT, noon, **RULES | {"scoring": stricter})
    night = heartbeat(MIDNIGHT + DAY + 6 * MINUTE)
    assert bounds(*few, MORNING) == (800, 400)
    assert bounds(*few, MORNING, rules) == (1200, 600)
    checked = settings(TENANT, noon, **RULES | {"average_check_minor": 50})
    assert bounds(*few, MORNING, checked) == (200, 100)
    assert bounds(*many, MORNING, checked) == (201, 99)
    sums = settings(TENANT, noon, **RULES | {"scoring": {"monetary": [150, 20]}})
    streams = fold(*many, MORNING, sums)
    assert streams.boundaries()[TENANT] == (150, 20)
    assert changes(streams, 150)[1:] == [("312", "313", "thresholds")]
    back = settings(TENANT, noon + HOUR, **RULES)
    assert bounds(*many, MORNING, sums, back) == (150, 20)
    assert bounds(*many, MORNING, sums, back, night) == (201, 99)


def test_a_silent_week_has_the_boundaries_of_its_last_midnight() -> None:
    log = [*crowd([100, 300, 200]), came(7, 900, starts_at=NOON - 25 * DAY)]
    assert bounds(*log, heartbeat(MIDNIGHT + 3 * DAY)) == (4 * 200, 2 * 200)
    assert bounds(*log, came(8, 1000), heartbeat(MIDNIGHT + 3 * DAY)) == (4 * 300, 2 * 300)
    assert bounds(*log, came(8, 1000), heartbeat(MIDNIGHT + 5 * DAY)) == (4 * 200, 2 * 200)
