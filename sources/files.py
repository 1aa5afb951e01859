"""Records from ``.ndjson`` and ``.ndjson.gz`` files, one a line, in the order the files are given.

Takes: paths; the restored lanes; when to save and when to halt, from outside
Out:   ``Assigned`` for every lane, then ``Data`` with chunks of whole lines, ``SnapshotDue``
       between chunks, and ``SnapshotDue`` and ``EndOfInput`` for every lane behind the last line
Replays: from any line; a position is the number of the line over all files given, from 0

A line without its newline at the end of a file is a record like others (decode judges whether it
was cut short); an empty last line is none.
"""

from __future__ import annotations

import gzip
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import xxhash
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from schemas.batch import Chunk
from state.control import Assigned, Control, Data, EndOfInput, SnapshotDue

BLOCK_BYTES = 32 << 20
MOST_LINE_BYTES = 256 << 20
"""A longer line is no record log; it would be held in memory only to be refused."""

_GZIP_MAGIC = b"\x1f\x8b"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class InputUnreadable(Exception):
    """A file that cannot be opened or read; the message names it."""


class InputDamaged(Exception):
    """A file whose content cannot be a record log; the message names it."""


class InputChanged(Exception):
    """The lines up to a position are not those of an earlier run."""


class Mark(NamedTuple):
    """The end of a chunk: the next line's number, and a hash of all lines before it."""

    position: int
    digest: str


class LineReader:
    """Whole lines of several files, in big blocks, counted and hashed as they go by."""

    def __init__(self, paths: Sequence[Path], block_bytes: int = BLOCK_BYTES) -> None:
        self._paths = deque(paths)
        self._block_bytes = block_bytes
        self._path = Path()
        self._file: IO[bytes] | None = None
        self._plain: IO[bytes] | None = None
        self._read_before = 0
        self._at_start = False
        self._rest = b""
        self._block = b""
        self._hash = xxhash.xxh3_64()
        self.position = 0

    @property
    def bytes_read(self) -> int:
        """Bytes of the files as they lie on disk."""
        return self._read_before + (self._plain.tell() if self._plain is not None else 0)

    def mark(self) -> Mark:
        """Where the reader stands."""
        return Mark(self.position, self._hash.hexdigest())

    def skip_to(self, position: int) -> None:
        """Pass over lines by counting newlines; raises ``InputChanged`` where there are too few."""
        while self.position < position:
            block = self._take_block()
            if not block:
                raise InputChanged(
                    f"the input ends at line {self.position}; an earlier run read {position}"
                )
            lines = block.count(b"\n")
            if self.position + lines > position:
                block = self._keep_behind(block, block.split(b"\n"), position - self.position)
                lines = position - self.position
            self._pass(block, lines)

    def read(self, until: int | None = None) -> list[bytes]:
        """Some next lines, none past ``until``; an empty list at the end of the last file."""
        block = self._take_block()
        if not block:
            return []
        lines = block[:-1].split(b"\n")
        if until is not None and self.position + len(lines) > until:
            block = self._keep_behind(block, lines, until - self.position)
            del lines[until - self.position :]
        self._pass(block, len(lines))
        return lines

    def close(self) -> None:
        """Close the file at hand."""
        if self._plain is not None:
            self._read_before += self._plain.tell()
        for file in (self._file, self._plain):
            if file is not None:
                file.close()
        self._file = self._plain = None

    def _pass(self, block: bytes, lines: int) -> None:
        self._hash.update(block)
        self.position += lines

    def _keep_behind(self, block: bytes, lines: list[bytes], count: int) -> bytes:
        size = sum(map(len, lines[:count])) + count
        self._block = block[size:]
        return block[:size]

    def _take_block(self) -> bytes:
        block, self._block = self._block, b""
        while not block:
            if self._file is None and not self._open_next():
                return b""
            block = self._read_block()
        return block

    def _open_next(self) -> bool:
        if not self._paths:
            return False
        self._path = self._paths.popleft()
        try:
            self._plain = self._path.open("rb")
            magic = self._plain.read(2)
            self._plain.seek(0)
        except OSError as error:
            raise unreadable(self._path, error) from None
        is_gzip = magic == _GZIP_MAGIC
        self._file = gzip.GzipFile(fileobj=self._plain) if is_gzip else self._plain  # type: ignore[assignment]
        self._at_start = True
        return True

    def _read_block(self) -> bytes:
        """Bytes that end with a newline; empty if a line is longer or the file has ended."""
        assert self._file is not None
        try:
            read = self._file.read(self._block_bytes)
        except (EOFError, gzip.BadGzipFile, zlib.error):
            raise InputDamaged(
                f"{self._path}: damaged or cut short: not a whole gzip file"
            ) from None
        except OSError as error:
            raise unreadable(self._path, error) from None
        if self._at_start:
            read = read.removeprefix(_BYTE_ORDER_MARK)
            self._at_start = False
            if not read:
                read = self._file.read(self._block_bytes)
        if not read:
            rest, self._rest = self._rest, b""
            self.close()
            return rest + b"\n" if rest.strip() else b""
        end = read.rfind(b"\n") + 1
        if end:
            block, self._rest = self._rest + read[:end], read[end:]
            return block
        self._rest += read
        if len(self._rest) > MOST_LINE_BYTES:
            raise InputDamaged(
                f"{self._path}: no newline in {MOST_LINE_BYTES >> 20} MiB: not a record log"
            )
        return b""


def unreadable(path: Path, error: OSError) -> InputUnreadable:
    """The one line for a file that cannot be opened or read."""
    return InputUnreadable(f"{path}: cannot be read: {error.strerror or type(error).__name__}")


def total_bytes(paths: Iterable[Path]) -> int:
    """Size of all files on disk; raises ``InputUnreadable`` for the first that cannot be read."""
    total = 0
    for path in paths:
        try:
            with path.open("rb") as file:
                file.read(1)
            total += path.stat().st_size
        except OSError as error:
            raise unreadable(path, error) from None
    return total


def goes_on_after(paths: Sequence[Path], mark: Mark) -> bool:
    """Whether lines follow a mark of an earlier run; raises ``InputChanged`` if it is not there."""
    reader = LineReader(paths)
    try:
        reader.skip_to(mark.position)
        if reader.mark() != mark:
            raise InputChanged(f"the first {mark.position} lines have changed since an earlier run")
        return bool(reader.read())
    finally:
        reader.close()


class _FilesPartition(StatefulSourcePartition[Control | Data, None]):
    """The single partition: lanes first, then chunks."""

    def __init__(self, source: FilesSource) -> None:
        self._source = source
        self._reader = source.reader
        self._term = source.assigned[0].term
        self._lanes = [each.lane for each in source.assigned]
        starts = {each.state.position for each in source.assigned}
        self._cuts = sorted(starts | {source.assigned[0].committed})
        self._items = self._steps()

    def next_batch(self) -> list[Control | Data]:
        return next(self._items)

    def _steps(self) -> Iterator[list[Control | Data]]:
        source = self._source
        yield list(source.assigned)
        self._reader.skip_to(self._cuts[0])
        while not source.halted(False):
            if source.snapshot_due():
                yield self._snapshots()
            chunk = self._chunk()
            if chunk is None:
                if not source.halted(True):
                    yield self._snapshots()
                    end = self._reader.position
                    yield [EndOfInput(lane, self._term, end) for lane in self._lanes]
                    return
                break
            yield [Data(self._term, chunk)]
        yield self._snapshots()

    def _snapshots(self) -> list[Control | Data]:
        return [SnapshotDue(lane, self._term, self._reader.position) for lane in self._lanes]

    def _chunk(self) -> Chunk | None:
        first = self._reader.position
        until = next((cut for cut in self._cuts if cut > first), None)
        lines = self._reader.read(until)
        if not lines:
            return None
        self._source.passed(self._reader)
        return Chunk(
            lane=-1,
            positions=np.arange(first, first + len(lines), dtype=np.int64),
            appended_ms=None,
            values=lines,
        )

    def snapshot(self) -> None:
        """Nothing: the position file of the sink is the only truth."""

    def close(self) -> None:
        self._reader.close()


class FilesSource(FixedPartitionedSource[Control | Data, None]):
    """Needs a flow whose epochs are one batch long, so that a chunk is committed before the next.

    ``halted(at_end)`` is asked before each chunk, and once more behind the last line; a halt ends
    the flow after a snapshot and without an end of input.
    """

    def __init__(
        self,
        reader: LineReader,
        assigned: Sequence[Assigned],
        halted: Callable[[bool], bool],
        snapshot_due: Callable[[], bool],
        on_chunk: Callable[[int, int], None],
    ) -> None:
        self.reader = reader
        self.assigned = assigned
        self.halted = halted
        self.snapshot_due = snapshot_due
        self._on_chunk = on_chunk
        self._marks: deque[Mark] = deque()

    def passed(self, reader: LineReader) -> None:
        """Remember the end of the chunk just read, and tell how far the input was read."""
        self._marks.append(reader.mark())
        self._on_chunk(reader.position, reader.bytes_read)

    def mark_at(self, position: int) -> Mark:
        """The end of the chunk that holds the line before ``position``; forgets those before."""
        while self._marks[0].position < position:
            self._marks.popleft()
        return self._marks[0]

    def list_parts(self) -> list[str]:
        """One: all files, one behind the other."""
        return ["files"]

    def build_part(
        self, step_id: str, for_part: str, resume_state: None
    ) -> StatefulSourcePartition[Control | Data, None]:
        """Nothing is opened before the first chunk is asked for."""
        return _FilesPartition(self)
