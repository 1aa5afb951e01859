"""Find the rows of people: customers by their phone or by their first alias, and the aliases.

In:    phones, or aliases as (kind, value), with the rows of their tenants
Out:   rows, added where they are not known yet
State: rows that say nothing as long as no event has had its turn
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from schemas.batch import I8, Objects
from schemas.keys import alias_customer_id, customer_id, row_keys, text_keys
from state.index import U8, Rows
from state.lane import LaneState

Alias = tuple[str, str]
"""Kind and value: ``("telegram", "104211")``."""

_PHONE_SALT = np.uint64(0x70686F6E652D6964)
_ALIAS_SALT = np.uint64(0x616C6961732D6964)
_PHONELESS_SALT = np.uint64(0x6C6561642D6E616D)
_NAMELESS: dict[str, str] = {}
_ENCODE = msgspec.json.Encoder().encode
_DECODE = msgspec.json.Decoder(list[Alias]).decode


def customer_rows(state: LaneState, tenants: Rows, phones: I8) -> Rows:
    """Rows of the customers behind these phones, -1 where there is none or it is NOBODYS."""
    rows = np.full(len(phones), -1, np.int64)
    present = (phones > 0).nonzero()[0]
    if not len(present):
        return rows
    customers = state.customers
    tenant, phone = tenants[present], phones[present]
    keys = row_keys(state.tenants.key[tenant] ^ _PHONE_SALT, phone.view(np.uint64))
    found, _ = customers.find_or_add(keys)
    # A row may also have been left without its phone, by someone who wanted to be forgotten.
    for at in (customers.phone[found] == 0).nonzero()[0].tolist():
        row = found[at]
        customers.tenant[row] = tenant[at]
        customers.phone[row] = phone[at]
        name = state.tenants.name[tenant[at]]
        customers.id[row] = customer_id(state.id_key, name, int(phone[at]))
        customers.changed[row] = True
    rows[present] = found
    return rows


def find_customers(state: LaneState, tenants: Rows, phones: I8) -> Rows:
    """Rows of the customers behind these phones, -1 where there is none yet; none is added."""
    space = state.tenants.key[tenants] ^ _PHONE_SALT
    rows = state.customers.index.find(row_keys(space, phones.view(np.uint64)))
    rows[phones <= 0] = -1
    return rows


def find_aliases(state: LaneState, tenants: Rows, aliases: Sequence[Alias]) -> Rows:
    """Rows of aliases, -1 where one is not known."""
    return state.aliases.index.find(_alias_keys(state, tenants, aliases))


def alias_rows(state: LaneState, tenants: Rows, aliases: Sequence[Alias]) -> Rows:
    """Rows of aliases, added where they are not known; a new one points to nobody."""
    table = state.aliases
    if not aliases:
        return np.zeros(0, np.int64)
    rows, _ = table.find_or_add(_alias_keys(state, tenants, aliases))
    for at in (table.kind[rows] == None).nonzero()[0].tolist():  # noqa: E711  # elementwise
        row = rows[at]
        table.tenant[row] = tenants[at]
        table.kind[row], table.value[row] = aliases[at]
        table.changed[row] = True
    return rows


def phoneless_rows(state: LaneState, aliases: Rows) -> Rows:
    """Rows of the customers whom nothing but these aliases names."""
    customers = state.customers
    keys = row_keys(state.aliases.key[aliases] ^ _PHONELESS_SALT, np.zeros(len(aliases), np.uint64))
    rows, fresh = customers.find_or_add(keys)
    for at in fresh.nonzero()[0].tolist():
        row, alias = rows[at], aliases[at]
        tenant = int(state.aliases.tenant[alias])
        kind, value = state.aliases.kind[alias], state.aliases.value[alias]
        customers.tenant[row] = tenant
        name = state.tenants.name[tenant]
        customers.id[row] = alias_customer_id(state.id_key, name, kind, value)
    return rows


def aliases_text(aliases: Sequence[Alias]) -> str:
    """Aliases in one text, as a card keeps them."""
    return _ENCODE(sorted(set(aliases))).decode()


def aliases_of(texts: Objects) -> tuple[Rows, list[Alias]]:
    """The aliases in a column of such texts (``None``: none), with the line of each."""
    lines: list[int] = []
    found: list[Alias] = []
    told = texts.tolist()
    if told.count(None) < len(told):
        for at in (texts != None).nonzero()[0].tolist():  # noqa: E711  # elementwise
            aliases = _DECODE(told[at])
            lines += [at] * len(aliases)
            found += aliases
    return np.array(lines, np.int64), found


def _alias_keys(state: LaneState, tenants: Rows, aliases: Sequence[Alias]) -> U8:
    texts = text_keys([f"{kind}\x1f{value}" for kind, value in aliases])
    return row_keys(state.tenants.key[tenants] ^ _ALIAS_SALT, texts.view(np.uint64))


def told_aliases(state: LaneState, customers: Rows) -> Objects:
    """What each customer is called by each messenger: the newest name of a kind."""
    told = np.empty(len(customers), np.object_)
    heads = state.customers.first_alias[customers]
    told.fill(_NAMELESS)
    for at in (heads >= 0).nonzero()[0].tolist():
        told[at] = _newest(state, int(heads[at]))
    return told


def _newest(state: LaneState, alias: int) -> dict[str, str]:
    table = state.aliases
    newest: dict[str, tuple[int, int, str]] = {}
    while alias >= 0:
        kind = table.kind[alias]
        # Two of one instant: any order will do that is the same for every cut.
        rank = (int(table.told_ms[alias]), int(table.key[alias]), table.value[alias])
        newest[kind] = max(newest.get(kind, rank), rank)
        alias = int(table.next_alias[alias])
    return {kind: newest[kind][2] for kind in sorted(newest)}
