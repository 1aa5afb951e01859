"""Triggers come and go in mid-stream: a new one tells nothing of the past, one gone is silent."""

from __future__ import annotations

from tests.agenda import START, came, known, lived, rule, rules, sent, told
from tests.bookings import booked
from tests.logs import DAY, HOUR, MINUTE, card, local, ms, whatsapp_message
from tests.people import TENANT, ZONE

THANKS = rule("after_visit", after="2h")
BACK = rule("winback", after_days=20, at="12:30")
GREETS = rule("birthday", at="11:00")
DUE = START + 3 * HOUR
CALLED = local("2026-07-05 12:30", ZONE)


def test_a_new_trigger_is_silent_about_what_is_past_and_stays_so() -> None:
    everything = [THANKS, BACK, GREETS, rule("rebook", after_days=1), rule("no_show", after="1h")]
    log = [rules(), came(START, START), known(START, "1990-06-15")]
    log += [rules(*everything, at=DUE + HOUR)]
    log += [came(DUE + 2 * HOUR, START, version=2, amount_minor=7)]
    log += [known(DUE + 3 * HOUR, "1990-06-15", 2, name="Я")]
    assert sent(lived(*log, until=START + 12 * HOUR)) == []


def test_a_new_trigger_is_due_for_what_is_still_to_come() -> None:
    log = [rules(), came(START, START), rules(BACK, THANKS, at=START + DAY)]
    assert sent(lived(*log, until=CALLED + DAY, step=HOUR)) == [("winback", CALLED)]


def test_a_visit_told_after_the_settings_is_due_although_its_minute_was_before_them() -> None:
    log = [rules(), rules(THANKS, at=DUE + HOUR), came(DUE + 2 * HOUR, START)]
    assert told(lived(*log, until=START + DAY)) == [("after_visit", "sent", None, DUE + 2 * HOUR)]


def test_a_removed_trigger_is_due_no_more() -> None:
    log = [rules(THANKS, BACK), came(START, START), rules(BACK, at=START + HOUR)]
    assert sent(lived(*log, until=CALLED + DAY, step=HOUR)) == [("winback", CALLED)]


def test_a_trigger_that_comes_back_keeps_what_it_has_decided() -> None:
    log = [rules(THANKS), came(START, START), rules(at=DUE + HOUR)]
    log += [rules(THANKS, at=DUE + 2 * HOUR), came(DUE + 3 * HOUR, START, version=2, staff="А")]
    assert sent(lived(*log, until=START + DAY)) == [("after_visit", DUE)]


def test_a_trigger_whose_timing_changes_decides_nothing_twice() -> None:
    later = rule("after_visit", after="6h")
    log = [rules(THANKS), came(START, START), rules(later, at=DUE + HOUR)]
    assert sent(lived(*log, until=START + DAY)) == [("after_visit", DUE)]
    log = [rules(THANKS), came(START, START), rules(later, at=START + 2 * HOUR)]
    assert sent(lived(*log, until=START + DAY)) == [("after_visit", START + 7 * HOUR)]


def test_several_triggers_of_a_kind_are_due_each_by_itself() -> None:
    review = rule("after_visit", id="review", after="1d", segments=["000"])
    log = [rules(THANKS, review), came(START, START)]
    assert told(lived(*log, until=START + 3 * DAY)) == [
        ("after_visit", "sent", None, DUE),
        ("review", "refused", "segment", START + DAY + HOUR),
    ]


def test_a_removed_reminder_is_left_as_it_is() -> None:
    reminds = rule("reminder", before="24h")
    log = [rules(reminds), booked(START - 3 * DAY, START), rules(at=START - HOUR)]
    log += [booked(START - HOUR + MINUTE, START + DAY, 2)]
    assert [row["withdrawn"] for row in lived(*log, until=START).rows("commands")] == [False]


def test_settings_told_late_are_silent_about_what_happened_before() -> None:
    log = [came(START, START), rules(THANKS, at=START + 2 * DAY)]
    assert told(lived(*log, until=START + 3 * DAY)) == []


def test_a_merge_of_two_customers_with_commands_of_both_decides_nothing_again() -> None:
    """One writes under a name alone, the other comes; the card tells that they are one person."""
    answers = rule("reply")
    writes = whatsapp_message(TENANT, START, "w1", "KZ.123")
    one = card(
        TENANT,
        DUE + HOUR,
        "c1",
        phone="+77011234567",
        version=1,
        aliases={"whatsapp_bsuid": "KZ.123"},
    )
    again = whatsapp_message(TENANT, DUE + 2 * HOUR, "w1", "KZ.123")
    log = [rules(answers, THANKS), writes, came(START, START), one, again]
    streams = lived(*log, came(DUE + 2 * HOUR, START, version=2, staff="Б"), until=START + DAY)
    commands = streams.rows("commands")
    assert [row["trigger"] for row in commands] == ["reply", "after_visit"]
    assert len({row["customer_id"] for row in commands}) == 2
    assert len(streams.tombstones()) == 1
    assert len({row["decision_id"] for row in streams.rows("decisions")}) == 2


def test_a_reminder_inside_the_quiet_window_moves_to_the_minute_before_it() -> None:
    reminds = rule("reminder", before="24h")
    start = local("2026-06-16 08:30", ZONE)
    quiet = ["22:00", "08:00"]
    outside = lived(
        rules(reminds, quiet_utility=quiet), booked(START - 3 * DAY, start), until=start
    )
    assert sent(outside) == [("reminder", start - DAY)]
    early = rule("reminder", before="90m")
    inside = lived(rules(early, quiet_utility=quiet), booked(START - 3 * DAY, start), until=start)
    assert sent(inside) == [("reminder", local("2026-06-15 21:59", ZONE))]
    (command,) = inside.rows("commands")
    assert ms(command["expires_at"]) == start


def test_a_booking_first_seen_after_the_moved_minute_is_silent() -> None:
    early = rule("reminder", before="90m")
    start = local("2026-06-16 08:30", ZONE)
    seen = booked(local("2026-06-15 22:30", ZONE), start)
    streams = lived(rules(early, quiet_utility=["22:00", "08:00"]), seen, until=start)
    assert told(streams) == []


def test_a_quiet_window_within_a_day_moves_a_reminder_to_the_same_day() -> None:
    start = local("2026-06-16 16:00", ZONE)
    reminds = rule("reminder", before="2h")
    log = [rules(reminds, quiet_utility=["13:00", "15:00"]), booked(START - 3 * DAY, start)]
    assert sent(lived(*log, until=start)) == [("reminder", local("2026-06-16 12:59", ZONE))]


def test_the_quiet_window_is_that_of_the_branch() -> None:
    start = local("2026-06-16 08:30", ZONE)
    early = rule("reminder", before="90m")
    told_by = rules(
        early, quiet_utility=["22:00", "08:00"], branches={"b1": {"timezone": "Asia/Tokyo"}}
    )
    streams = lived(told_by, booked(START - 3 * DAY, start, branch="b1"), until=start)
    assert sent(streams) == [("reminder", start - 90 * MINUTE)]
