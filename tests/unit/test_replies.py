"""A message of a customer sets off triggers once, by its kind or by the words that it holds."""

from __future__ import annotations

import pytest

from operators.replies import matches
from schemas.keys import text_key
from tests.agenda import START, lived, rule, rules, sent, told, wrote
from tests.logs import DAY, HOUR, MINUTE, ms
from tests.people import WHO

ANSWERS = rule("reply")


def test_any_message_is_answered_once_under_its_own_id() -> None:
    log = [wrote(START + 30_000, "m1", "привет"), wrote(START + HOUR, "m1", "привет")]
    streams = lived(rules(ANSWERS), *log, until=START + DAY)
    assert told(streams) == [("reply", "sent", None, START + 30_000)]
    (command,) = streams.rows("commands")
    assert command["occasion"] == f"reply:{WHO}:{text_key('m1'):016x}"
    assert (ms(command["due_at"]), command["visit"]) == (START, None)
    assert ms(command["expires_at"]) == START + HOUR


def test_two_messages_are_two_occasions() -> None:
    log = [wrote(START, "m1", "привет"), wrote(START + MINUTE, "m2", "привет")]
    assert len(sent(lived(rules(ANSWERS), *log, until=START + DAY))) == 2


def test_a_message_that_comes_late_is_stale() -> None:
    late = wrote(START, "m1", "привет", sent_at=START - HOUR)
    streams = lived(rules(ANSWERS), late, until=START + DAY)
    assert told(streams) == [("reply", "refused", "stale", START)]


def test_several_triggers_answer_what_they_match() -> None:
    price, person = (
        rule("reply", id="price", match="цена"),
        rule("reply", id="who", match="человек"),
    )
    streams = lived(rules(price, person), wrote(START, "m1", "Какая цена?"), until=START + DAY)
    assert sent(streams) == [("price", START)]


def test_a_trigger_that_is_new_answers_no_message_from_before() -> None:
    log = [rules(), wrote(START, "m1", "привет"), rules(ANSWERS, at=START + HOUR)]
    again = wrote(START + 2 * HOUR, "m1", "привет", sent_at=START)
    assert told(lived(*log, again, until=START + DAY)) == []


@pytest.mark.parametrize(
    ("wanted", "kind", "text", "found"),
    [
        ((), "image", None, True),
        (("image",), "image", None, True),
        (("image",), "text", "image", True),
        (("цена",), "text", "ЦЕНА?", True),
        (("цена",), "text", "оценаете", False),
        (("сколько стоит",), "text", "А сколько   стоит, скажите", True),
        (("сколько стоит",), "text", "сколько это стоит", False),
        (("нет", "да"), "text", "да!", True),
        (("!",), "text", "да!", False),
        (("да",), "text", None, False),
    ],
)
def test_words_are_matched_whole_and_without_case(
    wanted: tuple[str, ...], kind: str, text: str | None, found: bool
) -> None:
    assert matches(wanted, kind, text) is found
