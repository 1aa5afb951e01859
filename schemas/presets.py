"""How each vertical scores its customers until a tenant says otherwise.

Units: window and recency in days (recency bounds inclusive), frequency in visit days
"""

from __future__ import annotations

from typing import NamedTuple


class Preset(NamedTuple):
    """Thresholds of a vertical; a value on a boundary belongs to the better cell."""

    window_days: int
    recency_days: tuple[int, int]
    """Upper bounds of R 3 and R 2."""
    frequency: tuple[int, int]
    """Lower bounds of F 3 and F 2."""


PRESETS = {
    "beauty_nails_brows": Preset(365, (35, 75), (8, 3)),
    "beauty_hair_cosmetology": Preset(365, (60, 120), (6, 3)),
    "restaurant": Preset(180, (30, 90), (6, 2)),
    "medical": Preset(730, (180, 365), (5, 2)),
    "fitness": Preset(180, (14, 84), (24, 6)),
    "generic": Preset(365, (60, 180), (5, 2)),
}
