"""Build the columns of message statuses and of incoming messages, whichever messenger tells them.

Takes: one sequence for each thing told; a single text, or None, holds for all rows
Out:   ``StatusEvents`` and ``IncomingEvents``, added to the findings; ``path`` names their time
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from schemas.batch import I1, I4, I8, NONE, IncomingEvents, Objects, StatusEvents
from schemas.keys import text_keys
from schemas.webhooks.findings import Findings, all_the_same, flags, indexes, objects


def add_statuses(
    findings: Findings,
    provider: str,
    path: str,
    *,
    record: Sequence[int] | I4,
    scope: Sequence[int] | I4,
    message: Sequence[str] | I8,
    status: Sequence[int] | I1,
    at_ms: I8,
    command: Sequence[Any] | Objects | None = None,
    phone: Sequence[Any] | Objects | None = None,
    error: Sequence[int] | I4 | None = None,
    alias: Sequence[Any] | None = None,
    channel: Sequence[Any] | str | None = None,
) -> None:
    """What became of messages, told by ids or their keys; a row without a time is refused."""
    count = len(record)
    statuses = StatusEvents(
        record=indexes(record),
        scope=indexes(scope),
        message=message if isinstance(message, np.ndarray) else text_keys(message),
        status=flags(status),
        at_ms=at_ms,
        command=_column(command, count),
        phone=_column(phone, count),
        error=np.zeros(count, np.int32) if error is None else indexes(error),
        alias=_column(alias, count),
        channel=_column(channel, count),
    )
    findings.add(provider, statuses, at_ms != NONE, path)


def add_incoming(
    findings: Findings,
    provider: str,
    path: str,
    *,
    record: Sequence[int],
    scope: Sequence[int],
    message: Sequence[str],
    at_ms: I8,
    phone: Sequence[Any] | Objects,
    channel: Sequence[Any] | str,
    kind: Sequence[Any] | str,
    text: Sequence[Any],
    alias: Sequence[Any] | None = None,
) -> None:
    """What customers wrote; a row without a time is refused."""
    count = len(record)
    incoming = IncomingEvents(
        record=indexes(record),
        scope=indexes(scope),
        message=text_keys(message),
        at_ms=at_ms,
        phone=_column(phone, count),
        channel=_column(channel, count),
        kind=_column(kind, count),
        text=_column(text, count),
        alias=_column(alias, count),
    )
    findings.add(provider, incoming, at_ms != NONE, path)


def _column(told: Sequence[Any] | Objects | str | None, count: int) -> Objects:
    if told is None or isinstance(told, str):
        return all_the_same(told, count)
    return objects(told, count)
