"""The demo's report, drawn for a terminal.

Takes: figures, stories and a ``Texts``
Out:   rich renderables on a console; readable without colours and from 80 columns on
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.box import ROUNDED, SIMPLE_HEAD
from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from flows.figures import Figures
from flows.stories import LONGEST_STORY, Moment, Story
from flows.texts import Texts
from flows.views import Views
from schemas.currencies import EXPONENTS, UNKNOWN_EXPONENT

_STYLES = {
    9: "bold white on dark_green",
    8: "white on green4",
    7: "black on chartreuse3",
    6: "black on khaki1",
    5: "black on light_salmon1",
    4: "white on indian_red",
    3: "white on red3",
}
"""Colour of a cell by the sum of its three digits: 9 is the best customer, 3 the worst."""

_MOMENT_STYLES = {
    "attended": "green",
    "no_show": "red",
    "cancelled": "red",
    "deleted": "red",
    "segment": "bold",
    "command": "cyan",
    "withdraw": "yellow",
    "refused": "yellow",
    "read": "dim",
    "wrote": "dim",
}


@dataclass(frozen=True)
class Run:
    """How the figures came about."""

    records: int
    tenants: int
    start: datetime
    end: datetime
    generate_seconds: float | None
    fold_seconds: float
    records_per_second: int
    businesses: Mapping[str, tuple[str, str]]
    """Name and currency by tenant."""
    effect: float
    """Points that were planted."""


def show(
    console: Console,
    texts: Texts,
    run: Run,
    figures: Figures,
    dead_letters: Mapping[str, int],
    story: Story | None,
    views: Views | None,
    next_words: Mapping[str, object],
) -> None:
    """Print the whole report."""
    sections: list[RenderableType] = [
        head(texts, run),
        cells(texts, figures),
        transitions(texts, figures),
        commands(texts, figures),
        *([] if views is None else [funnel(texts, views), returns(texts, views, run.effect)]),
        dead(texts, dead_letters),
        *([] if story is None else [told(texts, story)]),
        *([] if views is None else [warehouse(texts, views, *run.businesses[views.tenant])]),
        going_on(texts, next_words),
    ]
    for section in sections:
        console.print()
        console.print(section)


def head(texts: Texts, run: Run) -> RenderableType:
    """What was done, and how fast."""
    number = texts.number
    rate = texts.rate.format(rate=number(run.records_per_second))
    made = (
        texts.reused
        if run.generate_seconds is None
        else texts.generated.format(seconds=f"{run.generate_seconds:.1f}")
    )
    body = Text.assemble(
        texts.subtitle.format(
            records=number(run.records),
            tenants=number(run.tenants),
            start=texts.day(run.start),
            end=texts.day(run.end),
        ),
        "\n",
        f"{made}, {texts.folded.format(seconds=f'{run.fold_seconds:.1f}')}: ",
        (rate, "bold green"),
    )
    return Panel(body, title=Text(texts.title, style="bold"), title_align="left", box=ROUNDED)


def cells(texts: Texts, figures: Figures) -> RenderableType:
    """The 27 segments: R down in blocks, F down, M across."""
    table = Table(box=ROUNDED, show_lines=True, expand=True, padding=(0, 1))
    table.add_column("", ratio=12)
    for m in (3, 2, 1):
        table.add_column(texts.monetary[m], ratio=21, justify="center")
    total = max(figures.customers, 1)
    for r in (3, 2, 1):
        for f in (3, 2, 1):
            label = Text(texts.recency[r] if f == 3 else "", style="bold")
            label.append(f"\n{texts.frequency[f]}" if f == 3 else texts.frequency[f], "dim")
            row = [_cell(texts, figures, total, r, f, m) for m in (3, 2, 1)]
            table.add_row(label, *row, end_section=f == 1)
    title = Text(texts.cells.format(customers=texts.number(figures.customers)), style="bold")
    legend = Text(f"{texts.cells_legend}\n", style="dim")
    leads = Text(texts.leads.format(leads=texts.number(figures.leads)), style="dim")
    return Group(title, table, legend + leads)


def _cell(texts: Texts, figures: Figures, total: int, r: int, f: int, m: int) -> RenderableType:
    code = 100 * r + 10 * f + m
    count = figures.by_segment.get(str(code), 0)
    style = _STYLES[r + f + m] if count else "dim"
    text = Text(justify="center")
    text.append(f" {code} ", style)
    text.append(f" {texts.number(count)}", "bold" if count else "dim")
    if count:
        text.append(f" · {100 * count / total:.0f}%" if count * 200 >= total else " · <1%", "dim")
    text.append(f"\n{texts.segment(code)}", "" if count else "dim")
    return text


def transitions(texts: Texts, figures: Figures) -> RenderableType:
    """Counts by kind and cause, and the most travelled ways."""
    counts = Table.grid(padding=(0, 2))
    for kind, number in figures.moves.items():
        counts.add_row(Text(texts.number(number), style="bold", justify="right"), texts.moves[kind])
    causes = Table.grid(padding=(0, 2))
    for cause, number in figures.causes.items():
        causes.add_row(
            Text(texts.number(number), style="bold", justify="right"), texts.causes[cause]
        )
    top = Table(
        box=SIMPLE_HEAD,
        show_edge=False,
        title=texts.top_moves,
        title_justify="left",
        title_style="bold",
        show_header=False,
        padding=(0, 1),
    )
    longest = max((number for *_, number in figures.top_moves), default=1)
    for before, after, number in figures.top_moves:
        top.add_row(
            f"{before} {texts.segment(int(before))}",
            "→",
            f"{after} {texts.segment(int(after))}",
            Text(texts.number(number), style="bold", justify="right"),
            Text("█" * max(1, round(8 * number / longest)), style=_worth(after)),
        )
    title = Text(texts.transitions.format(changes=texts.number(figures.changes)), style="bold")
    return Group(title, Padding(Columns([counts, causes], padding=(0, 4)), (1, 0, 0, 2)), top)


def _worth(code: str) -> str:
    worth = sum(map(int, code))
    return "green" if worth >= 7 else "yellow" if worth >= 5 else "red"


def commands(texts: Texts, figures: Figures) -> RenderableType:
    """Triggers and what came of them."""
    sent = sum(row.sent for row in figures.triggers)
    title = Text(texts.commands.format(commands=texts.number(sent)), style="bold")
    if not figures.triggers:
        return Group(title, Text(texts.no_commands, style="dim"))
    table = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1))
    for at, column in enumerate(texts.command_columns):
        table.add_column(column, justify="right" if at in (3, 4) else "left", no_wrap=True)
    for row in figures.triggers:
        refused = "\n".join(
            f"{texts.reasons.get(reason, reason)} {texts.number(number)}"
            for reason, number in row.refused.most_common()
        )
        table.add_row(
            row.trigger,
            texts.kinds.get(row.kind or "", "–"),
            row.channel or "–",
            Text(texts.number(row.sent), style="bold"),
            texts.number(row.withdrawn),
            refused or "–",
        )
    return Group(title, table)


def funnel(texts: Texts, views: Views) -> RenderableType:
    """How far commands came, by trigger and channel."""
    table = Table(box=SIMPLE_HEAD, show_edge=False, padding=0)
    for at, column in enumerate(texts.funnel_columns):
        table.add_column(column, justify="right" if at > 1 else "left", no_wrap=True)
    for each in views.funnel:
        commanded, *reached = each.reached
        shares = [f"{100 * count / commanded:.0f}%" if count else "–" for count in reached]
        table.add_row(
            each.trigger, each.channel, Text(texts.number(commanded), style="bold"), *shares
        )
    return Group(Text(texts.funnel, style="bold"), table)


def returns(texts: Texts, views: Views, points: float) -> RenderableType:
    """Who was asked against who was held out, and how sure the difference is."""
    title = Text(texts.uplift, style="bold")
    if not views.uplift:
        return Group(title, Text(texts.no_uplift, style="dim"))
    table = Table(box=SIMPLE_HEAD, show_edge=False, padding=0)
    for at, column in enumerate(texts.uplift_columns):
        table.add_column(column, justify="right" if 0 < at < 5 else "left", no_wrap=True)
    for each in views.uplift:
        told = texts.verdicts[each.verdict]
        if each.verdict != "too_few":
            value, low, high = (f"{100 * (share or 0):+.1f}" for share in each.rate)
            told = f"{value} ({low} … {high}) {told}"
        arms = [
            count
            for arm in (each.treated, each.holdout)
            for count in (texts.number(arm.customers), f"{100 * arm.rate:.0f}%")
        ]
        table.add_row(each.trigger, *arms, told)
    months = " – ".join(dict.fromkeys((views.months[0], views.months[-1])))
    legend = Text(texts.uplift_legend.format(months=months, points=points), style="dim")
    return Group(title, table, legend)


def dead(texts: Texts, dead_letters: Mapping[str, int]) -> RenderableType:
    """Records that cannot be used, by reason."""
    total = sum(dead_letters.values())
    if not total:
        return Text(texts.no_dead, style="bold")
    table = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1))
    for at, column in enumerate(texts.dead_columns):
        table.add_column(column, justify="right" if at == 1 else "left")
    for reason, number in sorted(dead_letters.items(), key=lambda item: (-item[1], item[0])):
        table.add_row(reason, texts.number(number), texts.dead_reasons.get(reason, ""))
    return Group(Text(texts.dead.format(dead=texts.number(total)), style="bold"), table)


def told(texts: Texts, story: Story) -> RenderableType:
    """What happened to one customer, in a panel."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    for moment in shortened(told_moments(story.moments)):
        if moment is None:
            hidden = len(told_moments(story.moments)) - LONGEST_STORY
            table.add_row("", Text(texts.more.format(count=hidden), style="dim"))
            continue
        style = _MOMENT_STYLES.get(moment.what, "")
        table.add_row(texts.moment(story.at(moment)), Text(phrase(texts, moment), style=style))
    why = Text(f" · {texts.why[story.chosen.why]} ", style="bold")
    title = Text.assemble((story.who, "bold cyan"), f" · {story.business}", why)
    panel = Panel(table, title=title, title_align="left", box=ROUNDED)
    return Group(Text(texts.story, style="bold"), panel)


def warehouse(texts: Texts, views: Views, business: str, currency: str) -> RenderableType:
    """What ClickHouse's own views say of the last days."""
    sizes = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1))
    sizes.add_column(texts.sizes)
    for day in views.days:
        sizes.add_column(texts.short_day(day), justify="right")
    for segment, customers in views.segments:
        counts = [texts.number(each) for each in customers]
        sizes.add_row(f"{segment} {texts.segment(int(segment))}", *counts)
    earned = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1))
    for column in texts.earned_columns:
        earned.add_column(column.format(currency=currency), justify="right")
    major = 10 ** EXPONENTS.get(currency, UNKNOWN_EXPONENT)
    for each in views.visits:
        money = texts.number(round(each.revenue_minor / major))
        earned.add_row(
            texts.short_day(each.day), texts.number(each.visits), texts.number(each.walk_ins), money
        )
    title = Text(f"{texts.warehouse}: {views.folder}", style="bold")
    whose = Text(f" {texts.earned.format(business=business)}", style="bold")
    return Group(title, sizes, Text(""), whose, earned)


def told_moments(moments: list[Moment]) -> list[Moment]:
    """Without confirmations, which every visit has and which tell nothing."""
    return [moment for moment in moments if moment.what != "confirmed"]


def shortened(moments: list[Moment]) -> list[Moment | None]:
    """Start and end of a long story; ``None`` stands for what is left out."""
    if len(moments) <= LONGEST_STORY + 1:
        return list(moments)
    first = LONGEST_STORY // 3
    return [*moments[:first], None, *moments[first - LONGEST_STORY :]]


def phrase(texts: Texts, moment: Moment) -> str:
    """What happened, in words."""
    facts = dict(moment.facts)
    if "visit_ms" in facts:
        visit = datetime.fromtimestamp(facts["visit_ms"] / 1000, UTC)
        facts["visit"] = texts.moment(visit).strip()
        facts["service"] = f"{facts['service']} " if facts["service"] else ""
    if moment.what == "segment":
        facts |= {"code": facts["to"], "name": texts.segment(int(facts["to"]))}
    if "reason" in facts:
        facts["reason"] = texts.reasons.get(facts["reason"], facts["reason"])
    return texts.moments[moment.what].format(**facts)


def going_on(texts: Texts, words: Mapping[str, object]) -> RenderableType:
    """Where the files are, and what to try next."""
    table = Table.grid(padding=(0, 2))
    for what, command in texts.next_lines:
        if "{customer}" in command and "customer" not in words:
            continue
        table.add_row(Text(what, style="dim"), Text(command.format(**words), style="cyan"))
    return Group(Text(texts.next_title, style="bold"), table)
