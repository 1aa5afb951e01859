"""Sums of money that are compiled are those of numpy, whatever the tables hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import Generator
from numpy.typing import NDArray

from operators import features, money, money_units, reach
from schemas.batch import NONE
from state.lane import LaneState
from state.tables import NO_DAY

pytest.importorskip("operators.sums", reason="nothing is compiled here")

_ROWS = 80
_DAYS = 30


def _some_lane(chance: Generator) -> LaneState:
    """Visits, payments and money units that refer to one another at random."""
    state = LaneState(0, b"key")
    for name in ("a", "b", "c"):
        state.tenants.row(name)
    state.tenants.exponent[:3] = [0, 2, 4]
    tables = (state.scopes, state.visits, state.payments, state.units, state.clients)
    for table in (*tables, state.customers):
        table.find_or_add(chance.integers(1, 2**63, _ROWS).astype(np.uint64))

    def some(low: int, high: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return chance.integers(low, high, _ROWS)

    def days() -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return np.where(some(0, 5) == 0, NO_DAY, some(0, _DAYS))

    def fill(name: str, **columns: np.ndarray[tuple[int], np.dtype[np.int64]]) -> None:
        for column, values in columns.items():
            getattr(state.tables[name], column)[:_ROWS] = values

    fill("scopes", tenant=some(0, 3))
    fill("customers", tenant=some(0, 3))
    fill("clients", gone_day=days(), gone_ms=some(0, 9))
    state.tenants.window[:3] = chance.integers(0, _DAYS, 3)
    fill(
        "visits",
        scope=some(0, 3),
        unit=some(-1, 9),
        amount=some(-5_000, 5_000),
        is_major=some(0, 2),
        foreign=some(0, 5) == 0,
        money_unit=np.where(some(0, 4) == 0, NONE, some(0, 4)),
        status=some(-1, 6),
        start_ms=some(0, 4),
        day=days(),
        kept_day=days(),
    )
    fill(
        "payments",
        scope=some(0, 3),
        unit=some(-1, 9),
        amount=some(-5_000, 5_000),
        is_sale=some(0, 2),
        covers=some(0, 2),
        status=some(-1, 2),
        kept_day=days(),
    )
    fill(
        "units",
        scope=some(0, 3),
        number=some(0, 4),
        count=some(0, 2),
        paid=some(-900, 900),
        holder=some(-1, _ROWS),
        kept_day=days(),
    )
    state.unit_visits.rebuild()
    return state


@settings(deadline=None)
@given(st.integers(0, 2**32))
def test_compiled_features_are_those_of_numpy(seed: int) -> None:
    chance = np.random.default_rng(seed)
    state = _some_lane(chance)
    count, lines = int(chance.integers(1, 20)), int(chance.integers(0, _ROWS))
    history = features.History(
        owner=chance.integers(0, count, lines),
        visit=chance.permutation(_ROWS)[:lines],
        client_owner=chance.integers(0, count, lines),
        client=chance.integers(0, _ROWS, lines),
    )
    customers = chance.integers(0, _ROWS, count)
    today = chance.integers(0, _DAYS, count).astype(np.int32)
    now_ms = chance.integers(0, 4, count)
    found = features.compute_features(state, customers, history, today, now_ms)
    patch = _without(money, money_units, reach, features)
    expected = features.compute_features(state, customers, history, today, now_ms)
    patch.undo()
    for column in fields(features.Features):
        told, wanted = getattr(found, column.name), getattr(expected, column.name)
        assert told.dtype == wanted.dtype
        assert told.tolist() == wanted.tolist()


def _without(*modules: ModuleType) -> pytest.MonkeyPatch:
    patch = pytest.MonkeyPatch()
    for module in modules:
        patch.setattr(module, "_IS_COMPILED", False)
    return patch


@settings(deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([np.int32, np.int64]))
def test_compiled_sums_are_those_of_numpy(seed: int, dtype: type[np.signedinteger]) -> None:
    chance = np.random.default_rng(seed)
    state = _some_lane(chance)
    lines = int(chance.integers(0, 2 * _ROWS))
    rows = chance.integers(0, _ROWS, lines).astype(dtype)
    units = chance.integers(-1, 9, lines).astype(dtype)
    today = chance.integers(0, _DAYS, lines).astype(np.int32)
    window = chance.integers(1, _DAYS, lines).astype(np.int32)
    asked: list[Callable[[], NDArray[Any]]] = [
        lambda: money.visit_money(state, rows),
        lambda: money.counts_alone(state, rows),
        lambda: money.payment_money(state, rows),
        lambda: money_units.living(state, units, today, window),
        lambda: money_units.holders_of(state, np.abs(units), today, window),
        lambda: reach.is_held(state, rows, today, window),
    ]
    compiled = [each() for each in asked]
    patch = _without(money, money_units, reach)
    plain = [each() for each in asked]
    patch.undo()
    for found, expected in zip(compiled, plain, strict=True):
        assert found.dtype == expected.dtype
        assert found.tolist() == expected.tolist()
