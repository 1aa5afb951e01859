"""Payments and money units: money that providers tell apart from visits, and the visits it is for.

Units: amounts of payments are thousandths of the major unit; ``paid`` is minor units of the
       tenant's currency; days are tenant-local, instants ms since the epoch
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from schemas.batch import I1, I4, I8, NONE
from schemas.keys import mix
from state.chains import walk
from state.index import Rows
from state.runs import ends, in_order
from state.table import Column, Table
from state.tables import NO_DAY, UNCOUNTED, Flags, Scopes, Visits

VACANT, LIVE, GONE = -1, 0, 1
"""Statuses of a payment's row: named but never told, told, told to be deleted."""

_SMALLEST = 1024


class Payments(Table):
    """One payment, or one sale of goods, in its newest version.

    ``unit`` is the money unit of the visit that it names, ``sale`` the row of the sale that it
    pays; of a sale, ``covers`` counts the live payments that name it. Only what may count alone
    has a ``client``. ``kept_day`` is the latest day that any version told; ``counted`` the segment
    whose revenue of its day has what counts alone.
    """

    COLUMNS: ClassVar = {
        "key": Column("u8"),
        "scope": Column("i4"),
        "version": Column("i8", NONE),
        "status": Column("i1", VACANT),
        "is_sale": Column("?"),
        "start_ms": Column("i8", NONE),
        "local_ms": Column("i8", NONE),
        "day": Column("i4", NO_DAY),
        "kept_day": Column("i4", NO_DAY),
        "amount": Column("i8"),
        "place": Column("i4"),
        "client": Column("i4", -1),
        "unit": Column("i4", -1),
        "sale": Column("i4", -1),
        "covers": Column("i4"),
        "counted": Column("i2", UNCOUNTED),
        "next_payment": Column("i4", -1, derived=True),
        "next_in_unit": Column("i4", -1, derived=True),
    }
    scope: I4
    version: I8
    status: I1
    is_sale: Flags
    start_ms: I8
    local_ms: I8
    day: I4
    kept_day: I4
    amount: I8
    place: I4
    client: I4
    unit: I4
    sale: I4
    covers: I4
    counted: NDArray[np.int16]
    next_payment: I4
    next_in_unit: I4


class Units(Table):
    """A provider's visit that a payment or a sale has named: its records share one sum of money.

    ``count`` live payments have ``paid`` this much; ``holder`` is the visit that has it, -1 none.
    Everything in a unit stays as long as anything in it is inside the window, by ``kept_day``.
    """

    COLUMNS: ClassVar = {
        "key": Column("u8"),
        "scope": Column("i4"),
        "number": Column("i8"),
        "kept_day": Column("i4", NO_DAY),
        "holder": Column("i4", -1),
        "count": Column("i4"),
        "paid": Column("i8"),
        "first_payment": Column("i4", -1, derived=True),
    }
    scope: I4
    number: I8
    kept_day: I4
    holder: I4
    count: I4
    paid: I8
    first_payment: I4


class UnitVisits:
    """Finds the visits of a money unit, also of one that no payment has named yet.

    Chains of visits by a hash of scope and money unit, through ``visits.next_same``.
    """

    def __init__(self, visits: Visits, scopes: Scopes) -> None:
        self._visits = visits
        self._scopes = scopes
        self._first = np.full(_SMALLEST, -1, np.int32)

    def rebuild(self) -> None:
        """Chains all visits that name a money unit anew."""
        visits = self._visits
        size = _SMALLEST
        while size < visits.rows:
            size *= 2
        self._first = np.full(size, -1, np.int32)
        visits.next_same[:] = -1
        live = visits.live()
        self._link(live[visits.money_unit[live] != NONE])

    def add(self, rows: Rows) -> None:
        """Visits that are in no chain and name a money unit."""
        if self._visits.rows > 2 * len(self._first):
            self.rebuild()
        else:
            self._link(rows)

    def remove(self, rows: Rows) -> None:
        """Takes visits out, before what they name changes; rare, so one by one."""
        following = self._visits.next_same
        buckets = self._buckets(self._visits.scope[rows], self._visits.money_unit[rows])
        for row, bucket in zip(rows.tolist(), buckets.tolist(), strict=True):
            if self._first[bucket] == row:
                self._first[bucket] = following[row]
            else:
                before = int(self._first[bucket])
                while following[before] != row:
                    before = int(following[before])
                following[before] = following[row]
            following[row] = -1

    def of(self, scopes: Rows, numbers: I8) -> tuple[Rows, Rows]:
        """Visits that name these money units, with the line of each."""
        visits = self._visits
        heads = self.heads(scopes, numbers)
        lines, rows = walk(heads, visits.next_same, np.arange(len(heads)))
        same = (visits.money_unit[rows] == numbers[lines]).nonzero()[0]
        same = same[visits.scope[rows[same]] == scopes[lines[same]]]
        return lines[same], rows[same]

    def heads(self, scopes: Rows, numbers: I8) -> Rows:
        """Where the chains begin that have the visits of these money units, and others."""
        heads: Rows = self._first[self._buckets(scopes, numbers)]
        return heads

    def _buckets(self, scopes: Rows, numbers: I8) -> NDArray[np.int64]:
        hashed = mix(self._scopes.key[scopes.astype(np.int64)], numbers.view(np.uint64))
        return (hashed & np.uint64(len(self._first) - 1)).astype(np.int64)

    def _link(self, rows: Rows) -> None:
        visits = self._visits
        bucket = self._buckets(visits.scope[rows], visits.money_unit[rows])
        order = in_order(bucket)
        rows, bucket = rows[order], bucket[order]
        last = ends(bucket)
        first = np.ones(len(rows), np.bool_)
        first[1:] = last[:-1]
        following = np.empty(len(rows), np.int32)
        following[:-1] = rows[1:]
        following[last] = self._first[bucket[last]]
        visits.next_same[rows] = following
        self._first[bucket[first]] = rows[first]
