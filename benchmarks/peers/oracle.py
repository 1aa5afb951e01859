"""Say which segment every customer must end in: one pass over the log, in polars.

Takes: every value that was appended, and the day of the appending
Out:   by tenant and phone the segment; customers without an attended visit are left out

It shares nothing with the peers' ``job`` but the thresholds: what both get wrong would not show.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import orjson
import polars as pl

from benchmarks.peers.job import FREQUENCY, MONETARY_MINOR, RECENCY_DAYS, WINDOW_DAYS

Customer = tuple[str, str]
"""Tenant and phone."""

_SCHEMA = {
    "tenant": pl.String, "phone": pl.String, "visit": pl.String, "version": pl.String,
    "attended": pl.Boolean, "starts": pl.String, "minor": pl.Int64,
}  # fmt: skip


def owed(values: Iterable[bytes], today: int) -> dict[Customer, str]:
    """The segment of each customer; ``today`` in days since 1970."""
    told = pl.DataFrame(list(_rows(values)), schema=_SCHEMA, orient="row")
    day = pl.col("starts").str.slice(0, 10).str.to_date().to_physical()
    ago = (today - day).clip(lower_bound=0)
    inside = ago < WINDOW_DAYS
    changed = pl.col("version").str.to_datetime("%Y-%m-%dT%H:%M:%S%z", strict=False)
    number = pl.col("version").str.to_integer(strict=False)
    customers = (
        told.sort(number.fill_null(changed.dt.timestamp("ms")))
        .group_by("tenant", "visit")
        .last()
        .filter("attended")
        .with_columns(day=day, ago=ago, inside=inside)
        .group_by("tenant", "phone")
        .agg(
            recency=pl.col("ago").min(),
            frequency=pl.col("day").filter(pl.col("inside")).n_unique(),
            monetary=pl.col("minor").filter(pl.col("inside")).sum(),
        )
    )
    codes = customers.select(
        "tenant",
        "phone",
        code=100 * (1 + sum((pl.col("recency") <= most).cast(int) for most in RECENCY_DAYS))
        + 10 * (1 + sum((pl.col("frequency") >= least).cast(int) for least in FREQUENCY))
        + (1 + sum((pl.col("monetary") >= least).cast(int) for least in MONETARY_MINOR)),
    )
    return {(tenant, phone): str(code) for tenant, phone, code in codes.iter_rows()}


def _rows(values: Iterable[bytes]) -> Iterator[tuple[object, ...]]:
    for value in values:
        record = orjson.loads(value)
        body = record.get("body") or {}
        if record.get("provider") == "generic" and body["type"] == "visit":
            yield (
                record["tenant"], _international(body["phone"]), "generic " + body["id"],
                str(body["version"]), body["status"] == "attended", body["starts_at"],
                body["amount_minor"],
            )  # fmt: skip
        elif body.get("resource") == "record":
            data = body["data"]
            units = sum(each["cost"] * each["amount"] for each in data["services"])
            yield (
                record["tenant"], _international(data["client"]["phone"]),
                f"yclients {body['company_id']} {body['resource_id']}", data["last_change_date"],
                data["attendance"] == 1 and not data["deleted"], data["date"], units * 100,
            )  # fmt: skip


def _international(written: str) -> str:
    digits = [each for each in written if each in "0123456789"]
    return "7" + "".join(digits[-10:])
