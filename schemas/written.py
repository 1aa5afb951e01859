"""Messages with their words, on their way from the log to the archive.

Units: ``at_ms`` in ms since the Unix epoch, UTC; ``position`` is that of the record in its lane
"""

from __future__ import annotations

from msgspec import Struct


class Written(Struct, kw_only=True, gc=False, tag_field="said", tag="written"):
    """One message between a customer and a business."""

    tenant: str
    provider: str
    message_id: str
    customer_id: str
    """Of the phone; of the messenger's own name for whoever hides it."""
    alias_id: str | None = None
    """That of the messenger's own name, where the message names both."""
    direction: str
    """``in``: the customer wrote it; ``out``: the business."""
    kind: str
    text: str | None
    at_ms: int
    position: int
    is_opt_in: bool = False


class Forgotten(Struct, kw_only=True, gc=False, tag_field="said", tag="forgotten"):
    """A customer of whom nothing older is to be kept."""

    tenant: str
    customer_id: str
    position: int
