"""``flowsell dlq show|replay``: look at what could not be used, and send it through again.

In:    the topic of dead letters, or a ``dead_letters.ndjson``; reasons, a tenant, a time
Out:   counts and samples by reason, without bodies unless asked; records in the records topic (or
       at the end of a log), each with a mark that it has been dead
State: where a replay ended: a consumer group of its own for each filter
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console

from flows.environment import Environment, read_environment
from flows.graveyard import SAMPLES, Graveyard
from flows.letters import DEAD, IN_FILE, Letter, LetterTopic, Places, Wanted, letters_of_file
from flows.logging import configure
from flows.progress import progress
from flows.records import RECORDS, RecordsTopic
from flows.resend import Log, LogFile, Nowhere, Outbox, Pace, Resent, resend
from flows.stop import Stop, draining_on_signals
from flows.summary import print_json
from schemas.durations import parse_duration, parse_instant
from schemas.engines import EngineError
from schemas.record import REASONS
from sources.files import unreadable

GROUP = "flowsell.dlq"
"""The consumer group of replays without a filter; one with a filter adds its text."""

F = TypeVar("F", bound=Callable[..., Any])


class Since(click.ParamType[int]):
    """An instant with a zone, or how long ago."""

    name = "TIME"

    def convert(
        self, value: Any, param: click.Parameter | None, context: click.Context | None
    ) -> int:
        """Milliseconds since the Unix epoch."""
        ago, at = parse_duration(value), parse_instant(value)
        if ago is not None:
            at = datetime.now(UTC) - timedelta(milliseconds=ago)
        if at is None:
            self.fail(f"{value!r}: neither an instant with a zone, nor 90m, 24h or 3d", param)
        return int(at.timestamp() * 1000)


class From(click.ParamType[dict[int, int]]):
    """Where to begin, as a replay tells where it ended: ``0:17,1:5``; of a file ``17``."""

    name = "PLACE"

    def convert(
        self, value: Any, param: click.Parameter | None, context: click.Context | None
    ) -> dict[int, int]:
        """Offsets by partition."""
        places: dict[int, int] = {}
        for part in value.split(","):
            partition, colon, offset = part.rpartition(":")
            if not (offset.isascii() and offset.isdigit() and (not colon or partition.isdigit())):
                self.fail(f"{value!r}: not as 0:17,1:5, or 17 for a file", param)
            places[int(partition or IN_FILE)] = int(offset)
        return places


def place_text(places: Places) -> str:
    """Places as ``--from`` takes them."""
    return ",".join(f"{partition}:{offset}" for partition, offset in sorted(places.items()))


def group_of(wanted: Wanted) -> str:
    """Where replays with this filter remember how far they came."""
    return f"{GROUP}.{wanted.text()}" if wanted.text() else GROUP


def options(command: F) -> F:
    """What ``show`` and ``replay`` share."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end."),
        click.option("--since", type=Since(), help="An instant with a zone, or 90m, 24h, 3d ago."),
        click.option("--tenant", metavar="TENANT", help="Of this tenant only."),
        click.option(
            "--reason", "reasons", multiple=True, type=click.Choice(REASONS), help="Repeatable."
        ),
        click.argument("file", required=False, metavar="[FILE]", type=click.Path(path_type=Path)),
    ):
        command = option(command)
    return command


@click.group("dlq")
def command() -> None:
    """Dead letters: look at them, and send them through again after a fix."""


@command.command("show")
@options
@click.option(
    "--samples", type=click.IntRange(0), default=SAMPLES, show_default=True, help="Of each reason."
)
@click.option("--bodies", is_flag=True, help="Show the records too: phones and names with them.")
def show(
    file: Path | None,
    reasons: tuple[str, ...],
    tenant: str | None,
    since: int | None,
    as_json: bool,
    samples: int,
    bodies: bool,
) -> None:
    """Count dead letters by reason, of the topic or of a dead_letters.ndjson."""
    environment = read_environment()
    configure(environment.log)
    wanted = Wanted(frozenset(reasons), tenant, since)
    graveyard = Graveyard(samples, bodies)
    with opened(environment, file, GROUP) as (_, letters), progress("reading", 0) as step:
        for number, letter in enumerate(letters({}), 1):
            if wanted.takes(letter):
                graveyard.add(letter)
            if number % 1_000 == 0:
                step(0, number)
    if as_json:
        print_json(graveyard.as_json())
    else:
        graveyard.print(Console(highlight=False))


@command.command("replay")
@options
@click.option("--from", "start", type=From(), help="Begin here, not where the last one ended.")
@click.option("--again", is_flag=True, help="Begin with the first letter that is still there.")
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="Records a second.")
@click.option("--limit", type=click.IntRange(1), help="Stop after so many records.")
@click.option("--rekey", is_flag=True, help="Key each record by the tenant that it names.")
@click.option("--out", type=click.Path(path_type=Path), metavar="LOG", help="Append to a log file.")
@click.option("--dry-run", is_flag=True, help="Count what would be sent.")
def replay(
    file: Path | None,
    reasons: tuple[str, ...],
    tenant: str | None,
    since: int | None,
    as_json: bool,
    start: Places | None,
    again: bool,
    rate: float | None,
    limit: int | None,
    rekey: bool,
    out: Path | None,
    dry_run: bool,
) -> None:
    """Send dead letters through the records topic again: own key, value, headers, and a mark.

    It takes its place at the log's end. Without --from it goes on where the last replay with the
    same filter ended.
    """
    if again and start is not None:
        raise click.UsageError("give either --from or --again")
    environment = read_environment()
    configure(environment.log)
    wanted = Wanted(frozenset(reasons), tenant, since)
    outbox: Outbox = Nowhere()
    if not dry_run:
        source = DEAD if file is None else file.name
        outbox = LogFile(out) if out else Log(RecordsTopic(environment), source, rekey)
    stop, resent = Stop(), Resent()
    with (
        opened(environment, file, group_of(wanted)) as (topic, letters),
        progress("sending", 0) as step,
        draining_on_signals(stop),
    ):
        if start is None:
            start = {} if topic is None or again else topic.committed()

        def reached(places: Places) -> None:
            step(0, resent.sent)
            # A place tells that all before it was looked at, which is not so since some time only.
            if topic is not None and out is None and since is None and not dry_run:
                topic.commit(places)

        resent.places = dict(start)
        try:
            resend(
                letters(start),
                wanted,
                outbox,
                to_file=out is not None,
                limit=limit,
                pace=Pace(rate),
                is_stopped=lambda: stop.draining,
                reached=reached,
                resent=resent,
            )
        except EngineError as error:
            place = place_text(resent.places) or "the beginning"
            raise EngineError(f"{error}; {resent.sent:,} were sent, up to {place}") from None
    where = "nowhere: a dry run" if dry_run else str(out or RECORDS)
    if as_json:
        print_json(as_object(resent, where))
    else:
        print_resent(resent, where, dry_run)


@contextmanager
def opened(
    environment: Environment, file: Path | None, group: str
) -> Iterator[tuple[LetterTopic | None, Callable[[Places], Iterator[Letter]]]]:
    """The topic, or ``None`` for a file, and how to read letters from places on."""
    if file is not None:

        def of_file(start: Places) -> Iterator[Letter]:
            try:
                yield from letters_of_file(file, start.get(IN_FILE, 0))
            except OSError as error:
                raise unreadable(file, error) from None

        yield None, of_file
        return
    topic = LetterTopic(environment, group)
    try:
        yield topic, topic.letters
    finally:
        topic.close()


def as_object(resent: Resent, where: str) -> dict[str, Any]:
    """What ``--json`` prints."""
    return {
        "sent": resent.sent,
        "again": resent.again,
        "passed": resent.passed,
        "unsendable": dict(resent.unsendable),
        "to": where,
        "finished": resent.finished,
        "from": place_text(resent.places),
    }


def print_resent(resent: Resent, where: str, dry_run: bool) -> None:
    """A line for each thing that a person should know."""
    verb = "would be sent" if dry_run else "sent"
    click.echo(f"{resent.sent:,} {verb}" + ("" if dry_run else f" to {where}"))
    if resent.again:
        click.echo(f"{resent.again:,} of them had been replayed before")
    for why, letters in resent.unsendable.items():
        click.echo(f"{letters:,} cannot be sent: {why}")
    if resent.passed:
        click.echo(f"{resent.passed:,} passed over by the filter")
    end = "all are looked at" if resent.finished else "stopped"
    click.echo(f"{end}; to go on from here: --from {place_text(resent.places) or '0:0'}")
