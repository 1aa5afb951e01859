"""What a backfill found in its tables: counts by reason for people and machines, rows for a file.

In:    sifted tables
Out:   stdout: numbers of rows and names of columns, never what stands in them; a file, if it is
       asked for, has the bad rows in full
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import polars as pl
from rich.console import Console
from rich.table import Table

from flows.publishing import Publishing
from operators.pack import Plan
from operators.sift import Sifted

SHOWN_ROWS = 5
"""Numbers of bad rows that are printed for each reason."""

CROWD_VISITS = 1_000
"""No customer has more; a phone that has is written where there is none, and folds slowly."""


@dataclass(frozen=True)
class Found:
    """What became of one table."""

    source: str
    sifted: Sifted

    @property
    def bad_percent(self) -> float:
        """Of a hundred rows."""
        return 100 * self.sifted.bad.height / max(self.sifted.rows, 1)

    def causes(self) -> list[tuple[str, str, int, list[int]]]:
        """Reason, column, rows, and the numbers of the first of them."""
        bad = self.sifted.bad.group_by("reason", "column", maintain_order=True)
        grouped = bad.agg(pl.len().alias("rows"), pl.col("row").head(SHOWN_ROWS))
        return list(grouped.sort("rows", descending=True, maintain_order=True).iter_rows())


@dataclass
class Report:
    """Everything that was found."""

    tables: dict[str, Found] = field(default_factory=dict)
    rejected: list[pl.DataFrame] = field(default_factory=list)
    tenants: int = 0
    walk_ins: int = 0
    """Visits of nobody: neither a phone nor a client."""
    waiting: int = 0
    """Visits that name a client without a phone: nobody's until a card tells whose."""
    crowded: int = 0
    """Phones with more than a thousand visits each."""

    def add(self, name: str, source: str, sifted: Sifted, rejected: pl.DataFrame) -> None:
        """One more table."""
        self.tables[name] = Found(source, sifted)
        self.rejected.append(rejected)

    def join(self, customers: Sifted | None, visits: Sifted | None) -> None:
        """Look at both tables together."""
        told = [each.told.select("tenant") for each in (customers, visits) if each is not None]
        self.tenants = pl.concat(told)["tenant"].n_unique() if told else 0
        if visits is None:
            return
        phones = visits.told.drop_nulls("phone").group_by("tenant", "phone").len()
        self.crowded = phones.filter(pl.col("len") > CROWD_VISITS).height
        phoneless = visits.told.filter(pl.col("phone").is_null())
        self.walk_ins = phoneless["client"].null_count()
        named = phoneless.drop_nulls("client")
        if customers is not None:
            cards = customers.told.drop_nulls("phone").select("tenant", client="id")
            named = named.join(cards, on=["tenant", "client"], how="anti")
        self.waiting = named.height

    def worst_percent(self) -> float:
        """The share of bad rows in the table that has most."""
        return max((found.bad_percent for found in self.tables.values()), default=0.0)

    def as_json(self) -> dict[str, Any]:
        """One object for machines."""
        tables = {
            name: {
                "source": found.source,
                "rows": found.sifted.rows,
                "told": found.sifted.told.height,
                "repeated": found.sifted.repeated,
                "differing": found.sifted.differing,
                "bad": found.sifted.reasons,
            }
            for name, found in self.tables.items()
        }
        return {
            "tables": tables,
            "tenants": self.tenants,
            "walk_ins": self.walk_ins,
            "waiting": self.waiting,
            "crowded": self.crowded,
        }


def rejects(name: str, frame: pl.DataFrame, bad: pl.DataFrame) -> pl.DataFrame:
    """The bad rows of a table with everything that its source says."""
    head = bad.select(pl.lit(name).alias("table"), pl.all())
    rows = frame[(bad["row"] - 1).to_list()]
    lists = [each for each, kind in rows.schema.items() if isinstance(kind, pl.List)]
    rows = rows.with_columns(pl.col(lists).list.join(", "))
    taken = {each: f"{each} of {name}" for each in rows.columns if each in head.columns}
    return pl.concat([head, rows.rename(taken)], how="horizontal")


def write_rejects(path: Path, rejected: list[pl.DataFrame]) -> None:
    """A CSV of all tables' bad rows, a column for each that any of them has."""
    try:
        with path.open("wb") as file:
            pl.concat(rejected, how="diagonal").write_csv(file, include_bom=True)
    except OSError as error:
        raise click.UsageError(f"cannot write {path}: {error.strerror}") from None


def print_report(told: Report, plan: Plan, done: Publishing | None) -> None:
    """A few lines for each table, and what was published."""
    console = Console(highlight=False, markup=False)  # a column may be called `[a]`
    for name, found in told.tables.items():
        console.print(f"{name}, from {found.source}", style="bold", soft_wrap=True)
        console.print(_table(found))
    if told.walk_ins:
        console.print(f"{told.walk_ins:,} visits of nobody: they count for the business alone.")
    if told.waiting:
        console.print(
            f"{told.waiting:,} visits name a client whose phone nobody tells: "
            "they wait until a card does."
        )
    if told.crowded:
        console.print(
            f"{told.crowded:,} phones with more than {CROWD_VISITS:,} visits each: if they stand "
            "for no phone, name them under `nobody` in the mapping.",
            soft_wrap=True,
        )
    tenants = "1 tenant" if told.tenants == 1 else f"{told.tenants:,} tenants"
    ready = f"{plan.objects:,} rows of {tenants} in {len(plan.slices):,} records"
    console.print(
        done.sentence(ready) if done else f"Nothing is published: {ready}.", soft_wrap=True
    )


def _table(found: Found) -> Table:
    sifted = found.sifted
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(justify="right")
    table.add_column()
    table.add_row("  rows", f"{sifted.rows:,}")
    table.add_row("  told", f"{sifted.told.height:,}")
    if sifted.repeated:
        differing = f"{sifted.differing:,} otherwise; the newest holds" if sifted.differing else ""
        table.add_row("  repeated", f"{sifted.repeated:,}", differing)
    table.add_row("  bad", f"{sifted.bad.height:,}")
    for reason, column, rows, first in found.causes():
        more = ", …" if rows > len(first) else ""
        numbers = f"row{'s' if rows > 1 else ''} {', '.join(map(str, first))}{more}"
        where = f"{column}: {numbers}" if column else numbers
        table.add_row(f"    {reason}", f"{rows:,}", where)
    return table
