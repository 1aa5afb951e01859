"""The tables of who is who: the names under which messengers know a person, and who is not known.

Units: instants are ms since the epoch, UTC
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from schemas.batch import I4, I8, NONE, Objects
from state.table import Column, Table

GONE_DAYS = 90
"""How long the row of a customer that has been merged or forgotten stays, on the lane's clock."""


class Aliases(Table):
    """A messenger's own name of a person: whom it points to since when (-1: nobody yet).

    ``kind`` is ``None`` where the name has been forgotten and only the key's hash is left.
    """

    COLUMNS: ClassVar = {
        "key": Column("u8"),
        "tenant": Column("i4"),
        "kind": Column("O", None),
        "value": Column("O", None),
        "customer": Column("i4", -1),
        "told_ms": Column("i8", NONE),
        "next_alias": Column("i4", -1, derived=True),
    }
    key: NDArray[np.uint64]
    tenant: I4
    kind: Objects
    value: Objects
    customer: I4
    told_ms: I8
    next_alias: I4


class Tombstones(Table):
    """Who wanted to be forgotten, until START: an id that is a keyed hash, and nothing else.

    ``person`` is the id under which it was wanted: what one person's phone and names are called
    goes together. ``since_ms`` is the instant of the latest wish.
    """

    COLUMNS: ClassVar = {
        "key": Column("u8"),
        "tenant": Column("i4"),
        "id": Column("S32"),
        "person": Column("S32"),
        "since_ms": Column("i8"),
    }
    tenant: I4
    id: NDArray[np.bytes_]
    person: NDArray[np.bytes_]
    since_ms: I8
