"""A birthday is greeted once a year, at a local time, by whatever card speaks for the customer."""

from __future__ import annotations

import numpy as np

from operators.birthdays import birthday_days
from schemas.texts import day_text
from tests.agenda import START, came, known, lived, rule, rules, sent, told
from tests.engine import run
from tests.logs import DAY, HOUR, MINUTE, card, heartbeat, lines_of, local
from tests.people import TENANT, WHO

ZONE = "Asia/Almaty"
DAY_OF = local("2026-06-20 11:00", ZONE)
GREETS = rule("birthday", at="11:00")


def test_it_is_greeted_once_at_its_local_time() -> None:
    streams = lived(rules(GREETS), known(START, "1990-06-20"), until=DAY_OF + 3 * DAY)
    assert sent(streams) == [("birthday", DAY_OF)]
    assert told(streams) == [("birthday", "sent", None, DAY_OF)]
    (command,) = streams.rows("commands")
    assert command["occasion"] == f"birthday:{WHO}:2026"
    assert (command["visit"], command["branch"]) == (None, None)


def test_it_is_greeted_every_year() -> None:
    log = [rules(GREETS), known(START, "1990-06-20")]
    log += [heartbeat(local(f"{year}-06-20 12:00", ZONE)) for year in (2026, 2027, 2028)]
    commands = run(lines_of(log)).rows("commands")
    assert [row["occasion"][-4:] for row in commands] == ["2026", "2027", "2028"]


def test_the_29th_of_february_is_greeted_on_the_28th_in_other_years() -> None:
    born = np.full(4, 19_920_229, np.int32)
    days = birthday_days(np.array([2026, 2027, 2028, 2100]), born)
    assert [day_text(day) for day in days.tolist()] == [
        "2026-02-28",
        "2027-02-28",
        "2028-02-29",
        "2100-02-28",
    ]


def test_days_before_may_reach_into_the_year_before() -> None:
    early = rule("birthday", at="11:00", days_before=170)
    due = local("2026-07-15 11:00", ZONE)
    streams = lived(rules(early), known(START, "1990-01-01"), until=due + DAY, step=6 * HOUR)
    assert sent(streams) == [("birthday", due)]
    assert streams.rows("commands")[0]["occasion"].endswith(":2027")


def test_days_after_are_negative() -> None:
    late = rule("birthday", at="11:00", days_before=-3)
    streams = lived(rules(late), known(START, "1990-06-20"), until=DAY_OF + 5 * DAY)
    assert sent(streams) == [("birthday", DAY_OF + 3 * DAY)]


def test_a_card_learnt_within_the_time_to_live_is_greeted_at_that_record() -> None:
    learnt = DAY_OF + 11 * HOUR + 90_000
    streams = lived(rules(GREETS), known(learnt, "1990-06-20"), until=DAY_OF + 2 * DAY)
    assert told(streams) == [("birthday", "sent", None, learnt)]
    assert sent(streams) == [("birthday", DAY_OF)]


def test_a_card_learnt_too_late_is_passed_in_silence() -> None:
    learnt = DAY_OF + 12 * HOUR
    streams = lived(rules(GREETS), known(learnt, "1990-06-20"), until=DAY_OF + 2 * DAY)
    assert told(streams) == []


def test_a_corrected_birthday_is_not_greeted_twice_in_a_year() -> None:
    streams = lived(
        rules(GREETS),
        known(START, "1990-06-20"),
        known(DAY_OF + HOUR, "1990-06-25", 2),
        until=DAY_OF + 9 * DAY,
    )
    assert sent(streams) == [("birthday", DAY_OF)]


def test_a_birthday_corrected_in_time_moves_the_greeting() -> None:
    streams = lived(
        rules(GREETS),
        known(START, "1990-06-20"),
        known(START + DAY, "1990-06-25", 2),
        until=DAY_OF + 9 * DAY,
    )
    assert sent(streams) == [("birthday", DAY_OF + 5 * DAY)]


def test_the_card_with_the_latest_visit_speaks() -> None:
    other = card(TENANT, START, "c2", phone="+77011234567", birthday="1990-06-22", name="Б")
    log = [rules(GREETS), known(START, "1990-06-20", name="А"), other]
    first = came(START + HOUR, START)
    assert sent(lived(*log, first, until=DAY_OF + 4 * DAY)) == [("birthday", DAY_OF)]
    second = came(START + 2 * DAY + HOUR, START + 2 * DAY, "v2", client="c2")
    streams = lived(*log, first, second, until=DAY_OF + 4 * DAY)
    assert sent(streams) == [("birthday", DAY_OF + 2 * DAY)]


def test_an_outage_within_the_time_to_live_delays_it_and_a_longer_one_makes_it_stale() -> None:
    log = [rules(GREETS), known(START, "1990-06-20")]
    short = run(lines_of([*log, heartbeat(DAY_OF + 12 * HOUR - MINUTE)]))
    assert told(short) == [("birthday", "sent", None, DAY_OF)]
    long = run(lines_of([*log, heartbeat(DAY_OF + 12 * HOUR)]))
    assert told(long) == [("birthday", "refused", "stale", DAY_OF)]


def test_a_phone_that_is_corrected_on_the_day_greets_nobody_again() -> None:
    moved = known(DAY_OF + HOUR, "1990-06-20", 2, phone="+77017654321")
    streams = lived(rules(GREETS), known(START, "1990-06-20"), moved, until=DAY_OF + DAY)
    assert sent(streams) == [("birthday", DAY_OF)]


def test_on_days_of_25_and_23_hours_it_is_greeted_at_its_wall_clock() -> None:
    for day, hour in (("2026-03-29", 9), ("2026-10-25", 10)):
        due = local(f"{day} 11:00", "Europe/Berlin")
        log = [rules(GREETS, at=due - 9 * DAY, timezone="Europe/Berlin", country="DE")]
        log += [known(due - 8 * DAY, f"1990{day[4:]}")]
        streams = lived(*log, until=due + DAY)
        assert sent(streams) == [("birthday", due)]
        assert due % DAY == hour * HOUR
