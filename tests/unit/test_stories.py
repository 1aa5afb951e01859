"""One customer's story leaves nothing out that was told, and nothing that was told ends it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from flows.cli import run
from flows.figures import read_tables
from flows.stories import Chosen, tell
from tests.agenda import START, came, rules
from tests.logs import DAY, HOUR, visit
from tests.people import PHONE, TENANT, WHO


def test_a_cancellation_that_names_no_time_is_of_the_time_that_was_told(tmp_path: Path) -> None:
    gone = [
        visit(
            TENANT, START + 2 * DAY, name, status="cancelled", phone=PHONE, client="c1", version=9
        )
        for name in ("v1", "v2")
    ]
    records = [rules(), came(START + HOUR, START, "v1"), *gone]
    log = tmp_path / "log.ndjson"
    log.write_bytes(b"".join(msgspec.json.encode(record) + b"\n" for record in records))
    assert run(["replay", str(log), "--out", str(tmp_path / "out"), "--no-progress"]) == 0
    who = Chosen("busy", TENANT, WHO, PHONE, None)
    story = tell([who], read_tables(tmp_path / "out"), log)
    assert story is not None
    told = [moment.what for moment in story.moments if moment.what in {"attended", "cancelled"}]
    assert told == ["attended", "cancelled"]
