"""A customer is written to once after the visits of a day in a branch have ended."""

from __future__ import annotations

from tests.agenda import START, came, known, lived, rule, rules, sent, told
from tests.engine import run
from tests.logs import DAY, HOUR, MINUTE, card, heartbeat, history, lines_of, local, ms, stamp
from tests.people import PHONE

THANKS = rule("after_visit", after="2h")
DUE = START + 3 * HOUR


def test_it_is_due_a_set_time_after_the_end() -> None:
    streams = lived(rules(THANKS), came(START + HOUR, START), until=START + DAY)
    assert told(streams) == [("after_visit", "sent", None, DUE)]
    (command,) = streams.rows("commands")
    assert command["occasion"] == f"visit:generic::v1@{stamp(START)[:16]}Z"
    assert ms(command["expires_at"]) == DUE + DAY
    assert command["visit"]["ids"] == ["v1"]


def test_a_visit_that_tells_no_end_lasts_an_hour() -> None:
    streams = lived(rules(THANKS), came(START + HOUR, START, ends_at=None), until=START + DAY)
    assert sent(streams) == [("after_visit", DUE)]


def test_the_visits_of_a_day_are_one_occasion_of_the_latest_end_and_the_earliest_start() -> None:
    late = came(START + HOUR, START + 2 * HOUR, "v2", services=["nails"])
    streams = lived(rules(THANKS), late, came(START + HOUR, START), until=START + DAY)
    assert sent(streams) == [("after_visit", DUE + 2 * HOUR)]
    (command,) = streams.rows("commands")
    assert command["occasion"] == f"visit:generic::v1@{stamp(START)[:16]}Z"
    assert command["visit"]["ids"] == ["v1", "v2"]
    assert command["visit"]["services"] == ["haircut", "nails"]


def test_another_visit_of_a_thanked_day_is_not_thanked_for() -> None:
    late = came(DUE + HOUR, START + 5 * HOUR, "v2")
    streams = lived(rules(THANKS), came(START, START), late, until=START + DAY)
    assert sent(streams) == [("after_visit", DUE)]


def test_two_branches_on_one_day_are_two_occasions() -> None:
    first, second = came(START, START, branch="b1"), came(START, START + HOUR, "v2", branch="b2")
    streams = lived(rules(THANKS), first, second, until=START + DAY)
    assert sent(streams) == [("after_visit", DUE), ("after_visit", DUE + HOUR)]
    assert [row["branch"] for row in streams.rows("commands")] == ["b1", "b2"]


def test_attendance_marked_next_morning_is_due_at_that_record() -> None:
    morning = START + 20 * HOUR + 30_000
    streams = lived(rules(THANKS), came(morning, START), until=START + 2 * DAY)
    assert told(streams) == [("after_visit", "sent", None, morning)]
    (command,) = streams.rows("commands")
    assert (ms(command["due_at"]), ms(command["created_at"])) == (DUE, morning)


def test_attendance_marked_after_the_time_to_live_is_stale() -> None:
    at = DUE + DAY
    streams = lived(rules(THANKS), came(at, START), until=at + HOUR)
    assert told(streams) == [("after_visit", "refused", "stale", at)]


def test_attendance_marked_weeks_later_is_passed_in_silence() -> None:
    streams = lived(
        rules(THANKS), came(DUE + 30 * DAY, START), until=DUE + 31 * DAY, step=12 * HOUR
    )
    assert told(streams) == []


def test_attended_taken_back_and_attended_again_is_thanked_for_once() -> None:
    streams = lived(
        rules(THANKS),
        came(START, START),
        came(DUE + HOUR, START, version=2, status="no_show"),
        came(DUE + 2 * HOUR, START, version=3),
        until=START + 2 * DAY,
    )
    assert told(streams) == [("after_visit", "sent", None, DUE)]


def test_taken_back_before_it_is_due_nobody_is_thanked() -> None:
    streams = lived(
        rules(THANKS),
        came(START, START),
        came(START + HOUR, START, version=2, status="cancelled"),
        until=START + DAY,
    )
    assert told(streams) == []


def test_a_visit_moved_across_midnight_is_another_day() -> None:
    """Thanked for the day that it was on, it is another occasion on the day that it is on now."""
    moved = came(DUE + HOUR, START - 15 * HOUR, version=2)
    streams = lived(rules(THANKS), came(START, START), moved, until=START + 2 * DAY)
    assert told(streams) == [
        ("after_visit", "sent", None, DUE),
        ("after_visit", "sent", None, DUE + HOUR),
    ]
    assert len({row["command_id"] for row in streams.rows("commands")}) == 2


def test_a_visit_moved_across_midnight_and_back_is_thanked_for_once_each() -> None:
    streams = lived(
        rules(THANKS),
        came(START, START),
        came(DUE + HOUR, START - 15 * HOUR, version=2),
        came(DUE + 2 * HOUR, START, version=3),
        came(DUE + 3 * HOUR, START - 15 * HOUR, version=4),
        until=START + 2 * DAY,
    )
    assert len(sent(streams)) == 2


def test_a_visit_that_turns_out_to_be_another_person_s_is_not_thanked_for_twice() -> None:
    other = came(DUE + HOUR, START, version=2, client="c2", phone="+77017654321")
    streams = lived(rules(THANKS), came(START, START), other, until=START + DAY)
    assert sent(streams) == [("after_visit", DUE)]


def test_a_day_that_a_thanked_visit_came_to_is_decided_also_when_the_visit_goes_on() -> None:
    others = [f"+7701999000{number}" for number in (1, 2)]
    first = came(START + HOUR, START, client="c8", phone=others[0])
    comes = came(DUE + HOUR, START, version=2)
    second = came(DUE + 2 * HOUR, START + HOUR, "v2")
    goes = came(DUE + 3 * HOUR, START, version=3, client="c9", phone=others[1])
    streams = lived(rules(THANKS), first, comes, second, goes, until=START + DAY)
    assert sent(streams) == [("after_visit", DUE)]


def test_a_phone_learnt_later_thanks_for_the_visit_that_waited() -> None:
    waited = came(START, START, phone=None)
    streams = lived(rules(THANKS), waited, known(DUE + HOUR), until=START + DAY)
    assert told(streams) == [("after_visit", "sent", None, DUE + HOUR)]


def test_imported_visits_thank_nobody_for_what_is_past() -> None:
    told_of = history("t1", START + DAY, came(START + DAY, START))
    streams = lived(rules(THANKS), told_of, until=START + 3 * DAY)
    assert told(streams) == []
    newer = came(START + DAY + HOUR, START, version=2, amount_minor=5)
    assert told(lived(rules(THANKS), told_of, newer, until=START + 3 * DAY)) == []


def test_an_outage_delays_it_or_makes_it_stale() -> None:
    log = [rules(THANKS), came(START, START)]
    short = run(lines_of([*log, heartbeat(DUE + DAY - MINUTE)]))
    assert told(short) == [("after_visit", "sent", None, DUE)]
    long = run(lines_of([*log, heartbeat(DUE + DAY)]))
    assert told(long) == [("after_visit", "refused", "stale", DUE)]


def test_a_day_ends_at_the_branch_s_midnight() -> None:
    evening = local("2026-06-15 23:30", "Asia/Almaty")
    first, second = (
        came(evening, evening, branch="b1"),
        came(evening, evening + HOUR, "v2", branch="b1"),
    )
    here = lived(rules(THANKS), first, second, until=evening + DAY)
    assert len(sent(here)) == 2
    zones = {"b1": {"timezone": "Europe/Berlin"}}
    there = lived(rules(THANKS, branches=zones), first, second, until=evening + DAY)
    assert sent(there) == [("after_visit", evening + 4 * HOUR)]


def test_on_the_night_the_clocks_change_it_is_elapsed_time_that_counts() -> None:
    for night in ("2026-03-29", "2026-10-25"):
        start = local(f"{night} 00:30", "Europe/Berlin")
        log = rules(THANKS, at=start - DAY, timezone="Europe/Berlin", country="DE")
        streams = lived(log, came(start, start), until=start + DAY)
        assert sent(streams) == [("after_visit", start + 3 * HOUR)]


def test_a_card_that_leaves_for_another_phone_brings_no_thanks_along() -> None:
    left = card("t1", DUE + HOUR, "c1", phone="+77017654321", version=2)
    streams = lived(rules(THANKS), came(START, START), left, until=START + DAY)
    assert [row["phone"] for row in streams.rows("commands")] == [PHONE]
