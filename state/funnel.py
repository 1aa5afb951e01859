"""The tables behind the funnel: what became of contacts, by day and by month of the contact.

Units: ``day`` is a tenant-local day since 1970-01-01, of a month its last one; money is minor units
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from schemas.batch import I1, I4, I8
from schemas.keys import mix, row_keys
from state.days import DAYS_KEPT, Counters
from state.index import U8, Rows
from state.table import Column

LONGEST_MONTH = 31

FUNNEL_DAYS = DAYS_KEPT + LONGEST_MONTH
"""A contact as old as this, in days, changes no row any more, nor does its month."""

SQUARE_BASE = 1 << 40
"""Squares of money pass 64 bits: they are summed as digits of this base, the low one below it."""


class FunnelDays(Counters):
    """Contacts of a tenant's day by trigger, first channel and variant, and how far each came.

    ``trigger`` and ``channel`` are words; each measure but the money counts contacts.
    """

    MEASURES: ClassVar = (
        *("commanded", "accepted", "sent", "delivered", "read", "replied", "failed"),
        *("returned", "revenue"),
    )
    COLUMNS: ClassVar = {
        "key": Column("u8"),
        "tenant": Column("i4"),
        "day": Column("i4"),
        "trigger": Column("i4", -1),
        "channel": Column("i4", -1),
        "variant": Column("i1"),
        **{name: Column("i8") for name in MEASURES},
        **Counters._TOLD,
    }
    tenant: I4
    day: I4
    trigger: Rows
    channel: Rows
    variant: I1
    commanded: I8
    accepted: I8
    sent: I8
    delivered: I8
    read: I8
    replied: I8
    failed: I8
    returned: I8
    revenue: I8


class UpliftMonths(Counters):
    """Customers of a tenant's month by trigger and by the variant of their first contact in it.

    ``squared_high`` and ``squared_low`` are the sum of the squares of each customer's revenue.
    """

    MEASURES: ClassVar = ("customers", "returned", "revenue", "squared_high", "squared_low")
    COLUMNS: ClassVar = {
        "key": Column("u8"),
        "tenant": Column("i4"),
        "day": Column("i4"),
        "trigger": Column("i4", -1),
        "variant": Column("i1"),
        **{name: Column("i8") for name in MEASURES},
        **Counters._TOLD,
    }
    tenant: I4
    day: I4
    trigger: Rows
    variant: I1
    customers: I8
    returned: I8
    revenue: I8
    squared_high: I8
    squared_low: I8


def month_ends(days: I4) -> I4:
    """The last day of each day's month."""
    months = days.astype("M8[D]").astype("M8[M]")
    ends: I4 = ((months + 1).astype("M8[D]").astype(np.int64) - 1).astype(np.int32)
    return ends


def funnel_keys(tenants: U8, days: I4, words: I8) -> U8:
    """Keys of rows, by the tenants' keys, the days, and the numbers of what is told apart."""
    return row_keys(mix(tenants, days.astype(np.int64).view(np.uint64)), words.view(np.uint64))
