"""Forms are filled in alike by what is compiled and by Python, and as msgspec writes JSON."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from schemas import forms
from schemas.batch import NONE, Message
from schemas.forms import (
    DATE,
    INSTANT,
    JSON,
    KEY,
    MINUTE,
    NUMBER,
    PHONE,
    PLAIN,
    TEXT,
    VALUE,
    WALL,
    Form,
    Kind,
)

compiled = pytest.mark.skipif(not forms.COMPILED, reason="nothing could be compiled here")

FIRST, LAST = (round(datetime(year, 1, 1, tzinfo=UTC).timestamp() * 1000) for year in (1900, 2150))
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
INSTANTS = st.integers(FIRST, LAST - 1)
VALUES: dict[Kind, st.SearchStrategy[Any]] = {
    TEXT: st.none() | TEXTS,
    PLAIN: TEXTS,
    VALUE: st.none() | st.dictionaries(TEXTS, st.integers(-9, 9) | TEXTS, max_size=3),
    JSON: st.none() | TEXTS.map(msgspec.json.encode),
    KEY: st.text("0123456789abcdef", max_size=32).map(str.encode),
    NUMBER: st.integers(NONE, 2**63 - 1),
    PHONE: st.sampled_from([0, 7]) | st.integers(10**7, 10**15),
    INSTANT: st.just(NONE) | INSTANTS | INSTANTS.map(lambda ms: ms // 1000 * 1000),
    WALL: INSTANTS | INSTANTS.map(lambda ms: ms // 1000 * 1000),
    MINUTE: INSTANTS,
    DATE: st.just(0) | st.dates().map(lambda day: int(f"{day:%Y%m%d}".zfill(8))),
}


def column(kind: Kind, told: list[Any]) -> Any:
    if kind <= JSON:
        return told
    return np.array(told, "S32" if kind == KEY else np.int64)


@compiled
@given(st.data(), st.lists(st.sampled_from(Kind), min_size=1, max_size=6), st.integers(0, 5))
def test_what_is_compiled_writes_what_python_writes(
    data: st.DataObject, kinds: list[Kind], count: int
) -> None:
    pieces = tuple(data.draw(st.binary(max_size=5)) for _ in range(len(kinds) + 1))
    columns = [
        column(kind, data.draw(st.lists(VALUES[kind], min_size=count, max_size=count)))
        for kind in kinds
    ]
    parts = [part for pair in zip(pieces, kinds, strict=False) for part in pair]
    told = map(forms._taken, kinds, columns)
    expected = forms.filled(pieces, tuple(kinds), told)
    assert Form(*parts, pieces[-1]).fill(*columns) == expected
    assert len(expected) == count


@given(VALUES[TEXT], VALUES[VALUE], VALUES[NUMBER], INSTANTS)
def test_json_is_written_as_msgspec_writes_it(
    text: str | None, value: object, number: int, ms: int
) -> None:
    class Told(msgspec.Struct, tag="told", tag_field="table"):
        text: str | None
        value: object
        key: str
        number: int | None
        at: str
        from_: bool = msgspec.field(name="from")

    form = forms.form_of(Told, TEXT, VALUE, KEY, NUMBER, INSTANT, b"false")
    numbers, instants = np.array([number]), np.array([ms])
    (told,) = form.fill([text], [value], np.array([b"a1"], "S32"), numbers, instants)
    at = datetime(1970, 1, 1) + timedelta(milliseconds=ms)
    whole = at.isoformat(timespec="milliseconds" if ms % 1000 else "seconds") + "Z"
    known = None if number == NONE else number
    assert told == msgspec.json.encode(Told(text, value, "a1", known, whole, False))


@given(st.lists(st.tuples(st.integers(0, 2**62), st.binary(max_size=9), st.binary(max_size=99))))
def test_messages_are_those_of_their_lines_and_hash_to_the_sum(
    told: list[tuple[int, bytes, bytes]],
) -> None:
    order = np.arange(len(told))[::-1]
    positions, keys, values = map(list, zip(*told, strict=True)) if told else ([], [], [])
    messages = forms.messages_of(order, positions, keys, values)
    assert messages == [Message(*each) for each in reversed(told)]
    assert all(type(each) is Message for each in messages)
    total = sum(xxhash.xxh3_64_intdigest(value, position) for position, _, value in told)
    assert (forms.hash_sum(messages) - total) % (1 << 64) == 0


@compiled
def test_messages_in_python_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    told = np.array([1, 0]), [3, 4], [b"a", b"b"], [b"x", b"y"]
    messages = forms.messages_of(*told)
    total = forms.hash_sum(messages)
    monkeypatch.setattr(forms, "COMPILED", False)
    assert forms.messages_of(*told) == messages
    assert (forms.hash_sum(messages) - total) % (1 << 64) == 0


@pytest.mark.parametrize("kind", [TEXT, PLAIN])
def test_a_lone_surrogate_is_refused(kind: Kind) -> None:
    with pytest.raises(UnicodeEncodeError):
        Form(kind).fill(["\ud800"])


@compiled
def test_columns_of_other_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="a column of 1 lines among those of 2"):
        Form(NUMBER, NUMBER).fill(np.zeros(2), np.zeros(1))
