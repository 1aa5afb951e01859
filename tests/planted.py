"""Live a month of salons that ask their customers back, and ask what it brought each.

Takes: a seed, and how many points of a hundred are planted
Out:   ``Uplift`` by salon, as ``flowsell uplift`` finds it in what the fold says of that log
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Any, NamedTuple

import msgspec
import numpy as np

from flows.uplift import chosen, last_rows
from flows.uplift_statistics import Uplift, uplifts
from operators.decode import decode
from operators.fold import close, fold
from schemas.batch import Chunk
from sources.business import Business, businesses
from sources.generator import World
from state.lane import LaneState
from tests.engine import ID_KEY

START, MONTH = date(2026, 1, 1), "2026-01"
DAYS = 31 + 14 + 3
"""The month, what a contact of its last day may still bring, the time to write it down."""

LIVES, CUSTOMERS = 20, 600
"""Salons of a log, and how many customers one has on average."""

SETTINGS: dict[str, Any] = {
    "holdout_percent": 50,
    "consent_default": "allow",
    "triggers": [
        {
            "id": "again", "kind": "after_visit", "after": "2h", "channels": ["whatsapp", "sms"],
            "template": "again", "category": "marketing",
        }
    ],
}  # fmt: skip
"""Half is held out, so that little life tells much; who comes often is asked often."""


def salons(count: int) -> list[Business]:
    """Of one kind, which differ in who lives there."""
    (kind,) = businesses(1, seed=1)
    settings = kind.settings | SETTINGS
    return [replace(kind, index=n, tenant=f"t{n + 1:04d}", settings=settings) for n in range(count)]


def planted(seed: int, points: float, count: int = LIVES) -> list[Uplift]:
    """Each salon's uplift of the month.

    Commands are heard and answered day by day, in the very fold's loop. The salons share a lane:
    a round costs the same for few and for many.
    """
    made = salons(count)
    world = World(count, count * CUSTOMERS, DAYS, seed, start=START, effect=points, made=made)
    state, position = LaneState(0, ID_KEY), 0
    aggregates: list[bytes] = []
    waiting = world.opening()
    for day in world.days:
        records = waiting + world.live(day)
        positions = np.arange(position, position + len(records), dtype=np.int64)
        position += len(records)
        commands = []
        for batch in decode(Chunk(-1, positions, None, records), 1):
            streams = fold(state, batch).streams
            commands += [msgspec.json.decode(each.value) for each in streams["commands"]]
            aggregates += [each.value for each in streams["aggregates"]]
        world.hear(commands)
        waiting = world.settle(day)
        world.written()
    aggregates += [each.value for each in close(state).streams["aggregates"]]
    return uplifts(chosen(last_rows(aggregates), None, [MONTH]))


class Tally(NamedTuple):
    """Over many lives."""

    lives: int
    covered: int
    """Intervals that hold what was planted."""
    shown: int
    """Intervals without the zero."""
    mean: float
    """Difference of the return rates, on average."""
    error: float
    """Standard error of the mean."""


def tally(found: Sequence[Uplift], points: float) -> Tally:
    """What the intervals of these lives say."""
    covered, shown = 0, 0
    for _, low, high in (each.rate for each in found):
        assert low is not None
        assert high is not None
        covered += low <= points / 100 <= high
        shown += not low <= 0 <= high
    values = np.array([each.rate.value for each in found])
    error = float(np.std(values, ddof=1)) / len(values) ** 0.5
    return Tally(len(values), covered, shown, float(np.mean(values)), error)
