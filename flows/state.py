"""``flowsell state verify|savepoint|restore``: look at what lanes remember, keep it, put it back.

In:    the environment: FLOWSELL_STATE; FLOWSELL_ID_KEY and FLOWSELL_LANES where they are to be
       compared; FLOWSELL_KAFKA where positions are
Out:   a table or one JSON object; exit 5 if something cannot be trusted
State: ``verify`` changes nothing, ``savepoint`` writes to its URI, ``restore`` to FLOWSELL_STATE
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from flows.environment import Environment, EnvironmentMistake, read_environment
from flows.logging import configure
from flows.positions import At, committed
from flows.progress import progress
from flows.saving import storing
from flows.summary import print_json
from state import savepoints
from state.shelf import Manifest, Shelf
from state.snapshots import StateError
from state.trust import Finding, LaneReport, Step, verify, verify_kept


def against_kafka(report: LaneReport, at: At) -> list[Finding]:
    """What of a lane does not go with its log, and with the position that is committed for it."""
    newest, wanted = report.newest, "restore a savepoint of this deployment"
    start = newest.position if newest else 0
    if start < at.begin and not report.findings:
        what = f"its last snapshot stands at {start}" if newest else "it has no snapshot"
        return [Finding(f"{what}, and its log begins at {at.begin}", wanted)]
    committed_there = at.pointer.digest if at.pointer and start == at.position else None
    if newest and committed_there not in (None, newest.digest):
        what = f"its snapshot at {start} comes from other outputs than were committed there"
        return [Finding(what, wanted)]
    return []


def undrained(manifests: Sequence[Manifest], positions: Mapping[int, At]) -> list[str]:
    """Lanes whose newest snapshot does not stand at C, in words."""
    stand = {manifest.lane: manifest.position for manifest in manifests}
    return [
        f"lane {lane} stands at {stand.get(lane, 0)}, {at.position} is committed"
        for lane, at in positions.items()
        if stand.get(lane, 0) != at.position
    ]


def as_json(report: LaneReport, at: At | None, now: float) -> dict[str, Any]:
    """One lane of ``verify --json``."""
    newest = report.newest
    return {
        "lane": report.lane,
        "position": newest.position if newest else None,
        "committed": at.position if at else None,
        "clock": _instant(newest.clock_ms / 1000) if newest else None,
        "age_seconds": round(now - report.written_at, 1) if report.written_at else None,
        "bytes": report.size,
        "snapshots": report.snapshots,
        "bases": report.bases,
        "fingerprint": newest.fingerprint if newest else None,
        "wrong": [finding._asdict() for finding in report.findings],
    }


def print_reports(
    uri: str, reports: Sequence[LaneReport], positions: Mapping[int, At], now: float
) -> None:
    """A row for each lane, then what is wrong, with its remedy."""
    console = Console(highlight=False, soft_wrap=True)
    table = Table("lane", box=None, header_style="dim")
    for title in ("position", "committed", "age", "MB", "snapshots", "bases"):
        table.add_column(title, justify="right")
    table.add_column("")
    for report in reports:
        at = positions.get(report.lane)
        table.add_row(
            str(report.lane),
            f"{report.newest.position:,}" if report.newest else "–",
            f"{at.position:,}" if at else "–",
            _age(now - report.written_at) if report.written_at else "–",
            f"{report.size / 1e6:,.1f}",
            str(report.snapshots),
            str(report.bases),
            "NOT TO BE TRUSTED" if report.findings else "good",
        )
    console.print(table if reports else f"{uri} holds no snapshots")
    for report in reports:
        for what, wanted in report.findings:
            console.print(f"lane {report.lane}: {what}\n  → {wanted}", markup=False)


def own_fingerprint(environment: Environment) -> dict[str, str]:
    """What snapshots are compared with; empty where no key is set."""
    from flows.engagement import fingerprint

    if environment.id_key is None:
        return {}
    return fingerprint(environment.lanes, environment.id_key, environment.countries)


def _positions(environment: Environment) -> dict[int, At]:
    """What is committed; empty where no Kafka is set."""
    from flows.kafka import client_properties
    from flows.run import GROUP

    if environment.kafka is None:
        return {}
    return committed(client_properties(environment), GROUP, environment.lanes)


def _wanted(environment: Environment) -> Shelf:
    if environment.state is None:
        raise EnvironmentMistake("FLOWSELL_STATE: not set; the URI of the folder of snapshots")
    return Shelf(environment.state)


@contextmanager
def _watched(title: str, total: int, shown: bool) -> Iterator[Step]:
    with progress(title, total, shown) as tell:
        done = files = 0

        def step(size: int) -> None:
            nonlocal done, files
            done, files = done + size, files + 1
            tell(done, files)

        yield step


def _instant(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _age(seconds: float) -> str:
    return str(timedelta(seconds=round(max(seconds, 0))))


@click.group("state")
def command() -> None:
    """Snapshots of lanes: verify, keep, put back."""


JSON = click.option("--json", "wants_json", is_flag=True, help="Print one JSON object at the end.")


@command.command("verify")
@click.argument("uri", required=False)
@JSON
def verify_command(uri: str | None, wants_json: bool) -> None:
    """Read every snapshot under URI (default: FLOWSELL_STATE), or a savepoint."""
    environment = read_environment()
    configure(environment.log)
    shelf = _wanted(environment) if uri is None else Shelf(uri)
    own = own_fingerprint(environment)
    positions: dict[int, At] = {}
    with storing():
        if savepoints.is_savepoint(shelf):
            listing = savepoints.read(shelf)
            with _watched("verify", listing.size, not wants_json) as step:
                reports = [verify_kept(shelf, lane, own, step) for lane in listing.lanes]
        else:
            positions = _positions(environment)
            lanes = sorted({*shelf.lanes(), *(n for n, at in positions.items() if at.position)})
            total = sum(entry.size for lane in lanes for entry in shelf.entries(lane))
            with _watched("verify", total, not wants_json) as step:
                reports = [verify(shelf, lane, own, step) for lane in lanes]
            for report in reports:
                if report.lane in positions:
                    report.findings.extend(against_kafka(report, positions[report.lane]))
    now = time.time()
    wrong = [report.lane for report in reports if report.findings]
    if wants_json:
        told = [as_json(report, positions.get(report.lane), now) for report in reports]
        print_json({"uri": shelf.name, "trusted": not wrong, "lanes": told})
    else:
        print_reports(shelf.name, reports, positions, now)
    if wrong:
        raise StateError(f"{len(wrong)} of {len(reports)} lanes cannot be trusted: {wrong}")


@command.command("savepoint")
@click.argument("uri")
@click.option(
    "--lagging", is_flag=True, help="Also where snapshots stand behind what is committed."
)
@JSON
def savepoint_command(uri: str, lagging: bool, wants_json: bool) -> None:
    """Copy every lane's newest snapshot to URI; stop the flow first, so that it has drained."""
    environment = read_environment()
    configure(environment.log)
    source, target = _wanted(environment), Shelf(uri)
    with storing():
        if why := savepoints.refusal_to_make(target):
            raise click.UsageError(why)
        manifests = savepoints.newest(source)
        if not manifests:
            raise click.UsageError(f"{source.name} holds no snapshots")
        behind = undrained(manifests, _positions(environment))
        if behind and not lagging:
            raise click.UsageError(
                f"{'; '.join(behind)}: stop the flow with SIGTERM first, or say --lagging to keep "
                "what a later start folds again from the log"
            )
        with _watched("savepoint", savepoints.size_of(manifests), not wants_json) as step:
            made_at = _instant(time.time())
            listing = savepoints.make(source, target, manifests, made_at, step)
    _tell("kept", target.name, listing, wants_json)


@command.command("restore")
@click.argument("uri")
@click.option("--discard-newer", is_flag=True, help="Also where newer snapshots are in place.")
@JSON
def restore_command(uri: str, discard_newer: bool, wants_json: bool) -> None:
    """Put the savepoint at URI into FLOWSELL_STATE; stop the flow first."""
    environment = read_environment()
    configure(environment.log)
    source, target = Shelf(uri), _wanted(environment)
    with storing():
        listing = savepoints.read(source)
        if why := savepoints.foreign(listing, own_fingerprint(environment)):
            raise StateError(why)
        newer = savepoints.newer(listing, target)
        if newer and not discard_newer:
            lane, positions = min(newer.items())
            raise click.UsageError(
                f"{target.name} holds newer snapshots in {len(newer)} lanes (lane {lane} at "
                f"{positions[-1]}); say --discard-newer to remove them"
            )
        with _watched("restore", listing.size, not wants_json) as step:
            savepoints.restore(source, target, listing, newer, step)
    _tell("in place", target.name, listing, wants_json)


def _tell(what: str, uri: str, listing: savepoints.Listing, wants_json: bool) -> None:
    lanes = {str(manifest.lane): manifest.position for manifest in listing.lanes}
    if wants_json:
        print_json({"uri": uri, "made_at": listing.made_at, "bytes": listing.size, "lanes": lanes})
    else:
        click.echo(f"{uri}: {len(lanes)} lanes, {listing.size / 1e6:,.1f} MB, {what}")
