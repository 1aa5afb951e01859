"""Read a raw log into plain rows, one at a time: the oracle's own, slow understanding of records.

Takes: record lines in log order, the number of lanes
Out:   ``Rows``: polars frames of visits, cards and messages, each row with the clock at which it
       arrived; every tenant's last settings; every lane's final clock
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from schemas.keys import lane_of
from schemas.settings import TenantSettings, parse_settings

Json = dict[str, Any]

VISITS = {
    "position": pl.Int64,
    "clock": pl.Int64,
    "tenant": pl.String,
    "scope": pl.String,  # provider and branch
    "id": pl.String,
    "version": pl.Int64,
    "status": pl.String,
    "start": pl.Int64,
    "client": pl.String,
    "phone": pl.Int64,
    "amount": pl.Int64,
    "currency": pl.String,
    "content": pl.String,  # the body itself: equal content is a duplicate
}
CARDS = {
    "position": pl.Int64,
    "tenant": pl.String,
    "scope": pl.String,
    "id": pl.String,
    "version": pl.Int64,
    "phone": pl.Int64,
    "deleted": pl.Boolean,
}
MESSAGES = {"tenant": pl.String, "phone": pl.Int64}
ATTENDANCE = {1: "attended", -1: "no_show", 2: "confirmed", 0: "booked"}

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class Rows:
    """The log, understood."""

    visits: pl.DataFrame
    cards: pl.DataFrame
    messages: pl.DataFrame
    settings: dict[str, TenantSettings]
    clocks: dict[int, int]


def phone_number(text: str | None) -> int | None:
    """E.164 without the plus, of the writings that these tests use."""
    if not text or any(letter.isalpha() for letter in text):
        return None
    digits = "".join(letter for letter in text if letter.isdigit())
    if not text.startswith("+") and len(digits) == 11 and digits[0] == "8":
        digits = "7" + digits[1:]
    return int(digits) if 11 <= len(digits) <= 15 else None


def instant(text: str) -> int:
    """Ms since the epoch of a time with a zone."""
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(milliseconds=1)


def naive_instant(text: str, zone: str) -> int:
    """Ms since the epoch of a wall clock; one told twice is the first of both."""
    return instant(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).isoformat())


def read(lines: Sequence[bytes], lanes: int) -> Rows:
    """Understand every usable line; what is not usable is nobody's truth."""
    records = [(position, record) for position, line in enumerate(lines) if (record := _json(line))]
    settings = {
        record["tenant"]: parse_settings(record["settings"], record["tenant"])
        for _, record in records
        if record["kind"] == "settings"
    }
    clocks = dict.fromkeys(range(lanes), 0)
    visits: list[Json] = []
    cards: list[Json] = []
    messages: list[Json] = []
    for position, record in records:
        lane = None if record["kind"] == "heartbeat" else lane_of(record["tenant"], lanes)
        appended = instant(record.get("appended_at") or record["received_at"])
        for each in clocks if lane is None else [lane]:
            clocks[each] = max(clocks[each], appended)
        if lane is None:
            continue
        rules = settings.get(record["tenant"]) or parse_settings({}, record["tenant"])
        whose = {"position": position, "clock": clocks[lane], "tenant": record["tenant"]}
        for kind, row in _facts(record, rules):
            {"visit": visits, "card": cards, "message": messages}[kind].append(whose | row)
    return Rows(
        visits=_frame(visits, VISITS),
        cards=_frame(cards, CARDS),
        messages=_frame(messages, MESSAGES),
        settings=settings,
        clocks=clocks,
    )


def _frame(rows: list[Json], schema: Json) -> pl.DataFrame:
    told = [{column: row.get(column) for column in schema} for row in rows]
    return pl.DataFrame(told, schema=schema)


def _json(line: bytes) -> Json | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) and "kind" in record else None


def _facts(record: Json, rules: TenantSettings) -> Iterator[tuple[str, Json]]:
    """(visit, card or message, its row) for everything the record says."""
    scope = f"generic/{record.get('branch', '')}"
    if record["kind"] == "history":
        for body in record["visits"]:
            yield "visit", _generic_visit(body, scope)
        for body in record["customers"]:
            yield "card", _generic_card(body, scope)
    elif record["kind"] == "webhook" and record["provider"] == "generic":
        yield from _generic(record["body"], scope)
    elif record["kind"] == "webhook" and record["provider"] == "whatsapp":
        yield from _whatsapp(record["body"])
    elif record["kind"] == "webhook":
        yield from _yclients(record["body"], record["provider"], rules)


def _generic(body: Json, scope: str) -> Iterator[tuple[str, Json]]:
    if body["type"] == "visit":
        yield "visit", _generic_visit(body, scope)
    elif body["type"] == "client":
        yield "card", _generic_card(body, scope)
    elif body["type"] == "message_in":
        yield "message", {"phone": phone_number(body["phone"])}


def _whatsapp(body: Json) -> Iterator[tuple[str, Json]]:
    values = [change["value"] for entry in body["entry"] for change in entry["changes"]]
    for message in [each for value in values for each in value.get("messages", [])]:
        yield "message", {"phone": phone_number(message["from"])}


def _yclients(body: Json, provider: str, rules: TenantSettings) -> Iterator[tuple[str, Json]]:
    scope = f"{provider}/{body['company_id']}"
    if body["resource"] == "record":
        yield "visit", _yclients_visit(body, scope, rules)
    elif body["resource"] == "client":
        yield "card", _yclients_card(body, scope)


def _generic_visit(body: Json, scope: str) -> Json:
    return {
        "scope": scope,
        "id": str(body["id"]),
        "version": body.get("version"),
        "status": body["status"],
        "start": instant(body["starts_at"]),
        "client": body.get("client"),
        "phone": phone_number(body.get("phone")),
        "amount": body.get("amount_minor", 0),
        "currency": body.get("currency"),
        "content": json.dumps(body, sort_keys=True),
    }


def _generic_card(body: Json, scope: str) -> Json:
    return {
        "scope": scope,
        "id": str(body["id"]),
        "version": body.get("version"),
        "phone": phone_number(body.get("phone")),
        "deleted": False,
    }


def _changed(data: Json) -> int | None:
    return instant(data["last_change_date"]) if data.get("last_change_date") else None


def _yclients_visit(body: Json, scope: str, rules: TenantSettings) -> Json:
    data = body["data"]
    who = data.get("client") or {}
    gone = data["deleted"] or body["status"] == "delete"
    sums = [Decimal(str(each["cost"])) * each["amount"] for each in data["services"]]
    minor = sum(sums, Decimal(0)) * 10**rules.currency_exponent
    return {
        "scope": scope,
        "id": str(data["id"]),
        "version": _changed(data),
        "status": "deleted" if gone else ATTENDANCE[data["attendance"]],
        "start": naive_instant(data["date"], rules.zone_of(str(body["company_id"]))),
        "client": None if not who else str(who["id"]),
        "phone": phone_number(who.get("phone")),
        "amount": int(minor.to_integral_value(ROUND_HALF_UP)),
        "currency": None,
        "content": json.dumps(body, sort_keys=True),
    }


def _yclients_card(body: Json, scope: str) -> Json:
    data = body["data"]
    return {
        "scope": scope,
        "id": str(data["id"]),
        "version": _changed(data),
        "phone": phone_number(data.get("phone")),
        "deleted": body["status"] == "delete",
    }
