"""Join what must be folded in order: connected components over the rows of several tables.

In:    edges between rows, each row named with its table
Out:   a label for every component; two events with one label share something that one may write
State: none
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from schemas.batch import I4
from state.chains import rows_in
from state.index import Rows
from state.table import Table

_labels: I4 = np.zeros(0, np.int32)
"""Every node under its own number between two calls, so that a large state costs nothing."""


class Graph:
    """Rows of tables as nodes: table after table, each row once."""

    def __init__(self, tables: Mapping[str, Table]) -> None:
        self._spans: dict[str, tuple[int, int]] = {}
        self._size = 0
        for name, table in tables.items():
            self._spans[name] = self._size, self._size + table.rows
            self._size += table.rows
        self._left: list[Rows] = []
        self._right: list[Rows] = []

    def nodes(self, table: str, rows: Rows) -> Rows:
        """The nodes of a table's rows, -1 where there is no row."""
        nodes = rows.astype(np.int64) + self._spans[table][0]
        nodes[rows < 0] = -1
        return nodes

    def join(self, left: Rows, right: Rows) -> None:
        """Edges between nodes, line by line, where both are there."""
        both = ((left | right) >= 0).nonzero()[0]
        if len(both):
            self._left.append(left[both])
            self._right.append(right[both])

    def components(self, events: Rows, table: str) -> tuple[Rows, Rows, Rows]:
        """The label of each event's node (-1: none); the rows of a table that were met, and theirs.

        A row that was met several times comes several times.
        """
        nobody = np.zeros(0, np.int64)
        source = np.concatenate([nobody, *self._left])
        target = np.concatenate([nobody, *self._right])
        label = _at_rest(self._size)
        while True:
            left, right = label[source], label[target]
            if (left == right).all():
                break
            least = np.minimum(left, right)
            np.minimum.at(label, source, least)
            np.minimum.at(label, target, least)
        first, end = self._spans[table]
        met = np.concatenate([source, target, events])
        met = met[(met >= first) & (met < end)]
        units = rows_in(label, events)
        found = units, met - first, label[met]
        label[source], label[target] = source, target
        return found


def _at_rest(size: int) -> I4:
    global _labels  # noqa: PLW0603  # one for all lanes: it would cost each as much as a column
    if size > len(_labels):
        _labels = np.arange(size + size // 4, dtype=np.int32)
    return _labels
