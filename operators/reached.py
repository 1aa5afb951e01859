"""Note what an event changes in the days of other visits and of payments that it reaches.

In:    ``Reach`` of a round's lines: visits that share money with what they tell of, and payments
Out:   differences in the ``Tally``
State: ``counted`` of these visits and payments

What has left the window adds nothing: it might as well have been freed.
"""

from __future__ import annotations

import numpy as np

from operators.contributions import Contribution, Tally, contribution, recount
from operators.crowds import inside
from operators.identify import Named
from operators.reach import Reach, is_held
from schemas.batch import I8
from state.lane import LaneState
from state.tables import Flags


def reached_contributions(state: LaneState, reached: Reach) -> tuple[Contribution, Contribution]:
    """What the reached visits and payments add now."""
    visits = payments = _NOTHING
    if len(reached.visit):
        visits = contribution(state, state.visits, reached.visit, _visits_held(state, reached))
    if len(reached.payment):
        payments = contribution(
            state, state.payments, reached.payment, _payments_held(state, reached)
        )
    return visits, payments


_NO_NUMBERS = np.zeros(0, np.int64)
_NOTHING = Contribution(
    tenant=_NO_NUMBERS,
    day=np.zeros(0, np.int32),
    counts=np.zeros(0, np.bool_),
    visits=_NO_NUMBERS,
    walk_ins=_NO_NUMBERS,
    money=_NO_NUMBERS,
    segment=np.zeros(0, np.int16),
)


def note_reached(
    state: LaneState,
    tally: Tally,
    named: Named,
    reached: Reach,
    before: tuple[Contribution, Contribution],
    clocks: I8,
) -> None:
    """What they add after the events; ``clocks`` are per record."""
    if len(reached.visit):
        record, held = named.record[reached.visit_line], _visits_held(state, reached)
        recount(state, tally, state.visits, reached.visit, before[0], record, clocks, held)
    if len(reached.payment):
        record, held = named.record[reached.payment_line], _payments_held(state, reached)
        recount(state, tally, state.payments, reached.payment, before[1], record, clocks, held)


def _visits_held(state: LaneState, reached: Reach) -> Flags:
    visits = state.visits
    window = state.tenants.window[state.scopes.tenant[visits.scope[reached.visit]]]
    return inside(visits.kept_day[reached.visit], reached.visit_today, window)


def _payments_held(state: LaneState, reached: Reach) -> Flags:
    payments = state.payments
    window = state.tenants.window[state.scopes.tenant[payments.scope[reached.payment]]]
    return is_held(state, reached.payment, reached.payment_today, window)
