"""Items that travel through the dataflow beside batches: a lane is given, saved, let go, ended.

Takes: nothing; sources emit them ahead of the data that they govern, the fold step obeys
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from schemas.batch import I8, Chunk, Outputs
from state.lane import LaneState


@dataclass(slots=True)
class Assigned:
    """The lane is ours from now on: its restored state, and C, from which on outputs are emitted.

    ``term`` counts the assignments of this process; data of another term is a bug, not a race.
    ``digest`` is the lane's digest as it was committed with C: folding S..C must arrive at it (the
    source then ends a chunk at C). ``None`` where no commit recorded one.
    """

    lane: int
    term: int
    committed: int
    state: LaneState
    digest: int | None = None


@dataclass(slots=True)
class Data:
    """A raw chunk read under a term."""

    term: int
    chunk: Chunk


@dataclass(slots=True)
class SnapshotDue:
    """Save the lane's changed rows now, at the position it has reached.

    A lane of a file has a few of its lines: ``position`` tells how far the file was read, so that
    a quiet lane does not hold back where a restart begins to read.
    """

    lane: int
    term: int
    position: int | None = None


@dataclass(slots=True)
class Revoked:
    """Save, then forget the lane."""

    lane: int
    term: int


@dataclass(slots=True)
class EndOfInput:
    """The input is finite and over: write every profile as of the lane's clock.

    ``position`` as in ``SnapshotDue``.
    """

    lane: int
    term: int
    position: int | None = None


Control = Assigned | SnapshotDue | Revoked | EndOfInput


@dataclass(slots=True)
class Folded:
    """One lane's share of a folded chunk, on its way to the sinks.

    ``chunk`` numbers the chunks of this process from 0, ``parts`` says how many lanes have a share
    in this one: a sink that must see a whole chunk waits for so many. The end of input is a chunk
    of its own, in which every lane has a share and ``closing`` is true. ``commands_ms``: for each
    command the append time of the record that brought it about, in ms.
    """

    term: int
    outputs: Outputs
    chunk: int
    parts: int
    closing: bool = False
    commands_ms: I8 = field(default_factory=lambda: np.empty(0, np.int64))
