"""Forget a customer: what happened stays in the tenant's totals, whom it happened to does not.

In:    a forget event, with the lane's clock and position at its record
Out:   withdrawals of commands that can still be carried out; a tombstone
State: the customer's visits become walk-ins; cards, aliases, messages and the customer are left as
       empty rows under their keys, which are hashes; contacts are nobody's; a tombstone

Who is named again by the business stays unknown until START, and then begins anew, under the same
id. A version that has been seen already names nobody again.
"""

from __future__ import annotations

import re
from collections import Counter

import numpy as np

from operators.aliases import heirs, stands
from operators.contacts import forget_contacts
from operators.contributions import Tally, contribution, recount
from operators.crowds import inside
from operators.days import tell_days
from operators.decide import withdraw
from operators.features import history_of
from operators.held import withdraw_all_of
from operators.messages import keep_commands
from operators.owed import Owed
from operators.restate import Passage
from operators.tombstones import find_tombstones, ids_of, stand
from schemas.batch import DELETED, NOBODYS, NONE, ForgetEvent
from schemas.keys import alias_customer_id
from schemas.outputs import Tombstone
from schemas.texts import instant_text
from state.chains import walk
from state.index import Rows
from state.lane import LaneState
from state.money import LIVE
from state.table import Table
from state.tables import SENT, WITHDRAWN

_ID = re.compile("[0-9a-f]{32}")

_LEFT = {
    # What tells nobody: keys and ids are hashes; the rest is needed by what has been told before.
    "customers": ("key", "tenant", "id", "day_segment", "lives"),
    "clients": ("key", "tenant", "version"),
    "aliases": ("key", "tenant"),
}


def forget(
    state: LaneState,
    owed: Owed,
    event: ForgetEvent,
    now_ms: int,
    position: int,
    counts: Counter[tuple[str, ...]],
) -> None:
    """Leaves nothing that tells who this customer was, and an opt-out that keeps it so.

    One that nobody knows is counted; the wish stands all the same.
    """
    if not _ID.fullmatch(event.customer_id):
        counts["ignored", "customer"] += 1
        return
    tenant = state.tenants.row(event.tenant)
    stood = find_tombstones(state, np.array([tenant], np.int32), [event.customer_id])
    customer = _customer(state, event, now_ms)
    known = customer is not None and bool(state.customers.known[customer[0]])
    person = event.customer_id if customer is None else state.customers.id[customer[0]].decode()
    ids = [person, *_names(state, customer)]
    if customer is not None:
        _erase(state, owed, customer, now_ms, position, counts)
    if known:
        state.customers.as_of_ms[customer] = now_ms
        state.customers.lives[customer] += 1
    else:
        counts["ignored", "customer"] += 1
    if stood[0] >= 0:
        before = state.tombstones.person[stood[0]].decode()
        person = person if known else before
        ids += ids_of(state, tenant, before)
    stand(state, tenant, list(dict.fromkeys(ids)), person, now_ms)
    if known or stood[0] < 0:
        owed.tombstone(
            now_ms,
            Tombstone(
                tenant=event.tenant,
                customer_id=ids[0],
                merged_into=None,
                forgotten=True,
                as_of=instant_text(now_ms),
                position=position,
            ),
        )


def _erase(
    state: LaneState,
    owed: Owed,
    customer: Rows,
    now_ms: int,
    position: int,
    counts: Counter[tuple[str, ...]],
) -> None:
    keep_commands(state, owed)
    row = int(customer[0])
    _forget_commands(state, owed, state.customers.id[row], now_ms, position)
    withdraw_all_of(state, owed, customer, now_ms, position)
    forget_contacts(state, row)
    _forget_visits(state, owed, customer, now_ms, position, counts)
    _forget_payments(state, customer)
    _forget_cards(state, customer)
    _forget_aliases(state, customer)
    messages = state.messages.live()
    messages = messages[state.messages.customer[messages] == row]
    state.messages.customer[messages] = -1
    state.messages.touch(messages)
    _blank(state, "customers", customer)
    state.due.refresh(customer)


def _customer(state: LaneState, event: ForgetEvent, now_ms: int) -> Rows | None:
    """Whose id this is, or whose it was before a merge; rare, so that ids need no index.

    Also who is not known, but whose phone was told.
    """
    table = state.customers
    told = event.customer_id.encode()
    rows: Rows = (table.id[: table.rows] == told).nonzero()[0]
    rows = rows[state.tenants.name[table.tenant[rows]] == event.tenant]
    if len(rows) and not table.known[rows[0]] and stands(state, rows, now_ms)[0]:
        heir = heirs(state, rows)
        rows = heir if table.known[heir[0]] else rows
    told_of = len(rows) and (table.known[rows[0]] or table.phone[rows[0]])
    return rows if told_of else None


def _names(state: LaneState, customer: Rows | None) -> list[str]:
    """The ids under which a customer's aliases would be somebody of their own."""
    if customer is None:
        return []
    aliases = state.aliases
    head = state.customers.first_alias[customer]
    rows = walk(head, aliases.next_alias, np.zeros(1, np.int64))[1]
    tenant = state.tenants.name[state.customers.tenant[customer[0]]]
    return [
        alias_customer_id(state.id_key, tenant, aliases.kind[row], aliases.value[row])
        for row in rows.tolist()
    ]


def _forget_commands(
    state: LaneState, owed: Owed, identity: bytes, now_ms: int, position: int
) -> None:
    """Takes back what can still be carried out, and keeps no command that names the customer."""
    occasions = state.occasions
    rows = occasions.live()
    kept = rows[occasions.command[rows] != None]  # noqa: E711  # elementwise
    for row in kept.tolist():
        command = occasions.command[row]
        if identity not in command:
            continue
        if occasions.state[row] == SENT and now_ms < occasions.expires_ms[row]:
            withdraw(owed, command, now_ms, position)
            occasions.state[row] = WITHDRAWN
        occasions.command[row] = None
        occasions.changed[row] = True


def _forget_visits(
    state: LaneState,
    owed: Owed,
    customer: Rows,
    now_ms: int,
    position: int,
    counts: Counter[tuple[str, ...]],
) -> None:
    """Visits become walk-ins of their days; those that merely named the phone do not any more."""
    visits, clients = state.visits, state.clients
    rows = history_of(state, customer).visit
    tenant = state.customers.tenant[customer]
    today = state.tenant_day(tenant, np.array([now_ms]))
    # What has left the window might as well have been freed.
    told = rows[inside(visits.kept_day[rows], today, state.tenants.window[tenant])]
    before = contribution(state, visits, told)
    visits.client[rows] = visits.next_visit[rows] = -1
    visits.held_ms[rows] = NONE
    clients.first_visit[_clients(state, customer)] = -1
    tally = Tally()
    clocks = np.array([now_ms])
    recount(state, tally, visits, told, before, np.zeros(len(told), np.int32), clocks)
    passage = Passage.of_one(now_ms, position)
    tell_days(state, owed, tally, passage, 0, counts)
    named = rows
    phone = state.customers.phone[customer]
    if phone[0]:
        others = (visits.phone[: visits.rows] == phone).nonzero()[0]
        others = others[state.scopes.tenant[visits.scope[others]] == tenant]
        named = np.union1d(rows, others)
        visits.phone[named] = 0
    # So that what is repeated is older, and what is newer is not.
    ordered = named[(visits.version[named] != NONE) & (visits.status[named] != DELETED)]
    visits.version[ordered] += 1
    visits.touch(named)


def _forget_payments(state: LaneState, customer: Rows) -> None:
    """What was paid apart from visits stays the tenant's."""
    payments, clients = state.payments, _clients(state, customer)
    head = state.clients.first_payment[clients]
    rows = walk(head, payments.next_payment, np.zeros(len(head), np.int64))[1]
    payments.client[rows] = payments.next_payment[rows] = -1
    payments.version[rows[(payments.version[rows] != NONE) & (payments.status[rows] == LIVE)]] += 1
    payments.touch(rows)


def _forget_cards(state: LaneState, customer: Rows) -> None:
    clients = state.clients
    rows = _clients(state, customer)
    ordered = rows[clients.version[rows] != NONE]
    clients.version[ordered] += 1
    _blank(state, "clients", rows)
    # So that what names a card alone tells nothing of whose it is.
    clients.visit_phone[rows] = NOBODYS
    phone = state.customers.phone[customer]
    if phone[0]:
        named = (clients.visit_phone[: clients.rows] == phone).nonzero()[0]
        named = named[clients.tenant[named] == state.customers.tenant[customer]]
        clients.visit_phone[named] = NOBODYS
        clients.changed[named] = True


def _forget_aliases(state: LaneState, customer: Rows) -> None:
    """Those of nobody as well: one of them may be what an older card of the customer has told."""
    aliases = state.aliases
    head = state.customers.first_alias[customer]
    _, own = walk(head, aliases.next_alias, np.zeros(1, np.int64))
    live = aliases.live()
    _blank(state, "aliases", np.concatenate([own, live[aliases.customer[live] < 0]]))


def _clients(state: LaneState, customer: Rows) -> Rows:
    head = state.customers.first_client[customer]
    return walk(head, state.clients.next_client, np.zeros(1, np.int64))[1]


def _blank(state: LaneState, name: str, rows: Rows) -> None:
    """Everything but what tells nobody is as in a fresh row."""
    table: Table = state.tables[name]
    for column, kind in table.COLUMNS.items():
        if column not in _LEFT[name]:
            getattr(table, column)[rows] = kind.default
    table.touch(rows)
