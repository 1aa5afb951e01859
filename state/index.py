"""A hash index from 64-bit keys to rows: open addressing, probed for a whole batch at a time.

Takes: keys that are already well mixed (their low bits choose the slot) and never 0; they stay in
       the table's own key column, the slots hold nothing but rows
Costs: 8 to 16 bytes a key at a load of a quarter to a half; nothing is ever removed, an index is
       rebuilt from its table's key column when rows have been freed
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

U8 = NDArray[np.uint64]
I8 = NDArray[np.int64]
Rows = NDArray[np.int32]

_EMPTY = -1
_SMALLEST = 1024
_FEW = 16
"""So many keys are followed one by one sooner than with a call for each step of all of them."""


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
        return self._rows.nbytes

    def find(self, keys: U8) -> Rows:
        """Rows of the keys, -1 where a key is unknown; keys may repeat."""
        slots = (keys & self._mask).astype(np.int64)
        found = self._rows[slots]
        # An empty slot reads the last row's key, which is then not looked at.
        on = (found != _EMPTY) & (self.keys[found] != keys)
        pending = on.nonzero()[0]
        while len(pending):
            if len(pending) <= _FEW:
                self._find_each(keys, slots[on], found, pending)
                break
            slots = (slots[on] + 1) & self._last
            rows = self._rows[slots]
            found[pending] = rows
            on = (rows != _EMPTY) & (self.keys[rows] != keys[pending])
            pending = pending[on]
        return found

    def _find_each(self, keys: U8, slots: I8, found: Rows, pending: NDArray[np.intp]) -> None:
        """Goes on behind these slots, one key after the other."""
        row_in, key_of, last = self._rows.item, self.keys.item, self._last
        for at, passed, key in zip(
            pending.tolist(), slots.tolist(), keys[pending].tolist(), strict=True
        ):
            slot = (passed + 1) & last
            while (row := row_in(slot)) != _EMPTY and key_of(row) != key:
                slot = (slot + 1) & last
            found[at] = row

    def add(self, rows: Rows) -> None:
        """Adds rows whose keys are in the column, distinct and not there yet."""
        if 2 * (self._used + len(rows)) > len(self._rows):
            old = self._rows[self._rows != _EMPTY]
            self._resize(self._used + len(rows))
            self._place(old)
        self._place(rows)
        self._used += len(rows)

    def _resize(self, expected: int) -> None:
        slots = _SMALLEST
        while slots < 2 * expected:
            slots *= 2
        self._rows = np.full(slots, _EMPTY, np.int32)
        self._mask = np.uint64(slots - 1)
        self._last = slots - 1

    def _place(self, rows: Rows) -> None:
        slots = (self.keys[rows] & self._mask).astype(np.int64)
        while len(rows):
            if len(rows) <= _FEW:
                self._place_each(rows, slots)
                break
            free = self._rows[slots] == _EMPTY
            # Several keys may want one free slot: the last write wins, the others go on.
            self._rows[slots[free]] = rows[free]
            on = self._rows[slots] != rows
            rows = rows[on]
            slots = (slots[on] + 1) & self._last

    def _place_each(self, rows: Rows, slots: I8) -> None:
        row_in, last = self._rows.item, self._last
        for row, wanted in zip(rows.tolist(), slots.tolist(), strict=True):
            slot = wanted
            while row_in(slot) != _EMPTY:
                slot = (slot + 1) & last
            self._rows[slot] = row
