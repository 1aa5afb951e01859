"""Pack objects of history into records of the log, tenant by tenant.

In:    sifted customers and visits
Out:   ``Plan``: records of kind ``history``, at most 500 objects in each; a tenant's customers come
       first, then its visits in the order in which they began
State: none; the same objects give the same records, whatever the order of the rows was
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec
import polars as pl
import xxhash

from operators.sift import Sifted

MOST_OBJECTS = 500

_LISTS = ("customers", "visits")


@dataclass(frozen=True)
class Slice:
    """What one record holds: objects ``start`` to ``stop`` of a list."""

    tenant: str
    list: str
    start: int
    stop: int

    @property
    def objects(self) -> int:
        """How many they are."""
        return self.stop - self.start


@dataclass(frozen=True)
class Plan:
    """All records of a backfill, made when they are asked for."""

    slices: Sequence[Slice]
    bodies: dict[str, pl.Series]
    """JSON of the objects, by list."""

    @property
    def objects(self) -> int:
        """Visits and customers in all records."""
        return sum(each.objects for each in self.slices)

    def objects_before(self, record: int) -> int:
        """Those of the first records."""
        return sum(each.objects for each in self.slices[:record])

    def records(self, received_at: str, start: int = 0) -> Iterator[tuple[Slice, bytes]]:
        """From the ``start``-th record on."""
        for each in self.slices[start:]:
            head = {"kind": "history", "tenant": each.tenant, "received_at": received_at}
            opening = msgspec.json.encode(head)[:-1]
            yield each, b'%b,"%b":[%b]}' % (opening, each.list.encode(), self._objects(each))

    def digest(self) -> str:
        """16 hex digits of what all records say, whenever they say it."""
        told = xxhash.xxh3_64()
        for each in self.slices:
            told.update(f"{each.tenant}\x1f{each.list}\x1f{each.objects}\x1f".encode())
            told.update(self._objects(each))
        return told.hexdigest()

    def _objects(self, each: Slice) -> bytes:
        bodies = self.bodies[each.list].slice(each.start, each.objects)
        return ",".join(bodies.to_list()).encode()


def pack(customers: Sifted | None, visits: Sifted | None) -> Plan:
    """The plan of everything that is told."""
    slices: list[tuple[str, int, Slice]] = []
    bodies: dict[str, pl.Series] = {}
    for turn, (name, sifted) in enumerate(zip(_LISTS, (customers, visits), strict=True)):
        if sifted is None:
            continue
        told = sifted.told.sort("tenant", "at", "id")
        bodies[name] = told["body"]
        start = 0
        for tenant, count in told.group_by("tenant", maintain_order=True).len().iter_rows():
            for first in range(start, start + count, MOST_OBJECTS):
                stop = min(first + MOST_OBJECTS, start + count)
                slices.append((tenant, turn, Slice(tenant, name, first, stop)))
            start += count
    slices.sort(key=lambda each: each[:2])
    return Plan([each for _, _, each in slices], bodies)
