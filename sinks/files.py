"""Outputs as ``.ndjson`` files in a folder, exactly once by an atomically renamed position file.

Takes: ``Folded`` of all lanes of a chunk; where the chunk ended in the input, from outside
Delivery: exactly once: ``position.json`` is C, and says how long each file is at C
Replays: a start cuts the files back to the lengths of C; what was past them is written again

A chunk is written when every lane that has a share in it has been folded, ordered by (position,
lane, order within the lane), so any way of cutting the input into chunks gives the same bytes.
"""

from __future__ import annotations

import fcntl
import os
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import IO, Any, NamedTuple
from uuid import uuid4

import msgspec
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from schemas.batch import STREAMS, DeadLetter, Message, Outputs
from state.control import Folded

POSITION_FILE = "position.json"
DEAD_LETTERS = "dead_letters"
FILES = {stream: f"{stream}.ndjson" for stream in (*STREAMS, DEAD_LETTERS)}

Parts = Sequence[Outputs]
"""The lanes' shares of one chunk."""

_by_position = attrgetter("position")


class OutputUnusable(Exception):
    """A folder that cannot take the outputs; the message names it."""


class Position(msgspec.Struct, kw_only=True, omit_defaults=False):
    """What ``position.json`` says; ``run`` and ``notes`` belong to the flow."""

    format: int = 1
    id: str = ""
    """Names the log to other engines, which cannot compare positions of two logs."""
    position: int = 0
    """C: the next line whose outputs are not in the files."""
    lengths: dict[str, int] = {}
    """Bytes of each file at C."""
    digests: dict[int, str] = {}
    """The rolling digest of each lane's outputs at C, in hex."""
    totals: dict[str, int] = {}
    """Lines written by stream, and by what a line says."""
    run: dict[str, Any] = {}
    """What must be the same when the replay goes on."""
    notes: dict[str, Any] = {}
    """What the flow must remember of the input at C."""
    finished: bool = False
    """The end of the input was written as well: ``open`` is C as it was before that."""
    open: Position | None = None


class Noted(NamedTuple):
    """Where a chunk ended in the input, and what to remember there."""

    position: int
    notes: dict[str, Any]


def dead_letter_line(dead: DeadLetter) -> bytes:
    """A dead letter as the file has it; a file's records come from no topic."""
    return msgspec.json.encode(
        {
            "key": None if dead.key is None else b64encode(dead.key).decode(),
            "value": b64encode(dead.value).decode(),
            "errors": {
                "topic": None,
                "partition": None,
                "offset": dead.position,
                "stage": dead.stage,
                "reason": dead.reason,
                "message": dead.message,
            },
        }
    )


def in_log_order(parts: Sequence[Outputs]) -> dict[str, list[bytes]]:
    """Every stream's lines of one chunk, by (position, lane, order within the lane)."""
    parts = sorted(parts, key=attrgetter("lane"))
    lines: dict[str, list[bytes]] = {}
    for stream in STREAMS:
        messages: list[Message] = []
        for part in parts:
            messages += part.streams.get(stream, ())
        messages.sort(key=_by_position)
        lines[stream] = [message.value for message in messages]
    dead = sorted((dead for part in parts for dead in part.dead_letters), key=_by_position)
    lines[DEAD_LETTERS] = [dead_letter_line(each) for each in dead]
    return lines


class OutputFolder:
    """The files of one replay, and its position; held by one process at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.position = Position()
        self._files: dict[str, IO[bytes]] = {}
        self._lock: IO[bytes] | None = None

    def open(self, run: Mapping[str, Any]) -> Position:
        """Take the folder and read its position; ``run`` must equal that of an earlier start."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = (self.folder / ".lock").open("ab")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.position = self._read_position(dict(run))
        except BlockingIOError:
            raise OutputUnusable(f"{self.folder}: another replay is writing here") from None
        except OSError as error:
            raise _unwritable(self.folder, error) from None
        return self.position

    def begin(self) -> None:
        """Cut the files back to C; from here on the folder is written."""
        if self.position.finished:
            assert self.position.open is not None
            self.position = self.position.open
        try:
            self._publish()
            for stream, name in FILES.items():
                file = (self.folder / name).open("ab")
                self._files[stream] = file
                length = self.position.lengths.get(stream, 0)
                if file.tell() < length:
                    raise OutputUnusable(
                        f"{self.folder / name}: shorter than {POSITION_FILE} says; "
                        "it was changed since; replay into another folder"
                    )
                file.truncate(length)
        except OSError as error:
            raise _unwritable(self.folder, error) from None

    def commit(self, parts: Sequence[Outputs], noted: Noted) -> None:
        """Append a chunk's outputs, make them durable, then move C."""
        lines = in_log_order(parts)
        position = self.position
        self._append(lines)
        self.position = Position(
            id=position.id,
            position=noted.position,
            lengths={stream: file.tell() for stream, file in self._files.items()},
            digests=position.digests | {part.lane: f"{part.digest:016x}" for part in parts},
            totals=dict(Counter(position.totals) + _counted(parts, lines)),
            run=position.run,
            notes=noted.notes,
        )
        self._publish()

    def commit_end(self, parts: Sequence[Outputs]) -> None:
        """Append what is owed at the end of the input; C stays, and can be gone back to."""
        before = self.position
        lines = in_log_order(parts)
        self._append(lines)
        totals = Counter(before.totals) + _counted(parts, lines)
        totals["customers"] = len(lines["profiles"])
        self.position = msgspec.structs.replace(
            before,
            lengths={stream: file.tell() for stream, file in self._files.items()},
            totals=dict(totals),
            finished=True,
            open=before,
        )
        self._publish()

    def close(self) -> None:
        """Let go of the folder."""
        for file in self._files.values():
            file.close()
        self._files = {}
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _read_position(self, run: dict[str, Any]) -> Position:
        path = self.folder / POSITION_FILE
        try:
            kept = msgspec.json.decode(path.read_bytes(), type=Position)
        except FileNotFoundError:
            taken = [name for name in FILES.values() if (self.folder / name).exists()]
            if taken:
                raise OutputUnusable(
                    f"{self.folder}: holds {taken[0]} but no {POSITION_FILE}; "
                    "replay into another folder"
                ) from None
            return Position(id=uuid4().hex, run=run)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise OutputUnusable(f"{path}: cannot be read; replay into another folder") from None
        for name, value in run.items():
            if kept.run.get(name) != value:
                raise OutputUnusable(
                    f"{self.folder}: holds a replay with other {name}; replay into another folder"
                )
        return kept

    def _append(self, lines: Mapping[str, Sequence[bytes]]) -> None:
        try:
            for stream, file in self._files.items():
                if lines[stream]:
                    file.write(b"\n".join(lines[stream]) + b"\n")
                    file.flush()
                    os.fdatasync(file.fileno())
        except OSError as error:
            raise _unwritable(self.folder, error) from None

    def _publish(self) -> None:
        """Replace the position file whole, so that a reader sees the old or the new one."""
        try:
            self._replace()
        except OSError as error:
            raise _unwritable(self.folder, error) from None

    def _replace(self) -> None:
        path = self.folder / POSITION_FILE
        draft = path.with_suffix(".draft")
        with draft.open("wb") as file:
            file.write(msgspec.json.encode(self.position) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _counted(parts: Sequence[Outputs], lines: Mapping[str, Sequence[bytes]]) -> Counter[str]:
    """What a chunk adds to the totals."""
    totals = Counter({stream: len(written) for stream, written in lines.items() if written})
    for part in parts:
        totals.update(f"dead_letters.{dead.reason}" for dead in part.dead_letters)
        for name, count in part.counts.items():
            totals[f"counts.{'.'.join(name)}"] += count
    return totals


def _unwritable(folder: Path, error: OSError) -> OutputUnusable:
    where = error.filename or folder
    return OutputUnusable(f"{where}: cannot be written: {error.strerror or type(error).__name__}")


class _FilesPartition(StatefulSinkPartition[Folded, None]):
    """Gathers a chunk's parts; commits it with the last one."""

    def __init__(
        self, output: OutputFolder, noted: Callable[[int], Noted], ahead: Callable[[Parts], object]
    ) -> None:
        self._output = output
        self._noted = noted
        self._ahead = ahead
        self._parts: list[Folded] = []

    def write_batch(self, values: list[Folded]) -> None:
        for folded in values:
            if self._parts and self._parts[0].chunk != folded.chunk:
                raise AssertionError(f"chunk {folded.chunk} before the end of the one before")
            self._parts.append(folded)
            if len(self._parts) == folded.parts:
                self._commit(folded.closing, [part.outputs for part in self._parts])
                self._parts = []

    def _commit(self, closing: bool, parts: list[Outputs]) -> None:
        self._ahead(parts)
        if closing:
            self._output.commit_end(parts)
        else:
            reached = max(part.next_position for part in parts)
            self._output.commit(parts, self._noted(reached))

    def snapshot(self) -> None:
        """Nothing: a chunk is committed when it is whole, whatever the epoch."""

    def close(self) -> None:
        """Nothing: the folder outlives the flow."""


class FilesSink(FixedPartitionedSink[Folded, None]):
    """``noted(position)`` tells the end of the chunk that reached ``position``.

    ``ahead`` is given every chunk before it is committed: what it writes is never behind C.
    """

    def __init__(
        self,
        output: OutputFolder,
        noted: Callable[[int], Noted],
        ahead: Callable[[Parts], object] = len,
    ) -> None:
        self._output = output
        self._noted = noted
        self._ahead = ahead

    def list_parts(self) -> list[str]:
        """One: the folder."""
        return ["files"]

    def part_fn(self, item_key: str) -> int:
        """Every lane goes to the one part."""
        return 0

    def build_part(
        self, step_id: str, for_part: str, resume_state: None
    ) -> StatefulSinkPartition[Folded, None]:
        """The folder was opened before the flow."""
        return _FilesPartition(self._output, self._noted, self._ahead)
