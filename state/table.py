"""Growing columnar tables: fixed dtypes, rows that are never renumbered, marks of what changed.

State: the columns that a table declares; their names and dtypes are storage
"""

from __future__ import annotations

from dataclasses import dataclass
from mmap import MAP_ANONYMOUS, MAP_PRIVATE, mmap
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from state.index import U8, KeyIndex, Rows
from state.runs import begins

NO_ROW = -1
_FIRST_ROWS = 1024
_MAPPED_BYTES = 1 << 18


@dataclass(frozen=True, slots=True)
class Column:
    """A column's dtype and the value of a fresh row; ``derived`` ones are not in snapshots."""

    dtype: str
    default: Any = 0
    derived: bool = False
    text: bool = True  # of object columns: str, else bytes


def _zeros(rows: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """A column whose spare rows cost no memory until they are written.

    Large ones are mapped: the allocator would hand out what it has kept, cleared and thus in use.
    """
    size = rows * dtype.itemsize
    if dtype.hasobject or size < _MAPPED_BYTES:
        return np.zeros(rows, dtype)
    return np.frombuffer(mmap(-1, size, flags=MAP_PRIVATE | MAP_ANONYMOUS), dtype)


class Table:
    """Columns as numpy attributes, addressed by row; a row whose key is 0 is free."""

    COLUMNS: ClassVar[dict[str, Column]]
    key: U8

    def __init__(self) -> None:
        self.rows = 0  # rows ever used; the columns are longer
        self._free: list[int] = []
        self.changed: NDArray[np.bool_] = np.zeros(0, np.bool_)
        for name, column in self.COLUMNS.items():
            setattr(self, name, np.empty(0, column.dtype))
        self._defaults = {
            name: column.default for name, column in self.COLUMNS.items() if column.default != 0
        }
        self.index = KeyIndex(self.key)
        self._reserve(_FIRST_ROWS)

    @property
    def nbytes(self) -> int:
        """Bytes of columns and index, without what object columns point to."""
        columns = sum(getattr(self, name).nbytes for name in self.COLUMNS)
        return int(columns) + self.index.nbytes + self.changed.nbytes

    def __len__(self) -> int:
        return self.rows - len(self._free)

    def live(self) -> Rows:
        """All rows in use, ascending."""
        return self.key[: self.rows].nonzero()[0]

    def find_or_add(self, keys: U8) -> tuple[Rows, NDArray[np.bool_]]:
        """Rows of the keys, which may repeat; fresh rows for unknown ones.

        Returns the rows and, per key, whether its row is fresh.
        """
        rows = self.index.find(keys)
        missing = rows < 0
        at = missing.nonzero()[0]
        if len(at) == 1:
            rows[at] = self._add(keys[at])
        elif len(at):
            order = keys[at].argsort()
            ordered = keys[at[order]]
            first = begins(ordered)
            rows[at[order]] = self._add(ordered[first])[first.cumsum() - 1]
        return rows, missing

    def touch(self, rows: Rows) -> None:
        """Marks rows for the next snapshot."""
        self.changed[rows] = True

    def free(self, rows: Rows) -> None:
        """Gives rows back; the index is rebuilt, so free many at a time."""
        for name, column in self.COLUMNS.items():
            getattr(self, name)[rows] = column.default
        self.key[rows] = 0
        self.changed[rows] = True
        self.reindex()

    def reindex(self) -> None:
        """Rebuilds the index and the free list from the key column."""
        live = self.live()
        self.index = KeyIndex(self.key, len(live))
        self.index.add(live)
        self._free = (self.key[: self.rows] == 0).nonzero()[0].tolist()

    def extend_to(self, rows: int) -> None:
        """Makes at least this many rows exist, for a restore that fills them by number."""
        if rows > self.rows:
            self._reserve(rows)
            self._begin(rows)

    def _add(self, keys: U8) -> Rows:
        reused = self._free[len(self._free) - min(len(self._free), len(keys)) :]
        del self._free[len(self._free) - len(reused) :]
        appended = len(keys) - len(reused)
        first = self.rows
        self._reserve(first + appended)
        self._begin(first + appended)
        rows = np.arange(first, first + appended, dtype=np.int64)
        if reused:
            rows = np.concatenate([np.array(reused, np.int64), rows])
        self.key[rows] = keys
        self.index.add(rows)
        self.changed[rows] = True
        return rows

    def _begin(self, rows: int) -> None:
        """Rows up to this many are in use from now on, with the values of fresh rows."""
        for name, default in self._defaults.items():
            getattr(self, name)[self.rows : rows] = default
        self.rows = rows

    def _reserve(self, rows: int) -> None:
        capacity = len(self.changed)
        if rows <= capacity:
            return
        grown = max(rows, capacity + capacity // 4, _FIRST_ROWS)
        for name, column in self.COLUMNS.items():
            new = _zeros(grown, np.dtype(column.dtype))
            new[: self.rows] = getattr(self, name)[: self.rows]
            setattr(self, name, new)
        changed = np.zeros(grown, np.bool_)
        changed[: self.rows] = self.changed[: self.rows]
        self.changed = changed
        self.index.keys = self.key
