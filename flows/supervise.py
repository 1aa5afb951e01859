"""Run one flow in several processes of this host, and start again those that die.

In:    how the n-th process is started; a ``Stop``; how soon and how often a restart is tried
Out:   ``Ended``: an exit code, and in one line why it is not 0
State: per process its failures in a row, and when it may start again

Kafka shares the lanes out. A process that is killed gets its own back when it returns under its
instance; one that drains leaves the group, and so is not started again.
"""

from __future__ import annotations

import ctypes
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import structlog

from flows.stop import Stop

LOOK_SECONDS = 0.05
USAGE = 2
"""An exit code that no restart mends, and that every process would end with."""
_PARENT_DEATH_SIGNAL = 1

Process = subprocess.Popen[bytes]


@dataclass(frozen=True)
class Pace:
    """When a process that failed is started again, and when no more."""

    first_seconds: float = 0.5
    most_seconds: float = 30.0
    most_failures: int = 6
    """As many in a row, and the host has something that no restart mends."""
    sound_seconds: float = 60.0
    """Who lived so long had started well: its failures count from 0 again."""

    def pause(self, failures: int) -> float:
        """Seconds before the next start after so many failures in a row."""
        return min(self.first_seconds * 2.0 ** (failures - 1), self.most_seconds)


class Ended(NamedTuple):
    """What the shell is told."""

    code: int
    why: str


@dataclass
class _Place:
    """One of the processes, in whichever life."""

    instance: str
    process: Process | None = None
    started_at: float = 0.0
    start_at: float = 0.0
    failures: int = 0
    is_done: bool = False


def exit_code(code: int) -> int:
    """As a shell tells it: 128 and the signal's number where a signal ended the process."""
    return 128 - code if code < 0 else code


def start_process(arguments: Sequence[str], variables: Mapping[str, str]) -> Process:
    """``flowsell`` with these arguments; it drains when the process that started it dies."""
    return subprocess.Popen(  # noqa: S603 - our own program with our own arguments
        [sys.executable, "-P", "-m", "flows", *arguments],
        env=dict(variables),
        stdin=subprocess.DEVNULL,
        preexec_fn=_drain_with_parent,  # noqa: PLW1509 - a supervisor has one thread
    )


def _drain_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGTERM)


class Supervisor:
    """Keeps a process for each instance alive until ``stop`` asks for a drain.

    ``start(n)`` starts the n-th process, which runs as ``instances[n]``.
    """

    def __init__(
        self, instances: Sequence[str], start: Callable[[int], Process], stop: Stop, pace: Pace
    ) -> None:
        self._places = [_Place(instance) for instance in instances]
        self._start = start
        self._stop = stop
        self._pace = pace
        self._ended = Ended(0, "")
        self._log = structlog.get_logger("supervisor")

    def run(self) -> Ended:
        """Return once every process has ended."""
        is_told = False
        try:
            while not all(place.is_done for place in self._places):
                now = time.monotonic()
                if self._stop.draining and not is_told:
                    is_told = True
                    self._drain()
                for n, place in enumerate(self._places):
                    self._look_after(n, place, now)
                time.sleep(LOOK_SECONDS)
        finally:
            self._kill()
        return self._ended

    def _look_after(self, n: int, place: _Place, now: float) -> None:
        if place.is_done:
            return
        if place.process is None:
            if self._stop.draining:
                place.is_done = True
            elif now >= place.start_at:
                place.process, place.started_at = self._start(n), now
                self._log.info("process started", instance=place.instance, pid=place.process.pid)
            return
        code = place.process.poll()
        if code is None:
            return
        place.process = None
        # Told before it could listen: it had not begun.
        is_early = self._stop.draining and code == -signal.SIGTERM
        if code == 0 or is_early:
            place.is_done = True
            self._log.info("process drained", instance=place.instance)
        else:
            self._failed(place, exit_code(code), now)

    def _failed(self, place: _Place, code: int, now: float) -> None:
        was_sound = now - place.started_at >= self._pace.sound_seconds
        place.failures = 1 if was_sound else place.failures + 1
        pause = self._pace.pause(place.failures)
        place.start_at = now + pause
        told = self._log.bind(instance=place.instance, code=code, failures=place.failures)
        if self._stop.draining:
            told.warning("process failed while draining")
            self._give_up(code, f"{place.instance} failed while draining, with exit code {code}")
        elif code == USAGE or place.failures >= self._pace.most_failures:
            told.error("process failed, others drain")
            times = f"{place.failures} times in a row" if place.failures > 1 else "once"
            self._give_up(
                code,
                f"{place.instance} failed {times}, the last time with exit code {code}; "
                "the other processes were drained",
            )
        else:
            told.warning("process failed", again_in_seconds=pause)

    def _give_up(self, code: int, why: str) -> None:
        if not self._ended.code:
            self._ended = Ended(code, why)
        self._stop.draining = True

    def _drain(self) -> None:
        for place in self._places:
            if place.process is not None:
                place.process.send_signal(signal.SIGTERM)

    def _kill(self) -> None:
        """Nobody is left behind by a supervisor that is interrupted."""
        for place in self._places:
            if place.process is not None:
                place.process.kill()
                place.process.wait()
