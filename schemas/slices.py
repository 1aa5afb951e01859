"""Messages of the engine's own topics, on their way to the stores that keep what they say.

Units: an offset is Kafka's, of one partition
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import NamedTuple


class Place(NamedTuple):
    """One partition of one topic, by the stream's name."""

    stream: str
    partition: int

    def __str__(self) -> str:
        """As stores keep it: ``segments/3``."""
        return f"{self.stream}/{self.partition}"


def place_of(text: str) -> Place:
    """The place that a store has kept."""
    stream, _, partition = text.rpartition("/")
    return Place(stream, int(partition))


@dataclass(slots=True)
class Slice:
    """Values of one place in their order, n offsets and n values, and the offset behind them.

    ``term`` counts how often reading has begun anew; ``end`` may be higher than the last offset
    and one, since transactions and compaction leave holes.
    """

    term: int
    place: Place
    offsets: list[int]
    values: list[bytes | None]
    end: int

    def since(self, offset: int) -> list[bytes]:
        """The values from this offset on; a null says nothing."""
        start = bisect_left(self.offsets, offset)
        return [value for value in self.values[start:] if value is not None]
