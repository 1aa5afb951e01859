"""Tell when marketing, and what else may wait, must be quiet, and when such a window ends.

In:    instants, zones and windows as minutes of the local day: start inclusive, end exclusive, over
       midnight where the start is the later one; equal ones are no window
Out:   masks and instants
State: read only
"""

from __future__ import annotations

import numpy as np

from schemas.batch import I4, I8
from state.index import Rows
from state.lane import LaneState
from state.tables import Flags
from state.zones import DAY_MS, MINUTE_MS


def windows_of(state: LaneState, tenants: Rows, marketing: Flags) -> tuple[I8, I8]:
    """Start and end of the window that holds for each, in ms of the local day."""
    windows = state.tenants.quiet[tenants, np.where(marketing, 0, 1)].astype(np.int64) * MINUTE_MS
    return windows[:, 0], windows[:, 1]


def inside_window(state: LaneState, zones: Rows, now_ms: I8, start: I8, end: I8) -> Flags:
    """Whether each instant's wall clock is inside its window."""
    time = state.zones.to_local(zones, now_ms) % DAY_MS
    return is_quiet(time, start, end)


def is_quiet(time: I8, start: I4 | I8, end: I4 | I8) -> Flags:
    """Whether each time of the day is inside its window; all three in the same unit."""
    begun, on = time >= start, time < end
    quiet: Flags = np.where(start <= end, begun & on, begun | on)
    return quiet


def window_ends(state: LaneState, zones: Rows, now_ms: I8, end: I8) -> I8:
    """The instant at which the window of each ends that ``now_ms`` is inside of."""
    local = state.zones.to_local(zones, now_ms)
    day = local // DAY_MS * DAY_MS
    target = np.where(local - day < end, day, day + DAY_MS) + end
    reached = state.zones.to_instant(zones, target)
    # Where an hour is told twice, and the end has come in the first one, it comes again.
    return np.where(reached > now_ms, reached, now_ms + target - local)
