"""How much of everything a comparison has, the same for every peer.

Takes: what the command line says
Out:   ``Size``
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Say = Callable[[str], None]
"""Tells a line of progress."""


@dataclass(frozen=True, slots=True)
class Size:
    """Of the runs of every peer."""

    records: int
    """Of one run."""
    customers: int
    runs: int
    seed: int
    lanes: int
    held_seconds: int
    """How long the rate is held; 0: no kills and no held rate."""
