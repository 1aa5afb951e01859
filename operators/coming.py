"""What the triggers' kinds tell of customers: occasions that are, were or will be due.

In:    columns that a kind has worked out
Out:   ``Coming``: n occasions with their due minutes and the marks that they are decided under
State: read only

Each kind is a module with one pure function that gives ``Coming``; ``agenda`` keeps the marks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from schemas.batch import I4, I8
from schemas.keys import mix, row_keys
from state.index import U8, Rows
from state.lane import LaneState
from state.tables import Flags
from state.zones import MINUTE_MS


@dataclass(slots=True)
class Coming:
    """n occasions: ``owner`` indexes the customers asked for, ``slot`` the tenant's triggers.

    ``subject`` is what the occasion is about: a visit's row, a birthday's year, a last day.
    ``mark`` tells that it has been decided.
    """

    owner: Rows
    slot: Rows
    due_ms: I8
    subject: I8
    mark: U8

    def take(self, lines: Flags | Rows) -> Coming:
        """Those of these lines."""
        return Coming(
            self.owner[lines],
            self.slot[lines],
            self.due_ms[lines],
            self.subject[lines],
            self.mark[lines],
        )


def coming(owner: Rows, slot: Rows, due_ms: I8, subject: Rows | I4 | I8, mark: U8) -> Coming:
    """Occasions, one line each; due minutes are whole ones."""
    return Coming(
        owner=owner,
        slot=slot,
        due_ms=due_ms // MINUTE_MS * MINUTE_MS,
        subject=subject.astype(np.int64),
        mark=mark,
    )


def joined(parts: Sequence[Coming]) -> Coming:
    """All lines of several, one after the other."""
    if not parts:
        nothing = np.zeros(0, np.int64)
        return Coming(nothing, nothing, nothing, nothing, np.zeros(0, np.uint64))
    if len(parts) == 1:
        return parts[0]
    return Coming(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in Coming.__slots__)
    )


def visit_marks(state: LaneState, visits: Rows, rule: U8) -> U8:
    """Marks of visits that start when they do; whose they are makes no difference."""
    start = state.visits.start_ms[visits].view(np.uint64)
    return row_keys(mix(state.visits.key[visits], start), rule)


def customer_marks(state: LaneState, customers: Rows, salt: np.uint64, of: I8, rule: U8) -> U8:
    """Marks of something numbered that is a customer's: a year, a day."""
    return row_keys(mix(state.customers.key[customers] ^ salt, of.view(np.uint64)), rule)
