"""``flowsell bench``: measure on this machine.

Takes: the name of a benchmark
Out:   a table, or with ``--json`` one line
"""

from __future__ import annotations

import click

from benchmarks.fold import fold


@click.group("bench")
def command() -> None:
    """Measure on this machine; every figure comes with its seed and its spread."""


command.add_command(fold)
