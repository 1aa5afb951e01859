"""Imported history changes features and segments, and fires nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from tests.bookings import (
    DUE,
    START,
    TOLD,
    booked,
    commands,
    decisions,
    rules,
    walk,
)
from tests.engine import Row, Streams, comparable, run
from tests.logs import DAY, HOUR, Record, envelope, heartbeat, lines_of, settings, stamp, trigger
from tests.people import PHONE, TENANT, ZONE

NUMBER = 77011234567
CUTS: list[Iterable[int]] = [range(9), [1, 3], [2]]


def visit_object(starts_at: int = START, id: str = "v1", **told: Any) -> Row:
    """A visit as history writes it: a booking unless told."""
    body = {"id": id, "status": "booked", "phone": PHONE, "starts_at": stamp(starts_at)}
    return body | {"version": 1} | told


def history(at: int, *visits: Row, customers: Iterable[Row] = ()) -> Record:
    return envelope("history", TENANT, at, visits=list(visits), customers=list(customers))


def after(*records: Record, until: int = START + DAY) -> Streams:
    """What comes of settings, these records, and a heartbeat every hour, however cut."""
    log = [rules(), *records, *walk(TOLD, until)[::6]]
    lines = lines_of(sorted(log, key=lambda told: told["received_at"]))
    streams = run(lines)
    for cuts in CUTS:
        assert comparable(run(lines, cuts=cuts)) == comparable(streams)
    return streams


def attended(number: int, **told: Any) -> Row:
    """A visit of 1,000 minor units, so many days before."""
    body = {"status": "attended", "amount_minor": 1_000, "currency": "KZT"}
    return visit_object(TOLD - number * DAY, f"old{number}", **body | told)


def test_visits_of_the_past_count() -> None:
    streams = after(history(TOLD, attended(1), attended(5), attended(9)), until=TOLD + HOUR)
    profile = streams.profile(TENANT, NUMBER)
    assert (profile["frequency"], profile["monetary_minor"]) == (3, 3_000)
    assert {row["cause"] for row in streams.rows("segments")} == {"history"}


def test_cards_of_the_past_make_people_known() -> None:
    who = {"id": "crm-7", "version": 1, "phone": PHONE, "name": "Мария"}
    streams = after(history(TOLD, customers=[who]), until=TOLD + HOUR)
    profile = streams.profile(TENANT, NUMBER)
    assert (profile["name"], profile["segment"]) == ("Мария", "000")


def test_a_card_of_the_past_that_brings_visits_along_is_history_too() -> None:
    nobodys = attended(1, phone=None, client="crm-7")
    who = {"id": "crm-7", "version": 1, "phone": PHONE}
    log = history(TOLD, nobodys), history(TOLD + HOUR, customers=[who])
    (change,) = after(*log, until=TOLD + 2 * HOUR).rows("segments")
    assert (change["from"], change["cause"]) == ("000", "history")


def test_a_segment_that_history_tells_is_not_entered() -> None:
    entered = trigger("segment_entered", segments=["312", "322", "332"])
    told = settings(TENANT, TOLD - DAY, timezone=ZONE, triggers=[entered])
    past = history(TOLD, attended(1), attended(5))
    assert run(lines_of([told, past, heartbeat(TOLD + HOUR)])).rows("decisions") == []
    live = [booked(TOLD + n, TOLD - n * DAY, id=f"w{n}", status="attended") for n in range(5)]
    streams = run(lines_of([told, past, *live, heartbeat(TOLD + HOUR)]))
    assert {row["cause"] for row in streams.rows("segments")} == {"history", "visit"}
    assert len(decisions(streams)) == 1


def test_nobody_is_reminded_of_what_history_has_booked() -> None:
    assert decisions(after(history(TOLD, visit_object()))) == []


def test_a_live_version_with_the_same_start_stays_silent() -> None:
    live = booked(TOLD + HOUR, version=2, status="confirmed")
    assert decisions(after(history(TOLD, visit_object()), live)) == []


def test_a_live_version_with_another_start_is_a_new_occasion() -> None:
    moved = booked(TOLD + HOUR, START + HOUR, version=2)
    assert commands(after(history(TOLD, visit_object()), moved)) == [(START + HOUR, False)]


def test_history_of_what_was_booked_live_changes_nothing_of_its_reminder() -> None:
    past = history(TOLD + HOUR, visit_object(version=2, amount_minor=5))
    assert commands(after(booked(TOLD), past)) == [(START, False)]


def test_history_that_moves_a_booking_takes_back_what_was_sent_and_sends_nothing() -> None:
    past = history(DUE + HOUR, visit_object(START + 6 * HOUR, version=2))
    assert commands(after(booked(TOLD), past)) == [(START, False), (START, True)]


def test_other_bookings_of_the_same_customer_are_reminded_of() -> None:
    live = booked(TOLD, START + DAY, id="v2")
    assert commands(after(history(TOLD, visit_object()), live)) == [(START + DAY, False)]


@pytest.mark.parametrize("id", ["v0", "v9"])
def test_a_live_booking_of_the_same_start_keeps_its_reminder(id: str) -> None:
    past = history(TOLD + HOUR, visit_object(id=id))
    assert commands(after(booked(TOLD), past)) == [(START, False)]


def test_a_rule_that_comes_later_reminds_nobody_of_history_either() -> None:
    more = rules(TOLD + HOUR, trigger("reminder", id="soon", before="2h"))
    assert decisions(after(history(TOLD, visit_object()), more)) == []


def test_history_is_cut_like_everything_else() -> None:
    """One record that tells many visits of one customer, before and after live ones."""
    past = history(TOLD, *(attended(n) for n in range(40)), visit_object(START + DAY, "v2"))
    streams = after(booked(TOLD - HOUR), past, booked(TOLD + HOUR, version=2))
    assert commands(streams) == [(START, False)]
    assert streams.profile(TENANT, NUMBER)["frequency"] == 40
