"""Tables as bytes: merged, read by another release, refused where they cannot be."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from state import archive
from state.archive import UnknownLayout, check, merge, pack, unpack
from state.table import Column, Table

KEYS = st.integers(1, 40)


class _Things(Table):
    COLUMNS: ClassVar = {
        "key": Column("u8"),
        "count": Column("i8", -1),
        "told": Column("?"),
        "name": Column("O", None),
        "id": Column("S4"),
        "seen": Column("i4", derived=True),
    }


class _Older(Table):
    COLUMNS: ClassVar = {"key": Column("u8"), "name": Column("O", None)}


class _Wider(Table):
    COLUMNS: ClassVar = {"key": Column("u8"), "count": Column("i4")}


def wanted() -> bool:
    return True


def told(table: Table) -> dict[int, list[object]]:
    """Every row in use, by number."""
    stored = [name for name, kind in table.COLUMNS.items() if not kind.derived]
    return {
        row: [getattr(table, name)[row] for name in stored]
        for row in np.flatnonzero(table.key[: table.rows]).tolist()
    }


def unpacked(*files: object) -> _Things:
    table = _Things()
    for packed in files:
        unpack({"things": table}, packed)
    return table


@settings(deadline=None)
@given(st.lists(st.tuples(st.lists(KEYS, max_size=12), st.lists(KEYS, max_size=6)), min_size=1))
def test_a_merged_base_holds_what_its_files_hold_one_after_the_other(
    steps: list[tuple[list[int], list[int]]],
) -> None:
    table = _Things()
    tables: dict[str, Table] = {"things": table}
    files: list[object] = []
    for number, (written, freed) in enumerate(steps):
        rows, _ = table.find_or_add(np.array(written, np.uint64))
        table.count[rows] = number  # type: ignore[attr-defined]  # columns are attributes
        table.told[rows] = number % 2 == 0  # type: ignore[attr-defined]  # likewise
        table.name[rows] = None if number % 3 == 0 else f"ж{number}"  # type: ignore[attr-defined]
        table.id[rows] = str(number)  # type: ignore[attr-defined]  # likewise
        table.touch(rows)
        found = table.index.find(np.array(freed, np.uint64))
        if (found >= 0).any():
            table.free(np.unique(found[found >= 0]))
        files.append(pack(tables, everything=not files))
        table.changed[:] = False
    merged = merge(tables, files, wanted, everything=True)
    assert merged is not None
    assert told(unpacked(merged)) == told(unpacked(*files)) == told(table)
    assert unpacked(merged).rows == table.rows
    for older in range(1, len(files)):
        run = merge(tables, files[older:], wanted, everything=False)
        assert told(unpacked(*files[:older], run)) == told(table)


def test_merging_in_small_batches_gives_the_same_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "BATCH_ROWS", 7)
    table = _Things()
    tables = {"things": table}
    rows, _ = table.find_or_add(np.arange(1, 101, dtype=np.uint64))
    files = [pack(tables, everything=True)]
    for start in range(0, 100, 9):
        table.changed[:] = False
        table.count[rows[start::9]] = start  # type: ignore[attr-defined]  # columns are attributes
        table.touch(rows[start::9])
        files.append(pack(tables, everything=False))
    merged = merge(tables, files, wanted, everything=True)
    assert merged is not None
    assert told(unpacked(merged)) == told(table)


def test_a_merge_that_is_wanted_no_more_ends_with_nothing() -> None:
    table = _Things()
    table.find_or_add(np.arange(1, 9, dtype=np.uint64))
    assert (
        merge(
            {"things": table},
            [pack({"things": table}, everything=True)],
            lambda: False,
            everything=True,
        )
        is None
    )


def test_a_table_and_columns_that_an_older_release_did_not_have_are_as_fresh_ones() -> None:
    older, things = _Older(), _Things()
    older.find_or_add(np.array([5, 6], np.uint64))
    older.name[:2] = ["a", "b"]  # type: ignore[attr-defined]  # columns are attributes
    old = pack({"things": older}, everything=True)
    tables = {"new": _Wider(), "things": things}
    unpack(tables, old)
    things.reindex()
    assert told(things) == {0: [5, -1, False, "a", b""], 1: [6, -1, False, "b", b""]}
    things.changed[:] = False
    rows = things.index.find(np.array([6], np.uint64))
    things.count[rows] = 9  # type: ignore[attr-defined]  # likewise
    things.touch(rows)
    merged = merge(tables, [old, pack(tables, everything=False)], wanted, everything=True)
    assert merged is not None
    again = {"new": _Wider(), "things": _Things()}
    unpack(again, merged)
    assert told(again["things"]) == {0: [5, -1, False, "a", b""], 1: [6, 9, False, "b", b""]}


@pytest.mark.parametrize(
    ("tables", "why"),
    [
        ({"others": _Things()}, "table things is unknown"),
        ({"things": _Older()}, r"column things\.count is unknown"),
        ({"things": _Wider()}, r"column things\.count is of type int64"),
    ],
)
def test_what_another_release_wrote_and_this_one_does_not_know_is_refused(
    tables: dict[str, Table], why: str
) -> None:
    table = _Things()
    table.find_or_add(np.array([5], np.uint64))
    packed = pack({"things": table}, everything=True)
    for read in (unpack, check):
        with pytest.raises(UnknownLayout, match=why):
            read(tables, packed)
    with pytest.raises(UnknownLayout, match=why):
        merge(tables, [packed], wanted, everything=True)
