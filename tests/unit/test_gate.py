"""Every due trigger ends with one decision: the first step of the gate that refuses it."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.keys import in_holdout
from tests.engine import Streams, comparable, run
from tests.logs import (
    DAY,
    HOUR,
    MINUTE,
    Record,
    card,
    client,
    envelope,
    heartbeat,
    lines_of,
    local,
    message_in,
    ms,
    settings,
    trigger,
    visit,
)
from tests.people import PHONE, TENANT, WHO, ZONE, telegram

NOON = local("2026-06-01 12:00", ZONE)
TOLD = {"scoring": {"monetary": [500_000, 100_000], "frequency": [3, 2]}}
OFFER = trigger("segment_entered", segments=["312"], channels=["whatsapp", "sms"], cooldown_days=0)
HANDOVER = trigger("reply", match="менеджер")


def rules(*triggers: Record, at: int = NOON - DAY, tenant: str = TENANT, **told: Any) -> Record:
    return settings(tenant, at, timezone=ZONE, triggers=list(triggers) or [OFFER], **TOLD | told)


def came(at: int = NOON, id: str = "v1", tenant: str = TENANT, **told: Any) -> Record:
    """The customer's first visit, which leads into 312."""
    body: Record = {"status": "attended", "phone": PHONE, "amount_minor": 200_000, "version": 1}
    return visit(tenant, at, id, **body | {"starts_at": at} | told)


def says(text: str, at: int, phone: str = PHONE) -> Record:
    return message_in(TENANT, at, f"m{at}", phone, text)


def failed(command: str, at: int, channel: str = "whatsapp", error: int = 131026) -> Record:
    told = {"command_id": command, "channel": channel, "status": "failed", "error": error}
    return envelope("receipt", TENANT, at, **told)


def decisions(streams: Streams) -> list[tuple[str, str, str | None]]:
    """(trigger, outcome, reason) of every decision."""
    told = streams.rows("decisions")
    return [(row["trigger"], row["outcome"], row["reason"]) for row in told]


def outcomes(*log: Record) -> list[tuple[str, str | None]]:
    """The same without the trigger; any cutting of the log gives them."""
    lines = lines_of(list(log))
    whole, single = run(lines), run(lines, cuts=range(len(lines)))
    assert comparable(whole) == comparable(single)
    return [(outcome, reason) for _, outcome, reason in decisions(whole)]


SENT, NO_CONSENT = ("sent", None), ("refused", "consent")


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({}, ("refused", "consent")),
        ({"consent_default": "allow"}, ("sent", None)),
    ],
)
def test_who_has_said_nothing_is_the_settings_to_judge(
    asked: dict[str, Any], told: tuple[str, str | None]
) -> None:
    assert outcomes(rules(**{"consent_default": "deny"} | asked), came()) == [told]


def consents(**told: Any) -> Record:
    return card(TENANT, NOON - HOUR, "crm-1", version=1, phone=PHONE, **told)


def test_a_card_gives_consent_and_takes_it_back() -> None:
    log = [rules(consent_default="deny"), consents(consent={"marketing": True})]
    assert outcomes(*log, came()) == [SENT]
    told = {"phone": PHONE, "consent": {"marketing": False}}
    back = card(TENANT, NOON - MINUTE, "crm-1", version=2, **told)
    assert outcomes(*log, back, came()) == [NO_CONSENT]


def test_a_denial_by_any_card_of_a_phone_binds_all_until_it_or_a_word_lifts_it() -> None:
    yes, no = {"consent": {"marketing": True}}, {"consent": {"marketing": False}}
    denies = consents(**no)
    other = card(TENANT, NOON - 30 * MINUTE, "crm-2", version=1, phone=PHONE, **yes)
    log = [rules(), denies, other]
    streams = run(lines_of([*log, came()]))
    assert decisions(streams) == [("segment_entered", "refused", "consent")]
    consent = streams.profiles()[WHO]["consent"]["marketing"]
    assert (consent["value"], consent["source"]) == (False, "client")
    assert ms(consent["at"]) == NOON - HOUR
    agrees = card(TENANT, NOON - MINUTE, "crm-1", version=2, phone=PHONE, **yes)
    assert outcomes(*log, agrees, came()) == [SENT]
    assert outcomes(*log, says("START", NOON - MINUTE), came()) == [SENT]
    assert outcomes(rules(), says("START", NOON - 2 * HOUR), *log, came()) == [NO_CONSENT]


def test_no_consent_of_another_card_lifts_sms_not() -> None:
    told = client(TENANT, NOON - HOUR, 7, phone=PHONE, version=1)
    told["body"]["data"]["sms_not"] = 1
    other = card(
        TENANT, NOON - MINUTE, "crm-2", version=1, phone=PHONE, consent={"marketing": True}
    )
    (sent,) = run(lines_of([rules(), told, other, came()])).rows("commands")
    assert sent["channels"] == ["whatsapp"]


def test_no_card_lifts_an_opt_out() -> None:
    log = [rules(), consents(consent={"marketing": True}), says("СТОП!", NOON - 30 * MINUTE)]
    lifts = card(
        TENANT, NOON - MINUTE, "crm-1", version=2, phone=PHONE, consent={"marketing": True}
    )
    streams = run(lines_of([*log, lifts, came()]))
    assert decisions(streams) == [("segment_entered", "refused", "consent")]
    consent = streams.profiles()[WHO]["consent"]["marketing"]
    assert (consent["value"], consent["source"]) == (False, "message")
    assert ms(consent["at"]) == NOON - 30 * MINUTE
    assert outcomes(*log, says("Старт", NOON - MINUTE), came()) == [SENT]


def test_a_word_that_comes_late_is_as_old_as_it_is() -> None:
    late = says("STOP", NOON - 3 * MINUTE)
    late["body"]["at"] = says("", NOON - 9 * MINUTE)["body"]["at"]
    assert outcomes(rules(), says("START", NOON - 5 * MINUTE), late, came()) == [SENT]


def test_sms_not_denies_sms_only() -> None:
    told = client(TENANT, NOON - HOUR, 7, phone=PHONE, version=1)
    told["body"]["data"]["sms_not"] = 1
    streams = run(lines_of([rules(), told, came()]))
    (sent,) = streams.rows("commands")
    assert sent["channels"] == ["whatsapp"]
    consent = streams.profiles()[WHO]["consent"]
    assert [(key, each["value"]) for key, each in consent.items()] == [("marketing:sms", False)]
    by_sms = OFFER | {"channels": ["sms"]}
    assert outcomes(rules(by_sms), told, came()) == [NO_CONSENT]


def test_an_opt_out_survives_a_merge() -> None:
    """Someone without a phone wants no more; then the phone is learnt."""
    stop = telegram(TENANT, NOON - HOUR, "z1", "555000111")
    stop["body"]["messages"][0]["text"] = "отписаться"
    learnt = consents(consent={"marketing": True}, aliases={"telegram": "555000111"})
    learnt["received_at"] = rules(at=NOON - MINUTE)["received_at"]
    assert outcomes(rules(), stop, learnt, came()) == [NO_CONSENT]


def test_a_policy_and_a_missing_phone_strike_channels() -> None:
    banned = rules(channel_policy={"marketing": ["!whatsapp"]})
    (sent,) = run(lines_of([banned, came()])).rows("commands")
    assert sent["channels"] == ["sms"]
    both = rules(channel_policy={"marketing": ["!whatsapp", "!sms"]})
    assert outcomes(both, came()) == [("refused", "channel")]
    asks = telegram(TENANT, NOON, "z1", "555000111")
    asks["body"]["messages"][0]["text"] = "менеджер"
    assert outcomes(rules(HANDOVER), asks) == [("refused", "channel")]
    by_telegram = rules(HANDOVER | {"channels": ["sms", "telegram"]})
    (sent,) = run(lines_of([by_telegram, asks])).rows("commands")
    assert sent["channels"] == ["telegram"]


def entered_again(*days: int) -> list[Record]:
    """Visits that come and are taken back, so that the customer enters 312 on these days."""
    log = []
    for day in days:
        at = NOON + day * DAY
        log.append(came(at, f"v{day}"))
        log.append(came(at, f"v{day}", status="cancelled", version=2))
        log[-1]["received_at"] = came(at + MINUTE)["received_at"]
    return log


@pytest.mark.parametrize(("days", "again"), [(2, "refused"), (3, "sent")])
def test_a_cooldown_counts_local_days(days: int, again: str) -> None:
    cooling = rules(OFFER | {"cooldown_days": 3})
    told = outcomes(cooling, *entered_again(0, days))
    assert [outcome for outcome, _ in told] == ["sent", again]


def test_a_cap_ends_at_the_edge_of_the_local_day() -> None:
    first = local("2026-06-01 23:50", ZONE)
    log = [rules(caps=[{"per_days": 1, "max": 1}])]
    for number, at in enumerate((first, first + 5 * MINUTE, first + 11 * MINUTE)):
        log += [came(at, f"v{number}"), came(at, f"v{number}", status="cancelled", version=2)]
        log[-1]["received_at"] = came(at + MINUTE)["received_at"]
    assert outcomes(*log) == [SENT, ("refused", "cap"), SENT]


def test_a_cap_over_days_counts_today_and_those_before() -> None:
    log = [rules(caps=[{"per_days": 3, "max": 2}]), *entered_again(0, 1, 2, 3)]
    assert outcomes(*log) == [SENT, SENT, ("refused", "cap"), SENT]


def test_utility_fills_no_cap_and_meets_none() -> None:
    thanks = trigger("reply", id="thanks")
    log = [rules(OFFER, thanks, caps=[{"per_days": 1, "max": 1}], holdout_percent=100)]
    log += [says("да", NOON - HOUR + at) for at in (0, MINUTE)]
    assert outcomes(*log) == [SENT, SENT]


def test_a_holdout_customer_gets_no_marketing_and_fills_caps_as_if() -> None:
    log = [rules(caps=[{"per_days": 7, "max": 1}], holdout_percent=100), *entered_again(0, 1)]
    streams = run(lines_of(log))
    told = [(outcome, reason) for _, outcome, reason in decisions(streams)]
    assert told == [("holdout", "holdout"), ("refused", "cap")]
    assert streams.rows("commands") == []


def test_the_holdout_is_a_share_that_only_grows() -> None:
    people = [str(77010000000 + number) for number in range(4_000)]
    few = {who for who in people if in_holdout("t1", who, 10)}
    assert 320 <= len(few) <= 480
    assert few <= {who for who in people if in_holdout("t1", who, 20)}
    assert not any(in_holdout("t1", who, 0) for who in people)
    assert all(in_holdout("t1", who, 100) for who in people[:50])


def test_two_tenants_with_one_phone_have_nothing_in_common() -> None:
    log = [rules(), rules(tenant="t2"), says("STOP", NOON - HOUR), came(), came(tenant="t2")]
    rows = run(lines_of(log)).rows("decisions")
    assert {row["tenant"]: row["outcome"] for row in rows} == {"t1": "refused", "t2": "sent"}


def sent_ids(*log: Record) -> list[str]:
    return [row["command_id"] for row in run(lines_of(list(log))).rows("commands")]


@pytest.mark.parametrize(
    ("after", "error", "told"),
    [
        (1, 131026, "undeliverable"),
        (11, 131026, "undeliverable"),
        (16, 131026, None),
        (1, 130429, None),
    ],
)
def test_two_messages_that_reach_nobody_make_a_customer_undeliverable(
    after: int, error: int, told: str | None
) -> None:
    log = [rules(), *entered_again(0, 1)]
    first, second = sent_ids(*log)
    log.insert(3, failed(first, NOON + HOUR, error=error))
    log.append(failed(second, NOON + DAY + HOUR, error=error))
    log.append(failed(second, NOON + DAY + HOUR, error=error))
    assert outcomes(*log, *entered_again(1 + after))[-1] == ("refused" if told else "sent", told)


def test_one_message_that_fails_twice_is_one_failure() -> None:
    log = [rules(), *entered_again(0)]
    (only,) = sent_ids(*log)
    log += [failed(only, NOON + HOUR), failed(only, NOON + 2 * HOUR)]
    assert outcomes(*log, *entered_again(1))[-1] == SENT


def test_a_failure_that_comes_before_its_receipt_counts_with_it() -> None:
    log = [rules(), *entered_again(0, 1)]
    first, second = sent_ids(*log)
    early = envelope("webhook", TENANT, NOON + DAY + 2 * MINUTE, provider="wazzup", body={
        "statuses": [{"messageId": "w1", "timestamp": "2026-06-02T07:02:00Z", "status": "error",
                      "error": 131026}]})  # fmt: skip
    named = {"command_id": second, "channel": "whatsapp", "message_id": "w1", "status": "accepted"}
    receipt = envelope("receipt", TENANT, NOON + DAY + 5 * MINUTE, **named)
    log.insert(3, failed(first, NOON + HOUR))
    assert outcomes(*log, early, *entered_again(2))[-1] == SENT
    assert outcomes(*log, early, receipt, *entered_again(2))[-1] == ("refused", "undeliverable")


def test_of_several_at_once_the_highest_priority_goes_out_then_the_smallest_id() -> None:
    low = OFFER | {"id": "a", "priority": 10}
    log = [rules(OFFER | {"id": "c"}, OFFER | {"id": "b"}, low), came()]
    told = decisions(run(lines_of(log)))
    assert sorted(told) == [
        ("a", "refused", "priority"),
        ("b", "sent", None),
        ("c", "refused", "priority"),
    ]


def test_a_booking_to_come_stands_against_coming_back() -> None:
    missed = trigger("no_show", after="1h", cooldown_days=0)
    log = [rules(missed), came(status="no_show"), heartbeat(NOON + 2 * HOUR)]
    assert outcomes(*log) == [SENT]
    later = came(NOON - HOUR, "v2", status="booked", starts_at=NOON + 5 * DAY)
    assert outcomes(log[0], later, *log[1:]) == [("refused", "future_booking")]
    soon = came(NOON - HOUR, "v2", status="booked", starts_at=NOON + 30 * MINUTE)
    assert outcomes(log[0], soon, *log[1:])[-1] == SENT
    assert outcomes(log[0], soon, later | {"body": later["body"] | {"id": "v3"}}, *log[1:]) == [
        ("refused", "future_booking")
    ]
