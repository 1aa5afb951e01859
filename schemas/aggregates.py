"""Rows of the tables that a lane computes for reports: absolute values, never increments.

Units: days are the tenant's, ``YYYY-MM-DD``; a minute is its first instant on the lane's clock;
       money is an integer of minor units; ``position`` is that of the row's last change
Readers: the field ``table`` comes first and says what the row is; of one key the row with the
       highest position is the truth, of equal positions the later one
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.outputs import Code, CustomerId, Digit, Instant, Position

Day = Annotated[str, Meta(extra_json_schema={"format": "date"})]
Count = Annotated[int, Meta(ge=0)]


class VisitsDaily(msgspec.Struct, frozen=True, gc=False, tag_field="table", tag="visits_daily"):
    """Attended visits of a day, walk-ins among them, and all money counted on it."""

    tenant: str
    day: Day
    visits: Count
    walk_ins: Count
    revenue_minor: int
    position: Position


class SegmentDaily(msgspec.Struct, frozen=True, gc=False, tag_field="table", tag="segment_daily"):
    """Customers by their segment at the day's end, and what they paid on that day."""

    tenant: str
    day: Day
    segment: Code
    customers: Count
    revenue_minor: int
    position: Position


class SegmentFlowDaily(
    msgspec.Struct, frozen=True, gc=False, tag_field="table", tag="segment_flow_daily"
):
    """Customers whose segment at the day's end is another one than at its start."""

    tenant: str
    day: Day
    from_: Code = msgspec.field(name="from")
    to: Code
    customers: Count
    position: Position


class CustomerSegments(
    msgspec.Struct, frozen=True, gc=False, tag_field="table", tag="customer_segments"
):
    """A customer's score; no segment and zeros for an id that is merged away or forgotten."""

    tenant: str
    customer_id: CustomerId
    segment: Code | Literal[""]
    r: Digit | None
    f: Digit | None
    m: Digit | None
    recency_days: int | None
    frequency: Count
    monetary_minor: int
    last_visit_at: Instant | None
    position: Position


class WebhooksMinutely(
    msgspec.Struct, frozen=True, gc=False, tag_field="table", tag="webhooks_minutely"
):
    """Webhooks of a minute of the lane's clock; late is more than an hour before it.

    ``records`` and ``dead`` count bodies, the others what bodies say.
    """

    tenant: str
    provider: str
    minute: Instant
    records: Count
    events: Count
    duplicates: Count
    late: Count
    dead: Count
    position: Position


AGGREGATES = {
    "visits_daily": VisitsDaily,
    "segment_daily": SegmentDaily,
    "segment_flow_daily": SegmentFlowDaily,
    "customer_segments": CustomerSegments,
    "webhooks_minutely": WebhooksMinutely,
}
"""By the name of the table."""
