"""Learn whose aliases are: by a message that names a phone beside one, or by a card that tells it.

In:    one round of events: at most one per unit, so no two touch the same rows
Out:   additions to ``touched``; ``Merged``: customers of an alias alone whose phone was learnt
State: aliases, the chains customer → aliases; customers become known, or get an heir

An alias points to whom it was told of last. A customer under an alias alone never has clients, so
a merge moves no visit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operators.clients import Cause, TouchedRows
from operators.consent import inherit_words
from operators.contacts import inherit_contacts
from operators.enrolments import Enrolments, note_enrolments
from operators.held import inherit_held
from operators.identify import INCOMING, STATUS, Named
from operators.moments import Moment
from operators.owed import Owed
from operators.people import alias_rows, aliases_of
from schemas.batch import I8
from schemas.outputs import Tombstone
from schemas.texts import instant_text
from state.chains import rows_in, unchain
from state.due import DUE_COLUMNS
from state.index import Rows
from state.lane import LaneState
from state.people import GONE_DAYS
from state.tables import BOOKING, NEVER, PERSON
from state.zones import DAY_MS


@dataclass(slots=True)
class Merged:
    """Customers that are no more, and the lines of ``Named`` that told who they are.

    ``turned`` are aliases that point to somebody else now, ``left`` whom each pointed to before
    (-1: nobody), ``turned_line`` the lines that told it. ``enrolled`` are the enrolments of each
    customer and its heir, before and after.
    """

    customer: Rows
    line: Rows
    turned: Rows
    left: Rows
    turned_line: Rows
    enrolled: list[tuple[Enrolments, Enrolments]]


@dataclass(slots=True)
class _Told:
    """Aliases that are said to be these customers', by which lines, and when."""

    alias: Rows
    customer: Rows
    line: Rows
    at_ms: I8


def heirs(state: LaneState, customers: Rows) -> Rows:
    """Whom rows of customers that were merged since stand for; all others stand for themselves."""
    heir = rows_in(state.customers.heir, customers)
    return np.where(heir >= 0, heir, customers)


def meet_writers(
    state: LaneState, named: Named, lines: Rows, clocks: I8, touched: TouchedRows
) -> Merged:
    """Who writes, or is written to, becomes known; aliases of messages and cards are learnt."""
    kind = named.kind[lines]
    writers = lines[kind == INCOMING]
    alias = named.alias[writers]
    owner = rows_in(state.aliases.customer, alias)
    stranger = (named.customer[writers] < 0) & (owner < 0)
    customer = np.where(
        named.customer[writers] >= 0,
        named.customer[writers],
        np.where(stranger, named.fallback[writers], owner),
    )
    _make_known(state, customer, writers, touched)
    named_alias = lines[((kind == INCOMING) | (kind == STATUS)) & (named.alias[lines] >= 0)]
    if not len(named_alias) and not touched.met:
        none = lines[:0]
        return Merged(none, none, none, none, none, [])
    pointed = named.customer[named_alias]
    pointed = np.where(pointed >= 0, pointed, _strangers(state, named, named_alias))
    clock = clocks[named.record[named_alias]]
    at_ms = np.minimum(named.at_ms[named_alias], clock)
    says = pointed >= 0
    told = [
        _Told(named.alias[named_alias][says], pointed[says], named_alias[says], at_ms[says]),
        *(_of_cards(state, named, clients, at, clocks) for clients, at in touched.met),
    ]
    return _point(state, told, touched)


def _strangers(state: LaneState, named: Named, lines: Rows) -> Rows:
    """Customers of aliases that point to nobody, -1 for the others."""
    alone = state.aliases.customer[named.alias[lines]] < 0
    return np.where(alone, named.fallback[lines], -1)


def _make_known(state: LaneState, customer: Rows, lines: Rows, touched: TouchedRows) -> None:
    new = ~state.customers.known[customer]
    rows = customer[new]
    state.customers.known[rows] = True
    state.customers.heir[rows] = -1
    touched.add(rows, lines[new], Cause.IDENTITY)


def _of_cards(state: LaneState, named: Named, clients: Rows, lines: Rows, clocks: I8) -> _Told:
    """What the cards of these clients tell, of those that belong to somebody."""
    told = clients[state.clients.customer[clients] >= 0]
    at, aliases = aliases_of(state.clients.aliases[told])
    source = lines[state.clients.customer[clients] >= 0][at]
    rows = alias_rows(state, named.tenant[source], aliases)
    return _Told(rows, state.clients.customer[told][at], source, clocks[named.record[source]])


def _point(state: LaneState, told: list[_Told], touched: TouchedRows) -> Merged:
    """Points aliases to customers; one by one, as each is learnt once."""
    aliases, customers = state.aliases, state.customers
    merged: list[tuple[int, int]] = []
    enrolled: list[tuple[Enrolments, Enrolments]] = []
    changed: list[tuple[int, int]] = []
    turned: list[tuple[int, int, int]] = []
    for each in told:
        for alias, target, line, at_ms in zip(
            each.alias.tolist(),
            each.customer.tolist(),
            each.line.tolist(),
            each.at_ms.tolist(),
            strict=True,
        ):
            old = int(aliases.customer[alias])
            phoneless = old >= 0 and not customers.phone[old]
            if old == target or (old >= 0 and not phoneless and at_ms < aliases.told_ms[alias]):
                continue
            if old >= 0:
                unchain(customers.first_alias, aliases.next_alias, old, alias)
            aliases.next_alias[alias] = customers.first_alias[target]
            customers.first_alias[target] = alias
            aliases.customer[alias] = target
            aliases.told_ms[alias] = at_ms
            aliases.changed[alias] = True
            turned.append((alias, old, line))
            customers.known[target] = True
            changed.append((target, line))
            if phoneless:
                enrolled.append(_merge(state, old, target))
                merged.append((old, line))
            elif old >= 0:
                changed.append((old, line))
    rows = np.array(changed, np.int64).reshape(-1, 2)
    state.customers.stir(rows[:, 0], BOOKING | PERSON)
    touched.add(rows[:, 0], rows[:, 1], Cause.IDENTITY)
    gone = np.array(merged, np.int64).reshape(-1, 2)
    moves = np.array(turned, np.int64).reshape(-1, 3)
    return Merged(gone[:, 0], gone[:, 1], moves[:, 0], moves[:, 1], moves[:, 2], enrolled)


def _merge(state: LaneState, old: int, heir: int) -> tuple[Enrolments, Enrolments]:
    """What was said, got and awaited under the alias is the heir's."""
    customers = state.customers
    inherit_words(state, old, heir)
    enrolled = inherit_contacts(state, old, heir)
    inherit_held(state, old, heir)
    customers.heir[old] = heir
    customers.known[old] = False
    for name in DUE_COLUMNS:
        getattr(customers, name)[old] = NEVER
    customers.changed[old] = True
    return enrolled


def bury(state: LaneState, owed: Owed, gone: Merged, moment: Moment) -> None:
    """Owes the tombstones of customers that have an heir now, and enrols them together."""
    customers, merged = state.customers, gone.customer
    for at, (before, after) in enumerate(gone.enrolled):
        note_enrolments(state, owed, before, after, moment.take(np.array([at])))
    for row, now_ms, position in zip(
        merged.tolist(), moment.now_ms.tolist(), moment.position.tolist(), strict=True
    ):
        customers.as_of_ms[row] = now_ms
        heir = customers.id[customers.heir[row]].decode()
        owed.tombstone(
            now_ms,
            Tombstone(
                tenant=state.tenants.name[customers.tenant[row]],
                customer_id=customers.id[row].decode(),
                merged_into=heir,
                forgotten=False,
                as_of=instant_text(now_ms),
                position=position,
            ),
        )
    state.due.refresh(merged)


def stands(state: LaneState, customers: Rows, now_ms: int) -> NDArray[np.bool_]:
    """Whether rows of customers that are no more still say whom they were merged into."""
    recent: NDArray[np.bool_] = state.customers.as_of_ms[customers] > now_ms - GONE_DAYS * DAY_MS
    return recent


def free_the_gone(state: LaneState, now_ms: int) -> None:
    """Frees aliases that point to nobody, and customers that nothing can ask for any more."""
    aliases, customers = state.aliases, state.customers
    rows = aliases.live()
    empty = rows[aliases.customer[rows] < 0]
    if len(empty):
        aliases.free(empty)
    live = customers.live()
    gone = live[(customers.phone[live] == 0) & ~customers.known[live]]
    gone = gone[~stands(state, gone, now_ms)]
    if len(gone):
        customers.free(gone)
    if len(empty) or len(gone):
        state.relink()
