"""``flowsell demo``: synthetic tenants, folded by the embedded default, with a report to look at.

In:    a seed and sizes
Out:   ``records.ndjson``, the outputs of a replay and an embedded ClickHouse in a folder; a report
       on stdout
State: as a replay's; the folder is made anew
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from flows.environment import read_environment
from flows.figures import Figures, figures, read_tables
from flows.living import living
from flows.logging import configure
from flows.progress import Step, progress
from flows.replay import Replay, Summary, replay
from flows.report import Run, show
from flows.stop import Stop, draining_on_signals
from flows.stories import Story, choose, tell
from flows.summary import print_json
from flows.texts import TEXTS
from flows.uplift import as_json
from flows.views import QUERY, Views, read_views
from sinks.clickhouse_target import Embedded
from sinks.files import FILES, POSITION_FILE, OutputUnusable
from sources.business import businesses
from sources.files import total_bytes
from sources.generator import World

RECORDS_FILE = "records.ndjson"
CLICKHOUSE_FOLDER = "clickhouse"
MOST_RECORDS = 1_000_000
DEMO_LANES = 1
"""So small a log is folded several times faster uncut: a round costs the same for few and many."""
START = date(2026, 1, 5)
"""The first day of a demo's life."""

_STEP_RECORDS = 2_000
_WRITE_BYTES = 1 << 20
_MARKER = ".demo"
_APPENDED = b'"appended_at":"'
_OURS = (*FILES.values(), RECORDS_FILE, POSITION_FILE, ".lock")


@dataclass(frozen=True)
class Life:
    """What to make up."""

    tenants: int
    customers: int
    days: int
    seed: int
    effect: float
    records: int


def make_folder(folder: Path) -> None:
    """An empty folder; what an earlier demo left there goes, what somebody else put there stays."""
    try:
        if folder.exists() and any(folder.iterdir()):
            if not (folder / _MARKER).exists():
                raise OutputUnusable(f"{folder}: not empty, and no demo made it; choose another")
            for name in _OURS:
                (folder / name).unlink(missing_ok=True)
            for name in ("state", CLICKHOUSE_FOLDER):
                shutil.rmtree(folder / name, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _MARKER).touch()
    except OSError as error:
        raise OutputUnusable(f"{folder}: cannot be written: {error.strerror}") from None


def write_log(life: Life, path: Path, id_key: bytes, stop: Stop, step: Step) -> int:
    """Write what is lived; returns how many records. ``step`` is told thousandths of the work."""
    written, first = 0, None
    world = World(
        life.tenants,
        life.customers,
        life.days,
        life.seed,
        faults=True,
        start=START,
        effect=life.effect,
    )
    records = islice(living(world, id_key), life.records)
    with path.open("wb", buffering=_WRITE_BYTES) as file:
        for record in records:
            file.write(record)
            file.write(b"\n")
            written += 1
            if written % _STEP_RECORDS == 1:
                day = appended_day(record)
                first = first or day
                lived = (day - first).days / life.days if day and first else 0.0
                step(round(1000 * max(lived, written / life.records)), written)
                if stop.asked():
                    raise KeyboardInterrupt
    return written


def appended_day(record: bytes) -> date | None:
    """The day on which the log took a record in, if it tells one."""
    at = record.find(_APPENDED)
    if at < 0:
        return None
    text = record[at + len(_APPENDED) :][:10]
    try:
        return date.fromisoformat(text.decode())
    except ValueError:
        return None


@dataclass(frozen=True)
class Shown:
    """Everything that a demo ends with."""

    run: Run
    summary: Summary
    figures: Figures
    story: Story | None
    views: Views | None

    def as_json(self) -> dict[str, Any]:
        """One object for machines; no phone, no name."""
        return {
            "records": self.run.records,
            "generate_seconds": self.run.generate_seconds,
            "fold_seconds": round(self.run.fold_seconds, 3),
            "records_per_second": self.run.records_per_second,
            "customers": self.figures.customers,
            "leads": self.figures.leads,
            "segments": self.figures.by_segment,
            "segment_changes": self.figures.changes,
            "transitions": self.figures.moves,
            "commands": [row.as_json() for row in self.figures.triggers],
            "funnel": [each.as_json() for each in self.views.funnel] if self.views else [],
            "uplift": as_json(self.views.uplift)["uplift"] if self.views else [],
            "dead_letters": self.summary.dead_letters,
            "story": self.story
            and {
                "customer_id": self.story.chosen.customer_id,
                "why": self.story.chosen.why,
            },
            "clickhouse": self.views and self.views.folder,
            "out": str(self.summary.folder),
        }


def demo(life: Life, what: Replay, stop: Stop, words: dict[str, str], shown: bool) -> Shown | None:
    """Generate, fold and look; ``None`` if it was asked to stop."""
    make_folder(what.folder)
    started = time.monotonic()
    with progress(words["generating"], 1000, shown) as step:
        written = write_log(life, what.paths[0], what.id_key, stop, step)
    generated = time.monotonic() - started
    with progress(words["folding"], total_bytes(what.paths), shown) as step:
        summary = replay(what, stop, step)
    if not summary.position.finished:
        return None
    with progress(words["reading"], 0, shown):
        tables = read_tables(what.folder)
        story = tell(choose(tables), tables, what.paths[0])
        views = None
        if isinstance(what.clickhouse, Embedded):
            views = read_views(what.clickhouse)
        start = datetime(START.year, START.month, START.day, tzinfo=UTC)
        run = Run(
            records=written,
            tenants=life.tenants,
            start=start,
            end=start + timedelta(days=life.days - 1),
            generate_seconds=round(generated, 3),
            fold_seconds=summary.seconds,
            records_per_second=summary.records_per_second,
            businesses={
                each.tenant: (each.settings["name"], each.place.currency)
                for each in businesses(life.tenants, life.seed)
            },
            effect=life.effect,
        )
        return Shown(run, summary, figures(tables), story, views)


@click.command("demo")
@click.option("--tenants", default=12, show_default=True, type=click.IntRange(1, 2_500))
@click.option("--customers", default=5_500, show_default=True, type=click.IntRange(1, 1_000_000))
@click.option("--days", default=162, show_default=True, type=click.IntRange(1, 1_095))
@click.option("--seed", default=7, show_default=True, type=click.IntRange(0))
@click.option(
    "--effect",
    metavar="POINTS",
    default=20.0,
    show_default=True,
    type=click.FloatRange(0, 100),
    help="How many of 100 customers more return within 14 days of a marketing command.",
)
@click.option(
    "--records",
    default=MOST_RECORDS,
    type=click.IntRange(1, MOST_RECORDS),
    help="At most so many records.",
)
@click.option("--locale", default="en", show_default=True, type=click.Choice(["en", "ru"]))
@click.option(
    "--out",
    default="demo-out",
    show_default=True,
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Folder of the log and the outputs.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end.")
@click.option("--no-progress", is_flag=True, help="Say nothing until the end.")
def command(
    tenants: int,
    customers: int,
    days: int,
    seed: int,
    effect: float,
    records: int,
    locale: str,
    out: Path,
    as_json: bool,
    no_progress: bool,
) -> None:
    """Make up the life of some businesses, fold it here and now, and show what came of it."""
    environment = read_environment()
    configure(environment.log)
    texts = TEXTS[locale]
    life = Life(tenants, customers, days, seed, effect, records)
    what = Replay(
        [out / RECORDS_FILE],
        out,
        DEMO_LANES,
        environment.offline_id_key,
        clickhouse=Embedded(out / CLICKHOUSE_FOLDER),
    )
    stop = Stop()
    with draining_on_signals(stop):
        shown = demo(life, what, stop, dict(texts.working), not no_progress)
    if shown is None:
        raise click.Abort
    if as_json:
        print_json(shown.as_json())
        return
    words = {
        "folder": out,
        "log": what.paths[0],
        "seed": seed + 1,
        "query": query_to_try(shown.views, out / CLICKHOUSE_FOLDER),
    }
    if shown.story is not None:
        chosen = shown.story.chosen
        words |= {"tenant": chosen.tenant, "customer": chosen.customer_id}
    show(
        Console(highlight=False),
        texts,
        shown.run,
        shown.figures,
        shown.summary.dead_letters,
        shown.story,
        shown.views,
        words,
    )


def query_to_try(views: Views | None, folder: Path) -> str:
    """A command line that asks the embedded ClickHouse, with the Python that runs here."""
    python = Path(sys.executable)
    here = Path.cwd()
    shown = os.path.relpath(python, here) if python.is_relative_to(here) else str(python)
    day = views.last_day if views is not None else START
    query = QUERY.format(day=day).replace("'", "\\'")
    return (
        f'{shown} -c "from chdb.session import Session; '
        f"print(Session('{folder}').query('{query}', 'PrettyCompact'))\""
    )
