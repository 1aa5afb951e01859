"""Take a part's events in rounds: in each of them every unit of customers takes its next one.

In:    a part of a batch with its facts as columns, and which unit each line is of
Out:   everything that is owed, in whatever order units take their turns
State: all of ``LaneState``

A unit's next event is whatever is due before its next record's clock, else that record. Units
have nothing to do with one another: one to three rounds are enough as a rule.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from operators import reminders
from operators.aliases import bury
from operators.consent import Words
from operators.contributions import Tally
from operators.decide import decide
from operators.failures import note_failures
from operators.fire import fire
from operators.identify import FAILURE, Named
from operators.messages import Learnt
from operators.moments import Moment
from operators.owed import Owed
from operators.payments import PaymentColumns
from operators.progress import take_replies
from operators.replies import answer
from operators.returns import credit
from operators.score import score
from operators.visits import VisitColumns, apply_round
from schemas.batch import (
    I1,
    I8,
    ClientEvents,
    IncomingEvents,
)
from state.index import Rows
from state.lane import LaneState
from state.runs import begins, distinct, in_order
from state.tables import NO_DAY

_CAUSES = np.array(["visit", "correction", "merge", "merge"], np.object_)  # by ``clients.Cause``


@dataclass(slots=True)
class Work:
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


def take_rounds(state: LaneState, owed: Owed, work: Work, start: int, end: int) -> None:
    """Takes every unit's events in their order, one per unit and round."""
    table, named = state.customers, work.named
    last_clock = int(work.clock_ms[end - 1])
    order = _by_unit(named)
    unit = named.unit[order]
    heads = begins(unit).nonzero()[0]
    ends = np.append(heads[1:], len(order))
    customers = _claim(state, named, unit[heads])
    agenda: Rows = state.due.until(last_clock)
    while True:
        limit = np.full(len(heads) + 1, last_clock)  # the last one: customers of no unit
        waiting = heads < ends
        limit[:-1][waiting] = work.clock_ms[named.record[order[heads[waiting]]]]
        agenda = _let_time_pass(state, owed, work, agenda, limit, start, end)
        if not waiting.any():
            break
        lines = order[heads[waiting]]
        stirred = _take(state, owed, work, lines)
        heads[waiting] += 1
        agenda = distinct(np.concatenate([agenda, stirred]))
    table.slot[customers] = -1
    strangers = ((named.kind == FAILURE) & (named.unit < 0)).nonzero()[0]
    note_failures(state, named, strangers, work.clock_ms)


def _let_time_pass(
    state: LaneState, owed: Owed, work: Work, agenda: Rows, limit: I8, start: int, end: int
) -> Rows:
    """Fires what is due up to the limits of customers' slots; returns who is due after them.

    What the last records have asked for is decided together with what is due first.
    """
    table, last_clock = state.customers, int(work.clock_ms[end - 1])
    passed = work.clock_ms[start:end], work.positions[start:end]
    while True:
        until = limit[table.slot[agenda]]
        comes = table.due[agenda] <= until
        if comes.any():
            fire(state, owed, agenda[comes], until[comes], *passed)
        elif owed.dues:
            decide(state, owed)
        else:
            return agenda[table.due[agenda] <= last_clock]


def _take(state: LaneState, owed: Owed, work: Work, lines: Rows) -> Rows:
    """One event each of units; returns the customers for whom more may come to be due.

    What it asks for in ``Owed.dues`` is still to be decided.
    """
    named = work.named
    table = state.customers
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
    asked = [dues.customer for dues in owed.dues]
    if len(merged.line):
        decide(state, owed)
        bury(state, owed, merged, _moment(work, merged.line))
    return np.concatenate([touched.customer, *asked])


def _moment(work: Work, lines: Rows) -> Moment:
    record = work.named.record[lines]
    return Moment(work.clock_ms[record], work.positions[record])


def _by_unit(named: Named) -> Rows:
    order = in_order(named.unit)
    return order[named.unit[order] >= 0]


def _claim(state: LaneState, named: Named, units: Rows) -> Rows:
    """Writes each customer's unit into its slot; returns the customers, to clear them again."""
    slots = np.searchsorted(units, named.met_unit)
    state.customers.slot[named.met] = slots
    return named.met
