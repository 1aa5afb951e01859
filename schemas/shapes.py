"""Shapes of usual records: which members of a JSON object become which columns.

Takes: nothing; a provider describes with these what its usual webhooks look like
Use:   ``schemas.shred`` reads records of such a shape straight into columns. A record of any other
       shape is not wrong: it is read the long way, which knows all drift and says what is wrong

A member that is not described is skipped, whatever it holds. One that is described and holds
anything but what its kind allows makes the record not usual, and so does a member told twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from schemas.batch import NONE

ENVELOPES = "records"
"""The table of the outermost objects."""


class Kind(IntEnum):
    """What a member holds, and the column that comes of it; ``null`` is as if it were absent."""

    TEXT = 0
    """Objects: the text, ``None`` if absent."""
    FULL_TEXT = 1
    """The same, ``None`` also where it is empty."""
    NAME = 2
    """i4 numbers of distinct texts, -1 if absent; an empty one is not usual."""
    WORD = 3
    """i1 places in ``words``, -1 if absent; another word is not usual."""
    WHOLE = 4
    """i8, NONE if absent: an integer of up to 18 digits, or a text of one."""
    PRICE = 5
    """i8, NONE if absent: an integer of at most a milliard; with a fraction it is not usual."""
    YES = 6
    """i1: 1 of ``true``, 0 of ``false`` or if absent."""
    FLAG = 7
    """i1: 1 of ``true`` and 1, 0 of ``false`` and 0, -1 if absent."""
    DAY = 8
    """i4 yyyymmdd of what begins with YYYY-MM-DD; 0 if that is no day, if empty or absent."""
    TIME = 9
    """Two i8 columns, ``wall`` and ``offset``, as ``times.Times``; NONE if absent."""
    KEY = 10
    """i8, NONE if absent: ``keys.text_key`` of the text."""
    VOID = 11
    """No column: absent, else the record is not usual."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A member that is one value; ``needed`` ones must be there."""

    kind: Kind
    needed: bool = False
    words: tuple[str, ...] = ()
    is_key: bool = False
    """Of a name: it must be that of the record's key, where the record has one."""
    or_number: bool = False
    """Of a name: a positive integer is taken as its digits."""


@dataclass(frozen=True, slots=True)
class Part:
    """A member that is an object; its columns stand beside those around it, as ``outer.inner``."""

    members: Members
    needed: bool = False


@dataclass(frozen=True, slots=True)
class Rows:
    """A member that is a list of objects: a table with a row for each.

    A needed one has at least one.
    """

    table: str
    members: Members
    needed: bool = False


@dataclass(frozen=True, slots=True)
class Cases:
    """An object whose shape is told by a word beside it, which must come first.

    A row of that word's table; the cases are in the order of the words.
    """

    by: str
    of: Mapping[str, Rows]


Members = Mapping[str, Leaf | Part | Rows | Cases]

PART, ROWS, CASES = (len(Kind) + more for more in range(3))
"""Kinds of members that are no leaves, in a plan."""


@dataclass(slots=True)
class PlannedColumn:
    """A column: its place in its table, and what it holds where nothing is told."""

    table: int
    title: str
    dtype: str
    absent: int = 0
    words: tuple[bytes, ...] | None = None
    is_named: bool = False


@dataclass(slots=True)
class PlannedMember:
    """A member by numbers; -1 where it has none of the kind."""

    name: bytes
    kind: int
    column: int = -1  # the first of its columns; of CASES, the one that holds the word
    node: int = -1  # of PART and ROWS
    table: int = -1  # of ROWS
    case: int = -1  # of CASES: the first of as many members as there are words
    needed: bool = False
    is_key: bool = False
    or_number: bool = False


@dataclass(slots=True)
class Plan:
    """A shape with everything in it numbered; ``nodes`` are stretches of ``members``."""

    tables: list[str] = field(default_factory=lambda: [ENVELOPES])
    around: list[str] = field(default_factory=lambda: [""])
    """By table: the one with the rows around its own."""
    columns: list[PlannedColumn] = field(default_factory=list)
    members: list[PlannedMember] = field(default_factory=list)
    nodes: list[tuple[int, int]] = field(default_factory=list)

    def add(self, members: Members, table: int = 0, path: str = "") -> int:
        """The number of a node with these members."""
        node, first = len(self.nodes), len(self.members)
        self.nodes.append((first, first + len(members)))
        self.members += [PlannedMember(name.encode(), Kind.VOID) for name in members]
        for at, (name, told) in enumerate(members.items(), first):
            self._fill(self.members[at], told, table, path, name)
        return node

    def _fill(
        self,
        member: PlannedMember,
        told: Leaf | Part | Rows | Cases,
        table: int,
        path: str,
        name: str,
    ) -> None:
        if isinstance(told, Leaf):
            member.kind, member.needed = told.kind, told.needed
            member.is_key, member.or_number = told.is_key, told.or_number
            member.column = self._leaf(told, table, path + name)
        elif isinstance(told, Part):
            member.kind, member.needed = PART, told.needed
            member.node = self.add(told.members, table, f"{path}{name}.")
        elif isinstance(told, Rows):
            member.kind, member.needed = ROWS, told.needed
            member.table = self._table(told.table, table)
            member.node = self.add(told.members, member.table)
        else:
            member.kind, member.needed = CASES, True
            titles = [(column.table, column.title) for column in self.columns]
            member.column = titles.index((table, path + told.by))
            told_by = self.columns[member.column].words
            if told_by != tuple(word.encode() for word in told.of):
                raise ValueError(f"{path}{name}: its cases are not the words of {told.by}")
            member.case = len(self.members)
            self.members += [PlannedMember(word.encode(), ROWS) for word in told.of]
            for at, rows in enumerate(told.of.values(), member.case):
                self._fill(self.members[at], rows, table, path, name)

    def _table(self, name: str, around: int) -> int:
        self.tables.append(name)
        self.around.append(self.tables[around])
        return len(self.tables) - 1

    def _leaf(self, leaf: Leaf, table: int, title: str) -> int:
        """The number of the first of its columns."""
        first = len(self.columns)
        if leaf.kind == Kind.TIME:
            for part in ("wall", "offset"):
                self.columns.append(PlannedColumn(table, f"{title}.{part}", "i8", NONE))
        elif leaf.kind != Kind.VOID:
            dtype, absent = _COLUMNS[leaf.kind]
            words = tuple(word.encode() for word in leaf.words)
            self.columns.append(
                PlannedColumn(
                    table,
                    title,
                    dtype,
                    absent,
                    words if leaf.kind == Kind.WORD else None,
                    leaf.kind == Kind.NAME,
                )
            )
        return first


_COLUMNS = {
    Kind.TEXT: ("O", 0),
    Kind.FULL_TEXT: ("O", 0),
    Kind.NAME: ("i4", -1),
    Kind.WORD: ("i1", -1),
    Kind.WHOLE: ("i8", NONE),
    Kind.PRICE: ("i8", NONE),
    Kind.YES: ("i1", 0),
    Kind.FLAG: ("i1", -1),
    Kind.DAY: ("i4", 0),
    Kind.KEY: ("i8", NONE),
}


def planned(members: Members) -> Plan:
    """The plan of a whole record."""
    plan = Plan()
    plan.add(members)
    return plan
