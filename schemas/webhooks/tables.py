"""Tables of columns that usual webhooks were shredded into, and what all providers read of them.

Takes: columns of ``schemas.shred``
Out:   columns by title; scopes; the same of some of the records only
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.batch import I1, I4, I8, NONE, Objects
from schemas.shapes import ENVELOPES
from schemas.webhooks.findings import Findings
from schemas.webhooks.times import Times, instants_of

_SPARSE = 8
"""With more possible numbers than so many for each row, sorting them is cheaper."""

Mask = NDArray[np.bool_]
Names = tuple[I4, list[str]]
"""A number for each row, -1 for none, and the distinct texts that they stand for."""


class Table:
    """Columns of one kind of object by their paths, as ``schemas.shapes`` describes them."""

    def __init__(self, columns: dict[str, Any]) -> None:
        self.record: I4 = columns["record"]
        self.parent: I4 = columns["parent"]
        self._columns = columns

    def __len__(self) -> int:
        return len(self.record)

    def whole(self, title: str) -> I8:
        """Integers; NONE where nothing is told."""
        column: I8 = self._columns[title]
        return column

    def number(self, title: str) -> I8:
        """Integers; NONE also for 0, which is no id."""
        column: I8 = self._columns[title]
        return np.where(column == 0, NONE, column)

    def flags(self, title: str) -> I1:
        """Words and flags."""
        column: I1 = self._columns[title]
        return column

    def days(self, title: str) -> I4:
        """Days as yyyymmdd."""
        column: I4 = self._columns[title]
        return column

    def texts(self, title: str) -> Objects:
        """Texts or ``None``."""
        column: Objects = self._columns[title]
        return column

    def names(self, title: str) -> Names:
        """Numbers of texts."""
        column: Names = self._columns[title]
        return column

    def times(self, title: str) -> Times:
        """Wall clocks and offsets."""
        return Times(self._columns[f"{title}.wall"], self._columns[f"{title}.offset"])

    def said(self, title: str, word: str) -> Mask:
        """Where a name is this one."""
        numbers, texts = self.names(title)
        number = texts.index(word) if word in texts else len(texts)
        said: Mask = numbers == number
        return said

    def where(self, stays: Mask, parent: I4) -> Table:
        """Some of the rows, around which others stand now."""
        columns = {
            title: (column[0][stays], column[1]) if isinstance(column, tuple) else column[stays]
            for title, column in self._columns.items()
        }
        return Table(columns | {"parent": parent[stays]})


Tables = dict[str, Table]


@dataclass(frozen=True)
class Usual:
    """The usual records of a chunk or of a lane's share of it; ``count`` are all of the chunk.

    ``around`` names for each table the one with the rows around its own.
    """

    count: int
    tables: Tables
    around: Mapping[str, str]

    @property
    def envelopes(self) -> Table:
        """A row for each of them."""
        return self.tables[ENVELOPES]

    @cached_property
    def envelope_at(self) -> I4:
        """The row of each record's envelope by its place in the chunk; -1: it has none."""
        at = np.full(self.count, -1, np.int32)
        at[self.envelopes.record] = np.arange(len(self.envelopes))
        return at

    @property
    def received_ms(self) -> I8:
        """When the gateway got them; NONE where a time has no zone."""
        return instants_of(self.envelopes.times("received_at"))

    @property
    def appended_ms(self) -> I8:
        """As the envelopes tell it; NONE where they do not, or without a zone."""
        return instants_of(self.envelopes.times("appended_at"))

    def others(self) -> Sequence[int]:
        """Which records of the chunk these are not."""
        if not len(self.envelopes):
            return range(self.count)
        if len(self.envelopes) == self.count:
            return ()
        others: list[int] = np.flatnonzero(self.envelope_at < 0).tolist()
        return others

    def where(self, stays: Mask) -> Usual:
        """Those of these records; ``stays`` has a place for each of the chunk's."""
        tables: Tables = {}
        places: dict[str, I4] = {}
        for name, table in self.tables.items():  # outer ones first
            stay = stays[table.record]
            places[name] = (np.cumsum(stay) - 1).astype(np.int32)
            around = self.around.get(name)
            parent = table.parent if around is None else places[around][table.parent]
            tables[name] = table.where(stay, parent)
        return Usual(self.count, tables, self.around)

    def branches_of(self, record: I4) -> I4:
        """Numbers of the branches that the envelopes of these records name, -1: none."""
        numbers, _ = self.envelopes.names("branch")
        branches: I4 = numbers[self.envelope_at[record]]
        return branches

    def scopes(self, provider: str, record: I4, branch: Names | None, findings: Findings) -> I4:
        """Scopes of these records; the envelope's branch comes before what the body tells.

        ``branch`` has a row for each of ``record``; without it there is no branch at all.
        """
        at = self.envelope_at[record]
        tenant, tenants = self.envelopes.names("tenant")
        _, texts = self.envelopes.names("branch")
        named = np.full(len(at), -1)
        asked: list[str | None] = [*texts]
        if branch is not None:
            own, own_texts = branch
            told = self.branches_of(record)
            named = np.where(told >= 0, told, np.where(own >= 0, own + len(texts), -1))
            asked += own_texts
        asked.append(None)  # which is what -1 stands for
        key = tenant[at] * np.int64(len(asked)) + named % len(asked)
        keys, which = _distinct(key, len(tenants) * len(asked))
        pairs = [divmod(each, len(asked)) for each in keys.tolist()]
        scopes = [findings.scopes[tenants[of], provider, asked[name]] for of, name in pairs]
        return np.array(scopes, np.int32)[which]


def _distinct(numbers: I8, end: int) -> tuple[I8, I8]:
    """The distinct ones of numbers below ``end``, and which each is; cheap if they are dense."""
    if end > _SPARSE * len(numbers):
        distinct, which = np.unique(numbers, return_inverse=True)
        return distinct, which
    place = np.zeros(end, np.int64)
    place[numbers] = 1
    distinct = np.flatnonzero(place)
    place[distinct] = np.arange(len(distinct))
    return distinct, place[numbers]
