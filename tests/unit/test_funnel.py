"""What became of a command: each step implies those before it, and no step is taken back."""

from __future__ import annotations

from itertools import permutations

import pytest

from tests.agenda import known, rule, wrote
from tests.contacts import (
    ANY,
    ASKED,
    OFFER,
    asks,
    funnel,
    lives,
    named,
    receipt,
    salon,
    status,
    uplift,
)
from tests.decided import told_rows
from tests.logs import DAY, HOUR, MINUTE, SECOND, Record, envelope, heartbeat
from tests.people import PHONE, TENANT, WHO, writes

FAR = {"accepted": 1, "sent": 1, "delivered": 1, "read": 1}
LATER = ASKED + HOUR
DONE = ASKED + DAY


def became(*told: Record) -> dict[str, int]:
    """Of one contact, what is told after it."""
    counted = funnel(*salon(), asks(), *told, until=DONE)
    assert counted.pop("commanded") == 1
    return dict(counted)


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        ("accepted", {"accepted": 1}),
        ("sent", {"accepted": 1, "sent": 1}),
        ("delivered", {"accepted": 1, "sent": 1, "delivered": 1}),
        ("read", FAR),
    ],
)
def test_a_status_implies_those_before_it(last: str, expected: dict[str, int]) -> None:
    assert became(receipt(ASKED + SECOND), status(LATER, last)) == expected


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_receipt_and_statuses_may_come_in_any_order(order: tuple[int, ...]) -> None:
    """Within the ten minutes for which a message without a command is remembered."""
    told = []
    for minute, place in enumerate(order, 1):
        at = ASKED + minute * MINUTE
        told.append(status(at, ("sent", "delivered", "read")[place - 1]) if place else receipt(at))
    assert became(*told) == FAR


def test_a_status_that_comes_before_its_receipt_waits_for_it() -> None:
    early = status(ASKED + SECOND, "delivered")
    assert became(early) == {}
    assert became(early, receipt(ASKED + MINUTE)) == {"accepted": 1, "sent": 1, "delivered": 1}


def test_a_status_that_names_its_command_needs_no_receipt() -> None:
    assert became(status(LATER, "read", command_id=named())) == FAR


def test_a_status_of_an_unknown_message_moves_nothing() -> None:
    assert became(receipt(ASKED + SECOND), status(LATER, "read", "m9")) == {"accepted": 1}


def test_a_status_never_goes_back() -> None:
    told = [receipt(ASKED + SECOND), status(LATER, "read"), status(LATER + MINUTE, "sent")]
    assert became(*told) == FAR


def test_what_has_failed_has_failed_unless_another_channel_has_not() -> None:
    lost = receipt(ASKED + SECOND, None, status="failed", error=131026)
    assert became(lost) == {"failed": 1}
    sms = receipt(ASKED + MINUTE, "m2", channel="sms")
    assert became(lost, sms) == {"accepted": 1}
    gone = status(LATER, "failed", "m2")
    assert became(lost, sms, gone) == {"accepted": 1, "failed": 1}
    assert became(lost, sms, status(LATER, "delivered", "m2")) == {
        "accepted": 1,
        "sent": 1,
        "delivered": 1,
    }


def test_a_message_is_the_last_commands_that_was_named_for_it() -> None:
    second = asks(ASKED + MINUTE, "q2")
    told = [
        receipt(ASKED + 2 * MINUTE, "m1", status="failed"),
        receipt(ASKED + 3 * MINUTE, "m1", named("q2"), status="failed"),
    ]
    counted = funnel(*salon(), asks(), second, *told)
    assert counted == {"commanded": 2, "failed": 1, "replied": 1} | FAR, "q2 answers q1"


def test_an_answer_is_to_the_last_command_before_it_and_means_that_it_was_read() -> None:
    assert became(wrote(LATER, "a1", "спасибо")) == FAR | {"replied": 1}
    both = [*salon(), asks(), asks(ASKED + MINUTE, "q2")]
    late = wrote(LATER, "a1", "да", ASKED + 30 * SECOND)
    assert funnel(*both, late)["replied"] == 1, "the question that was there then has its answer"
    assert funnel(*both, late, wrote(LATER + MINUTE, "a2", "и ещё"))["replied"] == 2


def test_three_weeks_after_its_command_an_answer_is_none() -> None:
    assert "replied" not in funnel(*salon(), asks(), wrote(ASKED + 22 * DAY, "a1", "да"))
    assert funnel(*salon(), asks(), wrote(ASKED + 20 * DAY, "a1", "да"))["replied"] == 1


def test_utility_is_counted_as_well_and_enrols_nobody() -> None:
    log = [*salon(rule("reply", category="utility", match="цены")), asks(), receipt(ASKED + SECOND)]
    assert funnel(*log) == {"commanded": 1, "accepted": 1}
    assert uplift(*log) == {}


def test_a_row_is_of_the_contacts_day_its_trigger_its_first_channel_and_its_variant() -> None:
    for percent, variant in ((0, "treated"), (100, "holdout")):
        log = [*salon(OFFER, holdout_percent=percent), asks()]
        rows = told_rows(lives(*log), "message_funnel_daily")
        assert rows == {(TENANT, "2026-06-15", "reply", "whatsapp", variant): {"commanded": 1}}


def test_a_refusal_is_no_contact_and_one_that_cannot_be_reached_is() -> None:
    refused = [*salon(consent_default="deny"), asks()]
    assert funnel(*refused) == {}
    failed = [
        receipt(at, message, status="failed", error=131026)
        for at, message in ((ASKED + MINUTE, "m1"), (ASKED + 2 * MINUTE, "m2"))
    ]
    streams = lives(*salon(), asks(), *failed, asks(LATER, "q2"))
    assert [row["reason"] for row in streams.rows("decisions")] == [None, "undeliverable"]
    (row,) = told_rows(streams, "message_funnel_daily").values()
    assert row == {"commanded": 2, "failed": 1, **FAR, "replied": 1}


def test_a_row_is_told_every_ten_seconds_at_most() -> None:
    told = [receipt(ASKED + 11 * SECOND), status(ASKED + 12 * SECOND, "sent")]
    streams = lives(*salon(), asks(), *told, heartbeat(ASKED + 15 * SECOND), until=DONE)
    rows = [r for r in streams.rows("aggregates") if r["table"] == "message_funnel_daily"]
    assert [(row["accepted"], row["sent"]) for row in rows] == [(0, 0), (1, 1)]


def test_what_was_sent_under_an_alias_is_counted_on_when_the_phone_is_learnt() -> None:
    first = writes(TENANT, ASKED, "q1", None, "anna")
    who = lives(*salon(ANY), first).rows("commands")[0]["customer_id"]
    assert who != WHO
    learnt = writes(TENANT, ASKED + HOUR, "q2", PHONE[1:], "anna")
    log = [*salon(ANY), first, receipt(ASKED + SECOND, command=named("q1", who=who)), learnt]
    log.append(status(ASKED + 2 * HOUR, "read"))
    counted = funnel(*log)
    assert counted["commanded"] == 2
    assert counted["read"] == 1
    (row,) = uplift(*log).values()
    assert row == {"customers": 1}, "two contacts of one person are one customer"


def test_a_forgotten_customers_contacts_stay_in_the_totals() -> None:
    forgotten = envelope("forget", TENANT, LATER, customer_id=WHO)
    log = [*salon(), asks(), receipt(ASKED + SECOND), forgotten]
    assert funnel(*log) == {"commanded": 1, "accepted": 1}
    assert list(uplift(*log).values()) == [{"customers": 1}]
    starts = writes(TENANT, LATER + SECOND, "q9", PHONE[1:], None, "START")
    again = [starts, known(LATER + MINUTE, version=9), asks(LATER + HOUR, "q2")]
    assert list(uplift(*log, *again).values()) == [{"customers": 2}], "who was forgotten is nobody"
