"""Read a raw log into plain facts, one at a time: the oracle's own, slow understanding of records.

Takes: record lines in log order, the number of lanes
Out:   ``Told``, one for each usable record: where and when it arrived, and the facts that it says;
       nothing here knows a tenant's settings, so what depends on them is left as it was written
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from schemas.keys import lane_of
from schemas.settings import TenantSettings, parse_settings
from tests.oracle_bodies import Fact, Unusable, bodies, history
from tests.oracle_times import instant

Json = dict[str, Any]


class Receipt(NamedTuple):
    """A sender's answer."""

    command: str
    message: str | None
    channel: str | None
    status: str
    error: int


@dataclass
class Told:
    """One record as its lane meets it; ``tenant`` is None for a heartbeat."""

    position: int
    lane: int
    clock: int
    tenant: str | None
    provider: str | None = None  # of a webhook
    facts: tuple[Fact, ...] = ()
    settings: TenantSettings | None = None
    forget: str | None = None
    receipt: Receipt | None = None
    imported: bool = False
    dead: bool = False


def read(lines: Sequence[bytes], lanes: int) -> list[Told]:
    """Every record of the log in its order; a heartbeat once for each lane that it reaches."""
    clocks = dict.fromkeys(range(lanes), 0)
    told: list[Told] = []
    for position, line in enumerate(lines):
        record = _json(line)
        if record is None:
            continue
        appended = instant(record.get("appended_at") or record["received_at"])
        tenant = record.get("tenant")
        for lane in clocks if tenant is None else [lane_of(tenant, lanes)]:
            clocks[lane] = max(clocks[lane], appended)
            told.append(_understood(record, Told(position, lane, clocks[lane], tenant)))
    return told


def clocks_of(told: Sequence[Told], lanes: int) -> dict[int, int]:
    """Every lane's clock at the end."""
    return dict.fromkeys(range(lanes), 0) | {each.lane: each.clock for each in told}


def _json(line: bytes) -> Json | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) and "kind" in record else None


def _understood(record: Json, told: Told) -> Told:
    if record["kind"] == "settings":
        told.settings = parse_settings(record["settings"], record["tenant"])
    elif record["kind"] == "forget":
        told.forget = record["customer_id"]
    elif record["kind"] == "receipt":
        names = (record["command_id"], record.get("message_id"), record.get("channel"))
        told.receipt = Receipt(*names, record["status"], record.get("error") or 0)
    elif record["kind"] == "history":
        told.imported = True
        told.facts = tuple(history(record))
    elif record["kind"] == "webhook":
        told.provider = record["provider"]
        try:
            told.facts = tuple(bodies(record))
        except Unusable:
            told.dead = True
    return told


def facts_of(told: Sequence[Told]) -> Iterator[tuple[Told, Fact]]:
    """Every fact beside its record."""
    for each in told:
        for fact in each.facts:
            yield each, fact
