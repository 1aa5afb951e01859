"""``flowsell replay``: fold files into files, exactly once however often it is stopped.

In:    ``.ndjson`` and ``.ndjson.gz`` files; a folder; optionally a file of tenants' settings
Out:   the outputs as one ``.ndjson`` a stream, ``position.json`` beside them, and a summary; with
       ``--clickhouse`` the reports' rows as well
State: snapshots under ``state/`` in the folder, every 15 seconds and at the end
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Any

import click
from bytewax.testing import run_main

from flows.engagement import Settings, build, fingerprint
from flows.environment import Environment, read_environment
from flows.limit import DeadLetterLimit
from flows.load import Load, loading
from flows.migrate import wanted
from flows.progress import Step, progress
from flows.residence import at_home
from flows.stop import Stop, draining_on_signals
from schemas.settings import TenantSettings, parse_tenants_file
from sinks.clickhouse_target import Embedded, Target
from sinks.files import FilesSink, Noted, OutputFolder, Position
from sources.files import (
    BLOCK_BYTES,
    FilesSource,
    LineReader,
    Mark,
    goes_on_after,
    total_bytes,
    unreadable,
)
from state.control import Assigned
from state.snapshots import SnapshotStore
from state.tenants import EVERYWHERE

SNAPSHOT_EVERY_SECONDS = 15.0
STATE_FOLDER = "state"
FROM_ENVIRONMENT = ""
"""Value of ``--clickhouse`` given without a folder."""
TERM = 1


@dataclass(frozen=True)
class Replay:
    """What is to be replayed, and into which folder."""

    paths: Sequence[Path]
    folder: Path
    lanes: int
    id_key: bytes
    tenants: Mapping[str, TenantSettings] = field(default_factory=dict)
    block_bytes: int = BLOCK_BYTES
    snapshot_seconds: float = SNAPSHOT_EVERY_SECONDS
    clickhouse: Target | None = None
    countries: frozenset[str] = EVERYWHERE

    def run_identity(self) -> dict[str, Any]:
        """What must not change when a stopped replay goes on, by the name people know it by."""
        tenants = blake2b(digest_size=8)
        for tenant in sorted(self.tenants):
            tenants.update(tenant.encode() + b"\x1f" + self.tenants[tenant].source + b"\x1e")
        return {
            "lanes": self.lanes,
            "id key": fingerprint(self.lanes, self.id_key)["id_key"],
            "settings": tenants.hexdigest() if self.tenants else None,
        }


@dataclass(frozen=True)
class Summary:
    """What a replay did, in all and this time."""

    position: Position
    folder: Path
    records_now: int
    seconds: float

    @property
    def records_per_second(self) -> int:
        """Of this run alone."""
        return round(self.records_now / self.seconds) if self.seconds > 0 else 0

    @property
    def dead_letters(self) -> dict[str, int]:
        """By reason."""
        return self._under("dead_letters.")

    def _under(self, prefix: str) -> dict[str, int]:
        totals = self.position.totals
        return {k.removeprefix(prefix): totals[k] for k in sorted(totals) if k.startswith(prefix)}

    def as_json(self) -> dict[str, Any]:
        """One object for machines."""
        totals = self.position.totals
        return {
            "finished": self.position.finished,
            "records": self.position.position,
            "records_now": self.records_now,
            "seconds": round(self.seconds, 3),
            "records_per_second": self.records_per_second,
            "customers": totals.get("customers"),
            "commands": totals.get("commands", 0),
            "decisions": totals.get("decisions", 0),
            "segment_changes": totals.get("segments", 0),
            "profiles": totals.get("profiles", 0),
            "dead_letters": self.dead_letters,
            "counts": self._under("counts."),
            "out": str(self.folder),
        }


def replay(what: Replay, stop: Stop, step: Step) -> Summary:
    """Fold what is not folded yet; raises what is wrong with the input, the folder or the state."""
    started = time.monotonic()
    total_bytes(what.paths)
    with _opened(what) as output, loading(what.clickhouse) as load:
        position = output.position
        before = position.position
        mark = Mark(before, str(position.notes.get("input", "")))
        more = goes_on_after(what.paths, mark) if before else True
        if more or not position.finished:
            _fold(what, output, load, stop, step)
        else:
            load.begin(output)
        seconds = time.monotonic() - started
        records = output.position.position - before
        return Summary(output.position, what.folder, records, seconds)


@contextmanager
def _opened(what: Replay) -> Iterator[OutputFolder]:
    output = OutputFolder(what.folder)
    try:
        output.open(what.run_identity())
        yield output
    finally:
        output.close()


def _fold(what: Replay, output: OutputFolder, load: Load, stop: Stop, step: Step) -> None:
    output.begin()
    load.begin(output)
    store = SnapshotStore(
        (what.folder / STATE_FOLDER).absolute().as_uri(),
        fingerprint(what.lanes, what.id_key, what.countries),
    )
    position = output.position
    limit = DeadLetterLimit(position.position)
    limit.recall(position.notes.get("limit", {}))
    source = FilesSource(
        LineReader(what.paths, what.block_bytes),
        assigned_lanes(store, position, what),
        halted=lambda at_end: stop.asked() or limit.broken(at_end),
        snapshot_due=every(what.snapshot_seconds, time.monotonic),
        on_chunk=lambda records, done: step(done, records),
    )

    def noted(reached: int) -> Noted:
        mark = source.mark_at(reached)
        notes = {"input": mark.digest, "limit": limit.remember(), **load.note()}
        return Noted(mark.position, notes)

    settings = Settings(what.lanes, store.save, stop, what.tenants, limit.observe)
    flow = build(source, {"files": FilesSink(output, noted, load.write)}, settings)
    try:
        # One batch an epoch: a chunk is committed before the next one is read.
        run_main(flow, epoch_interval=timedelta(0))
    finally:
        source.reader.close()
    stop.check()
    limit.check()


def assigned_lanes(store: SnapshotStore, position: Position, what: Replay) -> list[Assigned]:
    """Every lane with its newest usable snapshot at or before C."""
    digests = position.digests
    return [
        Assigned(
            lane,
            TERM,
            position.position,
            store.restore(lane, what.id_key, position.position, what.countries),
            int(digests[lane], 16) if lane in digests else None,
        )
        for lane in range(what.lanes)
    ]


def every(seconds: float, clock: Callable[[], float]) -> Callable[[], bool]:
    """True once each time that so many seconds have passed."""
    last = clock()

    def due() -> bool:
        nonlocal last
        now = clock()
        if now - last < seconds:
            return False
        last = now
        return True

    return due


def read_tenants(path: Path | None, countries: frozenset[str]) -> dict[str, TenantSettings]:
    """The settings of a file of tenants, none of them abroad; none without a file."""
    if path is None:
        return {}
    try:
        return at_home(parse_tenants_file(path.name, path.read_bytes()), countries)
    except OSError as error:
        raise unreadable(path, error) from None


def replay_of(
    environment: Environment,
    paths: Sequence[Path],
    folder: Path,
    lanes: int | None,
    settings: Path | None,
    clickhouse: Target | None = None,
) -> Replay:
    """A replay as the command line and the environment describe it."""
    return Replay(
        paths,
        folder,
        environment.lanes if lanes is None else lanes,
        environment.offline_id_key,
        read_tenants(settings, environment.countries),
        clickhouse=clickhouse,
        countries=environment.countries,
    )


def clickhouse_of(given: str | None, environment: Environment) -> Target | None:
    """Where ``--clickhouse`` says; given without a folder, where the environment says."""
    if given is None:
        return None
    if given == FROM_ENVIRONMENT:
        return wanted(environment)
    if ":" in given:
        raise click.UsageError(
            "--clickhouse takes a folder; put a URL into FLOWSELL_CLICKHOUSE, and no value here"
        )
    return Embedded(Path(given))


@click.command("replay")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE…")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder of the outputs; the same folder goes on where a run was stopped.",
)
@click.option(
    "--settings",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Tenants' settings in force before the first line (TOML, YAML or JSON).",
)
@click.option(
    "--clickhouse",
    metavar="[DIR]",
    is_flag=False,
    flag_value=FROM_ENVIRONMENT,
    help="Reports into embedded ClickHouse in DIR as well; without DIR: into FLOWSELL_CLICKHOUSE.",
)
@click.option("--lanes", type=click.IntRange(1, 4096), help="Default: FLOWSELL_LANES, else 16.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end.")
@click.option("--no-progress", is_flag=True, help="Say nothing until the end.")
def command(
    files: tuple[Path, ...],
    out: Path,
    settings: Path | None,
    clickhouse: str | None,
    lanes: int | None,
    as_json: bool,
    no_progress: bool,
) -> None:
    """Fold .ndjson files into commands, decisions, segment changes and profiles."""
    from flows.logging import configure
    from flows.summary import print_json, print_summary

    environment = read_environment()
    configure(environment.log)
    target = clickhouse_of(clickhouse, environment)
    what = replay_of(environment, files, out, lanes, settings, target)
    stop = Stop()
    with (
        draining_on_signals(stop),
        progress("replaying", total_bytes(files), not no_progress) as step,
    ):
        summary = replay(what, stop, step)
    print_json(summary.as_json()) if as_json else print_summary(summary)
