"""What every benchmark has: its options, and how it tells what was measured on which machine.

Takes: figures; commit, processor and memory are asked of the machine, and ``None`` if not known
Out:   what a benchmark prints of them, or one JSON line
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import platform
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import orjson
from rich.console import Console
from rich.table import Table

F = TypeVar("F", bound=Callable[..., Any])

_ROOT = Path(__file__).resolve().parent.parent


def commit() -> str | None:
    """The commit of this work tree, with ``+`` where files differ from it."""
    try:
        told = subprocess.run(
            ["git", "describe", "--always", "--abbrev=10", "--dirty=+"],  # noqa: S607  # any git will do
            cwd=_ROOT, capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return told.stdout.strip() or None


def machine() -> str:
    """Processor, cores and Python."""
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next(line.split(":", 1)[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        pass
    return f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}"


def settled_rss_bytes() -> int:
    """Memory that this process holds once what nobody uses any more has gone back to the system.

    A load that is made up in this process leaves much of it behind, which is not the fold's.
    """
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # glibc's alone
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    return rss_bytes()


def rss_bytes() -> int:
    """Memory that this process holds now; its peak where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def options(customers: int, lanes: int | None, least_lanes: int = 1) -> Callable[[F], F]:
    """The options that every benchmark has, with its own defaults; some have no lanes."""
    most = click.IntRange(100, 40_000_000)
    every = [click.option("--customers", type=most, default=customers, show_default=True)]
    if lanes is not None:
        count = click.IntRange(least_lanes, 4_096)
        every.append(click.option("--lanes", type=count, default=lanes, show_default=True))
    every += (
        click.option("--seed", type=int, default=1, show_default=True),
        click.option("--quick", is_flag=True, help="A small state and little load: does it run?"),
        click.option("--json", "is_json", is_flag=True, help="Print one JSON object at the end."),
    )

    def add(command: F) -> F:
        for option in reversed(every):
            command = option(command)
        return command

    return add


def print_row(title: str, row: dict[str, str], console: Console) -> None:
    """A table of one row: figures by what they are called."""
    table = Table(title=title)
    for name in row:
        table.add_column(name, justify="right")
    table.add_row(*row.values())
    console.print(table)


def measured_on() -> dict[str, str | None]:
    """What goes with every figure."""
    return {"commit": commit(), "machine": machine()}


def tell(told: dict[str, Any], is_json: bool, show: Callable[[Console], None]) -> None:
    """One JSON line, or what ``show`` prints; either with what it was measured on."""
    if is_json:
        click.echo(orjson.dumps(told | measured_on()))
        return
    console = Console(highlight=False)
    show(console)
    console.print(f"{machine()}; commit {commit() or 'unknown'}", soft_wrap=True)
