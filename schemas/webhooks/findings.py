"""Collect what the readers of one batch find: event columns, scopes, refusals, counts.

Takes: columns as a provider's reader builds them, each sorted by record
Out:   one set of columns for each kind of event, in log order, whatever the provider
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import fields
from functools import lru_cache
from typing import Any, TypeVar, get_args

import numpy as np
from msgspec import Raw
from numpy.typing import NDArray

from schemas.batch import (
    I1,
    I4,
    I8,
    ClientEvents,
    IncomingEvents,
    Objects,
    PaymentEvents,
    Scope,
    StatusEvents,
    VisitEvents,
    WebhookRows,
)
from schemas.record import unreadable

_NAMES = {
    VisitEvents: "visit",
    ClientEvents: "client",
    StatusEvents: "message_status",
    IncomingEvents: "message_in",
    PaymentEvents: "payment",
}

RECEIPT = "receipt"
"""Stands where the provider does for what our own senders answer."""

Alias = tuple[str, str]
"""A messenger and what it calls a person."""

E = TypeVar(
    "E", VisitEvents, ClientEvents, StatusEvents, IncomingEvents, PaymentEvents, WebhookRows
)


class ScopeNumbers(dict[tuple[str, str, str | int | None], int]):
    """Numbers of (tenant, provider, branch) in the order in which they are first asked for.

    A branch may be asked for as a provider writes it, as a number or not at all.
    """

    def __init__(self) -> None:
        super().__init__()
        self.scopes: list[Scope] = []

    def __missing__(self, asked: tuple[str, str, str | int | None]) -> int:
        scope = _named(asked)
        number = self.get(scope)
        if number is None:
            self[scope] = number = len(self.scopes)
            self.scopes.append(scope)
        self[asked] = number
        return number


@lru_cache(maxsize=65_536)
def _named(asked: tuple[str, str, str | int | None]) -> Scope:
    tenant, provider, branch = asked
    return Scope(tenant, provider, str(branch or ""))


class Findings:
    """What has been found so far; the first refusal of a record is the one that is told.

    ``barred`` marks records whose envelope has no time: nothing that they say counts.
    """

    def __init__(self) -> None:
        self.scopes = ScopeNumbers()
        self.refusals: dict[int, tuple[str, str]] = {}
        self.counts: Counter[tuple[str, ...]] = Counter()
        self.barred: NDArray[np.bool_] | None = None
        self._columns: dict[type, list[Any]] = {}

    def refuse(self, record: int, reason: str, message: str) -> None:
        """The record becomes a dead letter; what else it says still counts."""
        self.refusals.setdefault(record, (reason, message))

    def refuse_body(self, record: int, body: Raw, error: Exception) -> None:
        """The same for a body that msgspec could not understand."""
        if bytes(body)[:1] == b'"':
            self.refuse(record, "json", "body: not JSON")
        else:
            self.refuse(record, *unreadable(error, "body"))

    def ignore(self, why: str) -> None:
        """Something that carries nothing for us."""
        self.counts["ignored", why] += 1

    def add(self, provider: str, events: E, timely: NDArray[np.bool_], path: str) -> None:
        """Events of one provider; those not ``timely`` are refused, ``path`` names their time."""
        if not timely.all():
            for record in events.record[~timely].tolist():
                self.refuse(record, "time", f"{path}: unreadable or outside 1990 to 2099")
        if self.barred is not None:
            timely = timely & ~self.barred[events.record]
        if not timely.all():
            events = select(events, np.flatnonzero(timely))
        if len(events.record):
            self.counts[event_count(provider, type(events))] += len(events.record)
            self._columns.setdefault(type(events), []).append(events)

    def found(self, kind: type[E]) -> E:
        """All events of a kind in log order."""
        pieces: list[E] = self._columns.get(kind, [])
        if not pieces:
            return nothing(kind)
        if len(pieces) == 1:
            return pieces[0]
        names = [field.name for field in fields(kind)]
        whole = kind(*(np.concatenate([getattr(each, name) for each in pieces]) for name in names))
        return select(whole, np.argsort(whole.record, kind="stable"))


def event_count(provider: str, kind: type) -> tuple[str, str, str]:
    """Under which name events are counted."""
    return "events", provider, "receipt" if provider == RECEIPT else _NAMES[kind]


def select(events: E, rows: NDArray[np.intp]) -> E:
    """The same columns with these rows."""
    return type(events)(*(getattr(events, field.name)[rows] for field in fields(events)))


def nothing(kind: type[E]) -> E:
    """Columns without rows; they are shared, as there is nothing in them to change."""
    if kind not in _NOTHING:
        columns = (np.empty(0, _DTYPES[str(field.type)]) for field in fields(kind))
        _NOTHING[kind] = kind(*columns)
    events: E = _NOTHING[kind]
    return events


_NOTHING: dict[type, Any] = {}

_DTYPES = {
    name: np.dtype(get_args(get_args(column)[1])[0])
    for name, column in {"I1": I1, "I4": I4, "I8": I8, "Objects": Objects}.items()
}


def integers(values: Sequence[int] | NDArray[Any]) -> I8:
    """A column of integers that fit."""
    return _column(values, np.int64)


def indexes(values: Sequence[int] | NDArray[Any]) -> I4:
    """A column of small integers."""
    return _column(values, np.int32)


def flags(values: Sequence[int] | NDArray[Any]) -> I1:
    """A column of codes."""
    return _column(values, np.int8)


def objects(values: Iterable[Any], count: int) -> Objects:
    """A column of texts or ``None``."""
    if isinstance(values, np.ndarray):
        return values
    return np.fromiter(values, np.object_, count)


def _column(values: Sequence[int] | NDArray[Any], dtype: type[Any]) -> NDArray[Any]:
    if isinstance(values, np.ndarray):
        return values.astype(dtype, copy=False)
    return np.fromiter(values, dtype, len(values))


def all_the_same(value: str | None, count: int) -> Objects:
    """A column of one object."""
    column = np.empty(count, np.object_)
    if value is not None:
        column[:] = value
    return column
