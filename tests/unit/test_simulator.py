"""Named cases with their expected decisions: what the simulator says of them, worked out by hand.

The fold is asked as well once everything that the simulator judges by is built.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.decided import (
    by_fold,
    by_simulator,
    funnel_of,
    simulated,
)
from tests.logs import (
    DAY,
    HOUR,
    MINUTE,
    Record,
    card,
    envelope,
    heartbeat,
    lines_of,
    local,
    message_in,
    settings,
    trigger,
    visit,
    whatsapp_status,
)
from tests.people import PHONE, TENANT, ZONE

NOON = local("2026-06-01 12:00", ZONE)
BEGAN = NOON - 5 * DAY


def rules(*triggers: Record, at: int = BEGAN, **told: Any) -> Record:
    """Everybody may be written to, nobody is held out, nothing is capped, unless told."""
    told = {"quiet_hours": ["21:00", "10:00"]} | told
    return settings(TENANT, at, timezone=ZONE, triggers=list(triggers), **told)


def came(start: int = NOON, at: int | None = None, id: str = "v1", **told: Any) -> Record:
    """An hour of a visit, told at its end."""
    body = {"status": "attended", "phone": PHONE, "amount_minor": 200_000, "version": 1}
    return visit(
        TENANT, start + HOUR if at is None else at, id, **body | {"starts_at": start} | told
    )


def ticking(start: int, stop: int) -> list[Record]:
    """A heartbeat every ten minutes."""
    return [heartbeat(at) for at in range(start, stop + 1, 10 * MINUTE)]


def decided(*log: Record) -> list[tuple[str, str, str | None, int]]:
    """Trigger, outcome, reason and moment of every decision, in the order of their moments."""
    told = by_simulator(list(log))
    assert sorted(by_fold(list(log)).decisions, key=str) == sorted(told.decisions, key=str)
    found = sorted(told.decisions, key=lambda each: (each.at, each.position, each.trigger))
    return [(each.trigger, each.outcome, each.reason, each.at) for each in found]


def born(birthday: str, at: int = BEGAN + HOUR) -> Record:
    return card(TENANT, at, "crm-1", version=1, phone=PHONE, birthday=birthday)


@pytest.mark.parametrize(("year", "day"), [("2027", "02-28"), ("2028", "02-29")])
def test_who_was_born_on_29_february_is_congratulated_on_the_28th_in_other_years(
    year: str, day: str
) -> None:
    at = local(f"{year}-{day} 11:00", ZONE)
    rule = trigger("birthday", at="11:00")
    log = [rules(rule, at=at - 20 * DAY), born("1992-02-29", at - 19 * DAY), heartbeat(at - 1)]
    assert decided(*log, heartbeat(at)) == [("birthday", "sent", None, at)]
    assert decided(*log) == []


def test_a_birthday_in_quiet_hours_is_held_until_their_end() -> None:
    rule = trigger("birthday", at="09:00")
    log = [rules(rule), born("1990-06-02"), *ticking(NOON, NOON + DAY)]
    at = local("2026-06-02 09:00", ZONE)
    assert decided(*log) == [
        ("birthday", "held", "quiet_hours", at),
        ("birthday", "sent", None, at + HOUR),
    ]


def test_a_stop_between_hold_and_release_refuses_what_was_held() -> None:
    stop = message_in(TENANT, local("2026-06-02 09:30", ZONE), "m1", PHONE, "Стоп!")
    before = ticking(NOON, local("2026-06-02 09:20", ZONE))
    after = ticking(local("2026-06-02 09:40", ZONE), NOON + DAY)
    yes = card(TENANT, local("2026-06-02 09:40", ZONE), "crm-2", version=1, phone=PHONE,
               consent={"marketing": True})  # fmt: skip
    log = [rules(trigger("birthday", at="09:00")), born("1990-06-02"), *before, stop]
    for told in ([], [yes]):
        (_, *final) = decided(*log, *told, *after)
        assert final == [("birthday", "refused", "consent", local("2026-06-02 10:00", ZONE))]


def test_of_two_that_are_released_together_the_higher_priority_goes_out() -> None:
    pair = [trigger("birthday", at="09:00"), trigger("birthday", id="b2", at="08:00", priority=70)]
    log = [rules(*pair), born("1990-06-02"), *ticking(NOON, NOON + DAY)]
    at = local("2026-06-02 10:00", ZONE)
    assert decided(*log)[2:] == [
        ("b2", "sent", None, at),
        ("birthday", "refused", "priority", at),
    ]


def test_attendance_that_is_marked_next_morning_is_thanked_then_or_is_stale() -> None:
    told = NOON + 22 * HOUR + 30 * MINUTE
    for ttl, outcome in (("24h", ("sent", None)), ("12h", ("refused", "stale"))):
        log = [rules(trigger("after_visit", after="2h", ttl=ttl)), came(at=told)]
        assert decided(*log) == [("after_visit", *outcome, told)]


def test_a_visit_that_is_taken_back_and_attended_again_is_thanked_once() -> None:
    log = [rules(trigger("after_visit", after="0m")), came(at=NOON + HOUR)]
    log += [came(at=NOON + 2 * HOUR, version=2, status="no_show")]
    log += [came(at=NOON + 3 * HOUR, version=3)]
    assert decided(*log) == [("after_visit", "sent", None, NOON + HOUR)]


def test_two_records_of_one_day_are_thanked_for_once_after_the_later_end() -> None:
    log = [rules(trigger("after_visit", after="1h"))]
    log += [came(at=NOON), came(NOON + HOUR, at=NOON, id="v2"), *ticking(NOON, NOON + 5 * HOUR)]
    assert decided(*log) == [("after_visit", "sent", None, NOON + 3 * HOUR)]
    (command,) = by_simulator(log).commands
    assert command.visits == ("v1", "v2")


def test_a_reminder_for_the_early_morning_comes_before_the_quiet_evening() -> None:
    start = local("2026-06-10 08:30", ZONE)
    told: dict[str, Any] = {"status": "booked", "phone": PHONE, "starts_at": start, "version": 1}
    log = [rules(trigger("reminder", before="2h")), visit(TENANT, NOON, "v1", **told)]
    log += ticking(NOON, start)
    assert decided(*log) == [("reminder", "sent", None, local("2026-06-09 21:59", ZONE))]


def test_rebooking_keeps_the_wall_clock_over_a_change_of_clocks() -> None:
    zone = "Europe/Berlin"
    start = local("2026-03-28 12:00", zone)
    log = [
        settings(TENANT, start - DAY, timezone=zone, consent_default="allow", holdout_percent=0,
                 triggers=[trigger("rebook", after_days=1)]),
        came(start, phone="+4915112345678"),
        heartbeat(start + 2 * DAY),
    ]  # fmt: skip
    due = local("2026-03-29 12:00", zone)
    assert due == start + 23 * HOUR
    assert decided(*log) == [("rebook", "sent", None, due)]


def test_caps_count_local_days() -> None:
    """At 23:30, at 00:30 and at 01:30 of the local clock, with room for one a day."""
    rule = trigger("after_visit", after="0m")
    evening = local("2026-06-01 22:30", ZONE)
    caps: dict[str, Any] = {"caps": [{"per_days": 1, "max": 1}], "quiet_hours": ["00:00", "00:00"]}
    log = [rules(rule, **caps), came(evening, branch="b1")]
    log += [came(evening + HOUR, id="v2", branch="b2", at=evening + 2 * HOUR)]
    log += [came(evening + 2 * HOUR, id="v3", branch="b3", at=evening + 3 * HOUR)]
    assert [each[1:3] for each in decided(*log)] == [
        ("sent", None),
        ("sent", None),
        ("refused", "cap"),
    ]


def test_a_customer_who_is_held_out_fills_caps_and_cooldowns_and_gets_nothing() -> None:
    rule = trigger("after_visit", after="0m", cooldown_days=2)
    log = [rules(rule, holdout_percent=100), came()]
    log += [came(NOON + DAY, id="v2"), came(NOON + 2 * DAY, id="v3")]
    assert [each[1:3] for each in decided(*log)] == [
        ("holdout", "holdout"),
        ("refused", "cooldown"),
        ("holdout", "holdout"),
    ]
    assert by_simulator(log).commands == []


def funnel(*log: Record) -> dict[tuple[str, ...], dict[str, int]]:
    towns = simulated(lines_of(list(log)))
    found = funnel_of(towns, "message_funnel_daily")
    return {key[1:]: dict(row) for key, row in found.items()}


@pytest.mark.parametrize(("days", "returned"), [(14, 1), (15, 0)])
@pytest.mark.parametrize("share", [0, 100])
def test_a_return_counts_until_its_last_day_in_both_arms(
    days: int, returned: int, share: int
) -> None:
    log = [rules(trigger("after_visit", after="0m"), holdout_percent=share), came()]
    start = local("2026-06-01 23:00", ZONE) + days * DAY
    back = came(start, id="v2", amount_minor=7)
    variant = "treated" if share == 0 else "holdout"
    row = funnel(*log, back)["2026-06-01", "after_visit", "whatsapp", variant]
    assert (row.get("returned", 0), row.get("revenue_minor", 0)) == (returned, 7 * returned)
    gone = came(start, at=start + 2 * HOUR, id="v2", version=2, status="no_show")
    again = funnel(*log, back, gone)["2026-06-01", "after_visit", "whatsapp", variant]
    assert "returned" not in again


def test_one_visit_credits_the_last_of_two_contacts() -> None:
    log = [rules(trigger("after_visit", after="0m")), came()]
    log += [came(NOON + DAY, id="v2"), came(NOON + 2 * DAY, id="v3")]
    days = {key[0]: row.get("returned", 0) for key, row in funnel(*log).items()}
    assert days == {"2026-06-01": 1, "2026-06-02": 1, "2026-06-03": 0}
    log = [rules(trigger("after_visit", after="0m")), came()]
    log += [came(NOON + HOUR, id="v2", branch="b2"), came(NOON + 3 * DAY, id="v3")]
    rows = funnel(*log)["2026-06-01", "after_visit", "whatsapp", "treated"]
    assert (rows["commanded"], rows["returned"]) == (2, 1)


def test_statuses_before_their_receipt_wait_for_it_and_read_implies_the_rest() -> None:
    log = [rules(trigger("after_visit", after="0m")), came()]
    (command,) = by_simulator(log).commands
    at = NOON + HOUR + MINUTE
    read = whatsapp_status(TENANT, at, "wamid.1", None, "read")
    unknown = whatsapp_status(TENANT, at, "wamid.2", None, "failed")
    receipt = envelope("receipt", TENANT, at + MINUTE, command_id=command.command,
                       message_id="wamid.1", channel="whatsapp", status="accepted")  # fmt: skip
    whole = {"commanded": 1, "accepted": 1, "sent": 1, "delivered": 1, "read": 1}
    key = ("2026-06-01", "after_visit", "whatsapp", "treated")
    assert funnel(*log, read, unknown, receipt)[key] == whole
    assert funnel(*log, unknown, receipt)[key] == {"commanded": 1, "accepted": 1}
    assert funnel(*log, read, unknown)[key] == {"commanded": 1}
