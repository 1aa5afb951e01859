"""A replay that kills itself in the middle of one step of its work.

Takes: ``POINT N LOG DIR [CLICKHOUSE]``: SIGKILL at the n-th time that the point is reached;
       ``none 0`` never
Out:   the replay's own behaviour until then: file calls are wrapped, the code is as shipped
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flows.progress import silent
from flows.replay import Replay, replay
from flows.stop import Stop
from sinks.clickhouse import Warehouse
from sinks.clickhouse_engine import ClickHouse
from sinks.clickhouse_target import Embedded
from sinks.files import OutputFolder
from state.shelf import Shelf
from state.snapshots import SnapshotStore

BLOCK_BYTES = 250_000
POINTS = (
    "before append",
    "amid append",
    "after append",
    "before rename",
    "after rename",
    "before save",
    "amid save",
    "after save",
    "before end",
    "after end",
)
CLICKHOUSE_POINTS = (
    "amid insert",
    "before insert",
    "after insert",
    "before rename",
    "before end",
    "after end",
)


def die() -> None:
    """As the machine would: nothing is flushed, closed or said."""
    os.kill(os.getpid(), signal.SIGKILL)


def armed(point: str, times: int) -> None:
    """Wrap the steps so that the point kills when it is reached for the n-th time."""
    reached = 0

    def at(here: str) -> None:
        nonlocal reached
        if here == point:
            reached += 1
            if reached == times:
                die()

    def around(owner: Any, name: str, before: str, after: str) -> None:
        step: Callable[..., Any] = getattr(owner, name)

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            at(before)
            result = step(*args, **kwargs)
            at(after)
            return result

        setattr(owner, name, wrapped)

    around(OutputFolder, "_append", "before append", "after append")
    around(OutputFolder, "commit_end", "before end", "after end")
    around(SnapshotStore, "save", "before save", "after save")
    around(Shelf, "publish", "amid save", "")
    around(os, "fdatasync", "", "amid append")
    around(Warehouse, "flush", "before insert", "after insert")
    around(ClickHouse, "insert", "", "amid insert")
    around(Path, "replace", "before rename", "after rename")


def main(point: str, times: str, log: str, folder: str, clickhouse: str = "") -> None:
    """Replay with a snapshot after every chunk."""
    armed(point, int(times))
    what = Replay(
        [Path(log)],
        Path(folder),
        4,
        b"demo",
        block_bytes=BLOCK_BYTES,
        snapshot_seconds=0.0,
        clickhouse=Embedded(Path(clickhouse)) if clickhouse else None,
    )
    summary = replay(what, Stop(), silent)
    assert summary.position.finished


if __name__ == "__main__":
    main(*sys.argv[1:])
