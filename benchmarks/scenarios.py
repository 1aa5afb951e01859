"""``flowsell bench fold`` beside the steady load: memory, midnight, sparse logs, a house number.

Takes: the town of ``workload``; each scenario runs in a process of its own
Out:   one JSON object for each, with what was asked of it and what came out
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from dataclasses import replace
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.chunks import Lanes
from benchmarks.machine import settled_rss_bytes
from benchmarks.workload import FIRST_MINUTE, Load, Town, live, warmup
from operators.decode import decode
from operators.fold import fold
from schemas.batch import Chunk
from sources.bodies import settings_record
from sources.business import DAY, HOUR, MINUTE, SECOND
from state.lane import LaneState

Say = Callable[[str], None]

_ID_KEY = b"bench"
_HOUSE_DAYS = 3
_HOUSE_VISITS = 10_000
_BEAT = b'{"kind":"heartbeat","received_at":"2026-06-10T10:00:00Z"}'


def memory_and_midnight(load: Load, say: Say) -> dict[str, Any]:
    """What a million customers hold, and what the passing of whole days costs them.

    The days are of heartbeats, half an hour apart: each tenant's midnight is in them, with its
    boundaries, its closed books and the rolls of the minutes after it. On the first one
    everybody's boundaries are new, the second is a day like any other, with the birthdays and
    all else that its triggers decide. On the third all triggers have been taken away, which looks
    at everybody anew once more; what is left on the fourth is the roll.
    """
    town = Town(load)
    states = filled(town, say)
    rss = settled_rss_bytes()
    rows = _rows(states)
    say(f"{rss / 1e6:,.0f} MB; now four days pass")
    (first, _, _), (second, slowest, changes) = (_pass_day(load, states, day) for day in (0, 1))
    _take_triggers_away(town, states)
    _, (roll, _, rolled) = (_pass_day(load, states, day) for day in (2, 3))
    return {
        "scenario": "memory",
        "customers": load.customers,
        "lanes": load.lanes,
        "rss_bytes": rss,
        "rss_bytes_after": settled_rss_bytes(),
        "rows": rows,
        "first_day_seconds": round(first, 3),
        "day_seconds": round(second, 3),
        "slowest_beat_seconds": round(slowest, 3),
        "segment_changes": changes,
        "roll_seconds": round(roll, 3),
        "segment_changes_of_roll": rolled,
    }


def _pass_day(load: Load, states: list[LaneState], day: int) -> tuple[float, float, int]:
    """Seconds of all beats together and of the slowest, and how many customers moved."""
    begins = load.begin(load.runs) + day * DAY
    seconds: list[float] = []
    moved = 0
    for beat in range(48):
        at = begins + beat * 30 * MINUTE
        for state in states:
            chunk = chunk_of(state.lane, [_BEAT], [at], (day + 1 << 60) + beat)
            started = perf_counter()
            for batch in decode(chunk, load.lanes):
                moved += len(fold(state, batch).streams["segments"])
            seconds.append(perf_counter() - started)
    return sum(seconds), max(seconds), moved


def _take_triggers_away(town: Town, states: list[LaneState]) -> None:
    at = town.load.begin(town.load.runs) + 2 * DAY - MINUTE
    lanes = Lanes(town.load.lanes, 8_192, 5 << 59)
    for business, lane in zip(town.businesses, town.lanes, strict=True):
        bare = replace(business, settings=business.settings | {"triggers": []})
        lanes.add(lane, at, settings_record(bare, at))
    for chunk in lanes.rest():
        for batch in decode(chunk, town.load.lanes):
            fold(states[batch.lane], batch)


def sparse(load: Load, say: Say) -> dict[str, Any]:
    """One record a minute in one lane, day after day for a year."""
    days = load.runs
    load = replace(load, lanes=1, records=24 * 60, run_ms=DAY, records_per_second=1 / 60)
    town = Town(load)
    states = filled(town, say)
    chunks = _joined(chunk for run in range(days) for chunk in live(town, run))
    records = sum(len(chunk.values) for chunk in chunks)
    seconds = _seconds(chunks, states, load.lanes)
    return {
        "scenario": "sparse",
        "days": days,
        "customers": load.customers,
        "tenants": load.tenant_count,
        "records": records,
        "records_per_second": round(records / seconds),
    }


def house_number(load: Load, say: Say) -> dict[str, Any]:
    """As many visits of one phone a day as of thousands of phones, one each."""
    say(f"{_HOUSE_VISITS:,} visits a day")
    rates = {
        name: _house_rate(load, phones) for name, phones in (("many", _HOUSE_VISITS), ("one", 1))
    }
    return {
        "scenario": "house",
        "visits_a_day": _HOUSE_VISITS,
        "days": _HOUSE_DAYS,
        "records_per_second_of_many_phones": round(rates["many"]),
        "records_per_second_of_one_phone": round(rates["one"]),
        "times_as_costly": round(rates["many"] / rates["one"], 2),
    }


def _house_rate(load: Load, phones: int) -> float:
    states = [LaneState(0, _ID_KEY)]
    begin = FIRST_MINUTE - FIRST_MINUTE % DAY
    values, appended = [], []
    for at in range(_HOUSE_DAYS * _HOUSE_VISITS):
        day, number = divmod(at, _HOUSE_VISITS)
        clock = begin + day * DAY + 8 * HOUR + number * SECOND
        start = np.datetime64(clock, "ms")
        values.append(
            b'{"kind":"webhook","tenant":"t1","provider":"generic",'
            b'"received_at":"%bZ","body":{"type":"visit","id":"v-%d","version":1,'
            b'"status":"attended","phone":"+7701%07d","starts_at":"%bZ","amount_minor":500000}}'
            % (str(start).encode(), at, number % phones, str(start - 3_600_000).encode())
        )
        appended.append(clock)
    size = load.batch
    chunks = [
        chunk_of(0, values[at : at + size], appended[at : at + size], at)
        for at in range(0, len(values), size)
    ]
    return len(values) / _seconds(chunks, states, 1)


def filled(town: Town, say: Say) -> list[LaneState]:
    """The lanes of a town after its warm-up."""
    load = town.load
    say(f"warming up: {load.customers:,} customers")
    states = [LaneState(lane, _ID_KEY) for lane in range(load.lanes)]
    for chunk in warmup(town):
        for batch in decode(chunk, load.lanes):
            fold(states[batch.lane], batch)
    return states


def _seconds(chunks: list[Chunk], states: list[LaneState], lanes: int) -> float:
    gc.collect()
    gc.freeze()
    started = perf_counter()
    for chunk in chunks:
        for batch in decode(chunk, lanes):
            fold(states[batch.lane], batch)
    return perf_counter() - started


def _joined(chunks: Iterator[Chunk]) -> list[Chunk]:
    """The chunks of a lane in batches as large as a catch-up makes them."""
    size = 16_384
    parts = list(chunks)
    values = [value for chunk in parts for value in chunk.values]
    appended = [ms for chunk in parts if chunk.appended_ms is not None for ms in chunk.appended_ms]
    return [
        chunk_of(0, values[at : at + size], appended[at : at + size], (1 << 40) + at)
        for at in range(0, len(values), size)
    ]


def chunk_of(lane: int, values: list[bytes], appended: list[int], first: int) -> Chunk:
    """Records of one lane at positions from ``first`` on."""
    positions = np.arange(first, first + len(values), dtype=np.int64)
    return Chunk(lane, positions, np.array(appended, np.int64), values, None)


def _rows(states: list[LaneState]) -> dict[str, int]:
    names = states[0].tables
    return {name: sum(len(state.tables[name]) for state in states) for name in names}
