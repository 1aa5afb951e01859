"""Measure one peer: what it takes, what it costs, and what a kill does to it.

Takes: a peer, the sizes of a run
Out:   its figures; ``None`` for what its kind does not have, or was not asked for
Order: the past of all customers as warm-up; backlogs, each there at once; kill -9 and a start; kill
       -9 in the middle of a backlog; a held rate
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from datetime import datetime
from statistics import median
from typing import Any

import numpy as np
import orjson

from benchmarks.peers.catalogue import Peer
from benchmarks.peers.environment import program, version_of
from benchmarks.peers.log import peer_load
from benchmarks.peers.outputs import Told, harm, share_right
from benchmarks.peers.process import Tree
from benchmarks.peers.size import Say, Size
from benchmarks.peers.trial import PATIENCE_SECONDS, Trial, trial
from benchmarks.site import site

_SHARE_OF_WHAT_IT_HOLDS = 0.5
_HIGHEST_RATE = 10_000
_SHARE_BEFORE_KILL = 0.4
"""Of the time that a backlog takes."""


@dataclass(frozen=True, slots=True)
class Run:
    """One backlog."""

    records: int
    seconds: float
    cpu_seconds: float


@dataclass(slots=True)
class Figures:
    """Of one peer; units are in the names."""

    name: str
    title: str
    version: str
    kind: str
    promise: str
    customers: int
    records_per_second: int
    spread: float
    cpu_seconds_per_million: float
    rss_bytes: int
    customers_right: float
    runs: list[int]
    fill_seconds: float
    """From its start to the segments of everybody's past."""
    restart_seconds: float | None = None
    """From a start after kill -9 to an answer from every lane."""
    lost: int | None = None
    twice: int | None = None
    caught_up_seconds: float | None = None
    """From kill -9 in the middle of a backlog to the backlog's end."""
    held_rate: int | None = None
    p99_ms: float | None = None
    refresh_seconds: float | None = None
    refresh_cpu_seconds: float | None = None
    """A batch's last recompute alone, without the loading of the day's records."""


def measure(peer: Peer, size: Size, say: Say) -> dict[str, Any]:
    """Everything about one peer, as JSON has it."""
    command = program(peer, say)
    load = peer_load(size.records, size.customers, size.seed, size.lanes, size.runs + 2)
    with site(size.lanes) as deployment, trial(peer, command, deployment, load) as its:
        figures = (_batch if peer.kind == "batch" else _stream)(its, size, say)
    return asdict(figures)


def _stream(its: Trial, size: Size, say: Say) -> Figures:
    its.append(its.log.past())
    started = time.time()
    tree = its.start()
    fill = _until(its, tree, 0) - started
    say(f"{its.peer.name}: {size.customers:,} customers after {fill:.1f} s")
    runs = []
    for phase in range(1, size.runs + 1):
        runs.append(_backlog(its, tree, phase - 1, phase))
        say(f"{its.peer.name}: run {phase}, {_rate(runs[-1]):,.0f} records/s")
    figures = _figures(its, size, runs, tree.peak_rss, fill)
    if size.held_seconds:
        tree = _restart(its, tree, size.runs + 1, figures, say)
        after = median(run.seconds for run in runs) * _SHARE_BEFORE_KILL
        tree = _killed(its, tree, size.runs, size.runs + 2, after, figures, say)
        _hold(its, tree, size.runs + 1, size.runs + 3, size, figures, say)
    return figures


def _until(its: Trial, tree: Tree, phase: int, begin: int = 0) -> float:
    """When the last output of a phase was there."""
    return its.outputs.until(its.markers(phase), tree.look, PATIENCE_SECONDS, begin)


def _backlog(its: Trial, tree: Tree, window: int, phase: int) -> Run:
    chunks = its.log.run(window, phase)
    seen, cpu = len(its.outputs.told), tree.cpu_seconds()
    begin = time.time()
    count = its.append(chunks)
    if not its.peer.reads_open:
        begin, cpu = time.time(), tree.cpu_seconds()
    used, told = cpu, seen

    def turn() -> None:
        nonlocal used, told
        tree.look()
        if len(its.outputs.told) > told:  # what it idles after the last output is not the job's
            used, told = tree.cpu_seconds(), len(its.outputs.told)

    last = its.outputs.until(its.markers(phase), turn, PATIENCE_SECONDS, seen)
    return Run(count, last - begin, used - cpu)


def _restart(its: Trial, tree: Tree, phase: int, figures: Figures, say: Say) -> Tree:
    """Kill -9 at rest, and how long until it answers again."""
    tree.kill()
    seen = len(its.outputs.told)
    its.append(its.log.markers(phase))
    started = time.time()
    tree = its.start()
    figures.restart_seconds = round(_until(its, tree, phase, seen) - started, 2)
    say(f"{its.peer.name}: answers {figures.restart_seconds} s after a start")
    return tree


def _killed(
    its: Trial, tree: Tree, window: int, phase: int, after: float, figures: Figures, say: Say
) -> Tree:
    """Kill -9 so many seconds after a backlog was there."""
    chunks = its.log.run(window, phase)
    seen = len(its.outputs.told)
    its.append(chunks)
    its.outputs.look(after)
    tree.look()
    tree.kill()
    killed = time.time()
    tree = its.start()
    figures.caught_up_seconds = round(_until(its, tree, phase, seen) - killed, 2)
    found = harm(its.outputs.told, its.owed())
    figures.lost, figures.twice = found.lost, found.twice
    say(
        f"{its.peer.name}: caught up {figures.caught_up_seconds} s after kill -9, "
        f"{found.lost:,} lost, {found.twice or 0:,} twice"
    )
    return tree


def _hold(
    its: Trial, tree: Tree, window: int, phase: int, size: Size, figures: Figures, say: Say
) -> None:
    """Half of what it can take, at most a fixed rate, for some seconds."""
    most = min(_HIGHEST_RATE, size.records / size.held_seconds)
    rate = max(int(min(most, figures.records_per_second * _SHARE_OF_WHAT_IT_HOLDS)), 1)
    records = its.slices(its.log.run(window, phase), rate * size.held_seconds, rate)
    seen, begin = len(its.outputs.told), time.monotonic()
    for count in records:
        due = begin + count / rate
        its.outputs.look(max(due - time.monotonic(), 0.001))
    its.append(its.log.markers(phase))
    _until(its, tree, phase, seen)
    waited = _waited_ms(its.outputs.told[seen:])
    if not waited:
        return
    figures.held_rate = rate
    figures.p99_ms = round(float(np.percentile(waited, 99)), 1)
    say(f"{its.peer.name}: p99 {figures.p99_ms:,.0f} ms at {rate:,} records/s")


def _waited_ms(told: list[Told]) -> list[float]:
    """Of the changes that tell when the record was appended that caused them."""
    waited = []
    for each in told:
        at = orjson.loads(each.value).get("at")
        if at is not None:
            appended = datetime.fromisoformat(at).timestamp() if isinstance(at, str) else at / 1000
            waited.append((each.received - appended) * 1000)
    return waited


def _batch(its: Trial, size: Size, say: Say) -> Figures:
    fill, rss = _refresh(its, its.append(its.log.past()))
    say(f"{its.peer.name}: {size.customers:,} customers after {fill.seconds:.1f} s")
    runs = []
    for phase in range(1, size.runs + 1):
        count = its.append(its.log.run(phase - 1, phase))
        run, held = _refresh(its, count)
        runs.append(run)
        rss = max(rss, held)
        say(f"{its.peer.name}: run {phase}, {_rate(run):,.0f} records/s")
    its.outputs.until(its.markers(size.runs), lambda: None, PATIENCE_SECONDS)
    figures = _figures(its, size, runs, rss, fill.seconds)
    alone = orjson.loads((its.state / "refresh.json").read_bytes())
    figures.refresh_seconds, figures.refresh_cpu_seconds = alone["seconds"], alone["cpu_seconds"]
    return figures


def _refresh(its: Trial, count: int) -> tuple[Run, int]:
    cpu, begin = its.batch_cpu_seconds(), time.time()
    tree = its.start()
    its.to_the_end(tree)
    return Run(count, time.time() - begin, its.batch_cpu_seconds() - cpu), tree.peak_rss


def _rate(run: Run) -> float:
    return run.records / run.seconds


def _figures(its: Trial, size: Size, runs: list[Run], rss: int, fill: float) -> Figures:
    rates = [_rate(run) for run in runs]
    peer = its.peer
    return Figures(
        name=peer.name,
        title=peer.title,
        version=version_of(peer),
        kind=peer.kind,
        promise=peer.promise,
        customers=size.customers,
        records_per_second=round(median(rates)),
        spread=round((max(rates) - min(rates)) / median(rates), 3),
        cpu_seconds_per_million=round(
            median(run.cpu_seconds / run.records * 1e6 for run in runs), 2
        ),
        rss_bytes=rss,
        customers_right=round(share_right(its.outputs.told, its.owed()), 6),
        runs=[round(rate) for rate in rates],
        fill_seconds=round(fill, 2),
    )
