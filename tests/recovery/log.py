"""A log for the kill loops: plausible life around today, in which every change of segment counts.

Takes: a number of records and a seed
Out:   record lines in the order of their appending; ``feeding``, which appends them at a rate while
       a scenario goes on
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import islice

from sources.generator import generate
from tests.kafka_flow import Engagement
from tests.logs import OPEN_GATE

PIECES_PER_SECOND = 20

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


def is_short() -> bool:
    """Whether the long scenarios are wanted in their short form."""
    return os.environ.get("FAULTS") == "short"


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
    record["settings"] |= OPEN_GATE  # the hour at which the tests run must not matter
    record["settings"].setdefault("triggers", []).append(ON_ENTRY)
    return json.dumps(record, ensure_ascii=False).encode()


@contextmanager
def feeding(engagement: Engagement, records: int, rate: float, seed: int) -> Iterator[None]:
    """Append a life at a rate while the block runs; leave when the log has all of it."""
    log = life(records, seed)
    is_given_up = threading.Event()

    def append() -> None:
        started, appended = time.monotonic(), 0
        while piece := list(islice(log, max(1, round(rate / PIECES_PER_SECOND)))):
            engagement.append(piece)
            appended += len(piece)
            if is_given_up.wait(max(0.0, started + appended / rate - time.monotonic())):
                return

    with ThreadPoolExecutor(1) as pool:
        appending = pool.submit(append)
        try:
            yield
        except BaseException:
            is_given_up.set()
            raise
        appending.result()
