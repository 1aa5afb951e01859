"""A customer's path on one screen.

Takes: ``CustomerPath`` and a ``PathTexts``
Out:   rich renderables on a console; readable without colours and from 80 columns on
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from rich.box import ROUNDED
from rich.console import Console, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from flows.customer_path import MESSAGES, CustomerPath, Moment, hidden
from flows.explain_texts import PathTexts, consent_text, instant, phrase, scores
from schemas.durations import MINUTE_MS

_STYLES = {
    "attended": "green",
    "returned": "bold green",
    "agreed": "green",
    "denied": "red",
    "no_show": "red",
    "cancelled": "red",
    "deleted": "red",
    "segment": "bold",
    "commanded": "cyan",
    "refused": "yellow",
    "held": "yellow",
    "holdout": "yellow",
    "withdrawn": "yellow",
    "failed": "red",
    "accepted": "dim",
    "sent": "dim",
    "delivered": "dim",
    "read": "dim",
}


def show(console: Console, texts: PathTexts, path: CustomerPath, names: bool, last: int) -> None:
    """Print who it is, how it is scored, and the last lines of the path (0: all)."""
    console.print(_head(texts, path, names))
    console.print(_moments(texts, path, last))
    for each in path.missing:
        console.print(Text(texts.missing[each], style="dim"))


def _head(texts: PathTexts, path: CustomerPath, names: bool) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    for name, value in _rows(texts, path):
        table.add_row(name, value)
    parts = [path.name(names), path.phone, path.business or path.tenant]
    title = Text(" · ".join(part for part in parts if part), style="bold")
    return Panel(table, title=title, title_align="left", box=ROUNDED)


def _rows(texts: PathTexts, path: CustomerPath) -> Iterator[tuple[str, RenderableType]]:
    rows, profile = texts.rows, path.profile
    yield rows["customer"], path.customer_id
    for each in path.merged_from:
        yield rows["joined"], each
    if path.merged_into is not None:
        yield "", Text(texts.merged_into.format(into=path.merged_into), style="yellow")
    if path.forgotten_at is not None:
        at = instant(texts, path, path.forgotten_at)
        yield "", Text(texts.forgotten.format(at=at), style="yellow")
    if profile is None:
        return
    if profile.aliases:
        told = [f"{kind} {hidden(value)}" for kind, value in profile.aliases.items()]
        yield rows["aliases"], ", ".join(told)
    is_dated = bool(profile.as_of)  # what ClickHouse alone knows is not
    as_of = texts.as_of.format(at=instant(texts, path, profile.as_of)) if is_dated else ""
    name = texts.words.segment(int(profile.segment))
    segment = Text.assemble((f"{profile.segment} {name}", "bold"), (f"  {as_of}", "dim"))
    yield rows["segment"], segment
    if profile.r is None:
        yield "", texts.never_came
    for digit, value, against in scores(texts, path, profile):
        yield digit, Text.assemble(value, (f"  ({against})" if against else "", "dim"))
    said = consent_text(texts, path, profile.consent.get("marketing"))
    if said and is_dated:
        yield rows["consent"], said
    if profile.next_booking_at is not None:
        yield rows["next"], instant(texts, path, profile.next_booking_at)


def _moments(texts: PathTexts, path: CustomerPath, last: int) -> RenderableType:
    if not path.moments:
        return Text(texts.nothing, style="dim")
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    lines = _at_once(path.moments)
    shown = lines[-last:] if last else lines
    if len(lines) > len(shown):
        earlier = texts.earlier.format(count=len(lines) - len(shown))
        table.add_row("", Text(earlier, style="dim"))
    year = 0
    for moment, *later in shown:
        at = datetime.fromtimestamp(moment.at_ms / 1000, UTC).astimezone(path.tzinfo)
        if at.year != year:
            year = at.year
            table.add_row(str(year), Text(texts.times.format(zone=path.zone), style="dim"))
        style = _STYLES.get(moment.what, "")
        told = [phrase(texts, path, moment), *(texts.messages[each.what] for each in later)]
        table.add_row(texts.words.moment(at), Text(", ".join(told), style=style))
    return table


def _at_once(moments: list[Moment]) -> list[list[Moment]]:
    """What became of one message within a minute is one line."""
    lines: list[list[Moment]] = []
    for moment in moments:
        before = lines[-1][-1] if lines else None
        if (
            before is not None
            and before.what in MESSAGES
            and moment.what in MESSAGES
            and before.facts["trigger"] == moment.facts["trigger"]
            and before.at_ms // MINUTE_MS == moment.at_ms // MINUTE_MS
        ):
            lines[-1].append(moment)
        else:
            lines.append([moment])
    return lines
