"""Show what was measured of the peers: on a terminal, and in ``RESULTS.md``.

Takes: figures by peer; ``peers/results.json`` keeps those of earlier runs, each with its commit
Out:   a table; the part of ``RESULTS.md`` between its two marks
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table

from benchmarks.peers.catalogue import PEERS

_KEPT = Path(__file__).resolve().parent / "results.json"
_RESULTS = Path(__file__).resolve().parent.parent / "RESULTS.md"
_BEGIN, _END = "<!-- peers -->", "<!-- /peers -->"
_NOTHING = "–"

Cell = Callable[[dict[str, Any]], str]


def _number(name: str, form: str) -> Cell:
    def cell(told: dict[str, Any]) -> str:
        value = told.get(name)
        return _NOTHING if value is None else form.format(value)

    return cell


COLUMNS: dict[str, Cell] = {
    "": lambda told: f"{told['title']} {told.get('version', '')}".strip(),
    "records/s": _number("records_per_second", "{:,}"),
    "spread": _number("spread", "{:.0%}"),
    "CPU s / million": _number("cpu_seconds_per_million", "{:,.1f}"),
    "memory": lambda told: f"{told['rss_bytes'] / 1e6:,.0f} MB" if "rss_bytes" in told else "–",
    "right": _number("customers_right", "{:.2%}"),
    "promises": lambda told: str(told.get("promise", _NOTHING)),
    "lost": _number("lost", "{:,}"),
    "twice": _number("twice", "{:,}"),
    "caught up": _number("caught_up_seconds", "{:,.1f} s"),
    "start": _number("restart_seconds", "{:,.1f} s"),
    "p99": lambda told: (
        f"{told['p99_ms']:,.0f} ms at {told['held_rate']:,}/s" if told.get("p99_ms") else "–"
    ),
    "refresh": lambda told: (
        f"{told['refresh_seconds']:,.2f} s, CPU {told['refresh_cpu_seconds']:,.2f} s"
        if told.get("refresh_seconds")
        else _NOTHING
    ),
}


def print_table(told: list[dict[str, Any]], console: Console) -> None:
    """On a terminal."""
    table = Table(title="the common job, records topic to changes of segment")
    for number, name in enumerate(COLUMNS):
        table.add_column(name, justify="right" if number else "left")
    for each in (one for one in told if "reason" not in one):
        table.add_row(*(cell(each) for cell in COLUMNS.values()))
    console.print(table)
    for each in (one for one in told if "reason" in one):
        console.print(f"{each['title']} was not measured: {each['reason']}", markup=False)


def keep(told: list[dict[str, Any]], measured_on: dict[str, str | None]) -> None:
    """Merge new figures into those that are kept, and write the table of all."""
    kept = orjson.loads(_KEPT.read_bytes()) if _KEPT.exists() else {}
    kept |= {each["name"]: each | measured_on for each in told}
    ordered = {peer.name: kept[peer.name] for peer in PEERS if peer.name in kept}
    _KEPT.write_bytes(orjson.dumps(ordered, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    text = _RESULTS.read_text(encoding="utf-8")
    before, rest = text.split(_BEGIN)
    after = rest.split(_END)[1]
    table = "\n".join(_markdown(list(ordered.values())))
    _RESULTS.write_text(f"{before}{_BEGIN}\n\n{table}\n\n{_END}{after}", encoding="utf-8")


def _markdown(told: list[dict[str, Any]]) -> list[str]:
    measured = [each for each in told if "reason" not in each]
    names = [*COLUMNS, "commit"]
    lines = [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
    for each in measured:
        cells = [*(cell(each) for cell in COLUMNS.values()), f"`{each['commit']}`"]
        lines.append(f"| {' | '.join(cells)} |")
    left_out = [each for each in told if "reason" in each]
    return lines + [f"\nNot measured: {each['title']}: {each['reason']}" for each in left_out]
