"""Show what was measured of the peers: on a terminal, and in ``RESULTS.md``.

Takes: figures of peers; ``peers/results.json`` keeps those of earlier runs, by peer and number of
       customers, each with its commit
Out:   a table; the part of ``RESULTS.md`` between its two marks; ``peers/results.svg``
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table

from benchmarks.peers.catalogue import PEERS
from benchmarks.peers.plot import bars

_KEPT = Path(__file__).resolve().parent / "results.json"
_PLOT = Path(__file__).resolve().parent / "results.svg"
_RESULTS = Path(__file__).resolve().parent.parent / "RESULTS.md"
_BEGIN, _END = "<!-- peers -->", "<!-- /peers -->"
_NOTHING = "–"
_ORDER = [peer.name for peer in PEERS]

Cell = Callable[[dict[str, Any]], str]


def _number(name: str, form: str) -> Cell:
    def cell(told: dict[str, Any]) -> str:
        value = told.get(name)
        return _NOTHING if value is None else form.format(value)

    return cell


_NAME: dict[str, Cell] = {
    "": lambda told: f"{told['title']} {told['version']}",
    "Customers": _number("customers", "{:,}"),
}
_COST: dict[str, Cell] = {
    "Records/s": _number("records_per_second", "{:,}"),
    "Spread": _number("spread", "{:.0%}"),
    "CPU s a million": _number("cpu_seconds_per_million", "{:,.1f}"),
    "Memory, MB": lambda told: f"{told['rss_bytes'] / 1e6:,.0f}",
    "Customers right": _number("customers_right", "{:.2%}"),
    "Refresh, s": _number("refresh_seconds", "{:,.2f}"),
    "… CPU s": _number("refresh_cpu_seconds", "{:,.2f}"),
}
_KILLS: dict[str, Cell] = {
    "Promises": lambda told: str(told["promise"]),
    "Lost": _number("lost", "{:,}"),
    "Twice": _number("twice", "{:,}"),
    "Caught up, s": _number("caught_up_seconds", "{:,.1f}"),
    "Start, s": _number("restart_seconds", "{:,.1f}"),
    "p99, ms": _number("p99_ms", "{:,.0f}"),
    "… at records/s": _number("held_rate", "{:,}"),
}
_TABLES = {
    "What it costs": _NAME | _COST,
    "What a kill does, and how late a change is": _NAME | _KILLS,
}


def print_table(told: list[dict[str, Any]], console: Console) -> None:
    """On a terminal."""
    for title, columns in _TABLES.items():
        table = Table(title=title)
        for number, name in enumerate(columns):
            table.add_column(name, justify="right" if number else "left")
        for each in _measured(told):
            table.add_row(*(cell(each) for cell in columns.values()))
        console.print(table)
    for line in _left_out(told):
        console.print(line, markup=False)


def _measured(told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each for each in told if "reason" not in each]


def _left_out(told: list[dict[str, Any]]) -> list[str]:
    left_out = [each for each in told if "reason" in each]
    return [
        f"Not measured: {each['title']}, {each['customers']:,} customers: {each['reason']}"
        for each in left_out
    ]


def keep(told: list[dict[str, Any]], measured_on: dict[str, str | None]) -> None:
    """Merge new figures into those that are kept, and write the table of all."""
    kept = orjson.loads(_KEPT.read_bytes()) if _KEPT.exists() else []
    by_run = {_run_of(each): each for each in kept}
    by_run |= {_run_of(each): each | measured_on for each in told}
    ordered = [by_run[run] for run in sorted(by_run)]
    _KEPT.write_bytes(orjson.dumps(ordered, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    if measured := _measured(ordered):
        fewest = measured[0]["customers"]
        drawn = [each for each in measured if each["customers"] == fewest]
        _PLOT.write_text(bars(drawn), encoding="utf-8")
    text = _RESULTS.read_text(encoding="utf-8")
    before, rest = text.split(_BEGIN)
    after = rest.split(_END)[1]
    table = "\n".join(_markdown(ordered)).strip()
    _RESULTS.write_text(f"{before}{_BEGIN}\n\n{table}\n\n{_END}{after}", encoding="utf-8")


def _run_of(told: dict[str, Any]) -> tuple[int, int]:
    """Where it stands in the table: by customers, then in the order of the peers."""
    return told["customers"], _ORDER.index(told["name"])


def _markdown(told: list[dict[str, Any]]) -> list[str]:
    lines = []
    for title, columns in _TABLES.items():
        lines += ["", f"{title}:", "", f"| {' | '.join(columns)} | Commit |"]
        lines.append("|---" * (len(columns) + 1) + "|")
        for each in _measured(told):
            cells = [*(cell(each) for cell in columns.values()), f"`{each['commit']}`"]
            lines.append(f"| {' | '.join(cells)} |")
    return [*lines[1:], "", *_left_out(told)]
