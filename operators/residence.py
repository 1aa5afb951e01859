"""Refuse what tenants of other countries send, where a deployment is for some countries alone.

In:    ``Batch`` of one lane, in log order
Out:   the batch without what these tenants' records say; each record is a dead letter
State: ``country`` of tenants, as their last settings record told it, in force or refused

A tenant is abroad from settings that name another country to settings that name one of ours; those
that name none leave it where it is, and who has told no country is nowhere, which is not abroad.
Time passes with refused records too. A wish to be forgotten is followed wherever its tenant is: of
before it left, people are still kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from schemas.batch import Batch, DeadLetter, Scope, SettingsEvent, WebhookRows
from schemas.record import decode_outline
from schemas.webhooks.findings import event_count, select
from state.lane import LaneState
from state.tables import Flags

STAGE = "residence"
REASON = "tenant"
MESSAGE = "tenant: its country is not among FLOWSELL_COUNTRIES"

_KINDS = ("visits", "clients", "statuses", "incoming", "payments")

Stays = dict[str, list[tuple[int, int]]]
"""By tenant: from which record to which it is abroad."""


def refuse_abroad(state: LaneState, batch: Batch) -> Batch:
    """The batch as the rest of the fold may see it; the same one where all are at home."""
    stays = _stays(state, batch)
    if not stays:
        return batch
    away = _away(batch, stays)
    if not away.any():
        return batch
    return _without(batch, away, stays)


def locate_tenants(state: LaneState, told: Sequence[SettingsEvent]) -> None:
    """Remembers where tenants are after these settings, refused ones among them."""
    for event in told:
        if event.settings.country is not None:
            state.tenants.locate(state.tenants.row(event.tenant), event.settings.country)


def _stays(state: LaneState, batch: Batch) -> Stays:
    """Of tenants that are abroad anywhere in the batch, and may have a record there."""
    tenants = state.tenants
    told = [
        (event.record, event.tenant, event.settings.country)
        for event in batch.settings
        if event.settings.country is not None
    ]
    is_leaving = not all(tenants.is_home(country) for _, _, country in told)
    if not is_leaving and not _names_any(batch, tenants.abroad):
        return {}
    since = dict.fromkeys(tenants.abroad, 0)
    stays: Stays = {}
    for record, tenant, country in told:
        if not tenants.is_home(country):
            since.setdefault(tenant, record)
        elif tenant in since:
            stays.setdefault(tenant, []).append((since.pop(tenant), record))
    for tenant, first in since.items():
        stays.setdefault(tenant, []).append((first, len(batch.positions)))
    return stays


def _names_any(batch: Batch, tenants: set[str]) -> bool:
    """Whether a record may be of one of these; history may be silent, and is looked into later."""
    return bool(tenants) and (
        any(scope.tenant in tenants for scope in batch.scopes)
        or any(event.tenant in tenants for event in batch.settings)
        or bool(batch.imported.any())
    )


def _away(batch: Batch, stays: Stays) -> Flags:
    """Per record: whether its tenant is abroad by then."""
    away, named = np.zeros((2, len(batch.positions)), np.bool_)
    tables = [*(getattr(batch, kind) for kind in _KINDS), batch.webhooks]
    for turn in range(max(map(len, stays.values()))):
        spans = np.array([_stay(stays, scope, turn) for scope in batch.scopes]).reshape(-1, 2)
        for table in tables:
            first, end = spans[table.scope].T
            away[table.record[(first <= table.record) & (table.record < end)]] = True
    for table in tables:
        named[table.record] = True
    others = [(event.record, event.tenant) for event in batch.settings]
    others += [
        (record, _tenant_of(batch, record))
        for record in ((batch.imported != 0) & ~named).nonzero()[0].tolist()
    ]
    for record, tenant in others:
        away[record] = any(first <= record < end for first, end in stays.get(tenant, ()))
    return away


def _stay(stays: Stays, scope: Scope, turn: int) -> tuple[int, int]:
    own = stays.get(scope.tenant, [])
    return own[turn] if turn < len(own) else (0, 0)


def _tenant_of(batch: Batch, record: int) -> str:
    """Of a record that could be read and says nothing."""
    if batch.originals is None:
        return ""
    return str(decode_outline(batch.originals.value(record)).tenant)


def _without(batch: Batch, away: Flags, stays: Stays) -> Batch:
    """Nothing is left of refused records but their times, and that webhooks were dead."""
    kept: dict[str, Any] = {}
    for kind in _KINDS:
        events = getattr(batch, kind)
        gone = away[events.record]
        kept[kind] = select(events, (~gone).nonzero()[0]) if gone.any() else events
        scopes, times = np.unique(events.scope[gone], return_counts=True)
        for scope, count in zip(scopes.tolist(), times.tolist(), strict=True):
            batch.counts[event_count(batch.scopes[scope].provider, type(events))] -= count
    webhooks = batch.webhooks
    dead = webhooks.dead | away[webhooks.record]
    kept["webhooks"] = WebhookRows(webhooks.record, webhooks.scope, dead)
    used = np.array([scope.tenant not in stays for scope in batch.scopes], np.bool_)
    for table in kept.values():
        used[table.scope] = True
    place = np.cumsum(used, dtype=np.int32) - np.int32(1)
    return replace(
        batch,
        scopes=[scope for scope, is_used in zip(batch.scopes, used, strict=True) if is_used],
        **{kind: replace(table, scope=place[table.scope]) for kind, table in kept.items()},
        settings=[event for event in batch.settings if not away[event.record]],
        dead_letters=_dead_letters(batch, away),
    )


def _dead_letters(batch: Batch, away: Flags) -> list[DeadLetter]:
    """Those of the batch and one for each refused record that is none yet."""
    letters = list(batch.dead_letters)
    known = {letter.position for letter in letters}
    if batch.originals is not None:
        for record in away.nonzero()[0].tolist():
            if int(batch.positions[record]) not in known:
                letters.append(batch.originals.letter(record, STAGE, REASON, MESSAGE))
                batch.counts["dead_letters", REASON] += 1
    return sorted(letters, key=lambda letter: letter.position)
