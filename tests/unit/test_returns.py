"""A visit after a contact, and not too long after it, is a return: once, in both arms alike."""

from __future__ import annotations

from typing import Any

import pytest

from tests.agenda import came, known, rule
from tests.contacts import ANY, ASKED, OFFER, asks, funnel, lives, salon, uplift
from tests.decided import told_rows
from tests.logs import DAY, HOUR, MINUTE, Record, settings
from tests.people import PHONE, TENANT, writes

NEXT = ASKED + DAY
BACK = {"commanded": 1, "returned": 1, "revenue_minor": 90_000}


def visits(starts_at: int, id: str = "v1", at: int | None = None, **told: Any) -> Record:
    """An attended visit, marked an hour after its start."""
    body: Record = {"amount_minor": 90_000, "version": 1} | told
    return came(starts_at + HOUR if at is None else at, starts_at, id, **body)


@pytest.mark.parametrize(
    ("starts_at", "expected"),
    [
        (ASKED - HOUR, {"commanded": 1}),
        (ASKED, {"commanded": 1}),
        (ASKED + MINUTE, BACK),
        (ASKED + 14 * DAY, BACK),
        (ASKED + 15 * DAY, {"commanded": 1}),
    ],
)
def test_a_return_starts_after_the_contact_and_on_the_last_allowed_day_at_the_latest(
    starts_at: int, expected: dict[str, int]
) -> None:
    assert funnel(*salon(), asks(), visits(starts_at, at=ASKED + 16 * DAY)) == expected


def test_the_tenant_says_how_many_days_and_a_contact_keeps_what_was_said() -> None:
    late = visits(ASKED + 3 * DAY)
    assert "returned" not in funnel(*salon(return_days=2), asks(), late)
    changed = settings(TENANT, NEXT, timezone="Asia/Almaty", triggers=[OFFER], return_days=9)
    assert "returned" not in funnel(*salon(return_days=2), asks(), changed, late)


def test_a_retracted_return_takes_its_credit_back_and_may_come_again() -> None:
    log = [*salon(), asks(), visits(NEXT)]
    gone = visits(NEXT, at=NEXT + 2 * HOUR, version=2, status="no_show")
    assert funnel(*log, gone) == {"commanded": 1}
    assert funnel(*log, gone, visits(NEXT, at=NEXT + 3 * HOUR, version=3)) == BACK


def test_a_visit_credits_the_last_contact_before_it_and_no_other() -> None:
    second = asks(ASKED + DAY, "q2")
    rows = told_rows(
        lives(*salon(), asks(), second, visits(ASKED + 2 * DAY)), "message_funnel_daily"
    )
    returned = {key[1]: row["returned"] for key, row in rows.items()}
    assert returned == {"2026-06-15": 0, "2026-06-16": 1}


def test_of_contacts_at_one_instant_the_same_is_credited_before_and_after_a_restart() -> None:
    log = [*salon(caps=[]), asks(), asks(ASKED, "q2"), visits(NEXT)]
    again = visits(NEXT, at=NEXT + 2 * HOUR, version=2, staff="Anna")
    assert funnel(*log, again) == BACK | {"commanded": 2}


def test_a_contact_is_credited_once_by_the_earliest_visit_however_late_it_is_told() -> None:
    late, early = visits(NEXT + 2 * DAY, "v2", amount_minor=50_000), visits(NEXT, at=NEXT + 5 * DAY)
    assert funnel(*salon(), asks(), late)["revenue_minor"] == 50_000
    assert funnel(*salon(), asks(), late, early) == BACK


def test_the_money_of_a_return_is_its_own_and_follows_corrections() -> None:
    again = visits(NEXT, at=NEXT + 2 * HOUR, version=2, amount_minor=10_000)
    assert funnel(*salon(), asks(), visits(NEXT), again)["revenue_minor"] == 10_000


def test_a_holdout_customer_who_returns_is_counted_as_any_other() -> None:
    log = [*salon(holdout_percent=100), asks(), visits(NEXT)]
    assert funnel(*log) == BACK
    assert uplift(*log) == {
        ("2026-06", "reply", "holdout"): {
            "customers": 1,
            "returned": 1,
            "revenue_minor": 90_000,
            "revenue_squared": 90_000**2,
        }
    }


def test_utility_is_credited_with_nothing() -> None:
    utility = rule("reply", category="utility", match="цены")
    assert funnel(*salon(utility), asks(), visits(NEXT)) == {"commanded": 1}


def test_a_visit_that_is_attended_before_its_contact_is_made_may_still_be_after_it() -> None:
    ahead = visits(ASKED + 2 * HOUR, at=ASKED - HOUR)
    assert funnel(*salon(), ahead, asks()) == BACK


def test_a_customer_is_enrolled_once_a_month_and_trigger_with_all_that_came_of_it() -> None:
    july = 16 * DAY  # from 15 June
    log = [*salon(), asks(), asks(NEXT, "q2"), asks(ASKED + july, "q3")]
    log += [visits(ASKED + HOUR), visits(NEXT + HOUR, "v2", amount_minor=10_000)]
    assert uplift(*log) == {
        ("2026-06", "reply", "treated"): {
            "customers": 1,
            "returned": 1,
            "revenue_minor": 100_000,
            "revenue_squared": 100_000**2,
        },
        ("2026-07", "reply", "treated"): {"customers": 1},
    }


def test_squares_of_money_pass_64_bits_and_stay_exact() -> None:
    rich = visits(NEXT, amount_minor=10**12 + 1, currency="KZT")
    ((_, row),) = uplift(*salon(), asks(), rich).items()
    assert row["revenue_squared"] == (10**12 + 1) ** 2


def test_two_customers_who_turn_out_to_be_one_are_enrolled_as_one() -> None:
    alone = writes(TENANT, ASKED, "q1", None, "anna")
    phoned = writes(TENANT, ASKED + HOUR, "q2", PHONE[1:], None)
    learnt = writes(TENANT, ASKED + 2 * HOUR, "q3", PHONE[1:], "anna")
    month = "2026-06", "reply", "treated"
    assert uplift(*salon(ANY), alone, phoned)[month] == {"customers": 2}
    assert uplift(*salon(ANY), alone, phoned, learnt)[month] == {"customers": 1}
    returned = uplift(*salon(ANY), alone, phoned, learnt, visits(NEXT))[month]
    assert returned["returned"] == 1


def test_a_return_stays_when_its_visit_leaves_the_window() -> None:
    narrow = {"scoring": {"window_days": 5}}
    log = [*salon(**narrow), asks(), visits(NEXT)]
    assert funnel(*log, until=ASKED + 40 * DAY) == BACK
    gone = visits(NEXT, at=NEXT + 8 * DAY, version=2, status="no_show")
    assert funnel(*log, gone) == BACK
    wider = settings(
        TENANT,
        NEXT + 8 * DAY,
        timezone="Asia/Almaty",
        triggers=[OFFER],
        scoring={"window_days": 90},
    )
    moved = known(NEXT + 9 * DAY, version=7, locale="ru")
    assert funnel(*log, wider, moved) == BACK


def test_after_sixty_days_a_contact_changes_no_more() -> None:
    log = [*salon(), asks(), visits(NEXT)]
    late = visits(NEXT, at=ASKED + 61 * DAY, version=2, status="no_show")
    early = visits(NEXT, at=ASKED + 58 * DAY, version=2, status="no_show")
    assert funnel(*log, late) == BACK
    assert funnel(*log, early) == {"commanded": 1}


def test_a_client_that_changes_its_phone_takes_its_visits_to_the_others_contacts() -> None:
    log = [*salon(), asks(), visits(NEXT)]
    moved = known(NEXT + 2 * HOUR, version=5, phone="+77019999999")
    assert funnel(*log, moved) == {"commanded": 1}
