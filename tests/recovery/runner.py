"""``flowsell run engagement`` that kills itself in the middle of one step of its work.

Takes: ``STEP MOMENT N [SNAPSHOT_SECONDS [HEARTBEAT_SECONDS]]``: SIGKILL ``before``, ``during`` or
       ``after`` the n-th call of a step; ``none before 0`` only sets the cadence
Out:   the flow's own behaviour until then: this module wraps what the flow is given from outside
       (the client library, the file system) and changes none of its code
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, ParamSpec, TypeVar

import confluent_kafka
from pyarrow import fs

import flows.run
import sinks.kafka
import state.shelf
from flows.cli import run

COMMIT_STEPS = (
    "begin_transaction",
    "produce",
    "send_offsets_to_transaction",
    "commit_transaction",
)
SNAPSHOT_STEPS = (
    "write base",
    "rename base",
    "write delta",
    "rename delta",
    "write manifest",
    "rename manifest",
    "delete",
)
DURING_SECONDS = 0.002

P = ParamSpec("P")
T = TypeVar("T")


def die() -> None:
    """As a machine that loses its power, as far as a process can."""
    os.kill(os.getpid(), signal.SIGKILL)


class Fate:
    """Which call of which step does not return."""

    def __init__(self, step: str, moment: str, number: int) -> None:
        self.step = step
        self.moment = moment
        self.left = number

    def meet(self, step: str, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Make the call, or die at it."""
        if step != self.step:
            return call(*args, **kwargs)
        self.left -= 1
        if self.left != 0:
            return call(*args, **kwargs)
        if self.moment == "before":
            die()
        if self.moment == "during":
            threading.Timer(DURING_SECONDS, die).start()
        result = call(*args, **kwargs)
        die()
        return result


def doomed_producer(fate: Fate) -> type[Any]:
    """The client library's producer whose transaction steps meet their fate."""

    def doomed(step: str) -> Callable[..., Any]:
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            original = getattr(confluent_kafka.Producer, step)
            return fate.meet(step, partial(original, self), *args, **kwargs)

        return call

    return type("Producer", (confluent_kafka.Producer,), {s: doomed(s) for s in COMMIT_STEPS})


def doomed_files(fate: Fate) -> type[Any]:
    """The local file system whose writes, renames and deletions meet their fate."""

    def kind(path: str) -> str:
        return path.rpartition("/")[2].partition("-")[0]

    class Half:
        """Writes the first half, so that what is found later is torn."""

        def __init__(self, stream: Any, step: str) -> None:
            self._stream = stream
            self._step = step

        def __enter__(self) -> Half:
            return self

        def __exit__(self, *error: object) -> None:
            self._stream.close()

        def write(self, content: bytes) -> None:
            half = len(content) // 2
            self._stream.write(content[:half])
            self._stream.flush()
            fate.meet(self._step, self._stream.write, content[half:])

    class Files(fs.LocalFileSystem):  # type: ignore[misc]
        def open_output_stream(self, path: str, *args: Any, **kwargs: Any) -> Half:
            return Half(super().open_output_stream(path, *args, **kwargs), f"write {kind(path)}")

        def move(self, src: str, dest: str) -> None:
            fate.meet(f"rename {kind(dest)}", super().move, src, dest)

        def delete_file(self, path: str) -> None:
            fate.meet("delete", super().delete_file, path)

    return Files


def main() -> None:
    """Run the flow under its fate."""
    step, moment, number, *cadence = sys.argv[1:]
    assert step in (*COMMIT_STEPS, *SNAPSHOT_STEPS, "none"), step
    fate = Fate(step, moment, int(number))
    sinks.kafka.Producer = doomed_producer(fate)  # type: ignore[attr-defined]
    found = state.shelf._filesystem

    def doomed_filesystem(uri: str) -> tuple[Any, str]:
        return doomed_files(fate)(), found(uri)[1]

    state.shelf._filesystem = doomed_filesystem
    flows.run.Cadence = partial(flows.run.Cadence, *map(float, cadence))  # type: ignore[assignment,misc]
    sys.exit(run(["run", "engagement"]))


if __name__ == "__main__":
    main()
