"""Find out whom each event is about: visits, clients and phones become rows of the lane.

In:    ``VisitEvents``, ``ClientEvents``, ``IncomingEvents`` of one lane's batch
Out:   ``Named``: one line per event with its rows and its unit, in log order
State: rows for keys that were not known; nothing else changes here
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import phonenumbers
from numpy.typing import NDArray

from schemas.batch import I1, I4, I8, NONE, Batch, Objects
from schemas.keys import customer_id, row_keys, text_key
from state.index import Rows
from state.lane import LaneState

U8 = NDArray[np.uint64]

VISIT, CLIENT, INCOMING = range(3)
"""Kinds of events that can change a customer."""

_VISIT_SALT = np.uint64(0x76697369742D6964)
_CLIENT_SALT = np.uint64(0x636C69656E742D69)
_PHONE_SALT = np.uint64(0x70686F6E652D6964)
_PLUS_SEVEN = frozenset({"RU", "KZ"})
_INTERNATIONAL = frozenset({"whatsapp"})  # writes digits without a plus
_CACHE_LIMIT = 1_000_000
_LONGEST_WRITING = 64
_UNSEEN = -1

_phones: dict[str, int] = {}
_local_phones: dict[tuple[str | None, str], int] = {}


@dataclass(slots=True)
class Named:
    """Events of a batch that touch customers, n lines in log order.

    ``source`` is the row in the columns of its kind; rows are -1 where there is none; ``phone`` is
    E.164 as an integer, 0 where there is none; ``fallback`` is the customer whom a card without a
    phone belongs to by its visits; ``unit`` joins what must be folded in order.
    """

    record: I4
    kind: I1
    source: I4
    tenant: I4
    visit: Rows
    client: Rows
    phone: I8
    customer: Rows
    fallback: Rows
    unit: I4


def canonical_phone(text: str, country: str | None, international: bool = False) -> int:
    """E.164 as an integer, 0 for what cannot be a phone number.

    A leading 8 with 11 digits is +7 in Russia and Kazakhstan; everything that is not already
    +7 and ten digits is judged by ``phonenumbers`` (possible, not necessarily assigned).
    """
    if len(text) == 12 and text.startswith("+7") and text[1:].isdecimal() and text.isascii():
        return int(text)
    if len(text) > _LONGEST_WRITING or any(letter.isalpha() for letter in text):
        return 0
    digits = "".join(letter for letter in text if letter in "0123456789")
    if text.lstrip(" (").startswith("+") or international:
        return _possible(f"+{digits}", None)
    if country in _PLUS_SEVEN and len(digits) == 11 and digits[0] in "78":
        return int("7" + digits[1:])
    # A tourist's number is often written in full, without its plus.
    local = _possible(digits, country) if country else 0
    return local or (_possible(f"+{digits}", None) if len(digits) > 10 else 0)


def _possible(text: str, country: str | None) -> int:
    try:
        number = phonenumbers.parse(text, country)
    except phonenumbers.NumberParseException:
        return 0
    if not phonenumbers.is_possible_number(number):
        return 0
    return int(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def phone_column(
    phones: Objects, tenants: I4, scopes: I4, state: LaneState, counts: Counter[tuple[str, ...]]
) -> I8:
    """Canonical phones of a column as providers write them; cached, as people come again."""
    texts = phones.tolist()
    found = np.array([_phones.get(text, _UNSEEN) if text else NONE for text in texts], np.int64)
    for at in np.flatnonzero(found == _UNSEEN).tolist():
        provider = state.scopes.provider[scopes[at]]
        country = state.tenants.settings[tenants[at]].country
        found[at] = _local_phone(texts[at], country, provider)
    counts["ignored", "phone"] += int((found == 0).sum())
    found[found == NONE] = 0
    return found


def _local_phone(text: str, country: str | None, provider: str) -> int:
    international = provider in _INTERNATIONAL
    cached = (("+" if international else country), text)
    phone = _local_phones.get(cached)
    if phone is None:
        phone = canonical_phone(text, country, international)
        if len(_phones) + len(_local_phones) > _CACHE_LIMIT:
            _phones.clear()
            _local_phones.clear()
        if text.startswith("+"):
            _phones[text] = phone
        else:
            _local_phones[cached] = phone
    return phone


def scope_rows(state: LaneState, batch: Batch) -> Rows:
    """The lane's row of each of the batch's scopes."""
    if not batch.scopes:
        return np.zeros(0, np.int32)
    keys = np.array([text_key("\x1f".join(scope)) for scope in batch.scopes], np.uint64)
    rows, fresh = state.scopes.find_or_add(row_keys(keys, np.zeros(1, np.uint64)))
    for at in np.flatnonzero(fresh).tolist():
        scope, row = batch.scopes[at], rows[at]
        state.scopes.tenant[row] = state.tenants.row(scope.tenant)
        state.scopes.provider[row] = scope.provider
        state.scopes.branch[row] = scope.branch
    return rows


def identify(state: LaneState, batch: Batch, scopes: Rows) -> Named:
    """Rows and units of every event of the batch that can change a customer."""
    visits, clients, incoming = batch.visits, batch.clients, batch.incoming
    counts = batch.counts
    scope = np.concatenate([scopes[e.scope] for e in (visits, clients, incoming)])
    tenant = state.scopes.tenant[scope]
    raw = np.concatenate([visits.phone, clients.phone, incoming.phone])
    phone = phone_column(raw, tenant, scope, state, counts)
    sizes = (len(visits.record), len(clients.record), len(incoming.record))
    kind = np.repeat(np.array([VISIT, CLIENT, INCOMING], np.int8), sizes)
    visit = np.full(len(kind), -1, np.int32)
    space = state.scopes.key[scope]
    if sizes[0]:
        ids = row_keys(space[: sizes[0]] ^ _VISIT_SALT, visits.id.view(np.uint64))
        visit[: sizes[0]], _ = state.visits.find_or_add(ids)
    client = _client_rows(state, tenant, space, phone, visits.client, clients.id, sizes)
    customer = customer_rows(state, tenant, phone)
    record = np.concatenate([visits.record, clients.record, incoming.record])
    order = np.argsort(record, kind="stable")
    source = np.concatenate([np.arange(size, dtype=np.int32) for size in sizes])
    named = Named(
        record=record[order],
        kind=kind[order],
        source=source[order],
        tenant=tenant[order],
        visit=visit[order],
        client=client[order],
        phone=phone[order],
        customer=customer[order],
        fallback=_fallbacks(state, kind, tenant, client, phone)[order],
        unit=np.zeros(len(order), np.int32),
    )
    named.unit = _units(state, named)
    return named


def customer_rows(state: LaneState, tenants: I4, phones: I8) -> Rows:
    """Rows of the customers behind these phones, -1 where the phone is 0."""
    rows = np.full(len(phones), -1, np.int32)
    present = np.flatnonzero(phones)
    if not len(present):
        return rows
    customers = state.customers
    tenant, phone = tenants[present], phones[present]
    keys = row_keys(state.tenants.key[tenant] ^ _PHONE_SALT, phone.view(np.uint64))
    rows[present], fresh = customers.find_or_add(keys)
    for at in np.flatnonzero(fresh).tolist():
        row = rows[present[at]]
        if customers.phone[row]:
            continue
        customers.tenant[row] = tenant[at]
        customers.phone[row] = phone[at]
        name = state.tenants.name[tenant[at]]
        customers.id[row] = customer_id(state.id_key, name, int(phone[at]))
    return rows


def _client_rows(
    state: LaneState,
    tenant: I4,
    space: U8,
    phone: I8,
    visit_clients: I8,
    card_ids: I8,
    sizes: tuple[int, int, int],
) -> Rows:
    """Cards by their id; where a visit names only a phone, the phone's stand-in card."""
    named = np.concatenate([visit_clients, card_ids, np.full(sizes[2], NONE)])
    card = named != NONE
    keys = np.where(
        card,
        row_keys(space ^ _CLIENT_SALT, named.view(np.uint64)),
        row_keys(state.tenants.key[tenant] ^ _CLIENT_SALT, phone.view(np.uint64)),
    )
    wanted = np.flatnonzero((card | (phone != 0)) & (np.arange(len(card)) < sizes[0] + sizes[1]))
    rows = np.full(len(named), -1, np.int32)
    if len(wanted):
        rows[wanted], fresh = state.clients.find_or_add(keys[wanted])
        state.clients.tenant[rows[wanted][fresh]] = tenant[wanted][fresh]
    return rows


def _fallbacks(state: LaneState, kind: I1, tenant: I4, client: Rows, phone: I8) -> Rows:
    bare = (kind == CLIENT) & (phone == 0)
    told = np.where(bare, state.clients.visit_phone[client], 0)
    return customer_rows(state, tenant, told)


def _units(state: LaneState, named: Named) -> I4:
    """Connected components of the batch over visits, clients and customers.

    Two events are in one unit if anything that they read or write is shared, through what they
    name or through what the lane already knows; only inside a unit does order matter.
    """
    clients, customers = state.clients, state.customers
    first_client = state.visits.rows
    first_customer = first_client + clients.rows
    label = np.arange(first_customer + customers.rows, dtype=np.int32)
    known_client = np.where(named.visit >= 0, state.visits.client[named.visit], -1)
    edges_from: list[Rows] = []
    edges_to: list[Rows] = []

    def join(left: Rows, right: Rows) -> None:
        both = (left >= 0) & (right >= 0)
        edges_from.append(left[both])
        edges_to.append(right[both])

    def shifted(rows: Rows, first: int) -> Rows:
        return np.where(rows >= 0, rows + np.int32(first), -1).astype(np.int32)

    client = shifted(named.client, first_client)
    old_client = shifted(known_client, first_client)
    customer = shifted(named.customer, first_customer)
    join(named.visit, client)
    join(named.visit, old_client)
    join(client, customer)
    for rows, nodes in ((named.client, client), (known_client, old_client)):
        linked = np.where(rows >= 0, clients.customer[rows], -1).astype(np.int32)
        join(nodes, shifted(linked, first_customer))
    join(client, shifted(named.fallback, first_customer))
    source, target = np.concatenate(edges_from), np.concatenate(edges_to)
    while True:
        least = np.minimum(label[source], label[target])
        if (label[source] == least).all() and (label[target] == least).all():
            break
        np.minimum.at(label, source, least)
        np.minimum.at(label, target, least)
    event = np.where(named.visit >= 0, named.visit, np.where(client >= 0, client, customer))
    return np.where(event >= 0, label[event], -1).astype(np.int32)
