"""Plan, send and take back reminders of booked visits.

In:    customers whose visits or rules changed, or whose reminder is due
Out:   commands, decisions, withdrawals; each customer's next reminder instant
State: ``visits.held_ms`` (the start whose occasion a visit holds), occasions, ``reminder_due``

The visits of one customer, branch and local day have one occasion: the earliest start among those
not cancelled. While a booked visit starts then, it holds the occasion. When the earliest start
changes, what was sent is withdrawn; a start that comes back was decided already and stays silent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operators.decide import Due, decide, visit_occasion, visit_text, withdraw
from operators.encode import Owed
from operators.features import History
from operators.segments import own_day
from schemas.batch import ATTENDED, CONFIRMED, I4, I8, NONE
from schemas.keys import mix, row_keys
from state.index import Rows
from state.lane import LaneState
from state.tables import DECIDED, NEVER, SENT, SILENT, WITHDRAWN
from state.zones import DAY_MS

U8 = NDArray[np.uint64]

_MINUTE_MS = 60_000
_LONGEST_DAY_MS = DAY_MS + 2 * 3_600_000


@dataclass(slots=True)
class Moment:
    """When something happens to each of n customers: instants and positions, one line each."""

    now_ms: I8
    position: I8


def plan(state: LaneState, owed: Owed, customers: Rows, history: History, moment: Moment) -> None:
    """Brings held occasions and the next reminder instants in line with the visits.

    An occasion whose due minute has passed when it is first seen is decided in silence.
    """
    visits = state.visits
    state.customers.reminder_due[customers] = NEVER
    ruled = (state.tenants.reminder_before != NONE).any(axis=1)
    concerned = ruled[state.customers.tenant[customers]]
    concerned[history.owner[visits.held_ms[history.visit] != NONE]] = True
    recent = visits.start_ms[history.visit] > moment.now_ms[history.owner] - _LONGEST_DAY_MS
    recent |= visits.held_ms[history.visit] != NONE
    chosen = concerned[history.owner] & recent
    owner, visit = history.owner[chosen], history.visit[chosen]
    if not len(owner):
        return
    now = moment.now_ms[owner]
    old = np.where(visits.held_ms[visit] > now, visits.held_ms[visit], NONE)
    new = _held_starts(state, owner, visit, now)
    _release(state, owed, owner, visit, old, new, moment)
    changed = visits.held_ms[visit] != new
    visits.held_ms[visit[changed]] = new[changed]
    visits.touch(visit[changed])
    holds = new != NONE
    _schedule(state, customers, owner[holds], visit[holds], now[holds])


def hand_back(state: LaneState, owed: Owed, reassigned: Rows, moment: Moment) -> None:
    """Visits that became another client's: what was sent for them went to the wrong person."""
    visits, occasions = state.visits, state.occasions
    held = visits.held_ms[reassigned]
    for at in np.flatnonzero(held != NONE).tolist():
        row = int(reassigned[at])
        kept = np.flatnonzero((occasions.visit == row) & (occasions.start_ms == held[at]))
        _withdraw_all(state, owed, kept, int(moment.now_ms[at]), int(moment.position[at]))
        visits.held_ms[row] = NONE


def fire(
    state: LaneState, owed: Owed, customers: Rows, history: History, due_ms: I8, moment: Moment
) -> None:
    """Decides every occasion of these customers that is due at their ``due_ms``."""
    visits, occasions = state.visits, state.occasions
    now = moment.now_ms
    today = own_day(state, customers, due_ms)
    holds = visits.held_ms[history.visit] != NONE
    owner, visit = history.owner[holds], history.visit[holds]
    for rule, due, keys in _rules(state, customers, owner, visit):
        ready = np.flatnonzero((due == due_ms[owner]) & (occasions.index.find(keys) < 0))
        for at in ready.tolist():
            place, row = int(owner[at]), int(visit[at])
            customer = int(customers[place])
            trigger = state.tenants.reminders[state.customers.tenant[customer]][rule]
            start = int(visits.held_ms[row])
            lasting = start if trigger.ttl_ms is None else int(due[at]) + trigger.ttl_ms
            day = _same_day(state, history.visit[history.owner == place], row)
            sent = decide(
                state,
                owed,
                Due(
                    customer=customer,
                    trigger=trigger,
                    occasion=visit_occasion(state, row),
                    due_ms=int(due[at]),
                    made_ms=int(due[at]),
                    now_ms=int(now[place]),
                    position=int(moment.position[place]),
                    expires_ms=min(start, lasting),
                    today=int(today[place]),
                    visit=visit_text(state, day, int(visits.place[row])),
                    place=int(visits.place[row]),
                ),
            )
            outcome = DECIDED if sent is None else SENT
            occasion = _keep(state, keys[at : at + 1], visit[at : at + 1], outcome)
            occasions.rule[occasion] = state.tenants.reminder_key[
                state.customers.tenant[customer], rule
            ]
            occasions.expires_ms[occasion] = min(start, lasting)
            occasions.command[occasion] = sent
    state.customers.reminder_due[customers] = NEVER
    _schedule(state, customers, owner, visit, due_ms[owner])


def _held_starts(state: LaneState, owner: Rows, visit: Rows, now: I8) -> I8:
    """The start whose occasion each visit holds, NONE for most."""
    visits = state.visits
    held = np.full(len(visit), NONE)
    live = np.flatnonzero(visits.status[visit] <= ATTENDED)
    rows = visit[live]
    start, place = visits.start_ms[rows], visits.place[rows]
    day = state.zones.day(state.places.zone[place], start)
    open_ = visits.status[rows] <= CONFIRMED
    order = np.lexsort((visits.key[rows], ~open_, start, day, place, owner[live]))
    first = _firsts(owner[live][order], place[order], day[order])
    holder = order[first]
    holder = holder[open_[holder] & (start[holder] > now[live][holder])]
    held[live[holder]] = start[holder]
    return held


def _firsts(*columns: Rows | I4) -> NDArray[np.bool_]:
    """Where a new group begins in sorted columns."""
    first = np.ones(len(columns[0]), np.bool_)
    first[1:] = np.logical_or.reduce([column[1:] != column[:-1] for column in columns])
    return first


def _release(
    state: LaneState,
    owed: Owed,
    owner: Rows,
    visit: Rows,
    old: I8,
    new: I8,
    moment: Moment,
) -> None:
    """Visits that no longer hold their occasion pass it on, or withdraw what was sent for it."""
    visits, occasions = state.visits, state.occasions
    for at in np.flatnonzero((old != NONE) & (old != new)).tolist():
        row, start = int(visit[at]), int(old[at])
        kept = np.flatnonzero((occasions.visit == row) & (occasions.start_ms == start))
        if not len(kept):
            continue
        heirs = (owner == owner[at]) & (new == start)
        heirs &= visits.place[visit] == visits.place[row]
        heir = np.flatnonzero(heirs)
        if len(heir):
            _pass_on(state, kept.astype(np.int32), int(visit[heir[0]]), start)
        else:
            now, position = int(moment.now_ms[owner[at]]), int(moment.position[owner[at]])
            _withdraw_all(state, owed, kept, now, position)


def _withdraw_all(
    state: LaneState, owed: Owed, kept: NDArray[np.intp], now_ms: int, position: int
) -> None:
    occasions = state.occasions
    for occasion in kept.tolist():
        if occasions.state[occasion] == SENT and now_ms < occasions.expires_ms[occasion]:
            withdraw(owed, occasions.command[occasion], now_ms, position)
            occasions.state[occasion] = WITHDRAWN
            occasions.command[occasion] = None
            occasions.changed[occasion] = True


def _pass_on(state: LaneState, kept: Rows, heir: int, start: int) -> None:
    """The same start has another holder: what was decided counts for it too."""
    occasions = state.occasions
    for old in kept.tolist():
        key = _occasion_keys(state, np.array([heir]), np.array([start]), occasions.rule[[old]])
        if occasions.index.find(key)[0] >= 0:
            continue
        new = _keep(state, key, np.array([heir], np.int32), int(occasions.state[old]), start)
        for name in ("rule", "expires_ms", "command"):
            getattr(occasions, name)[new] = getattr(occasions, name)[old]
        # The one who gave it away keeps the mark, but nothing to withdraw.
        if occasions.state[old] == SENT:
            occasions.state[old] = WITHDRAWN
            occasions.command[old] = None
            occasions.changed[old] = True


def _rules(state: LaneState, customers: Rows, owner: Rows, visit: Rows) -> list[tuple[int, I8, U8]]:
    """Per rule of the tenants: the due minute of each holder (NEVER: no such rule) and its key."""
    tenants = state.customers.tenant[customers][owner]
    start = state.visits.held_ms[visit]
    rules = []
    for rule in range(state.tenants.reminder_before.shape[1]):
        before = state.tenants.reminder_before[tenants, rule]
        due = (start - np.where(before == NONE, 0, before)) // _MINUTE_MS * _MINUTE_MS
        due = np.where(before == NONE, NEVER, due)
        keys = _occasion_keys(state, visit, start, state.tenants.reminder_key[tenants, rule])
        rules.append((rule, due, keys))
    return rules


def _schedule(state: LaneState, customers: Rows, owner: Rows, visit: Rows, now: I8) -> None:
    """Sets each customer's next reminder instant from the occasions not decided yet."""
    for rule, due, keys in _rules(state, customers, owner, visit):
        undecided = (due != NEVER) & (state.occasions.index.find(keys) < 0)
        late = undecided & (due <= now)
        if late.any():
            occasion = _keep(state, keys[late], visit[late], SILENT)
            tenants = state.customers.tenant[customers][owner[late]]
            state.occasions.rule[occasion] = state.tenants.reminder_key[tenants, rule]
        coming = undecided & ~late
        np.minimum.at(state.customers.reminder_due, customers[owner[coming]], due[coming])


def _keep(state: LaneState, keys: U8, visit: Rows, outcome: int, start: int | None = None) -> Rows:
    occasions = state.occasions
    rows, _ = occasions.find_or_add(keys)
    occasions.visit[rows] = visit
    occasions.start_ms[rows] = state.visits.held_ms[visit] if start is None else start
    occasions.state[rows] = outcome
    occasions.touch(rows)
    return rows


def _occasion_keys(state: LaneState, visit: Rows, start: I8, rule: U8) -> U8:
    return row_keys(mix(state.visits.key[visit], start.view(np.uint64)), rule)


def _same_day(state: LaneState, candidates: Rows, holder: int) -> list[int]:
    """Visits of the holder's branch and local day that are not cancelled, by start."""
    visits = state.visits
    place = visits.place[holder]
    rows = candidates[(visits.status[candidates] <= ATTENDED) & (visits.place[candidates] == place)]
    zone = np.full(len(rows), state.places.zone[place], np.int32)
    day = state.zones.day(zone, visits.start_ms[rows])
    own = state.zones.day(zone[:1], visits.start_ms[[holder]])
    rows = rows[day == own]
    order = np.lexsort((visits.key[rows], visits.start_ms[rows], rows != holder))
    listed: list[int] = rows[order].tolist()
    return listed
