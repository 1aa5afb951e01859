"""Add differences to counters in the order of the clock, and tell what ten seconds have changed.

In:    ``Differences`` of one table, in any order; ``Passage``: the records that let time pass
Out:   ``Restated``: absolute rows as they stood each time the clock crossed ten seconds
State: the counters, and what of them is still to be told

A row that changes is due at the next multiple of ten seconds, and is told by the first record whose
clock has come that far. So what is told depends on the records, not on how the log is cut.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.batch import I8
from state.days import Counters
from state.index import Rows
from state.runs import ends
from state.tables import NEVER

TOLD_EVERY_MS = 10_000

Lines = NDArray[np.intp]


@dataclass(slots=True)
class Passage:
    """Clock and position of consecutive records; what is due up to ``until_ms`` is told."""

    clock_ms: I8
    positions: I8
    until_ms: int

    @classmethod
    def of_one(cls, clock_ms: int, position: int) -> Passage:
        """A record by itself, and what is due up to its own clock."""
        return cls(np.array([clock_ms]), np.array([position]), clock_ms)

    def changes(self, row: Rows, record: I8, by: tuple[I8, ...]) -> Differences:
        """What these records, counted from the first, have changed."""
        return Differences(row, self.clock_ms[record], self.positions[record], by)


@dataclass(slots=True)
class Differences:
    """n changes of a table's rows, by which records: ``by`` has a column for each measure."""

    row: Rows
    clock_ms: I8
    position: I8
    by: tuple[I8, ...]


@dataclass(slots=True)
class Restated:
    """n rows to be told: their measures as of ``due_ms``, owed at the record that crosses it."""

    row: Rows
    measures: tuple[I8, ...]
    position: I8
    due_ms: I8
    owed_at: I8

    def take(self, lines: Lines) -> Restated:
        """The same with these rows."""
        measures = tuple(measure[lines] for measure in self.measures)
        told = (column[lines] for column in (self.position, self.due_ms, self.owed_at))
        return Restated(self.row[lines], measures, *told)

    def columns(self) -> list[list[int]]:
        """The measures, as they are told."""
        return [measure.tolist() for measure in self.measures]


def next_telling(clock_ms: I8) -> I8:
    """When a change at these instants is told."""
    due: I8 = (clock_ms // TOLD_EVERY_MS + 1) * TOLD_EVERY_MS
    return due


def restate(table: Counters, passage: Passage, changes: Differences | None) -> Restated | None:
    """Applies the changes; returns what they and earlier ones owe, ``None`` if nothing."""
    due = table.least_due <= passage.until_ms
    if changes is None or not len(changes.row):
        return _tell(table, passage) if due else None
    waiting = _waiting(table, passage.until_ms) if due else np.zeros(0, np.int64)
    row = np.concatenate([waiting, changes.row])
    due_ms = np.concatenate([table.due_ms[waiting], next_telling(changes.clock_ms)])
    position = np.concatenate([table.position[waiting], changes.position])
    order = np.lexsort((position, due_ms, row))
    row, due_ms, position = row[order], due_ms[order], position[order]
    last = ends(row)
    told = ends(row, due_ms).nonzero()[0]  # the last of its row before the same telling
    measures = []
    nothing = np.zeros(len(waiting), np.int64)
    for name, by in zip(table.MEASURES, changes.by, strict=True):
        column: I8 = getattr(table, name)
        total = np.cumsum(np.concatenate([nothing, by])[order])
        before = np.concatenate([[0], total[last][:-1]])  # of the rows that come earlier
        value = total - np.repeat(before, np.diff(last.nonzero()[0], prepend=-1)) + column[row]
        column[row[last]] = value[last]
        measures.append(value[told])
    table.position[row[last]] = position[last]
    over = due_ms[last] <= passage.until_ms
    table.due_ms[row[last]] = np.where(over, NEVER, due_ms[last])
    table.touch(row[last])
    table.find_least()
    ready = due_ms[told] <= passage.until_ms
    told = told[ready]
    chosen = tuple(value[ready] for value in measures)
    return _restated(passage, row[told], chosen, position[told], due_ms[told])


def mark(table: Counters, rows: Rows, position: int, due_ms: int) -> None:
    """Rows that were written as a whole are told at an instant; those already due stay so."""
    table.position[rows] = position
    table.due_ms[rows] = np.minimum(table.due_ms[rows], due_ms)
    table.touch(rows)
    if len(rows):
        table.least_due = min(table.least_due, due_ms)


def as_they_stand(table: Counters, position: int, now_ms: int) -> Restated:
    """Every row that is still to be told, as of now; nothing changes."""
    rows = _waiting(table, NEVER - 1)
    measures = tuple(getattr(table, name)[rows] for name in table.MEASURES)
    when = np.full(len(rows), now_ms)
    return Restated(rows, measures, table.position[rows], when, np.full(len(rows), position))


def _tell(table: Counters, passage: Passage) -> Restated:
    rows = _waiting(table, passage.until_ms)
    due_ms = table.due_ms[rows]
    table.due_ms[rows] = NEVER
    table.touch(rows)
    table.find_least()
    measures = tuple(getattr(table, name)[rows] for name in table.MEASURES)
    return _restated(passage, rows, measures, table.position[rows], due_ms)


def _waiting(table: Counters, until_ms: int) -> Rows:
    return (table.due_ms[: table.rows] <= until_ms).nonzero()[0]


def _restated(
    passage: Passage, row: Rows, measures: tuple[I8, ...], position: I8, due_ms: I8
) -> Restated:
    crossing = np.searchsorted(passage.clock_ms, due_ms, "left")
    return Restated(row, measures, position, due_ms, passage.positions[crossing])
