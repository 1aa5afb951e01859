"""Keep the daily tables: absolute rows per tenant and local day."""

from __future__ import annotations

from operators.owed import Owed
from schemas.batch import I4
from state.index import Rows
from state.lane import LaneState


def end_days(
    state: LaneState, owed: Owed, tenants: Rows, day: I4, midnight_ms: int, position: int
) -> None:
    """Closes the day before ``day`` of these tenants."""
