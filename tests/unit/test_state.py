"""Tables, their index, their due instants: what every operator stands on."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from state.due import DueColumn
from state.index import KeyIndex
from state.lane import LaneState
from state.table import Column, Table
from state.tables import NEVER, Customers

keys = st.lists(st.integers(1, 2**64 - 1) | st.integers(1, 50), max_size=200)

STORAGE = {
    "tenants": "key name stored big fair big_before fair_before bounds_day crowd check country",
    "words": "key text",
    "scopes": "key tenant provider branch",
    "places": "key tenant branch",
    "customers": (
        "key tenant phone id known segment scored_day last_day frequency monetary "
        "last_visit_ms next_booking_ms position as_of_ms roll_due reminder_due flush_due "
        "birthday_due trigger_due held_due opted opted_ms day_segment score_changed heir placed "
        "lives"
    ),
    "clients": (
        "key tenant customer version card_phone visit_phone has_card name birthday locale "
        "consent consent_ms sms_denied sms_ms gone_day gone_ms aliases linked"
    ),
    "aliases": "key tenant kind value customer told_ms",
    "tombstones": "key tenant id person since_ms",
    "visits": (
        "key scope id client phone version status start_ms ahead_ms duration_s day "
        "kept_day amount is_major foreign currency place services staff held_ms counted "
        "imported money_unit unit missed_at"
    ),
    "visit_texts": "key text",
    "payments": (
        "key scope version status is_sale start_ms local_ms day kept_day amount place client "
        "unit sale covers counted"
    ),
    "units": "key scope number kept_day holder count paid",
    "occasions": "key rule visit start_ms state expires_ms command",
    "marks": "key until_ms",
    "messages": "key customer command contact since_ms sight statuses",
    "held": (
        "key customer trigger occasion due_ms expires_ms release_ms branch visit mark last_ms"
    ),
    "contacts": (
        "key customer tenant rule day at_ms fills funnel sent_ms return_days level replied lost "
        "carrying credit_ms credit_day credit_money"
    ),
    "cooldowns": "key customer rule day",
    "failures": "key customer heard_ms",
    "crowds": "key tenant day placed",
    "tallies": "key count",
    "visit_days": "key tenant day visits walk_ins revenue position due_ms",
    "segment_days": "key tenant day segment customers revenue position due_ms",
    "flow_days": "key tenant day origin target customers position due_ms",
    "day_ends": "key day segment",
    "funnel_days": (
        "key tenant day trigger channel variant commanded accepted sent delivered read replied "
        "failed returned revenue position due_ms"
    ),
    "uplift_months": (
        "key tenant day trigger variant customers returned revenue squared_high squared_low "
        "position due_ms"
    ),
    "minutes": "key scope minute_ms records events duplicates late dead position due_ms",
}


class _Numbers(Table):
    COLUMNS: ClassVar = {"key": Column("u8"), "value": Column("i8", 7)}


def test_the_names_of_tables_and_columns_are_storage_and_do_not_change_by_accident() -> None:
    stored = {
        name: " ".join(c for c, kind in table.COLUMNS.items() if not kind.derived)
        for name, table in LaneState(0, b"demo").tables.items()
    }
    assert stored == STORAGE


@given(st.lists(keys, max_size=8))
def test_an_index_finds_what_a_dict_would(batches: list[list[int]]) -> None:
    column = np.zeros(10_000, np.uint64)
    index, model = KeyIndex(column), dict[int, int]()
    for batch in batches:
        fresh = sorted(set(batch) - model.keys())
        rows = np.arange(len(model), len(model) + len(fresh), dtype=np.int32)
        column[rows] = fresh
        index.add(rows)
        model |= dict(zip(fresh, rows.tolist(), strict=True))
        asked = [*batch, 123_456_789, *range(1, 20)]
        found = index.find(np.array(asked, np.uint64)).tolist()
        assert found == [model.get(key, -1) for key in asked]
        assert len(index) == len(model)


def test_an_index_keeps_every_key_while_it_grows() -> None:
    many = np.random.default_rng(7).integers(1, 2**63, 50_000).astype(np.uint64)
    index = KeyIndex(many)
    for start in range(0, len(many), 777):
        index.add(np.arange(start, min(start + 777, len(many)), dtype=np.int32))
    assert (index.find(many) == np.arange(len(many))).all()


@given(st.lists(keys, max_size=6))
def test_a_table_gives_one_row_to_a_key_and_reuses_freed_rows(batches: list[list[int]]) -> None:
    table, rows_of = _Numbers(), dict[int, int]()
    for batch in batches:
        rows, fresh = table.find_or_add(np.array(batch, np.uint64))
        for key, row, is_fresh in zip(batch, rows.tolist(), fresh.tolist(), strict=True):
            assert is_fresh == (key not in rows_of) or rows_of[key] == row
            rows_of.setdefault(key, row)
            assert rows_of[key] == row
        assert len(set(rows_of.values())) == len(rows_of) == len(table)
        gone = sorted(rows_of)[::3]
        if gone:
            table.free(np.array([rows_of.pop(key) for key in gone], np.int32))
    assert table.rows <= max((len(set(b)) for b in batches), default=0) + sum(map(len, batches))


def test_a_fresh_row_has_defaults_even_when_it_was_used_before() -> None:
    table = _Numbers()
    rows, _ = table.find_or_add(np.array([5], np.uint64))
    table.value[rows] = 99  # type: ignore[attr-defined]  # columns are attributes
    table.free(rows)
    again, _ = table.find_or_add(np.array([6], np.uint64))
    assert again == rows
    assert table.value[again] == 7  # type: ignore[attr-defined]  # likewise


@given(st.lists(st.tuples(st.integers(0, 9_000), st.integers(0, 100)), max_size=60))
def test_due_customers_are_exactly_those_whose_instant_has_come(
    writes: list[tuple[int, int]],
) -> None:
    customers = Customers()
    customers.extend_to(9_001)
    due, model = DueColumn(customers), dict[int, int]()
    for step, (row, instant) in enumerate(writes):
        customers.flush_due[row] = instant
        due.refresh(np.array([row], np.int32))
        model[row] = instant
        expected = sorted(r for r, at in model.items() if at <= step)
        assert due.until(step).tolist() == expected
        for r in expected:
            customers.flush_due[r] = NEVER
            model[r] = NEVER
        due.refresh(np.array(expected, np.int32))
