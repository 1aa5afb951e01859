"""Whole messages end or begin marketing, in the customers' languages, however they are written."""

from __future__ import annotations

import pytest

from schemas.consent_words import IN, OPT_IN, OPT_OUT, OUT, plain, said


@pytest.mark.parametrize(
    "text",
    [
        *(
            "STOP",
            "stop.",
            "Stop!!!",
            "🛑 STOP",
            " stop all ",
            "STOPALL",
            "opt-out",
            "Don’t text me",
        ),
        *("СТОП", "Стоп.", "«отписаться»", "Отпишите меня!", "Не пишите мне больше", "стоп, смс"),
        *("ТОҚТАТУ", "Тоқтатыңыз", "токтату", "жазбаңыз"),
        *("Arrêt", "ARRET", "Désabonner", "Відписатись", "тўхтатиш", "to’xtatish", "إيقاف"),
    ],
)
def test_a_word_ends_marketing_however_it_is_written(text: str) -> None:
    assert said(text) == OUT


@pytest.mark.parametrize(
    "text", ["START", "Старт!", "подписаться", "Подпишите меня", "БАСТАУ", "S'abonner", "unstop"]
)
def test_a_word_begins_marketing_however_it_is_written(text: str) -> None:
    assert said(text) == IN


@pytest.mark.parametrize(
    "text",
    [
        *("нет", "Отмена", "cancel", "no", "end", "Да", "", "🛑"),
        *("стоп, а во сколько запись?", "не могу остановиться", "Where is the bus stop?"),
        *("stop " * 20, "старт в 9:00?"),
    ],
)
def test_an_answer_or_a_question_says_nothing_of_marketing(text: str) -> None:
    assert said(text) is None


def test_no_phrase_means_both() -> None:
    ends = {plain(each) for told in OPT_OUT.values() for each in told.split("|")}
    begins = {plain(each) for told in OPT_IN.values() for each in told.split("|")}
    assert not ends & begins
    assert all(ends | begins)
