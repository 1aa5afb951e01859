"""``flowsell settings``: tenants' settings from a file or PostgreSQL to the log, and back.

In:    TOML, YAML or JSON files with ``tenants.<id>``; a log, as files or in Kafka
Out:   a summary of each tenant; settings records in a file or in the records topic; the settings in
       force, as given or with every default filled in
State: none; nothing is written before every tenant of every file is right
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from os import SEEK_END
from pathlib import Path
from typing import Any

import click
import msgspec
import tomli_w

from flows.environment import Environment, read_environment
from flows.logging import configure
from flows.progress import Step, progress
from flows.residence import at_home
from flows.resolved import resolved
from flows.settings_texts import PHRASES, summary
from schemas.keys import lane_of
from schemas.mistakes import SettingsError
from schemas.record import UNREADABLE, SettingsRecord, decode_record, utc_text
from schemas.settings import TenantSettings, parse_settings, parse_tenants_file
from schemas.topics import TOPICS
from sources.files import LineReader, total_bytes, unreadable

STEP_RECORDS = 10_000

_RECORDS = TOPICS["records"].name
_MARK = b'"settings"'


@dataclass(frozen=True)
class Found:
    """A settings record of a log."""

    position: int
    """Line over all files, or offset in the tenant's partition."""
    received_at: str
    settings: TenantSettings


def read_files(paths: Sequence[Path]) -> dict[str, TenantSettings]:
    """The settings of every tenant in every file; a tenant stands in one of them."""
    tenants: dict[str, TenantSettings] = {}
    for path in paths:
        try:
            found = parse_tenants_file(path.name, path.read_bytes())
        except OSError as error:
            raise unreadable(path, error) from None
        except SettingsError as mistake:
            if len(paths) == 1 or mistake.path == path.name:
                raise
            raise SettingsError(f"{path.name}: {mistake.path}", mistake.message) from None
        for tenant in found:
            if tenant in tenants:
                raise SettingsError(f"tenants.{tenant}", f"in {path.name} again")
        tenants |= found
    return tenants


def record_of(tenant: str, settings: TenantSettings, received_at: str) -> bytes:
    """A settings record: the settings as given, in canonical JSON."""
    return msgspec.json.encode(
        {
            "kind": "settings",
            "tenant": tenant,
            "received_at": received_at,
            "settings": msgspec.Raw(settings.source),
        }
    )


def settings_of(tenant: str, lines: Iterable[tuple[int, bytes]]) -> tuple[Found | None, str]:
    """The tenant's last settings record that can be used; what is wrong with a later one.

    A record with a mistake is a dead letter: what was in force before it stays so.
    """
    found, mistake = None, ""
    for position, line in lines:
        if _MARK not in line:
            continue
        try:
            record = decode_record(line)
        except UNREADABLE:
            continue
        if isinstance(record, SettingsRecord) and record.tenant == tenant:
            try:
                settings = parse_settings(record.settings, f"tenants.{tenant}")
            except SettingsError as error:
                mistake = str(error)
            else:
                found, mistake = Found(position, record.received_at, settings), ""
    return found, mistake


def log_lines(paths: Sequence[Path], step: Step) -> Iterator[tuple[int, bytes]]:
    """The lines of log files with their positions."""
    reader = LineReader(paths)
    try:
        while True:
            position = reader.position
            lines = reader.read()
            if not lines:
                return
            yield from enumerate(lines, position)
            step(reader.bytes_read, reader.position)
    finally:
        reader.close()


def topic_lines(environment: Environment, tenant: str, step: Step) -> Iterator[tuple[int, bytes]]:
    """Values of the tenant's partition with their offsets, from its beginning to its end now."""
    from flows.topic_reader import TopicReader

    reader, read = TopicReader(environment, _RECORDS, "flowsell-settings"), 0
    try:
        lane = lane_of(tenant, len(reader.partitions()))
        for read, message in enumerate(reader.messages(lane), 1):
            yield message.offset() or 0, message.value() or b""
            if read % STEP_RECORDS == 0:
                step(0, read)
        step(0, read)
    finally:
        reader.close()


def publish(environment: Environment, records: Mapping[str, bytes]) -> None:
    """Records by tenant into the topic, each under its tenant; every delivery is verified."""
    from flows.records import RecordsTopic

    topic = RecordsTopic(environment)
    for tenant, record in records.items():
        topic.append(record, tenant.encode())
    topic.settle()


def append(path: Path, records: Iterable[bytes]) -> None:
    """Records behind the last line of a file, packed where its name ends in ``.gz``."""
    lines = b"".join(record + b"\n" for record in records)
    open_file: Callable[..., Any] = gzip.open if path.suffix == ".gz" else open
    try:
        with open_file(path, "ab") as file:
            file.write(lines if path.suffix == ".gz" or ends_whole(path) else b"\n" + lines)
    except OSError as error:
        raise click.UsageError(f"cannot write {path}: {error.strerror}") from None


def ends_whole(path: Path) -> bool:
    """Whether a file is empty or ends with a line's end."""
    with path.open("rb") as file:
        return file.seek(0, SEEK_END) == 0 or (file.seek(-1, SEEK_END), file.read())[1] == b"\n"


@click.group("settings")
def command() -> None:
    """Tenants' settings: check a file, put it into the log, show what is in force.

    Or keep them in PostgreSQL: load a file, follow what is edited there.
    """


files_argument = click.argument(
    "files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE…"
)
kafka_option = click.option("--kafka", is_flag=True, help="The records topic of FLOWSELL_KAFKA.")


@command.command("check")
@files_argument
@click.option("--locale", default="en", show_default=True, type=click.Choice([*PHRASES]))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def check(files: tuple[Path, ...], locale: str, as_json: bool) -> None:
    """Check TOML, YAML or JSON files; says what they come to, or the first mistake."""
    tenants = read_files(files)
    if as_json:
        click.echo(msgspec.json.encode({"tenants": {t: resolved(s) for t, s in tenants.items()}}))
        return
    phrases = PHRASES[locale]
    for tenant, settings in tenants.items():
        click.echo("\n".join([*summary(tenant, settings, phrases), ""]))
    triggers = sum(len(settings.triggers) for settings in tenants.values())
    click.echo(phrases.correct.format(tenants=len(tenants), triggers=triggers))


@command.command("apply")
@files_argument
@kafka_option
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE", help="Append to a log file instead."
)
def apply(files: tuple[Path, ...], kafka: bool, out: Path | None) -> None:
    """Put every tenant's settings into the log; they hold from there on."""
    if kafka == (out is not None):
        raise click.UsageError("give either --kafka or --out FILE")
    environment = read_environment()
    configure(environment.log)
    tenants = at_home(read_files(files), environment.countries)
    now = utc_text(datetime.now(UTC))
    records = {tenant: record_of(tenant, each, now) for tenant, each in tenants.items()}
    if out is None:
        publish(environment, records)
    else:
        append(out, records.values())
    where = _RECORDS if out is None else out
    for tenant in records:
        click.echo(f"{tenant}: in {where}")


@command.command("load")
@files_argument
def load(files: tuple[Path, ...]) -> None:
    """Put every tenant's settings into the tables of FLOWSELL_POSTGRES; other tenants stay."""
    from flows.settings_follow import load as put

    environment = read_environment()
    tenants = at_home(read_files(files), environment.countries)
    where = put(environment, tenants)
    for tenant in tenants:
        click.echo(f"{tenant}: in {where}")


@command.command("follow")
@click.option("--again", "is_again", is_flag=True, help="Publish everybody's, changed or not.")
def follow(is_again: bool) -> None:
    """Publish what is edited in FLOWSELL_POSTGRES, until told to stop (SIGTERM or SIGINT)."""
    from flows.settings_follow import Cadence
    from flows.settings_follow import follow as run
    from flows.stop import Stop, draining_on_signals

    environment = read_environment()
    configure(environment.log)
    stop = Stop()
    with draining_on_signals(stop):
        run(environment, stop, is_again, Cadence())


@command.command("show")
@click.argument("tenant")
@click.argument("logs", nargs=-1, type=click.Path(path_type=Path), metavar="[LOG…]")
@kafka_option
@click.option(
    "--resolved/--given", "is_resolved", default=True, help="With every default filled in, or not."
)
@click.option("--json", "as_json", is_flag=True, help="JSON in place of TOML.")
def show(
    tenant: str, logs: tuple[Path, ...], kafka: bool, is_resolved: bool, as_json: bool
) -> None:
    """The settings of TENANT that are in force at the end of a log."""
    if kafka == bool(logs):
        raise click.UsageError("give either --kafka or the files of a log")
    environment = read_environment()
    configure(environment.log)
    with progress("reading", 0 if kafka else total_bytes(logs)) as step:
        lines = topic_lines(environment, tenant, step) if kafka else log_lines(logs, step)
        found, mistake = settings_of(tenant, lines)
    if mistake:
        click.echo(f"flowsell: a later record is not in force: {mistake}", err=True)
    if found is None:
        where = _RECORDS if kafka else ", ".join(map(str, logs))
        raise click.UsageError(f"no settings of {tenant} in {where}")
    given = msgspec.json.decode(found.settings.source)
    print_found(tenant, found, resolved(found.settings) if is_resolved else given, as_json)


def print_found(tenant: str, found: Found, table: Mapping[str, Any], as_json: bool) -> None:
    """One JSON object, or a TOML file that ``settings check`` takes."""
    if as_json:
        head = {"tenant": tenant, "received_at": found.received_at, "position": found.position}
        click.echo(msgspec.json.encode({**head, "settings": table}))
        return
    try:
        text = tomli_w.dumps({"tenants": {tenant: table}})
    except TypeError:  # TOML has no null, which may stand in a template's params
        raise click.UsageError(
            "these settings hold a null, which TOML cannot say; add --json"
        ) from None
    click.echo(f"# position {found.position}, received {found.received_at}\n{text}", nl=False)
