"""The nightly batch in polars: the day's visits as one more Parquet file, then everybody anew.

Takes: the day's records; ``visits-*.parquet`` of the days before, ``segments.parquet`` of yesterday
Out:   today's ``segments.parquet``, and a message for everybody who is not where they were
"""

from __future__ import annotations

import time
from pathlib import Path

import polars as pl

from benchmarks.peers.given import given
from benchmarks.peers.job import FREQUENCY, MONETARY_MINOR, RECENCY_DAYS, WINDOW_DAYS, day_of_ms
from benchmarks.peers.nightly import Inbox, keep_cost, tell

_SERVICE = pl.Struct({"cost": pl.Int64, "amount": pl.Int64})
_DATA = pl.Struct(
    {
        "attendance": pl.Int64, "deleted": pl.Boolean, "date": pl.String,
        "last_change_date": pl.String, "client": pl.Struct({"phone": pl.String}),
        "services": pl.List(_SERVICE),
    }
)  # fmt: skip
_BODY = pl.Struct(
    {
        "resource": pl.String, "resource_id": pl.Int64, "company_id": pl.Int64, "data": _DATA,
        "type": pl.String, "id": pl.String, "version": pl.Int64, "status": pl.String,
        "phone": pl.String, "starts_at": pl.String, "amount_minor": pl.Int64,
    }
)  # fmt: skip
_RECORD = pl.Struct({"tenant": pl.String, "provider": pl.String, "body": _BODY})


def visits(values: list[bytes]) -> pl.DataFrame:
    """The versions of visits that these records tell of."""
    told = pl.DataFrame({"value": values}).select(pl.col("value").cast(pl.String))
    # whose body is of another shape cannot be decoded by this schema, and tells of no visit
    read = told.filter(~pl.col("value").str.contains('"provider":"whatsapp"', literal=True)).select(
        pl.col("value").str.json_decode(_RECORD)
    )
    record = read.unnest("value").unnest("body")
    return pl.concat([_yclients(record), _generic(record)])


def _yclients(record: pl.DataFrame) -> pl.DataFrame:
    rows = record.filter(provider="yclients", resource="record").drop("phone").unnest("data")
    costs = pl.col("services").list.eval(
        pl.element().struct.field("cost") * pl.element().struct.field("amount")
    )
    gone = pl.col("deleted") | (pl.col("status") == "delete")
    return rows.select(
        "tenant",
        _phone(pl.col("client").struct.field("phone")),
        visit=pl.format("y{}:{}", "company_id", "resource_id"),
        version=pl.col("last_change_date").str.to_datetime("%Y-%m-%dT%H:%M:%S%z").dt.timestamp(),
        attended=(pl.col("attendance") == 1) & ~gone,
        day=pl.col("date").str.slice(0, 10).str.to_date().to_physical(),
        amount=costs.list.sum() * 100,
    )


def _generic(record: pl.DataFrame) -> pl.DataFrame:
    return record.filter(provider="generic", type="visit").select(
        "tenant",
        _phone(pl.col("phone")),
        visit=pl.format("g{}", "id"),
        version="version",
        attended=pl.col("status") == "attended",
        day=pl.col("starts_at").str.slice(0, 10).str.to_date().to_physical(),
        amount="amount_minor",
    )


def _phone(written: pl.Expr) -> pl.Expr:
    digits = written.str.replace_all(r"\D", "")
    return digits.str.replace(r"^8(\d{10})$", "7$1").alias("phone")


def segments(visits: pl.LazyFrame, today: int) -> pl.DataFrame:
    """Tenant, phone and segment of everybody with an attended visit."""
    ago = (today - pl.col("day")).clip(lower_bound=0)
    inside = pl.col("ago") < WINDOW_DAYS
    features = (
        visits.group_by("tenant", "visit")
        .agg(pl.col("phone", "attended", "day", "amount").sort_by("version").last())
        .filter("attended")
        .with_columns(ago=ago)
        .group_by("tenant", "phone")
        .agg(
            r=-pl.col("ago").min(),
            f=pl.col("day").filter(inside).n_unique(),
            m=pl.col("amount").filter(inside).sum(),
        )
    )
    r = _digit("r", (-RECENCY_DAYS[0], -RECENCY_DAYS[1]))
    segment = pl.concat_str(r, _digit("f", FREQUENCY), _digit("m", MONETARY_MINOR))
    return features.select("tenant", "phone", segment=segment).collect()


def _digit(name: str, at_least: tuple[int, int]) -> pl.Expr:
    value = pl.col(name)
    two_or_three = pl.when(value >= at_least[0]).then(pl.lit("3")).otherwise(pl.lit("2"))
    return pl.when(value >= at_least[1]).then(two_or_three).otherwise(pl.lit("1"))


def changes(before: pl.DataFrame, now: pl.DataFrame) -> pl.DataFrame:
    """Who is not where they were; nobody without an attended visit any more is told apart."""
    both = now.join(before, on=["tenant", "phone"], how="full", coalesce=True, suffix="_before")
    both = both.select(
        "tenant", "phone", before=pl.col("segment_before").fill_null("000"),
        after=pl.col("segment").fill_null("000"),
    )  # fmt: skip
    return both.filter(pl.col("before") != pl.col("after"))


def refresh(folder: Path, today: int) -> pl.DataFrame:
    """Everybody anew, from every day's visits; what has changed since the last time."""
    now = segments(pl.scan_parquet(folder / "visits-*.parquet"), today)
    last = folder / "segments.parquet"
    before = pl.read_parquet(last) if last.exists() else now.clear()
    now.write_parquet(last)
    return changes(before, now)


def main() -> None:
    """One night."""
    told = given()
    inbox = Inbox(told)
    number = len(list(told.state.glob("visits-*.parquet")))
    loaded = pl.concat([visits(values) for values in inbox.batches()])
    loaded.write_parquet(told.state / f"visits-{number:05d}.parquet")
    inbox.commit()
    wall, cpu = time.perf_counter(), time.process_time()
    changed = refresh(told.state, day_of_ms(int(time.time() * 1000)))
    keep_cost(told, time.perf_counter() - wall, time.process_time() - cpu)
    tell(told, changed.iter_rows())


if __name__ == "__main__":
    main()
