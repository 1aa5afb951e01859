"""Count webhooks by provider and minute of the lane's clock.

In:    a part's webhooks and events, the records whose events were duplicates
Out:   absolute rows of ``webhooks_minutely``
State: ``minutes``: the minute that lasts, and those that have not been told to their end

``records`` and ``dead`` count bodies; ``events``, ``duplicates`` and ``late`` what bodies say. An
event is late if its own time is more than an hour before its minute. Webhooks of tenants without
settings are counted beside.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from operators.contributions import Tally
from operators.owed import Owed
from operators.restate import (
    TOLD_EVERY_MS,
    Differences,
    Passage,
    Restated,
    as_they_stand,
    restate,
)
from schemas.aggregates import WebhooksMinutely
from schemas.batch import I4, I8, NONE, Batch
from schemas.keys import row_keys
from state.index import Rows
from state.lane import LaneState
from state.tables import NEVER
from state.zones import MINUTE_MS

_HOUR_MS = 60 * MINUTE_MS
_ROWS_KEPT = 4_096
_TIMED = frozenset({"yclients", "altegio", "iiko"})
"""Providers whose version of a visit, client or payment is the instant of its change."""


def tell_minutes(
    state: LaneState,
    owed: Owed,
    tally: Tally,
    part: Batch,
    scopes: Rows,
    passage: Passage,
    first: int,
) -> None:
    """Adds a part's webhooks and tells what is due; ``first`` is the part's first record."""
    changes = None
    if len(part.webhooks.record):
        part.counts["ignored", "settings"] += _without_settings(state, part, scopes)
        changes = _differences(state, tally, part, scopes, passage, first)
    owe_minutes(state, owed, restate(state.minutes, passage, changes))
    _forget(state, passage.until_ms)


def _without_settings(state: LaneState, part: Batch, scopes: Rows) -> int:
    """Webhooks of tenants that have told no settings, so that the shipped ones hold."""
    bare = state.tenants.stored[state.scopes.tenant[scopes]] == None  # noqa: E711  # elementwise
    return int(np.count_nonzero(bare[part.webhooks.scope])) if bare.any() else 0


def _differences(
    state: LaneState,
    tally: Tally,
    part: Batch,
    scopes: Rows,
    passage: Passage,
    first: int,
) -> Differences:
    """Webhooks of one scope between two tellings are one difference, at the last of them."""
    record = part.webhooks.record.astype(np.int64) - first
    count = len(passage.clock_ms)
    telling = passage.clock_ms[record] // TOLD_EVERY_MS
    width = len(part.scopes)
    cell: I8 = (telling - telling[0]) * width + part.webhooks.scope
    size = int(telling[-1] - telling[0] + 1) * width
    if size > 4 * len(cell) + 1_024:  # records far apart: cells would be mostly empty
        cells, place = np.unique(cell, return_inverse=True)
        cell, size = place.astype(np.int64), len(cells)
    last = np.full(size, -1, np.int64)
    last[cell] = np.arange(len(cell))  # of what is written twice the later one stays
    there = (last >= 0).nonzero()[0]
    last = last[there]
    measures = [
        np.bincount(cell, minlength=size)[there],
        *(
            _sums(cell, measure, record, size)[there]
            for measure in (
                _events(part, first, count),
                _numbers(tally.repeats, first, count),
                _late(part, passage, first),
            )
        ),
        np.bincount(cell[part.webhooks.dead != 0], minlength=size)[there],
    ]
    part.counts["late_events",] += int(measures[3].sum())
    rows = _minute_rows(
        state, scopes[part.webhooks.scope[last]], passage.clock_ms[record[last]] // MINUTE_MS
    )
    return passage.changes(rows, record[last], tuple(measures))


def _sums(cell: I8, measure: I8 | None, record: I8, size: int) -> I8:
    """A measure by record, summed by cell; numbers this small are exact in floats."""
    if measure is None:
        return np.zeros(size, np.int64)
    return np.bincount(cell, weights=measure[record], minlength=size).astype(np.int64)


def _events(part: Batch, first: int, count: int) -> I8 | None:
    kinds = (part.visits, part.clients, part.statuses, part.incoming, part.payments)
    return _numbers([events.record for events in kinds if len(events.record)], first, count)


def _numbers(records: Sequence[Rows], first: int, count: int) -> I8 | None:
    """How often each record of the part is named."""
    if not records:
        return None
    counted: I8 = np.bincount(np.concatenate(records) - first, minlength=count)
    return counted


def _late(part: Batch, passage: Passage, first: int) -> I8 | None:
    """Late events by record."""
    timed = np.array([scope.provider in _TIMED for scope in part.scopes], np.bool_)
    late = [
        _late_records(told.record, told.at_ms, passage, first)
        for told in (part.statuses, part.incoming)
    ]
    for changed in (part.visits, part.clients, part.payments):
        if len(changed.record):
            own = timed[changed.scope]
            late.append(_late_records(changed.record[own], changed.version[own], passage, first))
    return _numbers([records for records in late if len(records)], first, len(passage.clock_ms))


def _late_records(record: I4, at_ms: I8, passage: Passage, first: int) -> I4:
    clock = passage.clock_ms[record - first]
    late: I4 = record[(at_ms != NONE) & (at_ms < clock - clock % MINUTE_MS - _HOUR_MS)]
    return late


def _minute_rows(state: LaneState, scopes: Rows, minutes: I8) -> Rows:
    keys = row_keys(state.scopes.key[scopes], minutes.view(np.uint64))
    return state.minutes.of(keys, scope=scopes, minute_ms=minutes * MINUTE_MS)


def _forget(state: LaneState, now_ms: int) -> None:
    """Minutes that are over and told are never asked for again; freed many at a time."""
    table = state.minutes
    if len(table) < _ROWS_KEPT:
        return
    rows = table.live()
    over = (table.minute_ms[rows] + MINUTE_MS <= now_ms) & (table.due_ms[rows] == NEVER)
    if 2 * int(over.sum()) > len(rows):
        table.free(rows[over])


def owe_standing_minutes(state: LaneState, owed: Owed) -> None:
    """At the end of the input: what is still to be told, as of the clock."""
    owe_minutes(state, owed, as_they_stand(state.minutes, state.position, state.clock_ms))


def owe_minutes(state: LaneState, owed: Owed, told: Restated | None) -> None:
    """Rows of ``webhooks_minutely``."""
    if told is None:
        return
    table = state.minutes
    scope = table.scope[told.row]
    tenants = state.tenants.name[state.scopes.tenant[scope]].tolist()
    providers = state.scopes.provider[scope].tolist()
    whole = table.minute_ms[told.row].astype("datetime64[ms]")
    minutes = [f"{text}Z" for text in np.datetime_as_string(whole, "s").tolist()]
    owed.restated(WebhooksMinutely, (tenants, providers, minutes), told)
