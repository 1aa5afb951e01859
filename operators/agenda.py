"""Keep which triggers of whom are due when, and see that each occasion is decided once.

In:    customers whose facts, rules or day changed, or whose due instant has come
Out:   dues, added to ``Owed``
State: ``birthday_due`` and ``trigger_due``, each customer's next due instants; ``marks``

An occasion is decided under its mark. One that a record makes known after its due minute is due at
that record, or passed in silence where the record tells of the past, or too late.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from operators.after_visits import after_visits, visits_of_days
from operators.birthdays import birthdays
from operators.bookings import told_visits, visit_ids, visit_occasions
from operators.coming import Coming, joined, visit_marks
from operators.crowds import inside
from operators.features import History, history_of, only
from operators.held import Waiting
from operators.moments import Moment
from operators.no_shows import no_shows
from operators.owed import Dues, Owed
from operators.profiles import speakers
from operators.rebooks import rebooks
from operators.segments import own_day
from operators.winback import winbacks
from schemas.batch import I1, I4, I8
from schemas.forms import KEY, PLAIN, Form
from schemas.texts import day_text
from state.index import U8, Rows
from state.lane import LaneState
from state.tables import ATTENDANCE, NEVER, PERSON, Flags
from state.zones import DAY_MS

COLUMNS = ("birthday_due", "trigger_due")
"""Where the customers' next due instants are kept."""

GRACE_MS = 30 * DAY_MS
"""What a record makes known later than this after its due minute is passed in silence."""

_KEPT_MS = {
    # At least the grace: within it nothing but the mark tells that an occasion has been decided.
    "after_visit": GRACE_MS,
    "rebook": GRACE_MS,
    "no_show": GRACE_MS,
    "reply": GRACE_MS,
    # Longer, for cards that are corrected and triggers whose days are changed.
    "birthday": 400 * DAY_MS,
    "winback": 400 * DAY_MS,
}
_ALONE = frozenset({"birthday", "winback", "reply"})  # they are about no visit
_OCCASION = Form(PLAIN, b":", KEY, b":", PLAIN)
_VISITED = ("after_visit", "rebook", "winback", "no_show")


@dataclass(slots=True)
class Change:
    """What has happened to n customers: as of when, brought about by what, on which of their days.

    ``now_ms`` is what has passed, ``told_ms`` what outputs tell; ``silent`` where what is past by
    now is not to be decided any more; ``stirred`` tells what has changed of them, ``by_time`` where
    it is nothing but their day.
    """

    now_ms: I8
    told_ms: I8
    moment: Moment
    today: I4
    silent: Flags
    stirred: I1
    by_time: Flags

    def take(self, lines: Flags) -> Change:
        """The same of the chosen customers."""
        return Change(
            self.now_ms[lines],
            self.told_ms[lines],
            self.moment.take(lines),
            self.today[lines],
            self.silent[lines],
            self.stirred[lines],
            self.by_time[lines],
        )


def plan(state: LaneState, owed: Owed, customers: Rows, history: History, change: Change) -> None:
    """Brings the customers' next due instants in line with what is known of them now."""
    table, rules = state.customers, state.tenants.triggers
    tenants = table.tenant[customers].astype(np.int64)
    birthday = rules["birthday"].some[tenants] | (table.birthday_due[customers] != NEVER)
    visits_differ = (change.stirred & ATTENDANCE) != 0
    birthday &= (change.stirred & PERSON != 0) | (visits_differ & _has_several(state, customers))
    if birthday.any():
        chosen = customers[birthday]
        _plan_birthdays(state, owed, chosen, change.take(birthday))
    visited = table.trigger_due[customers] != NEVER
    for kind in _VISITED:
        visited |= rules[kind].some[tenants]
    # Time alone moves nothing but a usual interval, and what a card says nothing at all.
    visited &= visits_differ | (change.by_time & rules["rebook"].some[tenants])
    if visited.any():
        part = change.take(visited)
        _plan_visits(state, owed, customers[visited], only(history, visited), part)


def fire(
    state: LaneState, owed: Owed, column: str, customers: Rows, due_ms: I8, moment: Moment
) -> None:
    """Asks for decisions of what is due at ``due_ms``, which is in that column of the customers."""
    nobody = np.zeros(len(customers), np.bool_)
    today = own_day(state, customers, due_ms)
    change = Change(due_ms, due_ms, moment, today, nobody, nobody.view(np.int8), nobody)
    if column == "birthday_due":
        _plan_birthdays(state, owed, customers, change)
    else:
        _plan_visits(state, owed, customers, history_of(state, customers), change)


def vanished(state: LaneState, waiting: Waiting, now_ms: I8) -> Flags:
    """Whether the reason is gone for which messages wait; a line for each.

    Nobody came on that day after all, nothing was missed, or the customer has come since.
    """
    customers, marks = waiting.customer, waiting.mark
    occasions, table = state.occasions, state.customers
    who, first = np.unique(customers, return_index=True)
    moment = now_ms[first]
    within = _within(state, who, history_of(state, who), own_day(state, who, moment))
    found = _occasions(state, who, within, moment)
    rule = occasions.rule[marks]
    gone = np.zeros(len(marks), np.bool_)
    for kind, every in found.items():
        keys = state.tenants.triggers[kind].key[table.tenant[customers]]
        # A slot without a trigger has the key 0, as has what is nobody's rule.
        own = ((rule != 0) & (keys == rule[:, None]).any(axis=1)).nonzero()[0]
        whose, mark = customers[own], marks[own]
        if kind == "winback":
            gone[own] = table.last_day[whose] > occasions.visit[mark]
        elif kind == "rebook":
            gone[own] = table.last_visit_ms[whose] > waiting.last_ms[own]
        else:
            # Somebody else may have the visit now, under the same mark.
            theirs = set(zip(every.owner.tolist(), every.mark.tolist(), strict=True))
            asked = zip(who.searchsorted(whose).tolist(), occasions.key[mark].tolist(), strict=True)
            gone[own] = [each not in theirs for each in asked]
    return gone


def _has_several(state: LaneState, customers: Rows) -> Flags:
    """Customers of several cards: which of them speaks depends on their visits."""
    head = state.customers.first_client[customers]
    several: Flags = (head >= 0) & (state.clients.next_client[head] >= 0)
    return several


def _plan_birthdays(state: LaneState, owed: Owed, customers: Rows, change: Change) -> None:
    client = speakers(state, customers)
    birthday = np.where(client >= 0, state.clients.birthday[client], 0)
    found = birthdays(state, customers, birthday, change.today, GRACE_MS // DAY_MS)
    column = state.customers.birthday_due
    column[customers] = NEVER
    _plan(state, owed, customers, {"birthday": found}, change, column)


def _plan_visits(
    state: LaneState, owed: Owed, customers: Rows, history: History, change: Change
) -> None:
    within = _within(state, customers, history, change.today)
    found = _occasions(state, customers, within, change.now_ms)
    column = state.customers.trigger_due
    column[customers] = NEVER
    _plan(state, owed, customers, found, change, column, within)


def _within(state: LaneState, customers: Rows, history: History, today: I4) -> History:
    """The visits that have not left the window."""
    window = state.tenants.window[state.customers.tenant[customers]][history.owner]
    held = inside(state.visits.day[history.visit], today[history.owner], window)
    return replace(history, owner=history.owner[held], visit=history.visit[held])


def _occasions(state: LaneState, customers: Rows, within: History, now_ms: I8) -> dict[str, Coming]:
    """Those that visits make."""
    tenants, of_kind = state.customers.tenant[customers], state.tenants.triggers
    found = {}
    if of_kind["after_visit"].some[tenants].any():
        found["after_visit"] = after_visits(state, customers, within, now_ms, GRACE_MS)
    if of_kind["rebook"].some[tenants].any():
        found["rebook"] = rebooks(state, customers, within)
    if of_kind["winback"].some[tenants].any():
        found["winback"] = winbacks(state, customers, state.customers.last_day[customers])
    if of_kind["no_show"].some[tenants].any():
        found["no_show"] = no_shows(state, customers, within)
    return found


def _plan(
    state: LaneState,
    owed: Owed,
    customers: Rows,
    found: dict[str, Coming],
    change: Change,
    column: I8,
    history: History | None = None,
) -> None:
    """Sorts occasions into those to come, those that are due now, and those passed in silence."""
    every = joined(list(found.values()))
    kinds = np.repeat(np.arange(len(found)), [len(each.owner) for each in found.values()])
    now_ms = change.now_ms[every.owner]
    lines = (every.due_ms > now_ms - GRACE_MS).nonzero()[0]
    lines = lines[~is_marked(state, every.mark[lines], now_ms[lines])]
    is_ahead = every.due_ms[lines] > now_ms[lines]
    ahead, passed = lines[is_ahead], lines[~is_ahead]
    np.minimum.at(column, customers[every.owner[ahead]], every.due_ms[ahead])
    for at, kind in enumerate(found) if len(passed) else ():
        past = every.take(passed[kinds[passed] == at])
        if len(past.owner):
            _pass(state, owed, customers, kind, past, change, history)


def _pass(
    state: LaneState,
    owed: Owed,
    customers: Rows,
    kind: str,
    past: Coming,
    change: Change,
    history: History | None,
) -> None:
    """Decides what is due, or has it passed in silence: for everybody who has the visit later."""
    if kind == "birthday":
        past = past.take(_fresh(state, customers, past, change))
    silent = change.silent[past.owner]
    marks, due_ms = past.mark, past.due_ms
    if kind == "after_visit":
        also = _visit_marks(state, customers, past)
        silent |= is_marked(state, also, change.now_ms[past.owner])
        marks, due_ms = np.concatenate([marks, also]), np.tile(due_ms, 2)
    put_marks(state, kind, marks, due_ms)
    due = past.take(~silent)
    if len(due.owner):
        _ask(state, owed, customers, kind, due, change, history)


def _visit_marks(state: LaneState, customers: Rows, past: Coming) -> U8:
    """Marks of the visits that days began with, whoever has them later."""
    tenants = state.customers.tenant[customers[past.owner]]
    rule = state.tenants.triggers["after_visit"].key[tenants, past.slot]
    return visit_marks(state, past.subject, rule)


def _fresh(state: LaneState, customers: Rows, past: Coming, change: Change) -> Flags:
    """A birthday whose card comes too late is not even refused; one that the clock reaches is."""
    tenants = state.customers.tenant[customers[past.owner]]
    ttl_ms = state.tenants.triggers["birthday"].column("ttl_ms")[tenants, past.slot]
    now_ms = change.now_ms[past.owner]
    fresh: Flags = (past.due_ms + ttl_ms > now_ms) | (past.due_ms == now_ms)
    return fresh


def is_marked(state: LaneState, mark: U8, now_ms: I8) -> Flags:
    """Whether occasions have been decided; a mark that is over might as well have been freed."""
    marks = state.marks
    if not len(marks):
        return np.zeros(len(mark), np.bool_)
    row = marks.index.find(mark)
    marked: Flags = (row >= 0) & (marks.until_ms[row] > now_ms)
    return marked


def put_marks(state: LaneState, kind: str, marks: U8, due_ms: I8) -> None:
    """Has these occasions decided, for good or in silence."""
    table = state.marks
    rows, _ = table.find_or_add(marks)
    np.maximum.at(table.until_ms, rows, due_ms + _KEPT_MS[kind])
    table.touch(rows)


def _ask(
    state: LaneState,
    owed: Owed,
    customers: Rows,
    kind: str,
    due: Coming,
    change: Change,
    history: History | None,
) -> None:
    chosen = customers[due.owner]
    rule = state.tenants.triggers[kind].rule[state.customers.tenant[chosen], due.slot]
    occasion, visit, branch = _tellings(state, kind, chosen, due, history)
    dues = Dues(
        customer=chosen,
        rule=rule,
        occasion=occasion,
        due_ms=due.due_ms,
        made_ms=change.told_ms[due.owner],
        now_ms=change.moment.now_ms[due.owner],
        position=change.moment.position[due.owner],
        expires_ms=due.due_ms + state.tenants.rules.ttl_ms[rule],
        visit=visit,
        branch=branch,
        mark=keep_occasions(
            state, due.mark, rule, due.subject if kind in _VISITED else None, due.due_ms
        ),
        held=np.zeros(len(chosen), np.bool_),
    )
    owed.dues.append(dues)


def keep_occasions(state: LaneState, mark: U8, rule: I4, about: I8 | None, due_ms: I8) -> Rows:
    """Rows of occasions: each keeps its command under its mark for as long as it can be sent."""
    occasions, rules = state.occasions, state.tenants.rules
    rows, _ = occasions.find_or_add(mark)
    occasions.rule[rows] = rules.key[rule]
    occasions.visit[rows] = -1 if about is None else about
    occasions.start_ms[rows] = due_ms + rules.ttl_ms[rule]
    occasions.touch(rows)
    return rows


_Tellings = tuple[list[str], Sequence[bytes | None], Sequence[str | None]]


def _tellings(
    state: LaneState, kind: str, customers: Rows, due: Coming, history: History | None
) -> _Tellings:
    """What each occasion is called, and the visit and branch that it is about."""
    subjects = due.subject.tolist()
    if kind in _ALONE or history is None:
        named = list(map(day_text if kind == "winback" else str, subjects))
        told = _OCCASION.fill([kind] * len(named), state.customers.id[customers], named)
        nothing = [None] * len(named)
        return list(map(bytes.decode, told)), nothing, nothing
    visits, places = state.visits, state.places
    rows = due.subject
    start, place = visits.start_ms[rows], visits.place[rows]
    local = state.zones.to_local(places.zone[place], start)
    several = visits_of_days(state, history, due.owner, start) if kind == "after_visit" else {}
    ids = visit_ids(state, rows)
    told = told_visits(state, rows, ids, several, start, local)
    branches = [branch or None for branch in places.branch[place].tolist()]
    return visit_occasions(state, rows, ids, start), told, branches
