"""Take a run of a batch's records without copying more than its event rows.

In:    ``Batch``, first record and end
Out:   ``Batch`` whose events are those of these records; record numbers stay those of the whole
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, TypeVar

import numpy as np

from schemas.batch import Batch

_Events = TypeVar("_Events")


def part_of(batch: Batch, start: int, end: int) -> Batch:
    """The events of records ``start`` to ``end``; the whole batch is returned as it is."""
    if start == 0 and end == len(batch.positions):
        return batch
    return replace(
        batch,
        visits=_run(batch.visits, batch.visits.record, start, end),
        clients=_run(batch.clients, batch.clients.record, start, end),
        statuses=_run(batch.statuses, batch.statuses.record, start, end),
        incoming=_run(batch.incoming, batch.incoming.record, start, end),
        payments=_run(batch.payments, batch.payments.record, start, end),
        webhooks=_run(batch.webhooks, batch.webhooks.record, start, end),
    )


def _run(events: _Events, record: Any, start: int, end: int) -> _Events:
    if not len(record):
        return events
    first, last = np.searchsorted(record, [start, end])
    columns = {f.name: getattr(events, f.name)[first:last] for f in fields(events)}  # type: ignore[arg-type]  # always a dataclass
    return type(events)(**columns)
