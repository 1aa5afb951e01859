"""Whatever the bytes are, decode keeps each record: as events, as counted, or as a dead letter."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.decode import decode, decode_only
from schemas.webhooks import usual
from tests.unit.damage import check, damaged, encoded, whole
from tests.unit.decoding import EVERYTHING, Json, chunk_of

LANES = 3


@pytest.fixture(autouse=True, scope="module")
def _together_is_another_way_than_alone() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(usual, "FEW", 2)
        yield


numbers = st.one_of(
    st.integers(), st.floats(), st.sampled_from([0, 1, -1, 2**31, 2**63, 10**30, -(2**63), 1e308])
)
texts = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ["", "nan", "inf", "1", "-1", "1e400", "2026-11-22T10:00:00Z", "\x00", "delete"]
    ),
)
scalars = st.one_of(st.none(), st.booleans(), numbers, texts)
jsons = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)


damage = st.builds(damaged, st.randoms(use_true_random=False), jsons)
cut_samples = st.builds(
    lambda sample, at: sample[: at % len(sample)],
    st.sampled_from(EVERYTHING),
    st.integers(0, 10_000),
)
flipped = st.builds(
    lambda sample, at, byte: sample[: at % len(sample)] + byte + sample[at % len(sample) + 1 :],
    st.sampled_from(EVERYTHING),
    st.integers(0, 10_000),
    st.binary(min_size=1, max_size=1),
)
values = st.one_of(
    st.binary(max_size=200),
    jsons.map(encoded),
    damage,
    flipped,
    cut_samples,
    st.sampled_from(EVERYTHING),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(values, max_size=12))
def test_no_bytes_make_decode_raise_and_none_are_lost(lines: list[bytes]) -> None:
    check(lines, decode(chunk_of(lines), LANES))
    assert 0 <= decode_only(lines) <= len(lines)


@settings(max_examples=100, deadline=None)
@given(st.lists(values, min_size=2, max_size=12), st.sets(st.integers(1, 11)))
def test_cutting_a_chunk_anywhere_gives_the_same_events(lines: list[bytes], cuts: set[int]) -> None:
    edges = [0, *sorted(cut for cut in cuts if cut < len(lines)), len(lines)]
    pieces = [
        batch
        for start, stop in pairwise(edges)
        for batch in decode(chunk_of(lines[start:stop], start), LANES)
    ]
    assert whole(pieces) == whole(decode(chunk_of(lines), LANES))


def test_thousands_of_records_say_the_same_as_each_alone() -> None:
    chance = Random(7)
    others: list[Json] = [
        None,
        "x",
        5,
        -1.5,
        [],
        {},
        "2026-11-22 10:00:00",
        "2026-11-22T10:00:00+0300",
        "",
    ]
    lines = [damaged(chance, chance.choice(others)) for _ in range(1_500)]
    lines += [chance.choice(EVERYTHING) for _ in range(1_500)]
    chance.shuffle(lines)
    batches = decode(chunk_of(lines), LANES)
    check(lines, batches)
    alone = [batch for at, one in enumerate(lines) for batch in decode(chunk_of([one], at), LANES)]
    assert whole(alone) == whole(batches)
