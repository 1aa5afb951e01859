"""Follow chains of rows that are linked by columns: ``first`` of a parent, ``next`` of a child.

State: none; a chain ends at -1
"""

from __future__ import annotations

import numpy as np

from state.index import Rows
from state.loops import put_first, rechain, rows_in, walk
from state.rows_plain import I4, unchain

__all__ = ["hand_over", "let_go", "put_first", "rechain", "rows_in", "unchain", "walk"]


def hand_over(first: I4, following: I4, parent: int, heir: int) -> Rows:
    """Puts a whole chain before the heir's own; returns its rows."""
    rows = let_go(first, following, parent)
    put_first(first, following, rows[::-1], np.full(len(rows), heir, np.int64))
    return rows


def let_go(first: I4, following: I4, parent: int) -> Rows:
    """Takes a chain apart; returns its rows, which are in none from now on."""
    _, rows = walk(first[[parent]], following, np.zeros(1, np.int64))
    following[rows] = -1
    first[parent] = -1
    return rows
