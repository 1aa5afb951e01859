"""Publish planned records, and keep how far it came, so that a run that was cut can go on.

In:    a plan; the records topic or a log file; a pace
Out:   the records, in their order; a bookmark beside them
State: the bookmark, written anew about once a second, each time behind what is safely there: what
       was published after the last one comes again, and changes nothing
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import click
import msgspec

from flows.environment import Environment
from flows.progress import Step
from flows.resend import Pace
from operators.pack import Plan

KEEP_SECONDS = 1.0
MOST_UNSETTLED_BYTES = 16 << 20


class Place(msgspec.Struct, kw_only=True):
    """How far a plan was published."""

    digest: str
    """Of everything that is to be published: another plan begins anew."""
    received_at: str
    target: str
    records: int = 0
    size: int | None = None
    """Of a log file: bytes behind the last record."""
    finished: bool = False


@dataclass(frozen=True)
class Bookmark:
    """What an earlier run has left behind, if one did."""

    kept: Place | None

    @classmethod
    def read(cls, path: Path, is_ignored: bool) -> Self:
        """One that is not there, or cannot be read, is none."""
        try:
            content = b"" if is_ignored else path.read_bytes()
            return cls(msgspec.json.decode(content, type=Place))
        except (OSError, msgspec.DecodeError):
            return cls(None)

    def place(self, digest: str, received_at: str, target: str) -> Place:
        """Where to go on: at the kept place of this very plan, else at the beginning."""
        kept = self.kept
        if kept is not None and (kept.digest, kept.target) == (digest, target):
            return kept
        return Place(digest=digest, received_at=received_at, target=target)


@dataclass
class Publishing:
    """What was published by this run."""

    target: str
    before: int = 0
    """Objects that earlier runs had published."""
    objects: int = 0
    records: int = 0
    seconds: float = 0.0
    finished: bool = False

    def as_json(self) -> dict[str, Any]:
        """One object for machines."""
        return {
            "before": self.before,
            "objects": self.objects,
            "records": self.records,
            "seconds": round(self.seconds, 3),
            "finished": self.finished,
            "to": self.target,
        }

    def sentence(self, ready: str) -> str:
        """What to tell a person; ``ready`` says what the whole plan is."""
        if self.finished and not self.objects:
            return f"Nothing to do: all was published before ({ready}); --again publishes it anew."
        told = f"{ready}: {self.objects:,} published in {self.seconds:.1f} s"
        if self.before:
            told += f", {self.before:,} before"
        return f"{told}." if self.finished else f"{told}. The same command goes on from there."


class Target(Protocol):
    """Where records go."""

    shown: str
    """As people are told of it."""

    def name(self) -> str:
        """One name for one log."""

    def begin(self, place: Place, plan: Plan) -> None:
        """Stand at the place."""

    def append(self, record: bytes, tenant: str) -> None:
        """Hand over one record."""

    def settle(self) -> int | None:
        """Return when all that was handed over is safely there; of a file its size."""

    def close(self) -> None:
        """Let go of it, whatever has happened."""


class Topic:
    """The records topic."""

    def __init__(self, environment: Environment) -> None:
        from flows.records import RECORDS, RecordsTopic

        self.shown = RECORDS
        self._environment = environment
        self._topic = RecordsTopic(environment)

    def name(self) -> str:
        """Another cluster is another log, and so is a topic that was made anew."""
        from flows.kafka import Topics, client_properties

        topics = Topics(client_properties(self._environment))
        topics.check(self._environment.lanes)
        return topics.log()

    def begin(self, place: Place, plan: Plan) -> None:
        """The topic has its own end."""

    def append(self, record: bytes, tenant: str) -> None:
        """Keyed by its tenant, as every gateway does."""
        self._topic.append(record, tenant.encode())

    def settle(self) -> None:
        """Every delivery is verified; raises ``EngineError``."""
        self._topic.settle()

    def close(self) -> None:
        """Nothing is left open."""


class LogEnd:
    """The end of a log file."""

    def __init__(self, path: Path) -> None:
        self.shown = str(path)
        self._path = path
        self._file: Any = None

    def name(self) -> str:
        """The file, wherever it is called from."""
        return str(self._path.resolve())

    def begin(self, place: Place, plan: Plan) -> None:
        """Behind the last record that the bookmark tells of; what was cut after it is cut off.

        Only what this plan would write there anyway; anything else is somebody else's.
        """
        try:
            self._file = self._path.open("ab+")
            size = self._file.seek(0, os.SEEK_END)
            if place.size is None or place.size > size:
                place.records, place.size, place.finished = 0, None, False
            elif not place.finished:
                self._cut(place, plan, size)
            if size and place.size is None:
                self._file.seek(-1, os.SEEK_END)
                if self._file.read() != b"\n":
                    self._file.write(b"\n")
        except OSError as error:
            raise self._unwritable(error) from None

    def _cut(self, place: Place, plan: Plan, size: int) -> None:
        assert place.size is not None
        self._file.seek(place.size)
        for _, record in plan.records(place.received_at, place.records):
            there = self._file.read(len(record) + 1)
            if not (record + b"\n").startswith(there):
                raise click.UsageError(
                    f"{self._path} was written to by somebody else since; --again begins anew"
                )
            if len(there) <= len(record):
                break
        if self._file.tell() < size:
            raise click.UsageError(
                f"{self._path} is longer than this backfill; --again begins anew"
            )
        self._file.truncate(place.size)
        self._file.seek(0, os.SEEK_END)

    def append(self, record: bytes, tenant: str) -> None:
        """A line."""
        try:
            self._file.write(record + b"\n")
        except OSError as error:
            raise self._unwritable(error) from None

    def settle(self) -> int:
        """On disk, as far as the operating system tells."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            return int(self._file.tell())
        except OSError as error:
            raise self._unwritable(error) from None

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def _unwritable(self, error: OSError) -> click.UsageError:
        return click.UsageError(f"cannot write {self._path}: {error.strerror}")


def publish(
    plan: Plan,
    target: Target,
    place: Place,
    kept: Path,
    pace: Pace,
    is_stopped: Callable[[], bool],
    step: Step,
) -> Publishing:
    """All records from ``place`` on; returns early where it is asked to stop."""
    with closing(target):
        target.begin(place, plan)
        done = Publishing(target.shown, plan.objects_before(place.records))
        started = kept_at = time.monotonic()
        first, unsettled = place.records, 0
        for each, record in plan.records(place.received_at, first):
            if is_stopped():
                break
            pace.wait(each.objects)
            target.append(record, each.tenant)
            done.records += 1
            done.objects += each.objects
            unsettled += len(record)
            if unsettled > MOST_UNSETTLED_BYTES or time.monotonic() - kept_at > KEEP_SECONDS:
                place.size, place.records = target.settle(), first + done.records
                keep(kept, place)
                kept_at, unsettled = time.monotonic(), 0
            step(done.before + done.objects, done.before + done.objects)
        place.size, place.records = target.settle(), first + done.records
    place.finished = done.finished = place.records == len(plan.slices)
    keep(kept, place)
    done.seconds = time.monotonic() - started
    return done


def keep(path: Path, place: Place) -> None:
    """Replaced whole, so that a bookmark is never half a one."""
    half = path.with_name(f"{path.name}.part")
    try:
        half.write_bytes(msgspec.json.encode(place) + b"\n")
        half.replace(path)
    except OSError as error:
        raise click.UsageError(f"cannot write {path}: {error.strerror}") from None
