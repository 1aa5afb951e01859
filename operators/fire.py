"""Fire what has come due: the roll before any trigger, and what is held last.

In:    customers and the instant up to which time passes for each; clocks and positions of records
Out:   everything that is owed at each customer's earliest due instant, and so on up to the instant
State: what the roll and the rules change; due instants move on
"""

from __future__ import annotations

import numpy as np

from operators import agenda, reminders
from operators.decide import decide
from operators.features import history_of
from operators.flush import flush
from operators.held import release
from operators.moments import Moment
from operators.owed import Owed
from operators.score import score
from schemas.batch import I8
from state.index import Rows
from state.lane import LaneState


def fire_until(state: LaneState, owed: Owed, until_ms: int, clock_ms: I8, positions: I8) -> None:
    """Fires everybody's up to an instant that a record of these has brought."""
    while len(ready := state.due.until(until_ms)):
        fire(state, owed, ready, np.full(len(ready), until_ms), clock_ms, positions)


def fire(
    state: LaneState, owed: Owed, ready: Rows, until_ms: I8, clock_ms: I8, positions: I8
) -> None:
    """Fires what is due at each customer's earliest instant: the roll before any trigger.

    ``clock_ms`` and ``positions`` are of the records that let the time pass. What is asked for, and
    what records have asked for before, is decided together. Whose profile is flushed before
    anything else goes on to what is due up to ``until_ms`` at once: a time to itself would cost as
    much as all the others'.
    """
    table = state.customers
    flushed = flush(state, owed, ready, clock_ms, positions)
    if flushed.any():
        ready = ready[~flushed | (table.due[ready] <= until_ms)]
        if not len(ready):
            return
    if owed.dues:
        asked = set().union(*(dues.customer.tolist() for dues in owed.dues))
        if not asked.isdisjoint(ready.tolist()):
            decide(state, owed)  # what a record of theirs has asked for comes first
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
