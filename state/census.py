"""Count what a lane holds: rows, bytes, customers by segment.

Takes: a lane's state, between two batches
Out:   ``Census``; no phone, no name, a tenant only where its settings say ``watched``
State: read only
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np

from schemas.batch import I4
from schemas.segments import CODES
from state.lane import LaneState

UNWATCHED = ""

_WIDTH = 334
"""Codes end at 333."""


class Census(NamedTuple):
    """A lane at one moment."""

    rows: dict[str, int]
    bytes: int
    customers: Counter[tuple[str, str]]
    """By segment, and by tenant where it is watched."""


def take_census(state: LaneState) -> Census:
    """One pass over the customers' segments."""
    table = state.customers
    known = table.known[: table.rows]
    segments = table.segment[: table.rows][known]
    tenants = table.tenant[: table.rows][known]
    watched = _watched(state)
    customers: Counter[tuple[str, str]] = Counter()
    for tenant in watched.tolist():
        own = tenants == tenant
        _count(customers, segments[own], str(state.tenants.name[tenant]))
    if len(watched):
        segments = segments[~np.isin(tenants, watched)]
    _count(customers, segments, UNWATCHED)
    return Census(
        rows={name: len(table) for name, table in state.tables.items()},
        bytes=sum(table.nbytes for table in state.tables.values()),
        customers=customers,
    )


def _watched(state: LaneState) -> I4:
    settings = state.tenants.settings
    return np.array([row for row in state.tenants.live().tolist() if settings[row].watched], "i4")


def _count(
    customers: Counter[tuple[str, str]],
    segments: np.ndarray[tuple[int], np.dtype[np.int16]],
    tenant: str,
) -> None:
    found = np.bincount(segments, minlength=_WIDTH)
    for text, code in CODES.items():
        customers[text, tenant] += int(found[code])
