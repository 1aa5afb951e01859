"""Flush the profiles of customers whose second is over.

In:    customers who have something due, the records that let the time pass
Out:   profiles, each as of the end of the second in which it changed
State: ``flush_due`` and ``score_changed`` of customers
"""

from __future__ import annotations

import numpy as np

from operators.owed import Owed
from operators.profiles import standing_of
from schemas.batch import I8
from state.due import DUE_COLUMNS
from state.index import Rows
from state.lane import LaneState
from state.tables import NEVER, Flags

_FIRST = tuple(name for name in DUE_COLUMNS if name != "flush_due")


def flush(state: LaneState, owed: Owed, ready: Rows, clock_ms: I8, positions: I8) -> Flags:
    """Owes the profiles of those who have nothing else due before or at the same instant.

    ``clock_ms`` and ``positions`` are per record; returns whose profiles these are.
    """
    table = state.customers
    due = table.due[ready]
    flushes: Flags = table.flush_due[ready] == due
    for column in _FIRST:
        flushes &= getattr(table, column)[ready] != due
    if flushes.any():
        rows, due_ms = ready[flushes], due[flushes]
        position = positions[np.searchsorted(clock_ms, due_ms, "left")]
        owed.profiles(standing_of(state, rows, position, due_ms))
        table.flush_due[rows] = NEVER
        table.score_changed[rows] = False
        table.touch(rows)
        state.due.refresh(rows)
    return flushes
