"""``flowsell backfill``: bring a business's past from its own tables into the log.

In:    a mapping; CSV or Parquet files, or queries to PostgreSQL
Out:   a report of bad rows by reason; records of history in the records topic or at the end of a
       file, but nothing before all rows are judged
State: how many records have been published, in a file; with it a run that was cut goes on, and
       without it the same records come again, which changes nothing
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from flows.backfill_report import Report, print_report, rejects, write_rejects
from flows.environment import Environment, EnvironmentMistake, read_environment
from flows.logging import configure
from flows.progress import progress
from flows.publishing import Bookmark, LogEnd, Publishing, Topic, publish
from flows.resend import Pace
from flows.stop import Stop, draining_on_signals
from flows.summary import print_json
from operators.pack import Plan, pack
from operators.sift import Sifted, check_columns, sift_customers, sift_visits
from schemas.durations import parse_instant
from schemas.mapping import CUSTOMERS, VISITS, BackfillMapping, parse_mapping
from schemas.record import utc_text
from sources.files import unreadable
from sources.tables import read_table

DEFAULT_RATE = 30_000.0
DEFAULT_BAD_PERCENT = 1.0


class TooManyBadRows(Exception):
    """More rows are bad than are allowed; nothing was published."""


class At(click.ParamType[datetime]):
    """An instant with a zone."""

    name = "TIME"

    def convert(
        self, value: Any, param: click.Parameter | None, context: click.Context | None
    ) -> datetime:
        """The same in UTC."""
        at = parse_instant(value)
        if at is None:
            self.fail(f"{value!r}: not an instant with a zone, as 2026-03-01T06:00:00Z", param)
        return at


def read_mapping(path: Path) -> BackfillMapping:
    """The mapping in a file."""
    try:
        return parse_mapping(path.name, path.read_bytes())
    except OSError as error:
        raise unreadable(path, error) from None


def judge(
    mapping: BackfillMapping, folder: Path, environment: Environment, now: datetime, told: Report
) -> Plan:
    """Read and sift every table; what is bad goes to the report."""
    now_ms = int(now.timestamp() * 1000)
    sifted: dict[str, Sifted] = {}
    for name, table in mapping.tables.items():
        if table.query is not None and table.database is None and environment.postgres is None:
            raise EnvironmentMistake(
                f"FLOWSELL_POSTGRES: not set, and {name}.database is neither; "
                f"{name}.query needs one of them"
            )
        frame = check_columns(read_table(table, folder, environment.postgres), table, name)
        if name == VISITS:
            sifted[name] = sift_visits(frame, mapping, now_ms)
        else:
            sifted[name] = sift_customers(frame, mapping)
        told.add(name, table.name, sifted[name], rejects(name, frame, sifted[name].bad))
    told.join(sifted.get(CUSTOMERS), sifted.get(VISITS))
    return pack(sifted.get(CUSTOMERS), sifted.get(VISITS))


@click.command("backfill")
@click.argument("mapping", type=click.Path(path_type=Path), metavar="MAPPING")
@click.option("--kafka", is_flag=True, help="Into the records topic of FLOWSELL_KAFKA.")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE", help="At the end of a log instead."
)
@click.option("--dry-run", is_flag=True, help="Judge all rows, publish nothing.")
@click.option(
    "--rejects",
    "rejects_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Bad rows in full, as .csv, with their reasons: phones and names with them.",
)
@click.option(
    "--bad",
    "bad_percent",
    metavar="PERCENT",
    type=click.FloatRange(0, 100),
    default=DEFAULT_BAD_PERCENT,
    show_default=True,
    help="Publish nothing where more rows of a table are bad.",
)
@click.option(
    "--rate",
    type=click.FloatRange(0, min_open=True),
    help="Visits and customers a second; into Kafka 30,000 unless told.",
)
@click.option(
    "--resume",
    "resume_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where to keep how far it came; else beside the mapping, or beside the log.",
)
@click.option(
    "--again", is_flag=True, help="Publish from the first record on, whatever was before."
)
@click.option("--at", type=At(), help="The records' time, RFC 3339; now without it.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end.")
def command(
    mapping: Path,
    kafka: bool,
    out: Path | None,
    dry_run: bool,
    rejects_file: Path | None,
    bad_percent: float,
    rate: float | None,
    resume_file: Path | None,
    again: bool,
    at: datetime | None,
    as_json: bool,
) -> None:
    """Publish the visits and customers of a business's own tables as history; nothing fires.

    MAPPING is a TOML file that says which columns tell what. Every row is judged first; bad ones
    are counted by reason and left out. The same command goes on where it was cut.
    """
    if kafka + (out is not None) + dry_run != 1:
        raise click.UsageError("give one of --kafka, --out FILE and --dry-run")
    if out is not None and out.suffix == ".gz":
        raise click.UsageError("a log that is packed cannot be gone on with; give a plain .ndjson")
    environment = read_environment()
    configure(environment.log)
    read = read_mapping(mapping)
    kept = resume_file or (mapping if out is None else out).with_suffix(".progress.json")
    target = Topic(environment) if kafka else LogEnd(out) if out is not None else None
    bookmark = Bookmark.read(kept, again or target is None)
    now = at or datetime.now(UTC)
    told = Report()
    plan = judge(read, mapping.parent, environment, now, told)
    if rejects_file is not None:
        write_rejects(rejects_file, told.rejected)
    worst = told.worst_percent()
    done: Publishing | None = None
    if target is not None and worst <= bad_percent:
        stop = Stop()
        with (
            progress("publishing", plan.objects) as step,
            draining_on_signals(stop),
        ):
            pace = Pace(rate or (DEFAULT_RATE if kafka else None))
            place = bookmark.place(plan.digest(), utc_text(now), target.name())
            done = publish(plan, target, place, kept, pace, lambda: stop.draining, step)
    if as_json:
        print_json(as_object(told, plan, done))
    else:
        print_report(told, plan, done)
    if worst > bad_percent:
        where = f" They are in {rejects_file}." if rejects_file else " --rejects FILE lists them."
        raise TooManyBadRows(
            f"{worst:.2g} % of a table's rows are bad, over {bad_percent:g} %; "
            f"nothing is published.{where}"
        )


def as_object(told: Report, plan: Plan, done: Publishing | None) -> dict[str, Any]:
    """What ``--json`` prints."""
    published = None if done is None else done.as_json()
    return told.as_json() | {"records": len(plan.slices), "published": published}
