"""The figures of a finished replay's folder, for the report.

Takes: the folder of ``flowsell replay --out``
Out:   ``Figures``: customers by segment, moves, commands and decisions by trigger
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

Columns = Mapping[str, pl.DataType | type[pl.DataType]]

SEGMENT_COLUMNS: Columns = {
    "tenant": pl.String,
    "customer_id": pl.String,
    "from": pl.String,
    "to": pl.String,
    "cause": pl.String,
    "at": pl.String,
}
COMMAND_COLUMNS: Columns = {
    "command_id": pl.String,
    "tenant": pl.String,
    "customer_id": pl.String,
    "trigger": pl.String,
    "kind": pl.String,
    "category": pl.String,
    "channels": pl.List(pl.String),
    "created_at": pl.String,
    "withdrawn": pl.Boolean,
}
DECISION_COLUMNS: Columns = {
    "customer_id": pl.String,
    "trigger": pl.String,
    "outcome": pl.String,
    "reason": pl.String,
    "at": pl.String,
}
PROFILE_COLUMNS: Columns = {
    "tenant": pl.String,
    "customer_id": pl.String,
    "phone": pl.String,
    "name": pl.String,
    "segment": pl.String,
}

MOVES = {
    "second_visit": ("31", "32"),
    "cooling": ("3", "2"),
    "lapsed": ("2", "1"),
    "returned": ("1", "3"),
}
"""Kinds of transition by the start of the codes that they go from and to."""

TOP_MOVES = 8


@dataclass
class TriggerFigures:
    """What came of one trigger id over all tenants."""

    trigger: str
    kind: str | None
    channel: str | None
    sent: int = 0
    withdrawn: int = 0
    refused: Counter[str] = field(default_factory=Counter)

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "trigger": self.trigger,
            "kind": self.kind,
            "channel": self.channel,
            "sent": self.sent,
            "withdrawn": self.withdrawn,
            "refused": dict(self.refused),
        }


@dataclass(frozen=True)
class Tables:
    """The outputs as frames, in file order."""

    segments: pl.DataFrame
    commands: pl.DataFrame
    decisions: pl.DataFrame
    profiles: pl.DataFrame


@dataclass(frozen=True)
class Figures:
    """Everything that the report counts."""

    by_segment: dict[str, int]
    changes: int
    moves: dict[str, int]
    causes: dict[str, int]
    top_moves: list[tuple[str, str, int]]
    triggers: list[TriggerFigures]

    @property
    def customers(self) -> int:
        """Customers with at least one attended visit."""
        return sum(n for code, n in self.by_segment.items() if code != "000")

    @property
    def leads(self) -> int:
        """Known customers without one."""
        return self.by_segment.get("000", 0)


def read_tables(folder: Path) -> Tables:
    """Read the output files; of profiles the last line of each customer, tombstones left out."""
    profiles = (
        pl.read_ndjson(folder / "profiles.ndjson", schema=PROFILE_COLUMNS)
        .unique("customer_id", keep="last", maintain_order=True)
        .filter(pl.col("segment").is_not_null())
    )
    return Tables(
        pl.read_ndjson(folder / "segments.ndjson", schema=SEGMENT_COLUMNS),
        pl.read_ndjson(folder / "commands.ndjson", schema=COMMAND_COLUMNS),
        pl.read_ndjson(folder / "decisions.ndjson", schema=DECISION_COLUMNS),
        profiles,
    )


def figures(tables: Tables) -> Figures:
    """Count what the report shows."""
    flows = _counted(tables.segments, ["from", "to"])
    return Figures(
        by_segment=dict(sorted(_counted(tables.profiles, ["segment"]))),
        changes=len(tables.segments),
        moves=move_counts(flows),
        causes=dict(_counted(tables.segments, ["cause"])),
        top_moves=[(a, b, n) for a, b, n in flows if a != "000"][:TOP_MOVES],
        triggers=trigger_figures(tables.commands, tables.decisions),
    )


def move_counts(flows: list[Any]) -> dict[str, int]:
    """How many changes were of each kind of transition."""
    counts = dict.fromkeys(MOVES, 0)
    for before, after, number in flows:
        for kind, (start, end) in MOVES.items():
            if before.startswith(start) and after.startswith(end):
                counts[kind] += number
    return counts


def trigger_figures(commands: pl.DataFrame, decisions: pl.DataFrame) -> list[TriggerFigures]:
    """By trigger id, the busiest first."""
    named = commands.group_by("trigger", maintain_order=True).agg(
        pl.col("kind").first(), pl.col("channels").first().list.first().alias("channel")
    )
    rows = {t: TriggerFigures(t, kind, channel) for t, kind, channel in named.iter_rows()}
    for trigger, outcome, reason, number in _counted(decisions, ["trigger", "outcome", "reason"]):
        row = rows.setdefault(trigger, TriggerFigures(trigger, None, None))
        if outcome == "sent":
            row.sent += number
        elif outcome == "withdrawn":
            row.withdrawn += number
        elif outcome != "held":
            row.refused[reason or outcome] += number
    return sorted(rows.values(), key=lambda row: (-row.sent, row.trigger))


def _counted(frame: pl.DataFrame, columns: list[str]) -> list[Any]:
    """Rows of the columns' values and their number, the most frequent first."""
    counted = (
        frame.group_by(columns)
        .len()
        .sort(["len", *columns], descending=[True] + [False] * len(columns))
    )
    return list(counted.iter_rows())
