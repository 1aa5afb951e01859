"""What a replay did, as a table for people or one JSON object for machines.

Takes: ``Summary``
Out:   stdout
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click
import msgspec
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from flows.replay import Summary


def print_json(summary: Mapping[str, Any]) -> None:
    """One line, the last of stdout."""
    click.echo(msgspec.json.encode(summary))


def print_summary(summary: Summary) -> None:
    """A short table, and how to go on where the end was not reached."""
    console = Console(highlight=False)
    totals = summary.position.totals
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(justify="right")
    records = summary.position.position
    table.add_row("records", f"{records:,}")
    if summary.records_now:
        rate = f"{summary.records_now:,} in {summary.seconds:.1f} s"
        table.add_row("this run", f"{rate}, {summary.records_per_second:,}/s")
    if "customers" in totals:
        table.add_row("customers", f"{totals['customers']:,}")
    for stream, title in (
        ("segments", "segment changes"),
        ("commands", "commands"),
        ("decisions", "decisions"),
    ):
        table.add_row(title, f"{totals.get(stream, 0):,}")
    dead = summary.dead_letters
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in dead.items())
    table.add_row("dead letters", f"{sum(dead.values()):,}" + (f" ({reasons})" if dead else ""))
    console.print(table)
    console.print(f"in {summary.folder}", soft_wrap=True)
    if not summary.position.finished:
        console.print(
            f"Stopped before line {records:,}; the same command goes on from there.",
            style="yellow",
        )
    elif not summary.records_now:
        console.print("Nothing to do: this input was replayed here to its end.")
