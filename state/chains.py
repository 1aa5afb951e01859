"""Follow chains of rows that are linked by columns: ``first`` of a parent, ``next`` of a child.

State: none; a chain ends at -1
"""

from __future__ import annotations

import numpy as np

from state.index import Rows

_FEW = 16
"""So few are followed one after the other sooner than with a call for each step of all of them."""


def walk(heads: Rows, following: Rows, owners: Rows) -> tuple[Rows, Rows]:
    """Every row of the chains that begin at ``heads``, with its chain's owner: owners, rows."""
    found_owners, found = [], []
    while len(heads) > _FEW:
        there = (heads >= 0).nonzero()[0]
        if len(there) < len(heads):
            heads, owners = heads[there], owners[there]
        found.append(heads)
        found_owners.append(owners)
        heads = following[heads]
    rest_owners, rest = _followed(heads, following, owners)
    if not found:
        return rest_owners, rest
    return np.concatenate([*found_owners, rest_owners]), np.concatenate([*found, rest])


def _followed(heads: Rows, following: Rows, owners: Rows) -> tuple[Rows, Rows]:
    found_owners, found = [], []
    next_of = following.item
    for head, owner in zip(heads.tolist(), owners.tolist(), strict=True):
        row = head
        while row >= 0:
            found.append(row)
            found_owners.append(owner)
            row = next_of(row)
    return np.array(found_owners, np.int32), np.array(found, np.int32)
