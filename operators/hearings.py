"""Read a part's statuses and messages as hearings, and find the command that each one is for.

In:    ``StatusEvents`` and ``IncomingEvents`` of one part, the commands sent in it
Out:   ``Hearings`` in log order; ``Told``: the same by message, with the command in force at each
State: rows of ``messages`` for what is new, the tally of hearings; nothing else changes here
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.batch import ACCEPTED, I8, NONE, Batch, Objects, StatusEvents
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
from state.runs import begins, in_order
from state.tables import Flags

WAITING = 200_000
"""So many hearings without a command a lane remembers."""

HEARD = 1
"""The tally of hearings without a command."""

RECEIVED, CAME = 6, 0
"""Bits: our senders' answers, accepted and failed, come after the statuses, which are 1 to 5."""


@dataclass(slots=True)
class Hearings:
    """One line for each status or message of a part, in log order.

    ``link`` is the row of the command that it names, ``THEIRS``, or ``UNASKED``; ``since_ms`` the
    instant from which that link is kept.
    """

    record: Rows
    now_ms: I8
    scope: Rows
    row: Rows
    bit: NDArray[np.uint8]
    link: Rows
    since_ms: I8
    phone: Objects
    alias: Objects


@dataclass(slots=True)
class Told:
    """The same lines by message, in log order within each.

    ``first`` begins a message; ``begins`` begins it, or begins it anew where it had been forgotten:
    a life, of which ``life`` is the number. ``carried`` are beginnings that the table still knows.
    ``link`` is the command in force where it is ``known``; ``sight`` the number of the hearing.
    """

    order: NDArray[np.intp]
    first: Flags
    begins: Flags
    life: NDArray[np.intp]
    carried: Flags
    known: Flags
    link: Rows
    since_ms: I8
    sight: NDArray[np.uint32]


@dataclass(slots=True)
class NewCommands:
    """Commands that a part has sent: ascending rows, and the position from which they are known."""

    row: Rows
    position: I8


def hearings_of(
    state: LaneState, part: Batch, scopes: Rows, clock_ms: I8, sent: NewCommands
) -> Hearings:
    """What is not too old, with a row for each message."""
    statuses, incoming = part.statuses, part.incoming
    record = np.concatenate([statuses.record, incoming.record]).astype(np.int64)
    scope = scopes[np.concatenate([statuses.scope, incoming.scope]).astype(np.int64)]
    now_ms = clock_ms[record]
    tenants = state.tenants.key[state.scopes.tenant[scope]]
    count, others = len(statuses.record), len(incoming.record)
    keys = message_keys(tenants, np.concatenate([message_ids(statuses), incoming.message]))
    link, since_ms = _links(state, statuses, tenants[:count], now_ms, part.positions, sent)
    bits = [_bits(part), np.full(others, 1 << CAME, np.uint8)]
    at_ms = np.concatenate([statuses.at_ms, incoming.at_ms])
    wanted = at_ms > now_ms - KEPT_MS
    part.counts["ignored", "horizon"] += len(wanted) - int(np.count_nonzero(wanted))
    if others or not wanted.all():
        order = in_order(record)
        lines = order[wanted[order]]
    else:
        lines = np.arange(count)
    row, _ = state.messages.find_or_add(keys[lines])
    return Hearings(
        record=record[lines],
        now_ms=now_ms[lines],
        scope=scope[lines],
        row=row,
        bit=np.concatenate(bits)[lines],
        link=np.concatenate([link, np.full(others, THEIRS, np.int64)])[lines],
        since_ms=np.concatenate([since_ms, now_ms[count:]])[lines],
        phone=np.concatenate([statuses.phone, incoming.phone])[lines],
        alias=np.concatenate([statuses.alias, incoming.alias])[lines],
    )


def _bits(part: Batch) -> NDArray[np.uint8]:
    statuses = part.statuses
    ours = np.array([scope.provider == RECEIPT for scope in part.scopes], np.bool_)
    received = ours[statuses.scope]
    answer = RECEIVED + (statuses.status != ACCEPTED)
    bits = np.uint8(1) << np.where(received, answer, statuses.status).astype(np.uint8)
    return bits.astype(np.uint8)


def _links(
    state: LaneState,
    statuses: StatusEvents,
    tenants: U8,
    now_ms: I8,
    positions: I8,
    sent: NewCommands,
) -> tuple[Rows, I8]:
    """Rows of the commands that statuses name, as far as they had been sent by then."""
    table = state.messages
    link = np.full(len(statuses.record), UNASKED, np.int64)
    since_ms = np.full(len(link), NONE)
    named = (statuses.command != None).nonzero()[0]  # noqa: E711  # elementwise
    if not len(named):
        return link, since_ms
    keys = command_keys(tenants[named], text_keys(statuses.command[named].tolist()))
    row = table.index.find(keys)
    there = (row >= 0) & is_known(table.command[row], table.since_ms[row], now_ms[named])
    if len(sent.row):
        place = np.minimum(np.searchsorted(sent.row, row), len(sent.row) - 1)
        later = sent.position[place] > positions[statuses.record[named]]
        there &= (sent.row[place] != row) | ~later
    link[named[there]] = row[there]
    since_ms[named[there]] = table.since_ms[row[there]]
    return link, since_ms


def by_message(state: LaneState, heard: Hearings) -> Told:
    """Finds for each line the command in force, and whether the message was known before it."""
    table = state.messages
    order = in_order(heard.row)
    row, now = heard.row[order], heard.now_ms[order]
    first = begins(row)
    link, since_ms = heard.link[order], heard.since_ms[order]
    held = (first & (link == UNASKED)).nonzero()[0]  # what the table has stands until then
    link[held], since_ms[held] = table.command[row[held]], table.since_ms[row[held]]
    source = np.maximum.accumulate(np.where((link != UNASKED) | first, np.arange(len(row)), 0))
    link, since_ms = link[source], since_ms[source]
    known = is_known(link, since_ms, now)
    sight = _sights(state, order, ~known)
    before = np.zeros(len(row), np.bool_)
    before[1:] = is_known(link[:-1], since_ms[:-1], now[1:])
    waited = ~known[:-1] & (now[:-1] > now[1:] - WAIT_MS)
    before[1:] |= waited & (sight[1:] - sight[:-1] < np.uint32(WAITING))
    rows = row[first]
    before[first] = is_known(table.command[rows], table.since_ms[rows], now[first])
    before[first] |= waits(table, rows, now[first], sight[first])
    starts = first | ~before
    return Told(
        order=order,
        first=first,
        begins=starts,
        life=np.cumsum(starts) - 1,
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
    before = state.tallies.add(HEARD, int(heard.sum())) + np.cumsum(heard) - heard
    return before[order].astype(np.uint32)


def carried_statuses(table: Messages, heard: Hearings, told: Told) -> NDArray[np.uint8]:
    """For each beginning the statuses that the table has of it."""
    row = heard.row[told.order[told.begins]]
    return np.where(told.carried[told.begins], table.statuses[row], 0).astype(np.uint8)


def were_heard(state: LaneState, messages: U8, now_ms: I8) -> Flags:
    """Whether messages of customers have come before, in an earlier part."""
    table = state.messages
    row = table.index.find(messages)
    return (row >= 0) & is_known(table.command[row], table.since_ms[row], now_ms)


def is_known(link: Rows, since_ms: I8, now_ms: I8) -> Flags:
    """Whether these links still hold."""
    known: Flags = (link != UNASKED) & (since_ms > now_ms - KEPT_MS)
    return known


def waits(table: Messages, rows: Rows, now_ms: I8, counted: NDArray[np.uint32]) -> Flags:
    """Whether messages without a command are still remembered, after so many hearings."""
    waits: Flags = (table.command[rows] == UNASKED) & (table.since_ms[rows] > now_ms - WAIT_MS)
    waits &= counted - table.sight[rows] < np.uint32(WAITING)  # modulo 2**32, as the sights are
    return waits
