"""What a reminder's rule, its time to live, its zone and the settings do to it."""

from __future__ import annotations

from typing import Any

from tests.bookings import (
    DUE,
    RULE,
    START,
    TOLD,
    after,
    booked,
    commands,
    decisions,
    rules,
    walk,
)
from tests.engine import run
from tests.logs import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    card,
    heartbeat,
    lines_of,
    local,
    ms,
    record,
    settings,
)
from tests.people import PHONE, TENANT, ZONE


def test_after_an_outage_over_its_start_it_is_stale() -> None:
    streams = run(lines_of([rules(), booked(TOLD), heartbeat(START + HOUR)]))
    assert commands(streams) == []
    assert decisions(streams) == [("refused", "stale")]
    (decision,) = streams.rows("decisions")
    assert ms(decision["at"]) == DUE
    assert len(decision["command_id"]) == 32


def test_at_its_start_it_is_stale() -> None:
    streams = run(lines_of([rules(), booked(TOLD), heartbeat(START)]))
    assert decisions(streams) == [("refused", "stale")]


def test_after_a_short_outage_it_is_still_sent() -> None:
    streams = run(lines_of([rules(), booked(TOLD), heartbeat(START - 1)]))
    assert decisions(streams) == [("sent", None)]
    (sent,) = streams.rows("commands")
    assert ms(sent["created_at"]) == DUE


def test_a_time_to_live_ends_it_before_its_start() -> None:
    short = RULE | {"ttl": "2h"}
    log = [rules(TOLD - DAY, short), booked(TOLD)]
    (sent,) = run(lines_of([*log, heartbeat(DUE + HOUR)])).rows("commands")
    assert ms(sent["expires_at"]) == DUE + 2 * HOUR
    assert decisions(run(lines_of([*log, heartbeat(DUE + 2 * HOUR)]))) == [("refused", "stale")]


def test_a_time_to_live_beyond_its_start_is_cut_there() -> None:
    log = [rules(TOLD - DAY, RULE | {"ttl": "5d"}), booked(TOLD), heartbeat(DUE)]
    (sent,) = run(lines_of(log)).rows("commands")
    assert ms(sent["expires_at"]) == START


def test_the_segment_gate_refuses_it() -> None:
    log = [rules(TOLD - DAY, RULE | {"segments": ["333"]}), booked(TOLD), heartbeat(DUE)]
    streams = run(lines_of(log))
    assert commands(streams) == []
    assert decisions(streams) == [("refused", "segment")]


def test_two_reminders_of_one_visit_are_two_commands() -> None:
    short = RULE | {"id": "soon", "before": "2h"}
    log = [rules(TOLD - DAY, RULE, short), booked(TOLD), *walk(TOLD, START)]
    told = [(row["trigger"], ms(row["due_at"])) for row in run(lines_of(log)).rows("commands")]
    assert told == [("reminder", DUE), ("soon", START - 2 * HOUR)]


def test_a_new_trigger_is_silent_about_what_it_would_have_sent_before() -> None:
    log = [
        settings(TENANT, TOLD - DAY, timezone=ZONE),
        booked(TOLD),
        booked(TOLD, START + 2 * DAY, id="v2"),
        rules(DUE + HOUR),
        *walk(DUE + HOUR, START + 2 * DAY),
    ]
    assert commands(run(lines_of(log))) == [(START + 2 * DAY, False)]


def test_the_same_settings_again_send_nothing_again() -> None:
    log = [rules(), booked(TOLD), heartbeat(DUE), rules(DUE + HOUR), *walk(DUE + HOUR, START)]
    assert decisions(run(lines_of(log))) == [("sent", None)]


def test_a_removed_trigger_sends_nothing() -> None:
    log = [rules(), booked(TOLD), settings(TENANT, TOLD + HOUR, timezone=ZONE), heartbeat(DUE)]
    streams = run(lines_of(log))
    assert (commands(streams), decisions(streams)) == ([], [])


def test_a_booking_of_a_client_without_a_phone_waits_for_the_card() -> None:
    told: dict[str, Any] = {"phone": None, "client": "crm-1"}
    streams = after(
        booked(TOLD, **told), card(TENANT, TOLD + HOUR, "crm-1", version=1, phone=PHONE)
    )
    assert commands(streams) == [(START, False)]
    assert commands(after(booked(TOLD, **told))) == []


def test_a_record_is_reminded_of_in_its_branchs_zone() -> None:
    branches = {"501": {"timezone": "Europe/Moscow"}}
    booking = record(TENANT, TOLD, 9, date="2026-06-15 12:00:00", client=1, phone=PHONE, version=1)
    log = [rules(TOLD - DAY, branches=branches), booking, *walk(TOLD, START)]
    (sent,) = run(lines_of(log)).rows("commands")
    assert ms(sent["due_at"]) == local("2026-06-14 12:00", "Europe/Moscow")
    assert sent["visit"]["local_start"] == "2026-06-15T12:00:00"
    assert sent["timezone"] == "Europe/Moscow"
    assert sent["occasion"] == "visit:yclients:501:9@2026-06-15T09:00Z"
    assert sent["branch"] == "501"


def test_lead_time_is_elapsed_time_over_a_change_of_clocks() -> None:
    start = local("2026-03-29 12:00", "Europe/Berlin")
    log = [
        settings(TENANT, start - 9 * DAY, timezone="Europe/Berlin", country="DE", triggers=[RULE]),
        booked(start - 5 * DAY, start),
        *walk(start - 2 * DAY, start),
    ]
    (sent,) = run(lines_of(log)).rows("commands")
    assert ms(sent["due_at"]) == start - 24 * HOUR


def test_a_due_minute_is_whole() -> None:
    """A visit that starts at 14:00:30 is due within the minute of 14:00 a day before."""
    odd = START + 30 * SECOND
    (sent,) = after(booked(TOLD, odd)).rows("commands")
    assert ms(sent["due_at"]) % MINUTE == 0
    assert DUE <= ms(sent["due_at"]) <= DUE + MINUTE
