"""The planted effect: by how much a command raises the chance that its customer returns.

Takes: percentage points; a trigger, and whether its customer would have returned anyway
Out:   whether the command brings the customer back
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from random import Random

RETURN_DAYS = 14


@dataclass(slots=True)
class Pull:
    """One for all businesses: how many return anyway is learnt on the way, by trigger."""

    points: float
    asked: Counter[str] = field(default_factory=Counter)
    anyway: Counter[str] = field(default_factory=Counter)

    def lures(self, trigger: str, anyway: bool, rng: Random) -> bool:
        """Whether a customer who would not have returned within the fortnight now does.

        Of all who get a command, ``points`` of a hundred return more than without. Those who
        return anyway cannot return more, so that the others do so more often than that.
        """
        self.asked[trigger] += 1
        self.anyway[trigger] += anyway
        chance = rng.random()
        if anyway or not self.points:
            return False
        others = 1 - (self.anyway[trigger] + 2) / (self.asked[trigger] + 10)
        return chance < self.points / 100 / max(others, 0.01)
