"""A log for the kill loops: plausible life around today, in which every change of segment counts.

Takes: a number of records and a seed
Out:   record lines in the order of their appending
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from sources.generator import generate

CODES = [f"{r}{f}{m}" for r in "123" for f in "123" for m in "123"]

ON_ENTRY = {
    "id": "on_entry",
    "kind": "segment_entered",
    "segments": CODES,
    "channels": ["sms"],
    "template": "entered",
    "ttl": "72h",
    "cooldown_days": 0,
}


def life(records: int, seed: int) -> Iterator[bytes]:
    """The lane's clock is today's, so the life is lived around today: reminders come due too."""
    start = (datetime.now(UTC) - timedelta(days=30)).date()
    made = generate(
        tenants=12,
        customers=max(200, records // 12),
        days=60,
        seed=seed,
        faults=True,
        records=records,
        start=start,
    )
    for line in made:
        yield _with_trigger(line) if line.startswith(b'{"kind":"settings"') else line


def _with_trigger(line: bytes) -> bytes:
    record = json.loads(line)
    record["settings"].setdefault("triggers", []).append(ON_ENTRY)
    return json.dumps(record, ensure_ascii=False).encode()
