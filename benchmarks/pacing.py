"""Append the load at a rate, as a gateway would, with questions and the faults of real traffic.

Takes:    a load of one run a second; how many of its runs each second of the clock has
Delivery: a process of its own; the records of a second spread over it
Question: one for every hundred records; each is answered by a command of its own
Faults:   2 % again, 5 % later by up to a minute, 1 % at any time after, 0.1 % rubbish
"""

from __future__ import annotations

import heapq
import multiprocessing
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.process import BaseProcess
from random import Random
from typing import Any

from benchmarks.chunks import without_append_time
from benchmarks.site import produce, record_producer
from benchmarks.workload import Load, Town, live
from sources.business import SECOND
from sources.poison import SPOILS

AGAIN, POISON, DISORDERED, LATE = 0.02, 0.001, 0.05, 0.01
QUESTIONS = 0.01
_PRICE = "цена".encode()
_ANSWER: dict[str, Any] = {
    "id": "price",
    "kind": "reply",
    "match": ["цена"],
    "channels": ["whatsapp"],
    "template": "price",
}
_DISORDER_SECONDS = 60.0
_AHEAD_SECONDS = 30
_SLICES = 50
"""Bursts of a second's records: one every 20 ms."""

Appended = tuple[int, bytes, bytes | None]
"""Lane, value, key."""


def steady(load: Load, rate: int, seconds: list[int], first_minute: int) -> Load:
    """The load with a run of ``rate`` records for each that these seconds have."""
    return replace(
        load,
        records=rate,
        runs=sum(seconds),
        run_ms=SECOND,
        first_minute=first_minute,
        records_per_second=rate,
    )


def asked_town(load: Load) -> Town:
    """The town of the load, whose tenants answer a question as well."""
    town = Town(load)
    town.businesses = [
        replace(one, settings=one.settings | {"triggers": [*one.settings["triggers"], _ANSWER]})
        for one in town.businesses
    ]
    return town


@contextmanager
def pacing(bootstrap: str, load: Load, seconds: list[int]) -> Iterator[BaseProcess]:
    """The load, running beside from its first minute on; ``seconds`` are runs in each of them.

    Yields the process that appends it, which ends with the last record.
    """
    context = multiprocessing.get_context("spawn")
    made = context.Queue(_AHEAD_SECONDS)
    maker = context.Process(target=_make, args=(load, seconds, made), daemon=True)
    pacer = context.Process(target=_pace, args=(bootstrap, load, seconds, made), daemon=True)
    for process in (maker, pacer):
        process.start()
    try:
        yield pacer
    finally:
        for process in (maker, pacer):
            process.kill()
            process.join()


def wait_for(first_minute: int) -> None:
    """Until the load begins."""
    time.sleep(max(0.0, first_minute / SECOND - time.time()))


def _make(load: Load, seconds: list[int], made: Any) -> None:
    """Builds the records ahead of their time, and of what is measured takes no processor's time."""
    os.nice(19)
    traffic = Traffic(load, len(seconds))
    for second, runs in enumerate(seconds):
        made.put(traffic.second(second, runs))


def _pace(bootstrap: str, load: Load, seconds: list[int], made: Any) -> None:
    producer = record_producer(bootstrap)
    producer.list_topics(timeout=10)  # connects: the first record must not wait for it
    begins = load.first_minute / SECOND
    for second in range(len(seconds)):
        records = made.get()
        for at in range(_SLICES):
            time.sleep(max(0.0, begins + second + at / _SLICES - time.time()))
            for lane, value, key in records[at::_SLICES]:
                produce(producer, value, key, lane)
            producer.poll(0)
    producer.flush(60)


class Traffic:
    """The load second by second, with its faults; what is delayed comes in a later one."""

    def __init__(self, load: Load, seconds: int) -> None:
        self._load = load
        self._town = asked_town(load)
        self._seconds = seconds
        self._chance = Random(f"{load.seed}:faults")
        self._next_run = 0
        self._delayed: list[tuple[float, int, Appended]] = []
        self._delays = 0

    def second(self, second: int, runs: int) -> list[Appended]:
        """What is appended in a second, in no order but the lanes' own."""
        records: list[Appended] = []
        for _ in range(runs):
            records += self._run(second)
            records += self._questions(second)
        while self._delayed and self._delayed[0][0] < second:
            records.append(heapq.heappop(self._delayed)[2])
        self._chance.shuffle(records)
        return records

    def _run(self, second: int) -> Iterator[Appended]:
        run, self._next_run = self._next_run, self._next_run + 1
        begins = self._load.first_minute + second * SECOND
        # The run's records are of this second, whatever its number.
        self._town.load = replace(self._load, first_minute=begins - run * SECOND)
        for chunk in live(self._town, run):
            for value, key in zip(chunk.values, chunk.keys or (), strict=True):
                yield from self._with_faults((chunk.lane, value, key), second)

    def _questions(self, second: int) -> Iterator[Appended]:
        """Messages of customers, at an instant of the second."""
        town, chance = self._town, self._chance
        at = self._load.first_minute + second * SECOND
        for _ in range(round(self._load.records * QUESTIONS)):
            number = int(chance.random() * self._load.customers)
            tenant = town.tenant_of(number)
            messenger = town.messengers[tenant]
            value = messenger.incoming(
                at, at, messenger.number(chance), town.phone(number), b"", at, _PRICE
            )
            key = town.businesses[tenant].tenant.encode()
            yield town.lanes[tenant], without_append_time(value), key

    def _with_faults(self, told: Appended, second: int) -> Iterator[Appended]:
        chance = self._chance
        luck = chance.random()
        if luck >= AGAIN + POISON + DISORDERED + LATE:
            yield told
        elif luck < AGAIN:
            yield told
            yield told
        elif luck < AGAIN + POISON:
            lane, value, key = told
            yield lane, SPOILS[chance.choice([*SPOILS])](value, chance), key
        else:
            longest = _DISORDER_SECONDS if luck < AGAIN + POISON + DISORDERED else self._seconds
            self._delays += 1
            until = second + chance.random() * longest
            heapq.heappush(self._delayed, (until, self._delays, told))
