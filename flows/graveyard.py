"""What lies among the dead letters: how many, why, whose, and a few of each to look at.

In:    letters
Out:   a table for people or one JSON object for machines; no body and no header unless asked
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows.letters import Letter
from flows.logging import struck
from schemas.record import utc_text

SAMPLES = 3
TENANTS_SHOWN = 5
BODY_CHARACTERS = 2_000


@dataclass
class Heap:
    """Letters with one reason, found at one stage."""

    reason: str
    stage: str
    letters: int = 0
    bytes: int = 0
    came_back: int = 0
    """Of these: records that had been replayed before, and died again."""
    tenants: Counter[str] = field(default_factory=Counter)
    samples: list[Letter] = field(default_factory=list)


class Graveyard:
    """All letters that were looked at, by reason."""

    def __init__(self, samples: int, bodies: bool) -> None:
        self._samples = samples
        self._bodies = bodies
        self._heaps: dict[tuple[str, str], Heap] = {}
        self._marks: set[str] = set()
        self.letters = 0
        self.bytes = 0
        self.replayed_twice = 0
        """Letters of one record that one letter was replayed as more than once."""
        self.first_ms: int | None = None
        self.last_ms: int | None = None

    def add(self, letter: Letter) -> None:
        """Count a letter; the first few of each reason are kept."""
        size = letter.was_bytes or len(letter.value or b"")
        heap = self._heaps.setdefault(
            (letter.reason, letter.stage), Heap(letter.reason, letter.stage)
        )
        heap.letters += 1
        heap.bytes += size
        heap.tenants[_whose(letter)] += 1
        if len(heap.samples) < self._samples:
            heap.samples.append(letter)
        self.letters += 1
        self.bytes += size
        if marks := letter.marks:
            heap.came_back += 1
            self.replayed_twice += marks[-1] in self._marks
            self._marks.add(marks[-1])
        if letter.at_ms is not None:
            self.first_ms = min(letter.at_ms, self.first_ms or letter.at_ms)
            self.last_ms = max(letter.at_ms, self.last_ms or letter.at_ms)

    @property
    def heaps(self) -> list[Heap]:
        """The largest first."""
        return sorted(self._heaps.values(), key=lambda heap: (-heap.letters, heap.reason))

    def as_json(self) -> dict[str, Any]:
        """Everything, for machines."""
        return {
            "letters": self.letters,
            "bytes": self.bytes,
            "first_at": _instant(self.first_ms),
            "last_at": _instant(self.last_ms),
            "replayed_twice": self.replayed_twice,
            "reasons": [
                {
                    "reason": heap.reason,
                    "stage": heap.stage,
                    "letters": heap.letters,
                    "bytes": heap.bytes,
                    "came_back": heap.came_back,
                    "tenants": dict(heap.tenants.most_common()),
                    "samples": [self._sample(letter) for letter in heap.samples],
                }
                for heap in self.heaps
            ],
        }

    def _sample(self, letter: Letter) -> dict[str, Any]:
        told: dict[str, Any] = {
            "partition": letter.partition,
            "offset": letter.offset,
            "at": _instant(letter.at_ms),
            "tenant": _whose(letter) or None,
            "record": {"partition": letter.origin.partition, "offset": letter.origin.offset},
            "bytes": letter.was_bytes or len(letter.value or b""),
            "message": letter.message,
            "replays": len(letter.marks),
        }
        return told | {"body": body_text(letter)} if self._bodies else told

    def print(self, console: Console) -> None:
        """A table by reason, then the samples."""
        if not self.letters:
            console.print("No dead letters.")
            return
        table = Table(box=None, pad_edge=False)
        for title in ("reason", "stage"):
            table.add_column(title)
        for title in ("letters", "bytes", "came back"):
            table.add_column(title, justify="right")
        table.add_column("tenants")
        for heap in self.heaps:
            numbers = (f"{each:,}" for each in (heap.letters, heap.bytes, heap.came_back))
            table.add_row(heap.reason, heap.stage, *numbers, _tenants(heap.tenants))
        console.print(table)
        span = f"{_instant(self.first_ms) or '–'} to {_instant(self.last_ms) or '–'}"
        console.print(f"{self.letters:,} letters, {self.bytes:,} bytes, {span}", soft_wrap=True)
        if self.replayed_twice:
            console.print(f"{self.replayed_twice:,} of one letter replayed more than once")
        for heap in self.heaps:
            for letter in heap.samples:
                self._print_sample(console, letter)

    def _print_sample(self, console: Console, letter: Letter) -> None:
        record = "" if letter.origin.partition is None else f"{letter.origin.partition}:"
        console.print(
            Text(
                f"\n{letter.reason} at {letter.partition}:{letter.offset}"
                f", record {record}{letter.origin.offset}, {_whose(letter) or 'no tenant'}"
                f", {letter.was_bytes or len(letter.value or b''):,} bytes\n  {letter.message}"
            ),
            soft_wrap=True,
        )
        if self._bodies:
            console.print(Text(f"  {body_text(letter)}"), soft_wrap=True)


def body_text(letter: Letter) -> str | None:
    """The beginning of the record as text; bytes that are none are replaced."""
    if letter.value is None:
        return None
    return letter.value[: 4 * BODY_CHARACTERS].decode(errors="replace")[:BODY_CHARACTERS]


def _whose(letter: Letter) -> str:
    """The tenant; a key may be anything, also somebody's phone."""
    return struck(letter.tenant or "")


def _tenants(tenants: Counter[str]) -> str:
    shown = [f"{name or 'none'} {times:,}" for name, times in tenants.most_common(TENANTS_SHOWN)]
    left = len(tenants) - len(shown)
    return ", ".join(shown) + (f", {left} more" if left else "")


def _instant(ms: int | None) -> str | None:
    return None if ms is None else utc_text(datetime.fromtimestamp(ms / 1000, UTC))
