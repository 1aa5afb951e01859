"""Fold one lane's batch: ``(state, records) → (state, outputs)``.

In:    ``Batch`` of one lane, in log order
Out:   ``Outputs``, equal for every way of cutting the same log into batches
State: all of ``LaneState``

A batch is cut where something touches a whole tenant, and each part is taken in rounds.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from operators.columns import payment_columns, visit_columns
from operators.consent import words_of
from operators.contributions import Tally
from operators.days import owe_standing_days, tell_days
from operators.failures import first_cut, may_fail
from operators.fire import fire_until
from operators.forget import forget
from operators.funnel import owe_standing_funnel, tell_funnel
from operators.identify import identify, scope_rows
from operators.messages import apply_statuses, keep_commands
from operators.midnight import begin_days
from operators.minutes import owe_standing_minutes, tell_minutes
from operators.owed import DIGEST_MASK, Owed, digest_of
from operators.profiles import standing_now
from operators.prune import prune
from operators.recognise import first_recognised, recognise
from operators.residence import locate_tenants, refuse_abroad
from operators.restate import Passage
from operators.rounds import Work, take_rounds
from operators.settle import apply_settings
from operators.tombstones import keep_out
from schemas.batch import I8, Batch, ForgetEvent, Outputs, SettingsEvent, StatusEvents
from schemas.part import part_of
from state.index import Rows
from state.lane import LaneState
from state.tables import NEVER
from state.zones import DAY_MS

_CLEAN_EVERY_MS = 7 * DAY_MS


def fold(state: LaneState, batch: Batch) -> Outputs:
    """Folds the batch into the state and returns what it owes."""
    owed = Owed()
    told, batch = batch.settings, refuse_abroad(state, batch)
    if len(batch.positions):
        scopes = scope_rows(state, batch)
        clock = np.maximum.accumulate(np.maximum(batch.appended_ms, state.clock_ms))
        _await_midnights(state, int(clock[0]))
        _clean(state)
        _fold_records(state, owed, batch, scopes, clock)
        keep_commands(state, owed)
        locate_tenants(state, told)
        state.clock_ms = int(clock[-1])
        state.position = int(batch.positions[-1]) + 1
    for name in [name for name, times in batch.counts.items() if not times]:
        del batch.counts[name]
    batch.counts.update(owed.counts)
    streams = owed.streams(state)
    state.digest = (state.digest + digest_of(streams)) & DIGEST_MASK
    return Outputs(
        lane=state.lane,
        next_position=state.position,
        clock_ms=state.clock_ms,
        digest=state.digest,
        streams=streams,
        dead_letters=batch.dead_letters,
        counts=batch.counts,
    )


def close(state: LaneState) -> Outputs:
    """Profiles and aggregates as of the lane's clock; the state stays as it is."""
    owed = Owed()
    rows = state.customers.known.nonzero()[0]
    owed.profiles(standing_now(state, rows))
    owe_standing_days(state, owed)
    owe_standing_minutes(state, owed)
    owe_standing_funnel(state, owed)
    return Outputs(
        lane=state.lane,
        next_position=state.position,
        clock_ms=state.clock_ms,
        digest=state.digest,
        streams=owed.streams(state),
        dead_letters=[],
        counts=Counter(),
    )


def _clean(state: LaneState) -> None:
    """Once a lane-week, what no record can reach any more is freed; no output depends on it."""
    # As of what has been folded: what is due before the next record still needs its visits.
    if state.clock_ms - state.cleaned_ms >= _CLEAN_EVERY_MS:
        prune(state, state.clock_ms)
        state.cleaned_ms = state.clock_ms


def _await_midnights(state: LaneState, first_ms: int) -> None:
    """Tenants that are new: what has no facts yet does not notice on which day it is added."""
    tenants = state.tenants
    new = tenants.whose_midnight(NEVER)
    new = new[tenants.key[new] != 0]
    if len(new):
        tenants.await_midnight(new, state.clock_ms or first_ms)


def _fold_records(state: LaneState, owed: Owed, batch: Batch, scopes: Rows, clock: I8) -> None:
    """Cuts the batch where something touches a whole tenant: settings, forgetting, a midnight.

    Also before what tells of a message that reached nobody, where what was before it must be known.
    """
    rare: list[SettingsEvent | ForgetEvent] = sorted(
        [*batch.settings, *batch.forgets], key=lambda event: event.record
    )
    start, recognised = 0, -1
    while start < len(clock):
        end = rare[0].record + 1 if rare else len(clock)
        passed = int(np.searchsorted(clock, state.tenants.next_midnight(), "left"))
        part = part_of(batch, start, min(passed, end))
        found = first_recognised(state, part, scopes, clock, recognised)
        if found is not None:
            _fold_part(state, owed, batch, scopes, clock, start, found.record)
            start = recognised = found.record
            now_ms, position = int(clock[start]), int(batch.positions[start])
            _advance(state, owed, now_ms, now_ms, position)
            recognise(state, owed, found, now_ms, position, batch.counts)
            continue
        cut = _first_cut(state, part.statuses, scopes, clock, start)
        if cut is not None:
            _fold_part(state, owed, batch, scopes, clock, start, cut)
            start = cut
            continue
        if passed < end:
            _fold_part(state, owed, batch, scopes, clock, start, passed)
            _pass_midnights(state, owed, int(clock[passed]), int(batch.positions[passed]))
            start = passed
            continue
        _fold_part(state, owed, batch, scopes, clock, start, end)
        if rare:
            event = rare.pop(0)
            now_ms, position = int(clock[event.record]), int(batch.positions[event.record])
            if isinstance(event, SettingsEvent):
                apply_settings(state, owed, event, now_ms, position, batch.counts)
                _await_midnights(state, now_ms)
            else:
                forget(state, owed, event, now_ms, position, batch.counts)
                _await_midnights(state, now_ms)
        start = end


def _first_cut(
    state: LaneState, told: StatusEvents, scopes: Rows, clock: I8, start: int
) -> int | None:
    if not may_fail(state, told):
        return None
    tenants = state.scopes.tenant[scopes[told.scope]]
    return first_cut(state, told, tenants, clock[told.record], start)


def _pass_midnights(state: LaneState, owed: Owed, now_ms: int, position: int) -> None:
    """Every midnight up to a record's clock, each after what is due before it."""
    while (midnight_ms := state.tenants.next_midnight()) <= now_ms:
        _advance(state, owed, midnight_ms - 1, now_ms, position)
        begin_days(state, owed, midnight_ms, position)


def _advance(state: LaneState, owed: Owed, until_ms: int, now_ms: int, position: int) -> None:
    """Fires what is due up to an instant, for a record whose own clock is later."""
    fire_until(state, owed, until_ms, np.array([now_ms]), np.array([position]))


def _fold_part(
    state: LaneState, owed: Owed, batch: Batch, scopes: Rows, clock: I8, start: int, end: int
) -> None:
    if start == end:
        return
    part = keep_out(state, part_of(batch, start, end), scopes)
    if not any(len(events.record) for events in _kinds(part)):
        # Records that say nothing of anybody, heartbeats as a rule, let no more than time pass.
        fire_until(state, owed, int(clock[end - 1]), clock[start:end], batch.positions[start:end])
        _tell(state, owed, Tally(), batch, part, scopes, clock, start, end)
        return
    visits = visit_columns(state, part.visits, scopes, clock, batch.imported)
    work = Work(
        clock_ms=clock,
        positions=batch.positions,
        named=identify(state, part, scopes, visits, clock),
        visits=visits,
        cards=part.clients,
        incoming=part.incoming,
        payments=payment_columns(state, part.payments, scopes, clock),
        words=words_of(part, clock),
        counts=batch.counts,
        tally=Tally(),
        imported=batch.imported,
    )
    take_rounds(state, owed, work, start, end)
    told_again = apply_statuses(state, owed, part, scopes, clock, work.learnt)
    work.tally.duplicates(told_again)
    _tell(state, owed, work.tally, batch, part, scopes, clock, start, end)


def _kinds(part: Batch) -> tuple[Any, ...]:
    return part.visits, part.clients, part.payments, part.incoming, part.statuses


def _tell(
    state: LaneState,
    owed: Owed,
    tally: Tally,
    batch: Batch,
    part: Batch,
    scopes: Rows,
    clock: I8,
    start: int,
    end: int,
) -> None:
    """Rows of the aggregates whose ten seconds are over."""
    passage = Passage(clock[start:end], batch.positions[start:end], int(clock[end - 1]))
    tell_days(state, owed, tally, passage, start, batch.counts)
    tell_minutes(state, owed, tally, part, scopes, passage, start)
    tell_funnel(state, owed, passage)
