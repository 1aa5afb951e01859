"""The engagement flow on a real Kafka: records in, outputs out, drained and started again."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flows.cli import run
from schemas.keys import lane_of
from schemas.topics import COMMAND_SCHEMA, TOPICS
from tests.kafka_flow import (
    DEAD,
    LANES,
    RECORDS,
    Engagement,
    wait_until,
)
from tests.logs import DAY, SECOND, lines_of, settings, trigger, visit

FLOWSELL = str(Path(sys.executable).with_name("flowsell"))
TENANT = "t0001"
OTHER = next(t for t in ("t2", "t3", "t4", "t5") if lane_of(t, LANES) != lane_of(TENANT, LANES))
ENTERED = trigger("segment_entered", segments=["311", "312", "211"], ttl="72h", cooldown_days=0)


def now() -> int:
    """The wall clock, which is the lanes' too."""
    return time.time_ns() // 1_000_000


def attended(number: int, tenant: str = TENANT) -> dict[str, object]:
    """A first visit of one customer, an hour ago."""
    return visit(
        tenant,
        now(),
        f"v-{number}",
        version=1,
        status="attended",
        phone=f"+7701{number:07d}",
        starts_at=now() - DAY // 24,
        amount_minor=100_000,
        currency="KZT",
    )


def said_hello(engagement: Engagement, tenant: str, customers: int, first: int = 0) -> None:
    """Settings with a trigger on entry, and first visits."""
    told = settings(tenant, now(), triggers=[ENTERED], consent_default="allow")
    visits = [attended(first + number, tenant) for number in range(customers)]
    engagement.append(lines_of([told, *visits]))


def test_a_first_visit_becomes_a_segment_a_decision_and_a_command(engagement: Engagement) -> None:
    process = engagement.start()
    said_hello(engagement, TENANT, customers=5)
    said_hello(engagement, OTHER, customers=5)
    engagement.wait_committed()
    assert process.end() == 0, process.said
    owed = engagement.assert_settled()
    assert owed.count("segments") == owed.count("commands") == owed.count("decisions") == 10


def test_a_command_carries_its_id_and_its_schema_in_headers(engagement: Engagement) -> None:
    process = engagement.start()
    said_hello(engagement, TENANT, customers=1)
    engagement.wait_committed()
    process.end()
    [message] = engagement.messages(TOPICS["commands"].name)
    command = json.loads(message.value())
    assert message.key().decode() == command["customer_id"]
    assert dict(message.headers()) == {
        "command-id": command["command_id"].encode(),
        "schema": COMMAND_SCHEMA.encode(),
    }


def test_poison_goes_to_the_dead_letters_with_its_bytes_and_headers(
    engagement: Engagement,
) -> None:
    process = engagement.start()
    said_hello(engagement, TENANT, customers=2)
    own = [("x-request", b"\x00\xff"), ("x-twice", b"1"), ("x-twice", b"2")]
    poison = [b"\x00\x01 not json", b'{"kind":"webhook"}', b"", b"[" * 100_000]
    engagement.append(poison, lane=1, headers=own)
    engagement.append([None], lane=2)
    said_hello(engagement, OTHER, customers=2)
    engagement.wait_committed()
    assert process.end() == 0, process.said
    dead = engagement.messages(DEAD)
    assert sorted(message.value() or b"" for message in dead) == sorted([*poison, b""])
    assert [message.value() for message in dead].count(None) == 1
    of_ours = next(message for message in dead if message.value() == poison[0])
    assert of_ours.headers()[:3] == own
    errors = {name.rpartition(".")[2]: value for name, value in of_ours.headers()[3:]}
    assert errors["topic"] == RECORDS.encode()
    assert errors["partition"] == b"1"
    assert errors["reason"] == b"json"
    owed = engagement.assert_settled()
    assert owed.count("segments") == 4


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_drain_leaves_every_lane_s_snapshot_at_its_committed_position(
    engagement: Engagement, how: signal.Signals
) -> None:
    process = engagement.start()
    process.wait_started()
    said_hello(engagement, TENANT, customers=300)
    said_hello(engagement, OTHER, customers=300)
    wait_until(lambda: any(at for at, _ in engagement.committed().values()), 30)
    assert process.end(how) == 0, process.said
    for lane, (at, _) in engagement.committed().items():
        names = [path.name for path in (engagement.state / f"lane-{lane:04d}").glob("manifest-*")]
        positions = [int(name[len("manifest-") : -len(".json")]) for name in names]
        assert max(positions, default=0) == at


def test_a_restart_goes_on_where_the_last_process_stopped(engagement: Engagement) -> None:
    for turn in range(3):
        process = engagement.start()
        said_hello(engagement, TENANT, customers=50, first=100 * turn)
        engagement.wait_committed()
        assert process.end() == 0, process.said
    owed = engagement.assert_settled()
    assert owed.count("segments") == owed.count("commands") == 150


def test_a_restart_without_its_snapshots_folds_the_whole_log_and_repeats_nothing(
    engagement: Engagement,
) -> None:
    process = engagement.start()
    said_hello(engagement, TENANT, customers=50)
    engagement.wait_committed()
    process.end()
    engagement.state.rename(engagement.folder / "lost")
    process = engagement.start()
    said_hello(engagement, TENANT, customers=50, first=100)
    engagement.wait_committed()
    assert process.end() == 0, process.said
    owed = engagement.assert_settled()
    assert owed.count("commands") == 100


def test_an_idle_lane_gets_heartbeats_and_its_clock_goes_on(engagement: Engagement) -> None:
    process = engagement.start(runner=("none", "before", "0", "15", "0.5"))
    said_hello(engagement, TENANT, customers=1)
    wait_until(lambda: min(engagement.ends().values()) >= 2, 30)
    engagement.wait_committed()
    # a profile is owed once the clock has crossed a second, and nobody else writes to the lane
    wait_until(lambda: any(engagement.read(TOPICS["profiles"].name).values()), 30)
    assert process.end() == 0, process.said
    beats = engagement.read(RECORDS)
    for lane in set(range(LANES)) - {lane_of(TENANT, LANES)}:
        assert {json.loads(message.value())["kind"] for message in beats[lane]} == {"heartbeat"}
    process = engagement.start()  # a beat may have come after the last commit
    process.wait_started()
    engagement.wait_committed()
    assert process.end() == 0, process.said
    engagement.assert_settled()


def flowsell(engagement: Engagement, *arguments: str, **changed: str) -> tuple[int, str]:
    """The exit code and stderr of one command."""
    done = subprocess.run(
        [FLOWSELL, *arguments],
        env={k: v for k, v in (engagement.environment | changed).items() if v},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stderr


def test_an_unreachable_broker_is_one_clear_line_and_exit_3(
    engagement: Engagement, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in (engagement.environment | {"FLOWSELL_KAFKA": "127.0.0.1:1"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("flows.kafka.REACH_SECONDS", 1.0)
    assert run(["run", "engagement"]) == 3
    said = capsys.readouterr().err
    assert said.startswith("flowsell: Kafka cannot be reached at 127.0.0.1:1")
    assert said.count("\n") == 1


@pytest.mark.parametrize("name", ["KAFKA", "STATE", "INSTANCE", "ID_KEY"])
def test_a_missing_setting_is_one_clear_line_and_exit_2(engagement: Engagement, name: str) -> None:
    code, said = flowsell(engagement, "run", "engagement", **{f"FLOWSELL_{name}": ""})
    assert code == 2
    assert said.count("\n") == 1
    assert f"FLOWSELL_{name}" in said


def test_a_state_folder_that_cannot_be_written_ends_the_flow_with_nothing_lost(
    engagement: Engagement,
) -> None:
    engagement.state.write_text("in the way")
    process = engagement.start(runner=("none", "before", "0", "0.1"))
    said_hello(engagement, TENANT, customers=3)
    assert process.wait() == 3
    assert process.said.count("flowsell: the state cannot be ") == 1
    engagement.state.unlink()
    process = engagement.start()
    said_hello(engagement, TENANT, customers=3, first=10)
    engagement.wait_committed()
    assert process.end() == 0
    engagement.assert_settled()


def test_records_of_four_megabytes_and_more_pass(engagement: Engagement) -> None:
    process = engagement.start()
    big = json.dumps({"kind": "webhook", "tenant": TENANT, "body": "x" * (10 << 20)}).encode()
    engagement.append([big])
    said_hello(engagement, TENANT, customers=1)
    engagement.wait_committed()
    assert process.end() == 0, process.said
    [dead] = engagement.messages(DEAD)
    assert dead.value() == big
    assert dict(dead.headers())["__flowsell.errors.reason"] == b"size"


def test_the_clock_of_a_lane_is_the_log_s(engagement: Engagement) -> None:
    process = engagement.start()
    told = settings(TENANT, now() - 30 * DAY, triggers=[ENTERED], consent_default="allow")
    engagement.append(lines_of([told, attended(1)]))
    engagement.wait_committed()
    process.end()
    [message] = engagement.messages(TOPICS["segments"].name)
    appended = engagement.read(RECORDS)[lane_of(TENANT, LANES)][-1].timestamp()[1]
    at = json.loads(message.value())["at"]
    assert at.startswith(time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(appended / SECOND)))
