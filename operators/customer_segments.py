"""Write the scores of single customers, beside their profiles.

In:    ``Standing`` of customers whose segment, F, M or last visit has changed; ids that are no more
Out:   rows of ``customer_segments``
State: read only
"""

from __future__ import annotations

import msgspec

from operators.profiles import Standing, digits
from operators.texts import instant_texts
from schemas.aggregates import CustomerSegments
from state.lane import LaneState

_ENCODE = msgspec.json.Encoder().encode


def changed_scores(state: LaneState, standing: Standing) -> tuple[Standing, list[str], list[bytes]]:
    """The lines that are to be told, their keys and their JSON."""
    standing = standing.take(standing.score_changed.nonzero()[0])
    tenants = state.tenants.name[standing.tenant].tolist()
    customers = standing.customer_ids()
    columns = (
        tenants,
        customers,
        *zip(*map(digits, standing.segment.tolist()), strict=True),
        standing.recency(),
        standing.frequency.tolist(),
        standing.monetary.tolist(),
        instant_texts(standing.last_visit_ms),
        standing.changed_at.tolist(),
    )
    values = list(map(_ENCODE, map(CustomerSegments, *columns))) if tenants else []
    return standing, _keys(tenants, customers), values


def blank_score(tenant: str, customer: str, position: int) -> tuple[str, bytes]:
    """Key and row of a customer whose id is merged into another or forgotten: nothing is left."""
    (key,) = _keys([tenant], [customer])
    row = CustomerSegments(tenant, customer, "", None, None, None, None, 0, 0, None, position)
    return key, _ENCODE(row)


def _keys(tenants: list[str], customers: list[str]) -> list[str]:
    named = zip(tenants, customers, strict=True)
    return [f"customer_segments/{tenant}/{customer}" for tenant, customer in named]
