"""A lane that lives, is saved now and then, and starts again after its files were harmed.

Takes: a folder or a shelf's URI; positions at which the lane is saved
Out:   ``saved`` and ``restored``; ``whole``, with which a lane that was folded on is compared
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from random import Random

from state.lane import LaneState
from state.snapshots import SnapshotStore
from tests.engine import ID_KEY, Streams, feed
from tests.life import Life
from tests.logs import lines_of

FINGERPRINT = {"fold": "1", "tzdata": "x", "id_key": "k", "lanes": "1"}
LINES = lines_of(Life(Random(7)).log(90, 2))


def folded(state: LaneState, end: int) -> LaneState:
    """The lane, folded on to a position."""
    feed({state.lane: state}, LINES, state.position, end, Streams())
    return state


@cache
def whole() -> LaneState:
    """The lane at the log's end, never stopped."""
    return folded(LaneState(0, ID_KEY), len(LINES))


def saved(folder: Path, positions: Iterable[int]) -> tuple[SnapshotStore, LaneState]:
    """A lane saved at each position."""
    store, state = SnapshotStore(str(folder), FINGERPRINT), LaneState(0, ID_KEY)
    for position in positions:
        store.save(folded(state, position))
    return store, state


def restored(folder: Path, at_most: int, **other: str) -> LaneState:
    """The lane as a new process finds it."""
    return SnapshotStore(str(folder), FINGERPRINT | other).restore(0, ID_KEY, at_most)


def assert_equal(one: LaneState, other: LaneState) -> None:
    """The same place, and the same rows in every table."""
    places = [(s.position, s.clock_ms, s.cleaned_ms, s.digest) for s in (one, other)]
    assert places[0] == places[1]
    for name, table in one.tables.items():
        like = other.tables[name]
        rows = table.live()
        assert rows.tolist() == like.live().tolist(), name
        for column, kind in table.COLUMNS.items():
            if not kind.derived or column == "due":
                left, right = getattr(table, column)[rows], getattr(like, column)[rows]
                assert left.tolist() == right.tolist(), f"{name}.{column}"
