"""The warehouse flow on a real Kafka: what the topics say is in ClickHouse, whatever is killed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flows.cli import run
from sinks.clickhouse import STREAMS
from sinks.clickhouse_engine import ClickHouse
from sinks.clickhouse_target import Server
from sinks.migrations import migrate
from tests.clickhouse import ROWS, everything, last_said
from tests.clickhouse_server import Bridge, served
from tests.following import Following
from tests.kafka_flow import Engagement, wait_until
from tests.recovery.log import life

pytestmark = pytest.mark.xdist_group("kafka")


@dataclass
class Reports:
    """A ClickHouse server, and the flow that fills it."""

    bridge: Bridge
    engine: ClickHouse
    following: Following

    def go_away(self) -> Any:
        """The server answers nobody; what brings it back."""
        kept, self.bridge.connection = self.bridge.connection, None
        return kept


@pytest.fixture
def reports(engagement: Engagement, tmp_path: Path) -> Iterator[Reports]:
    """A server with its tables, and no process yet."""
    with served(tmp_path / "clickhouse") as (bridge, server):
        engine = ClickHouse(server)
        engine.open()
        migrate(engine)
        yield Reports(bridge, engine, Following(engagement, "warehouse", STREAMS, **at(server)))
        engagement.close()
        engine.close()


def at(server: Server) -> dict[str, str]:
    password = server.password.replace("@", "%40").replace(" ", "%20")
    url = f"http://{server.user}:{password}@{server.host}:{server.port}"
    return {"FLOWSELL_CLICKHOUSE": url}


def assert_told(reports: Reports) -> None:
    """The views show what one pass of the fold over the log owes."""
    owed = reports.following.engagement.owed()
    lines = [line for stream in STREAMS for said in owed.streams[stream].values() for line in said]
    there = everything(reports.engine)
    for table in ROWS:
        assert there[table] == last_said(table, lines), table
    assert there["segment_changes"]
    assert there["decisions"]


def test_what_the_topics_say_is_in_clickhouse_through_kills_and_an_absence(
    engagement: Engagement, reports: Reports
) -> None:
    log = list(life(3_000, seed=11))
    flow = engagement.start()
    process = reports.following.start()
    process.wait_started()
    engagement.append(log[:1_000])
    wait_until(lambda: everything(reports.engine)["segment_changes"], 60)
    process.kill()
    engagement.append(log[1_000:2_000])
    process = reports.following.start()
    wait_until(lambda: "partitions assigned" in process.said, 30)
    there = reports.go_away()
    engagement.append(log[2_000:])
    engagement.wait_committed()
    wait_until(lambda: "engine is away" in process.said, 60)
    reports.bridge.connection = there
    wait_until(reports.following.is_settled, 60)
    assert_told(reports)
    assert "engine is back" in process.said
    assert (process.end(), flow.end()) == (0, 0), process.said


def test_an_embedded_clickhouse_takes_one_process_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("FLOWSELL_KAFKA", "127.0.0.1:1")
    monkeypatch.setenv("FLOWSELL_INSTANCE", "warehouse-0")
    assert run(["run", "warehouse"]) == 2
    assert "FLOWSELL_CLICKHOUSE: not set" in capsys.readouterr().err
    monkeypatch.setenv("FLOWSELL_CLICKHOUSE", f"chdb:{tmp_path}")
    assert run(["run", "warehouse", "--processes", "2"]) == 2
    assert "an embedded ClickHouse takes one process at a time" in capsys.readouterr().err
