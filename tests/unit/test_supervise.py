"""Processes of one host under their supervisor: real ones, small ones."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from flows.stop import Stop
from flows.supervise import Ended, Pace, Process, Supervisor, exit_code

PACE = Pace(first_seconds=0.01, most_seconds=0.02, most_failures=3)

WAITS = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
open(sys.argv[1], "w").close()
signal.pause()
"""
ENDS = "import sys; sys.exit(int(sys.argv[1]))"
DIES = "import os; os.kill(os.getpid(), 9)"


def run(program: str, *arguments: object) -> Process:
    return subprocess.Popen([sys.executable, "-S", "-c", program, *map(str, arguments)])


class Host:
    """Two places, what runs in each of them, and how often it was started."""

    def __init__(self, *programs: Callable[[], Process], pace: Pace = PACE) -> None:
        self.stop = Stop()
        self.starts: Counter[int] = Counter()
        self.processes: list[Process] = []
        self._programs = programs
        names = [f"host-{number}" for number in range(len(programs))]
        self.supervisor = Supervisor(names, self._start, self.stop, pace)

    def _start(self, number: int) -> Process:
        self.starts[number] += 1
        self.processes.append(self._programs[number]())
        return self.processes[-1]


def test_a_process_that_always_fails_ends_all_with_its_code_and_one_line(tmp_path: Path) -> None:
    listens = tmp_path / "listens"

    def fails() -> Process:
        while not listens.exists():
            assert host.processes[-1].poll() is None
        return run(ENDS, 3)

    host = Host(lambda: run(WAITS, listens), fails)
    assert host.supervisor.run() == Ended(
        3,
        "host-1 failed 3 times in a row, the last time with exit code 3; "
        "the other processes were drained",
    )
    assert host.starts == {0: 1, 1: 3}
    assert host.processes[0].returncode == 0


def test_a_mistake_in_the_usage_is_not_tried_again() -> None:
    host = Host(lambda: run(ENDS, 2))
    ended = host.supervisor.run()
    assert ended.code == 2
    assert "once" in ended.why
    assert host.starts == {0: 1}


def test_a_killed_process_is_started_again_and_a_drain_ends_all(tmp_path: Path) -> None:
    def dies_at_first() -> Process:
        if host.starts[0] == 1:
            return run(DIES)
        host.stop.draining = True
        return run(WAITS, tmp_path / "listens")

    host = Host(dies_at_first)
    assert host.supervisor.run() == Ended(0, "")
    assert host.starts == {0: 2}


def test_a_process_that_drains_by_itself_is_not_started_again() -> None:
    host = Host(lambda: run(ENDS, 0), lambda: run(ENDS, 0))
    assert host.supervisor.run() == Ended(0, "")
    assert host.starts == {0: 1, 1: 1}


def test_failures_of_a_process_that_had_started_well_are_not_counted_together() -> None:
    host = Host(
        lambda: run(ENDS, 3 if host.starts[0] < 6 else 0),
        pace=Pace(first_seconds=0.01, most_failures=2, sound_seconds=0.0),
    )
    assert host.supervisor.run() == Ended(0, "")
    assert host.starts == {0: 6}


def test_a_failure_while_draining_is_the_exit_code() -> None:
    def fails() -> Process:
        host.stop.draining = True
        failed = run(ENDS, 3)
        failed.wait()
        return failed

    host = Host(fails)
    assert host.supervisor.run() == Ended(3, "host-0 failed while draining, with exit code 3")


def test_a_supervisor_that_is_interrupted_leaves_nobody_behind(tmp_path: Path) -> None:
    def interrupted() -> Process:
        raise KeyboardInterrupt

    host = Host(lambda: run(WAITS, tmp_path / "listens"), interrupted)
    with pytest.raises(KeyboardInterrupt):
        host.supervisor.run()
    assert host.processes[0].returncode is not None


def test_pauses_double_up_to_a_limit() -> None:
    pace = Pace(first_seconds=0.5, most_seconds=5.0)
    assert [pace.pause(failures) for failures in range(1, 7)] == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0]


@pytest.mark.parametrize(("code", "told"), [(0, 0), (3, 3), (-9, 137), (-15, 143)])
def test_an_exit_code_is_told_as_a_shell_tells_it(code: int, told: int) -> None:
    assert exit_code(code) == told
