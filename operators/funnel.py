"""Count what became of contacts: how far each came, who returned, by day and by month.

In:    changes of single contacts, each at the record that made it
Out:   absolute rows of ``message_funnel_daily`` and ``uplift_monthly``
State: ``funnel_days``, ``uplift_months``; read only: contacts

Changes of contacts that are ``DAYS_KEPT`` days old, on the tenant's calendar, are ignored.
"""

from __future__ import annotations

import numpy as np

from operators.days import named_days
from operators.moments import Moment
from operators.owed import Owed
from operators.restate import Differences, Passage, Restated, as_they_stand, restate
from schemas.aggregates import MessageFunnelDaily, UpliftMonthly
from schemas.batch import I4, I8
from state.days import DAYS_KEPT
from state.funnel import SQUARE_BASE, FunnelDays
from state.index import Rows
from state.lane import LaneState
from state.tables import Flags

_VARIANTS = ("treated", "holdout")  # by ``state.contacts``


def note(state: LaneState, owed: Owed, contacts: Rows, moment: Moment, **by: I8) -> None:
    """Changes measures of the days of these contacts, by their names; the others stay."""
    table = state.contacts
    lines = (
        is_open(state, table.tenant[contacts], table.day[contacts], moment.now_ms)
        & (table.funnel[contacts] >= 0)
    ).nonzero()[0]
    if not len(lines):
        return
    nothing = np.zeros(len(lines), np.int64)
    measures = [by[name][lines] if name in by else nothing for name in FunnelDays.MEASURES]
    chosen = moment.take(lines)
    row = table.funnel[contacts[lines]]
    owed.funnel.append(Differences(row, chosen.now_ms, chosen.position, tuple(measures)))


def is_open(state: LaneState, tenants: Rows, days: I4, now_ms: I8) -> Flags:
    """Whether rows of these days can still change."""
    today = state.tenant_day(tenants, now_ms).astype(np.int64)
    young: Flags = today - days < DAYS_KEPT
    return young


def tell_funnel(state: LaneState, owed: Owed, passage: Passage) -> None:
    """Applies what was noted since the last call, and tells what is due."""
    changes, owed.funnel = _joined(owed.funnel), []
    _owe_funnel(state, owed, restate(state.funnel_days, passage, changes))
    changes, owed.uplift = _joined(owed.uplift), []
    _owe_uplift(state, owed, restate(state.uplift_months, passage, changes))


def owe_standing_funnel(state: LaneState, owed: Owed) -> None:
    """At the end of the input: what is still to be told, as of the clock."""
    _owe_funnel(state, owed, as_they_stand(state.funnel_days, state.position, state.clock_ms))
    _owe_uplift(state, owed, as_they_stand(state.uplift_months, state.position, state.clock_ms))


def _joined(changes: list[Differences]) -> Differences | None:
    if len(changes) < 2:
        return changes[0] if changes else None
    return Differences(
        np.concatenate([each.row for each in changes]),
        np.concatenate([each.clock_ms for each in changes]),
        np.concatenate([each.position for each in changes]),
        tuple(map(np.concatenate, zip(*(each.by for each in changes), strict=True))),
    )


def _owe_funnel(state: LaneState, owed: Owed, told: Restated | None) -> None:
    if told is None:
        return
    table = state.funnel_days
    names = (
        *named_days(state, table.tenant[told.row], table.day[told.row]),
        state.words.text[table.trigger[told.row]].tolist(),
        state.words.text[table.channel[told.row]].tolist(),
        [_VARIANTS[each] for each in table.variant[told.row].tolist()],
    )
    owed.restated(MessageFunnelDaily, names, told)


def _owe_uplift(state: LaneState, owed: Owed, told: Restated | None) -> None:
    if told is None:
        return
    table = state.uplift_months
    tenants, days = named_days(state, table.tenant[told.row], table.day[told.row])
    names = (
        tenants,
        [day[:7] for day in days],
        state.words.text[table.trigger[told.row]].tolist(),
        [_VARIANTS[each] for each in table.variant[told.row].tolist()],
    )
    *measures, high, low = told.columns()
    squared = [top * SQUARE_BASE + rest for top, rest in zip(high, low, strict=True)]
    owed.restated(UpliftMonthly, names, told, [*measures, squared])
