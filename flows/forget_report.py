"""Show what is left of somebody who wants to be forgotten, store by store.

Takes: ``Report``
Out:   stdout; no phone and no name
"""

from __future__ import annotations

from datetime import datetime

import msgspec
from rich.console import Console
from rich.table import Table


class Trace(msgspec.Struct, frozen=True):
    """One store: rows, hashes or files that told something before, and that do now.

    ``None`` where nobody can count; ``until`` is when the rest is gone without anybody's doing.
    """

    store: str
    what: str
    before: int | None
    now: int | None
    until: datetime | None


class Report(msgspec.Struct, frozen=True):
    """Who was forgotten, where the log has it, and what every store says."""

    tenant: str
    customer_id: str
    position: int
    is_clean: bool
    traces: list[Trace]


def print_report(report: Report, waits: bool) -> None:
    """A table, and one line of what it comes to."""
    console = Console(highlight=False)
    console.print(f"Customer {report.customer_id} of {report.tenant}", style="bold")
    if not waits:
        console.print(
            f"The wish is in the log at position {report.position}; nobody waited for it."
        )
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("store", overflow="fold")
    for name in ("before", "now"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("gone by", no_wrap=True)
    table.add_column("", overflow="fold")
    for trace in report.traces:
        is_left = bool(trace.now) and trace.until is None
        until = "now" if trace.until is None else f"{trace.until:%Y-%m-%d %H:%M}Z"
        counts = ["–" if count is None else f"{count:,}" for count in (trace.before, trace.now)]
        told = [trace.store, *counts, "not yet" if is_left else until, trace.what]
        table.add_row(*told, style="red" if is_left else "dim" if trace.until else "")
    console.print(table)
    told_of = "Forgotten." if report.is_clean else "Not forgotten everywhere yet; run it again."
    console.print(told_of, style="green" if report.is_clean else "red")
