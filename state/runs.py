"""Where runs of equal lines begin and end in columns that are in order.

State: none
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Column = NDArray[Any]
Flags = NDArray[np.bool_]

_PLACE_BITS = 31
_PLACE = (1 << _PLACE_BITS) - 1


def begins(*columns: Column) -> Flags:
    """Which lines are the first of a run that is alike in each of the columns."""
    first = np.zeros(len(columns[0]), np.bool_)
    first[:1] = True
    for column in columns:
        first[1:] |= column[1:] != column[:-1]
    return first


def distinct(numbers: Column) -> Column:
    """Each number once, ascending; ``np.unique`` hashes them first, at ten times the cost."""
    ordered = np.sort(numbers)
    return ordered[begins(ordered)]


def in_order(numbers: Column) -> NDArray[np.int64]:
    """A stable argsort of rows: pairs of a row and its place are sorted many times faster."""
    pairs = (numbers.astype(np.int64) << _PLACE_BITS) + np.arange(len(numbers))
    pairs.sort()
    return pairs & _PLACE


def ends(*columns: Column) -> Flags:
    """Which lines are the last of such a run."""
    last = np.zeros(len(columns[0]), np.bool_)
    last[-1:] = True
    for column in columns:
        last[:-1] |= column[1:] != column[:-1]
    return last
