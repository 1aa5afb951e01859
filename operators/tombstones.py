"""Keep out who wanted to be forgotten: until START, their phone and their other names are nobody's.

In:    the events of a part of a batch; wishes to be forgotten
Out:   the same events, their phones FORGOTTEN and their aliases not told
State: ``tombstones``; an alias that points to somebody is theirs, whatever stands under its id

A visit that names such a phone alone is a walk-in; one that names a card waits under it, as under
any card without a phone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from operators.people import Alias, find_aliases, find_customers
from operators.phones import phone_column
from schemas.batch import (
    FORGOTTEN,
    I4,
    I8,
    Batch,
    ClientEvents,
    IncomingEvents,
    PaymentEvents,
    StatusEvents,
    VisitEvents,
)
from schemas.keys import alias_customer_id, customer_id, row_keys, text_keys
from state.index import U8, Rows
from state.lane import LaneState
from state.tables import Flags

_SALT = np.uint64(0x746F6D6273746F6E)

_Events = VisitEvents | ClientEvents | PaymentEvents | IncomingEvents | StatusEvents
_Phoned = TypeVar("_Phoned", VisitEvents, ClientEvents, PaymentEvents, IncomingEvents)
_Messages = TypeVar("_Messages", IncomingEvents, StatusEvents)
Places = NDArray[np.intp]


def keep_out(state: LaneState, part: Batch, scopes: Rows) -> Batch:
    """The part as if nobody had told who is meant; what is kept out is counted."""
    if not len(state.tombstones):
        return part
    counts = part.counts
    clients = _without_phones(state, part.clients, scopes, counts)
    incoming = _without_phones(state, part.incoming, scopes, counts)
    return replace(
        part,
        visits=_without_phones(state, part.visits, scopes, counts),
        clients=_without_cards_aliases(state, clients, scopes),
        incoming=_without_alias(state, incoming, scopes, counts),
        statuses=_without_alias(state, part.statuses, scopes, Counter()),
        payments=_without_phones(state, part.payments, scopes, counts),
    )


def haunted(state: LaneState, events: _Events, scopes: Rows) -> tuple[I4, Flags]:
    """The tenants of events, and whether anybody wanted to be forgotten there."""
    table = state.tombstones
    tenants = state.scopes.tenant[scopes[events.scope]]
    stands = np.zeros(state.tenants.rows, np.bool_)
    stands[table.tenant[table.live()]] = True
    return tenants, stands[tenants]


def find_tombstones(state: LaneState, tenants: Rows, ids: Sequence[str]) -> Rows:
    """Rows of the tombstones that stand under these ids, -1 where none does."""
    return state.tombstones.index.find(_keys(state, tenants, ids))


def of_phones(state: LaneState, tenants: Rows, phones: I8) -> Rows:
    """The tombstones of whose phones these are, -1 for who is not forgotten, or for no phone."""
    found = np.full(len(phones), -1, np.int64)
    customer = find_customers(state, tenants, phones)
    # Whose phone is kept has no tombstone: there are few to be asked for.
    asked = ((phones > 0) & ((customer < 0) | (state.customers.phone[customer] == 0))).nonzero()[0]
    if len(asked):
        names = state.tenants.name
        ids = [
            customer_id(state.id_key, names[tenant], phone)
            for tenant, phone in zip(tenants[asked].tolist(), phones[asked].tolist(), strict=True)
        ]
        found[asked] = find_tombstones(state, tenants[asked], ids)
    return found


def of_aliases(state: LaneState, tenants: Rows, aliases: Sequence[Alias]) -> Rows:
    """The tombstones of whose names these are, -1 for any other."""
    found = np.full(len(aliases), -1, np.int64)
    rows = find_aliases(state, tenants, aliases)
    asked = ((rows < 0) | (state.aliases.customer[rows] < 0)).nonzero()[0]
    if len(asked):
        ids = [
            alias_customer_id(state.id_key, state.tenants.name[tenants[at]], *aliases[at])
            for at in asked.tolist()
        ]
        found[asked] = find_tombstones(state, tenants[asked], ids)
    return found


def stand(state: LaneState, tenant: int, ids: Sequence[str], person: str, since_ms: int) -> None:
    """Puts up tombstones of one person, or puts those that stand already into its name."""
    table = state.tombstones
    tenants = np.full(len(ids), tenant, np.int64)
    rows, _ = table.find_or_add(_keys(state, tenants, ids))
    table.tenant[rows] = tenant
    table.id[rows] = np.array(ids, "S32")
    table.person[rows] = person.encode()
    table.since_ms[rows] = since_ms
    table.touch(rows)


def ids_of(state: LaneState, tenant: int, person: str) -> list[str]:
    """All ids that stand for one person."""
    own = _rows_of(state, tenant, person.encode())
    return [each.decode() for each in state.tombstones.id[own].tolist()]


def lift(state: LaneState, row: int) -> None:
    """All that stand for the same person are gone."""
    table = state.tombstones
    table.free(_rows_of(state, int(table.tenant[row]), table.person[row]))


def _keys(state: LaneState, tenants: Rows, ids: Sequence[str]) -> U8:
    return row_keys(state.tenants.key[tenants] ^ _SALT, text_keys(ids).view(np.uint64))


def _rows_of(state: LaneState, tenant: int, person: bytes) -> Rows:
    table = state.tombstones
    rows = table.live()
    own: Rows = rows[(table.tenant[rows] == tenant) & (table.person[rows] == person)]
    return own


def _without_phones(
    state: LaneState, events: _Phoned, scopes: Rows, counts: Counter[tuple[str, ...]]
) -> _Phoned:
    tenants, asked = haunted(state, events, scopes)
    at = (asked & (events.phone != None)).nonzero()[0]  # noqa: E711  # elementwise
    out = at[_phones_out(state, events, tenants, scopes, at)]
    if not len(out):
        return events
    counts["ignored", "forgotten"] += len(out)
    phone = events.phone.copy()
    phone[out] = FORGOTTEN
    return replace(events, phone=phone)


def _without_alias(
    state: LaneState, events: _Messages, scopes: Rows, counts: Counter[tuple[str, ...]]
) -> _Messages:
    """Who is named by a phone that is kept out has no other name either."""
    tenants, asked = haunted(state, events, scopes)
    at = (asked & (events.alias != None)).nonzero()[0]  # noqa: E711  # elementwise
    if not len(at):
        return events
    known_phone = events.phone[at] != None  # noqa: E711  # elementwise
    out = np.array([phone is FORGOTTEN for phone in events.phone[at].tolist()])
    asked_by_phone = (known_phone & ~out).nonzero()[0]
    out[asked_by_phone] = _phones_out(state, events, tenants, scopes, at[asked_by_phone])
    by_alias = ~out & (of_aliases(state, tenants[at], events.alias[at].tolist()) >= 0)
    counts["ignored", "forgotten"] += int(by_alias.sum())
    alias = events.alias.copy()
    alias[at[out | by_alias]] = None
    return replace(events, alias=alias)


def _phones_out(
    state: LaneState, events: _Events, tenants: Rows, scopes: Rows, at: Places
) -> Flags:
    """Which of the phones at these places, all told, are of who is forgotten."""
    # What is no phone is counted where the events are named.
    told, scope = events.phone[at], scopes[events.scope[at]]
    phones = phone_column(told, tenants[at], scope, state, Counter())
    out: Flags = of_phones(state, tenants[at], phones) >= 0
    return out


def _without_cards_aliases(state: LaneState, cards: ClientEvents, scopes: Rows) -> ClientEvents:
    """Cards of who is forgotten tell no name; those of others none that is kept out."""
    tenants, asked = haunted(state, cards, scopes)
    at = (asked & (cards.aliases != None)).nonzero()[0]  # noqa: E711  # elementwise
    if not len(at):
        return cards
    aliases = cards.aliases.copy()
    for row in at.tolist():
        told = () if cards.phone[row] is FORGOTTEN else cards.aliases[row]
        tenant = np.full(len(told), tenants[row], np.int64)
        stones = of_aliases(state, tenant, told).tolist()
        aliases[row] = tuple(a for a, stone in zip(told, stones, strict=True) if stone < 0) or None
    return replace(cards, aliases=aliases)
