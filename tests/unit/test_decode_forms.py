"""A body in a text is read where the text holds JSON or a form; else it stays a dead letter."""

from __future__ import annotations

import json

import msgspec
import pytest
from msgspec import Raw

from schemas.webhooks.forms import unwrapped
from tests.unit.decoding import (
    YCLIENTS_RECORD,
    Json,
    changed,
    decoded,
    reasons,
    rows,
    webhook,
)


def told(text: str) -> Json:
    """What is in the text; the text itself where there is nothing."""
    return msgspec.json.decode(unwrapped(Raw(json.dumps(text).encode())))


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("a=1&b=x+y%21&c=", {"a": "1", "b": "x y!", "c": ""}),
        ("a[b][c]=1&a[b][d]=2", {"a": {"b": {"c": "1", "d": "2"}}}),
        ("a%5Bb%5D=1", {"a": {"b": "1"}}),
        ("a[0][x]=1&a[1][x]=2", {"a": [{"x": "1"}, {"x": "2"}]}),
        ("a[]=1&a[]=2", {"a": ["1", "2"]}),
        ("a[1]=1&a[2]=2", {"a": {"1": "1", "2": "2"}}),
        ("n=%D0%90%D0%BD%D0%BD%D0%B0", {"n": "Анна"}),
        ('payload={"a":[1]}', {"a": [1]}),
        ("payload=%7B%22a%22%3A1%7D", {"a": 1}),
        ('resource=record&data={"id":1}', {"resource": "record", "data": {"id": 1}}),
        ("payload={broken", {"payload": "{broken"}),
        (' {"a": 1} ', {"a": 1}),
        ("[1, 2]", [1, 2]),
    ],
)
def test_a_form_or_json_is_taken_out_of_its_text(text: str, inside: Json) -> None:
    assert told(text) == inside


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "5",
        "a=1&&b=2",
        "a=1&b",
        "=1",
        "a b=1",
        "a[=1",
        "a]=1",
        "a=1&a[b]=2",
        "a=%ff",
        "<xml a='1'/>",
        "a" + "[b]" * 40 + "=1",
        "&".join("a=1" for _ in range(30_000)),
    ],
)
def test_what_is_neither_stays_what_it_is(text: str) -> None:
    assert told(text) == text


def flat(told: Json, name: str = "") -> list[str]:
    """Fields of a form as PHP writes them."""
    if isinstance(told, dict | list):
        steps = told.items() if isinstance(told, dict) else enumerate(told)
        return [
            field
            for step, value in steps
            for field in flat(value, f"{name}[{step}]" if name else str(step))
        ]
    text = {None: "", True: "1", False: ""}.get(told, str(told)) if told in (None, True) else told
    written = str("" if text is False else text).replace("%", "%25").replace("+", "%2B")
    return [f"{name}={written.replace('&', '%26')}"]


def test_a_record_in_a_form_says_what_it_says_in_json() -> None:
    sample = changed(YCLIENTS_RECORD, attendance=1)
    batch = decoded(webhook("yclients", sample), webhook("yclients", "&".join(flat(sample))))
    first, second = rows(batch, batch.visits)
    assert second == first | {"record": 1}
    assert batch.dead_letters == []


@pytest.mark.parametrize("provider", ["yclients", "whatsapp", "wazzup", "iiko", "generic"])
@pytest.mark.parametrize("text", ["hello", "", "5", '{"a": 1', "a=%ff"])
def test_a_text_that_holds_nothing_is_a_dead_letter(provider: str, text: str) -> None:
    assert reasons(decoded(webhook(provider, text))) == [(0, "json")]
