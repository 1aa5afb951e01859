"""``flowsell uplift``: did they come back because of it?

In:    ``uplift_monthly``: the last rows in a replay's ``aggregates.ndjson``, or ClickHouse's
Out:   a table and a plot of the differences by tenant and trigger, or one JSON object
State: none
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from flows.environment import read_environment
from sources.files import unreadable

if TYPE_CHECKING:
    from flows.uplift_statistics import Uplift, UpliftRow
    from sinks.clickhouse_engine import ClickHouse
    from sinks.clickhouse_target import Target

FILE = "aggregates.ndjson"
TABLE = "uplift_monthly"
COLUMNS = (
    *("tenant", "month", "trigger", "variant"),
    *("customers", "returned", "revenue_minor", "revenue_squared"),
)
KEYS = 4
"""So many of the columns name a row."""

QUERY = f"SELECT {', '.join(COLUMNS)} FROM flowsell.{TABLE}_now"  # noqa: S608  # constants alone


def rows_of_folder(folder: Path) -> list[UpliftRow]:
    """The last word on each row; a line that is cut short is not there yet."""
    return last_rows(line for line in _lines(folder / FILE) if line.endswith(b"\n"))


def last_rows(lines: Iterable[bytes]) -> list[UpliftRow]:
    """Of the lines of all aggregates, the last one of each row."""
    from flows.uplift_statistics import UpliftRow

    last: dict[tuple[str, ...], UpliftRow] = {}
    mark = f'"{TABLE}"'.encode()
    for line in lines:
        if mark in line:
            row = msgspec.json.decode(line, type=UpliftRow)
            last[row.tenant, row.month, row.trigger, row.variant] = row
    return list(last.values())


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            yield from file
    except OSError as error:
        raise unreadable(path, error) from None


def rows_of_clickhouse(target: Target) -> list[UpliftRow]:
    """The settled values."""
    from sinks.clickhouse_engine import ClickHouse

    engine = ClickHouse(target)
    engine.open()
    try:
        return rows_of(engine)
    finally:
        engine.close()


def rows_of(engine: ClickHouse) -> list[UpliftRow]:
    """The same of an engine that is open."""
    from flows.uplift_statistics import UpliftRow

    found = engine.rows(QUERY)
    texts = [tuple(str(value) for value in row[:KEYS]) for row in found]
    numbers = [tuple(int(value) for value in row[KEYS:]) for row in found]
    told = [dict(zip(COLUMNS, a + b, strict=True)) for a, b in zip(texts, numbers, strict=True)]
    return msgspec.convert(told, list[UpliftRow])


def chosen(rows: Sequence[UpliftRow], tenant: str | None, months: Sequence[str]) -> list[UpliftRow]:
    """Those of one tenant, or of some months."""
    return [
        row
        for row in rows
        if (tenant is None or row.tenant == tenant) and (not months or row.month in months)
    ]


def as_json(found: Sequence[Uplift]) -> dict[str, object]:
    """What is printed for machines; money in minor units, rates as shares of one."""
    return {
        "confidence": 0.95,
        "uplift": [
            {
                "tenant": each.tenant,
                "trigger": each.trigger,
                "months": each.months,
                "treated": _arm(each.treated.customers, each.treated.rate, each.treated.mean),
                "holdout": _arm(each.holdout.customers, each.holdout.rate, each.holdout.mean),
                "return_rate": each.rate._asdict(),
                "revenue_per_customer_minor": each.revenue._asdict(),
                "verdict": each.verdict,
            }
            for each in found
        ],
    }


def _arm(customers: int, rate: float, mean: float) -> dict[str, float]:
    return {"customers": customers, "return_rate": rate, "revenue_per_customer_minor": mean}


@click.command("uplift")
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option("--clickhouse", is_flag=True, help="Read the tables at FLOWSELL_CLICKHOUSE.")
@click.option("--tenant", help="This one alone.")
@click.option("--month", "months", multiple=True, help="YYYY-MM; as often as wanted.")
@click.option("--json", "wants_json", is_flag=True, help="One JSON object.")
def command(
    folder: Path | None, clickhouse: bool, tenant: str | None, months: tuple[str, ...],
    wants_json: bool,
) -> None:  # fmt: skip
    """Return rate and revenue of who got messages against who was held out, by trigger.

    FOLDER is where a replay has written its aggregates.ndjson.
    """
    from flows.migrate import wanted
    from flows.summary import print_json
    from flows.uplift_report import print_uplift
    from flows.uplift_statistics import uplifts

    if (folder is None) == (not clickhouse):
        raise click.UsageError("give either the folder of a replay or --clickhouse")
    if folder is None:
        rows = rows_of_clickhouse(wanted(read_environment()))
    else:
        rows = rows_of_folder(folder)
    found = uplifts(chosen(rows, tenant, months))
    if wants_json:
        print_json(as_json(found))
    else:
        print_uplift(found)
