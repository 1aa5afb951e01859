"""Compare the facts in a table with what events tell of them, and keep what they tell.

Takes: names of columns that the table and the events have alike, numbers of one dtype in both
State: the table's columns
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from state.index import Rows
from state.table import Table
from state.tables import Flags


def alike(names: Iterable[str], table: Table, rows: Rows, events: object, at: Rows) -> Flags:
    """Whether each row has what the event beside it tells, in all of these columns."""
    same = np.ones(len(rows), np.bool_)
    for name in names:
        same &= getattr(table, name)[rows] == getattr(events, name)[at]
    return same


def keep(names: Iterable[str], table: Table, rows: Rows, events: object, at: Rows) -> None:
    """Writes into each row what the event beside it tells; rows are distinct."""
    for name in names:
        getattr(table, name)[rows] = getattr(events, name)[at]
