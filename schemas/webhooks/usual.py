"""Read usual webhooks straight into columns: the records of a chunk all at once.

Takes: records as bytes, with their keys where they have them
Out:   ``Usual``: tables of columns of what could be read so, and which records could not. Those are
       read one by one, with the same outcome as if all had been
Needs: the compiled ``schemas.shred``; without it no record is usual

What is usual of a provider is told by its module in ``USUAL``: its ``shape``, which records are
``unfit`` after all, and how ``add`` makes events of the rest.
"""

from __future__ import annotations

from importlib import import_module
from typing import Protocol

import numpy as np

from schemas.batch import I4, NONE
from schemas.record import SIZE_LIMIT
from schemas.shapes import ENVELOPES, Cases, Kind, Leaf, Rows, planned
from schemas.webhooks import USUAL
from schemas.webhooks.findings import Findings
from schemas.webhooks.tables import Table, Usual

try:
    from schemas.shred import Shredder
except ImportError:  # no compiler where this was installed
    Shredder = None  # type: ignore[assignment, misc]


FEW = 130
"""So many records are read one by one sooner than all at once."""


class _Module(Protocol):
    """How a provider's usual webhooks are told and read."""

    def shape(self, provider: str) -> Rows:
        """What their bodies look like."""

    def unfit(self, provider: str, usual: Usual, /) -> list[I4]:
        """Records that have this shape and must be read the long way all the same."""

    def add(self, provider: str, usual: Usual, number: I4, findings: Findings) -> None:
        """Adds their events; ``number`` is each record's in the batch by its place in the chunk."""


_MODULES: dict[str, _Module] = {
    provider: import_module(f"{__package__}.{module}") for provider, module in USUAL.items()
}

_PLAN = planned(
    {
        "kind": Leaf(Kind.WORD, needed=True, words=("webhook",)),
        "tenant": Leaf(Kind.NAME, needed=True, is_key=True),
        "provider": Leaf(Kind.WORD, needed=True, words=tuple(_MODULES)),
        "branch": Leaf(Kind.NAME),
        "received_at": Leaf(Kind.TIME, needed=True),
        "appended_at": Leaf(Kind.TIME),
        "body": Cases("provider", {name: each.shape(name) for name, each in _MODULES.items()}),
    }
)

_AROUND = dict(zip(_PLAN.tables, _PLAN.around, strict=True))
del _AROUND[ENVELOPES]

_SHREDDER = None if Shredder is None else Shredder(_PLAN)


def usual_of(values: list[bytes], keys: list[bytes | None] | None) -> Usual:
    """What of a chunk is usual; nothing of one that is small."""
    if _SHREDDER is None or len(values) < FEW:
        nothing = np.zeros(0, np.int32)
        return Usual(
            len(values), {ENVELOPES: Table({"record": nothing, "parent": nothing})}, _AROUND
        )
    _, columns = _SHREDDER.shred(values, keys, SIZE_LIMIT)
    usual = Usual(len(values), {name: Table(told) for name, told in columns.items()}, _AROUND)
    appended = usual.envelopes.times("appended_at").wall
    unfit = [
        usual.envelopes.record[usual.received_ms == NONE],
        usual.envelopes.record[(appended != NONE) & (usual.appended_ms == NONE)],
    ]
    for provider, module in _MODULES.items():
        unfit += module.unfit(provider, usual)
    return without(usual, np.concatenate(unfit))


def without(usual: Usual, records: I4) -> Usual:
    """All but these records."""
    if not len(records):
        return usual
    stays = np.ones(usual.count, np.bool_)
    stays[records] = False
    return usual.where(stays)


def add_events(usual: Usual, number: I4, findings: Findings) -> None:
    """What they say; ``number`` is each record's in the batch, by its place in the chunk."""
    for provider, module in _MODULES.items():
        module.add(provider, usual, number, findings)


def senders(usual: Usual, findings: Findings) -> I4:
    """Scopes of tenant and provider, a row for each envelope."""
    scopes = np.zeros(len(usual.envelopes), np.int32)
    provider = usual.envelopes.flags("provider")
    for code, name in enumerate(_MODULES):
        at = np.flatnonzero(provider == code)
        if len(at):
            scopes[at] = usual.scopes(name, usual.envelopes.record[at], None, findings)
    return scopes
