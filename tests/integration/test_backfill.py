"""The log of a backfill from files: what a replay makes of it, and how it is taken up again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from flows.cli import run
from flows.progress import silent
from flows.publishing import Bookmark, LogEnd, publish
from flows.resend import Pace
from operators.pack import MOST_OBJECTS, Plan
from schemas.keys import customer_id
from tests.salon import AT, CUSTOMERS, TODAY, VISITS, backfill, own, plan_of, tables

__all__ = ["own", "tables"]


def replayed(folder: Path, *logs: Path, settings: Path) -> Path:
    """What comes of logs, an hour after the backfill."""
    late = folder / "late.ndjson"
    late.write_text('{"kind":"heartbeat","received_at":"2026-01-01T10:00:00Z"}\n')
    out = folder / "out"
    files = [str(path) for path in (*logs, late)]
    arguments = ["--settings", str(settings), "--out", str(out), "--no-progress", "--json"]
    assert run(["replay", *files, *arguments]) == 0
    return out


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def profiles(out: Path) -> dict[str, dict[str, Any]]:
    """The last line of each customer, apart from where it stands."""
    found = {row["customer_id"]: row for row in rows_of(out / "profiles.ndjson")}
    return {who: row | {"position": 0} for who, row in found.items()}


def computed(visits: Path) -> dict[str, tuple[str, int, int, int]]:
    """Segment, R, F and M by customer, of the table itself: none of our code reads it."""
    frame = pl.read_csv(visits, separator=";", infer_schema=False)
    frame = frame.filter(pl.col("Номер").cast(pl.Int64) < VISITS, pl.col("Статус") == "пришел")
    digits = pl.col("Телефон").str.replace_all(r"\D", "").str.tail(10)
    sums = pl.col("Сумма").str.replace_all(" ", "").str.replace(",50", "50").cast(pl.Int64)
    day = pl.col("Дата").str.slice(0, 10).str.to_date("%d.%m.%Y")
    ago = (pl.lit(TODAY) - day).dt.total_days()
    facts = frame.select(phone="7" + digits, sum=sums, day=day, ago=ago, inside=ago < 365)
    whose = facts.group_by("phone").agg(
        recency=pl.col("ago").min(),
        frequency=pl.col("day").filter("inside").n_unique(),
        monetary=pl.col("sum").filter("inside").sum(),
    )

    def digit(column: str, three: int, two: int, is_low: bool = False) -> pl.Expr:
        value = pl.col(column)
        best, fair = (value <= three, value <= two) if is_low else (value >= three, value >= two)
        return pl.when(best).then(3).when(fair).then(2).otherwise(1).cast(pl.String)

    code = (
        digit("recency", 35, 75, True)
        + digit("frequency", 8, 3)
        + digit("monetary", 9_000_000, 3_000_000)
    )
    gone = pl.col("recency") >= 365
    whose = whose.with_columns(code=pl.when(gone).then(pl.lit("111")).otherwise(code))
    return {
        customer_id(b"demo", "salon", int(phone)): (code, recency, frequency, monetary)
        for phone, code, recency, frequency, monetary in whose.select(
            "phone", "code", "recency", "frequency", "monetary"
        ).iter_rows()
    }


@pytest.fixture(scope="module")
def once(tables: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The outputs of one backfill."""
    folder = tmp_path_factory.mktemp("once")
    log = folder / "log.ndjson"
    assert backfill(tables / "past.toml", "--out", str(log)) == 0
    return replayed(folder, log, settings=tables / "tenants.toml")


def test_customers_have_the_segments_that_polars_computes_and_nothing_fires(
    tables: Path, once: Path
) -> None:
    expected = computed(tables / "visits.csv")
    assert len(expected) > 200
    assert len({code for code, *_ in expected.values()}) > 12
    found = profiles(once)
    assert len(found) == CUSTOMERS
    for who, profile in found.items():
        told = (
            profile["segment"], profile["recency_days"], profile["frequency"],
            profile["monetary_minor"],
        )  # fmt: skip
        if who in expected:
            assert told == expected[who]
        else:
            assert told[0] == "000"
    assert {row["cause"] for row in rows_of(once / "segments.ndjson")} == {"history"}
    for fired in ("commands", "decisions", "dead_letters"):
        assert (once / f"{fired}.ndjson").read_bytes() == b""


def test_what_is_published_twice_changes_nothing(
    tables: Path, once: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log.ndjson"
    for _ in range(2):
        assert backfill(tables / "past.toml", "--out", str(log), "--again") == 0
    lines = log.read_bytes().splitlines()
    assert lines[: len(lines) // 2] == lines[len(lines) // 2 :]
    twice = replayed(tmp_path, log, settings=tables / "tenants.toml")
    assert profiles(twice) == profiles(once)
    for stream in ("segments", "decisions", "commands", "dead_letters"):
        name = f"{stream}.ndjson"
        assert (twice / name).read_bytes() == (once / name).read_bytes()
    capsys.readouterr()
    assert backfill(tables / "past.toml", "--out", str(log)) == 0
    assert "Nothing to do: all was published before" in capsys.readouterr().out
    assert log.read_bytes().splitlines() == lines


def cut(plan: Plan, log: Path, records: int) -> None:
    """Publish so many records and stop."""
    target, kept = LogEnd(log), log.with_suffix(".progress.json")
    place = Bookmark.read(kept, False).place(plan.digest(), AT.replace("Z", ".000Z"), target.name())
    left: Iterator[bool] = iter([False] * records + [True])
    done = publish(plan, target, place, kept, Pace(None), lambda: next(left), silent)
    assert (done.records, done.finished) == (records, False)


def test_a_run_that_was_cut_goes_on_to_the_same_bytes(own: Path) -> None:
    plan = plan_of(own / "past.toml")
    whole = own / "whole.ndjson"
    assert backfill(own / "past.toml", "--out", str(whole)) == 0
    records = whole.read_bytes().splitlines(keepends=True)
    assert len(records) == len(plan.slices) == 1 + VISITS // MOST_OBJECTS
    for number, torn in enumerate((b"", records[5][:70])):  # stopped, or killed within a record
        log = own / f"cut{number}.ndjson"
        cut(plan, log, 3)
        cut(plan, log, 2)
        log.write_bytes(log.read_bytes() + torn)
        assert run(["backfill", str(own / "past.toml"), "--out", str(log)]) == 0
        assert log.read_bytes() == whole.read_bytes()


def test_a_log_that_lost_its_end_gets_every_record_anew(own: Path) -> None:
    log = own / "log.ndjson"
    cut(plan_of(own / "past.toml"), log, 4)
    there = log.read_bytes().splitlines(keepends=True)[:2]
    log.write_bytes(b"".join(there))
    assert backfill(own / "past.toml", "--out", str(log)) == 0
    lines = log.read_bytes().splitlines(keepends=True)
    assert lines[:2] == there == lines[2:4]
    assert len(lines) == 2 + 1 + VISITS // MOST_OBJECTS


def test_what_others_have_written_since_is_never_cut_off(
    own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = own / "log.ndjson"
    cut(plan_of(own / "past.toml"), log, 4)
    beat = b'{"kind":"heartbeat","received_at":"2026-01-01T09:00:01Z"}\n'
    log.write_bytes(log.read_bytes() + beat)
    before = log.read_bytes()
    assert backfill(own / "past.toml", "--out", str(log)) == 2
    assert "was written to by somebody else since; --again begins anew" in capsys.readouterr().err
    assert log.read_bytes() == before
    assert backfill(own / "past.toml", "--out", str(log), "--again") == 0
    assert log.read_bytes().startswith(before)


def test_a_table_that_has_changed_since_is_published_from_its_beginning(own: Path) -> None:
    log = own / "log.ndjson"
    cut(plan_of(own / "past.toml"), log, 4)
    before = log.read_bytes()
    text = (own / "visits.csv").read_text(encoding="utf-8")
    (own / "visits.csv").unlink()
    (own / "visits.csv").write_text(text.replace("пришел", "нет", 1), encoding="utf-8")
    assert backfill(own / "past.toml", "--out", str(log)) == 0
    records = len(plan_of(own / "past.toml").slices)
    assert len(log.read_bytes().splitlines()) == 4 + records
    assert log.read_bytes().startswith(before)


def test_a_rate_bounds_how_many_rows_a_second_are_published(own: Path) -> None:
    waited = Waited(1_000)
    plan = plan_of(own / "past.toml")
    place = Bookmark(None).place(plan.digest(), AT, "log")
    log = own / "log.ndjson"
    publish(plan, LogEnd(log), place, own / "kept.json", waited, lambda: False, silent)
    assert waited.asked == [each.objects for each in plan.slices]
    assert sum(waited.asked) == plan.objects


class Waited(Pace):
    """Asked before every record, and never waiting."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.asked: list[int] = []

    def wait(self, more: int) -> None:
        self.asked.append(more)
