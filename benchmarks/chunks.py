"""Collect a load's records into chunks of one lane each, as a Kafka source hands them over.

Takes: a lane, an append time and a line each
Out:   ``Chunk``s under the tenant's key; the append time is the broker's, so no line tells it
"""

from __future__ import annotations

import re

import numpy as np

from schemas.batch import Chunk

_APPENDED_AT = re.compile(rb',"appended_at":"[^"]*"')
"""In a topic the append time is the broker's; only an exported file carries it."""

_TENANT = re.compile(rb'"tenant":"([^"]*)"')


class Lanes:
    """Collects records into chunks of one lane each."""

    def __init__(self, lanes: int, size: int, position: int = 0) -> None:
        self._size = size
        self._next = [position] * lanes
        self._values: list[list[bytes]] = [[] for _ in range(lanes)]
        self._appended: list[list[int]] = [[] for _ in range(lanes)]

    def add(self, lane: int, appended: int, line: bytes) -> list[Chunk]:
        """The lane's chunk if this record fills it."""
        values = self._values[lane]
        values.append(without_append_time(line))
        self._appended[lane].append(appended)
        return [self._chunk(lane)] if len(values) >= self._size else []

    def rest(self) -> list[Chunk]:
        """What is left."""
        return [self._chunk(lane) for lane, values in enumerate(self._values) if values]

    def _chunk(self, lane: int) -> Chunk:
        values, self._values[lane] = self._values[lane], []
        appended = np.array(self._appended[lane], np.int64)
        self._appended[lane] = []
        first = self._next[lane]
        self._next[lane] += len(values)
        positions = np.arange(first, self._next[lane], dtype=np.int64)
        return Chunk(lane, positions, appended, values, [_key(value) for value in values])


def without_append_time(line: bytes) -> bytes:
    """The record as a producer writes it."""
    return _APPENDED_AT.sub(b"", line, count=1)


def _key(value: bytes) -> bytes | None:
    """The key under which the record stands in its topic: the tenant."""
    tenant = _TENANT.search(value)
    return tenant and tenant[1]
