"""Bookings of one customer at one salon, and what reminders became of them.

Takes: nothing; the reminder tests share these builders and readers
"""

from __future__ import annotations

from typing import Any

from tests.engine import Streams, run
from tests.logs import (
    DAY,
    MINUTE,
    Record,
    heartbeats,
    lines_of,
    local,
    ms,
    settings,
    trigger,
    visit,
)
from tests.people import PHONE, TENANT, ZONE

START = local("2026-06-15 14:00", ZONE)
DUE = START - DAY
TOLD = START - 4 * DAY  # when the booking is made
RULE = trigger("reminder", before="24h", channels=["whatsapp", "sms"], params={"sign": "!"})


def rules(at: int = TOLD - DAY, *triggers: Record, **fields: Any) -> Record:
    """Settings with the 24 h reminder, or with these triggers."""
    return settings(TENANT, at, timezone=ZONE, triggers=list(triggers) or [RULE], **fields)


def booked(
    at: int, starts_at: int = START, version: int = 1, id: str = "v1", **told: Any
) -> Record:
    """A version of the booking."""
    body = {"status": "booked", "phone": PHONE, "services": ["haircut"], "staff": "Анна"}
    return visit(
        TENANT,
        at,
        id,
        **body | {"version": version, "starts_at": starts_at, "ends_at": None} | told,
    )


def walk(start: int, stop: int) -> list[Record]:
    """A heartbeat every ten minutes."""
    return heartbeats(start, stop, 10 * MINUTE)


def decisions(streams: Streams) -> list[tuple[str, str | None]]:
    """(outcome, reason) of every decision, in order."""
    return [(row["outcome"], row["reason"]) for row in streams.rows("decisions")]


def commands(streams: Streams) -> list[tuple[int, bool]]:
    """(start, withdrawn) of every command, in order."""
    told = streams.rows("commands")
    return [(ms(row["visit"]["starts_at"]), row["withdrawn"]) for row in told]


def after(*records: Record, until: int = START + 3 * DAY) -> Streams:
    """What comes of settings, these records, and a heartbeat every ten minutes."""
    log = [rules(), *records, *walk(TOLD, until)]
    return run(lines_of(sorted(log, key=lambda told: told["received_at"])))
