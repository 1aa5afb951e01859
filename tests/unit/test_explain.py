"""What a customer's path says, line by line, in both languages."""

from __future__ import annotations

import io
from dataclasses import fields
from typing import Any, get_args

import pytest
from rich.cells import cell_len
from rich.console import Console

from flows.customer_path import MESSAGES, CustomerPath, Moment, Thresholds
from flows.explain_screen import show
from flows.explain_texts import PATH_TEXTS, PathTexts, money, phrase
from schemas.outputs import Cause, Consent, Profile, Reason

AT = 1_774_000_000_000  # 20 March 2026, 09:46:40 UTC
VISIT = {
    "starts_at": "2026-03-20T07:00:00Z", "local_start": "2026-03-20T12:00:00", "branch": "b1",
    "services": ["стрижка", "укладка"], "money_minor": 700_050, "imported": False,
}  # fmt: skip
COMMAND = {
    "trigger": "bday", "command_id": "c", "reason": None, "template": "bday_ru",
    "channels": ["whatsapp", "sms"],
}  # fmt: skip
THRESHOLDS = Thresholds(365, (60, 120), (6, 3), (3_000_000, 1_000_000), "v")
SCORED = {"recency_days": 61, "frequency": 2, "monetary_minor": 1_650_000}
LINES: list[tuple[str, dict[str, Any], str, str]] = [
    ("booked", VISIT | {"money_minor": None},
     "books 20 Mar 12:00, b1: стрижка, укладка", "запись на 20 мар 12:00, b1: стрижка, укладка"),
    ("confirmed", VISIT, "confirms 20 Mar 12:00", "подтверждение: 20 мар 12:00"),
    ("moved", VISIT | {"was": "2026-03-19T12:00:00"},
     "the booking of 19 Mar 12:00 moves to 20 Mar 12:00",
     "запись на 19 мар 12:00 перенесена на 20 мар 12:00"),
    ("attended", VISIT, "comes on 20 Mar 12:00, b1: стрижка, укладка, 7,000.50 KZT",
     "визит 20 мар 12:00, b1: стрижка, укладка, 7\u00a0000.50 KZT"),
    ("attended", VISIT | {"imported": True, "services": [], "branch": None, "money_minor": 0},
     "comes on 20 Mar 12:00: 0 KZT (history)", "визит 20 мар 12:00: 0 KZT (история)"),
    ("no_show", VISIT, "does not come on 20 Mar 12:00", "неявка: 20 мар 12:00"),
    ("cancelled", VISIT, "cancels 20 Mar 12:00", "отмена: 20 мар 12:00"),
    ("deleted", VISIT, "the visit of 20 Mar 12:00 is deleted", "визит 20 мар 12:00 удалён"),
    ("repriced", VISIT | {"was_minor": 900_000},
     "the visit of 20 Mar 12:00 brought 7,000.50 KZT, not 9,000 KZT",
     "визит 20 мар 12:00 принёс 7\u00a0000.50 KZT, а не 9\u00a0000 KZT"),
    ("taken", VISIT, "the visit of 20 Mar 12:00 is somebody else's",
     "визит 20 мар 12:00 оказался чужим"),
    ("paid", {"day": "2026-03-20", "money_minor": 50_000, "was_minor": None},
     "pays 500 KZT on 20 Mar beside visits", "оплата помимо визитов, 20 мар: 500 KZT"),
    ("wrote", {"channel": "whatsapp", "kind": "text"}, "writes by whatsapp",
     "пишет, канал whatsapp"),
    ("agreed", {"category": "marketing", "source": "client", "since": ""},
     "agrees to marketing, on the card", "согласие на рекламу, в карточке"),
    ("denied", {"category": "marketing", "source": "message", "since": ""},
     "refuses marketing, in a message", "отказ от рекламы, в сообщении"),
    ("segment", {"from": "322", "to": "222", "cause": "time"} | SCORED,
     "322 → 222 Need attention: time has passed; R2, 61 days since the last visit",
     "322 → 222 Требуют внимания: прошло время; R2, дней с последнего визита: 61"),
    ("segment", {"from": "000", "to": "312", "cause": "history"},
     "000 → 312 New customers: history was imported", "000 → 312 Новички: загружена история"),
    ("commanded", COMMAND, "bday: send «bday_ru» by whatsapp, sms",
     "bday: отправить «bday_ru», канал whatsapp, sms"),
    ("commanded", {"trigger": "bday", "command_id": "c", "reason": None},
     "bday: sent", "bday: отправлено"),
    ("held", {"trigger": "bday", "reason": "quiet_hours"},
     "bday: waits, these are quiet hours", "bday: ждёт, идут тихие часы"),
    ("refused", {"trigger": "bday", "reason": "cap"},
     "bday: not sent, no more messages may be sent in these days",
     "bday: не отправлено, за эти дни больше отправлять нельзя"),
    ("holdout", {"trigger": "bday", "reason": "holdout"},
     "bday: not sent, one of those who get no marketing, so that its effect can be told",
     "bday: не отправлено, контрольная группа: рекламы не получает, с ней сравнивают"),
    ("withdrawn", {"trigger": "day", "reason": None},
     "day: taken back, as what it was about has changed", "day: отозвано, повод изменился"),
    ("accepted", {"trigger": "day"}, "day: taken by the sender", "day: принято отправителем"),
    ("sent", {"trigger": "day"}, "day: on its way", "day: ушло"),
    ("delivered", {"trigger": "day"}, "day: delivered", "day: доставлено"),
    ("read", {"trigger": "day"}, "day: read", "day: прочитано"),
    ("replied", {"trigger": "day"}, "day: answered", "day: получен ответ"),
    ("failed", {"trigger": "day"}, "day: reached nobody", "day: не дошло"),
    ("returned", {"trigger": "day", "starts_at": "2026-03-20T07:00:00Z", "money_minor": 100},
     "day: the visit of 20 Mar 2026 12:00 is its return, 1 KZT",
     "day: визит 20 мар 2026 12:00 засчитан как возвращение, 1 KZT"),
    ("uncredited", {"trigger": "day", "starts_at": "2026-03-20T07:00:00Z"},
     "day: the visit of 20 Mar 2026 12:00 is its return no more",
     "day: визит 20 мар 2026 12:00 больше не засчитан"),
    ("merged", {"customer_id": "aa", "into": "bb"}, "aa is the same person: joined into bb",
     "aa тот же человек: объединён с bb"),
    ("forgotten", {}, "is forgotten, as was asked for", "данные удалены по просьбе"),
]  # fmt: skip


def path_of(*moments: Moment) -> CustomerPath:
    path = CustomerPath("salon", "39905e2a", "log", "Asia/Almaty", "Persona", "KZT", "deny")
    path.profile = Profile(
        tenant="salon", customer_id="39905e2a", phone="+77011234567", name="Мария Петрова",
        aliases={"whatsapp_bsuid": "KZ.123456"}, segment="312", r=3, f=1, m=2, recency_days=31,
        frequency=2, monetary_minor=1_650_000, currency="KZT",
        last_visit_at="2026-03-20T07:00:00Z", next_booking_at="2026-04-20T10:30:00Z",
        birthday="1990-02-28", as_of="2026-04-19T19:00:00Z", position=5,
        consent={"marketing": Consent(True, "2026-03-20T07:00:00Z", "client")},
    )  # fmt: skip
    path.thresholds = THRESHOLDS
    path.moments = [*moments]
    return path


def drawn(
    path: CustomerPath, locale: str, width: int = 80, last: int = 0, names: bool = False
) -> str:
    text = io.StringIO()
    show(Console(file=text, width=width, highlight=False), PATH_TEXTS[locale], path, names, last)
    return text.getvalue()


@pytest.mark.parametrize("line", LINES, ids=[f"{n}-{line[0]}" for n, line in enumerate(LINES)])
def test_every_moment_is_told_in_both_languages(
    line: tuple[str, dict[str, Any], str, str],
) -> None:
    what, facts, english, russian = line
    moment = Moment(AT, 0, what, facts)
    assert phrase(PATH_TEXTS["en"], path_of(), moment) == english
    assert phrase(PATH_TEXTS["ru"], path_of(), moment) == russian


def test_no_moment_is_left_out_of_these_tests() -> None:
    for texts in PATH_TEXTS.values():
        assert {line[0] for line in LINES} == {*texts.moments, *texts.messages}
        assert {*texts.messages} == {*MESSAGES}


def test_both_languages_say_the_same_things() -> None:
    english, russian = PATH_TEXTS.values()
    for each in fields(PathTexts):
        told = getattr(english, each.name)
        if isinstance(told, dict):
            assert told.keys() == getattr(russian, each.name).keys()
    for texts in PATH_TEXTS.values():
        assert {*texts.reasons} == {*get_args(Reason)}
        assert {*texts.causes} == {*get_args(Cause)}


@pytest.mark.parametrize("locale", PATH_TEXTS)
def test_the_head_tells_each_digit_with_what_it_was_scored_by(locale: str) -> None:
    told = " ".join(drawn(path_of(), locale, 120).split())
    for number in ("R3", "31", "60", "120", "F1", "F3", "M2", "KZT", "39905e2a", "312"):
        assert number in told
    assert "16,500 KZT" in told or "16 500 KZT" in told
    assert "{" not in told


def test_the_phone_is_masked_and_the_name_is_shown_only_on_request() -> None:
    for locale in PATH_TEXTS:
        hidden, named = (drawn(path_of(), locale, names=names) for names in (False, True))
        assert "+7 *** ** 67" in hidden
        assert "Мария" not in hidden
        assert "Мария" in named
        for told in (hidden, named):
            assert "1234567" not in told
            assert "Петрова" not in told
            assert "123456" not in told
    for names in (False, True):
        told = str(path_of().as_json(names))
        assert ("Мария" in told) == names
        assert not any(secret in told for secret in ("1234567", "Петрова", "KZ.123456", "1990"))


def test_what_becomes_of_a_message_within_a_minute_is_one_line() -> None:
    own, other = {"trigger": "bday"}, {"trigger": "day"}
    moments = [Moment(AT, 3, "accepted", own), Moment(AT + 900, 3, "sent", own)]
    later = [Moment(AT + 1_000, 3, "sent", other), Moment(AT + 80_000, 3, "read", other)]
    lines = drawn(path_of(*moments, *later), "en").splitlines()[-3:]
    assert [line.partition("  ")[2].strip() for line in lines] == [
        "bday: taken by the sender, on its way", "day: on its way", "day: read",
    ]  # fmt: skip


@pytest.mark.parametrize("locale", PATH_TEXTS)
@pytest.mark.parametrize("width", [80, 100])
def test_a_long_path_fits_a_screen_and_says_what_is_not_shown(locale: str, width: int) -> None:
    moments = [Moment(AT + n * 86_400_000, 0, line[0], line[1]) for n, line in enumerate(LINES)]
    whole = drawn(path_of(*moments), locale, width)
    assert max(map(cell_len, whole.splitlines())) <= width
    told = drawn(path_of(*moments), locale, width, last=5)
    assert str(len(LINES) - 5) in told
    assert len(told.splitlines()) < len(whole.splitlines())


def test_a_lead_a_merged_one_and_a_forgotten_one_are_told_apart() -> None:
    path = path_of()
    path.forgotten_at, path.profile = "2026-03-20T07:00:00Z", None
    assert "Forgotten 20 Mar 2026 12:00" in drawn(path, "en")
    path = path_of()
    path.merged_into, path.merged_from = "bb", ["cc"]
    told = drawn(path, "en")
    assert "joined into bb" in told
    assert "cc" in told
    assert "Nothing has happened yet." in told


@pytest.mark.parametrize(
    ("minor", "currency", "shown"),
    [(1_650_000, "KZT", "16,500 KZT"), (-105, "EUR", "-1.05 EUR"), (105, "JPY", "105 JPY"),
     (1_005, "KWD", "1.005 KWD"), (100, None, "1"), (None, "KZT", "")],
)  # fmt: skip
def test_money_has_the_digits_of_its_currency(
    minor: int | None, currency: str | None, shown: str
) -> None:
    assert money(PATH_TEXTS["en"], minor, currency) == shown
