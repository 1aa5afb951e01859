"""Raw records for the tests of decode, and what came of them as plain rows.

Takes: bodies as dicts; the samples are those of the providers' documentation
Out:   ``decoded`` gives one lane's ``Batch``; ``rows`` its events as dicts, scopes spelled out
Beside it: ``samples/<provider>.json``, what each provider sends and what is to come of it
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from operators.decode import decode
from schemas.batch import (
    NONE,
    Batch,
    Chunk,
    ClientEvents,
    IncomingEvents,
    PaymentEvents,
    StatusEvents,
    VisitEvents,
    WebhookRows,
)

Json = Any
Events = VisitEvents | ClientEvents | StatusEvents | IncomingEvents | PaymentEvents | WebhookRows

RECEIVED_AT = "2026-11-22T10:00:00.123Z"


def ms(text: str) -> int:
    """The instant, or the wall clock as if it were UTC."""
    moment = datetime.fromisoformat(text)
    epoch = datetime(1970, 1, 1, tzinfo=None if moment.tzinfo is None else UTC)
    return (moment - epoch) // timedelta(milliseconds=1)


def line(**record: Json) -> bytes:
    """A record as a line."""
    return json.dumps(record, ensure_ascii=False).encode()


def webhook(provider: str, body: Json, **envelope: Json) -> bytes:
    """A webhook of tenant t1 unless told."""
    told = {"kind": "webhook", "tenant": "t1", "provider": provider, "received_at": RECEIVED_AT}
    return line(**told | envelope, body=body)


def chunk_of(lines: Sequence[bytes], start: int = 0) -> Chunk:
    """Lines as a file gives them."""
    positions = np.arange(start, start + len(lines), dtype=np.int64)
    return Chunk(lane=-1, positions=positions, appended_ms=None, values=list(lines))


def decoded(*lines: bytes) -> Batch:
    """The one batch of a log with a single lane."""
    (batch,) = decode(chunk_of(lines), 1)
    return batch


def rows(batch: Batch, events: Events) -> list[dict[str, Any]]:
    """Events as dicts; absent integers are ``None``, records are positions."""
    columns = {field.name: getattr(events, field.name).tolist() for field in fields(events)}
    table = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    for row in table:
        row["record"] = int(batch.positions[row["record"]])
        row["scope"] = tuple(batch.scopes[row["scope"]])
        row.update({name: None for name, value in row.items() if value == NONE})
    return table


def reasons(batch: Batch) -> list[tuple[int, str]]:
    """Positions and reasons of the dead letters."""
    return [(letter.position, letter.reason) for letter in batch.dead_letters]


def changed(sample: Json, **fields_of_data: Json) -> Json:
    """A yclients sample with other fields in ``data``."""
    told = deepcopy(sample)
    told["data"].update(fields_of_data)
    return told


YCLIENTS_RECORD: Json = {
    "company_id": 358944,
    "resource": "record",
    "resource_id": 234961815,
    "status": "update",
    "data": {
        "id": 234961815,
        "company_id": 358944,
        "staff_id": 1072559,
        "services": [
            {
                "id": 6137968,
                "title": "Окрашивание",
                "cost": 5900,
                "manual_cost": 5900,
                "cost_per_unit": 8900,
                "discount": 33.71,
                "first_cost": 8900,
                "amount": 1,
            }
        ],
        "goods_transactions": [],
        "staff": {
            "id": 1072559,
            "name": "Анна",
            "position": {"id": 136429, "title": "Стилист"},
            "rating": 5,
        },
        "client": {
            "id": 86694283,
            "name": "Мария",
            "phone": "+79990000000",
            "success_visits_count": 1,
            "fail_visits_count": 0,
            "discount": 0,
        },
        "clients_count": 1,
        "date": "2020-11-21 16:00:00",
        "datetime": "2020-11-21T16:00:00+03:00",
        "create_date": "2020-10-29T13:34:26+0300",
        "online": False,
        "visit_attendance": 0,
        "attendance": 0,
        "confirmed": 1,
        "seance_length": 8100,
        "length": 8100,
        "visit_id": 198814560,
        "deleted": False,
        "paid_full": 0,
        "last_change_date": "2020-11-17T13:58:19+0300",
        "custom_fields": {"salesap_id": 1786534},
    },
}

YCLIENTS_CLIENT: Json = {
    "company_id": 358944,
    "resource": "client",
    "resource_id": 86694283,
    "status": "create",
    "data": {
        "id": 86694283,
        "name": "Мария",
        "phone": "+79990000000",
        "email": "",
        "birth_date": "1990-02-28",
        "sex_id": 2,
        "sms_not": 0,
        "importance_id": 1,
        "categories": [],
        "last_change_date": "2020-11-17T13:58:19+0300",
    },
}

YCLIENTS_PAYMENT: Json = {
    "company_id": 358944,
    "resource": "finances_operation",
    "resource_id": 5511,
    "status": "create",
    "data": {
        "id": 5511,
        "amount": 5900,
        "record_id": 234961815,
        "visit_id": 198814560,
        "client": {"id": 86694283, "name": "Мария", "phone": "+79990000000"},
        "expense": {"id": 5, "title": "Оказание услуг"},
        "date": "2020-11-21 17:00:00",
        "last_change_date": "2020-11-21T17:00:01+0300",
    },
}


def whatsapp(*values: Json, field: str = "messages") -> Json:
    """A body with an entry for each value."""
    entry = [{"id": "102290129340398", "changes": [{"field": field, "value": v}]} for v in values]
    return {"object": "whatsapp_business_account", "entry": entry}


def value_of(**told: Json) -> Json:
    """A value of one number of ours."""
    metadata = {"display_phone_number": "15550783881", "phone_number_id": "106540352242922"}
    return {"messaging_product": "whatsapp", "metadata": metadata, **told}


WHATSAPP_MESSAGE: Json = {
    "from": "16505551234",
    "id": "wamid.HBgL",
    "timestamp": "1749416383",
    "type": "text",
    "text": {"body": "СТОП"},
}

WHATSAPP_STATUS: Json = {
    "id": "wamid.X",
    "status": "delivered",
    "timestamp": "1710930461",
    "recipient_id": "77051234567",
    "biz_opaque_callback_data": "c0ffee",
    "conversation": {"id": "abc", "origin": {"type": "marketing"}},
    "pricing": {"billable": True, "pricing_model": "PMP", "category": "marketing"},
}

GENERIC_VISIT: Json = {
    "type": "visit",
    "id": "v-1",
    "version": 3,
    "status": "attended",
    "phone": "+77011234567",
    "client": "crm-77",
    "branch": "b1",
    "starts_at": "2026-11-20T12:00:00+05:00",
    "ends_at": "2026-11-20T13:00:00+05:00",
    "amount_minor": 350000,
    "currency": "KZT",
    "services": ["haircut"],
    "staff": "Анна",
}

GENERIC_CLIENT: Json = {
    "type": "client",
    "id": "crm-77",
    "version": 2,
    "phone": "+77011234567",
    "name": "Мария",
    "birthday": "1990-02-28",
    "locale": "ru",
    "consent": {"marketing": True},
    "aliases": {"whatsapp_bsuid": "KZ.123"},
}

GENERIC_STATUS: Json = {
    "type": "message_status",
    "message_id": "m-1",
    "command_id": "c0ffee",
    "phone": "+77011234567",
    "channel": "sms",
    "status": "delivered",
    "at": "2026-11-20T12:00:05Z",
}

GENERIC_MESSAGE: Json = {
    "type": "message_in",
    "message_id": "m-2",
    "phone": "+77011234567",
    "channel": "whatsapp",
    "text": "СТОП",
    "at": "2026-11-20T12:01:00Z",
}

RECEIPT: Json = {
    "kind": "receipt",
    "tenant": "t1",
    "received_at": RECEIVED_AT,
    "command_id": "c0ffee",
    "message_id": "wamid.X",
    "channel": "whatsapp",
    "status": "accepted",
}

SETTINGS: Json = {
    "kind": "settings",
    "tenant": "t1",
    "received_at": RECEIVED_AT,
    "settings": {"preset": "generic", "timezone": "Asia/Almaty", "currency": "KZT"},
}

HISTORY: Json = {
    "kind": "history",
    "tenant": "t1",
    "received_at": RECEIVED_AT,
    "visits": [GENERIC_VISIT, GENERIC_VISIT | {"id": "v-2", "status": "no_show"}],
    "customers": [GENERIC_CLIENT],
}

FORGET: Json = {
    "kind": "forget",
    "tenant": "t1",
    "received_at": RECEIVED_AT,
    "customer_id": "39905e2a0b952becb53673bbf0dbc553",
}

CASES: dict[str, list[Json]] = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted((Path(__file__).parent / "samples").glob("*.json"))
}
"""By provider: bodies, and what is to come of them."""

SAMPLES: tuple[bytes, ...] = (
    webhook("yclients", YCLIENTS_RECORD),
    webhook("altegio", YCLIENTS_CLIENT),
    webhook("yclients", YCLIENTS_PAYMENT),
    webhook("whatsapp", whatsapp(value_of(messages=[WHATSAPP_MESSAGE]))),
    webhook("whatsapp", whatsapp(value_of(statuses=[WHATSAPP_STATUS, WHATSAPP_STATUS]))),
    webhook("generic", GENERIC_VISIT),
    webhook("generic", GENERIC_CLIENT),
    webhook("generic", GENERIC_STATUS),
    webhook("generic", GENERIC_MESSAGE),
    *(webhook(name, CASES[name][0]["body"]) for name in ("wazzup", "greenapi", "iiko")),
    line(**RECEIPT),
    line(**SETTINGS),
    line(**HISTORY),
    line(**FORGET),
    line(kind="heartbeat", received_at=RECEIVED_AT),
)
"""Records that can be used as they are."""

EVERYTHING: tuple[bytes, ...] = (
    *SAMPLES,
    *(webhook(name, case["body"]) for name, cases in CASES.items() for case in cases),
)
"""With all that providers send, also what cannot be used."""
