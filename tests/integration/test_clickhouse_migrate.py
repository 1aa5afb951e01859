"""``flowsell migrate``: tables once, and a clear refusal of another release's tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.cli import run
from schemas.engines import EngineError
from sinks.clickhouse import Warehouse
from sinks.clickhouse_engine import ClickHouse
from sinks.clickhouse_target import Embedded
from sinks.migrations import applied, check, migrate, shipped
from tests.clickhouse import embedded

__all__ = ["embedded"]

LATER = "INSERT INTO flowsell.migrations VALUES ('900_later', 'x', now64(3))"
CHANGED = (
    "ALTER TABLE flowsell.migrations UPDATE checksum = 'x' WHERE name = '001_log' "
    "SETTINGS mutations_sync = 1"
)


def test_it_says_what_it_did_and_does_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "clickhouse"
    monkeypatch.setenv("FLOWSELL_CLICKHOUSE", f"chdb:{folder}")
    assert run(["migrate"]) == 0
    names = [migration.name for migration in shipped()]
    assert capsys.readouterr().out.splitlines() == [f"{name}: applied" for name in names]
    assert run(["migrate"]) == 0
    assert (
        capsys.readouterr().out == f"embedded ClickHouse in {folder}: up to date at {names[-1]}\n"
    )


def test_it_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    engine = ClickHouse(Embedded(tmp_path))
    engine.open()
    assert migrate(engine, shipped()[:2]) == [migration.name for migration in shipped()[:2]]
    engine.command("CREATE TABLE flowsell.customer_segments (x UInt8) ENGINE = Memory")
    engine.command("DROP TABLE flowsell.customer_segments")
    assert migrate(engine) == [migration.name for migration in shipped()[2:]]
    engine.close()


def test_a_database_without_its_tables_is_refused_with_the_remedy(tmp_path: Path) -> None:
    engine = ClickHouse(Embedded(tmp_path))
    engine.open()
    with pytest.raises(EngineError, match="lacks 001_log; `flowsell migrate` brings it up"):
        check(engine)
    engine.close()


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        (LATER, "has 900_later, which this release does not know"),
        (CHANGED, "has another 001_log than this release"),
    ],
)
def test_the_tables_of_another_release_are_refused(
    embedded: Warehouse, statement: str, why: str
) -> None:
    embedded.engine.command(statement)
    for attempt in (check, migrate):
        with pytest.raises(EngineError, match=why):
            attempt(embedded.engine)
    assert "001_log" in applied(embedded.engine)


@pytest.mark.parametrize(
    ("value", "code", "said"),
    [
        ("", 2, "FLOWSELL_CLICKHOUSE: not set"),
        ("olap:hush", 2, "FLOWSELL_CLICKHOUSE: neither chdb:<folder> nor http"),
        ("http://u:hush@127.0.0.1:1", 3, "ClickHouse at 127.0.0.1:1: cannot be reached"),
    ],
)
def test_a_clickhouse_that_is_not_there_is_one_line_that_tells_no_secret(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    value: str,
    code: int,
    said: str,
) -> None:
    monkeypatch.setenv("FLOWSELL_CLICKHOUSE", value)
    assert run(["migrate"]) == code
    errors = capsys.readouterr().err
    assert errors.startswith(f"flowsell: {said}")
    assert errors.count("\n") == 1
    assert "hush" not in errors
