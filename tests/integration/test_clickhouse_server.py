"""The same sink over HTTP: as a server gets it, with its user, its settings and its refusals."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from flows.cli import run
from schemas.engines import EngineError
from sinks.clickhouse import Warehouse
from sinks.clickhouse_engine import PINNED, ClickHouse
from sinks.clickhouse_target import Server
from sinks.migrations import migrate, shipped
from tests.clickhouse import ROWS, everything, folded, now, said
from tests.clickhouse_server import PASSWORD, USER, Bridge, served

Served = tuple[Bridge, Server]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path / "server") as made:
        yield made


@pytest.fixture
def migrated(server: Served) -> Iterator[tuple[Bridge, Warehouse]]:
    bridge, target = server
    engine = ClickHouse(target)
    engine.open()
    migrate(engine)
    engine.close()
    made = Warehouse(target)
    made.open()
    yield bridge, made
    made.close()


def test_rows_of_every_table_arrive_once(migrated: tuple[Bridge, Warehouse]) -> None:
    _, made = migrated
    outputs = folded(*[said(table, 7) for table in ROWS]).outputs
    made.write([outputs])
    made.write([outputs])
    assert everything(made.engine) == {table: [row] for table, row in ROWS.items()}


def test_every_request_carries_every_pinned_setting(migrated: tuple[Bridge, Warehouse]) -> None:
    bridge, made = migrated
    bridge.told.clear()
    made.write([folded(said("visits_daily", 7)).outputs])
    now(made.engine, "visits_daily")
    pinned = {name: str(value) for name, value in PINNED.items()}
    assert bridge.told == [pinned, pinned]


def test_a_server_is_not_migrated_behind_its_owner_s_back(server: Served) -> None:
    with pytest.raises(EngineError, match="lacks 001_log; `flowsell migrate` brings it up to date"):
        Warehouse(server[1]).open()


def test_the_command_migrates_a_server(
    server: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    target = server[1]
    monkeypatch.setenv(
        "FLOWSELL_CLICKHOUSE", f"http://{USER}:{quote(PASSWORD)}@{target.host}:{target.port}"
    )
    assert run(["migrate"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(shipped())
    assert run(["migrate"]) == 0
    assert capsys.readouterr().out.startswith(f"ClickHouse at 127.0.0.1:{target.port}: up to date")


def test_a_wrong_password_is_one_line_that_does_not_tell_it(server: Served) -> None:
    wrong = Server(server[1].host, server[1].port, USER, "hush")
    with pytest.raises(EngineError, match="Authentication failed") as caught:
        ClickHouse(wrong).open()
    assert "hush" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_a_server_refuses_is_raised_and_kept(migrated: tuple[Bridge, Warehouse]) -> None:
    bridge, made = migrated
    bridge.refuses = "visits_daily"
    with pytest.raises(EngineError, match="not enough space"):
        made.write([folded(said("visits_daily", 7)).outputs])
    bridge.refuses = ""
    made.flush()
    assert now(made.engine, "visits_daily") == [ROWS["visits_daily"]]


def test_a_server_that_goes_away_is_an_error(tmp_path: Path) -> None:
    with served(tmp_path / "server") as (_, target):
        engine = ClickHouse(target)
        engine.open()
        migrate(engine)
        made = Warehouse(target)
        made.open()
    with pytest.raises(EngineError, match="cannot be reached"):
        made.write([folded(said("visits_daily", 7)).outputs])
    made.close()
    engine.close()
