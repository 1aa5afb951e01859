"""The tables behind the aggregates: absolute counters, and what of them has not been told yet.

Units: ``day`` is a tenant-local day since 1970-01-01; money is minor units; ``due_ms`` is the
       instant at which a row that has changed is told, NEVER once it has been
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from schemas.batch import I4, I8
from state.index import U8, Rows
from state.table import Column, Table
from state.tables import NEVER

DAYS_KEPT = 60
"""Changes of days that are as old as this are ignored, on the tenant's calendar."""


class Counters(Table):
    """A table of absolute rows: ``MEASURES`` change by differences, the other columns never."""

    MEASURES: ClassVar[tuple[str, ...]]
    _TOLD: ClassVar = {"position": Column("i8"), "due_ms": Column("i8", NEVER)}
    position: I8
    due_ms: I8
    least_due = NEVER
    """The earliest ``due_ms``: nothing is searched before it has come."""

    def of(self, keys: U8, **columns: NDArray[Any]) -> Rows:
        """Rows of these keys; ``columns``, beside the keys, name what a fresh row is of."""
        rows, fresh = self.find_or_add(keys)
        for name, column in columns.items():
            getattr(self, name)[rows[fresh]] = column[fresh]
        return rows

    def find_least(self) -> None:
        """Reads ``least_due`` from the column."""
        self.least_due = int(self.due_ms[: self.rows].min(initial=NEVER))


class VisitDays(Counters):
    """What was attended and earned on a tenant's day."""

    MEASURES: ClassVar = ("visits", "walk_ins", "revenue")
    COLUMNS: ClassVar = {
        "key": Column("u8"),
        "tenant": Column("i4"),
        "day": Column("i4"),
        "visits": Column("i8"),
        "walk_ins": Column("i8"),
        "revenue": Column("i8"),
        **Counters._TOLD,
    }
    tenant: I4
    day: I4
    visits: I8
    walk_ins: I8
    revenue: I8


class SegmentDays(Counters):
    """Customers by segment at the end of a tenant's day, and their money of that day."""

    MEASURES: ClassVar = ("customers", "revenue")
    COLUMNS: ClassVar = {
        "key": Column("u8"),
        "tenant": Column("i4"),
        "day": Column("i4"),
        "segment": Column("i2"),
        "customers": Column("i8"),
        "revenue": Column("i8"),
        **Counters._TOLD,
    }
    tenant: I4
    day: I4
    segment: np.ndarray[tuple[int], np.dtype[np.int16]]
    customers: I8
    revenue: I8


class FlowDays(Counters):
    """Customers who ended a tenant's day in another segment than the one they began it in."""

    MEASURES: ClassVar = ("customers",)
    COLUMNS: ClassVar = {
        "key": Column("u8"),
        "tenant": Column("i4"),
        "day": Column("i4"),
        "origin": Column("i2"),
        "target": Column("i2"),
        "customers": Column("i8"),
        **Counters._TOLD,
    }
    tenant: I4
    day: I4
    origin: np.ndarray[tuple[int], np.dtype[np.int16]]
    target: np.ndarray[tuple[int], np.dtype[np.int16]]
    customers: I8


class DayEnds(Table):
    """Where a day changed a customer's segment: the one at its start, which is the end before.

    Key: customer and day. A customer's segment at the end of a day is the start of the next change,
    or where there is none the customer's ``day_segment``.
    """

    COLUMNS: ClassVar = {"key": Column("u8"), "day": Column("i4"), "segment": Column("i2")}
    day: I4
    segment: np.ndarray[tuple[int], np.dtype[np.int16]]


class Minutes(Counters):
    """Webhooks of a tenant's provider in a minute of the lane's clock, while it lasts."""

    MEASURES: ClassVar = ("records", "events", "duplicates", "late", "dead")
    COLUMNS: ClassVar = {
        "key": Column("u8"),
        "scope": Column("i4"),
        "minute_ms": Column("i8"),
        "records": Column("i8"),
        "events": Column("i8"),
        "duplicates": Column("i8"),
        "late": Column("i8"),
        "dead": Column("i8"),
        **Counters._TOLD,
    }
    scope: I4
    minute_ms: I8
    records: I8
    events: I8
    duplicates: I8
    late: I8
    dead: I8
