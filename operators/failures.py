"""Keep which messages failed because a phone cannot be reached, and whose they were.

In:    statuses that say so, and those that tell whose such a message was, as lines of ``Named``
Out:   which customers' messages failed twice of late
State: ``failures``, the chain customer → failures

A failure must be known to whatever is decided after it, so that it takes its turn among its
customer's events; other statuses do not. Whose it is tells the command that the message carried
out, which the same status names, or another one: a batch is cut between the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from schemas.batch import FAILED, I8, StatusEvents
from schemas.keys import text_keys
from schemas.unreachable import UNREACHABLE
from state.chains import hand_over, rows_in, walk
from state.index import U8, Rows
from state.lane import LaneState
from state.messages import KEPT_MS, WAIT_MS, command_keys, message_ids, message_keys
from state.tables import Flags
from state.zones import DAY_MS, MINUTE_MS

if TYPE_CHECKING:
    from operators.identify import Named

_OPEN_MS = 60 * MINUTE_MS
"""How long a failure waits for its command at most, while the message is remembered."""

WITHIN_MS = 14 * DAY_MS
"""Two failures in so long a time make a customer one who cannot be reached."""


@dataclass(slots=True)
class Reports:
    """Statuses that tell of failures: rows in ``StatusEvents``, keys of their messages.

    ``fails``: the status is the failure itself; ``command`` is the row of the command that it
    names, -1 for none, ``unknown``: it names one that is not known.
    """

    status: Rows
    message: U8
    fails: Flags
    command: Rows
    unknown: Flags


def may_fail(state: LaneState, statuses: StatusEvents) -> bool:
    """Whether any of them may be a failure, or tell of one; as a rule not."""
    return len(statuses.record) > 0 and (len(state.failures) > 0 or bool(statuses.error.any()))


def reports_of(
    state: LaneState, statuses: StatusEvents, tenants: Rows, now_ms: I8
) -> Reports | None:
    """Failures, and what may tell whose they are; ``None``: there are none, as a rule."""
    if not may_fail(state, statuses):
        return None
    failed = np.zeros(len(statuses.record), np.bool_)
    if statuses.error.any():
        failed = (statuses.status == FAILED) & np.isin(statuses.error, UNREACHABLE)
    waiting = _waiting(state, int(now_ms.min(initial=state.clock_ms)))
    if not failed.any() and not len(waiting):
        return None
    keys = state.tenants.key[tenants]
    message = message_keys(keys, message_ids(statuses))
    open_ones = np.concatenate([message[failed], waiting])
    named = statuses.command != None  # noqa: E711  # elementwise
    chosen = (failed | (named & np.isin(message, open_ones))).nonzero()[0]
    wanted = statuses.at_ms[chosen] > now_ms[chosen] - KEPT_MS
    chosen = chosen[wanted]
    if not len(chosen):
        return None
    command = np.full(len(chosen), -1, np.int64)
    told = named[chosen].nonzero()[0]
    texts = text_keys(statuses.command[chosen[told]].tolist())
    command[told] = state.messages.index.find(command_keys(keys[chosen[told]], texts))
    command[~_is_kept(state, command, now_ms[chosen])] = -1
    unknown = named[chosen] & (command < 0)
    return Reports(chosen, message[chosen], failed[chosen], command, unknown)


def _waiting(state: LaneState, now_ms: int) -> U8:
    """Messages that failed a while ago at most, for which no command is known."""
    table = state.failures
    rows = ((table.customer[: table.rows] < 0) & (table.key[: table.rows] != 0)).nonzero()[0]
    waiting: U8 = table.key[rows[table.heard_ms[rows] > now_ms - _OPEN_MS]]
    return waiting


def first_cut(
    state: LaneState, statuses: StatusEvents, tenants: Rows, now_ms: I8, start: int
) -> int | None:
    """The first record after ``start`` that must know what messages before it were."""
    reports = reports_of(state, statuses, tenants, now_ms)
    if reports is None:
        return None
    record = statuses.record[reports.status]
    _, first, place = np.unique(reports.message, return_index=True, return_inverse=True)
    waits = reports.unknown | (record != record[first[place]])
    waits &= record > start
    return int(record[waits].min()) if waits.any() else None


def whose(state: LaneState, reports: Reports, now_ms: I8) -> Rows:
    """The customers whose messages these are, -1 where no command tells."""
    table = state.messages
    row = table.index.find(reports.message)
    linked = np.where(_is_kept(state, row, now_ms), table.command[row], -1)
    command = np.where(reports.command >= 0, reports.command, linked)
    customer = rows_in(table.customer, command)
    heir = rows_in(state.customers.heir, customer)
    return np.where(heir >= 0, heir, customer)


def is_remembered(state: LaneState, reports: Reports, now_ms: I8) -> Flags:
    """Whether a message was heard of lately, or is known to be a command's."""
    table = state.messages
    row = table.index.find(reports.message)
    remembered: Flags = _is_kept(state, row, now_ms)
    remembered |= (row >= 0) & (table.since_ms[row] > now_ms - WAIT_MS)
    failed = state.failures.index.find(reports.message)
    remembered &= (failed >= 0) & (state.failures.heard_ms[failed] > now_ms - _OPEN_MS)
    return remembered


def _is_kept(state: LaneState, rows: Rows, now_ms: I8) -> Flags:
    table = state.messages
    kept: Flags = (rows >= 0) & (table.command[rows] >= 0)
    kept &= table.since_ms[rows] > now_ms - KEPT_MS
    return kept


def note_failures(state: LaneState, named: Named, lines: Rows, clocks: I8) -> None:
    """Remembers when a message failed first, and whose it was once that is known."""
    if not len(lines):
        return
    table, customers = state.failures, state.customers
    rows, fresh = table.find_or_add(named.message[lines].view(np.uint64))
    for at, (row, line) in enumerate(zip(rows.tolist(), lines.tolist(), strict=True)):
        customer = named.customer.item(line)
        if fresh[at] or (table.customer[row] < 0 and not named.remembered[line]):
            if not named.fails[line]:
                continue
            table.heard_ms[row] = clocks[named.record[line]]
        if customer >= 0 and table.customer[row] < 0 and customers.known[customer]:
            table.customer[row] = customer
            table.next_failure[row] = customers.first_failure[customer]
            customers.first_failure[customer] = row
    table.touch(rows)


def cannot_be_reached(state: LaneState, customers: Rows, now_ms: I8) -> Flags:
    """Whether two of each customer's messages failed of late."""
    table = state.failures
    owners = np.arange(len(customers), dtype=np.int64)
    heads = state.customers.first_failure[customers]
    owner, failure = walk(heads, table.next_failure, owners)
    recent = table.heard_ms[failure] > now_ms[owner] - WITHIN_MS
    reached: Flags = np.bincount(owner[recent], minlength=len(customers)) >= 2
    return reached


def inherit_failures(state: LaneState, old: int, heir: int) -> None:
    """What was sent to a customer before the phone was learnt failed for whom the phone is."""
    table, customers = state.failures, state.customers
    rows = hand_over(customers.first_failure, table.next_failure, old, heir)
    table.customer[rows] = heir
    table.touch(rows)
