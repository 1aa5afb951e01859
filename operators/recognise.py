"""Recognise who wanted to be forgotten, by what a record tells of tombstones that stand.

In:    a part's messages, statuses and cards; the first record that changes a tombstone cuts it
Out:   tombstones of who is found to be somebody forgotten; a profile where a refusal is inherited
State: ``tombstones``; ``customers.opted``

An opt-in word lifts the tombstones of who writes it. A name that is told beside the phone of who
is forgotten is forgotten with it. Where a name alone was forgotten and its phone is learnt, the
wish is the phone's: who was not known under it stays unknown, who was has opted out.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from operators.consent import words_of
from operators.decide import decide
from operators.forget import forget
from operators.moments import Moment
from operators.owed import Owed
from operators.people import Alias, find_aliases, find_customers
from operators.phones import phone_column
from operators.score import score
from operators.tombstones import haunted, lift, of_aliases, of_phones, stand
from schemas.batch import I8, NONE, Batch, ClientEvents, ForgetEvent, IncomingEvents, StatusEvents
from schemas.consent_words import IN, OUT
from schemas.keys import alias_customer_id, customer_id
from state.index import Rows
from state.lane import LaneState

_MESSAGE, _CARD, _STATUS = range(3)


class _Telling(NamedTuple):
    """One event's phone (0: none) and one of its aliases; ``word_ms`` is when it opted in."""

    record: int
    kind: int
    row: int
    tenant: int
    phone: int
    alias: Alias | None
    word_ms: int


@dataclass(slots=True)
class Recognised:
    """What one record tells, in the order in which it is taken."""

    record: int
    tellings: list[_Telling]


def first_recognised(
    state: LaneState, part: Batch, scopes: Rows, clock_ms: I8, after: int
) -> Recognised | None:
    """The first record later than ``after`` that changes a tombstone; ``None``: as a rule."""
    if not len(state.tombstones):
        return None
    told = [
        *_messages(state, part, scopes, clock_ms),
        *_pairs(state, part.clients, scopes, _CARD),
        *_pairs(state, part.statuses, scopes, _STATUS),
    ]
    asking = [each for each in told if each.record > after and _asks(state, each)]
    if not asking:
        return None
    record = min(each.record for each in asking)
    # What the first of them changes may make the others ask.
    return Recognised(record, sorted(each for each in told if each.record == record))


def recognise(
    state: LaneState,
    owed: Owed,
    found: Recognised,
    now_ms: int,
    position: int,
    counts: Counter[tuple[str, ...]],
) -> None:
    """Changes the tombstones as of a record, before anything that it tells is folded."""
    for telling in found.tellings:
        if not _asks(state, telling):
            continue
        if telling.word_ms != NONE:
            _lift_by_word(state, telling)
        if telling.alias is None or not telling.phone:
            continue
        by_phone, by_alias = _stones(state, telling)
        if by_phone >= 0 and by_alias < 0:
            _forget_alias(state, owed, telling, by_phone, now_ms, position, counts)
        elif by_alias >= 0 and by_phone < 0 and telling.kind != _CARD:
            _learn_phone(state, owed, telling, by_alias, now_ms, position, counts)


def _messages(state: LaneState, part: Batch, scopes: Rows, clock_ms: I8) -> list[_Telling]:
    """Opt-in words, and messages that tell a name beside a phone."""
    events = part.incoming
    if not haunted(state, events, scopes)[1].any():
        return []
    words = words_of(part, clock_ms)
    if words is None:
        return _pairs(state, events, scopes, _MESSAGE)
    word_ms = np.where(words.says == IN, words.at_ms, NONE)
    return _pairs(state, events, scopes, _MESSAGE, word_ms)


def _pairs(
    state: LaneState,
    events: IncomingEvents | StatusEvents | ClientEvents,
    scopes: Rows,
    kind: int,
    word_ms: I8 | None = None,
) -> list[_Telling]:
    """Names beside phones that are not known to be each other's, and whoever writes a word."""
    tenants, asked = haunted(state, events, scopes)
    says = np.zeros(len(asked), np.bool_) if word_ms is None else word_ms != NONE
    aliases = events.aliases if isinstance(events, ClientEvents) else events.alias
    both = (aliases != None) & (events.phone != None)  # noqa: E711  # elementwise
    rows = (asked & (says | both)).nonzero()[0]
    if not len(rows):
        return []
    scope = scopes[events.scope[rows]]
    phones = phone_column(events.phone[rows], tenants[rows], scope, state, Counter())
    found: list[_Telling] = []
    for row, phone in zip(rows.tolist(), phones.tolist(), strict=True):
        names = aliases[row] if isinstance(events, ClientEvents) else (aliases[row],)
        word = NONE if word_ms is None else int(word_ms[row])
        tenant, record = int(tenants[row]), int(events.record[row])
        found += [_Telling(record, kind, row, tenant, phone, name, word) for name in names]
    return [each for each in found if each.word_ms != NONE or not _is_paired(state, each)]


def _is_paired(state: LaneState, telling: _Telling) -> bool:
    owner = -1 if telling.alias is None else _owner(state, telling.tenant, telling.alias)
    return owner >= 0 and int(state.customers.phone[owner]) == telling.phone


def _owner(state: LaneState, tenant: int, alias: Alias) -> int:
    row = find_aliases(state, np.array([tenant], np.int32), [alias]).item()
    return -1 if row < 0 else int(state.aliases.customer[row])


def _stones(state: LaneState, telling: _Telling) -> tuple[int, int]:
    """The tombstones of phone and alias, -1 for none."""
    tenants = np.array([telling.tenant], np.int32)
    by_phone = of_phones(state, tenants, np.array([telling.phone])).item()
    named = [] if telling.alias is None else [telling.alias]
    return by_phone, max(of_aliases(state, tenants[: len(named)], named).tolist(), default=-1)


def _asks(state: LaneState, telling: _Telling) -> bool:
    """Whether a tombstone changes by this."""
    by_phone, by_alias = _stones(state, telling)
    since_ms = state.tombstones.since_ms
    if any(row >= 0 and telling.word_ms > since_ms[row] for row in (by_phone, by_alias)):
        return True
    if telling.alias is None or not telling.phone or (by_phone < 0) == (by_alias < 0):
        return False
    if by_alias >= 0:
        return telling.kind != _CARD
    owner = _owner(state, telling.tenant, telling.alias)
    # Another phone is another person: the name stays with whom it was told of.
    return owner < 0 or not state.customers.phone[owner]


def _lift_by_word(state: LaneState, telling: _Telling) -> None:
    """A word that is older than the wish to be forgotten lifts nothing."""
    for at in range(2):
        row = _stones(state, telling)[at]
        if row >= 0 and telling.word_ms > state.tombstones.since_ms[row]:
            lift(state, row)


def _forget_alias(
    state: LaneState,
    owed: Owed,
    telling: _Telling,
    stone: int,
    now_ms: int,
    position: int,
    counts: Counter[tuple[str, ...]],
) -> None:
    """Who is known by a name alone turns out to be somebody who is forgotten."""
    assert telling.alias is not None
    table = state.tombstones
    person, since_ms = table.person[stone].decode(), int(table.since_ms[stone])
    owner = _owner(state, telling.tenant, telling.alias)
    if owner >= 0 and state.customers.phone[owner]:
        return
    name = state.tenants.name[telling.tenant]
    named = alias_customer_id(state.id_key, name, *telling.alias)
    if owner >= 0:
        event = ForgetEvent(telling.record, name, named)
        forget(state, owed, event, now_ms, position, counts)
    stand(state, telling.tenant, [named], person, since_ms)


def _learn_phone(
    state: LaneState,
    owed: Owed,
    telling: _Telling,
    stone: int,
    now_ms: int,
    position: int,
    counts: Counter[tuple[str, ...]],
) -> None:
    """The phone of a name that was forgotten: the wish is the phone's, unless it had another."""
    table, tenants = state.tombstones, np.array([telling.tenant], np.int32)
    named, since_ms = table.id[stone].decode(), int(table.since_ms[stone])
    alone = table.id[stone] == table.person[stone]
    customer = find_customers(state, tenants, np.array([telling.phone]))
    known = bool(customer[0] >= 0 and state.customers.known[customer[0]])
    if alone and not known:
        tenant = state.tenants.name[telling.tenant]
        person = customer_id(state.id_key, tenant, telling.phone)
        event = ForgetEvent(telling.record, tenant, person)
        forget(state, owed, event, now_ms, position, counts)
        stand(state, telling.tenant, [person, named], person, since_ms)
        return
    table.free(np.array([stone], np.int32))
    if alone:
        _opt_out(state, owed, customer, since_ms, Moment(np.array([now_ms]), np.array([position])))


def _opt_out(state: LaneState, owed: Owed, customer: Rows, since_ms: int, moment: Moment) -> None:
    """A refusal binds whoever it turns out to be of; nothing else of them is changed by it."""
    table = state.customers
    if table.opted[customer[0]] == OUT and table.opted_ms[customer[0]] >= since_ms:
        return
    table.opted[customer], table.opted_ms[customer] = OUT, since_ms
    table.touch(customer)
    score(state, owed, customer, np.array(["merge"], np.object_), moment.now_ms, moment, anew=True)
    decide(state, owed)
