"""Rules in whole sentences: who gets what, how, when, how often."""

from __future__ import annotations

from typing import Any

import pytest

from flows.rule_texts import SENTENCES, conduct_texts, duration, rule_text
from schemas.settings import TenantSettings, parse_settings

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000


def settings_with(trigger: dict[str, Any], **others: Any) -> TenantSettings:
    told = {"id": "x", "channels": ["whatsapp", "sms"], "template": "t_ru"} | trigger
    return parse_settings({"triggers": [told], **others}, "tenants.t")


def told(trigger: dict[str, Any], locale: str = "en", **others: Any) -> str:
    return rule_text(settings_with(trigger, **others).triggers[0], SENTENCES[locale])


def test_a_win_back_says_who_what_how_when_and_how_often() -> None:
    winback = {
        "kind": "winback", "after_days": 60, "at": "11:00", "template": "winback_ru",
        "segments": ["133", "132"],
    }  # fmt: skip
    assert told(winback) == (
        "Every customer in 133 or 132 who has not come for 60 days and has nothing booked gets "
        "«winback_ru» by WhatsApp, else SMS, at 11:00, at most once in 90 days, if marketing is "
        "agreed to; never later than 72 hours after that."
    )
    assert told(winback, "ru") == (
        "Каждый клиент из 133 или 132, который не был 60 дней и никуда не записан, получает "
        "«winback_ru» в WhatsApp, иначе по SMS в 11:00, не чаще раза в 90 дней, если согласен на "
        "рекламу; позже чем через 72 часа не отправляется."
    )


@pytest.mark.parametrize(
    ("days", "says"),
    [
        (0, "on their birthday at 10:00"),
        (1, "1 day before their birthday at 10:00"),
        (-2, "2 days after their birthday at 10:00"),
    ],
)
def test_a_birthday_is_met_on_before_or_after_the_day(days: int, says: str) -> None:
    assert says in told({"kind": "birthday", "days_before": days})


def test_an_offer_is_the_one_of_the_segment() -> None:
    entered = {"kind": "segment_entered", "segments": ["133"], "from": ["233"], "template": "offer"}
    said = told(entered, offers={"133": {"template": "vip"}})
    assert said.startswith(
        "Every customer who enters 133 from 233 gets the offer of their segment by WhatsApp"
    )


def test_words_of_a_reply_are_quoted() -> None:
    reply = {"kind": "reply", "match": ["перенести", "позже"]}
    assert "который пишет «перенести» или «позже», получает" in told(reply, "ru")


@pytest.mark.parametrize(
    ("ms", "english", "russian"),
    [
        (24 * HOUR, "24 hours", "24 часа"),
        (90 * MINUTE, "1 hour 30 minutes", "1 час 30 минут"),
        (4 * DAY, "4 days", "4 дня"),
        (21 * DAY, "21 days", "21 день"),
        (0, "0 minutes", "0 минут"),
    ],
)
def test_a_length_of_time_is_said_in_words(ms: int, english: str, russian: str) -> None:
    assert duration(ms, SENTENCES["en"]) == english
    assert duration(ms, SENTENCES["ru"]) == russian


def test_what_holds_for_all_rules_leaves_out_what_is_switched_off() -> None:
    reminder = {"kind": "reminder", "before": "24h"}
    settings = settings_with(reminder, quiet_hours=["00:00", "00:00"], caps=[], holdout_percent=0)
    assert conduct_texts(settings, SENTENCES["en"]) == [
        "Reminders and answers are sent from 08:00 to 22:00 only.",
        "Who has not agreed to marketing gets none.",
    ]
