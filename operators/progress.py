"""Follow what senders were told to send: accepted, sent, delivered, read, answered, or failed.

In:    ``Told``: statuses with the commands that they are of; customers' messages of one round
Out:   changes of the funnel, each at the record that made it
State: how far each contact has come, and how many of its messages have failed
Source: a status implies those before it, and an answer that the message was read; a contact has
        failed where one of its messages has and no other was heard of that has not

A message is one command's, the last that was named for it; what a command has reached stays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operators.funnel import note
from operators.hearings import RECEIVED, Hearings, Told, carried_statuses
from operators.identify import INCOMING, Named
from operators.moments import Moment
from operators.owed import Owed, Steps
from schemas.batch import ACCEPTED, DELIVERED, FAILED, I1, I8, READ, SENT, IncomingEvents
from state.chains import walk
from state.index import Rows
from state.lane import LaneState
from state.messages import KEPT_MS
from state.runs import begins
from state.tables import Flags

LEVELS = ("accepted", "sent", "delivered", "read")
"""What a level, from 1 on, is called in the funnel; each implies those before it."""

_LEVEL_OF_BIT = {ACCEPTED: 1, SENT: 2, DELIVERED: 3, READ: 4, RECEIVED: 1}
_FAILURES = 1 << FAILED | 1 << (RECEIVED + 1)
_LEVELS = np.array(
    [
        max((level for bit, level in _LEVEL_OF_BIT.items() if told >> bit & 1), default=0)
        for told in range(256)
    ],
    np.int8,
)
"""By the bits of the statuses that were heard."""


def writers(state: LaneState, named: Named, lines: Rows) -> Rows:
    """Who wrote these messages: by now an alias points to whoever writes under it."""
    owner = state.aliases.customer[np.maximum(named.alias[lines], 0)]
    return np.where(named.customer[lines] >= 0, named.customer[lines], owner)


def take_replies(
    state: LaneState,
    owed: Owed,
    named: Named,
    lines: Rows,
    events: IncomingEvents,
    clocks: I8,
    positions: I8,
) -> None:
    """A message answers what its customer was sent last before it; ``clocks`` are per record."""
    lines = lines[named.kind[lines] == INCOMING]
    if not len(lines) or not len(state.contacts):
        return
    record, at = named.record[lines], named.source[lines]
    now_ms = clocks[record]
    table = state.contacts
    heads = state.customers.first_contact[writers(state, named, lines)]
    place, contact = walk(heads, table.next_contact, np.arange(len(lines), dtype=np.int64))
    written_ms = np.minimum(events.at_ms[at], now_ms)
    sent_ms = table.sent_ms[contact]
    before = (sent_ms > now_ms[place] - KEPT_MS) & (sent_ms < written_ms[place])
    place, contact, sent_ms = place[before], contact[before], sent_ms[before]
    latest = np.zeros(len(lines), np.int64)
    np.maximum.at(latest, place, sent_ms)
    answered = sent_ms == latest[place]
    place, contact = place[answered], contact[answered]
    nothing = np.zeros(len(contact), np.int8)
    answer = np.ones(len(contact), np.bool_)
    told = positions[record[place]]
    owed.replies.append(Steps(contact, now_ms[place], told, nothing, answer, nothing, nothing))


@dataclass(slots=True)
class _Standing:
    """Of each line's message: its command's row, -1 for none, how far it is, whether it failed."""

    command: Rows
    level: I1
    failed: Flags


def steps_of(state: LaneState, heard: Hearings, told: Told, positions: I8) -> Steps:
    """What each status adds to the command that its message is of; before the table is written.

    Where a message turns to another command, or fails, it is counted no more as it was before.
    """
    carried = _carried(state, heard, told)
    after = _after(heard, told, carried)
    before = _before(told, after, carried)
    turned = (after.command != before.command) | (after.failed != before.failed)
    joins = ((after.command >= 0) & (turned | (after.level > before.level))).nonzero()[0]
    leaves = ((before.command >= 0) & turned).nonzero()[0]
    at = told.order[np.concatenate([joins, leaves])]
    gone = np.zeros(len(leaves), np.int8)
    lost = (after.failed & turned)[joins], -before.failed[leaves].astype(np.int8)
    carrying = (~after.failed & turned)[joins], before.failed[leaves].astype(np.int8) - np.int8(1)
    command = np.concatenate([after.command[joins], before.command[leaves]])
    return Steps(
        contact=state.messages.contact[command],
        now_ms=heard.now_ms[at],
        position=positions[heard.record[at]],
        level=np.concatenate([after.level[joins], gone]),
        replied=np.zeros(len(at), np.bool_),
        lost=np.concatenate(lost, dtype=np.int8),
        carrying=np.concatenate(carrying, dtype=np.int8),
    )


def _carried(state: LaneState, heard: Hearings, told: Told) -> _Standing:
    """At each beginning, as the table has it."""
    table = state.messages
    begins = told.begins
    row = heard.row[told.order[begins]]
    bits = carried_statuses(table, heard, told)
    command = np.where(told.carried[begins], table.command[row], -1)
    return _Standing(np.maximum(command, -1), _LEVELS[bits], (bits & _FAILURES) != 0)


def _after(heard: Hearings, told: Told, carried: _Standing) -> _Standing:
    bits = heard.bit[told.order]
    level = _LEVELS[bits]
    level[told.begins] = np.maximum(level[told.begins], carried.level)
    failed = (bits & _FAILURES) != 0
    failed[told.begins] |= carried.failed
    return _Standing(
        np.where(told.known & (told.link >= 0), told.link, -1),
        (np.maximum.accumulate(told.life * 8 + level) & 7).astype(np.int8),
        (np.maximum.accumulate(told.life * 2 + failed) & 1).astype(np.bool_),
    )


def _before(told: Told, after: _Standing, carried: _Standing) -> _Standing:
    """The line before of the same life, else what the table has."""
    columns = []
    for name in _Standing.__slots__:
        column = getattr(after, name)
        before = np.empty_like(column)
        before[1:] = column[:-1]
        before[told.begins] = getattr(carried, name)
        columns.append(before)
    return _Standing(*columns)


def note_steps(state: LaneState, owed: Owed, told: list[Steps]) -> None:
    """Takes contacts as far as these steps lead, in the order of their records."""
    steps = _in_order(told)
    table = state.contacts
    contact = steps.contact
    if not len(contact):
        return
    first = begins(contact)
    place = np.cumsum(first) - 1
    heads = contact[first]
    start = _Reached(*(getattr(table, name)[heads] for name in _Reached.__slots__))
    reached = _Reached(
        level=(np.maximum.accumulate(place * 8 + _begun(steps.level, first, start.level)) & 7),
        replied=(np.maximum.accumulate(place * 2 + (steps.replied | start.replied[place])) & 1),
        lost=_summed(steps.lost, first, place) + start.lost[place],
        carrying=_summed(steps.carrying, first, place) + start.carrying[place],
    )
    after, before = _measures(reached), _measures(start)
    moment = Moment(steps.now_ms, steps.position)
    changes = {}
    for name, column in after.items():
        change = column.copy()
        change[1:] -= column[:-1]
        change[first] = column[first] - before[name]
        changes[name] = change
    moved = np.any(list(changes.values()), axis=0).nonzero()[0]
    changes = {name: change[moved] for name, change in changes.items()}
    note(state, owed, contact[moved], moment.take(moved), **changes)
    last = np.append(first[1:], True)
    for name in _Reached.__slots__:
        getattr(table, name)[heads] = getattr(reached, name)[last]
    table.touch(heads)


@dataclass(slots=True)
class _Reached:
    """How far contacts are, as their table has it."""

    level: NDArray[np.integer]
    replied: NDArray[np.integer]
    lost: NDArray[np.integer]
    carrying: NDArray[np.integer]


def _in_order(told: list[Steps]) -> Steps:
    """By contact, and of each in the order of the log; of none that has no row."""
    columns = [np.concatenate([getattr(each, name) for each in told]) for name in Steps.__slots__]
    joined = Steps(*columns)
    order = np.lexsort((joined.position, joined.contact))
    order = order[joined.contact[order] >= 0]
    return Steps(*(column[order] for column in columns))


def _begun(level: I1, first: Flags, start: NDArray[np.integer]) -> I1:
    begun = level.copy()
    begun[first] = np.maximum(begun[first], start)
    return begun


def _summed(deltas: I1, first: Flags, place: NDArray[np.intp]) -> I8:
    """Running sums within each contact."""
    total = np.cumsum(deltas, dtype=np.int64)
    before: I8 = total[first] - deltas[first]
    summed: I8 = total - before[place]
    return summed


def _measures(reached: _Reached) -> dict[str, I8]:
    """What the funnel counts of each contact, 0 or 1."""
    level = np.where(reached.replied, len(LEVELS), reached.level)
    told = {name: level > at for at, name in enumerate(LEVELS)}
    told["replied"] = reached.replied != 0
    told["failed"] = (reached.lost > 0) & (reached.carrying == 0)
    return {name: flags.astype(np.int64) for name, flags in told.items()}
