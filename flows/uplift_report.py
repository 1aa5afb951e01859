"""Show uplifts to people: a table, and every interval on one scale beside the zero.

Takes: ``Uplift`` of each tenant and trigger
Out:   stdout
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from flows.uplift_statistics import FEWEST_CUSTOMERS, FEWEST_RETURNS, Difference, Uplift

WIDTH = 41
VERDICTS = {
    "too_few": "too few to tell",
    "more": "more come back",
    "fewer": "fewer come back",
    "unclear": "no difference shown",
}
_STYLES = {"too_few": "dim", "more": "green", "fewer": "red", "unclear": ""}


def print_uplift(found: Sequence[Uplift]) -> None:
    """Return rates and revenue of both arms, then the plot of the rates."""
    console = Console(highlight=False)
    if not found:
        console.print("No contacts of marketing triggers yet.")
        return
    console.print("Did they come back? Treated customers beside held out ones", style="bold")
    console.print(_rates(found))
    console.print("\nRevenue per customer, minor units of the tenant's currency", style="bold")
    console.print(_revenues(found))
    told = [each for each in found if each.verdict != "too_few"]
    if told:
        console.print("\nDifference of return rates, 95 % interval, percentage points")
        console.print(_plot(told))
    if len(told) < len(found):
        console.print(
            f"Too few to tell: under {FEWEST_CUSTOMERS} customers in an arm, or under "
            f"{FEWEST_RETURNS} who came back, or who did not, in both.",
            style="dim",
        )


def _rates(found: Sequence[Uplift]) -> Table:
    table = _table("treated", "came", "held out", "came")
    table.add_column("difference, 95 %")
    for each in found:
        table.add_row(
            each.tenant,
            each.trigger,
            f"{each.treated.customers:,}",
            f"{100 * each.treated.rate:.1f} %",
            f"{each.holdout.customers:,}",
            f"{100 * each.holdout.rate:.1f} %",
            _told(each, each.rate, 100, 1),
            style=_STYLES[each.verdict],
        )
    return table


def _revenues(found: Sequence[Uplift]) -> Table:
    table = _table("treated", "held out")
    table.add_column("difference, 95 %")
    for each in found:
        table.add_row(
            each.tenant,
            each.trigger,
            f"{each.treated.mean:,.0f}",
            f"{each.holdout.mean:,.0f}",
            _told(each, each.revenue, 1, 0, names_it=False),
            style="dim" if each.verdict == "too_few" else "",
        )
    return table


def _table(*numbers: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("tenant", "trigger"):
        table.add_column(name, overflow="fold")
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _told(
    each: Uplift, difference: Difference, factor: float, digits: int, names_it: bool = True
) -> str:
    """The difference and its interval, and what the rates' one says; of too few only that."""
    if each.verdict == "too_few" or difference.low is None or difference.high is None:
        return VERDICTS["too_few"] if names_it else "–"
    low, high = factor * difference.low, factor * difference.high
    told = f"{factor * difference.value:+,.{digits}f} ({low:+,.{digits}f} … {high:+,.{digits}f})"
    return f"{told} {VERDICTS[each.verdict]}" if names_it else told


def _plot(found: Sequence[Uplift]) -> Table:
    edges = [abs(edge or 0.0) for each in found for edge in (each.rate.low, each.rate.high)]
    reach = max(*edges, 0.01)
    plot = Table.grid(padding=(0, 2, 0, 0))
    plot.add_row("", "", _scale(reach), style="dim")
    for each in found:
        plot.add_row(each.tenant, each.trigger, bar(each.rate, reach), style=_STYLES[each.verdict])
    return plot


def bar(difference: Difference, reach: float) -> str:
    """The interval as a line with its value in it, on a scale of ``reach`` to both sides of 0."""
    cells = [" "] * WIDTH
    if difference.low is not None and difference.high is not None:
        low, high = _cell(difference.low, reach), _cell(difference.high, reach)
        cells[low : high + 1] = "─" * (high + 1 - low)
        cells[low], cells[high] = "├", "┤"
    zero = WIDTH // 2
    cells[zero] = "┼" if cells[zero] == "─" else "│"
    cells[_cell(difference.value, reach)] = "●"
    return "".join(cells)


def _cell(value: float, reach: float) -> int:
    share = min(1.0, max(-1.0, value / reach))
    return round((1 + share) * (WIDTH - 1) / 2)


def _scale(reach: float) -> str:
    left, right = f"{-100 * reach:.0f}", f"{100 * reach:+.0f}"
    half = WIDTH // 2
    return left + " " * (half - len(left)) + "0" + " " * (WIDTH - half - 1 - len(right)) + right
