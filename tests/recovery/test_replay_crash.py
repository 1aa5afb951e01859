"""A replay that is killed goes on to the very bytes that it owed."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import pytest

from flows.progress import silent
from flows.replay import Replay, replay
from flows.stop import Stop
from sinks.files import FILES
from sources.generator import generate
from tests.recovery.replay_runner import POINTS

RECORDS = 5_000


def outputs(folder: Path) -> dict[str, bytes]:
    return {stream: (folder / name).read_bytes() for stream, name in FILES.items()}


def position(folder: Path) -> int:
    path = folder / "position.json"
    return int(json.loads(path.read_bytes())["position"]) if path.exists() else -1


def start(point: str, times: int, log: Path, folder: Path) -> subprocess.Popen[bytes]:
    module = "tests.recovery.replay_runner"
    return subprocess.Popen(
        [sys.executable, "-m", module, point, str(times), str(log), str(folder)],
        stderr=subprocess.PIPE,
    )


def ended(process: subprocess.Popen[bytes]) -> int:
    _, errors = process.communicate(timeout=120)
    assert b"Traceback" not in errors, errors.decode()
    return process.returncode


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("log") / "log.ndjson"
    lines = islice(generate(5, 250, 80, seed=11, faults=True), RECORDS)
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


@pytest.fixture(scope="module")
def owed(log: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The outputs of a single pass over the whole log in one chunk."""
    folder = tmp_path_factory.mktemp("owed")
    assert replay(Replay([log], folder, 4, b"demo"), Stop(), silent).position.finished
    return outputs(folder)


def test_a_kill_inside_each_step_in_turn_loses_and_repeats_nothing(
    log: Path, owed: dict[str, bytes], tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    reached = []
    for at, point in enumerate(POINTS):
        assert ended(start(point, 2 if "end" not in point else 1, log, folder)) == -signal.SIGKILL
        reached.append((point, position(folder)))
        if at + 1 < len(POINTS):
            assert outputs(folder) != owed or "end" in point
    assert ended(start("none", 0, log, folder)) == 0
    assert outputs(folder) == owed, reached
    assert reached[0][1] < reached[-1][1] == RECORDS


def kill_at_random(log: Path, folder: Path, kills: int, seed: int) -> None:
    """Start over and over, and kill each start after a moment between its first and last chunk."""
    rng = random.Random(seed)
    done = 0
    while done < kills:
        before = position(folder)
        process = start("none", 0, log, folder)
        while position(folder) in (before, -1) and process.poll() is None:
            time.sleep(0.005)
        time.sleep(rng.random() * 0.25)
        process.send_signal(signal.SIGKILL)
        if ended(process) == 0:
            break
        done += 1


def test_kills_at_random_moments_lose_and_repeat_nothing(
    log: Path, owed: dict[str, bytes], tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    kill_at_random(log, folder, kills=3, seed=1)
    assert ended(start("none", 0, log, folder)) == 0
    assert outputs(folder) == owed


@pytest.mark.faults
def test_many_kills_at_random_moments_lose_and_repeat_nothing(
    log: Path, owed: dict[str, bytes], tmp_path: Path
) -> None:
    for seed in range(6):
        folder = tmp_path / str(seed)
        kill_at_random(log, folder, kills=8, seed=seed)
        assert ended(start("none", 0, log, folder)) == 0
        assert outputs(folder) == owed


def test_sigterm_drains_and_says_how_to_go_on(log: Path, tmp_path: Path) -> None:
    """The command itself, with a log long enough to be caught in the middle."""
    folder = tmp_path / "out"
    many = [str(log)] * 8
    command = [sys.executable, "-c", "from flows.cli import main; main()", "replay", *many]
    command += ["--out", str(folder), "--lanes", "4", "--no-progress"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while position(folder) < RECORDS and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    said, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors.decode()
    assert errors == b""
    stopped = position(folder)
    assert RECORDS <= stopped < 8 * RECORDS
    assert f"Stopped before line {stopped:,}; the same command goes on from there." in said.decode()
    again = subprocess.run([*command, "--json"], capture_output=True, check=True, timeout=120)
    assert json.loads(again.stdout)["records"] == 8 * RECORDS
    assert json.loads(again.stdout)["records_now"] == 8 * RECORDS - stopped
