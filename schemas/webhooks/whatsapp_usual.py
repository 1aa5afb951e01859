"""Read usual webhooks of the WhatsApp Cloud API, all at once: statuses and nothing else.

Takes: tables of ``shape``
Out:   message statuses, as ``whatsapp`` reads them one by one
"""

from __future__ import annotations

import numpy as np

from schemas.batch import I4
from schemas.shapes import Kind, Leaf, Members, Part, Rows
from schemas.webhooks.findings import Findings
from schemas.webhooks.tables import Usual
from schemas.webhooks.whatsapp import STATUSES, tell_statuses

_CODES = np.array([*STATUSES.values()], np.int8)


def shape(provider: str) -> Rows:
    """A body without messages, in which no list is empty and nothing has failed."""
    status = {
        "id": Leaf(Kind.KEY, needed=True),
        "status": Leaf(Kind.WORD, needed=True, words=tuple(STATUSES)),
        "timestamp": Leaf(Kind.WHOLE, needed=True),
        "recipient_id": Leaf(Kind.TEXT),
        "recipient_user_id": Leaf(Kind.TEXT),
        "biz_opaque_callback_data": Leaf(Kind.TEXT),
        "errors": Leaf(Kind.VOID),
    }
    contact = {"wa_id": Leaf(Kind.TEXT), "user_id": Leaf(Kind.TEXT)}
    value: Members = {
        "metadata": Part({"phone_number_id": Leaf(Kind.NAME, or_number=True)}),
        "contacts": Rows(f"{provider}.contacts", contact),
        "statuses": Rows(f"{provider}.statuses", status, needed=True),
        "messages": Leaf(Kind.VOID),
    }
    change: Members = {
        "field": Leaf(Kind.WORD, needed=True, words=("messages",)),
        "value": Part(value, needed=True),
    }
    changes = Rows(f"{provider}.changes", change, needed=True)
    entries = Rows(f"{provider}.entries", {"changes": changes}, needed=True)
    return Rows(provider, {"entry": entries})


def unfit(_: str, usual: Usual) -> list[I4]:
    """None: what has this shape can be read."""
    return [usual.envelopes.record[:0]]


def add(provider: str, usual: Usual, number: I4, findings: Findings) -> None:
    """Adds their statuses; ``number`` is each record's in the batch, by its place in the chunk."""
    told, changes = usual.tables[f"{provider}.statuses"], usual.tables[f"{provider}.changes"]
    if not len(told):
        return
    numbers, texts = changes.names("value.metadata.phone_number_id")
    tell_statuses(
        provider,
        findings,
        record=number[told.record],
        scope=usual.scopes(provider, told.record, (numbers[told.parent], texts), findings),
        message=told.whole("id"),
        status=_CODES[told.flags("status")],
        seconds=told.whole("timestamp"),
        command=told.texts("biz_opaque_callback_data"),
        error=None,
        phone=told.texts("recipient_id"),
        user=told.texts("recipient_user_id"),
    )
