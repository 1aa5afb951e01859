"""What is read all at once says what the same records say when they are read one by one."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from functools import cache
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.workload import Load, Town, live
from operators.decode import decode
from schemas.batch import Batch, Chunk
from schemas.shapes import Kind, Leaf, Part, Rows, planned
from schemas.webhooks import usual
from schemas.webhooks.times import read_times, yyyymmdd
from tests.unit.damage import check, damaged, encoded, whole
from tests.unit.decoding import (
    EVERYTHING,
    WHATSAPP_STATUS,
    YCLIENTS_RECORD,
    Json,
    chunk_of,
    value_of,
    webhook,
    whatsapp,
)

shred = pytest.importorskip(
    "schemas.shred", reason="schemas/shred.pyx is not compiled: no C compiler was there"
)

LANES = 3
OTHERS: list[Json] = [
    None, "x", "", "null", "true", "1", "01", 0, 1, -1, 5.0, 1e3, 10**20, True, False, [], {}, [{}],
    "2026-11-22 10:00:00", "2026-11-22T10:00:00+0300", "2026-02-30", "delete", "Ы\n",
    "\ud83d\ude00",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _all_at_once_however_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usual, "FEW", 0)


def one_by_one(chunk: Chunk, lanes: int = LANES) -> list[Batch]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(usual, "_SHREDDER", None)
        return decode(chunk, lanes)


def counts(batches: Sequence[Batch]) -> Counter[tuple[str, ...]]:
    return sum((batch.counts for batch in batches), Counter())


def assert_same(chunk: Chunk, lanes: int = LANES) -> int:
    """How many of the chunk's records are usual."""
    together, alone = decode(chunk, lanes), one_by_one(chunk, lanes)
    assert whole(together) == whole(alone)
    assert counts(together) == counts(alone)
    assert [each.lane for each in together] == [each.lane for each in alone]
    return len(chunk.values) - len(usual.usual_of(chunk.values, chunk.keys).others())


@cache
def lively() -> list[bytes]:
    """Records of the benchmarks' load, whole bodies as the providers send them."""
    town = Town(Load(2_000, 500, lanes=1, runs=1))
    return [value for chunk in live(town, 0) for value in chunk.values]


def flipped(chance: Random, line: bytes) -> bytes:
    at = chance.randrange(len(line))
    byte = chance.choice([b"", b'"', b"\\", b"\x00", b"\xff", b"0", b",", b"{", b"]", b" ", b"e"])
    return line[:at] + byte + line[at + chance.randrange(2) :]


def with_damage(chance: Random, line: bytes) -> bytes:
    told = json.loads(line)
    place: Any = told
    while True:
        keys: list[Any] = list(range(len(place)) if isinstance(place, list) else place)
        if not keys:
            return encoded(told)
        key = chance.choice(keys)
        if isinstance(place[key], dict | list) and place[key] and chance.random() < 0.85:
            place = place[key]
            continue
        if chance.random() < 0.2:
            del place[key]
        elif chance.random() < 0.2 and isinstance(place, list):
            place.append(place[key])
        else:
            place[key] = chance.choice(OTHERS)
        return encoded(told)


def test_every_record_of_the_load_is_usual() -> None:
    lines = lively()
    assert assert_same(chunk_of(lines)) == len(lines)


def test_damaged_records_say_the_same_either_way() -> None:
    chance = Random(5)
    of_load = lively()
    lines = [damaged(chance, chance.choice(OTHERS)) for _ in range(3_000)]
    lines += [with_damage(chance, chance.choice(of_load)) for _ in range(3_000)]
    lines += [flipped(chance, chance.choice([*of_load, *EVERYTHING])) for _ in range(3_000)]
    lines += [chance.choice(of_load) for _ in range(200)]
    chance.shuffle(lines)
    read = assert_same(chunk_of(lines))
    assert 2_000 < read < len(lines) - 2_000
    check(lines, decode(chunk_of(lines), LANES))


def test_a_log_with_keys_says_the_same_either_way() -> None:
    chance = Random(6)
    lines = [chance.choice(lively()) for _ in range(300)]
    lines += [with_damage(chance, line) for line in lines]
    keys: list[bytes | None] = [str(json.loads(line).get("tenant")).encode() for line in lines]
    keys[::7] = [None] * len(keys[::7])
    keys[3::11] = [b"t0001"] * len(keys[3::11])
    for lane in range(LANES):
        positions = np.arange(len(lines)) * 2 + 5
        chunk = Chunk(lane, positions, positions * 1000 + 1_780_000_000_000, lines, keys)
        assert assert_same(chunk) > 100


@pytest.mark.parametrize(
    "body",
    [
        whatsapp(value_of(statuses=[WHATSAPP_STATUS] * 3)),
        whatsapp(value_of(statuses=[WHATSAPP_STATUS | {"recipient_id": "KZ.ENT.1abc"}])),
        whatsapp(value_of(statuses=[WHATSAPP_STATUS | {"recipient_user_id": "KZ.1abc"}])),
    ],
)
def test_statuses_of_all_kinds_are_usual(body: Json) -> None:
    assert assert_same(chunk_of([webhook("whatsapp", body)])) == 1


@pytest.mark.parametrize(
    "data",
    [
        {"services": []},
        {"services": None, "staff": None, "client": None},
        {
            "services": [
                {"title": "a", "cost": 5, "amount": 2},
                {"cost": None},
                {"title": "b\u0141"},
            ]
        },
        {"deleted": True, "date": None, "attendance": 7},
        {"client": {"id": 0, "phone": "", "name": ""}},
        {"length": 0, "seance_length": 1800},
    ],
)
@pytest.mark.parametrize("provider", ["yclients", "altegio"])
def test_visits_of_all_kinds_are_usual(provider: str, data: Json) -> None:
    body = YCLIENTS_RECORD | {"data": YCLIENTS_RECORD["data"] | data}
    assert assert_same(chunk_of([webhook(provider, body)])) == 1


def shredded(line: bytes, **members: Leaf | Part | Rows) -> dict[str, dict[str, Any]] | None:
    fits, tables = shred.Shredder(planned(members)).shred([line], None, 1_000_000)
    return tables if fits[0] else None


moments = st.one_of(
    st.datetimes().map(lambda at: at.isoformat(sep=" ", timespec="seconds")),
    st.builds(
        lambda at, zone: at.isoformat(timespec="seconds") + zone,
        st.datetimes(),
        st.sampled_from(["", "Z", ".123Z", "+0300", "-11:30", "+24:00", "z", ".12", "+030"]),
    ),
    st.from_regex(
        r"[0-2]\d{3}-[01]\d-[0-3]\d[T ][0-2]\d:[0-6]\d:[0-6]\d(Z|[+-]\d\d:?\d\d)?", fullmatch=True
    ),
    st.text(max_size=25),
)  # fmt: skip


@settings(max_examples=500, deadline=None)
@given(moments)
def test_a_time_is_what_it_is_among_texts(text: str) -> None:
    tables = shredded(encoded({"at": text}), at=Leaf(Kind.TIME))
    if tables is not None:
        told = tables["records"]
        wall, offset = read_times([text])
        assert (told["at.wall"].tolist(), told["at.offset"].tolist()) == (
            wall.tolist(),
            offset.tolist(),
        )


@pytest.mark.parametrize(
    "text", ["2026-11-22 10:00:00", "2026-11-22T10:00:00Z", "2026-11-22T10:00:00.123Z",
             "2024-02-29T10:00:00+0300", "1990-01-01T00:00:00-03:30"],
)  # fmt: skip
def test_the_common_writings_of_a_time_are_usual(text: str) -> None:
    assert shredded(encoded({"at": text}), at=Leaf(Kind.TIME)) is not None


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.dates().map(str),
        st.from_regex(r"[0-2]\d{3}-[01]\d-[0-3]\d.?", fullmatch=True),
        st.text(max_size=12),
    )
)
def test_a_day_is_what_it_is_among_texts(text: str) -> None:
    tables = shredded(encoded({"day": text}), day=Leaf(Kind.DAY))
    if tables is not None:
        assert tables["records"]["day"].tolist() == [yyyymmdd(text)]


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=40), st.booleans())
def test_a_text_is_what_json_says_however_it_is_escaped(text: str, ascii_only: bool) -> None:
    line = json.dumps({"a": text}, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    tables = shredded(line, a=Leaf(Kind.TEXT))
    if tables is None:
        assert any(ord(letter) > 0xD7FF for letter in text)
    else:
        assert tables["records"]["a"].tolist() == [text]


def test_lists_of_lists_know_their_rows() -> None:
    of_all = {
        "rows": Rows(
            "rows", {"n": Leaf(Kind.WHOLE), "cells": Rows("cells", {"n": Leaf(Kind.WHOLE)})}
        )
    }
    lines = [
        {"rows": [{"n": 1, "cells": [{"n": 2}, {"n": 3}]}, {"cells": []}]},
        {"rows": [{"n": 9, "cells": [{"n": "x"}]}]},
        {"rows": [{"n": 4, "cells": [{"n": 5}]}]},
    ]
    fits, tables = shred.Shredder(planned(of_all)).shred(
        [encoded(each) for each in lines], None, 999
    )
    assert fits.tolist() == [True, False, True]
    assert tables["rows"]["record"].tolist() == [0, 0, 2]
    assert tables["cells"]["parent"].tolist() == [0, 0, 2]
    assert tables["cells"]["n"].tolist() == [2, 3, 5]


def test_a_word_comes_before_what_it_decides() -> None:
    body = whatsapp(value_of(statuses=[WHATSAPP_STATUS]))
    line = json.loads(webhook("whatsapp", body))
    assert assert_same(chunk_of([encoded(line)])) == 1
    assert assert_same(chunk_of([encoded(dict(reversed(line.items())))])) == 0


def test_what_was_read_is_not_held_on_to() -> None:
    chance = Random(8)
    lines = [with_damage(chance, line) for line in lively()[:300]]
    for _ in range(3):
        usual.usual_of(lines, None)
    before = sys.getallocatedblocks()
    for _ in range(50):
        usual.usual_of(lines, None)
    assert sys.getallocatedblocks() - before < 500
