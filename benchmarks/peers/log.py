"""The seeded log of the common job: webhooks of yclients, WhatsApp and the generic format.

Takes: the load of ``workload``; phases are numbered, 0 is the past of all customers
Out:   ``Chunk``s of one lane each; the same seed gives the same log
Faults: 2 % of a run's records come again, 5 % come later, both by up to a tenth of the run

Tenants differ in nothing that the job does not know: one zone, one currency, boundaries that are
sums, no triggers. A tenth of a run's records are generic visits, of which some are taken back, some
are older than the window, and half have their phone written as people write it at home. Each phase
ends with a marker in every lane: a new customer's visit, so that its change of segment tells that
the lane has been read so far.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import count, islice
from random import Random
from typing import Any

import numpy as np
import orjson

from benchmarks.peers import job
from benchmarks.workload import Load, Town, live, warmup
from schemas.batch import Chunk
from schemas.keys import lane_of
from sources.bodies import utc
from sources.business import DAY, HOUR, MINUTE, SECOND

AGAIN, LATER = 0.02, 0.05
_WITHIN = 0.1
_GENERIC = 0.1
_TAKEN_BACK = 7
"""Every seventh generic visit is cancelled after all."""
_OLDEST_DAYS = 420
_SLICE = 500

SETTINGS: dict[str, Any] = {
    "preset": "beauty_hair_cosmetology",
    "timezone": "UTC",
    "country": "KZ",
    "currency": "KZT",
    "scoring": {
        "window_days": job.WINDOW_DAYS,
        "recency_days": list(job.RECENCY_DAYS),
        "frequency": list(job.FREQUENCY),
        "monetary": list(job.MONETARY_MINOR),
    },
    "triggers": [],
}

_VISIT = (
    b'{"kind":"webhook","tenant":"%b","provider":"generic","received_at":"%b","body":'
    b'{"type":"visit","id":"%b","version":%d,"status":"%b","phone":"%b","client":"crm-%b",'
    b'"starts_at":"%b","amount_minor":%d,"currency":"KZT","services":["haircut"]}}'
)
_MARKER_SETTINGS = b'{"kind":"settings","tenant":"%b","received_at":"%b","settings":%b}'

Record = tuple[bytes, bytes]
"""Key and value."""


class PeerLog:
    """The log of one deployment, phase by phase."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self._town = Town(load, SETTINGS)
        self._markers = [_tenant_of(lane, load.lanes) for lane in range(load.lanes)]

    def past(self) -> list[Chunk]:
        """Phase 0: settings, three attended visits of everybody, bookings."""
        told, own = utc(self.load.warm_from), orjson.dumps(SETTINGS)
        lanes: list[list[Record]] = [
            [(tenant, _MARKER_SETTINGS % (tenant, told, own))] for tenant in self._markers
        ]
        _add(lanes, warmup(self._town))
        return self._ended(lanes, 0)

    def run(self, window: int, phase: int) -> list[Chunk]:
        """A window of traffic with its faults, as a phase."""
        chance = Random(f"{self.load.seed}:peers:{window}")
        lanes: list[list[Record]] = [[] for _ in range(self.load.lanes)]
        _add(lanes, live(self._town, window))
        own = round(self.load.records * _GENERIC / (1 - _GENERIC))
        stories: list[list[list[Record]]] = [[] for _ in lanes]
        made = self._visits(window, chance)
        while own > 0:
            lane, story = next(made)
            stories[lane].append(story)
            own -= len(story)
        mixed = [_mixed(lane, told, chance) for lane, told in zip(lanes, stories, strict=True)]
        return self._ended([_with_faults(lane, chance) for lane in mixed], phase)

    def markers(self, phase: int) -> list[Chunk]:
        """A phase of nothing but its markers."""
        return self._ended([[] for _ in range(self.load.lanes)], phase)

    def marker_customers(self, phase: int) -> set[tuple[str, str]]:
        """Tenant and phone of each lane's marker."""
        return {(tenant.decode(), _marker_phone(phase).decode()) for tenant in self._markers}

    def _visits(self, window: int, chance: Random) -> Iterator[tuple[int, list[Record]]]:
        """Lane and records of one generic visit after the other."""
        town, load = self._town, self.load
        now = load.begin(window)
        for at in count():
            number = int(chance.random() * load.customers)
            tenant = town.tenant_of(number)
            phone = town.phone(number)
            start = now - at * 37 % _OLDEST_DAYS * DAY - HOUR
            versions = [b"booked", b"attended"] + [b"cancelled"] * (at % _TAKEN_BACK == 0)
            key = town.businesses[tenant].tenant.encode()
            yield town.lanes[tenant], [
                (
                    key,
                    _VISIT % (
                        key, utc(now), b"%d-%d" % (window, at), version, status,
                        _as_at_home(phone) if at % 2 else b"+" + phone, phone, utc(start),
                        town.price(number) * 100,
                    ),
                )
                for version, status in enumerate(versions, 1)
            ]  # fmt: skip

    def _ended(self, lanes: list[list[Record]], phase: int) -> list[Chunk]:
        """The lanes, each with its marker, in slices that take turns."""
        now = self.load.begin(0)
        phone = _marker_phone(phase)
        for lane, tenant in zip(lanes, self._markers, strict=True):
            marker = _VISIT % (
                tenant, utc(now), b"marker-%d" % phase, 1, b"attended", b"+" + phone, phone,
                utc(now - HOUR), 100_000,
            )  # fmt: skip
            lane.append((tenant, marker))
        longest = max(map(len, lanes))
        return [
            _chunk(lane, records[at : at + _SLICE])
            for at in range(0, longest, _SLICE)
            for lane, records in enumerate(lanes)
            if at < len(records)
        ]


def peer_load(records: int, customers: int, seed: int, lanes: int, runs: int) -> Load:
    """Around the next minute of the clock: the brokers' append times must fit the bodies."""
    minute = (int(time.time()) // 60 + 1) * MINUTE
    return Load(
        round(records * (1 - _GENERIC)), customers, seed, lanes, runs, run_ms=SECOND,
        first_minute=minute, records_per_second=records,
    )  # fmt: skip


def _add(lanes: list[list[Record]], chunks: Iterator[Chunk] | list[Chunk]) -> None:
    for chunk in chunks:
        keys = chunk.keys or []
        lanes[chunk.lane] += [(k or b"", v) for k, v in zip(keys, chunk.values, strict=True)]


def _mixed(lane: list[Record], stories: list[list[Record]], chance: Random) -> list[Record]:
    """The lane with each story's records at places of their own, in their order."""
    length = max(len(lane), 1)
    placed = [(float(at), record) for at, record in enumerate(lane)]
    for story in stories:
        points = sorted(chance.random() * length for _ in story)
        placed += zip(points, story, strict=True)
    return [record for _, record in sorted(placed, key=lambda each: each[0])]


def _with_faults(lane: list[Record], chance: Random) -> list[Record]:
    """The lane as a network delivers it: no record is lost."""
    within = len(lane) * _WITHIN
    placed = []
    for at, record in enumerate(lane):
        luck = chance.random()
        late = luck < LATER
        placed.append((at + late * chance.random() * within, record))
        if LATER <= luck < LATER + AGAIN:
            placed.append((at + chance.random() * within, record))
    return [record for _, record in sorted(placed, key=lambda each: each[0])]


def _chunk(lane: int, records: list[Record]) -> Chunk:
    none = np.zeros(0, np.int64)
    return Chunk(lane, none, None, [value for _, value in records], [key for key, _ in records])


def _tenant_of(lane: int, lanes: int) -> bytes:
    """A tenant of its own for each lane's markers."""
    names = (f"marker{number}" for number in count())
    return next(islice((name for name in names if lane_of(name, lanes) == lane), 1)).encode()


def _marker_phone(phase: int) -> bytes:
    return b"7700%07d" % (1_000_000 + phase)


def _as_at_home(phone: bytes) -> bytes:
    return b"8 (%b) %b-%b-%b" % (phone[1:4], phone[4:7], phone[7:9], phone[9:])
