"""Fold one lane's batch: ``(state, records) → (state, outputs)``, in rounds.

In:    ``Batch`` of one lane, in log order
Out:   ``Outputs``, equal for every way of cutting the same log into batches
State: all of ``LaneState``

In each round every unit of customers takes its next event: whatever is due before its next
record's clock, else that record. Only a settings record cuts a batch.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from operators import agenda, reminders
from operators.aliases import bury
from operators.columns import payment_columns, visit_columns
from operators.consent import Words, words_of
from operators.contributions import Tally
from operators.days import owe_standing_days, tell_days
from operators.decide import decide
from operators.failures import first_cut, note_failures
from operators.features import compute_features, history_of
from operators.flush import flush
from operators.forget import forget
from operators.funnel import owe_standing_funnel, tell_funnel
from operators.held import release
from operators.identify import FAILURE, Named, identify, scope_rows
from operators.messages import Learnt, apply_statuses, keep_commands
from operators.midnight import begin_days
from operators.minutes import owe_standing_minutes, tell_minutes
from operators.moments import Moment
from operators.owed import DIGEST_MASK, Owed, digest_of
from operators.payments import PaymentColumns
from operators.profiles import standing_of
from operators.progress import take_replies
from operators.prune import prune
from operators.replies import answer
from operators.restate import Passage
from operators.returns import credit
from operators.score import score
from operators.segments import segment_codes
from operators.settle import apply_settings
from operators.visits import VisitColumns, apply_round
from schemas.batch import (
    I1,
    I8,
    Batch,
    ClientEvents,
    ForgetEvent,
    IncomingEvents,
    Outputs,
    SettingsEvent,
)
from schemas.part import part_of
from state.index import Rows
from state.lane import LaneState
from state.runs import begins
from state.tables import NEVER, NO_DAY
from state.zones import DAY_MS

_CAUSES = np.array(["visit", "correction", "merge", "merge"], np.object_)  # by ``clients.Cause``
_CLEAN_EVERY_MS = 7 * DAY_MS


@dataclass(slots=True)
class _Work:
    """A part of a batch without settings inside: its clocks, positions and events."""

    clock_ms: I8
    positions: I8
    named: Named
    visits: VisitColumns
    cards: ClientEvents
    incoming: IncomingEvents
    payments: PaymentColumns
    words: Words | None
    counts: Counter[tuple[str, ...]]
    tally: Tally
    imported: I1
    learnt: Learnt = field(default_factory=Learnt)


def fold(state: LaneState, batch: Batch) -> Outputs:
    """Folds the batch into the state and returns what it owes."""
    owed = Owed()
    if len(batch.positions):
        scopes = scope_rows(state, batch)
        clock = np.maximum.accumulate(np.maximum(batch.appended_ms, state.clock_ms))
        _await_midnights(state, int(clock[0]))
        _clean(state)
        _fold_records(state, owed, batch, scopes, clock)
        keep_commands(state, owed)
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
    rows = np.flatnonzero(state.customers.known).astype(np.int32)
    tenants = state.customers.tenant[rows]
    now = np.full(len(rows), state.clock_ms)
    today = state.tenant_day(tenants, now)
    features = compute_features(state, rows, history_of(state, rows), today, now)
    standing = replace(
        standing_of(state, rows, np.full(len(rows), state.position), now),
        segment=segment_codes(state, tenants, features, today),
        last_day=features.last_day,
        last_visit_ms=features.last_visit_ms,
        next_booking_ms=features.next_booking_ms,
        frequency=features.frequency,
        monetary=features.monetary,
        today=today,
        as_of_ms=now,
    )
    owed.profiles(standing)
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
    start = 0
    while start < len(clock):
        end = rare[0].record + 1 if rare else len(clock)
        passed = int(np.searchsorted(clock, state.tenants.next_midnight(), "left"))
        told = part_of(batch, start, min(passed, end)).statuses
        tenants = state.scopes.tenant[scopes[told.scope]]
        cut = first_cut(state, told, tenants, clock[told.record], start)
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
        start = end


def _pass_midnights(state: LaneState, owed: Owed, now_ms: int, position: int) -> None:
    """Every midnight up to a record's clock, each after what is due before it."""
    while (midnight_ms := state.tenants.next_midnight()) <= now_ms:
        _advance(state, owed, midnight_ms - 1, now_ms, position)
        begin_days(state, owed, midnight_ms, position)


def _advance(state: LaneState, owed: Owed, until_ms: int, now_ms: int, position: int) -> None:
    """Fires what is due up to an instant, for a record whose own clock is later."""
    clock_ms, positions = np.array([now_ms]), np.array([position])
    while len(agenda := state.due.until(until_ms)):
        _fire(state, owed, agenda, np.full(len(agenda), until_ms), clock_ms, positions)


def _fold_part(
    state: LaneState, owed: Owed, batch: Batch, scopes: Rows, clock: I8, start: int, end: int
) -> None:
    if start == end:
        return
    part = part_of(batch, start, end)
    if not any(len(events.record) for events in _kinds(part)):
        _advance_within(state, owed, clock[start:end], batch.positions[start:end])
        _tell(state, owed, Tally(), batch, part, scopes, clock, start, end)
        return
    visits = visit_columns(state, part.visits, scopes, clock, batch.imported)
    work = _Work(
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
    _rounds(state, owed, work, start, end)
    told_again = apply_statuses(state, owed, part, scopes, clock, work.learnt)
    work.tally.duplicates(told_again)
    _tell(state, owed, work.tally, batch, part, scopes, clock, start, end)


def _kinds(part: Batch) -> tuple[Any, ...]:
    return part.visits, part.clients, part.payments, part.incoming, part.statuses


def _advance_within(state: LaneState, owed: Owed, clock_ms: I8, positions: I8) -> None:
    """Records that say nothing of anybody, heartbeats as a rule, let no more than time pass."""
    while len(agenda := state.due.until(int(clock_ms[-1]))):
        _fire(state, owed, agenda, np.full(len(agenda), clock_ms[-1]), clock_ms, positions)


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


def _rounds(state: LaneState, owed: Owed, work: _Work, start: int, end: int) -> None:
    """Takes every unit's events in their order, one per unit and round."""
    table, named = state.customers, work.named
    last_clock = int(work.clock_ms[end - 1])
    order = _by_unit(named)
    unit = named.unit[order]
    first = begins(unit)
    heads = np.flatnonzero(first)
    ends = np.append(heads[1:], len(order))
    customers = _claim(state, named, unit[heads])
    agenda = state.due.until(last_clock)
    while True:
        limit = np.full(len(heads) + 1, last_clock)  # the last one: customers of no unit
        waiting = heads < ends
        limit[:-1][waiting] = work.clock_ms[named.record[order[heads[waiting]]]]
        while len(agenda):
            until = limit[table.slot[agenda]]
            comes = table.due[agenda] <= until
            ready = agenda[comes]
            if not len(ready):
                break
            passed = work.clock_ms[start:end], work.positions[start:end]
            _fire(state, owed, ready, until[comes], *passed)
            agenda = agenda[table.due[agenda] <= last_clock]
        if not waiting.any():
            break
        lines = order[heads[waiting]]
        touched = apply_round(
            state,
            named,
            lines,
            work.visits,
            work.cards,
            work.payments,
            work.words,
            work.clock_ms,
            work.counts,
            work.tally,
        )
        heads[waiting] += 1
        back = _moment(work, touched.reassigned_line)
        reminders.hand_back(state, owed, touched.reassigned, back)
        moment = _moment(work, touched.line)
        new = table.scored_day[touched.customer] == NO_DAY
        work.learnt.customers.append((touched.customer[new], named.record[touched.line[new]]))
        merged = touched.merged
        if len(merged.turned):
            told = named.record[merged.turned_line]
            work.learnt.aliases.append((merged.turned, merged.left, told))
        causes = _CAUSES[touched.cause]
        causes[work.imported[named.record[touched.line]] != 0] = "history"
        score(
            state,
            owed,
            touched.customer,
            causes,
            moment.now_ms,
            moment,
            touched.anew,
            touched.moved,
        )
        credit(state, owed, touched.customer, moment)
        take_replies(state, owed, named, lines, work.incoming, work.clock_ms, work.positions)
        answer(state, owed, named, lines, work.incoming, work.clock_ms, work.positions)
        # Who is only answered is not touched, but what is held for them may be due in this part.
        asked = np.concatenate([dues.customer for dues in owed.dues] or [touched.customer[:0]])
        decide(state, owed)
        bury(state, owed, merged, _moment(work, merged.line))
        stirred = np.concatenate([touched.customer, asked]) if len(asked) else touched.customer
        due = stirred[table.due[stirred] <= last_clock]
        if len(due):
            agenda = np.union1d(agenda, due)
    table.slot[customers] = -1
    strangers = np.flatnonzero((named.kind == FAILURE) & (named.unit < 0)).astype(np.int32)
    note_failures(state, named, strangers, work.clock_ms)


def _moment(work: _Work, lines: Rows) -> Moment:
    record = work.named.record[lines]
    return Moment(work.clock_ms[record], work.positions[record])


def _by_unit(named: Named) -> Rows:
    order = np.argsort(named.unit, kind="stable").astype(np.int32)
    return order[named.unit[order] >= 0]


def _claim(state: LaneState, named: Named, units: Rows) -> Rows:
    """Writes each customer's unit into its slot; returns the customers, to clear them again."""
    slots = np.searchsorted(units, named.met_unit)
    state.customers.slot[named.met] = slots
    return named.met


def _fire(
    state: LaneState, owed: Owed, ready: Rows, until_ms: I8, clock_ms: I8, positions: I8
) -> None:
    """Fires what is due at each customer's earliest instant: the roll before any trigger.

    ``clock_ms`` and ``positions`` are of the records that let the time pass. What is asked for is
    decided together. Whose profile is flushed before anything else goes on to what is due up to
    ``until_ms`` at once: a time to itself would cost as much as all the others'.
    """
    table = state.customers
    flushed = flush(state, owed, ready, clock_ms, positions)
    if flushed.any():
        ready = ready[~flushed | (table.due[ready] <= until_ms)]
        if not len(ready):
            return
    due = table.due[ready]
    record = np.searchsorted(clock_ms, due, "left")
    moment = Moment(clock_ms[record], positions[record])
    rolls = table.roll_due[ready] == due
    if rolls.any():
        cause = np.full(int(rolls.sum()), "time", np.object_)
        score(state, owed, ready[rolls], cause, due[rolls], moment.take(rolls), anew=False)
    reminds = table.reminder_due[ready] == due
    if reminds.any():
        rows = ready[reminds]
        history = history_of(state, rows)
        reminders.fire(state, owed, rows, history, due[reminds], moment.take(reminds))
    for column in agenda.COLUMNS:
        fires = getattr(table, column)[ready] == due
        if fires.any():
            agenda.fire(state, owed, column, ready[fires], due[fires], moment.take(fires))
    releases = table.held_due[ready] == due
    if releases.any():
        now = moment.take(releases)
        release(state, owed, ready[releases], due[releases], now.now_ms, now.position)
    decide(state, owed)
    table.touch(ready)
    state.due.refresh(ready)
