"""What is compiled of due instants, zones, facts and scores is what numpy says, to the bit."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from operators import segments
from operators.features import Features
from schemas.batch import I1, I4, I8, NONE
from state import due, facts, zones
from state.due import DUE_COLUMNS, DueColumn
from state.lane import LaneState
from state.tables import NEVER, NO_DAY, Customers, Visits

for _compiled in ("state.instants", "state.pairs", "operators.scores"):
    pytest.importorskip(_compiled, reason="nothing is compiled here")

_SEEDS = st.integers(0, 2**32)
_ROWS = 60
_NAMES = ("UTC", "Asia/Almaty", "Europe/Moscow", "America/New_York", "Africa/Casablanca")
_INDEXES = st.sampled_from([np.int32, np.int64])


def _by_numpy(module: ModuleType) -> pytest.MonkeyPatch:
    patch = pytest.MonkeyPatch()
    patch.setattr(module, "_IS_COMPILED", False)
    return patch


@settings(deadline=None)
@given(_SEEDS, _INDEXES)
def test_offsets_are_those_of_numpy(seed: int, dtype: type[np.signedinteger]) -> None:
    chance = np.random.default_rng(seed)
    known = zones.Zones()
    codes = np.array([known.code(name) for name in _NAMES], dtype)
    count = int(chance.integers(0, 80))
    which = codes[chance.integers(0, len(codes), count)]
    at = chance.integers(-(10**12), 5 * 10**12, count)
    found = known.to_local(which, at), known.to_instant(which, at)
    patch = _by_numpy(zones)
    expected = known.to_local(which, at), known.to_instant(which, at)
    patch.undo()
    assert [each.tolist() for each in found] == [each.tolist() for each in expected]


@settings(deadline=None)
@given(_SEEDS, _INDEXES)
def test_next_due_instants_are_those_of_numpy(seed: int, dtype: type[np.signedinteger]) -> None:
    told = []
    for by_numpy in (False, True):
        chance = np.random.default_rng(seed)
        customers = Customers()
        count = 3 * 4_096
        customers.extend_to(count)
        for name in DUE_COLUMNS:
            some = chance.integers(0, 10**6, count)
            getattr(customers, name)[:count] = np.where(some % 3 == 0, some, NEVER)
        rows = chance.integers(0, count, 500).astype(dtype)
        column = DueColumn(customers)
        patch = _by_numpy(due) if by_numpy else pytest.MonkeyPatch()
        column.refresh(rows)
        patch.undo()
        told.append((customers.due.tolist(), column.until(10**6 // 2).tolist()))
    assert told[0] == told[1]


@dataclass
class _Told:
    status: I1
    start_ms: I8
    day: I4
    is_major: NDArray[np.bool_]


@settings(deadline=None)
@given(_SEEDS, _INDEXES)
def test_facts_are_compared_and_kept_as_by_numpy(seed: int, dtype: type[np.signedinteger]) -> None:
    names = ("status", "start_ms", "day", "is_major")
    told = []
    for by_numpy in (False, True):
        chance = np.random.default_rng(seed)

        def some(low: int, high: int, chance: np.random.Generator = chance) -> I8:
            return chance.integers(low, high, _ROWS)

        visits = Visits()
        visits.extend_to(_ROWS)
        visits.status[:_ROWS], visits.day[:_ROWS] = some(0, 2), some(0, 2)
        visits.start_ms[:_ROWS] = np.where(some(0, 3) == 0, NONE, some(0, 2))
        events = _Told(
            some(0, 2).astype(np.int8),
            np.where(some(0, 3) == 0, NONE, some(0, 2)),
            np.repeat(some(0, 2).astype(np.int32), 2)[::2],  # not every column is contiguous
            some(0, 2) == 1,
        )
        rows = chance.permutation(_ROWS)[:40].astype(dtype)
        at = some(0, _ROWS)[:40].astype(dtype)
        patch = _by_numpy(facts) if by_numpy else pytest.MonkeyPatch()
        same = facts.alike(names[: 1 + seed % 4], visits, rows, events, at)
        facts.keep(names, visits, rows, events, at)
        patch.undo()
        told.append((same.tolist(), *(getattr(visits, name).tolist() for name in names)))
    assert told[0] == told[1]


def test_columns_of_two_sizes_are_neither_compared_nor_kept() -> None:
    visits = Visits()
    none = np.zeros(0, np.int64)
    events = _Told(none.astype(np.int8), none, none.astype(np.int32), none == 1)
    events.day = none  # type: ignore[assignment]  # what is tested
    for each in (facts.alike, facts.keep):
        with pytest.raises(TypeError, match="day"):
            each(("day",), visits, none, events, none)


@settings(deadline=None)
@given(_SEEDS, _INDEXES)
def test_scores_are_those_of_numpy(seed: int, dtype: type[np.signedinteger]) -> None:
    chance = np.random.default_rng(seed)
    state = LaneState(0, b"key")
    for name in "abcd":
        row = state.tenants.row(name)
        state.tenants.bounds_day[row] = chance.integers(8, 12)
        for column in ("big", "fair", "big_before", "fair_before"):
            getattr(state.tenants, column)[row] = chance.integers(0, 50)
        for column in ("recent", "cooling", "often", "repeated"):
            getattr(state.tenants, column)[row] = chance.integers(0, 20)
    count = int(chance.integers(0, 60))

    def some(low: int, high: int) -> I8:
        return chance.integers(low, high, count)

    features = Features(
        last_day=np.where(some(0, 4) == 0, NO_DAY, some(-5, 14)).astype(np.int32),
        last_visit_ms=some(0, 9),
        frequency=some(0, 20).astype(np.int32),
        monetary=some(0, 60),
        leaves_day=np.where(some(0, 2) == 0, NEVER, some(0, 40)),
        next_booking_ms=some(0, 9),
    )
    tenants, today = some(0, 4).astype(dtype), some(5, 14).astype(np.int32)

    def told() -> list[list[int]]:
        codes = segments.segment_codes(state, tenants, features, today)
        assert codes.dtype == np.int16
        return [codes.tolist(), segments.next_day(state, tenants, features, today).tolist()]

    found = told()
    patch = _by_numpy(segments)
    expected = told()
    patch.undo()
    assert found == expected
