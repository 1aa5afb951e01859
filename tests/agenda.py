"""One customer of one salon whose triggers nothing else stands in the way of.

Takes: nothing; the tests of trigger kinds share these builders and readers
"""

from __future__ import annotations

from typing import Any

from tests.engine import Streams, run
from tests.logs import (
    DAY,
    HOUR,
    MINUTE,
    Record,
    card,
    heartbeats,
    lines_of,
    local,
    ms,
    settings,
    stamp,
    trigger,
    visit,
)
from tests.people import PHONE, TENANT, ZONE

START = local("2026-06-15 14:00", ZONE)
OPEN: Record = {
    "consent_default": "allow",
    "quiet_hours": ["00:00", "00:00"],
    "quiet_utility": ["00:00", "00:00"],
    "caps": [],
    "holdout_percent": 0,
}
"""Settings under which the gate lets everything pass that is not stale."""


def rule(kind: str, **fields: Any) -> Record:
    """A trigger that may come again at once."""
    return trigger(kind, cooldown_days=0, **fields)


def rules(*triggers: Record, at: int = START - 40 * DAY, **fields: Any) -> Record:
    """Settings with these triggers."""
    told = {"timezone": ZONE, "triggers": list(triggers)} | OPEN | fields
    return settings(TENANT, at, **told)


def came(at: int, starts_at: int, id: str = "v1", version: int = 1, **told: Any) -> Record:
    """An attended visit of an hour, unless told."""
    body: Record = {"status": "attended", "phone": PHONE, "client": "c1", "services": ["haircut"]}
    body |= {"starts_at": starts_at, "ends_at": stamp(starts_at + HOUR), "version": version}
    return visit(TENANT, at, id, **body | told)


def known(at: int, birthday: str | None = None, version: int = 1, **told: Any) -> Record:
    """The customer's card."""
    return card(
        TENANT, at, "c1", **{"phone": PHONE, "birthday": birthday, "version": version} | told
    )


def wrote(at: int, id: str, text: str, sent_at: int | None = None) -> Record:
    """A message of the customer."""
    body = {"type": "message_in", "message_id": id, "phone": PHONE, "channel": "whatsapp"}
    body |= {"text": text, "at": stamp(at if sent_at is None else sent_at)}
    return {
        "kind": "webhook",
        "tenant": TENANT,
        "received_at": stamp(at),
        "provider": "generic",
        "body": body,
    }


def lived(*records: Record, until: int, step: int = 10 * MINUTE) -> Streams:
    """What comes of these records, with heartbeats between the first one and the end."""
    start = min(ms(told["received_at"]) for told in records)
    log = sorted([*records, *heartbeats(start, until, step)], key=lambda told: told["received_at"])
    return run(lines_of(log))


def sent(streams: Streams) -> list[tuple[str, int]]:
    """Trigger and due minute of every command, in order."""
    return [(row["trigger"], ms(row["due_at"])) for row in streams.rows("commands")]


def told(streams: Streams) -> list[tuple[str, str, str | None, int]]:
    """Trigger, outcome, reason and time of every decision, in order."""
    return [
        (row["trigger"], row["outcome"], row["reason"], ms(row["at"]))
        for row in streams.rows("decisions")
    ]
