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


def put_first(first: Rows, following: Rows, children: Rows, parents: Rows) -> None:
    """Puts each child before the others of its parent, which may get several at once."""
    if len(np.unique(parents)) == len(parents):
        following[children] = first[parents]
        first[parents] = children
        return
    for child, parent in zip(children.tolist(), parents.tolist(), strict=True):
        following[child] = first[parent]
        first[parent] = child


def hand_over(first: Rows, following: Rows, parent: int, heir: int) -> Rows:
    """Puts a whole chain before the heir's own; returns its rows."""
    rows = let_go(first, following, parent)
    put_first(first, following, rows[::-1], np.full(len(rows), heir, np.int32))
    return rows


def let_go(first: Rows, following: Rows, parent: int) -> Rows:
    """Takes a chain apart; returns its rows, which are in none from now on."""
    _, rows = walk(first[[parent]], following, np.zeros(1, np.int32))
    following[rows] = -1
    first[parent] = -1
    return rows


def rechain(first: Rows, following: Rows, children: Rows, old: Rows, new: Rows) -> None:
    """Moves children from their old parents' chains into the new ones' (-1: none).

    Of one parent at most one child comes at a time.
    """
    moved = old != new
    for at in np.flatnonzero(moved & (old >= 0)).tolist():
        unchain(first, following, int(old[at]), int(children[at]))
    placed = moved & (new >= 0)
    following[children[placed]] = first[new[placed]]
    first[new[placed]] = children[placed]


def unchain(first: Rows, following: Rows, parent: int, child: int) -> None:
    """Takes one child out of its parent's chain; rare, so one by one."""
    if first[parent] == child:
        first[parent] = following[child]
    else:
        before = int(first[parent])
        while following[before] != child:
            before = int(following[before])
        following[before] = following[child]
    following[child] = -1
