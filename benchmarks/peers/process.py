"""A peer as the processes that it consists of: their time, their memory, their end.

Takes:    a program and its environment
Delivery: nothing of the tree outlives ``kill`` or the benchmark
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import psutil

from benchmarks.broker import die_with_parent
from schemas.engines import EngineError

_ROOT = Path(__file__).resolve().parents[2]
_PATIENCE_SECONDS = 60.0


class Tree:
    """A running program with everything that it has started."""

    def __init__(self, program: Sequence[str], environment: dict[str, str], log: Path) -> None:
        self.log = log
        self.peak_rss = 0
        with log.open("ab") as told:
            self._process = psutil.Popen(
                list(program),
                env=os.environ | environment,
                cwd=_ROOT,
                stdin=subprocess.DEVNULL,
                stdout=told,
                stderr=told,
                preexec_fn=die_with_parent,
            )

    def _all(self) -> list[psutil.Process]:
        with contextlib.suppress(psutil.Error):
            return [self._process, *self._process.children(recursive=True)]
        return []

    def cpu_seconds(self) -> float:
        """Of all that live, and of their children that have ended."""
        total = 0.0
        for each in self._all():
            with contextlib.suppress(psutil.Error):
                total += sum(each.cpu_times()[:4])
        return total

    def look(self) -> None:
        """Raise where the program has ended by itself; note the memory that is held."""
        if self.ended():
            raise EngineError(f"ended with exit code 0: {self._last_words()}")

    def ended(self) -> bool:
        """Whether the program has done what it was to do; else note the memory that is held.

        Raises ``EngineError`` where it failed.
        """
        code: int | None = self._process.poll()
        if code:
            raise EngineError(f"ended with exit code {code}: {self._last_words()}")
        if code == 0:
            return True
        held = 0
        for each in self._all():
            with contextlib.suppress(psutil.Error):
                held += each.memory_info().rss
        self.peak_rss = max(self.peak_rss, held)
        return False

    def kill(self) -> None:
        """SIGKILL to all of them, as a lost machine would."""
        family = self._all()
        for each in family:
            with contextlib.suppress(psutil.Error):
                each.kill()
        psutil.wait_procs(family, _PATIENCE_SECONDS)

    def _last_words(self) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").split("\n")
        return next((line for line in reversed(lines) if line.strip()), "it said nothing")
