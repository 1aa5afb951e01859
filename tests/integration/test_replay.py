"""``flowsell replay``: the right outputs, exactly once, and one clear line for what is wrong."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from flows.cli import run
from flows.progress import silent
from flows.replay import Replay, replay
from flows.stop import Stop
from operators.fold import fold
from schemas.batch import Batch, Outputs
from schemas.keys import customer_id
from sinks.files import FILES, OutputFolder
from sources.generator import generate
from state.lane import LaneState
from tests.logs import DAY, HOUR, Record, heartbeat, lines_of, ms, settings, visit

START = ms("2026-03-02T06:00:00Z")
PHONE = "+77015550001"
WHO = customer_id(b"demo", "t1", 77015550001)
SETTINGS = {
    "preset": "beauty_nails_brows",
    "timezone": "Asia/Almaty",
    "country": "KZ",
    "currency": "KZT",
    "scoring": {"monetary": [3_000_000, 1_000_000]},
}


def attended(n: int, day: int, amount: int = 500_000) -> Record:
    at = START + day * DAY
    return visit(
        "t1", at + HOUR, f"v{n}", version=1, status="attended", phone=PHONE,
        starts_at=at, amount_minor=amount, currency="KZT",
    )  # fmt: skip


def salon() -> list[Record]:
    """Four visits, a correction of one, and half a day of silence."""
    return [
        settings("t1", START, **SETTINGS),
        *[attended(n, n * 10) for n in range(4)],
        visit(
            "t1", START + 31 * DAY, "v1", version=2, status="no_show", phone=PHONE,
            starts_at=START + 10 * DAY, amount_minor=500_000, currency="KZT",
        ),
        heartbeat(START + 31 * DAY + HOUR),
    ]  # fmt: skip


def write(path: Path, lines: Iterable[bytes], end: bytes = b"\n") -> Path:
    content = b"\n".join(lines) + end
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def rows(folder: Path, stream: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / f"{stream}.ndjson").read_bytes().splitlines()]


def outputs(folder: Path) -> dict[str, bytes]:
    return {stream: (folder / name).read_bytes() for stream, name in FILES.items()}


def said(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The one JSON object on stdout."""
    (line,) = capsys.readouterr().out.splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


def mistake(arguments: Sequence[object], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """The exit code and the one line on stderr."""
    code = run(["replay", *map(str, arguments), "--no-progress"])
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    return code, line.removeprefix("flowsell: ")


@pytest.fixture(scope="module")
def life() -> list[bytes]:
    """Six thousand records of synthetic life with faults."""
    return list(islice(generate(4, 300, 80, seed=5, faults=True), 6_000))


def done(lines: Sequence[bytes], folder: Path, block_bytes: int = 1 << 24, **more: Any) -> Path:
    """A finished replay of lines in one piece; its folder."""
    folder.mkdir()
    log = write(folder / "log.ndjson", lines)
    what = Replay([log], folder / "out", 16, b"demo", block_bytes=block_bytes, **more)
    summary = replay(what, Stop(), silent)
    assert summary.position.finished
    return folder / "out"


def test_a_log_of_generic_visits_gives_the_right_profile(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = write(tmp_path / "log.ndjson", lines_of(salon()))
    assert run(["replay", str(log), "--out", str(tmp_path / "out"), "--json"]) == 0
    summary = said(capsys)
    assert summary["finished"]
    assert (summary["records"], summary["customers"]) == (7, 1)
    profile = rows(tmp_path / "out", "profiles")[-1]
    assert profile["customer_id"] == WHO
    assert profile["phone"] == PHONE
    assert (profile["recency_days"], profile["frequency"]) == (1, 3)
    assert (profile["monetary_minor"], profile["currency"]) == (1_500_000, "KZT")
    assert profile["segment"] == "322"
    changes = [(row["from"], row["to"], row["cause"]) for row in rows(tmp_path / "out", "segments")]
    assert changes[0] == ("000", "311", "visit")
    assert changes[-1][1] == "322"


def test_any_way_of_cutting_the_input_gives_the_same_bytes(
    life: list[bytes], tmp_path: Path
) -> None:
    whole = outputs(done(life, tmp_path / "whole"))
    assert all(len(content) > 1_000 for content in whole.values())
    for block_bytes in (30_000, 250_000):
        assert outputs(done(life, tmp_path / str(block_bytes), block_bytes)) == whole


def test_several_files_and_gzip_are_one_log(
    life: list[bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [
        write(tmp_path / "1.ndjson", life[:2_000]),
        write(tmp_path / "2.ndjson.gz", life[2_000:5_000]),
        write(tmp_path / "3.ndjson", life[5_000:], end=b""),
    ]
    assert run(["replay", *map(str, files), "--out", str(tmp_path / "out"), "--json"]) == 0
    assert said(capsys)["records"] == 6_000
    assert outputs(tmp_path / "out") == outputs(done(life, tmp_path / "whole"))


def test_a_finished_replay_run_again_does_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = write(tmp_path / "log.ndjson", lines_of(salon()))
    arguments = ["replay", str(log), "--out", str(tmp_path / "out"), "--json"]
    assert run(arguments) == 0
    before = outputs(tmp_path / "out")
    first = said(capsys)
    assert run(arguments) == 0
    again = said(capsys)
    assert again["records_now"] == 0
    assert outputs(tmp_path / "out") == before
    assert {**again, "seconds": 0, "records_per_second": 0, "records_now": 7} == {
        **first, "seconds": 0, "records_per_second": 0,
    }  # fmt: skip


def test_a_log_that_has_grown_is_taken_up_where_it_ended(life: list[bytes], tmp_path: Path) -> None:
    out = done(life[:3_500], tmp_path / "grown")
    log = write(tmp_path / "grown" / "log.ndjson", life)
    summary = replay(Replay([log], out, 16, b"demo"), Stop(), silent)
    assert summary.records_now == 2_500
    assert outputs(out) == outputs(done(life, tmp_path / "whole"))


def test_a_drained_replay_goes_on_where_it_stopped(life: list[bytes], tmp_path: Path) -> None:
    log = write(tmp_path / "log.ndjson", life)
    what = Replay([log], tmp_path / "out", 16, b"demo", block_bytes=400_000)
    runs = 0
    finished = False
    while not finished:
        stop, runs = Stop(), runs + 1

        def ask(done: int, records: int, stop: Stop = stop) -> None:  # noqa: ARG001 - a Step
            stop.draining = True

        finished = replay(what, stop, ask).position.finished
    assert runs > 5
    assert outputs(tmp_path / "out") == outputs(done(life, tmp_path / "whole"))


def test_settings_of_a_file_hold_before_the_first_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = write(tmp_path / "log.ndjson", lines_of(salon()[1:]))
    told = write(tmp_path / "tenants.json", [json.dumps({"tenants": {"t1": SETTINGS}}).encode()])
    arguments = ["replay", log, "--settings", told, "--out", tmp_path / "out", "--json"]
    assert run([*map(str, arguments)]) == 0
    said(capsys)
    whole = done(lines_of(salon()), tmp_path / "whole")
    for stream in ("profiles", "segments"):
        with_file = [{**row, "position": 0} for row in rows(tmp_path / "out", stream)]
        assert with_file == [{**row, "position": 0} for row in rows(whole, stream)]
    code, line = mistake([log, "--out", tmp_path / "out"], capsys)
    assert code == 2
    assert "holds a replay with other settings" in line


def test_a_truncated_last_line_is_a_dead_letter_and_an_empty_one_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = lines_of(salon())
    cut = write(tmp_path / "cut.ndjson", [*lines, lines[-1][:40]], end=b"")
    assert run(["replay", str(cut), "--out", str(tmp_path / "a"), "--json"]) == 0
    assert said(capsys)["dead_letters"] == {"json": 1}
    (dead,) = rows(tmp_path / "a", "dead_letters")
    assert dead["key"] is None
    assert dead["errors"]["offset"] == 7
    assert (dead["errors"]["reason"], dead["errors"]["stage"]) == ("json", "decode")
    empty = write(tmp_path / "empty.ndjson", lines)
    assert run(["replay", str(empty), "--out", str(tmp_path / "b"), "--json"]) == 0
    assert said(capsys)["records"] == 7
    assert outputs(tmp_path / "b")["dead_letters"] == b""


def test_too_many_dead_letters_stop_a_replay_whenever_it_is_tried(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [*lines_of([heartbeat(START)]) * 100, *[b"{rubbish"] * 50]
    log = write(tmp_path / "log.ndjson", lines)
    for _ in range(2):
        code, line = mistake([log, "--out", tmp_path / "out"], capsys)
        assert code == 4
        assert line.startswith("more than 20 % are dead letters: 50 of 150 records in the minute")
        assert len(rows(tmp_path / "out", "dead_letters")) == 50


def test_an_input_that_cannot_be_read_is_one_line_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    missing = tmp_path / "missing.ndjson"
    code, line = mistake([missing, "--out", out], capsys)
    assert (code, line) == (2, f"{missing}: cannot be read: No such file or directory")
    code, line = mistake([tmp_path, "--out", out], capsys)
    assert (code, line) == (2, f"{tmp_path}: cannot be read: Is a directory")
    assert not out.exists()


def test_a_damaged_gzip_file_is_one_line_and_exit_code_4(
    life: list[bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = write(tmp_path / "log.ndjson.gz", life).read_bytes()
    (tmp_path / "log.ndjson.gz").write_bytes(whole[: len(whole) // 2])
    code, line = mistake([tmp_path / "log.ndjson.gz", "--out", tmp_path / "out"], capsys)
    assert code == 4
    assert line == f"{tmp_path}/log.ndjson.gz: damaged or cut short: not a whole gzip file"


def test_a_mistake_in_the_settings_names_its_path(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = write(tmp_path / "log.ndjson", lines_of(salon()))
    told = tmp_path / "tenants.toml"
    told.write_text('[tenants.t1]\npreset = "barber"\n')
    code, line = mistake([log, "--settings", told, "--out", tmp_path / "out"], capsys)
    assert code == 2
    assert line.startswith("tenants.t1.preset: ")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_not_this_replays_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = write(tmp_path / "log.ndjson", lines_of(salon()))
    out = tmp_path / "out"
    assert run(["replay", str(log), "--out", str(out), "--no-progress"]) == 0
    capsys.readouterr()
    code, line = mistake([log, "--out", out, "--lanes", "4"], capsys)
    assert (code, line) == (
        2,
        f"{out}: holds a replay with other lanes; replay into another folder",
    )
    write(log, lines_of([*salon()[:3], *salon()[4:], salon()[3]]))
    code, line = mistake([log, "--out", out], capsys)
    assert (code, line) == (2, "the first 7 lines have changed since an earlier run")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "commands.ndjson").write_text("precious\n")
    code, line = mistake([log, "--out", tmp_path / "mine"], capsys)
    assert code == 2
    assert "holds commands.ndjson but no position.json" in line
    assert (tmp_path / "mine" / "commands.ndjson").read_text() == "precious\n"


def test_damaged_state_is_exit_code_5(
    life: list[bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = done(life[:3_000], tmp_path / "grown")
    log = write(tmp_path / "grown" / "log.ndjson", life)
    for path in (out / "state").rglob("base-*"):
        os.truncate(path, path.stat().st_size // 2)
    code, line = mistake([log, "--out", out], capsys)
    assert code == 5
    assert "cannot trust" in line


def test_no_phone_and_no_name_is_printed(
    life: list[bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = write(tmp_path / "log.ndjson", life)
    assert run(["replay", str(log), "--out", str(tmp_path / "out")]) == 0
    captured = capsys.readouterr()
    for row in rows(tmp_path / "out", "profiles"):
        assert (row.get("phone") or "+") not in captured.out + captured.err.replace("+00:00", "")


def test_a_failing_step_ends_the_flow_quietly_and_commits_nothing_of_its_chunk(
    life: list[bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    log = write(tmp_path / "log.ndjson", life)
    what = Replay([log], tmp_path / "out", 16, b"demo", block_bytes=400_000)
    calls = 0

    def failing(state: LaneState, batch: Batch) -> Outputs:
        nonlocal calls
        calls += 1
        if calls == 30:
            raise ZeroDivisionError("a bug in the fold")
        return fold(state, batch)

    with monkeypatch.context() as patched:
        patched.setattr("flows.engagement.fold", failing)
        with pytest.raises(ZeroDivisionError, match="a bug in the fold"):
            replay(what, Stop(), silent)
    assert capfd.readouterr().err == ""
    stopped = json.loads((tmp_path / "out" / "position.json").read_bytes())
    assert 0 < stopped["position"] < 6_000
    assert calls == 30
    assert replay(what, Stop(), silent).position.finished
    assert outputs(tmp_path / "out") == outputs(done(life, tmp_path / "whole"))


def test_one_folder_takes_one_replay_at_a_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = write(tmp_path / "log.ndjson", lines_of(salon()))
    holder = OutputFolder(tmp_path / "out")
    holder.open({})
    code, line = mistake([log, "--out", tmp_path / "out"], capsys)
    holder.close()
    assert (code, line) == (2, f"{tmp_path}/out: another replay is writing here")
