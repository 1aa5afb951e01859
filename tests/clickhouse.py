"""A real, embedded ClickHouse for tests: rows to write, and what is there afterwards.

Takes: a folder; chDB holds one folder for a process at a time, so every test closes what it opens
Out:   ``Outputs`` as the fold makes them; rows as tuples
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from schemas.batch import Message, Outputs
from sinks.clickhouse import Warehouse
from sinks.clickhouse_engine import ClickHouse
from sinks.clickhouse_rows import CHANGES, DECISIONS
from sinks.clickhouse_target import Embedded
from state.control import Folded

Row = Mapping[str, Any]

CUSTOMER = "39905e2a0b952becb53673bbf0dbc553"

ROWS: dict[str, dict[str, Any]] = {
    "segment_changes": {
        "tenant": "salon", "customer_id": CUSTOMER, "at": "2026-03-20T08:00:00Z", "to": "312",
        "from": "311", "cause": "visit",
    },
    "customer_segments": {
        "tenant": "salon", "customer_id": CUSTOMER, "segment": "312", "r": 3, "f": 1, "m": 2,
        "recency_days": 31, "frequency": 2, "monetary_minor": 1_650_000,
        "last_visit_at": "2026-03-20T07:00:00Z",
    },
    "visits_daily": {
        "tenant": "salon", "day": "2026-03-20", "visits": 3, "walk_ins": 1, "revenue_minor": 70,
    },
    "segment_daily": {
        "tenant": "salon", "day": "2026-03-20", "segment": "312", "customers": 5,
        "revenue_minor": -70,
    },
    "segment_flow_daily": {
        "tenant": "salon", "day": "2026-03-20", "from": "311", "to": "312", "customers": 2,
    },
    "webhooks_minutely": {
        "tenant": "salon", "provider": "yclients", "minute": "2026-03-20T08:00:00Z", "records": 9,
        "events": 8, "duplicates": 1, "late": 2, "dead": 1,
    },
    "message_funnel_daily": {
        "tenant": "salon", "day": "2026-03-20", "trigger": "winback", "channel": "whatsapp",
        "variant": "treated", "commanded": 9, "accepted": 8, "sent": 7, "delivered": 6, "read": 5,
        "replied": 2, "failed": 1, "returned": 3, "revenue_minor": 70,
    },
    "uplift_monthly": {
        "tenant": "salon", "month": "2026-03", "trigger": "winback", "variant": "holdout",
        "customers": 9, "returned": 3, "revenue_minor": 70, "revenue_squared": 3 * 10**38 + 1,
    },
    "decisions": {
        "tenant": "salon", "decision_id": "0123456789abcdef0123456789abcdef",
        "trigger": "winback", "outcome": "refused", "reason": "cap", "at": "2026-03-20T08:00:00Z",
    },
}  # fmt: skip
"""One row of each table, as the contracts have its columns."""

KEYS = {
    "segment_changes": ("tenant", "customer_id", "at", "to"),
    "customer_segments": ("tenant", "customer_id"),
    "visits_daily": ("tenant", "day"),
    "segment_daily": ("tenant", "day", "segment"),
    "segment_flow_daily": ("tenant", "day", "from", "to"),
    "webhooks_minutely": ("tenant", "provider", "minute"),
    "message_funnel_daily": ("tenant", "day", "trigger", "channel", "variant"),
    "uplift_monthly": ("tenant", "month", "trigger", "variant"),
    "decisions": ("tenant", "decision_id"),
}

STREAMS = {CHANGES: "segments", DECISIONS: "decisions"}
"""Of tables that are streams of their own."""


def said(table: str, position: int, **other: Any) -> tuple[str, Message]:
    """One row as the fold says it, in the stream that it belongs to."""
    line = ROWS[table] | other | {"position": position}
    if table == DECISIONS:
        line |= {"command_id": line["decision_id"], "customer_id": CUSTOMER}
    if table in STREAMS:
        return STREAMS[table], Message(position, b"", json.dumps(line).encode())
    return "aggregates", Message(position, b"", json.dumps({"table": table, **line}).encode())


def folded(*messages: tuple[str, Message], lane: int = 0) -> Folded:
    """A lane's outputs of one chunk."""
    streams: dict[str, list[Message]] = {"segments": [], "decisions": [], "aggregates": []}
    for stream, message in messages:
        streams[stream].append(message)
    return Folded(1, Outputs(lane, 1, 0, 0, streams, [], Counter()), 0, 1)


@contextmanager
def warehouse(folder: Path) -> Iterator[Warehouse]:
    """An open one in a folder, with its tables."""
    made = Warehouse(Embedded(folder))
    made.open()
    try:
        yield made
    finally:
        made.close()


def now(engine: ClickHouse, table: str) -> list[dict[str, Any]]:
    """The rows of a table's view, as the fold would say them."""
    names = ", ".join(f"`{name}`" for name in ROWS[table])
    answer = engine.rows(f"SELECT {names} FROM flowsell.{table}_now")
    rows = [dict(zip(ROWS[table], map(_as_said, row), strict=True)) for row in answer]
    return sorted(rows, key=lambda row: [str(row[name]) for name in KEYS[table]])


def _as_said(value: Any) -> Any:
    if isinstance(value, datetime):
        digits = "milliseconds" if value.microsecond else "seconds"
        return f"{value.isoformat('T', digits)[:23].removesuffix('+00:00')}Z"
    return value.isoformat() if isinstance(value, date) else value


def last_said(table: str, lines: list[bytes]) -> list[dict[str, Any]]:
    """The last row by key and position among lines of files: what the view has to show."""
    rows: dict[tuple[str, ...], dict[str, Any]] = {}
    for line in lines:
        row = json.loads(line)
        own = DECISIONS if "decision_id" in row else CHANGES
        if row.pop("table", own) == table:
            key = tuple(str(row[name]) for name in KEYS[table])
            if key not in rows or row["position"] >= rows[key]["position"]:
                rows[key] = row
    settled = [{name: row[name] for name in ROWS[table]} for _, row in sorted(rows.items())]
    return [row for row in settled if row.get("segment", "000")]


def everything(engine: ClickHouse) -> dict[str, list[dict[str, Any]]]:
    """All views."""
    return {table: now(engine, table) for table in ROWS}


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Warehouse]:
    """An empty database."""
    with warehouse(tmp_path / "clickhouse") as made:
        yield made
