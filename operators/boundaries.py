"""Set the monetary boundaries of a tenant's new day."""

from __future__ import annotations

from schemas.batch import I4
from state.index import Rows
from state.lane import LaneState


def set_boundaries(state: LaneState, tenants: Rows, day: I4, midnight_ms: int) -> None:
    """The boundaries that hold from this midnight on, over the facts folded before it."""
