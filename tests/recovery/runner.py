"""``flowsell run engagement`` that goes wrong in the middle of one step of its work.

Takes: ``STEP MOMENT N [SNAPSHOT_SECONDS [HEARTBEAT_SECONDS]]``: SIGKILL ``before``, ``during`` or
       ``after`` the n-th call of a step, or ``hang`` (SIGSTOP) before it; ``slow``: every call
       takes N ms longer; ``none before 0`` only sets the cadence. ``revoke`` and a step: only
       inside the callback in which lanes are taken away. ``clock leaps N``: the host's clock is
       N hours fast, slow and right in turn. ``fold differs 0``: customers are scored otherwise
Out:   the flow's own behaviour until then: this module wraps what the flow is given from outside
       (the client library, the file system, the clock) and changes none of its code, but for
       ``fold``, whose point it is
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta, tzinfo
from functools import partial
from itertools import cycle
from typing import Any, ParamSpec, TypeVar

import confluent_kafka
import numpy as np
from pyarrow import fs

import flows.run
import operators.score
import sinks.transactions
import sources.kafka
import sources.member
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
ASSIGN_STEPS = (
    "consumer_group_metadata",
    "committed",
    "get_watermark_offsets",
    "assign",
)
RESTORE_STEPS = ("read manifest", "read base", "read delta")
REVOKE_STEPS = (
    "revoke begin_transaction",
    "revoke send_offsets_to_transaction",
    "revoke commit_transaction",
    "revoke write delta",
    "revoke rename delta",
    "revoke write manifest",
    "revoke rename manifest",
    "revoke unassign",
)
LEAVE_STEPS = ("unsubscribe", "close")
ODD_STEPS = ("none", "clock", "fold")
EVERY_STEP = (
    *COMMIT_STEPS,
    *SNAPSHOT_STEPS,
    *ASSIGN_STEPS,
    *RESTORE_STEPS,
    *REVOKE_STEPS,
    *LEAVE_STEPS,
    *ODD_STEPS,
)
CONSUMER_STEPS = (*ASSIGN_STEPS, "unassign", *LEAVE_STEPS)
DURING_SECONDS = 0.002

P = ParamSpec("P")
T = TypeVar("T")


def die() -> None:
    """As a machine that loses its power, as far as a process can."""
    os.kill(os.getpid(), signal.SIGKILL)


class Fate:
    """Which call of which step does not return, or not as it should."""

    def __init__(self, step: str, moment: str, number: int) -> None:
        self.step = step
        self.moment = moment
        self.left = number
        self.within = ""
        """The callback of the group that is running."""

    def meet(self, step: str, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Make the call, or die at it."""
        if self.step not in (step, f"{self.within} {step}"):
            return call(*args, **kwargs)
        if self.moment == "slow":
            time.sleep(self.left / 1000)
            return call(*args, **kwargs)
        self.left -= 1
        if self.left != 0:
            return call(*args, **kwargs)
        if self.moment == "hang":
            os.kill(os.getpid(), signal.SIGSTOP)
            return call(*args, **kwargs)
        if self.moment == "before":
            die()
        if self.moment == "during":
            threading.Timer(DURING_SECONDS, die).start()
        result = call(*args, **kwargs)
        die()
        return result

    def inside(self, callback: str, call: Callable[..., None]) -> Callable[..., None]:
        """The callback, during which steps are told apart from the same ones elsewhere."""

        def called(*args: Any) -> None:
            self.within = callback
            call(*args)
            self.within = ""

        return called


def doomed_producer(fate: Fate) -> type[Any]:
    """The client library's producer whose transaction steps meet their fate."""

    def doomed(step: str) -> Callable[..., Any]:
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            original = getattr(confluent_kafka.Producer, step)
            return fate.meet(step, partial(original, self), *args, **kwargs)

        return call

    return type("Producer", (confluent_kafka.Producer,), {s: doomed(s) for s in COMMIT_STEPS})


def doomed_consumer(fate: Fate) -> type[Any]:
    """The client library's consumer whose steps meet their fate, in callbacks and elsewhere."""

    def doomed(step: str) -> Callable[..., Any]:
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            original = getattr(confluent_kafka.Consumer, step)
            return fate.meet(step, partial(original, self), *args, **kwargs)

        return call

    def subscribe(self: Any, topics: list[str], **callbacks: Callable[..., None]) -> None:
        told = {
            name: fate.inside(name.removeprefix("on_"), call) for name, call in callbacks.items()
        }
        confluent_kafka.Consumer.subscribe(self, topics, **told)

    steps = {step: doomed(step) for step in CONSUMER_STEPS} | {"subscribe": subscribe}
    return type("Consumer", (confluent_kafka.Consumer,), steps)


def leaping_clock(hours: int) -> type[Any]:
    """A ``datetime`` whose now is fast, slow and right in turn."""
    leaps = cycle([hours, -hours, 0])

    class Leaping(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + timedelta(hours=next(leaps))

    return Leaping


def scored_otherwise() -> Callable[..., Any]:
    """Segments as another version of the code might have them."""
    original = operators.score.segment_codes  # type: ignore[attr-defined]

    def codes(*args: Any, **kwargs: Any) -> Any:
        right = original(*args, **kwargs)
        return np.where(right == 312, np.asarray(313, right.dtype), right)

    return codes


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

        def open_input_stream(self, path: str, *args: Any, **kwargs: Any) -> Any:
            opened = super().open_input_stream
            return fate.meet(f"read {kind(path)}", opened, path, *args, **kwargs)

        def move(self, src: str, dest: str) -> None:
            fate.meet(f"rename {kind(dest)}", super().move, src, dest)

        def delete_file(self, path: str) -> None:
            fate.meet("delete", super().delete_file, path)

    return Files


def main() -> None:
    """Run the flow under its fate."""
    step, moment, number, *cadence = sys.argv[1:]
    assert step in EVERY_STEP, step
    fate = Fate(step, moment, int(number))
    sinks.transactions.Producer = doomed_producer(fate)  # type: ignore[attr-defined]
    sources.member.Consumer = doomed_consumer(fate)  # type: ignore[attr-defined]
    if step == "clock":
        sources.kafka.datetime = leaping_clock(int(number))  # type: ignore[attr-defined]
    if step == "fold":
        operators.score.segment_codes = scored_otherwise()  # type: ignore[attr-defined]
    found = state.shelf._filesystem

    def doomed_filesystem(uri: str) -> tuple[Any, str]:
        return doomed_files(fate)(), found(uri)[1]

    state.shelf._filesystem = doomed_filesystem
    flows.run.Cadence = partial(flows.run.Cadence, *map(float, cadence))  # type: ignore[assignment,misc]
    sys.exit(run(["run", "engagement"]))


if __name__ == "__main__":
    main()
