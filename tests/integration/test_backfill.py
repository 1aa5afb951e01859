"""``flowsell backfill`` from files, and what a replay makes of it."""

from __future__ import annotations

import csv
import gzip
import json
import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from flows.backfill import judge, read_mapping
from flows.backfill_report import Report
from flows.cli import run
from flows.environment import Environment
from flows.progress import silent
from flows.publishing import Bookmark, LogEnd, publish
from flows.resend import Pace
from operators.pack import MOST_OBJECTS, Plan
from schemas.keys import customer_id

AT = "2026-01-01T09:00:00Z"
TODAY = date(2026, 1, 1)
VISITS, CUSTOMERS = 3_000, 350
SETTINGS = """
[tenants.salon]
preset = "beauty_nails_brows"
timezone = "Asia/Almaty"
country = "KZ"
currency = "KZT"
scoring = { monetary = [9000000, 3000000] }
consent_default = "allow"
triggers = [
  { id = "entered", kind = "segment_entered", segments = ["333", "322", "111", "211"], channels = ["sms"], template = "a" },
  { id = "lapsed", kind = "winback", after_days = 30, channels = ["sms"], template = "b" },
  { id = "thanks", kind = "after_visit", after = "1h", channels = ["sms"], template = "c" },
  { id = "missed", kind = "no_show", after = "1h", channels = ["sms"], template = "d" },
  { id = "soon", kind = "reminder", before = "24h", channels = ["sms"], template = "e" },
]
"""  # noqa: E501 - a table in a line, as TOML wants it
MAPPING = """
tenant = "salon"
country = "KZ"
currency = "KZT"

[visits]
file = "visits.csv"
separator = ";"
times = ["%d.%m.%Y %H:%M"]
decimal = ","
status = { "пришел" = "attended", "нет" = "no_show", "ждем" = "booked" }

[visits.columns]
id = "Номер"
phone = "Телефон"
starts_at = "Дата"
amount = "Сумма"
status = "Статус"

[customers]
file = "customers.csv"
columns = { phone = "Phone", name = "Name", birthday = "Born" }
"""


def writings(number: int) -> list[str]:
    digits = f"701{number:07}"
    return [f"+7{digits}", f"8{digits}", f"8 ({digits[:3]}) {digits[3:6]}-{digits[6:]}"]


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A salon's tables, its mapping and its settings; two rows are bad."""
    folder = tmp_path_factory.mktemp("tables")
    chance = random.Random(6)
    with (folder / "visits.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, delimiter=";")
        rows.writerow(["Номер", "Дата", "Телефон", "Сумма", "Статус"])
        for number in range(VISITS):
            who = int(chance.random() ** 1.5 * (CUSTOMERS - 50))  # fifty never came
            day = TODAY + timedelta(days=-int(chance.expovariate(1 / 120)))
            status = chance.choices(["пришел", "нет", "ждем"], [8, 1, 1])[0]
            paid = f"{chance.randrange(2_000, 30_000):,}".replace(",", " ") + ",50"
            phone = chance.choice(writings(who))
            rows.writerow([number, f"{day:%d.%m.%Y} 08:{number % 60:02}", phone, paid, status])
        rows.writerow([VISITS, "01.01.2026 08:00", "8701", "1,00", "пришел"])
        rows.writerow([VISITS + 1, "31.02.2025 08:00", "+77010000001", "1,00", "пришел"])
    with (folder / "customers.csv").open("w", encoding="utf-8", newline="") as file:
        cards = csv.writer(file)
        cards.writerow(["Phone", "Name", "Born"])
        for who in range(CUSTOMERS):
            cards.writerow([writings(who)[0], f"Мария {who}", "1990-01-02"])
    (folder / "past.toml").write_text(MAPPING, encoding="utf-8")
    (folder / "tenants.toml").write_text(SETTINGS, encoding="utf-8")
    return folder


@pytest.fixture
def own(tables: Path, tmp_path: Path) -> Path:
    """A mapping of one's own over the same tables."""
    for name in ("visits.csv", "customers.csv", "past.toml"):
        (tmp_path / name).symlink_to(tables / name)
    return tmp_path


def backfill(mapping: Path, *options: str) -> int:
    return run(["backfill", str(mapping), "--at", AT, *options])


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


def plan_of(mapping: Path) -> Plan:
    now = datetime(2026, 1, 1, 9, tzinfo=UTC)
    return judge(read_mapping(mapping), mapping.parent, Environment(), now, Report())


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


def test_neither_report_nor_error_tells_a_phone_or_a_name_and_the_rejects_tell_all(
    own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = own / "bad.csv"
    options = ["--dry-run", "--rejects", str(bad)]
    assert backfill(own / "past.toml", *options) == 0
    captured = capsys.readouterr()
    assert "phone      1  Телефон: row 3001" in captured.out
    assert "time       1  Дата: row 3002" in captured.out
    assert "8701" not in captured.out + captured.err
    assert "Мария" not in captured.out + captured.err
    with bad.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    told = [(row["table"], row["row"], row["reason"], row["column"]) for row in rows]
    assert told == [
        ("visits", "3001", "phone", "Телефон"),
        ("visits", "3002", "time", "Дата"),
    ]
    assert [row["Телефон"] for row in rows] == ["8701", "+77010000001"]


def test_too_many_bad_rows_publish_nothing_and_are_exit_code_4(
    own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = own / "log.ndjson"
    assert backfill(own / "past.toml", "--out", str(log), "--bad", "0.01") == 4
    captured = capsys.readouterr()
    assert "Nothing is published: " in captured.out
    assert captured.err == (
        "flowsell: 0.067 % of a table's rows are bad, over 0.01 %; nothing is published. "
        "--rejects FILE lists them.\n"
    )
    assert not log.exists()


def test_a_dry_run_writes_nothing(own: Path) -> None:
    before = sorted(path.name for path in own.iterdir())
    assert backfill(own / "past.toml", "--dry-run") == 0
    assert sorted(path.name for path in own.iterdir()) == before


def test_parquet_and_packed_csv_give_the_records_of_the_csv(own: Path) -> None:
    plain = plan_of(own / "past.toml")
    frame = pl.read_csv(own / "visits.csv", separator=";", infer_schema=False)
    frame = frame.with_columns(pl.col("Номер").cast(pl.Int64))
    frame.write_parquet(own / "visits.parquet")
    (own / "visits.csv.gz").write_bytes(gzip.compress((own / "visits.csv").read_bytes()))
    for name in ("visits.parquet", "visits.csv.gz"):
        other = own / f"{name}.toml"
        other.write_text(MAPPING.replace("visits.csv", name), encoding="utf-8")
        assert plan_of(other).digest() == plain.digest()


def test_a_parquet_table_with_times_numbers_and_lists_is_read(own: Path) -> None:
    start = datetime(2025, 11, 20, 12, tzinfo=UTC)
    frame = pl.DataFrame(
        {
            "who": [77011234567.0, None],
            "when": [start, start],
            "paid": [3500.5, None],
            "what": [["a", "b"], []],
            "id": [1, 2],
        }
    )
    frame.write_parquet(own / "t.parquet")
    mapping = own / "t.toml"
    mapping.write_text(
        'tenant = "salon"\ncurrency = "KZT"\n[visits]\nfile = "t.parquet"\n'
        'columns = { id = "id", phone = "who", starts_at = "when", amount = "paid", '
        'services = "what" }\n'
    )
    first, second = [json.loads(body) for body in plan_of(mapping).bodies["visits"]]
    assert first == {
        "id": "1", "version": 0, "status": "attended", "phone": "+77011234567",
        "starts_at": "2025-11-20T12:00:00Z", "currency": "KZT", "amount_minor": 350_050,
        "services": ["a", "b"],
    }  # fmt: skip
    assert (second["phone"], second["amount_minor"], second["services"]) == (None, None, [])


DAMAGED = [
    ("visits.csv", b"", 4, "empty, without even a header"),
    ("visits.csv", b"A;B\n1;2\n3;+77011234567;5\n", 4, "row 2 has 3 cells, the header 2"),
    ("visits.csv", "Номер;Дата".encode("cp1251"), 4, "not utf-8; name its encoding in the mapping"),
    ("visits.csv", None, 2, "cannot be read: No such file or directory"),
    (
        "visits.csv", "Номер;Дата;Телефоны;Сумма;Статус\n".encode(), 2,
        'visits.columns.phone: no column "Телефон" in visits.csv; did you mean "Телефоны"?',
    ),
    ("past.toml", b"tenant = 1", 2, "expected text, got a whole number: 1"),
    ("past.toml", None, 2, "cannot be read: No such file or directory"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "code", "message"), DAMAGED)
def test_a_file_that_is_not_what_it_should_be_is_one_line_without_values(
    own: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    content: bytes | None,
    code: int,
    message: str,
) -> None:
    (own / name).unlink()
    if content is not None:
        (own / name).write_bytes(content)
    assert backfill(own / "past.toml", "--dry-run") == code
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1
    assert "77011234567" not in told


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
