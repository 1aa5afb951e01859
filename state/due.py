"""The next due instant of every customer, with block minima so that quiet time costs nothing.

State: derived from the customers' due columns, ``DUE_COLUMNS``
"""

from __future__ import annotations

import numpy as np

from state.index import Rows
from state.tables import NEVER, Customers

DUE_COLUMNS = (
    "roll_due",
    "reminder_due",
    "birthday_due",
    "trigger_due",
    "held_due",
    "flush_due",
)
_SHIFT = 12  # 4,096 customers a block


class DueColumn:
    """Finds the customers whose next due instant has come."""

    def __init__(self, customers: Customers) -> None:
        self._customers = customers
        self._least = np.full(1, NEVER, np.int64)

    def rebuild(self) -> None:
        """Recomputes every due instant from the stored columns."""
        self.refresh(np.arange(self._customers.rows, dtype=np.int64))

    def refresh(self, rows: Rows) -> None:
        """Takes the least of the due columns of these customers."""
        customers = self._customers
        blocks = (customers.rows >> _SHIFT) + 1
        if blocks > len(self._least):
            grown = np.full(2 * blocks, NEVER, np.int64)
            grown[: len(self._least)] = self._least
            self._least = grown
        due = np.full(len(rows), NEVER)
        for name in DUE_COLUMNS:
            np.minimum(due, getattr(customers, name)[rows], out=due)
        customers.due[rows] = due
        np.minimum.at(self._least, rows >> _SHIFT, due)

    def until(self, instant: int) -> Rows:
        """Customers with something due at or before the instant, ascending by row."""
        found = []
        for block in (self._least <= instant).nonzero()[0].tolist():
            start = block << _SHIFT
            due = self._customers.due[start : min(start + (1 << _SHIFT), self._customers.rows)]
            # A block's minimum only sinks as rows are refreshed: what it really is, is read here.
            self._least[block] = due.min(initial=NEVER)
            found.append((due <= instant).nonzero()[0] + start)
        return np.concatenate(found) if found else np.zeros(0, np.int64)
