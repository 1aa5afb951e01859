"""Find the records of a log that may say something of one customer, among all of its tenant's.

In:    ``Batch`` of one lane; ``Whom``, every name by which the customer is known so far
Out:   the batch with one tenant's events alone; pieces of it; the next record that names her or him
State: read only, but for the rows of the batch's scopes

A record too many costs time and changes nothing, as folding is the same however the log is cut.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from operators.features import history_of
from operators.identify import card_keys, scope_rows, visit_keys
from operators.people import Alias
from schemas.batch import (
    I4,
    I8,
    NONE,
    Batch,
    ForgetEvent,
    Objects,
    SettingsEvent,
    WebhookRows,
)
from schemas.keys import text_key
from schemas.part import part_of
from schemas.webhooks.findings import nothing, select
from state.chains import walk
from state.index import Rows
from state.lane import LaneState

_TAIL_DIGITS = 6
"""So many last digits are the same however a phone is written."""

_Events = TypeVar("_Events", bound=Any)
_KINDS = ("visits", "clients", "statuses", "incoming", "payments")


@dataclass
class Whom:
    """Names of one customer: ids, ends of phones, aliases, messages, keys of command ids."""

    ids: set[str] = field(default_factory=set)
    tails: set[int] = field(default_factory=set)
    aliases: set[Alias] = field(default_factory=set)
    messages: set[int] = field(default_factory=set)
    commands: set[int] = field(default_factory=set)


def tail(text: str | None) -> int:
    """The last digits of a phone, -1 where there are too few."""
    digits = "".join(letter for letter in text or "" if letter in "0123456789")
    return int(digits[-_TAIL_DIGITS:]) if len(digits) >= _TAIL_DIGITS else -1


def of_tenant(batch: Batch, tenant: str) -> Batch:
    """All records, with the events of this tenant alone: the others' only let time pass."""
    own = [at for at, scope in enumerate(batch.scopes) if scope.tenant == tenant]
    place = np.full(len(batch.scopes), -1, np.int32)
    place[own] = np.arange(len(own), dtype=np.int32)

    def taken(events: Any) -> Any:
        found = select(events, np.flatnonzero(place[events.scope] >= 0))
        return replace(found, scope=place[found.scope])

    return replace(
        batch,
        scopes=[batch.scopes[at] for at in own],
        **{kind: taken(getattr(batch, kind)) for kind in _KINDS},
        webhooks=nothing(WebhookRows),
        settings=[each for each in batch.settings if each.tenant == tenant],
        forgets=[each for each in batch.forgets if each.tenant == tenant],
        dead_letters=[],
        counts=Counter(),
        originals=None,
    )


def piece_of(batch: Batch, start: int, end: int) -> Batch:
    """The records from ``start`` to ``end`` as a batch of their own."""
    part = part_of(batch, start, end)
    return replace(
        part,
        positions=batch.positions[start:end],
        appended_ms=batch.appended_ms[start:end],
        imported=batch.imported[start:end],
        **{kind: _moved(getattr(part, kind), start) for kind in _KINDS},
        settings=_rare(batch.settings, start, end),
        forgets=_rare(batch.forgets, start, end),
        counts=Counter(),
    )


def _moved(events: _Events, start: int) -> _Events:
    return replace(events, record=events.record - np.int32(start))


_Rare = TypeVar("_Rare", SettingsEvent, ForgetEvent)


def _rare(events: list[_Rare], start: int, end: int) -> list[_Rare]:
    return [
        replace(each, record=each.record - start) for each in events if start <= each.record < end
    ]


class Mentions:
    """What the events of one batch name, as integers that are compared at once."""

    def __init__(self, state: LaneState, batch: Batch) -> None:
        self._state, self._batch = state, batch
        self._columns = [
            (kind, record, values) for kind, record, values in _columns(state, batch) if len(record)
        ]

    def next(self, whom: Whom, rows: Rows, start: int) -> int | None:
        """The first record from ``start`` on that may touch these rows of customers.

        New settings touch everybody.
        """
        wanted = _wanted(self._state, whom, rows)
        rare = [each.record for each in self._batch.settings]
        rare += [each.record for each in self._batch.forgets if each.customer_id in whom.ids]
        best = min((record for record in rare if record >= start), default=None)
        for kind, record, values in self._columns:
            first = int(np.searchsorted(record, start))
            last = len(record) if best is None else int(np.searchsorted(record, best))
            hits = np.flatnonzero(np.isin(values[first:last], wanted[kind]))
            if len(hits):
                best = int(record[first + hits[0]])
        return best

    def messages_in(self, record: int) -> set[int]:
        """The messages that this record tells the status of."""
        statuses = self._batch.statuses
        first, end = np.searchsorted(statuses.record, [record, record + 1])
        return {each for each in statuses.message[first:end].tolist() if each != NONE}


def _columns(state: LaneState, batch: Batch) -> Iterator[tuple[str, I4, NDArray[Any]]]:
    visits, cards, payments = batch.visits, batch.clients, batch.payments
    statuses, incoming = batch.statuses, batch.incoming
    for phoned in (visits, cards, payments, statuses, incoming):
        tails = [tail(text) for text in phoned.phone.tolist()]
        yield "tail", phoned.record, np.array(tails, np.int64)
    scopes = state.scopes.key[scope_rows(state, batch)]
    for of_client, ids in ((visits, visits.client), (cards, cards.id), (payments, payments.client)):
        yield "card", of_client.record, card_keys(scopes[of_client.scope], ids)
    yield "visit", visits.record, visit_keys(scopes[visits.scope], visits.id)
    yield "money", visits.record, visits.money_unit
    yield "money", payments.record, payments.money_unit
    yield "message", statuses.record, statuses.message
    told = [text_key(each) if each else NONE for each in statuses.command.tolist()]
    yield "command", statuses.record, np.array(told, np.int64)
    for named in (statuses, incoming):
        yield "alias", named.record, _alias_column(named.alias)
    at = [
        (record, alias_key(alias))
        for record, aliases in zip(cards.record.tolist(), cards.aliases.tolist(), strict=True)
        for alias in aliases or ()
    ]
    pairs = np.array(at, np.int64).reshape(-1, 2)
    yield "alias", pairs[:, 0].astype(np.int32), pairs[:, 1]


def alias_key(alias: Alias) -> int:
    """One integer for a kind and a value."""
    return text_key("\x1f".join(alias))


def _alias_column(aliases: Objects) -> I8:
    return np.array([alias_key(each) if each else NONE for each in aliases.tolist()], np.int64)


def _wanted(state: LaneState, whom: Whom, rows: Rows) -> dict[str, NDArray[Any]]:
    """The integers of each kind that mean the customer."""
    history = history_of(state, rows)
    units = state.visits.money_unit[history.visit]
    phones = state.customers.phone[rows]
    cards = np.union1d(history.client, _cards_of(state, phones[phones != 0]))
    return {
        "tail": _sorted(whom.tails),
        "card": state.clients.key[cards],
        "visit": state.visits.key[history.visit],
        "money": units[units != NONE],
        "message": _sorted(whom.messages),
        "command": _sorted(whom.commands),
        "alias": _sorted({alias_key(each) for each in whom.aliases | own_aliases(state, rows)}),
    }


def _cards_of(state: LaneState, phones: I8) -> NDArray[np.intp]:
    """Clients that have named these phones: somebody else's may fall back to one of them."""
    table = state.clients
    named = np.isin(table.visit_phone[: table.rows], phones)
    return np.flatnonzero(named | np.isin(table.card_phone[: table.rows], phones))


def own_aliases(state: LaneState, rows: Rows) -> set[Alias]:
    """The aliases that point to these rows of customers."""
    table = state.aliases
    _, found = walk(state.customers.first_alias[rows], table.next_alias, rows)
    kinds, values = table.kind[found].tolist(), table.value[found].tolist()
    return {(kind, value) for kind, value in zip(kinds, values, strict=True) if kind is not None}


def _sorted(values: Collection[int]) -> I8:
    return np.array(sorted(values), np.int64)
