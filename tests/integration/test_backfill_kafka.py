"""``flowsell backfill --kafka`` on a real Kafka."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from flows.backfill import judge, read_mapping
from flows.backfill_report import Report
from flows.cli import run
from flows.environment import read_environment
from flows.progress import silent
from flows.publishing import Bookmark, Topic, publish
from flows.resend import Pace
from schemas.keys import lane_of
from schemas.record import utc_text
from tests.kafka_flow import RECORDS, Engagement

TENANTS = ("salon", "студия 7", "t3")
AT = ["--at", "2026-01-01T00:00:00Z"]


@pytest.fixture
def mapping(engagement: Engagement, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLOWSELL_KAFKA", engagement.kafka.bootstrap)
    monkeypatch.setenv("FLOWSELL_LANES", str(engagement.lanes))
    rows = [
        f"{TENANTS[n % 3]},+7701{n % 200:07},2025-11-{n % 28 + 1:02} {n % 10 + 9:02}:00:00,{n}"
        for n in range(3_000)
    ]
    table = "\n".join(["whose,phone,at,paid", *rows])
    (tmp_path / "visits.csv").write_text(table, encoding="utf-8")
    path = tmp_path / "past.toml"
    path.write_text(
        'currency = "KZT"\n[visits]\nfile = "visits.csv"\n'
        'columns = { tenant = "whose", phone = "phone", starts_at = "at", amount = "paid" }\n',
        encoding="utf-8",
    )
    return path


def told(engagement: Engagement) -> list[bytes]:
    """Records of every lane, each in its own tenant's."""
    found = []
    for lane, messages in engagement.read(RECORDS).items():
        for message in messages:
            tenant = json.loads(message.value())["tenant"]
            assert message.key().decode() == tenant
            assert lane == lane_of(tenant, engagement.lanes)
            found.append(message.value())
    return sorted(found)


def test_records_stand_in_their_tenants_lanes_and_are_published_once(
    engagement: Engagement, mapping: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["backfill", str(mapping), "--out", str(mapping.with_name("log.ndjson")), *AT]) == 0
    assert run(["backfill", str(mapping), "--kafka", *AT]) == 0
    expected = sorted(mapping.with_name("log.ndjson").read_bytes().splitlines())
    assert told(engagement) == expected
    capsys.readouterr()
    assert run(["backfill", str(mapping), "--kafka"]) == 0
    assert "Nothing to do: all was published before" in capsys.readouterr().out
    assert told(engagement) == expected


def test_a_run_that_was_cut_goes_on_behind_what_the_topic_has(
    engagement: Engagement, mapping: Path
) -> None:
    environment = read_environment()
    now = datetime(2026, 1, 1, tzinfo=UTC)
    plan = judge(read_mapping(mapping), mapping.parent, environment, now, Report())
    topic, kept = Topic(environment), mapping.with_suffix(".progress.json")
    place = Bookmark(None).place(plan.digest(), utc_text(now), topic.name())
    left = iter([False] * 2 + [True])
    publish(plan, topic, place, kept, Pace(None), lambda: next(left), silent)
    records = [record for _, record in plan.records(utc_text(now))]
    assert told(engagement) == sorted(records[:2])
    assert run(["backfill", str(mapping), "--kafka"]) == 0
    assert told(engagement) == sorted(records)


def test_a_bookmark_of_another_log_is_none_of_this_one(
    engagement: Engagement, mapping: Path
) -> None:
    assert run(["backfill", str(mapping), "--kafka", *AT]) == 0
    before = told(engagement)
    engagement.delete_topics()
    engagement.make_topics()
    assert run(["backfill", str(mapping), "--kafka", *AT]) == 0
    assert told(engagement) == before


def test_a_broker_that_is_down_is_exit_code_3(
    mapping: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLOWSELL_KAFKA", "127.0.0.1:1")
    monkeypatch.setattr("flows.kafka.REACH_SECONDS", 1.0)
    monkeypatch.setenv("FLOWSELL_LOG", "json")
    assert run(["backfill", str(mapping), "--kafka"]) == 3
    assert "flowsell: Kafka cannot be reached at 127.0.0.1:1: " in capsys.readouterr().err
    assert not mapping.with_suffix(".progress.json").exists()
