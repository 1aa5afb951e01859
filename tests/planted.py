"""Live a month of a business that asks its customers back, and ask what it brought.

Takes: a seed, and how many points of a hundred are planted
Out:   ``Uplift`` as ``flowsell uplift`` finds it in what the fold says of that log
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any, NamedTuple

import msgspec
import numpy as np

from flows.uplift import chosen, last_rows
from flows.uplift_statistics import Uplift, uplifts
from operators.decode import decode
from operators.fold import close, fold
from schemas.batch import Chunk
from sources.generator import World
from state.lane import LaneState
from tests.engine import ID_KEY

START, MONTH = date(2026, 1, 1), "2026-01"
DAYS = 31 + 14 + 3
"""The month, what a contact of its last day may still bring, the time to write it down."""

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


def planted(seed: int, points: float, customers: int = 600) -> Uplift:
    """The month's uplift; commands are heard and answered day by day, in the very fold's loop."""
    world = World(1, customers, DAYS, seed, start=START, effect=points, settings=SETTINGS)
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
    (found,) = uplifts(chosen(last_rows(aggregates), None, [MONTH]))
    return found


class Tally(NamedTuple):
    """Over many lives."""

    seeds: int
    covered: int
    """Intervals that hold what was planted."""
    shown: int
    """Intervals without the zero."""
    mean: float
    """Difference of the return rates, on average."""
    error: float
    """Standard error of the mean."""


def tally(seeds: Iterable[int], points: float) -> Tally:
    """What the intervals of these seeds say."""
    values, covered, shown = [], 0, 0
    for seed in seeds:
        rate = planted(seed, points).rate
        assert rate.low is not None
        assert rate.high is not None
        values.append(rate.value)
        covered += rate.low <= points / 100 <= rate.high
        shown += not rate.low <= 0 <= rate.high
    error = float(np.std(values, ddof=1)) / len(values) ** 0.5
    return Tally(len(values), covered, shown, float(np.mean(values)), error)
