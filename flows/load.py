"""Keep ClickHouse ahead of a replay's position C, and bring it there where it was not.

In:    the folder of a replay; where ClickHouse is
Out:   rows in ClickHouse before C moves past them; a note beside C that says in which database
State: none; what a database lacks is read from the files of the folder
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from sinks.clickhouse import STREAMS, Warehouse
from sinks.clickhouse_target import Target
from sinks.files import FILES, OutputFolder, OutputUnusable, Parts

NOTE = "clickhouse"
"""Says beside C that all streams before C are in the database of this name, and which these are."""

BLOCK_BYTES = 8 << 20


class Load:
    """One replay's way into one database; does nothing where there is none."""

    def __init__(self, warehouse: Warehouse | None = None) -> None:
        self._warehouse = warehouse
        self._told: str | None = None

    def begin(self, output: OutputFolder) -> None:
        """Take the database for this log and bring it to C, from the files where it lags.

        The folder's name of the log must be on disk by now: the database outlives a kill.
        """
        if self._warehouse is None:
            return
        position = output.position
        if not position.id:
            raise OutputUnusable(
                f"{output.folder}: is of an older version; replay into another folder"
            )
        # A release that takes more streams finds the past of the new ones in the files.
        self._told = f"{self._warehouse.claim(position.id)} {'+'.join(STREAMS)}"
        if position.notes.get(NOTE) != self._told:
            for stream in STREAMS:
                path, length = output.folder / FILES[stream], position.lengths.get(stream, 0)
                for lines in lines_until(path, length):
                    self._warehouse.add_lines(stream, lines)
            self._warehouse.flush()

    def write(self, parts: Parts) -> None:
        """Insert a chunk's rows; they are there when this returns."""
        if self._warehouse is not None:
            self._warehouse.write(parts)

    def note(self) -> Mapping[str, str]:
        """What to remember beside a C that is moved after ``write``."""
        return {} if self._told is None else {NOTE: self._told}


@contextmanager
def loading(target: Target | None) -> Iterator[Load]:
    """A connection for the time of a replay, if ClickHouse is wanted at all."""
    if target is None:
        yield Load()
        return
    warehouse = Warehouse(target)
    warehouse.open()
    try:
        yield Load(warehouse)
    finally:
        warehouse.close()


def lines_until(path: Path, length: int, block: int = BLOCK_BYTES) -> Iterator[list[bytes]]:
    """The lines of the first ``length`` bytes of a file, which end with a line."""
    if not length:
        return
    with path.open("rb") as file:
        rest = b""
        while length:
            read = file.read(min(block, length))
            if not read:
                raise OutputUnusable(
                    f"{path}: shorter than its position says; it was changed since; "
                    "replay into another folder"
                )
            length -= len(read)
            whole, end, tail = (rest + read).rpartition(b"\n")
            rest = tail
            if end:
                yield whole.split(b"\n")
