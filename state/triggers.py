"""A tenant's triggers of one kind as (tenant, slot) matrices, so that rules are applied by column.

State: none of its own; rebuilt from the settings whenever they are adopted
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.batch import I4
from schemas.keys import text_key
from schemas.settings import Trigger
from state.index import U8, Rows
from state.rules import Rules

_FLOATS = frozenset({"interval_factor"})

COLUMNS = {
    "reminder": ("before_ms", "is_marketing"),
    "birthday": ("at_minute", "days_before", "ttl_ms"),
    "after_visit": ("after_ms",),
    "rebook": ("after_days", "interval_factor", "names_service"),
    "winback": ("after_days", "at_minute"),
    "no_show": ("after_ms",),
    "segment_entered": (),
    "reply": (),
}
"""The numbers of each kind that are asked for by column, by their names in ``Trigger``."""


class OfKind:
    """Triggers of one kind: ``of[tenant]`` as they are, ``key`` and numbers as matrices.

    ``key`` is 0 where a tenant has no trigger in that slot, else ``rule`` is its number in
    ``Rules``; ``some`` tells who has any.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.of: list[tuple[Trigger, ...]] = []
        self.key: U8 = np.zeros((0, 0), np.uint64)
        self.rule: I4 = np.zeros((0, 0), np.int32)
        self.some: NDArray[np.bool_] = np.zeros(0, np.bool_)
        self._columns: dict[str, NDArray[Any]] = {
            name: np.zeros((0, 0), np.float64 if name in _FLOATS else np.int64)
            for name in COLUMNS[kind]
        }

    @property
    def slots(self) -> range:
        """As many as the tenant with the most triggers has."""
        return range(self.key.shape[1])

    def each(self, tenants: Rows) -> tuple[Rows, Rows]:
        """A line for every trigger of each of these tenants: the tenant's place, and the slot."""
        line, slot = self.key[tenants].nonzero()
        return line, slot

    def column(self, name: str) -> NDArray[Any]:
        """One number of every trigger, by tenant and slot; 0 where there is none."""
        return self._columns[name]

    def most(self, name: str) -> int:
        """The largest of these numbers, 0 where there is none."""
        return int(self._columns[name].max(initial=0))

    def put(self, tenant: int, triggers: tuple[Trigger, ...], rules: Rules) -> None:
        """The triggers that a tenant has from now on; those of other kinds are left out.

        ``rules`` have their numbers already.
        """
        mine = tuple(trigger for trigger in triggers if trigger.kind == self.kind)
        while len(self.of) <= tenant:
            self.of.append(())
        self.of[tenant] = mine
        self._reserve(tenant + 1, len(mine))
        self.some[tenant] = bool(mine)
        self.key[tenant] = 0
        for name, matrix in self._columns.items():
            matrix[tenant] = 0
            matrix[tenant, : len(mine)] = [getattr(trigger, name) or 0 for trigger in mine]
        for slot, trigger in enumerate(mine):
            self.key[tenant, slot] = text_key(trigger.id)
            self.rule[tenant, slot] = rules.number(tenant, trigger.id)

    def _reserve(self, tenants: int, slots: int) -> None:
        height, width = self.key.shape
        if tenants <= height and slots <= width:
            return
        shape = (tenants + tenants // 4 if tenants > height else height, max(width, slots))
        self.key, self.rule = _grown(self.key, shape), _grown(self.rule, shape)
        self._columns = {name: _grown(matrix, shape) for name, matrix in self._columns.items()}
        some = np.zeros(shape[0], np.bool_)
        some[:height] = self.some
        self.some = some


def _grown(matrix: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    grown = np.zeros(shape, matrix.dtype)
    grown[: matrix.shape[0], : matrix.shape[1]] = matrix
    return grown
