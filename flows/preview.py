"""``flowsell preview``: what other settings would have sent, and would send, before they do.

In:    a log, as files; a file of tenants' new settings
Out:   who would get what and when, who would not and why, and the difference by trigger, segment
       and reason, between the settings that the log tells and the new ones; nothing is emitted
State: none; the log is folded twice

The new settings hold from the log's first record on, as if they had always been in force. After
its end the clock goes on for some days, minute by minute, so that what is planned is seen as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import click
import msgspec
import numpy as np
from rich.console import Console

from flows.environment import read_environment
from flows.lane import take_settings
from flows.logging import configure
from flows.preview_tables import PREVIEW_TEXTS, print_preview
from flows.progress import Step, progress
from flows.residence import at_home
from flows.settings import read_files
from flows.summary import print_json
from operators.decode import decode
from operators.fold import fold
from schemas.batch import Batch, Chunk, Outputs
from schemas.durations import DAY_MS, MINUTE_MS
from schemas.outputs import (
    Command,
    Decision,
    SegmentChange,
    decode_change,
    decode_command,
    decode_decision,
)
from schemas.settings import TenantSettings
from sources.files import LineReader, total_bytes
from state.lane import LaneState
from state.tenants import EVERYWHERE

NO_SEGMENT = "000"


class Verdict(NamedTuple):
    """What became of one occasion in the end; ``segment`` is the customer's at that moment."""

    tenant: str
    customer_id: str
    trigger: str
    outcome: str
    reason: str | None
    at: str
    segment: str
    template: str | None = None
    channel: str | None = None

    @property
    def is_sent(self) -> bool:
        """Whether a message goes out, and is not taken back."""
        return self.outcome == "sent"


Verdicts = dict[str, Verdict]
"""By command id, which names the occasion: the same under both settings."""


@dataclass
class Preview:
    """Verdicts under both settings, of what was decided from ``since`` on."""

    old: Verdicts
    new: Verdicts
    records: int = 0

    def gained(self) -> list[Verdict]:
        """Messages that only the new settings send, in the order of their time."""
        return _only_in(self.new, self.old)

    def lost(self) -> list[Verdict]:
        """Messages that only the old settings send."""
        return _only_in(self.old, self.new)

    def moved(self) -> list[Verdict]:
        """Messages that both send, the new settings at another time or in another way."""
        found = [
            new
            for command, new in self.new.items()
            if new.is_sent and (old := self.old.get(command)) and old.is_sent and old != new
        ]
        return _in_time(found)

    def counts(self, name: Callable[[Verdict], object]) -> dict[Any, tuple[Counter[str], ...]]:
        """Outcomes by whatever names a verdict, under the old and under the new settings."""
        found: dict[Any, tuple[Counter[str], ...]] = {}
        for side, verdicts in enumerate((self.old, self.new)):
            for verdict in verdicts.values():
                both = found.setdefault(name(verdict), (Counter(), Counter()))
                both[side][verdict.outcome] += 1
        return found

    def as_json(self) -> dict[str, Any]:
        """One object for machines."""
        return {
            "records": self.records,
            "sent": {"old": _sent(self.old), "new": _sent(self.new)},
            "gained": len(self.gained()),
            "lost": len(self.lost()),
            "moved": len(self.moved()),
            "by_trigger": _rows(self.counts(lambda each: each.trigger), "trigger"),
            "by_segment": _rows(self.counts(lambda each: each.segment), "segment"),
            "by_reason": _rows(self.counts(lambda each: each.reason or each.outcome), "reason"),
        }

    def lines(self) -> Iterator[dict[str, Any]]:
        """One object for each occasion that comes out differently."""
        for command in sorted(self.old.keys() | self.new.keys()):
            old, new = self.old.get(command), self.new.get(command)
            if (
                old
                and new
                and (old.outcome, old.reason, old.at) == (new.outcome, new.reason, new.at)
            ):
                continue
            told = new or old
            assert told is not None
            yield {
                "command_id": command,
                "tenant": told.tenant,
                "customer_id": told.customer_id,
                "trigger": told.trigger,
                "old": old and _brief(old),
                "new": new and _brief(new),
            }


@dataclass
class _Sight:
    """Follows what a fold tells, and keeps the last word on each occasion."""

    tenants: frozenset[str]
    since: str
    verdicts: Verdicts = field(default_factory=dict)
    segments: dict[str, str] = field(default_factory=dict)

    def look(self, outputs: Outputs) -> None:
        """Outputs of one batch."""
        commands = {}
        for message in outputs.streams["commands"]:
            command = decode_command(message.value)
            commands[command.command_id] = command
        changes = [
            (message.position, decode_change(message.value))
            for message in outputs.streams["segments"]
        ]
        changes.reverse()
        for message in outputs.streams["decisions"]:
            while changes and changes[-1][0] <= message.position:
                self._follow(changes.pop()[1])
            decision = decode_decision(message.value)
            if decision.tenant in self.tenants and decision.at >= self.since:
                self._keep(decision, commands.get(decision.command_id))
        while changes:
            self._follow(changes.pop()[1])

    def _follow(self, change: SegmentChange) -> None:
        self.segments[change.customer_id] = change.to

    def _keep(self, decision: Decision, command: Command | None) -> None:
        segment = command.segment if command else self.segments.get(decision.customer_id)
        self.verdicts[decision.command_id] = Verdict(
            tenant=decision.tenant,
            customer_id=decision.customer_id,
            trigger=decision.trigger,
            outcome=decision.outcome,
            reason=decision.reason,
            at=decision.at,
            segment=segment or NO_SEGMENT,
            template=command.template if command else None,
            channel=command.channels[0] if command else None,
        )


def preview(
    paths: Sequence[Path],
    new: Mapping[str, TenantSettings],
    current: Mapping[str, TenantSettings],
    id_key: bytes,
    since: str,
    ahead_days: int,
    step: Step,
    countries: frozenset[str] = EVERYWHERE,
) -> Preview:
    """Fold the log under its own settings (and ``current`` before them), then under ``new``."""
    tenants = frozenset(new)
    total = total_bytes(paths)
    old_sight, new_sight = _Sight(tenants, since), _Sight(tenants, since)
    old, changed = LaneState(0, id_key, countries), LaneState(0, id_key, countries)
    records = _fold(paths, current, frozenset(), old, ahead_days, old_sight, step)
    _fold(
        paths, new, tenants, changed, ahead_days, new_sight,
        lambda done, more: step(total + done, records + more),
    )  # fmt: skip
    return Preview(old_sight.verdicts, new_sight.verdicts, records)


def _fold(
    paths: Sequence[Path],
    settings: Mapping[str, TenantSettings],
    fixed: frozenset[str],
    state: LaneState,
    ahead_days: int,
    sight: _Sight,
    step: Step,
) -> int:
    """One pass in one lane; settings of ``fixed`` tenants in the log are passed over."""
    reader = LineReader(paths)
    try:
        while True:
            position = reader.position
            lines = reader.read()
            if not lines:
                break
            positions = np.arange(position, position + len(lines), dtype=np.int64)
            for batch in decode(Chunk(-1, positions, None, lines), 1):
                if state.clock_ms == 0:
                    take_settings(state, 1, settings, max(int(batch.appended_ms[0]), 0), fold)
                sight.look(fold(state, _without(batch, fixed)))
            step(reader.bytes_read, reader.position)
    finally:
        reader.close()
    if state.clock_ms and ahead_days:
        sight.look(fold(state, _minutes(state, reader.position, ahead_days)))
    return reader.position


def _without(batch: Batch, fixed: frozenset[str]) -> Batch:
    if not fixed or not batch.settings:
        return batch
    return replace(batch, settings=[each for each in batch.settings if each.tenant not in fixed])


def _minutes(state: LaneState, position: int, days: int) -> Batch:
    """The passing of so many days after the log's end, a heartbeat a minute."""
    beat = b'{"kind":"heartbeat","received_at":"2026-01-01T00:00:00Z"}'
    count = days * DAY_MS // MINUTE_MS
    first = state.clock_ms // MINUTE_MS + 1
    clock = np.arange(first, first + count, dtype=np.int64) * MINUTE_MS
    positions = np.arange(position, position + count, dtype=np.int64)
    (batch,) = decode(Chunk(0, positions, clock, [beat] * count), 1)
    return batch


def _only_in(these: Verdicts, those: Verdicts) -> list[Verdict]:
    found = [
        verdict
        for command, verdict in these.items()
        if verdict.is_sent and not ((other := those.get(command)) and other.is_sent)
    ]
    return _in_time(found)


def _in_time(verdicts: list[Verdict]) -> list[Verdict]:
    return sorted(verdicts, key=lambda verdict: (verdict.at, verdict.customer_id, verdict.trigger))


def _sent(verdicts: Verdicts) -> int:
    return sum(verdict.is_sent for verdict in verdicts.values())


def _rows(counts: Mapping[Any, tuple[Counter[str], ...]], name: str) -> list[dict[str, Any]]:
    return [
        {name: key, "old": dict(old), "new": dict(new)}
        for key, (old, new) in sorted(counts.items(), key=lambda item: str(item[0]))
    ]


def _brief(verdict: Verdict) -> dict[str, Any]:
    return {
        "outcome": verdict.outcome,
        "reason": verdict.reason,
        "at": verdict.at,
        "segment": verdict.segment,
        "template": verdict.template,
        "channel": verdict.channel,
    }


@click.command("preview")
@click.argument("log", nargs=-1, required=True, type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--settings",
    "settings_file",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The new settings, of the tenants that are looked at.",
)
@click.option(
    "--current",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Settings in force before the log's first record, where the log does not tell them.",
)
@click.option(
    "--since", type=click.DateTime(["%Y-%m-%d"]), help="Decisions from this day (UTC) on."
)
@click.option("--ahead", type=click.IntRange(0, 60), default=7, show_default=True, metavar="DAYS")
@click.option("--show", type=click.IntRange(0), default=10, show_default=True, metavar="N")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Every occasion that comes out differently, one a line.",
)
@click.option("--locale", default="en", show_default=True, type=click.Choice([*PREVIEW_TEXTS]))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end.")
def command(
    log: tuple[Path, ...],
    settings_file: Path,
    current: Path | None,
    since: datetime | None,
    ahead: int,
    show: int,
    out: Path | None,
    locale: str,
    as_json: bool,
) -> None:
    """What new settings would send, compared with those of the log; nothing is emitted."""
    environment = read_environment()
    configure(environment.log)
    new = at_home(read_files([settings_file]), environment.countries)
    with progress("preview", 2 * total_bytes(log)) as step:
        found = preview(
            log,
            new,
            at_home(read_files([current]), environment.countries) if current else {},
            environment.offline_id_key,
            f"{since:%Y-%m-%d}" if since else "",
            ahead,
            step,
            environment.countries,
        )
    if out is not None:
        try:
            with out.open("wb") as file:
                for line in found.lines():
                    file.write(msgspec.json.encode(line) + b"\n")
        except OSError as error:
            raise click.UsageError(f"cannot write {out}: {error.strerror}") from None
    if as_json:
        print_json(found.as_json())
    else:
        print_preview(found, new, PREVIEW_TEXTS[locale], show, Console(highlight=False))
