"""House numbers: how many visits were placed on each day of a phone that has had many.

State: ``crowds``
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from schemas.batch import I4
from schemas.keys import row_keys
from state.index import U8, Rows
from state.table import Column, Table

CROWD = 30
"""Visits of one phone on one local day; more are a house number's."""


class Crowds(Table):
    """One row a crowded customer and tenant-local day; ``placed`` never sinks."""

    COLUMNS: ClassVar = {
        "key": Column("u8"),
        "tenant": Column("i4"),
        "day": Column("i4"),
        "placed": Column("i4"),
    }
    tenant: Rows
    day: I4
    placed: I4


def crowd_keys(customers: U8, days: I4) -> U8:
    """Keys of customers' days."""
    return row_keys(customers, days.astype(np.int64).view(np.uint64))
