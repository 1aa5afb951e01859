"""Whatever the bytes are, decode keeps each record: as events, as counted, or as a dead letter."""

from __future__ import annotations

import json
from collections.abc import Sequence
from copy import deepcopy
from itertools import pairwise
from random import Random
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.decode import decode, decode_only
from schemas.batch import Batch
from schemas.record import REASONS
from tests.unit.decoding import SAMPLES, Json, chunk_of, rows

LANES = 3
KINDS = ("visits", "clients", "statuses", "incoming", "payments")

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


def encoded(told: Json) -> bytes:
    """As JSON, surrogates and NaN included."""
    return json.dumps(told).encode()


def damaged(chance: Random, value: Json) -> bytes:
    """A sample in which one place holds something else, nothing, or one thing more."""
    told = json.loads(chance.choice(SAMPLES))
    place = told
    while True:
        keys: list[Any] = list(range(len(place)) if isinstance(place, list) else place)
        if not keys:
            break
        key = chance.choice(keys)
        if isinstance(place[key], dict | list) and place[key] and chance.random() < 0.85:
            place = place[key]
            continue
        if chance.random() < 0.15:
            del place[key]
        else:
            place[key] = deepcopy(value)
        break
    return encoded(told)


damage = st.builds(damaged, st.randoms(use_true_random=False), jsons)
cut_samples = st.builds(
    lambda sample, at: sample[: at % len(sample)], st.sampled_from(SAMPLES), st.integers(0, 10_000)
)
flipped = st.builds(
    lambda sample, at, byte: sample[: at % len(sample)] + byte + sample[at % len(sample) + 1 :],
    st.sampled_from(SAMPLES),
    st.integers(0, 10_000),
    st.binary(min_size=1, max_size=1),
)
values = st.one_of(
    st.binary(max_size=200),
    jsons.map(encoded),
    damage,
    flipped,
    cut_samples,
    st.sampled_from(SAMPLES),
)


def whole(batches: Sequence[Batch]) -> dict[int, list[Any]]:
    """All that batches say, by lane, free of how they were cut."""
    said: dict[int, list[Any]] = {}
    for batch in batches:
        lane = said.setdefault(batch.lane, [])
        for position, at in zip(batch.positions.tolist(), batch.appended_ms.tolist(), strict=True):
            lane.append((position, "clock", at))
        for kind in KINDS:
            events = rows(batch, getattr(batch, kind))
            lane += [(row["record"], kind, repr(row)) for row in events]
        for event in batch.settings:
            lane.append((int(batch.positions[event.record]), "settings", repr(event.settings)))
        for letter in batch.dead_letters:
            lane.append((letter.position, "dead", repr(letter)))
    return {lane: sorted(told, key=lambda each: each[:2]) for lane, told in said.items()}


def check(lines: list[bytes], batches: Sequence[Batch]) -> None:
    """Every record is in one lane (a heartbeat in all), and dead letters hold its bytes."""
    positions = [position for batch in batches for position in batch.positions.tolist()]
    assert set(positions) == set(range(len(lines)))
    for batch in batches:
        assert batch.positions.tolist() == sorted(batch.positions.tolist())
        letters = batch.dead_letters
        assert all(letter.value == lines[letter.position] for letter in letters)
        assert all(letter.reason in REASONS for letter in letters)
        assert [letter.position for letter in letters] == sorted(
            {letter.position for letter in letters}
        )
        dead = sum(count for key, count in batch.counts.items() if key[0] == "dead_letters")
        assert dead == len(letters)
        told = sum(count for key, count in batch.counts.items() if key[0] == "events")
        assert told == sum(len(getattr(batch, kind).record) for kind in KINDS)
        for kind in KINDS:
            record = getattr(batch, kind).record
            assert np.all(record[1:] >= record[:-1])
    counted = sum(
        count for batch in batches for key, count in batch.counts.items() if key[0] == "records"
    )
    assert counted == len(lines)


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
    lines += [chance.choice(SAMPLES) for _ in range(1_500)]
    chance.shuffle(lines)
    batches = decode(chunk_of(lines), LANES)
    check(lines, batches)
    alone = [batch for at, one in enumerate(lines) for batch in decode(chunk_of([one], at), LANES)]
    assert whole(alone) == whole(batches)
