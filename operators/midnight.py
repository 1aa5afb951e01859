"""Begin a tenant's new day: close the books of the old one, set the day's boundaries.

In:    the instant of a local midnight on the lane's clock, after everything due before it
Out:   rows of the day that has ended
State: tenants' next midnights; what ``days`` and ``boundaries`` keep
"""

from __future__ import annotations

import numpy as np

from operators.boundaries import set_boundaries
from operators.days import end_days
from operators.owed import Owed
from state.lane import LaneState


def begin_days(state: LaneState, owed: Owed, midnight_ms: int, position: int) -> None:
    """A new day of every tenant whose midnight this is; ``position``: of the record that tells."""
    tenants = state.tenants.whose_midnight(midnight_ms)
    day = state.tenant_day(tenants, np.full(len(tenants), midnight_ms))
    end_days(state, owed, tenants, day - np.int32(1), midnight_ms, position)
    set_boundaries(state, tenants, day, midnight_ms)
    state.tenants.await_midnight(tenants, midnight_ms)
