"""Keep every client under its newest phone, and in the chain of the customer whom that phone is.

In:    one round of events: at most one per unit, so no two touch the same rows
Out:   additions to ``touched``: customers, the lines of ``Named`` that touched them, and the cause
State: clients, the chains customer → clients; customers become known here

A card's phone is that of its newest body, else of the latest visit that names one.
"""

from __future__ import annotations

from collections import Counter
from enum import IntEnum
from sys import intern
from typing import Any

import numpy as np
from numpy.typing import NDArray

from operators.identify import Named
from operators.people import aliases_text, customer_rows
from schemas.batch import I1, I8, NOBODYS, NONE, ClientEvents, Objects
from state.chains import rechain
from state.index import Rows
from state.lane import LaneState
from state.tables import PERSON, STIRRED, Flags


class Cause(IntEnum):
    """Why a customer's facts changed; what says more comes first."""

    BECAME_ATTENDED = 0
    CORRECTION = 1
    IDENTITY = 2
    MOVED = 3  # a client came from another customer, or went to one: nothing new has happened


class TouchedRows:
    """Customers (-1: none), beside the lines of ``Named`` and the causes, as they come.

    ``met`` are clients that belong to another customer now, or tell other aliases, with their
    lines.
    """

    def __init__(self) -> None:
        self.customers: list[Rows] = [np.zeros(0, np.int64)]
        self.lines: list[Rows] = [np.zeros(0, np.int64)]
        self.causes: list[I1] = [np.zeros(0, np.int8)]
        self.met: list[tuple[Rows, Rows]] = []

    def add(self, customers: Rows, lines: Rows, why: Cause | I1) -> None:
        """One cause for all, or one each."""
        if len(customers):
            self.customers.append(customers)
            self.lines.append(lines)
            each = why if isinstance(why, np.ndarray) else np.full(len(customers), why, np.int8)
            self.causes.append(each)


def apply_cards(
    state: LaneState,
    named: Named,
    lines: Rows,
    events: ClientEvents,
    clocks: I8,
    counts: Counter[tuple[str, ...]],
    touched: TouchedRows,
) -> None:
    """CRM cards in their newest version; the position orders those without one."""
    clients = state.clients
    if not len(lines):
        return
    at, rows = named.source[lines], named.client[lines]
    stored, given = clients.version[rows], events.version[at]
    older = (stored != NONE) & (given != NONE) & (given < stored)
    gone = events.deleted[at] != 0
    counts["ignored", "older_version"] += int(np.count_nonzero(older & ~gone))
    # A card that is deleted in the CRM takes no visit back: they happened.
    counts["ignored", "deleted_client"] += int(np.count_nonzero(gone))
    kept = (~(older | gone)).nonzero()[0]
    lines, at, rows = lines[kept], at[kept], rows[kept]
    given = events.version[at]
    clients.version[rows] = np.where(given == NONE, clients.version[rows], given)
    clients.has_card[rows] = True
    clients.card_phone[rows] = named.phone[lines]
    # What tells of one who wants to be forgotten is as good as not told.
    silent = _own_phones(state, rows, named.phone[lines]) == NOBODYS
    changed = _store_consents(state, rows[~silent], at[~silent], events, clocks)
    changed = _at(~silent, changed)
    for name in ("name", "birthday", "locale"):
        told_now = getattr(events, name)[at]
        told_now[silent] = clients.COLUMNS[name].default
        fresh = getattr(clients, name)[rows] != told_now
        getattr(clients, name)[rows[fresh]] = _shared(told_now[fresh])
        changed |= fresh
        if name != "locale":  # of several cards one with a name speaks
            state.customers.stir(clients.customer[rows[fresh]], PERSON)
    clients.touch(rows)
    aliases = events.aliases[at]
    aliases[silent] = None
    renamed = _store_aliases(state, rows, aliases)
    target = named.customer[lines]
    fallback = np.where(named.phone[lines] == 0, clients.visit_phone[rows], 0)
    target = np.where(fallback != 0, customer_rows(state, clients.tenant[rows], fallback), target)
    moved = _link(state, rows, target, lines, touched)
    touched.add(clients.customer[rows[changed]], lines[changed], Cause.IDENTITY)
    _meet(state, rows, lines, moved | renamed, touched)


def _own_phones(state: LaneState, rows: Rows, told: I8) -> I8:
    """The phones of cards that have just told these: without one, what visits have said of it."""
    return np.where(told != 0, told, state.clients.visit_phone[rows])


def _at(chosen: Flags, flags: Flags) -> Flags:
    """Flags of the chosen rows among all of them."""
    spread = np.zeros(len(chosen), np.bool_)
    spread[chosen] = flags
    return spread


def _store_consents(
    state: LaneState, rows: Rows, at: Rows, events: ClientEvents, clocks: I8
) -> Flags:
    """Keeps what cards say of marketing, and when they said it last; returns which say anything."""
    clients = state.clients
    now_ms = clocks[events.record[at]]
    told = events.consent[at] >= 0
    clients.consent[rows[told]] = events.consent[at[told]]
    clients.consent_ms[rows[told]] = now_ms[told]
    of_sms = events.sms_denied[at] >= 0
    # That SMS are not denied is news only where they were.
    news = of_sms & ((events.sms_denied[at] == 1) | (clients.sms_denied[rows] == 1))
    clients.sms_denied[rows[of_sms]] = events.sms_denied[at[of_sms]]
    clients.sms_ms[rows[of_sms]] = now_ms[of_sms]
    said: Flags = told | news
    return said


def _store_aliases(state: LaneState, rows: Rows, told: Objects) -> Flags:
    """Keeps the aliases that cards tell; returns which are others than before."""
    changed = np.zeros(len(rows), np.bool_)
    aliases = told.tolist()
    if aliases.count(None) < len(aliases):
        for at, each in enumerate(aliases):
            if each and (text := aliases_text(each)) != state.clients.aliases[rows[at]]:
                state.clients.aliases[rows[at]] = text
                changed[at] = True
    return changed


def _meet(state: LaneState, rows: Rows, lines: Rows, changed: Flags, touched: TouchedRows) -> None:
    met = changed.nonzero()[0]
    if len(met):
        met = met[state.clients.aliases[rows[met]] != None]  # noqa: E711  # elementwise
    if len(met):
        touched.met.append((rows[met], lines[met]))


def note_visit_phone(
    state: LaneState,
    named: Named,
    lines: Rows,
    client: Rows,
    names: Objects,
    touched: TouchedRows,
) -> Flags:
    """A visit that names a phone and a card tells the card's phone, unless the card does itself."""
    clients = state.clients
    linked = np.zeros(len(lines), np.bool_)
    phone = named.phone[lines]
    cardless = ((client >= 0) & ~clients.has_card[client]).nonzero()[0]
    if len(cardless):
        _name(state, client[cardless], names[cardless], phone[cardless], lines[cardless], touched)
    told = ((client >= 0) & (phone != 0)).nonzero()[0]
    if not len(told):
        return linked
    chosen = client[told]
    clients.visit_phone[chosen] = phone[told]
    clients.touch(chosen)
    free = clients.card_phone[chosen] == 0
    told = told[free]
    linked[told] = moved = _link(
        state, chosen[free], named.customer[lines[told]], lines[told], touched
    )
    _meet(state, chosen[free], lines[told], moved, touched)
    return linked


def _name(
    state: LaneState, client: Rows, names: Objects, phone: I8, lines: Rows, touched: TouchedRows
) -> None:
    """Visits of clients without a card tell their names."""
    clients = state.clients
    told = (names != None) & (names != clients.name[client])  # noqa: E711  # elementwise
    # A name of one who wants to be forgotten is not kept, whether or not the phone comes with it.
    card_tells = clients.card_phone[client]
    own = np.where(card_tells != 0, card_tells, _own_phones(state, client, phone))
    told &= own != NOBODYS
    clients.name[client[told]] = _shared(names[told])
    clients.touch(client[told])
    state.customers.stir(clients.customer[client[told]], PERSON)
    touched.add(clients.customer[client[told]], lines[told], Cause.IDENTITY)


def _link(state: LaneState, client: Rows, target: Rows, lines: Rows, touched: TouchedRows) -> Flags:
    """Points clients to customers (-1: nobody any more); returns which moved.

    A client that has belonged to somebody brings what has been counted, and greeted, before.
    """
    clients, customers = state.clients, state.customers
    old = clients.customer[client].astype(np.int64)
    moved: Flags = old != target
    if not moved.any():
        return moved
    rechain(customers.first_client, clients.next_client, client, old, target)
    clients.customer[client] = target
    clients.touch(client[moved])
    linked = moved & (target >= 0)
    again = linked & clients.linked[client]
    parent = target[linked]
    clients.linked[client[linked]] = True
    customers.known[parent] = True
    touched.add(parent, lines[linked], Cause.IDENTITY)
    touched.add(target[again], lines[again], Cause.MOVED)
    touched.add(old[moved], lines[moved], Cause.MOVED)
    customers.stir(parent, STIRRED)
    customers.stir(old[moved], STIRRED)
    return moved


def _shared(texts: NDArray[Any]) -> NDArray[Any]:
    """The same, where many are called alike one text for all of them; numbers stay as they are."""
    if not texts.dtype.hasobject:
        return texts
    told = [text if text is None else intern(text) for text in texts.tolist()]
    return np.array([*told, None], np.object_)[:-1]
