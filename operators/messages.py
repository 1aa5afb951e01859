"""Keep which statuses of each message were seen, for which command, and tell what comes again.

In:    ``StatusEvents`` and ``IncomingEvents`` of one part, the commands sent in it
Out:   the records that told a status or a message for the second time, one for each of them
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

from operators.owed import Owed
from operators.people import find_aliases, find_customers
from operators.phones import phone_column, plain_phones
from schemas.batch import ACCEPTED, I4, I8, NONE, Batch, Objects, StatusEvents
from schemas.keys import text_keys
from schemas.webhooks.findings import RECEIPT
from state.index import U8, Rows
from state.lane import LaneState
from state.messages import (
    KEPT_MS,
    THEIRS,
    UNASKED,
    WAIT_MS,
    Messages,
    command_keys,
    message_ids,
    message_keys,
)
from state.tables import Flags

WAITING = 200_000

_HEARD = 1  # the tally of hearings without a command
_RECEIVED, _CAME = 6, 0  # bits: our senders' answers come after the statuses, which are 1 to 5


@dataclass(slots=True)
class Learnt:
    """What the rounds of a part have learnt of people, each beside the record that told it.

    ``customers`` became known; ``aliases`` point to somebody else than before (-1: to nobody).
    """

    customers: list[tuple[Rows, I4]] = field(default_factory=list)
    aliases: list[tuple[Rows, Rows, I4]] = field(default_factory=list)


@dataclass(slots=True)
class _Hearings:
    """One line for each status or message of a part, in log order.

    ``link`` is the row of the command that it names, ``THEIRS``, or ``UNASKED``; ``since_ms`` the
    instant from which that link is kept.
    """

    record: I4
    now_ms: I8
    scope: Rows
    row: Rows
    bit: NDArray[np.uint8]
    link: Rows
    since_ms: I8
    phone: Objects
    alias: Objects


@dataclass(slots=True)
class _Told:
    """The same lines by message, in log order within each.

    ``first`` begins a message; ``begins`` begins it, or begins it anew where it had been forgotten;
    ``carried`` are beginnings that the table still knows. ``link`` is the command in force where
    it is ``known``; ``sight`` the number of the hearing.
    """

    order: NDArray[np.intp]
    first: Flags
    begins: Flags
    carried: Flags
    known: Flags
    link: Rows
    since_ms: I8
    sight: NDArray[np.uint32]


def apply_statuses(
    state: LaneState, owed: Owed, part: Batch, scopes: Rows, clock_ms: I8, learnt: Learnt
) -> I4:
    """Folds a part's statuses, receipts and message ids; returns the records of duplicates."""
    sent = keep_commands(state, owed)
    if not len(part.statuses.record) and not len(part.incoming.record):
        return np.zeros(0, np.int32)
    heard = _hearings(state, part, scopes, clock_ms, sent)
    if not len(heard.record):
        return heard.record
    told = _by_message(state, heard)
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
    counted = state.tallies.add(_HEARD, 0)
    known = _known(table.command[rows], table.since_ms[rows], now)
    dead = rows[~(known | _waits(table, rows, now, np.full(len(rows), counted, np.uint32)))]
    if len(dead):
        table.free(dead)
    table.cleaned()


@dataclass(slots=True)
class _Sent:
    """Commands that a part has sent: ascending rows, and the position from which they are known."""

    row: Rows
    position: I8


def keep_commands(state: LaneState, owed: Owed) -> _Sent:
    """Gives every command sent since the last call its row, by its id."""
    sent, owed.sent = owed.sent, []
    if not sent:
        return _Sent(np.zeros(0, np.int32), np.zeros(0, np.int64))
    table = state.messages
    customer = np.array([each.customer for each in sent], np.int32)
    tenants = state.tenants.key[state.customers.tenant[customer]]
    keys = command_keys(tenants, text_keys([each.command_id for each in sent]))
    rows, first = np.unique(table.find_or_add(keys)[0], return_index=True)
    now = np.array([each.now_ms for each in sent], np.int64)[first]
    position = np.array([each.position for each in sent], np.int64)[first]
    new = ~_known(table.command[rows], table.since_ms[rows], now)
    rows = rows[new]
    table.customer[rows] = customer[first[new]]
    table.command[rows] = rows
    table.since_ms[rows] = now[new]
    table.statuses[rows] = 0
    table.touch(rows)
    return _Sent(rows, position[new])


def _known(link: Rows, since_ms: I8, now_ms: I8) -> Flags:
    known: Flags = (link != UNASKED) & (since_ms > now_ms - KEPT_MS)
    return known


def _waits(table: Messages, rows: Rows, now_ms: I8, counted: NDArray[np.uint32]) -> Flags:
    """Whether messages without a command are still remembered, after so many hearings."""
    waits: Flags = (table.command[rows] == UNASKED) & (table.since_ms[rows] > now_ms - WAIT_MS)
    waits &= counted - table.sight[rows] < np.uint32(WAITING)  # modulo 2**32, as the sights are
    return waits


def _hearings(state: LaneState, part: Batch, scopes: Rows, clock_ms: I8, sent: _Sent) -> _Hearings:
    statuses, incoming = part.statuses, part.incoming
    record = np.concatenate([statuses.record, incoming.record])
    scope = scopes[np.concatenate([statuses.scope, incoming.scope])]
    now_ms = clock_ms[record]
    tenants = state.tenants.key[state.scopes.tenant[scope]]
    count, others = len(statuses.record), len(incoming.record)
    keys = message_keys(tenants, np.concatenate([message_ids(statuses), incoming.message]))
    link, since_ms = _links(state, statuses, tenants[:count], now_ms, part.positions, sent)
    bits = [_bits(part), np.full(others, 1 << _CAME, np.uint8)]
    at_ms = np.concatenate([statuses.at_ms, incoming.at_ms])
    wanted = at_ms > now_ms - KEPT_MS
    part.counts["ignored", "horizon"] += int(len(wanted) - wanted.sum())
    if others or not wanted.all():
        order = np.argsort(record, kind="stable")
        lines = order[wanted[order]]
    else:
        lines = np.arange(count)
    row, _ = state.messages.find_or_add(keys[lines])
    return _Hearings(
        record=record[lines],
        now_ms=now_ms[lines],
        scope=scope[lines],
        row=row,
        bit=np.concatenate(bits)[lines],
        link=np.concatenate([link, np.full(others, THEIRS, np.int32)])[lines],
        since_ms=np.concatenate([since_ms, now_ms[count:]])[lines],
        phone=np.concatenate([statuses.phone, incoming.phone])[lines],
        alias=np.concatenate([statuses.alias, incoming.alias])[lines],
    )


def _bits(part: Batch) -> NDArray[np.uint8]:
    statuses = part.statuses
    ours = np.array([scope.provider == RECEIPT for scope in part.scopes], np.bool_)
    received = ours[statuses.scope]
    answer = _RECEIVED + (statuses.status != ACCEPTED)
    bits = np.uint8(1) << np.where(received, answer, statuses.status).astype(np.uint8)
    return bits.astype(np.uint8)


def _links(
    state: LaneState,
    statuses: StatusEvents,
    tenants: U8,
    now_ms: I8,
    positions: I8,
    sent: _Sent,
) -> tuple[Rows, I8]:
    """Rows of the commands that statuses name, as far as they had been sent by then."""
    table = state.messages
    link = np.full(len(statuses.record), UNASKED, np.int32)
    since_ms = np.full(len(link), NONE)
    named = np.flatnonzero(statuses.command != None)  # noqa: E711  # elementwise
    if not len(named):
        return link, since_ms
    keys = command_keys(tenants[named], text_keys(statuses.command[named].tolist()))
    row = table.index.find(keys)
    there = (row >= 0) & _known(table.command[row], table.since_ms[row], now_ms[named])
    if len(sent.row):
        place = np.minimum(np.searchsorted(sent.row, row), len(sent.row) - 1)
        later = sent.position[place] > positions[statuses.record[named]]
        there &= (sent.row[place] != row) | ~later
    link[named[there]] = row[there]
    since_ms[named[there]] = table.since_ms[row[there]]
    return link, since_ms


def _by_message(state: LaneState, heard: _Hearings) -> _Told:
    """Finds for each line the command in force, and whether the message was known before it."""
    table = state.messages
    order = np.argsort(heard.row, kind="stable")
    row, now = heard.row[order], heard.now_ms[order]
    first = np.ones(len(row), np.bool_)
    first[1:] = row[1:] != row[:-1]
    link, since_ms = heard.link[order], heard.since_ms[order]
    held = np.flatnonzero(first & (link == UNASKED))  # what the table has stands until then
    link[held], since_ms[held] = table.command[row[held]], table.since_ms[row[held]]
    source = np.maximum.accumulate(np.where((link != UNASKED) | first, np.arange(len(row)), 0))
    link, since_ms = link[source], since_ms[source]
    known = _known(link, since_ms, now)
    sight = _sights(state, order, ~known)
    before = np.zeros(len(row), np.bool_)
    before[1:] = _known(link[:-1], since_ms[:-1], now[1:])
    waited = ~known[:-1] & (now[:-1] > now[1:] - WAIT_MS)
    before[1:] |= waited & (sight[1:] - sight[:-1] < np.uint32(WAITING))
    rows = row[first]
    before[first] = _known(table.command[rows], table.since_ms[rows], now[first])
    before[first] |= _waits(table, rows, now[first], sight[first])
    return _Told(
        order=order,
        first=first,
        begins=first | ~before,
        carried=first & before,
        known=known,
        link=link,
        since_ms=since_ms,
        sight=sight,
    )


def _sights(state: LaneState, order: NDArray[np.intp], unknown: Flags) -> NDArray[np.uint32]:
    """Numbers hearings without a command as the log has them: how many there were before each."""
    heard = np.empty(len(order), np.int64)
    heard[order] = unknown
    before = state.tallies.add(_HEARD, int(heard.sum())) + np.cumsum(heard) - heard
    return before[order].astype(np.uint32)


def _seen_before(table: Messages, heard: _Hearings, told: _Told) -> Flags:
    """Statuses that their message had already, in this part or before it."""
    bit = heard.bit[told.order]
    life = np.cumsum(told.begins) - 1
    again = np.ones(len(bit), np.bool_)
    again[np.unique(life << 8 | bit, return_index=True)[1]] = False
    again |= (_carried(table, heard, told)[life] & bit) != 0
    return again


def _carried(table: Messages, heard: _Hearings, told: _Told) -> NDArray[np.uint8]:
    """For each beginning the statuses that the table has of it."""
    row = heard.row[told.order[told.begins]]
    return np.where(told.carried[told.begins], table.statuses[row], 0).astype(np.uint8)


def _customers(
    state: LaneState, heard: _Hearings, told: _Told, part: Batch, learnt: Learnt
) -> Rows:
    """For each beginning whose message it is: the command's customer, else who is named."""
    table = state.messages
    begins = told.begins
    row = heard.row[told.order[begins]]
    customer = np.where(told.carried[begins], table.customer[row], -1).astype(np.int32)
    life = np.cumsum(begins) - 1
    lines = np.flatnonzero(~told.known & (customer[life] < 0))
    if len(lines):
        _ask_phones(state, heard, told, part, learnt, lines, life[lines], customer)
    asked = np.flatnonzero(told.known & (told.link >= 0))
    customer[life[asked]] = table.customer[told.link[asked]]  # of several the last one stays
    return customer


def _ask_phones(
    state: LaneState,
    heard: _Hearings,
    told: _Told,
    part: Batch,
    learnt: Learnt,
    lines: NDArray[np.intp],
    life: NDArray[np.intp],
    customer: Rows,
) -> None:
    """The first phone or alias that was a known customer's at its record tells whose it is."""
    first = np.ones(len(life), np.bool_)
    first[1:] = life[1:] != life[:-1]
    at = told.order[lines[first]]
    tenant = state.scopes.tenant[heard.scope[at]]
    plain = plain_phones(heard.phone[at])
    customer[life[first]] = _known_at(state, heard, at, tenant, plain, learnt)
    rest = np.flatnonzero(customer[life] < 0)
    if not len(rest):
        return
    at, life = told.order[lines[rest]], life[rest]
    scope = heard.scope[at]
    tenant = state.scopes.tenant[scope]
    phone = phone_column(heard.phone[at], tenant, scope, state, part.counts)
    found = _known_at(state, heard, at, tenant, phone, learnt)
    found = np.where(found >= 0, found, _pointed_at(state, heard, at, tenant, learnt))
    told_by = np.flatnonzero(found >= 0)
    lives, begin = np.unique(life[told_by], return_index=True)
    customer[lives] = found[told_by[begin]]
    nobodys = np.full(len(customer), len(rest))
    nobodys[lives] = told_by[begin]
    part.counts["ignored", "nobody"] += int((np.arange(len(rest)) < nobodys[life]).sum())


def _known_at(
    state: LaneState,
    heard: _Hearings,
    at: NDArray[np.intp],
    tenant: I4,
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
    return np.where(known, found, -1).astype(np.int32)


def _pointed_at(
    state: LaneState, heard: _Hearings, at: NDArray[np.intp], tenant: I4, learnt: Learnt
) -> Rows:
    """Whom the aliases of these hearings pointed to at them, -1 for nobody."""
    owner = np.full(len(at), -1, np.int32)
    named = np.flatnonzero(heard.alias[at] != None)  # noqa: E711  # elementwise
    if not len(named) or not len(state.aliases):
        return owner
    rows = find_aliases(state, tenant[named], heard.alias[at[named]].tolist())
    owner[named] = np.where(rows >= 0, state.aliases.customer[rows], -1)
    # From the last back to the first, so that the first turn after a hearing has the last word.
    for aliases, left, records in reversed(learnt.aliases):
        for alias, before, record in zip(aliases[::-1], left[::-1], records[::-1], strict=True):
            owner[named[(rows == alias) & (heard.record[at[named]] < record)]] = before
    return owner


def _store(table: Messages, heard: _Hearings, told: _Told, customer: Rows) -> None:
    """Leaves each message as its last line has it."""
    bit = heard.bit[told.order]
    life = np.cumsum(told.begins) - 1
    statuses = np.bitwise_or.reduceat(bit, np.flatnonzero(told.begins))
    statuses |= _carried(table, heard, told)
    last = np.append(np.flatnonzero(told.first)[1:], len(bit)) - 1
    row, known = heard.row[told.order[last]], told.known[last]
    link = np.where(known, told.link[last], UNASKED)
    table.customer[row] = customer[life[last]]
    table.command[row] = link
    table.since_ms[row] = np.where(known, told.since_ms[last], heard.now_ms[told.order[last]])
    table.sight[row] = told.sight[last]
    table.statuses[row] = statuses[life[last]]
    table.touch(row)
