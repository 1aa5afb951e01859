"""A hash index from 64-bit keys to rows: open addressing, probed for a whole batch at a time.

Takes: keys that are already well mixed (their low bits choose the slot) and never 0; they stay in
       the table's own key column, the slots hold nothing but rows
Costs: 8 to 16 bytes a key at a load of a quarter to a half; nothing is ever removed, an index is
       rebuilt from its table's key column when rows have been freed
"""

from __future__ import annotations

import numpy as np

from state.loops import find, place
from state.rows_plain import I8, U8, Rows

__all__ = ["I8", "U8", "KeyIndex", "Rows"]

_EMPTY = -1
_SMALLEST = 1024


class KeyIndex:
    """Finds and adds rows by key, vectorised; ``keys`` is the column that the rows number."""

    def __init__(self, keys: U8, expected: int = 0) -> None:
        self.keys = keys
        self._used = 0
        self._resize(expected)

    def __len__(self) -> int:
        return self._used

    @property
    def nbytes(self) -> int:
        """Bytes held by the slots."""
        return self._slots.nbytes

    def find(self, keys: U8) -> I8:
        """Rows of the keys, -1 where a key is unknown; keys may repeat."""
        return find(self._slots, self.keys, keys)

    def add(self, rows: Rows) -> None:
        """Adds rows whose keys are in the column, distinct and not there yet."""
        if 2 * (self._used + len(rows)) > len(self._slots):
            old = self._slots[self._slots != _EMPTY].astype(np.int64)
            self._resize(self._used + len(rows))
            place(self._slots, self.keys, old)
        place(self._slots, self.keys, rows)
        self._used += len(rows)

    def _resize(self, expected: int) -> None:
        slots = _SMALLEST
        while slots < 2 * expected:
            slots *= 2
        self._slots = np.full(slots, _EMPTY, np.int32)
