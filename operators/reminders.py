"""Plan, send and take back reminders of booked visits.

In:    customers whose visits or rules changed, or whose reminder is due
Out:   what is due, withdrawals; each customer's next reminder instant
State: ``visits.held_ms`` (the start whose occasion a visit holds), occasions, ``reminder_due``

The visits of one customer, branch and local day have one occasion: the earliest start among those
not cancelled. While a booked visit starts then, it holds the occasion. When the earliest start
changes, what was sent is withdrawn; a start that comes back was decided already and stays silent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operators.bookings import told_visits, visit_ids, visit_occasions
from operators.decide import withdraw
from operators.features import History
from operators.held import move_mark, withdraw_held
from operators.moments import Moment
from operators.owed import Dues, Owed
from operators.quiet import is_quiet
from operators.same_day import days_of, several_of
from schemas.batch import ATTENDED, CONFIRMED, I4, I8, NONE
from schemas.keys import mix, row_keys
from state.index import Rows
from state.lane import LaneState
from state.tables import HELD, NEVER, SENT, SILENT, WITHDRAWN, Flags
from state.zones import DAY_MS, MINUTE_MS

U8 = NDArray[np.uint64]

_LONGEST_DAY_MS = DAY_MS + 2 * 3_600_000


def plan(state: LaneState, owed: Owed, customers: Rows, history: History, moment: Moment) -> None:
    """Brings held occasions and the next reminder instants in line with the visits.

    An occasion whose due minute has passed when it is first seen is decided in silence, and so is
    one whose start history has told.
    """
    visits = state.visits
    state.customers.reminder_due[customers] = NEVER
    concerned = state.tenants.triggers["reminder"].some[state.customers.tenant[customers]]
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
    holds = (new != NONE).nonzero()[0]
    every = _reminders(state, customers, owner[holds], visit[holds])
    _schedule(state, customers, every, moment.now_ms)


def hand_back(state: LaneState, owed: Owed, reassigned: Rows, moment: Moment) -> None:
    """Visits that became another client's: what was sent for them went to the wrong person."""
    visits = state.visits
    held = visits.held_ms[reassigned]
    for at in (held != NONE).nonzero()[0].tolist():
        row = int(reassigned[at])
        kept = _kept(state, row, int(held[at]))
        _withdraw_all(state, owed, kept, int(moment.now_ms[at]), int(moment.position[at]))
        visits.held_ms[row] = NONE


def fire(
    state: LaneState, owed: Owed, customers: Rows, history: History, due_ms: I8, moment: Moment
) -> None:
    """Asks for decisions of every occasion of these customers that is due at their ``due_ms``."""
    visits = state.visits
    # Of a visit that has begun since nothing was told, the start is still held.
    holds = (visits.held_ms[history.visit] >= due_ms[history.owner]).nonzero()[0]
    owner, visit = history.owner[holds], history.visit[holds]
    every = _reminders(state, customers, owner, visit)
    ready = _ready(state, every, due_ms)
    if len(ready.visit):
        rows = _keep(state, ready)
        owed.dues.append(_dues(state, customers, history, ready, rows, moment))
    state.customers.reminder_due[customers] = NEVER
    _schedule(state, customers, every, due_ms)


@dataclass(slots=True)
class _Reminders:
    """What visits that hold an occasion are reminded of, a line for each rule of their tenants.

    ``owner`` is the customer's place among those asked for, ``slot`` the rule's among the tenant's;
    ``key`` is the occasion's.
    """

    owner: Rows
    visit: Rows
    slot: Rows
    start_ms: I8
    due_ms: I8
    key: U8
    rule_key: U8

    def take(self, lines: Rows | Flags) -> _Reminders:
        """Those of these lines."""
        return _Reminders(*(getattr(self, name)[lines] for name in _Reminders.__slots__))


def _ready(state: LaneState, every: _Reminders, due_ms: I8) -> _Reminders:
    """Those that are due when their owners are, and are not decided yet."""
    ready = every.take((every.due_ms == due_ms[every.owner]).nonzero()[0])
    return ready.take(state.occasions.index.find(ready.key) < 0)


def _dues(
    state: LaneState,
    customers: Rows,
    history: History,
    ready: _Reminders,
    marks: Rows,
    moment: Moment,
) -> Dues:
    visits, places = state.visits, state.places
    due_ms = np.full(len(customers), NEVER)  # of whom nothing is due
    due_ms[ready.owner] = ready.due_ms
    coming = visits.start_ms[history.visit] >= due_ms[history.owner]
    coming &= visits.status[history.visit] <= ATTENDED
    several = several_of(state, history.owner[coming], history.visit[coming])
    start, due = ready.start_ms, ready.due_ms
    place = visits.place[ready.visit]
    local = state.zones.to_local(places.zone[place], start)
    rules = state.tenants.rules
    rule = state.tenants.triggers["reminder"].rule[places.tenant[place], ready.slot]
    ids = visit_ids(state, ready.visit)
    return Dues(
        customer=customers[ready.owner],
        rule=rule,
        occasion=visit_occasions(state, ready.visit, ids, start),
        due_ms=due,
        made_ms=due,
        now_ms=moment.now_ms[ready.owner],
        position=moment.position[ready.owner],
        expires_ms=np.minimum(start, due + rules.ttl_ms[rule]),
        visit=told_visits(state, ready.visit, ids, several, start, local),
        branch=[branch or None for branch in places.branch[place].tolist()],
        mark=marks,
        held=np.zeros(len(marks), np.bool_),
    )


def _held_starts(state: LaneState, owner: Rows, visit: Rows, now: I8) -> I8:
    """The start whose occasion each visit holds, NONE for most."""
    visits = state.visits
    held = np.full(len(visit), NONE)
    live = (visits.status[visit] <= ATTENDED).nonzero()[0]
    days = days_of(state, owner[live], visit[live])
    line, row = live[days.line[days.first]], days.visit[days.first]
    start = visits.start_ms[row]
    holds = (visits.status[row] <= CONFIRMED) & (start > now[line])
    held[line[holds]] = start[holds]
    return held


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
    visits = state.visits
    for at in ((old != NONE) & (old != new)).nonzero()[0].tolist():
        row, start = int(visit[at]), int(old[at])
        kept = _kept(state, row, start)
        if not len(kept):
            continue
        heirs = (owner == owner[at]) & (new == start)
        heirs &= visits.place[visit] == visits.place[row]
        heir = heirs.nonzero()[0]
        if len(heir):
            _pass_on(state, kept, int(visit[heir[0]]), start)
        else:
            now, position = int(moment.now_ms[owner[at]]), int(moment.position[owner[at]])
            _withdraw_all(state, owed, kept, now, position)


def _kept(state: LaneState, visit: int, start: int) -> Rows:
    """What has been decided of a visit and a start, under the triggers that there are."""
    rules = state.tenants.triggers["reminder"].key[state.places.tenant[state.visits.place[visit]]]
    rules = rules[rules != 0]
    visits = np.full(len(rules), visit, np.int32)
    found = state.occasions.index.find(
        _occasion_keys(state, visits, np.full(len(rules), start), rules)
    )
    return found[found >= 0]


def _withdraw_all(state: LaneState, owed: Owed, kept: Rows, now_ms: int, position: int) -> None:
    occasions = state.occasions
    each = np.ones(len(kept), np.int64)
    withdraw_held(state, owed, kept.astype(np.int32), now_ms * each, position * each)
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
        visit, starts, rule = np.array([heir], np.int32), np.array([start]), occasions.rule[[old]]
        key = _occasion_keys(state, visit, starts, rule)
        if occasions.index.find(key)[0] >= 0:
            continue
        new = _keep_occasions(state, key, visit, starts, rule)
        for name in ("state", "expires_ms", "command"):
            getattr(occasions, name)[new] = getattr(occasions, name)[old]
        # The one who gave it away keeps the mark, but nothing to withdraw.
        if occasions.state[old] == HELD:
            move_mark(state, old, int(new[0]))
        if occasions.state[old] in (SENT, HELD):
            occasions.state[old] = WITHDRAWN
            occasions.command[old] = None
            occasions.changed[old] = True


def _reminders(state: LaneState, customers: Rows, owner: Rows, visit: Rows) -> _Reminders:
    """Of visits that hold an occasion, by all rules of their customers' tenants."""
    tenants = state.customers.tenant[customers[owner]]
    rules = state.tenants.triggers["reminder"]
    line, slot = rules.each(tenants)
    tenant, visit = tenants[line], visit[line]
    rule_key, start = rules.key[tenant, slot], state.visits.held_ms[visit]
    utility = rules.column("is_marketing")[tenant, slot] == 0
    # The branch's clock tells when utility is quiet, the tenant's when marketing is.
    zone = state.places.zone[state.visits.place[visit]]
    clock = np.where(utility, zone, state.tenants.zone[tenant])
    window = state.tenants.quiet[tenant, utility.astype(np.int8)]
    due = (start - rules.column("before_ms")[tenant, slot]) // MINUTE_MS * MINUTE_MS
    return _Reminders(
        owner=owner[line],
        visit=visit,
        slot=slot,
        start_ms=start,
        due_ms=before_quiet(state, window, clock, due),
        key=_occasion_keys(state, visit, start, rule_key),
        rule_key=rule_key,
    )


def before_quiet(state: LaneState, window: I4, zones: I4, due_ms: I8) -> I8:
    """Due minutes inside a quiet window move to the last one before it.

    ``window`` is a column of starts, inclusive, and one of ends, in minutes of the local day.
    """
    begin, end = window[:, 0], window[:, 1]
    local = state.zones.to_local(zones, due_ms)
    minute = local % DAY_MS // MINUTE_MS
    quiet = is_quiet(minute, begin, end)
    if not quiet.any():
        return due_ms
    # Past midnight the window has begun the day before.
    day = local // DAY_MS - ((begin > end) & (minute < end))
    last = state.zones.to_instant(zones, day * DAY_MS + (begin - np.int64(1)) * MINUTE_MS)
    return np.where(quiet, np.minimum(last, due_ms), due_ms)


def _schedule(state: LaneState, customers: Rows, every: _Reminders, now_ms: I8) -> None:
    """Sets each customer's next reminder instant from the occasions not decided yet."""
    open_ = every.take(state.occasions.index.find(every.key) < 0)
    late = (open_.due_ms <= now_ms[open_.owner]) | state.visits.imported[open_.visit]
    if late.any():
        rows = _keep(state, open_.take(late))
        state.occasions.state[rows] = SILENT
        open_ = open_.take(~late)
    np.minimum.at(state.customers.reminder_due, customers[open_.owner], open_.due_ms)


def _keep(state: LaneState, reminders: _Reminders) -> Rows:
    """Rows of their occasions, which are new."""
    return _keep_occasions(
        state, reminders.key, reminders.visit, reminders.start_ms, reminders.rule_key
    )


def _keep_occasions(state: LaneState, keys: U8, visit: Rows, start: I8, rule_key: U8) -> Rows:
    occasions = state.occasions
    rows, _ = occasions.find_or_add(keys)
    occasions.visit[rows] = visit
    occasions.start_ms[rows] = start
    occasions.rule[rows] = rule_key
    occasions.touch(rows)
    return rows


def _occasion_keys(state: LaneState, visit: Rows, start: I8, rule: U8) -> U8:
    return row_keys(mix(state.visits.key[visit], start.view(np.uint64)), rule)
