"""``flowsell replay --clickhouse``: what the files say is what the views show."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from flows.cli import run
from flows.load import lines_until
from flows.progress import silent
from flows.replay import Replay, replay
from flows.stop import Stop
from sinks.clickhouse import STREAMS
from sinks.clickhouse_target import Embedded
from sinks.files import FILES
from tests.clickhouse import ROWS, everything, last_said, warehouse
from tests.logs import DAY, HOUR, Record, card, heartbeat, lines_of, ms, settings, visit

START = ms("2026-03-02T06:00:00Z")
PHONES = ("+77015550001", "+77015550002", "+77015550003")
NAMES = ("Мария Тайная", "Secret Peter", "Әлия")
BUSINESS = "Salon of Secrets"
SETTINGS = {
    "name": BUSINESS,
    "preset": "beauty_nails_brows",
    "timezone": "Asia/Almaty",
    "country": "KZ",
    "currency": "KZT",
    "scoring": {"monetary": [3_000_000, 1_000_000]},
    "consent_default": "deny",
    "triggers": [
        {
            "id": category, "kind": "after_visit", "after": "3h", "ttl": "72h", "channels": ["sms"],
            "template": category, "category": category,
        }
        for category in ("utility", "marketing")
    ],
}  # fmt: skip


def attended(n: int, day: int) -> Record:
    at = START + day * DAY
    return visit(
        "t1", at + HOUR, f"v{n}", version=1, status="attended", phone=PHONES[n % 3],
        starts_at=at, amount_minor=500_000 * (1 + n % 3), currency="KZT",
    )  # fmt: skip


def salon(days: int = 40) -> list[Record]:
    """Three customers who come every few days, and an hour of silence at the end."""
    cards = [
        card("t1", START + HOUR, f"c{n}", version=1, phone=phone, name=NAMES[n])
        for n, phone in enumerate(PHONES)
    ]
    visits = [attended(n, n * 2) for n in range(days // 2)]
    end = heartbeat(START + days * DAY + HOUR)
    return [settings("t1", START, **SETTINGS), *cards, *visits, end]


def write(path: Path, records: Sequence[Record]) -> Path:
    path.write_bytes(b"\n".join(lines_of(list(records))) + b"\n")
    return path


def load(paths: Sequence[Path], folder: Path, clickhouse: bool = True) -> None:
    target = Embedded(folder / "clickhouse") if clickhouse else None
    replay(Replay(paths, folder / "out", 2, b"demo", clickhouse=target), Stop(), silent)


def shown(folder: Path) -> dict[str, list[dict[str, Any]]]:
    with warehouse(folder / "clickhouse") as made:
        return everything(made.engine)


def owed(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The last row of each key in the files."""
    lines = [
        line
        for stream in STREAMS
        for line in (folder / "out" / FILES[stream]).read_bytes().splitlines()
    ]
    return {table: last_said(table, lines) for table in ROWS}


def test_the_views_show_what_the_files_say(tmp_path: Path) -> None:
    load([write(tmp_path / "log.ndjson", salon())], tmp_path)
    found = shown(tmp_path)
    assert found == owed(tmp_path)
    assert len(found["segment_changes"]) > 3
    said = {(row["trigger"], row["outcome"], row["reason"]) for row in found["decisions"]}
    assert said == {("utility", "sent", None), ("marketing", "refused", "consent")}


def test_a_replay_that_goes_on_with_more_files_goes_on_in_clickhouse(tmp_path: Path) -> None:
    records = salon()
    first = write(tmp_path / "1.ndjson", records[:12])
    load([first], tmp_path)
    load([first, write(tmp_path / "2.ndjson", records[12:])], tmp_path)
    assert shown(tmp_path) == owed(tmp_path)


@pytest.mark.parametrize("with_first", [False, True])
def test_what_was_replayed_without_clickhouse_is_loaded_from_the_files(
    tmp_path: Path, with_first: bool
) -> None:
    records = salon()
    parts = [
        write(tmp_path / f"{n}.ndjson", part)
        for n, part in enumerate((records[:8], records[8:16], records[16:]))
    ]
    load(parts[:1], tmp_path, clickhouse=with_first)
    load(parts[:2], tmp_path, clickhouse=False)
    load(parts, tmp_path)
    assert shown(tmp_path) == owed(tmp_path)


def test_a_finished_replay_is_loaded_from_its_files(tmp_path: Path) -> None:
    log = write(tmp_path / "log.ndjson", salon())
    load([log], tmp_path, clickhouse=False)
    load([log], tmp_path)
    assert shown(tmp_path) == owed(tmp_path)


def test_a_database_of_another_replay_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = write(tmp_path / "log.ndjson", salon())
    load([log], tmp_path)
    before = shown(tmp_path)
    arguments = ["--out", str(tmp_path / "other"), "--clickhouse", str(tmp_path / "clickhouse")]
    assert run(["replay", str(log), *arguments, "--no-progress"]) == 3
    assert "holds the rows of another log" in capsys.readouterr().err
    assert shown(tmp_path) == before


def test_no_phone_and_no_name_reaches_clickhouse(tmp_path: Path) -> None:
    load([write(tmp_path / "log.ndjson", salon())], tmp_path)
    said = (tmp_path / "out" / "profiles.ndjson").read_text()
    with warehouse(tmp_path / "clickhouse") as made:
        tables = made.engine.rows("SELECT name FROM system.tables WHERE database = 'flowsell'")
        held = "".join(
            str(made.engine.rows(f"SELECT * FROM flowsell.{name}")) for (name,) in tables
        )
    for secret in (*PHONES, *NAMES):
        assert secret in said
        assert secret.removeprefix("+") not in held
    assert BUSINESS not in held


def test_the_command_takes_a_folder_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log = str(write(tmp_path / "log.ndjson", salon()))
    out = ["--out", str(tmp_path / "out"), "--no-progress", "--json"]
    monkeypatch.delenv("FLOWSELL_CLICKHOUSE", raising=False)
    assert run(["replay", log, *out, "--clickhouse"]) == 2
    assert "FLOWSELL_CLICKHOUSE: not set" in capsys.readouterr().err
    assert run(["replay", log, *out, "--clickhouse", "http://u:hush@olap"]) == 2
    assert "hush" not in capsys.readouterr().err
    monkeypatch.setenv("FLOWSELL_CLICKHOUSE", f"chdb:{tmp_path / 'clickhouse'}")
    assert run(["replay", log, *out, "--clickhouse"]) == 0
    assert json.loads(capsys.readouterr().out)["finished"]
    assert shown(tmp_path) == owed(tmp_path)


def test_a_server_that_is_down_stops_the_replay_before_it_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log = str(write(tmp_path / "log.ndjson", salon()))
    monkeypatch.setenv("FLOWSELL_CLICKHOUSE", "http://u:hush@127.0.0.1:1")
    out = tmp_path / "out"
    assert run(["replay", log, "--out", str(out), "--clickhouse", "--no-progress"]) == 3
    said = capsys.readouterr().err
    assert said.startswith("flowsell: ClickHouse at 127.0.0.1:1: cannot be reached")
    assert said.count("\n") == 1
    assert "hush" not in said
    assert not (out / "position.json").exists()


def test_lines_are_read_whole_whatever_the_block(tmp_path: Path) -> None:
    lines = [b"%d" % n * (n % 7 + 1) for n in range(200)]
    path = tmp_path / "lines"
    path.write_bytes(b"\n".join(lines) + b"\n" + b"not committed")
    length = sum(len(line) + 1 for line in lines)
    for block in (1, 7, 100, 1 << 20):
        assert [line for some in lines_until(path, length, block) for line in some] == lines
    assert list(lines_until(path, 0)) == []
