"""Tell house numbers from people: a phone's day has room for thirty visits.

Takes: visits as they come to a customer
Out:   whether one more finds the day full; it is a walk-in then
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

MOST_A_DAY = 30


@dataclass
class Crowds:
    """What was placed, by customer, and by day of who has had thirty visits on whatever days."""

    placed: Counter[str] = field(default_factory=Counter)
    days: dict[str, Counter[int]] = field(default_factory=dict)
    before: dict[str, Counter[int]] = field(default_factory=dict)  # it was forgotten

    def is_full(self, who: str, day: int) -> bool:
        """Whether the day has had its share."""
        return who in self.days and self.days[who][day] >= MOST_A_DAY

    def place(self, who: str, day: int, so_far: Callable[[], Iterable[int]]) -> None:
        """One more visit; ``so_far`` are the days of all that the customer has, this one too."""
        if who in self.days:
            self.days[who][day] += 1
            return
        self.placed[who] += 1
        if self.placed[who] >= MOST_A_DAY:
            self.days[who] = Counter(so_far()) + self.before.pop(who, Counter())

    def expire(self, is_inside: Callable[[int], bool]) -> None:
        """Under other settings a day may come back inside the window; it begins anew."""
        for counted in (self.days, self.before):
            for who, days in counted.items():
                counted[who] = Counter({day: n for day, n in days.items() if is_inside(day)})

    def forget(self, who: str) -> None:
        """Who was forgotten begins anew; what was placed stays placed."""
        self.placed.pop(who, None)
        if who in self.days:
            self.before[who] = self.days.pop(who)
