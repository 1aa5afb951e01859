"""Rows of the tables that a lane computes for reports: absolute values, never increments.

Units: days are the tenant's, ``YYYY-MM-DD``; a minute is its first instant on the lane's clock;
       money is an integer of minor units; ``position`` is that of the row's last change; a sum of
       squares is an integer of any length, also in JSON
Readers: the field ``table`` comes first and says what the row is; of one key the row with the
       highest position is the truth, of equal positions the later one
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.outputs import Code, CustomerId, Digit, Instant, Position

Day = Annotated[str, Meta(extra_json_schema={"format": "date"})]
Month = Annotated[str, Meta(extra_json_schema={"pattern": "^[0-9]{4}-[0-9]{2}$"})]
Count = Annotated[int, Meta(ge=0)]
Squares = Annotated[int, Meta(ge=0, description="May need more than 64 bits.")]
Variant = Literal["treated", "holdout"]


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


class MessageFunnelDaily(
    msgspec.Struct, frozen=True, gc=False, tag_field="table", tag="message_funnel_daily"
):
    """What became of a day's contacts: how many got how far, and what came back.

    The day is the contact's, the channel the first allowed one; of the holdout only ``commanded``
    (what it would have been), ``returned`` and the revenue of the returns can be other than zero.
    """

    tenant: str
    day: Day
    trigger: str
    channel: str
    variant: Variant
    commanded: Count
    accepted: Count
    sent: Count
    delivered: Count
    read: Count
    replied: Count
    failed: Count
    returned: Count
    revenue_minor: int
    position: Position


class UpliftMonthly(msgspec.Struct, frozen=True, gc=False, tag_field="table", tag="uplift_monthly"):
    """Customers by the month of their first contact of a trigger, and who of them returned.

    ``revenue_squared`` is the sum over customers of the square of what each brought back.
    """

    tenant: str
    month: Month
    trigger: str
    variant: Variant
    customers: Count
    returned: Count
    revenue_minor: int
    revenue_squared: Squares
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
    "message_funnel_daily": MessageFunnelDaily,
    "uplift_monthly": UpliftMonthly,
    "webhooks_minutely": WebhooksMinutely,
}
"""By the name of the table."""
