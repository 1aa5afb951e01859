"""Keep which statuses of each message were seen, for which command, and tell what comes again.

In:    ``StatusEvents`` and ``IncomingEvents`` of one part, the commands sent in it
Out:   the records that told a status or a message for the second time, one for each of them;
       how far commands have come
State: ``messages``, the tally of hearings; read only: customers, aliases

Statuses take no rounds: one pass for all of a part, as of each status's own record. A message is
known for as long as its command is, ``KEPT_MS`` from its sending, and a customer's own for as long
from its last coming; one without a command for ``WAIT_MS`` and ``WAITING`` hearings of its like,
so that a status may come before its receipt. What is older might as well have been freed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from operators.hearings import (
    HEARD,
    Hearings,
    NewCommands,
    Told,
    by_message,
    carried_statuses,
    hearings_of,
    is_known,
    waits,
)
from operators.owed import Owed, Sent
from operators.people import find_aliases, find_customers
from operators.phones import phone_column, plain_phones
from operators.progress import note_steps, steps_of
from schemas.batch import I8, Batch
from state.chains import rows_in
from state.index import Rows
from state.lane import LaneState
from state.messages import (
    UNASKED,
    Messages,
)
from state.runs import begins
from state.tables import Flags


@dataclass(slots=True)
class Learnt:
    """What the rounds of a part have learnt of people, each beside the record that told it.

    ``customers`` became known; ``aliases`` point to somebody else than before (-1: to nobody).
    """

    customers: list[tuple[Rows, Rows]] = field(default_factory=list)
    aliases: list[tuple[Rows, Rows, Rows]] = field(default_factory=list)


def apply_statuses(
    state: LaneState, owed: Owed, part: Batch, scopes: Rows, clock_ms: I8, learnt: Learnt
) -> Rows:
    """Folds a part's statuses, receipts and message ids; returns the records of duplicates."""
    sent = keep_commands(state, owed)
    steps, owed.replies = owed.replies, []
    if not len(part.statuses.record) and not len(part.incoming.record):
        return np.zeros(0, np.int64)
    heard = hearings_of(state, part, scopes, clock_ms, sent)
    if not len(heard.record):
        return heard.record
    told = by_message(state, heard)
    note_steps(state, owed, [*steps, steps_of(state, heard, told, part.positions)])
    again = _seen_before(state.messages, heard, told)
    customer = _customers(state, heard, told, part, learnt)
    _store(state.messages, heard, told, customer)
    duplicate = np.sort(told.order[again])
    scope, times = np.unique(heard.scope[duplicate], return_counts=True)
    for row, count in zip(scope.tolist(), times.tolist(), strict=True):
        part.counts["duplicates", state.scopes.provider[row]] += count
    if len(state.messages) >= state.messages.clean_at:
        forget_messages(state, int(heard.now_ms[-1]))
    return heard.record[duplicate]


def forget_messages(state: LaneState, now_ms: int) -> None:
    """Frees what is not known any more; whether that has been done can never be told."""
    table = state.messages
    rows = table.live()
    now = np.full(len(rows), now_ms)
    counted = state.tallies.add(HEARD, 0)
    known = is_known(table.command[rows], table.since_ms[rows], now)
    dead = rows[~(known | waits(table, rows, now, np.full(len(rows), counted, np.uint32)))]
    if len(dead):
        table.free(dead)
    table.cleaned()


def keep_commands(state: LaneState, owed: Owed) -> NewCommands:
    """Gives every command sent since the last call its row, by its id."""
    sent, owed.sent = owed.sent, []
    if not sent:
        return NewCommands(np.zeros(0, np.int64), np.zeros(0, np.int64))
    table = state.messages
    key, contact, customer, now, position = (
        np.concatenate([getattr(each, name) for each in sent]) for name in Sent.__slots__
    )
    rows, first = np.unique(table.find_or_add(key)[0], return_index=True)
    new = ~is_known(table.command[rows], table.since_ms[rows], now[first])
    rows, first = rows[new], first[new]
    table.customer[rows] = customer[first]
    table.command[rows] = rows
    table.contact[rows] = contact[first]
    table.since_ms[rows] = now[first]
    table.statuses[rows] = 0
    table.touch(rows)
    return NewCommands(rows, position[first])


def _seen_before(table: Messages, heard: Hearings, told: Told) -> Flags:
    """Statuses that their message had already, in this part or before it."""
    bit = heard.bit[told.order]
    again = np.ones(len(bit), np.bool_)
    again[np.unique(told.life << 8 | bit, return_index=True)[1]] = False
    again |= (carried_statuses(table, heard, told)[told.life] & bit) != 0
    return again


def _customers(state: LaneState, heard: Hearings, told: Told, part: Batch, learnt: Learnt) -> Rows:
    """For each beginning whose message it is: the command's customer, else who is named."""
    table = state.messages
    begins = told.begins
    row = heard.row[told.order[begins]]
    customer = np.where(told.carried[begins], table.customer[row], -1)
    lines = (~told.known & (customer[told.life] < 0)).nonzero()[0]
    if len(lines):
        _ask_phones(state, heard, told, part, learnt, lines, customer)
    asked = (told.known & (told.link >= 0)).nonzero()[0]
    customer[told.life[asked]] = table.customer[told.link[asked]]  # of several the last one stays
    return customer


def _ask_phones(
    state: LaneState,
    heard: Hearings,
    told: Told,
    part: Batch,
    learnt: Learnt,
    lines: NDArray[np.intp],
    customer: Rows,
) -> None:
    """The first phone or alias that was a known customer's at its record tells whose it is."""
    life = told.life[lines]
    first = begins(life)
    at = told.order[lines[first]]
    tenant = state.scopes.tenant[heard.scope[at]]
    plain = plain_phones(heard.phone[at])
    customer[life[first]] = _known_at(state, heard, at, tenant, plain, learnt)
    rest = (customer[life] < 0).nonzero()[0]
    if not len(rest):
        return
    at, life = told.order[lines[rest]], life[rest]
    scope = heard.scope[at]
    tenant = state.scopes.tenant[scope]
    phone = phone_column(heard.phone[at], tenant, scope, state, part.counts)
    found = _known_at(state, heard, at, tenant, phone, learnt)
    found = np.where(found >= 0, found, _pointed_at(state, heard, at, tenant, learnt))
    told_by = (found >= 0).nonzero()[0]
    lives, begin = np.unique(life[told_by], return_index=True)
    customer[lives] = found[told_by[begin]]
    nobodys = np.full(len(customer), len(rest))
    nobodys[lives] = told_by[begin]
    part.counts["ignored", "nobody"] += int((np.arange(len(rest)) < nobodys[life]).sum())


def _known_at(
    state: LaneState,
    heard: Hearings,
    at: NDArray[np.intp],
    tenant: Rows,
    phone: I8,
    learnt: Learnt,
) -> Rows:
    """The customers of these phones, -1 for who was not known yet at the hearing."""
    found = find_customers(state, tenant, phone)
    known = (found >= 0) & state.customers.known[found]
    new = learnt.customers
    who = np.concatenate([rows for rows, _ in new]) if new else found[:0]
    if len(who):
        since = np.concatenate([record for _, record in new])
        who, place = np.unique(who, return_index=True)
        since = since[place]
        place = np.minimum(np.searchsorted(who, found), len(who) - 1)
        known &= (who[place] != found) | (since[place] <= heard.record[at])
    return np.where(known, found, -1)


def _pointed_at(
    state: LaneState, heard: Hearings, at: NDArray[np.intp], tenant: Rows, learnt: Learnt
) -> Rows:
    """Whom the aliases of these hearings pointed to at them, -1 for nobody."""
    owner = np.full(len(at), -1, np.int64)
    named = (heard.alias[at] != None).nonzero()[0]  # noqa: E711  # elementwise
    if not len(named) or not len(state.aliases):
        return owner
    rows = find_aliases(state, tenant[named], heard.alias[at[named]].tolist())
    owner[named] = rows_in(state.aliases.customer, rows)
    # From the last back to the first, so that the first turn after a hearing has the last word.
    for aliases, left, records in reversed(learnt.aliases):
        for alias, before, record in zip(aliases[::-1], left[::-1], records[::-1], strict=True):
            owner[named[(rows == alias) & (heard.record[at[named]] < record)]] = before
    return owner


def _store(table: Messages, heard: Hearings, told: Told, customer: Rows) -> None:
    """Leaves each message as its last line has it."""
    bit = heard.bit[told.order]
    statuses = np.bitwise_or.reduceat(bit, told.begins.nonzero()[0])
    statuses |= carried_statuses(table, heard, told)
    last = np.append(told.first.nonzero()[0][1:], len(bit)) - 1
    row, known = heard.row[told.order[last]], told.known[last]
    link = np.where(known, told.link[last], UNASKED)
    table.customer[row] = customer[told.life[last]]
    table.command[row] = link
    table.since_ms[row] = np.where(known, told.since_ms[last], heard.now_ms[told.order[last]])
    table.sight[row] = told.sight[last]
    table.statuses[row] = statuses[told.life[last]]
    table.touch(row)
