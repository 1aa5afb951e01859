"""Bring customers up to date after their facts, their settings or their day have changed.

In:    distinct customers with the moment and the cause
Out:   segment changes; dues of triggers and entries that follow; profiles marked for the next flush
State: features and segment of the customers, their next due instants
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from operators import agenda, entries, reminders
from operators.features import Features, compute_features, history_of, only
from operators.held import waiting_of, withdraw_held
from operators.moments import Moment
from operators.owed import Owed
from operators.profiles import SEGMENTS
from operators.segments import (
    Codes,
    codes_under,
    next_day,
    own_day,
    roll_delay_ms,
    segment_codes,
)
from schemas.batch import I4, I8
from schemas.forms import INSTANT, KEY, NUMBER, TEXT, form_of
from schemas.outputs import Cause, SegmentChange
from state.index import Rows
from state.lane import LaneState
from state.tables import BOOKING, NEVER, Flags
from state.zones import MINUTE_MS

_CHANGE = form_of(SegmentChange, TEXT, KEY, KEY, KEY, TEXT, INSTANT, NUMBER)
_SECOND_MS = 1_000
_KEPT = ("last_day", "last_visit_ms", "frequency", "monetary", "next_booking_ms")

Causes = NDArray[np.object_]


def score(
    state: LaneState,
    owed: Owed,
    customers: Rows,
    cause: Causes,
    made_ms: I8,
    moment: Moment,
    anew: Flags | bool,
    moved: Flags | bool = False,
) -> None:
    """Recomputes these customers as of ``made_ms``; ``moment`` is the record that brought it about.

    Causes ``thresholds`` and ``history`` greet nobody: what they make due is passed in silence.

    ``made_ms`` is the clock of the record or the due instant that came before it. A profile is owed
    where something that it tells has changed, other than recency, and where ``anew`` says so.
    Where clients have ``moved`` between customers, what is entered now was entered before.
    """
    table = state.customers
    tenants = table.tenant[customers].astype(np.int64)
    today = own_day(state, customers, made_ms)
    history = history_of(state, customers)
    features = compute_features(state, customers, history, today, made_ms)
    before = table.segment[customers]
    after = segment_codes(state, tenants, features, today)
    by_time = cause == "time"
    cause = _by_thresholds(state, tenants, features, today, before, cause, by_time)
    scored = (
        (after != before)
        | (features.frequency != table.frequency[customers])
        | (features.monetary != table.monetary[customers])
        | (features.last_visit_ms != table.last_visit_ms[customers])
    )
    told = (
        scored | (~by_time & (features.next_booking_ms != table.next_booking_ms[customers])) | anew
    )
    table.score_changed[customers[scored]] = True
    table.segment[customers] = after
    table.scored_day[customers] = today
    for name in _KEPT:
        getattr(table, name)[customers] = getattr(features, name)
    _set_roll(state, customers, tenants, next_day(state, tenants, features, today))
    table.position[customers[told]] = moment.position[told]
    table.as_of_ms[customers[told]] = made_ms[told]
    flushed = (made_ms // _SECOND_MS + 1) * _SECOND_MS
    clean = told & (table.flush_due[customers] == NEVER)
    table.flush_due[customers[clean]] = flushed[clean]
    # At a due instant, what is due at the very same one is still to come.
    passed_ms = made_ms - by_time
    stirred = table.stirred[customers]
    table.stirred[customers] = 0
    passed = Moment(passed_ms, moment.position)
    booked = (stirred & BOOKING) != 0
    if booked.any():
        own = only(history, booked)
        reminders.plan(state, owed, customers[booked], own, passed.take(booked))
    # What the clock causes is told by its due minute, what a record causes by the record's clock.
    told_ms = np.where(by_time, made_ms - made_ms % MINUTE_MS, made_ms)
    quiet = (cause == "thresholds") | (cause == "history") | moved
    change = agenda.Change(
        passed_ms,
        told_ms,
        moment,
        today,
        silent=quiet & ~by_time,
        stirred=stirred,
        by_time=by_time,
    )
    agenda.plan(state, owed, customers, history, change)
    _withdraw_vanished(state, owed, customers, told_ms, moment)
    _tell_changes(state, owed, customers, before, cause, quiet, told_ms, made_ms, moment)
    table.touch(customers)
    state.due.refresh(customers)


def _withdraw_vanished(
    state: LaneState, owed: Owed, customers: Rows, told_ms: I8, moment: Moment
) -> None:
    """What is held for a reason that is no more is taken back."""
    waiting = (state.customers.held_due[customers] != NEVER).nonzero()[0]
    if not len(waiting):
        return
    chosen = customers[waiting]
    held = waiting_of(state, chosen)
    line = waiting[np.argsort(chosen)][np.searchsorted(np.sort(chosen), held.customer)]
    gone = agenda.vanished(state, held, told_ms[line])
    withdraw_held(state, owed, held.mark[gone], told_ms[line[gone]], moment.position[line[gone]])


def _by_thresholds(
    state: LaneState,
    tenants: Rows,
    features: Features,
    today: I4,
    before: Codes,
    cause: Causes,
    by_time: NDArray[np.bool_],
) -> Causes:
    """A roll that changes nothing under the boundaries before is what the new ones cause."""
    rules = state.tenants
    rolls = (by_time & (today == rules.bounds_day[tenants])).nonzero()[0]
    if not len(rolls):
        return cause
    held = rules.big_before[tenants], rules.fair_before[tenants]
    unmoved = codes_under(state, tenants, features, today, held)[rolls] == before[rolls]
    named = cause.copy()
    named[rolls[unmoved]] = "thresholds"
    return named


def _set_roll(state: LaneState, customers: Rows, tenants: Rows, day: I8) -> None:
    rolls = (day != NEVER).nonzero()[0]
    chosen = customers[rolls]
    zones = state.tenants.zone[tenants[rolls]]
    midnight = state.zones.midnight(zones, day[rolls].astype(np.int32))
    state.customers.roll_due[customers] = NEVER
    state.customers.roll_due[chosen] = midnight + roll_delay_ms(state, chosen)


def _tell_changes(
    state: LaneState,
    owed: Owed,
    customers: Rows,
    before: Codes,
    cause: Causes,
    quiet: Flags,
    told_ms: I8,
    made_ms: I8,
    moment: Moment,
) -> None:
    crossed = (state.customers.segment[customers] != before).nonzero()[0]
    if not len(crossed):
        return
    told_ms = told_ms[crossed]
    rows, old, why = customers[crossed], before[crossed], cause[crossed].tolist()
    position = moment.position[crossed]
    _owe_changes(state, owed, rows, old, why, told_ms, position, made_ms[crossed])
    fires = ~quiet[crossed]
    now = Moment(moment.now_ms[crossed][fires], position[fires])
    entries.enter(state, owed, rows[fires], old[fires], told_ms[fires], now)


def _owe_changes(
    state: LaneState,
    owed: Owed,
    customers: Rows,
    before: Codes,
    cause: list[Cause],
    at_ms: I8,
    positions: I8,
    due_ms: I8,
) -> None:
    for named, times in Counter(cause).items():
        owed.counts["segment_changes", named] += times
    table = state.customers
    keys, nothing = table.id[customers], [""] * len(customers)
    values = _CHANGE.fill(
        state.tenants.name[table.tenant[customers]].tolist(),
        keys,
        SEGMENTS[before],
        SEGMENTS[table.segment[customers]],
        cause,
        at_ms,
        positions,
    )
    owed.decided("segments", positions, due_ms, keys, nothing, nothing, values)
