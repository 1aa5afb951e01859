"""Write the scores of single customers, beside their profiles.

In:    ``Standing`` of customers whose segment, F, M or last visit has changed; ids that are no more
Out:   rows of ``customer_segments``
State: read only
"""

from __future__ import annotations

import msgspec
import numpy as np

from operators.profiles import Standing, scored
from schemas.aggregates import CustomerSegments
from schemas.forms import INSTANT, KEY, NUMBER, PLAIN, TEXT, Form, form_of
from state.lane import LaneState

_ENCODE = msgspec.json.Encoder().encode
_SCORE = form_of(CustomerSegments, TEXT, KEY, KEY, *[NUMBER] * 6, INSTANT, NUMBER)
_KEY = Form(b"customer_segments/", PLAIN, b"/", KEY)


def changed_scores(
    state: LaneState, standing: Standing
) -> tuple[Standing, list[bytes], list[bytes]]:
    """The lines that are to be told, their keys and their JSON."""
    standing = standing.take(standing.score_changed.nonzero()[0])
    tenants = state.tenants.name[standing.tenant].tolist()
    values = _SCORE.fill(
        tenants,
        standing.key,
        *scored(standing.segment),
        standing.recency(),
        standing.frequency,
        standing.monetary,
        standing.last_visit_ms,
        standing.changed_at,
    )
    return standing, _KEY.fill(tenants, standing.key), values


def blank_score(tenant: str, customer: str, position: int) -> tuple[bytes, bytes]:
    """Key and row of a customer whose id is merged into another or forgotten: nothing is left."""
    (key,) = _KEY.fill([tenant], np.array([customer.encode()]))
    row = CustomerSegments(tenant, customer, "", None, None, None, None, 0, 0, None, position)
    return key, _ENCODE(row)
