"""A customer's path says what the fold has said, whatever happened, and of nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from flows.customer_path import CustomerPath, Moment, Sought
from flows.follow import follow
from flows.mentions import Mentions, Whom
from flows.progress import silent
from schemas.outputs import instant_ms
from state.index import Rows
from tests.agenda import START, rules
from tests.decided import sent_by, simulated
from tests.engine import ID_KEY, Row, Streams, run
from tests.life import logs
from tests.life_rules import answered, ruled_logs
from tests.logs import DAY, HOUR, MINUTE, Record, card, heartbeat, lines_of, visit
from tests.people import PHONE, TENANT

MOST = 2
"""Customers of one log that are looked at."""
DECISIONS = {"commanded": "sent", "held": "held", "refused": "refused", "holdout": "holdout",
             "withdrawn": "withdrawn"}  # fmt: skip


@contextmanager
def written(lines: list[bytes]) -> Iterator[Path]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "log.ndjson"
        path.write_bytes(b"".join(line + b"\n" for line in lines))
        yield path


def path_of(log: Path, row: Row, by_phone: bool = False) -> CustomerPath:
    found = row.get("phone") if by_phone else None
    sought = Sought(row["tenant"], found, None if found else row["customer_id"])
    return follow([log], sought, None, ID_KEY, silent)


def whole_life(streams: Streams, chance: Random) -> list[Row]:
    """The last lines of some customers, those that are no more among them."""
    last = {row["customer_id"]: row for row in streams.rows("profiles")}
    return chance.sample(sorted(last.values(), key=str), min(MOST, len(last)))


def told(path: CustomerPath, *names: str) -> list[Moment]:
    return [moment for moment in path.moments if moment.what in names]


def assert_is_what_was_said(path: CustomerPath, streams: Streams, row: Row) -> None:
    ids = {path.customer_id, *path.merged_from, path.merged_into}
    since = instant_ms(path.forgotten_at) if path.forgotten_at else 0
    said = {
        stream: [
            each
            for each in streams.rows(stream)
            if each["customer_id"] in ids and instant_ms(each["at"]) >= since
        ]
        for stream in ("segments", "decisions")
    }
    if not path.forgotten_at:
        assert [
            (moment.facts["from"], moment.facts["to"], moment.facts["cause"], moment.at_ms)
            for moment in told(path, "segment")
        ] == [
            (each["from"], each["to"], each["cause"], instant_ms(each["at"]))
            for each in said["segments"]
        ]
        assert sorted(
            (each.facts["command_id"], DECISIONS[each.what], each.facts["reason"] or "", each.at_ms)
            for each in told(path, *DECISIONS)
        ) == sorted(
            (each["command_id"], each["outcome"], each["reason"] or "", instant_ms(each["at"]))
            for each in said["decisions"]
        )
    if path.profile is not None and path.profile.customer_id == row["customer_id"]:
        assert path.profile.position == row["position"]
        assert (path.profile.segment, path.profile.frequency, path.profile.monetary_minor) == (
            row["segment"], row["frequency"], row["monetary_minor"],
        )  # fmt: skip


@settings(max_examples=settings().max_examples // 4)
@given(logs(), st.randoms(use_true_random=False))
def test_every_segment_change_and_decision_of_a_customer_is_told_once(
    lines: list[bytes], chance: Random
) -> None:
    streams = run(lines)
    with written(lines) as log:
        for number, row in enumerate(whole_life(streams, chance)):
            by_phone = number == 0 and row.get("phone") is not None
            assert_is_what_was_said(path_of(log, row, by_phone), streams, row)


def at_once(_mentions: Mentions, _whom: Whom, _rows: Rows, start: int) -> int:
    """Every record, as if each might touch the customer."""
    return start


@settings(max_examples=settings().max_examples // 6)
@given(logs(), ruled_logs(), st.randoms(use_true_random=False))
def test_a_look_after_every_record_tells_no_more(
    lines: list[bytes], ruled: list[Record], chance: Random
) -> None:
    log = lines_of(ruled)
    lively = lines_of(answered(ruled, chance, sent_by(simulated(log))))
    for each in (lines, lively):
        with written(each) as file:
            for row in whole_life(run(each), chance):
                path = path_of(file, row)
                with patch.object(Mentions, "next", at_once):
                    assert path_of(file, row) == path


def test_a_card_that_drops_its_phone_is_told_at_that_record() -> None:
    """Its visits fall back to the phone that a visit has named: a record that names neither."""
    start = START + 9 * DAY
    log = [
        rules(),
        visit(TENANT, START, "v1", status="booked", starts_at=start, client="c1", phone=PHONE),
        card(TENANT, START + HOUR, "c1", version=1, phone="+77019998877"),
        heartbeat(START + HOUR + MINUTE),  # what is due is looked at as well
        card(TENANT, START + 2 * HOUR, "c1", version=2),
        heartbeat(START + 3 * HOUR),
    ]
    with written(lines_of(log)) as file:
        path = follow([file], Sought(TENANT, PHONE), None, ID_KEY, silent)
    assert [(moment.what, moment.at_ms) for moment in path.moments] == [
        ("booked", START), ("taken", START + HOUR), ("booked", START + 2 * HOUR),
    ]  # fmt: skip
