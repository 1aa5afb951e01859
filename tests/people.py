"""The one customer of most tests, and records in which messengers name people.

Takes: the tenant, when, ids, digits of a phone or ``None``, the messenger's name of the person
Out:   records as dicts
"""

from __future__ import annotations

from typing import Any

from schemas.keys import customer_id
from tests.engine import ID_KEY
from tests.logs import Record, When, wazzup_message, whatsapp_message, whatsapp_status

TENANT, ZONE, PHONE = "t1", "Asia/Almaty", "+77011234567"
WHO = customer_id(ID_KEY, TENANT, 77011234567)
BSUID = "whatsapp_bsuid"


def writes(
    tenant: str, at: When, id: str, digits: str | None, name: str | None, text: str | None = None
) -> Record:
    """An incoming WhatsApp message of someone called ``KZ.<name>``."""
    told = whatsapp_message(tenant, at, id, digits or "")
    value = _value(told)
    del value["contacts"]
    (message,) = value["messages"]
    if text is not None:
        message["text"]["body"] = text
    if digits is None:
        del message["from"]
    if name is not None:
        message["from_user_id"] = f"KZ.{name}"
    return told


def is_written_to(tenant: str, at: When, id: str, digits: str | None, name: str | None) -> Record:
    """The status of a message to them."""
    told = whatsapp_status(tenant, at, id, digits)
    if name is not None:
        _value(told)["statuses"][0]["recipient_user_id"] = f"KZ.{name}"
    return told


def telegram(tenant: str, at: When, id: str, name: str) -> Record:
    """An incoming message of a messenger that knows no phones."""
    return wazzup_message(tenant, at, id, name, kind="telegram")


def _value(told: Record) -> dict[str, Any]:
    value: dict[str, Any] = told["body"]["entry"][0]["changes"][0]["value"]
    return value
