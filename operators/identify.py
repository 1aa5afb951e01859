"""Find out whom each event is about: visits, clients, phones and aliases become rows of the lane.

In:    ``VisitEvents``, ``ClientEvents``, ``IncomingEvents``, ``StatusEvents``, ``PaymentEvents``
Out:   ``Named``: one line per event with its rows and its unit, in log order
State: rows for keys that were not known; nothing else changes here

A status takes a line only where it tells whose alias it is, and that is not known yet; and where
it tells that a message reached nobody, or whose such a message was.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from operators.crowds import certain_walk_ins
from operators.failures import is_remembered, may_fail, reports_of, whose
from operators.money_units import find_units, payment_rows
from operators.people import (
    Alias,
    alias_rows,
    aliases_of,
    customer_rows,
    find_aliases,
    phoneless_rows,
)
from operators.phones import phone_column
from operators.unite import unite
from schemas.batch import (
    I1,
    I8,
    NONE,
    Batch,
    ClientEvents,
    IncomingEvents,
    PaymentEvents,
    StatusEvents,
    VisitEvents,
)
from schemas.keys import row_keys, text_key
from schemas.webhooks.findings import select
from state.chains import rows_in
from state.index import Rows
from state.lane import LaneState
from state.runs import in_order

if TYPE_CHECKING:
    from operators.visits import VisitColumns

U8 = NDArray[np.uint64]

VISIT, CLIENT, INCOMING, STATUS, PAYMENT, FAILURE = range(6)
"""Kinds of events that can change a customer."""

_VISIT_SALT = np.uint64(0x76697369742D6964)
_CLIENT_SALT = np.uint64(0x636C69656E742D69)


Counts = Counter[tuple[str, ...]]
_Events = VisitEvents | ClientEvents | IncomingEvents | StatusEvents | PaymentEvents


@dataclass(slots=True)
class Named:
    """Events of a batch that touch customers, n lines in log order.

    ``source`` is the row in the columns of its kind; rows are -1 where there is none; ``phone`` is
    E.164 as an integer, 0 where there is none, NOBODYS where whose it is wants to be forgotten;
    ``alias`` is told by messages, at ``at_ms``.
    ``fallback`` is the customer whom a card without a phone belongs to by its visits, or who
    writes under an alias that points to nobody yet. ``money`` is the money unit that a visit or a
    payment names, ``sale`` the sale that it pays. ``message`` is the key of one that failed,
    ``fails`` where the line is the failure, ``remembered`` where it was heard of before. ``unit``
    joins what must be folded in order; ``met`` are the customers of all units, beside ``met_unit``,
    some of them several times.
    """

    record: Rows
    kind: I1
    source: Rows
    tenant: Rows
    visit: Rows
    client: Rows
    phone: I8
    customer: Rows
    fallback: Rows
    alias: Rows
    at_ms: I8
    payment: Rows
    money: Rows
    sale: Rows
    message: I8
    fails: NDArray[np.bool_]
    remembered: NDArray[np.bool_]
    unit: Rows
    met: Rows
    met_unit: Rows


def scope_rows(state: LaneState, batch: Batch) -> Rows:
    """The lane's row of each of the batch's scopes."""
    if not batch.scopes:
        return np.zeros(0, np.int64)
    keys = np.array([text_key("\x1f".join(scope)) for scope in batch.scopes], np.uint64)
    rows, fresh = state.scopes.find_or_add(row_keys(keys, np.zeros(1, np.uint64)))
    for at in fresh.nonzero()[0].tolist():
        scope, row = batch.scopes[at], rows[at]
        state.scopes.tenant[row] = state.tenants.row(scope.tenant)
        state.scopes.provider[row] = scope.provider
        state.scopes.branch[row] = scope.branch
    return rows


def visit_keys(space: U8, ids: I8) -> U8:
    """Keys of visits, by the keys of their scopes."""
    return row_keys(space ^ _VISIT_SALT, ids.view(np.uint64))


def card_keys(space: U8, ids: I8) -> U8:
    """Keys of clients that have a card, by the keys of its scope."""
    return row_keys(space ^ _CLIENT_SALT, ids.view(np.uint64))


def identify(
    state: LaneState, batch: Batch, scopes: Rows, visits: VisitColumns, clock_ms: I8
) -> Named:
    """Rows and units of every event of the batch that can change a customer.

    ``visits`` are the batch's visits in the lane's terms, ``clock_ms`` the clocks of its records.
    """
    counts = batch.counts
    payers = _payers(state, batch.payments, scopes, counts)  # before visits: these look for units
    named = _joined(
        [
            _visits(state, batch.visits, scopes, counts),
            _cards(state, batch.clients, scopes, counts),
            _writers(state, batch.incoming, scopes, counts),
            payers,
        ]
    )
    card_line, card_alias = _card_aliases(state, named, batch.clients)
    busy = np.concatenate([card_alias, named.alias[named.alias >= 0]])
    teachers = _teachers(state, batch.statuses, scopes, busy, counts)
    if teachers is not None:
        named = _joined([named, teachers])
    named.customer = customer_rows(state, named.tenant, named.phone)
    named.fallback = _fallbacks(state, named)
    failing = _failing(state, batch.statuses, scopes, clock_ms)
    if failing is not None:
        named = _joined([named, failing])
    place = _sort(named)
    walk_ins = certain_walk_ins(state, named, visits)
    named.client[walk_ins] = named.customer[walk_ins] = -1
    unite(state, named, place[card_line], card_alias)
    counts["ignored", "nobody"] += int(((named.kind == INCOMING) & (named.unit < 0)).sum())
    return named


def _lines(
    state: LaneState, kind: int, events: _Events, scopes: Rows, counts: Counts
) -> tuple[Named, U8]:
    """Events as lines that name their phone and nothing else yet; and their scopes' keys."""
    count = len(events.record)
    scope = scopes[events.scope.astype(np.int64)]
    tenant = state.scopes.tenant[scope].astype(np.int64)
    nobody = np.full(count, -1, np.int64)
    named = Named(
        record=events.record.astype(np.int64),
        kind=np.full(count, kind, np.int8),
        source=np.arange(count, dtype=np.int64),
        tenant=tenant,
        visit=nobody,
        client=nobody,
        phone=phone_column(events.phone, tenant, scope, state, counts),
        customer=nobody,
        fallback=nobody,
        alias=nobody,
        at_ms=np.full(count, NONE),
        payment=nobody,
        money=nobody,
        sale=nobody,
        message=np.zeros(count, np.int64),
        fails=np.zeros(count, np.bool_),
        remembered=np.zeros(count, np.bool_),
        unit=nobody,
        met=nobody[:0],
        met_unit=nobody[:0],
    )
    return named, state.scopes.key[scope]


def _visits(state: LaneState, events: VisitEvents, scopes: Rows, counts: Counts) -> Named:
    named, space = _lines(state, VISIT, events, scopes, counts)
    if not len(named.record):
        return named
    named.visit, _ = state.visits.find_or_add(visit_keys(space, events.id))
    named.client = _client_rows(state, named, space, events.client)
    named.money = find_units(state, space, events.money_unit)
    return named


def _payers(state: LaneState, events: PaymentEvents, scopes: Rows, counts: Counts) -> Named:
    """What is paid for a visit is the visit's money: only other payments have a payer."""
    named, space = _lines(state, PAYMENT, events, scopes, counts)
    if not len(named.record):
        return named
    alone = (events.money_unit == NONE) | (events.is_sale != 0)
    named.phone = np.where(alone, named.phone, 0)
    named.client = _client_rows(state, named, space, np.where(alone, events.client, NONE))
    named.payment, named.money, named.sale = payment_rows(state, events, scopes[events.scope])
    return named


def _cards(state: LaneState, events: ClientEvents, scopes: Rows, counts: Counts) -> Named:
    named, space = _lines(state, CLIENT, events, scopes, counts)
    if not len(named.record):
        return named
    named.client = _client_rows(state, named, space, events.id)
    return named


def _writers(state: LaneState, events: IncomingEvents, scopes: Rows, counts: Counts) -> Named:
    named, _ = _lines(state, INCOMING, events, scopes, counts)
    named.at_ms = events.at_ms
    told = events.alias.tolist()
    if told.count(None) < len(told):
        at = (events.alias != None).nonzero()[0]  # noqa: E711  # elementwise
        named.alias = named.alias.copy()
        named.alias[at] = alias_rows(state, named.tenant[at], events.alias[at].tolist())
    return named


def _teachers(
    state: LaneState, events: StatusEvents, scopes: Rows, busy: Rows, counts: Counts
) -> Named | None:
    """Statuses that may tell whose alias it is; as a rule none, as the pairing is known.

    Where anything else in the batch may move the alias (``busy``), each of its statuses counts.
    """
    told = events.alias.tolist()
    if told.count(None) == len(told):
        return None
    at = ((events.alias != None) & (events.phone != None)).nonzero()[0]  # noqa: E711  # elementwise
    if not len(at):
        return None
    taken = select(events, at)
    named, _ = _lines(state, STATUS, taken, scopes, counts)
    named.source, named.at_ms = at, taken.at_ms
    aliases = taken.alias.tolist()
    rows = find_aliases(state, named.tenant, aliases)
    known = _paired(state, rows, named.phone)
    moving = np.zeros(state.aliases.rows + 1, np.bool_)
    moving[busy] = True
    moving[rows[~known & (named.phone > 0)]] = True
    needed = ((named.phone > 0) & (~known | moving[rows])).nonzero()[0]
    if not len(needed):
        return None
    named = _taken(named, needed)
    named.alias = alias_rows(state, named.tenant, [aliases[line] for line in needed.tolist()])
    return named


def _failing(state: LaneState, statuses: StatusEvents, scopes: Rows, clock_ms: I8) -> Named | None:
    """Statuses that tell of a message that reached nobody, or whose it was."""
    if not may_fail(state, statuses):
        return None
    tenants = state.scopes.tenant[scopes[statuses.scope]]
    now_ms = clock_ms[statuses.record]
    reports = reports_of(state, statuses, tenants, now_ms)
    if reports is None:
        return None
    taken = select(statuses, reports.status.astype(np.intp))
    taken.phone = np.full(len(taken.phone), None)  # whose it is tells the command
    named, _ = _lines(state, FAILURE, taken, scopes, Counter())
    now_ms = now_ms[reports.status]
    named.source, named.at_ms = reports.status, taken.at_ms
    named.customer = whose(state, reports, now_ms)
    named.message = reports.message.view(np.int64)
    named.fails, named.remembered = reports.fails, is_remembered(state, reports, now_ms)
    return named


def _paired(state: LaneState, aliases: Rows, phone: I8) -> NDArray[np.bool_]:
    """Whether these aliases (-1: not known) point to the customers of these phones."""
    owner = rows_in(state.aliases.customer, aliases)
    paired: NDArray[np.bool_] = (owner >= 0) & (state.customers.phone[owner] == phone)
    return paired


def _client_rows(state: LaneState, named: Named, space: U8, ids: I8) -> Rows:
    """Cards by their id; where a visit names only a phone, the phone's stand-in card."""
    card = ids != NONE
    keys = np.where(
        card,
        card_keys(space, ids),
        row_keys(state.tenants.key[named.tenant] ^ _CLIENT_SALT, named.phone.view(np.uint64)),
    )
    wanted = (card | (named.phone > 0)).nonzero()[0]
    rows = np.full(len(ids), -1, np.int64)
    if len(wanted):
        rows[wanted], fresh = state.clients.find_or_add(keys[wanted])
        state.clients.tenant[rows[wanted][fresh]] = named.tenant[wanted][fresh]
    return rows


def _card_aliases(state: LaneState, named: Named, events: ClientEvents) -> tuple[Rows, Rows]:
    """Aliases that cards tell now, or have told before: lines, and rows of aliases."""
    lines: list[int] = []
    found: list[Alias] = []
    told = events.aliases.tolist()
    if told.count(None) < len(told):
        cards = (named.kind == CLIENT).nonzero()[0].tolist()
        for line, aliases in zip(cards, told, strict=True):
            lines += [line] * len(aliases or ())
            found += aliases or ()
    clients = (named.client >= 0).nonzero()[0]
    at, before = aliases_of(state.clients.aliases[named.client[clients]])
    lines += clients[at].tolist()
    found += before
    told_by = np.array(lines, np.int64)
    return told_by, alias_rows(state, named.tenant[told_by], found)


def _fallbacks(state: LaneState, named: Named) -> Rows:
    bare = (named.kind == CLIENT) & (named.phone == 0)
    told = np.where(bare, state.clients.visit_phone[named.client], 0)
    rows = customer_rows(state, named.tenant, told)
    strangers = ((named.alias >= 0) & (named.phone == 0)).nonzero()[0]
    if len(strangers):
        strangers = strangers[state.aliases.customer[named.alias[strangers]] < 0]
        rows[strangers] = phoneless_rows(state, named.alias[strangers])
    return rows


_WHOLE = frozenset({"met", "met_unit"})  # columns of Named that have no line of their own
_COLUMNS = [field.name for field in fields(Named) if field.name not in _WHOLE]


def _joined(parts: list[Named]) -> Named:
    parts = [part for part in parts if len(part.record)] or parts[:1]
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _COLUMNS}
    return replace(parts[0], **columns)


def _taken(named: Named, lines: NDArray[np.intp]) -> Named:
    return replace(named, **{name: getattr(named, name)[lines] for name in _COLUMNS})


def _sort(named: Named) -> Rows:
    """Puts the lines into log order; returns where each has gone."""
    order = in_order(named.record)
    for name in _COLUMNS:
        setattr(named, name, getattr(named, name)[order])
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order), dtype=np.int32)
    return place
