"""Judge which version of an object stands.

In:    what is held and what is given, line by line
Out:   masks
State: none
"""

from __future__ import annotations

import numpy as np

from schemas.batch import I8, NONE
from state.tables import Flags


def superseded(held: Flags, stored: I8, given: I8, was_deleted: Flags, deleted: Flags) -> Flags:
    """Older than what is held; of equal versions a deletion wins, else the later position."""
    ordered = held & (stored != NONE) & (given != NONE)
    undead = was_deleted & ~deleted
    found: Flags = ordered & ((given < stored) | ((given == stored) & undead))
    return found


def same_version(stored: I8, given: I8) -> Flags:
    """Whether the version is that which is held; a body without one may be."""
    found: Flags = (stored == given) | (given == NONE)
    return found


def kept_version(held: Flags, stored: I8, given: I8) -> I8:
    """A body without a version keeps the one that is held."""
    return np.where((given == NONE) & held, stored, given)
