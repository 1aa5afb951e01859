"""When something happens to customers, and which records bring it about.

Units: instants are ms since the epoch, UTC, on the lane's clock
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.batch import I8
from state.index import Rows
from state.tables import Flags


@dataclass(slots=True)
class Moment:
    """When something happens to each of n customers: instants and positions, one line each."""

    now_ms: I8
    position: I8

    def take(self, lines: Flags | Rows | NDArray[np.intp]) -> Moment:
        """Of the chosen customers."""
        return Moment(self.now_ms[lines], self.position[lines])
