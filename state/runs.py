"""Where runs of equal lines begin and end in columns that are in order.

State: none
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Column = NDArray[Any]
Flags = NDArray[np.bool_]


def begins(*columns: Column) -> Flags:
    """Which lines are the first of a run that is alike in each of the columns."""
    first = np.zeros(len(columns[0]), np.bool_)
    first[:1] = True
    for column in columns:
        first[1:] |= column[1:] != column[:-1]
    return first


def ends(*columns: Column) -> Flags:
    """Which lines are the last of such a run."""
    last = np.zeros(len(columns[0]), np.bool_)
    last[-1:] = True
    for column in columns:
        last[:-1] |= column[1:] != column[:-1]
    return last
