"""A hash index from 64-bit keys to rows: open addressing, probed for a whole batch at a time.

Takes: keys that are already well mixed (their low bits choose the slot) and never 0
Costs: 24 to 48 bytes a key at a load of at most one half; nothing is ever removed, an index is
       rebuilt from its table's key column when rows have been freed
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

U8 = NDArray[np.uint64]
Rows = NDArray[np.int32]

_EMPTY = np.uint64(0)
_SMALLEST = 1024


class KeyIndex:
    """Finds and adds rows by key, vectorised."""

    def __init__(self, expected: int = 0) -> None:
        self._used = 0
        self._resize(expected)

    def __len__(self) -> int:
        return self._used

    @property
    def nbytes(self) -> int:
        """Bytes held by the slots."""
        return self._keys.nbytes + self._rows.nbytes

    def find(self, keys: U8) -> Rows:
        """Rows of the keys, -1 where a key is unknown; keys may repeat."""
        found = np.full(len(keys), -1, np.int32)
        pending = np.arange(len(keys))
        slots = (keys & self._mask).astype(np.int64)
        while len(pending):
            seen = self._keys[slots]
            hit = seen == keys[pending]
            found[pending[hit]] = self._rows[slots[hit]]
            on = ~hit & (seen != _EMPTY)
            pending = pending[on]
            slots = (slots[on] + 1) & self._last
        return found

    def add(self, keys: U8, rows: Rows) -> None:
        """Adds keys that are distinct and not there yet."""
        if 2 * (self._used + len(keys)) > len(self._keys):
            held = self._keys != _EMPTY
            old_keys, old_rows = self._keys[held], self._rows[held]
            self._resize(2 * (self._used + len(keys)))
            self._place(old_keys, old_rows)
        self._place(keys, rows)
        self._used += len(keys)

    def _resize(self, expected: int) -> None:
        slots = _SMALLEST
        while slots < 2 * expected:
            slots *= 2
        self._keys = np.zeros(slots, np.uint64)
        self._rows = np.zeros(slots, np.int32)
        self._mask = np.uint64(slots - 1)
        self._last = slots - 1

    def _place(self, keys: U8, rows: Rows) -> None:
        slots = (keys & self._mask).astype(np.int64)
        while len(keys):
            free = self._keys[slots] == _EMPTY
            # Several keys may want one free slot: the last write wins, the others go on.
            self._keys[slots[free]] = keys[free]
            placed = free & (self._keys[slots] == keys)
            self._rows[slots[placed]] = rows[placed]
            on = ~placed
            keys, rows = keys[on], rows[on]
            slots = (slots[on] + 1) & self._last
