"""The compiled loops over rows are those of ``rows_plain`` to the bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from state import rows_plain as plain
from state.runs import distinct, in_order

compiled = pytest.importorskip("state.rows", reason="nothing is compiled here")

_ROWS = 60


@st.composite
def forests(draw: st.DrawFn) -> tuple[list[int], list[int], list[int]]:
    """Chains of distinct rows: first of each parent, next of each row, the parent of each row."""
    parents = draw(st.integers(1, 40))
    parent = draw(st.lists(st.integers(-1, parents - 1), min_size=_ROWS, max_size=_ROWS))
    first, following = [-1] * parents, [-1] * _ROWS
    for row in draw(st.permutations(range(_ROWS))):
        if parent[row] >= 0:
            following[row], first[parent[row]] = first[parent[row]], row
    return first, following, parent


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 2**64 - 1), unique=True, max_size=120),
    st.lists(st.integers(1, 300), unique=True, max_size=120),
    st.data(),
)
def test_the_same_rows_are_found_under_their_keys(
    far: list[int], near: list[int], data: st.DataObject
) -> None:
    keys = np.array(sorted({*far, *near}) or [1], np.uint64)
    slots = {name: np.full(1024, -1, np.int32) for name in ("plain", "compiled")}
    rows = np.array(data.draw(st.permutations(range(len(keys)))), np.int64)
    plain.place(slots["plain"], keys, rows)
    compiled.place(slots["compiled"], keys, rows)
    asked = data.draw(st.lists(st.sampled_from([*keys.tolist(), 7, 1024, 2**40]), max_size=200))
    wanted = np.array(asked, np.uint64)
    expected = plain.find(slots["plain"], keys, wanted)
    for laid in slots.values():
        found = compiled.find(laid, keys, wanted)
        assert found.dtype == expected.dtype
        assert found.tolist() == expected.tolist()


@settings(deadline=None)
@given(
    st.lists(st.sets(st.integers(-(2**30), 2**30), max_size=8), min_size=1, max_size=5), st.data()
)
def test_the_same_values_are_in_force(changes: list[set[int]], data: st.DataObject) -> None:
    bits, base = 34, 1 << 33
    starts = np.array(
        [
            (zone << bits) + base + at
            for zone, own in enumerate(changes)
            for at in [-base, *sorted(own)]
        ]
    )
    values = np.arange(len(starts)) * 7
    edge = [at for own in changes for at in own] or [0]
    time = st.one_of(
        st.builds(lambda at, off: at * 1000 + off, st.sampled_from(edge), st.integers(-1001, 1001)),
        st.integers(-(2**41), 2**41),
    )
    asked = data.draw(st.lists(st.tuples(st.integers(0, len(changes) - 1), time), max_size=60))
    zones = np.array([zone for zone, _ in asked], np.int32)
    times = np.array([at for _, at in asked], np.int64)
    told = [each.in_force(starts, values, zones, times, bits, base) for each in (plain, compiled)]
    assert told[0].tolist() == told[1].tolist()
    assert told[1].dtype == np.int64


@settings(deadline=None)
@given(forests(), st.data())
def test_chains_are_followed_in_the_same_order(
    forest: tuple[list[int], list[int], list[int]], data: st.DataObject
) -> None:
    first, following, _ = (np.array(column, np.int32) for column in forest)
    asked = np.array(data.draw(st.lists(st.integers(0, len(first) - 1), max_size=60)), np.int64)
    owners = np.arange(len(asked))
    walked = [each.walk(first[asked], following, owners) for each in (plain, compiled)]
    assert [column.tolist() for column in walked[0]] == [column.tolist() for column in walked[1]]


@settings(deadline=None)
@given(forests(), st.data())
def test_chains_are_changed_alike(
    forest: tuple[list[int], list[int], list[int]], data: st.DataObject
) -> None:
    first, following, parent = (np.array(column, np.int32) for column in forest)
    free = np.flatnonzero(parent < 0)
    where = st.integers(0, len(first) - 1)
    parents = np.array(data.draw(st.lists(where, min_size=len(free), max_size=len(free))), np.int64)
    # Of one parent at most one child comes at a time.
    moving = np.array(
        data.draw(st.lists(st.integers(0, _ROWS - 1), unique_by=lambda row: parent[row])), np.int64
    )
    moving = moving[parent[moving] >= 0]
    new = np.array(data.draw(st.permutations(range(-1, len(first)))), np.int64)[: len(moving)]
    states = []
    for each in (plain, compiled):
        heads, links = first.copy(), following.copy()
        each.put_first(heads, links, free, parents)
        each.rechain(heads, links, moving, parent[moving], new[: len(moving)])
        states.append((heads.tolist(), links.tolist()))
    assert states[0] == states[1]


@settings(deadline=None)
@given(st.lists(st.integers(-1, _ROWS - 1)), st.sampled_from([np.int32, np.int64]))
def test_rows_are_read_alike_from_a_column(asked: list[int], dtype: type[np.signedinteger]) -> None:
    column = np.arange(_ROWS, dtype=np.int32)[::-1] - 1
    rows = np.array(asked, dtype)
    expected, found = plain.rows_in(column, rows), compiled.rows_in(column, rows)
    assert expected.dtype == found.dtype == np.int64
    assert expected.tolist() == found.tolist()


@settings(deadline=None)
@given(st.lists(st.integers(-1, 2**31 - 1)))
def test_rows_are_put_in_order_and_counted_once_as_numpy_does(numbers: list[int]) -> None:
    column = np.array(numbers, np.int64)
    assert in_order(column).tolist() == np.argsort(column, kind="stable").tolist()
    assert distinct(column).tolist() == np.unique(column).tolist()
