"""``flowsell bench peers``: the common job, by us and by what a user would pick instead.

Takes: sizes, or names of single peers; each has its own broker, in turn, on the same cores
Out:   a table, or one JSON line; with ``--results`` the same in ``RESULTS.md`` and ``results.json``
"""

from __future__ import annotations

import os
import time
from functools import partial
from typing import Any

import click
from rich.console import Console

from benchmarks.machine import measured_on, tell
from benchmarks.peers.catalogue import PEERS, Peer
from benchmarks.peers.environment import PeerUnavailableError
from benchmarks.peers.size import Say, Size
from benchmarks.peers.table import keep, print_table
from schemas.engines import EngineError

_NAMES = [peer.name for peer in PEERS]
_CLEAR_OF_MIDNIGHT_SECONDS = 1_800
_DAY_SECONDS = 86_400


def compare(peers: list[Peer], size: Size, say: Say) -> list[dict[str, Any]]:
    """Figures of each peer in turn; one that cannot run has its reason instead."""
    from benchmarks.peers.measure import measure

    told = []
    for number, peer in enumerate(peers, 1):
        say(f"{peer.name}: {number} of {len(peers)}")
        try:
            told.append(measure(peer, size, say))
        except (PeerUnavailableError, EngineError) as reason:
            say(f"{peer.name}: not measured: {reason}")
            told.append(
                {
                    "name": peer.name, "title": peer.title, "customers": size.customers,
                    "reason": str(reason),
                }
            )  # fmt: skip
    return told


def _wait_past_midnight(say: Say) -> None:
    """Recency is told as of the day of the appending, which must not turn."""
    left = _DAY_SECONDS - time.time() % _DAY_SECONDS
    if left < _CLEAR_OF_MIDNIGHT_SECONDS:
        say(f"waiting {left:,.0f} s for midnight (UTC) to pass")
        time.sleep(left + 1)


@click.command("peers")
@click.option("--only", multiple=True, type=click.Choice(_NAMES), help="These alone; repeatable.")
@click.option("--records", type=click.IntRange(1_000), default=100_000, show_default=True)
@click.option("--customers", type=click.IntRange(100), default=30_000, show_default=True)
@click.option("--runs", type=click.IntRange(1), default=3, show_default=True)
@click.option("--lanes", type=click.IntRange(1, 256), default=8, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
@click.option(
    "--held-seconds",
    type=click.IntRange(0),
    default=15,
    show_default=True,
    help="How long a rate is held; 0: no kills and no held rate.",
)
@click.option("--quick", is_flag=True, help="A small log, and the peers that need no installs.")
@click.option("--results", is_flag=True, help="Merge the figures into benchmarks/RESULTS.md.")
@click.option("--json", "is_json", is_flag=True, help="Print one JSON object at the end.")
def peers(
    only: tuple[str, ...], records: int, customers: int, runs: int, lanes: int, seed: int,
    held_seconds: int, quick: bool, results: bool, is_json: bool,
) -> None:  # fmt: skip
    """The common job by each peer: rates, costs, and what a kill does."""
    if "FLOWSELL_KAFKA" in os.environ:
        raise click.UsageError("FLOWSELL_KAFKA: each peer has a broker of its own; unset it")
    err = Console(stderr=True, highlight=False)
    if quick:
        records, customers, runs, held_seconds = 5_000, 1_000, 1, 0
    chosen = [peer for peer in PEERS if (peer.name in only if only else peer.is_quick or not quick)]
    _wait_past_midnight(err.print)
    begun = time.monotonic()

    def say(line: str) -> None:
        err.print(f"[{time.monotonic() - begun:6.0f} s] {line}", markup=False)

    told = compare(chosen, Size(records, customers, runs, seed, lanes, held_seconds), say)
    if results:
        keep(told, measured_on())
    tell({"peers": told}, is_json, partial(print_table, told))
