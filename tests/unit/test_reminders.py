"""A reminder is sent once at its due minute, follows its visit, and is never sent twice."""

from __future__ import annotations

from datetime import UTC, datetime

from schemas.keys import command_id, decision_id
from tests.bookings import (
    DUE,
    START,
    TOLD,
    after,
    booked,
    commands,
    decisions,
    rules,
    walk,
)
from tests.engine import Row, Streams, run
from tests.logs import DAY, HOUR, MINUTE, heartbeat, lines_of, ms
from tests.people import PHONE, TENANT, WHO, ZONE


def shown(moment: int) -> str:
    return f"{datetime.fromtimestamp(moment / 1000, UTC):%Y-%m-%dT%H:%MZ}"


def test_it_is_sent_once_at_its_due_minute() -> None:
    streams = after(booked(TOLD))
    (sent,) = streams.rows("commands")
    assert ms(sent["due_at"]) == ms(sent["created_at"]) == DUE
    assert ms(sent["expires_at"]) == START
    (decision,) = streams.rows("decisions")
    assert (decision["outcome"], decision["reason"], ms(decision["at"])) == ("sent", None, DUE)
    assert decision["command_id"] == sent["command_id"]
    assert decision["decision_id"] == decision_id(sent["command_id"], "final")


def test_the_command_has_the_fields_of_the_contract() -> None:
    booking = booked(TOLD, branch="b1")
    streams = run(lines_of([rules(), booking, heartbeat(DUE + 7 * MINUTE)]))
    (message,) = [
        m for (_, name), each in streams.messages.items() if name == "commands" for m in each
    ]
    assert (message.position, message.key) == (2, WHO.encode())
    (sent,) = streams.rows("commands")
    assert sent["occasion"].endswith(f":v1@{shown(START)}")
    assert sent["occasion"].startswith("visit:generic:")
    assert sent.pop("command_id") == command_id(TENANT, "reminder", sent.pop("occasion"))
    assert len(sent.pop("thresholds_version")) > 0
    times = {key: ms(sent.pop(key)) for key in ("due_at", "expires_at", "created_at")}
    assert times == {"due_at": DUE, "expires_at": START, "created_at": DUE}
    about = sent.pop("visit")
    assert ms(about.pop("starts_at")) == START
    local_start = "2026-06-15T14:00:00"
    assert about == {
        "ids": ["v1"],
        "local_start": local_start,
        "services": ["haircut"],
        "staff": ["Анна"],
    }
    assert sent == {
        "tenant": TENANT,
        "customer_id": WHO,
        "phone": PHONE,
        "aliases": {},
        "name": None,
        "trigger": "reminder",
        "kind": "reminder",
        "category": "utility",
        "channels": ["whatsapp", "sms"],
        "template": "reminder_ru",
        "params": {"sign": "!"},
        "locale": "en",
        "timezone": ZONE,
        "branch": "b1",
        "segment": "000",
        "rfm": {
            "recency_days": None,
            "frequency": 0,
            "monetary_minor": 0,
            "currency": "KZT",
        },
        "scheme": "3best",
        "withdrawn": False,
    }


def test_every_time_is_utc_with_a_z() -> None:
    (sent,) = after(booked(TOLD)).rows("commands")
    times = [sent["due_at"], sent["expires_at"], sent["created_at"], sent["visit"]["starts_at"]]
    assert all(text.endswith("Z") for text in times)


def test_two_visits_of_one_day_give_one_reminder_of_the_earliest_start() -> None:
    streams = after(
        booked(TOLD, START + 2 * HOUR, id="v2", services=["nails"], staff="Ирина"), booked(TOLD)
    )
    (sent,) = streams.rows("commands")
    assert ms(sent["visit"]["starts_at"]) == START
    assert sorted(sent["visit"]["ids"]) == ["v1", "v2"]
    assert sorted(sent["visit"]["services"]) == ["haircut", "nails"]
    assert sorted(sent["visit"]["staff"]) == ["Анна", "Ирина"]
    assert ":v1@" in sent["occasion"]


def test_two_visits_of_two_days_give_two_reminders() -> None:
    streams = after(booked(TOLD), booked(TOLD, START + DAY, id="v2"))
    assert commands(streams) == [(START, False), (START + DAY, False)]


def test_two_visits_of_one_day_in_two_branches_give_two_reminders() -> None:
    streams = after(booked(TOLD, branch="b1"), booked(TOLD, START + HOUR, id="v2", branch="b2"))
    assert commands(streams) == [(START, False), (START + HOUR, False)]


def test_another_visit_later_on_a_reminded_day_changes_nothing() -> None:
    streams = after(booked(TOLD), booked(DUE + HOUR, START + 2 * HOUR, id="v2"))
    assert commands(streams) == [(START, False)]
    assert decisions(streams) == [("sent", None)]


def test_cancelling_the_later_visit_of_a_reminded_day_changes_nothing() -> None:
    streams = after(
        booked(TOLD),
        booked(TOLD, START + 2 * HOUR, id="v2"),
        booked(DUE + HOUR, START + 2 * HOUR, 2, "v2", status="cancelled"),
    )
    assert decisions(streams) == [("sent", None)]


def test_cancelling_the_earlier_visit_of_a_reminded_day_withdraws_its_reminder() -> None:
    """The later one is a new occasion, here already inside its lead time."""
    streams = after(
        booked(TOLD),
        booked(TOLD, START + 2 * HOUR, id="v2"),
        booked(DUE + 3 * HOUR, START, 2, status="cancelled"),
    )
    assert decisions(streams) == [("sent", None), ("withdrawn", None)]


def test_cancelling_the_earlier_visit_just_after_its_reminder_reminds_of_the_later_one() -> None:
    streams = after(
        booked(TOLD),
        booked(TOLD, START + 2 * HOUR, id="v2"),
        booked(DUE + HOUR, START, 2, status="cancelled"),
    )
    assert commands(streams) == [(START, False), (START, True), (START + 2 * HOUR, False)]


def test_a_move_before_it_is_due_moves_it() -> None:
    streams = after(booked(TOLD), booked(TOLD + DAY, START + DAY, 2))
    assert commands(streams) == [(START + DAY, False)]
    assert decisions(streams) == [("sent", None)]


def test_a_move_after_it_was_sent_withdraws_it_and_reminds_of_the_new_start() -> None:
    moved = DUE + HOUR
    streams = after(booked(TOLD), booked(moved, START + 2 * DAY, 2))
    first, withdrawn, second = streams.rows("commands")
    assert [first["withdrawn"], withdrawn["withdrawn"], second["withdrawn"]] == [False, True, False]
    assert withdrawn["command_id"] == first["command_id"] != second["command_id"]
    assert ms(second["due_at"]) == START + DAY
    assert decisions(streams) == [("sent", None), ("withdrawn", None), ("sent", None)]
    decision = streams.rows("decisions")[1]
    assert decision["decision_id"] == decision_id(first["command_id"], "withdrawn")
    assert ms(decision["at"]) == moved


def test_a_withdrawn_command_repeats_the_fields_under_the_same_key() -> None:
    streams = after(booked(TOLD), booked(DUE + HOUR, START, 2, status="cancelled"))
    sent, withdrawn = streams.rows("commands")
    told = ("command_id", "customer_id", "trigger", "kind", "template", "channels", "occasion")
    assert {key: withdrawn[key] for key in told} == {key: sent[key] for key in told}
    assert (withdrawn["due_at"], withdrawn["expires_at"]) == (sent["due_at"], sent["expires_at"])
    assert withdrawn["visit"] == sent["visit"]
    keys = [
        m.key for (_, name), each in streams.messages.items() if name == "commands" for m in each
    ]
    assert keys == [WHO.encode()] * 2


def test_a_cancelled_visit_is_not_reminded_of() -> None:
    streams = after(booked(TOLD), booked(TOLD + DAY, START, 2, status="cancelled"))
    assert (commands(streams), decisions(streams)) == ([], [])


def test_a_cancelled_visit_that_is_booked_again_in_time_is_reminded_of() -> None:
    streams = after(
        booked(TOLD),
        booked(TOLD + HOUR, START, 2, status="cancelled"),
        booked(TOLD + 2 * HOUR, START, 3),
    )
    assert commands(streams) == [(START, False)]


def test_a_booking_first_seen_inside_its_lead_time_is_silent() -> None:
    streams = after(booked(START - 5 * HOUR))
    assert (commands(streams), decisions(streams)) == ([], [])


def test_a_booking_moved_inside_its_lead_time_is_silent() -> None:
    streams = after(booked(TOLD), booked(TOLD + DAY, TOLD + DAY + 5 * HOUR, 2))
    assert (commands(streams), decisions(streams)) == ([], [])


def test_a_reminded_booking_moved_inside_its_lead_time_is_withdrawn_only() -> None:
    streams = after(booked(TOLD), booked(DUE + HOUR, START - 2 * HOUR, 2))
    assert commands(streams) == [(START, False), (START, True)]


def test_a_booking_that_moves_away_and_back_is_not_decided_again() -> None:
    streams = after(
        booked(TOLD), booked(DUE + HOUR, START + 2 * DAY, 2), booked(DUE + 2 * HOUR, START, 3)
    )
    assert decisions(streams) == [("sent", None), ("withdrawn", None)]


def test_a_booking_that_moves_away_and_back_before_it_is_due_is_reminded_of_once() -> None:
    streams = after(
        booked(TOLD), booked(TOLD + HOUR, START + 2 * DAY, 2), booked(TOLD + 2 * HOUR, START, 3)
    )
    assert commands(streams) == [(START, False)]


def test_repeated_and_late_records_send_nothing_again() -> None:
    first, second = booked(TOLD), booked(TOLD + HOUR, START, 2, status="confirmed")
    streams = after(first, second)
    log = [rules(), first, second, *walk(TOLD, DUE + HOUR), first, second, *walk(DUE + HOUR, START)]
    assert commands(run(lines_of(log))) == commands(streams) == [(START, False)]


def test_nothing_is_withdrawn_after_its_expiry() -> None:
    for at in (START, START + HOUR):
        streams = after(booked(TOLD), booked(at, START, 2, status="cancelled"))
        assert decisions(streams) == [("sent", None)]


def test_it_is_withdrawn_until_the_last_minute() -> None:
    streams = after(booked(TOLD), booked(START - 1, START, 2, status="cancelled"))
    assert decisions(streams) == [("sent", None), ("withdrawn", None)]


def test_a_visit_that_took_place_withdraws_nothing() -> None:
    streams = after(booked(TOLD), booked(START + HOUR, START, 2, status="attended"))
    assert decisions(streams) == [("sent", None)]


def test_a_booking_of_another_person_is_withdrawn_from_the_first() -> None:
    """The second person's has the same occasion, which was decided: nothing is sent twice."""
    streams = after(booked(TOLD), booked(DUE + HOUR, START, 2, phone="+77017654321"))
    (sent, *rest) = streams.rows("commands")
    assert [row["withdrawn"] for row in rest] == [True]
    assert {row["customer_id"] for row in (sent, *rest)} == {WHO}
    ids = [row["command_id"] for row in streams.rows("commands") if not row["withdrawn"]]
    assert len(ids) == len(set(ids))


def rows_at(streams: Streams, position: int) -> list[Row]:
    return [row for row in streams.rows("decisions") if row["position"] == position]


def test_each_decision_has_the_position_of_the_record_that_caused_it() -> None:
    cancelled = booked(DUE + HOUR, START, 2, status="cancelled")
    streams = run(lines_of([rules(), booked(TOLD), heartbeat(DUE), cancelled]))
    assert [row["outcome"] for row in rows_at(streams, 2)] == ["sent"]
    assert [row["outcome"] for row in rows_at(streams, 3)] == ["withdrawn"]


def test_thousands_at_once_that_come_too_late_are_all_passed_in_silence() -> None:
    late = START - HOUR
    visits = [
        booked(late, id=f"v{n}", phone=f"+7701{n:07d}", branch=f"b{n % 3}") for n in range(2_000)
    ]
    streams = run(lines_of([rules(), *visits, *walk(late + MINUTE, START)]))
    assert len(streams.rows("profiles")) >= 2_000
    assert streams.rows("decisions") == []
