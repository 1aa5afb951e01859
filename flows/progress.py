"""How far long work has come: a bar on a terminal, a log line now and then where there is none.

Takes: a title and a total; ``step(done, records)`` from the work
Out:   stderr only, so that stdout stays the result's
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

Step = Callable[[int, int], None]

LINE_EVERY_SECONDS = 5.0


class _Records(ProgressColumn):
    """Records done and the rate since the start."""

    def render(self, task: Task) -> Text:
        records = int(task.fields["records"])
        if task.total is None:
            return Text()
        seconds = task.elapsed or 0.0
        rate = f" · {records / seconds:,.0f}/s" if seconds > 0.5 else ""
        return Text(f"{records:,}{rate}", style="progress.data.speed")


@contextmanager
def progress(title: str, total: int, shown: bool = True) -> Iterator[Step]:
    """Show how work comes on; ``step`` takes what of ``total`` is done, and records so far.

    A total of 0 is not known: the bar only shows that something happens.
    """
    console = Console(stderr=True)
    if not shown:
        yield silent
    elif console.is_terminal:
        with _bar(title, total, console) as step:
            yield step
    else:
        yield _lines(title, total)


def silent(done: int, records: int) -> None:
    """The step of work that nobody watches."""


@contextmanager
def _bar(title: str, total: int, console: Console) -> Iterator[Step]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TextColumn("{task.percentage:>3.0f}%"),
        _Records(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bars:
        task = bars.add_task(title, total=total or None, records=0)

        def step(done: int, records: int) -> None:
            bars.update(task, completed=done, records=records)

        yield step


def _lines(title: str, total: int) -> Step:
    log = structlog.get_logger()
    started = last = time.monotonic()

    def step(done: int, records: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < LINE_EVERY_SECONDS:
            return
        last = now
        log.info(
            title,
            percent=round(100 * done / max(total, 1)),
            records=records,
            records_per_second=round(records / (now - started)),
        )

    return step
