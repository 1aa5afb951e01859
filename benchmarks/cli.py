"""``flowsell bench``: measure on this machine.

Takes: the name of a benchmark
Out:   a table, or with ``--json`` one line
"""

from __future__ import annotations

import click

from benchmarks.fold import fold
from benchmarks.kafka import kafka
from benchmarks.latency import latency
from benchmarks.midnight import midnight
from benchmarks.peers.command import peers
from benchmarks.recovery import recovery
from benchmarks.scale import scale
from benchmarks.stores import stores


@click.group("bench")
def command() -> None:
    """Measure on this machine; every figure comes with its seed and its spread."""


for each in (fold, kafka, latency, midnight, peers, recovery, scale, stores):
    command.add_command(each)
