"""Aggregates against group-bys over the oracle's tables, day by day."""

from __future__ import annotations

from typing import Any

from hypothesis import given

from tests.decided import TABLES
from tests.engine import ID_KEY, Row, Streams, run
from tests.life import large_logs, logs
from tests.logs import Record, lines_of, ms
from tests.oracle_aggregates import Name, tables

KEYS = {
    "visits_daily": ("tenant", "day"),
    "segment_daily": ("tenant", "day", "segment"),
    "segment_flow_daily": ("tenant", "day", "from", "to"),
    "webhooks_minutely": ("tenant", "provider", "minute"),
    "customer_segments": ("tenant", "customer_id"),
}


def settled(streams: Streams) -> dict[str, dict[Name, Row]]:
    """The last row of every key, by table: what the database will say.

    The funnel is compared beside what is decided, by the simulator.
    """
    found: dict[str, dict[Name, Row]] = {table: {} for table in KEYS}
    for row in streams.rows("aggregates"):
        if row["table"] in TABLES:
            continue
        key = tuple(str(row[column]) for column in KEYS[row["table"]])
        found[row["table"]][key] = row
    return found


def without_nothing(rows: dict[Name, Any]) -> dict[Name, Any]:
    """Rows that say something: an absent row and one of zeros are the same."""
    return {key: values for key, values in rows.items() if any(_numbers(values))}


def _numbers(values: Any) -> tuple[int, ...]:
    return values if isinstance(values, tuple) else (values,)


def assert_days(lines: list[bytes]) -> None:
    """Every daily table ends at what the oracle counts."""
    streams = run(lines)
    told = settled(streams)
    true = tables(lines, ID_KEY, streams.rows("segments"))
    visits = {
        key: (row["visits"], row["walk_ins"], row["revenue_minor"])
        for key, row in told["visits_daily"].items()
    }
    assert without_nothing(visits) == without_nothing(true.visits_daily)
    counted = {key: row["customers"] for key, row in told["segment_daily"].items()}
    assert without_nothing(counted) == without_nothing(true.segment_customers)
    moved = {key: row["customers"] for key, row in told["segment_flow_daily"].items()}
    assert without_nothing(moved) == without_nothing(true.segment_flow_daily)
    earned = {key: row["revenue_minor"] for key, row in told["segment_daily"].items()}
    assert without_nothing(earned) == without_nothing(true.segment_revenue)


@given(logs())
def test_every_daily_table_ends_at_what_the_oracle_counts(lines: list[bytes]) -> None:
    assert_days(lines)


GONE = ("", "---")
"""Segments of ids that are merged into others or forgotten: as good as no row."""
MEASURES = ("records", "events", "duplicates", "late", "dead")
SCORE = ("segment", "r", "f", "m", "frequency", "monetary_minor", "last_visit_at")
"""Recency is as of the row's last change: it alone rewrites nothing."""


def assert_minutes(lines: list[bytes]) -> None:
    """Every minute has counted the webhooks that came in it."""
    streams = run(lines)
    told = {
        (tenant, provider, str(ms(minute))): tuple(row[name] for name in MEASURES)
        for (tenant, provider, minute), row in settled(streams)["webhooks_minutely"].items()
    }
    true = tables(lines, ID_KEY, streams.rows("segments")).webhooks
    assert told == {key: tuple(counts[name] for name in MEASURES) for key, counts in true.items()}


def assert_customers(lines: list[bytes]) -> None:
    """Whoever has a score has it in the table as well."""
    streams = run(lines)
    told = {
        who: tuple(row[name] for name in SCORE)
        for (_, who), row in settled(streams)["customer_segments"].items()
        if row["segment"] not in GONE
    }
    profiles = {
        who: tuple(profile[name] for name in SCORE) for who, profile in streams.profiles().items()
    }
    visited = {who for who, profile in streams.profiles().items() if profile["segment"] != "000"}
    assert visited <= told.keys()
    assert {who: row for who, row in told.items() if who in profiles} == {
        who: row for who, row in profiles.items() if who in told
    }
    assert all(row[0] == "" for who, row in told.items() if who not in profiles)


@given(logs())
def test_every_minute_counts_the_webhooks_that_came_in_it(lines: list[bytes]) -> None:
    assert_minutes(lines)


@given(large_logs())
def test_the_table_of_customers_says_what_profiles_say(log: list[Record]) -> None:
    assert_customers(lines_of(log))
