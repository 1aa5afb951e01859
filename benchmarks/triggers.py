"""``flowsell bench fold``: what a dozen triggers cost, and what comes due in one minute.

Takes: the town of ``workload``, whose tenants have the triggers of this module and no others
Out:   one JSON object for each scenario
Clock: the process's own seconds, so that neighbours on the machine matter less; what is compared
       takes turns
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from dataclasses import replace
from statistics import median
from time import process_time
from typing import Any

from benchmarks.chunks import Lanes
from benchmarks.scenarios import Say, chunk_of, filled
from benchmarks.workload import SLEEPLESS, Load, Town, live, past_visit
from operators.decode import decode
from operators.fold import fold
from schemas.batch import Chunk
from sources.bodies import ATTENDED, BOOKED, NO_SHOW, heartbeat_record, naive, settings_record
from sources.business import DAY, HOUR, MINUTE, CardState, offset_ms
from state.lane import LaneState

TWELVE: tuple[dict[str, Any], ...] = (
    {"id": "tomorrow", "kind": "reminder", "before": "24h"},
    {"id": "soon", "kind": "reminder", "before": "2h"},
    {"id": "birthday", "kind": "birthday", "at": "11:00"},
    {"id": "birthday_week", "kind": "birthday", "days_before": 7},
    {"id": "thanks", "kind": "after_visit", "after": "2h"},
    {"id": "review", "kind": "after_visit", "after": "3d"},
    {"id": "again", "kind": "rebook", "after_days": 28},
    {"id": "usual", "kind": "rebook", "interval_factor": 1.3},
    {"id": "back", "kind": "winback", "after_days": 90},
    {"id": "missed", "kind": "no_show", "after": "1h"},
    {"id": "cooling", "kind": "segment_entered", "segments": ["133", "233"]},
    {"id": "price", "kind": "reply", "match": ["цена"]},
)
"""Two of those kinds that have most to do, one or two of the others: all eight."""

OPEN: dict[str, Any] = {
    "consent_default": "allow",
    **SLEEPLESS,
}
"""Settings under which most of what is due goes out: a refusal costs less than a command."""

BY_CLOCK = ("reminder", "birthday", "after_visit", "rebook", "winback", "no_show")
"""Kinds that a minute of the clock can make due; the other two follow records."""
_QUIET_MINUTES = 30
_AWAY_DAYS = 250
"""Since the last visit of who is made due: longer than that of anybody else."""
_DUE_IDS = 800_000_000
_DUE_AT = 1 << 60


def against_none(load: Load, say: Say) -> dict[str, Any]:
    """The same log under twelve triggers a tenant and under none, in turn, run by run."""
    towns = [Town(load, OPEN | {"triggers": _told(rules)}) for rules in ((), TWELVE)]
    lanes = [filled(town, say) for town in towns]
    seconds: list[list[float]] = [[], []]
    records, outputs = [], [0, 0]
    for run in range(load.runs):
        chunks = live(towns[0], run)
        records.append(sum(len(chunk.values) for chunk in chunks))
        for which in (0, 1) if run % 2 else (1, 0):
            spent, decisions = _fold(chunks, lanes[which])
            seconds[which].append(spent)
            outputs[which] += decisions
        say(f"run {run + 1} of {load.runs}: {1 - seconds[0][-1] / seconds[1][-1]:.1%} lost")
    without, under = (
        median(count / spent for count, spent in zip(records, each, strict=True))
        for each in seconds
    )
    losses = [1 - bare / busy for bare, busy in zip(*seconds, strict=True)]
    return {
        "scenario": "triggers",
        "triggers": len(TWELVE),
        "customers": load.customers,
        "lanes": load.lanes,
        "records": sum(records),
        "decisions": outputs[1],
        "records_per_second_without": round(without),
        "records_per_second": round(under),
        "losses": [round(loss, 4) for loss in losses],
        "loss": round(median(losses), 4),
    }


def _fold(chunks: list[Chunk], states: list[LaneState]) -> tuple[float, int]:
    """Seconds of decode, fold and encode, and how many decisions were owed."""
    gc.collect()
    gc.freeze()
    decisions = 0
    started = process_time()
    for chunk in chunks:
        for batch in decode(chunk, len(states)):
            decisions += len(fold(states[batch.lane], batch).streams["decisions"])
    return process_time() - started, decisions


def due_minutes(load: Load, count: int, say: Say) -> dict[str, Any]:
    """A minute in which nothing is due, and for each kind one in which ``count`` are.

    A minute is a heartbeat in every lane; all lanes' together is what it costs.
    """
    town = Town(load, OPEN | {"triggers": []})
    states = filled(town, say)
    say(f"{count:,} more for each kind")
    first = load.first_minute + (_QUIET_MINUTES + 1) * MINUTE
    minutes = {kind: first + at * MINUTE for at, kind in enumerate(BY_CLOCK)}
    for chunk in _awaited(town, minutes, count):
        for batch in decode(chunk, load.lanes):
            fold(states[batch.lane], batch)
    _pass(states, load.first_minute)
    quiet = [_pass(states, load.first_minute + at * MINUTE) for at in range(1, _QUIET_MINUTES + 1)]
    kinds = {}
    for kind, minute in minutes.items():
        _pass(states, minute - 1)
        spent, decisions = _pass(states, minute)
        kinds[kind] = {"due": decisions, "ms": round(spent * 1_000, 1)}
        say(f"{kind}: {decisions:,} due, {spent * 1_000:.1f} ms")
    return {
        "scenario": "due",
        "customers": load.customers + count * len(BY_CLOCK),
        "visits": sum(len(state.visits) for state in states),
        "lanes": load.lanes,
        "decisions_of_quiet_minutes": sum(decisions for _, decisions in quiet),
        "quiet_minute_ms": round(median(spent for spent, _ in quiet) * 1_000, 3),
        "kinds": kinds,
        "slowest_ms": max(each["ms"] for each in kinds.values()),
    }


def _pass(states: list[LaneState], at: int) -> tuple[float, int]:
    """A heartbeat in every lane: seconds of all of them, and decisions."""
    line = heartbeat_record(at, at)
    beats = [chunk_of(state.lane, [line], [at], _DUE_AT + at) for state in states]
    return _fold(beats, states)


def _awaited(town: Town, minutes: dict[str, int], count: int) -> Iterator[Chunk]:
    """People who are due in their kind's minute, and then the settings that make them so."""
    load = town.load
    lanes = Lanes(load.lanes, 8_192, _DUE_AT)
    for at, (kind, minute) in enumerate(minutes.items()):
        for number in range(load.customers + at * count, load.customers + (at + 1) * count):
            for line in _reasons(town, kind, minute, number):
                yield from lanes.add(*line)
    for business, lane in zip(town.businesses, town.lanes, strict=True):
        clock = {
            kind: f"{at // HOUR % 24:02d}:{at // MINUTE % 60:02d}"
            for kind, minute in minutes.items()
            for at in (minute + offset_ms(business.place.zone, minute // DAY),)
        }
        rules = _told(
            (
                {"kind": "reminder", "before": "24h"},
                {"kind": "birthday", "at": clock["birthday"]},
                {"kind": "after_visit", "after": "2h"},
                {"kind": "rebook", "after_days": 28},
                {"kind": "winback", "after_days": _AWAY_DAYS, "at": clock["winback"]},
                {"kind": "no_show", "after": "1h"},
            )
        )
        told = replace(business, settings=business.settings | {"triggers": rules})
        yield from lanes.add(lane, load.warm_from, settings_record(told, load.warm_from))
    yield from lanes.rest()


def _reasons(town: Town, kind: str, minute: int, number: int) -> Iterator[tuple[int, int, bytes]]:
    """Records that make one person due: visits of long ago, and one of the kind's own."""
    load, booking = town.load, _DUE_IDS + number * 16
    away = _AWAY_DAYS + (kind != "winback")  # of the others a winback was due the day before
    for i in range(load.visits_each):
        start = minute - (away + 30 * i) * DAY
        yield past_visit(town, number, booking + i + 1, start, ATTENDED)
    told = {
        "reminder": (minute + DAY, BOOKED),
        "after_visit": (minute - 3 * HOUR, ATTENDED),
        "rebook": (minute - 28 * DAY, ATTENDED),
        "no_show": (minute - HOUR, NO_SHOW),
    }
    if kind in told:
        yield past_visit(town, number, booking, *told[kind])
    elif kind == "birthday":
        tenant = town.tenant_of(number)
        who = town.person(number)
        local = minute + offset_ms(town.businesses[tenant].place.zone, minute // DAY)
        who.birthday = b"1990" + naive(local)[4:10]
        state = CardState(0, load.warm_from - HOUR, True, 0, 0, True)
        line = town.crms[tenant].card(load.warm_from, load.warm_from, who, state)
        yield town.lanes[tenant], load.warm_from, line


def _told(rules: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Triggers as settings tell them."""
    rest = {"channels": ["whatsapp", "sms"], "template": "bench"}
    return [{"id": rule["kind"]} | rule | rest for rule in rules]
