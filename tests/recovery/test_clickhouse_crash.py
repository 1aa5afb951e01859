"""A replay that is killed has ClickHouse ahead of its position, never behind it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import Any

from sinks.clickhouse import STREAMS
from sinks.files import FILES
from sources.generator import generate
from tests.clickhouse import ROWS, everything, last_said, warehouse
from tests.recovery.replay_runner import CLICKHOUSE_POINTS

RECORDS = 3_000

Rows = dict[str, list[dict[str, Any]]]


def start(point: str, times: int, log: Path, folder: Path) -> int:
    """The exit code of a replay that kills itself there."""
    arguments = [point, str(times), str(log), str(folder / "out"), str(folder / "clickhouse")]
    process = subprocess.run(
        [sys.executable, "-m", "tests.recovery.replay_runner", *arguments],
        stderr=subprocess.PIPE,
        timeout=120,
        check=False,
    )
    assert process.stderr == b"", process.stderr.decode()
    return process.returncode


def committed(folder: Path) -> Rows:
    """What the files at C say of each table."""
    path = folder / "out" / "position.json"
    lengths = json.loads(path.read_bytes())["lengths"] if path.exists() else {}
    lines: list[bytes] = []
    for stream in STREAMS:
        said = (folder / "out" / FILES[stream]).read_bytes() if lengths else b""
        lines += said[: lengths.get(stream, 0)].splitlines()
    return {table: last_said(table, lines) for table in ROWS}


def there(folder: Path) -> Rows:
    with warehouse(folder / "clickhouse") as made:
        return everything(made.engine)


def test_a_kill_inside_each_step_in_turn_leaves_clickhouse_with_what_the_files_say(
    tmp_path: Path,
) -> None:
    log = tmp_path / "log.ndjson"
    lines = islice(generate(5, 250, 80, seed=11, faults=True), RECORDS)
    log.write_bytes(b"\n".join(lines) + b"\n")
    for at, point in enumerate(CLICKHOUSE_POINTS):
        times = 1 if "end" in point or not at else 3
        assert start(point, times, log, tmp_path) == -signal.SIGKILL
        owed, found = committed(tmp_path), there(tmp_path)
        changes = found["segment_changes"]
        assert all(row in changes for row in owed["segment_changes"]), point
        for table, rows in owed.items():
            assert len(found[table]) >= len(rows), (point, table)
    assert start("none", 0, log, tmp_path) == 0
    found = there(tmp_path)
    assert found == committed(tmp_path)
    assert len(found["segment_changes"]) > 50
