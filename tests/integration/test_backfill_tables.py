"""``flowsell backfill`` of tables in files of every kind, and what it says of bad ones."""

from __future__ import annotations

import csv
import gzip
import json
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from tests.salon import MAPPING, backfill, own, plan_of, tables

__all__ = ["own", "tables"]


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


def test_columns_may_be_called_whatever_they_are(
    own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("^id$", "Day [utc]", "Phone [/kz]")
    (own / "t.csv").write_text(f"{','.join(names)}\n1,2025-11-20T12:00:00Z,+77011234567\n2,soon,\n")
    mapping = own / "t.toml"
    mapping.write_text(
        'tenant = "salon"\n[visits]\nfile = "t.csv"\n'
        f'columns = {{ id = "{names[0]}", starts_at = "{names[1]}", phone = "{names[2]}" }}\n'
    )
    assert backfill(mapping, "--dry-run", "--bad", "100") == 0
    told = capsys.readouterr().out
    assert "Nothing is published: 1 rows" in told
    assert f"{names[1]}: row 2" in told


DAMAGED = [
    ("visits.csv", b"", 4, "empty, without even a header"),
    ("visits.csv", b"A;B\n1;2\n3;+77011234567;5\n", 4, "row 2 has 3 cells, the header 2"),
    (
        "visits.csv", b'A;B\n1;2\n3;"+77011234567\n' + b"4;5\n" * 50_000, 4,
        "row 2 has a cell without an end, as a quote that is not closed makes it",
    ),
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
