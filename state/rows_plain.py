"""Find rows by their keys, by other rows, by time: the loops of a lane, where nothing is compiled.

Takes: columns of rows as they are stored, int32; rows to work with, int64, as numpy indexes by
       those without a copy
State: none; the slots of an index are an argument, an empty one is -1
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

I4 = NDArray[np.int32]
I8 = NDArray[np.int64]
U8 = NDArray[np.uint64]
Rows = NDArray[np.int32 | np.int64]

_EMPTY = -1
_FEW = 16
"""So many are followed one by one sooner than with a call for each step of all of them."""


def find(slots: I4, keys: U8, wanted: U8) -> I8:
    """Rows of the wanted keys, -1 where one is unknown; ``keys`` is the column they number."""
    last = len(slots) - 1
    at = (wanted & np.uint64(last)).astype(np.int64)
    found = slots[at].astype(np.int64)
    # An empty slot reads the last row's key, which is then not looked at.
    on = (found != _EMPTY) & (keys[found] != wanted)
    pending = on.nonzero()[0]
    while len(pending):
        if len(pending) <= _FEW:
            _find_each(slots, keys, wanted, at[on], found, pending)
            break
        at = (at[on] + 1) & last
        rows = slots[at]
        found[pending] = rows
        on = (rows != _EMPTY) & (keys[rows] != wanted[pending])
        pending = pending[on]
    return found


def _find_each(slots: I4, keys: U8, wanted: U8, passed: I8, found: I8, pending: I8) -> None:
    """Goes on behind these slots, one key after the other."""
    row_at, key_of, last = slots.item, keys.item, len(slots) - 1
    for at, slot, key in zip(
        pending.tolist(), passed.tolist(), wanted[pending].tolist(), strict=True
    ):
        slot = (slot + 1) & last  # noqa: PLW2901
        while (row := row_at(slot)) != _EMPTY and key_of(row) != key:
            slot = (slot + 1) & last  # noqa: PLW2901
        found[at] = row


def place(slots: I4, keys: U8, rows: Rows) -> None:
    """Puts rows, of distinct keys that are not there yet, into the slots."""
    last = len(slots) - 1
    wanted = (keys[rows] & np.uint64(last)).astype(np.int64)
    while len(rows):
        if len(rows) <= _FEW:
            _place_each(slots, rows, wanted)
            break
        free = slots[wanted] == _EMPTY
        # Several keys may want one free slot: the last write wins, the others go on.
        slots[wanted[free]] = rows[free]
        on = slots[wanted] != rows
        rows = rows[on]
        wanted = (wanted[on] + 1) & last


def _place_each(slots: I4, rows: Rows, wanted: I8) -> None:
    row_at, last = slots.item, len(slots) - 1
    for row, first in zip(rows.tolist(), wanted.tolist(), strict=True):
        slot = first
        while row_at(slot) != _EMPTY:
            slot = (slot + 1) & last
        slots[slot] = row


def rows_in(column: I4, rows: Rows) -> I8:
    """The row that each of these has in a column of rows; -1 stays -1."""
    return np.where(rows >= 0, column[rows], -1).astype(np.int64)


def walk(heads: Rows, following: I4, owners: Rows) -> tuple[I8, I8]:
    """Every row of the chains that begin at ``heads``, with its chain's owner: owners, rows.

    A chain ends at -1. All are followed a step at a time, and the last few one after the other.
    """
    found_owners, found = [], []
    ahead, owners = heads.astype(np.int64), owners.astype(np.int64)
    while len(ahead) > _FEW:
        there = (ahead >= 0).nonzero()[0]
        if len(there) < len(ahead):
            ahead, owners = ahead[there], owners[there]
        found.append(ahead)
        found_owners.append(owners)
        ahead = following[ahead].astype(np.int64)
    rest_owners, rest = _followed(ahead, following, owners)
    if not found:
        return rest_owners, rest
    return np.concatenate([*found_owners, rest_owners]), np.concatenate([*found, rest])


def _followed(heads: Rows, following: I4, owners: Rows) -> tuple[I8, I8]:
    found_owners, found = [], []
    next_of = following.item
    for head, owner in zip(heads.tolist(), owners.tolist(), strict=True):
        row = head
        while row >= 0:
            found.append(row)
            found_owners.append(owner)
            row = next_of(row)
    return np.array(found_owners, np.int64), np.array(found, np.int64)


def in_force(starts: I8, values: I8, zones: Rows, times: I8, bits: int, base: int) -> I8:
    """The value that each zone has at a time in ms: that of the last start which is not after it.

    ``starts`` is sorted; it holds ``(zone << bits) + second + base``, and of every zone one start
    that is before any time.
    """
    keys = zones.astype(np.int64)
    keys <<= bits
    keys += times // 1000
    keys += base
    found: I8 = values[starts.searchsorted(keys, "right") - 1]
    return found


def put_first(first: I4, following: I4, children: Rows, parents: Rows) -> None:
    """Puts each child before the others of its parent, which may get several at once."""
    if len(np.unique(parents)) == len(parents):
        following[children] = first[parents]
        first[parents] = children
        return
    for child, parent in zip(children.tolist(), parents.tolist(), strict=True):
        following[child] = first[parent]
        first[parent] = child


def rechain(first: I4, following: I4, children: Rows, old: Rows, new: Rows) -> None:
    """Moves children from their old parents' chains into the new ones' (-1: none).

    Of one parent at most one child comes at a time.
    """
    moved = old != new
    for at in (moved & (old >= 0)).nonzero()[0].tolist():
        unchain(first, following, int(old[at]), int(children[at]))
    placed = moved & (new >= 0)
    following[children[placed]] = first[new[placed]]
    first[new[placed]] = children[placed]


def unchain(first: I4, following: I4, parent: int, child: int) -> None:
    """Takes one child out of its parent's chain; rare, so one by one."""
    if first[parent] == child:
        first[parent] = following[child]
    else:
        before = int(first[parent])
        while following[before] != child:
            before = int(following[before])
        following[before] = following[child]
    following[child] = -1
