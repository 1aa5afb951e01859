"""Dead letters on a real Kafka: looked at, sent again, told apart when they come back."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from confluent_kafka import Producer

from flows.cli import run
from flows.letters import REPLAY_MARK, Headers
from schemas.keys import lane_of
from schemas.topics import TOPICS
from tests.kafka_flow import DEAD, LANES, QUIET, RECORDS, Engagement, wait_until
from tests.logs import lines_of, visit
from tests.recovery.log import life

TENANT = "t0001"
OTHER = next(t for t in ("t2", "t3", "t4", "t5") if lane_of(t, LANES) != lane_of(TENANT, LANES))
OWN = [("source", b"gateway-7"), ("attempt", b"2")]
AT = "2026-03-01T10:00:00Z"


@pytest.fixture
def flow(engagement: Engagement, monkeypatch: pytest.MonkeyPatch) -> Engagement:
    """The commands of these tests reach the same Kafka as the flow."""
    for name, value in engagement.environment.items():
        monkeypatch.setenv(name, value)
    return engagement


def told(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> dict[str, Any]:
    """The JSON object of a command."""
    assert run(["dlq", *arguments, "--json"]) == code, capsys.readouterr().err
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def append(flow: Engagement, value: bytes | None, key: bytes | None, lane: int = -1) -> None:
    """One record with headers of its own."""
    servers = {"bootstrap.servers": flow.kafka.bootstrap, "partitioner": "murmur2_random"}
    producer = Producer(servers | QUIET)
    producer.produce(RECORDS, value, key, lane, headers=[*OWN])
    assert producer.flush(30) == 0


def own_headers(message: Any) -> list[tuple[str, bytes]]:
    return [header for header in message.headers() or [] if not header[0].startswith("__flowsell")]


def marks(message: Any) -> list[str]:
    return [value.decode() for name, value in message.headers() or [] if name == REPLAY_MARK]


def test_show_counts_what_is_in_the_topic(
    flow: Engagement, capsys: pytest.CaptureFixture[str]
) -> None:
    process = flow.start()
    flow.append([*life(500, seed=41), b"rubbish", b"[]", b'{"kind":"webhook"}'])
    flow.wait_committed()
    assert process.end() == 0, process.said
    letters = flow.messages(DEAD)
    reasons = Counter(dict(m.headers())["__flowsell.errors.reason"].decode() for m in letters)
    shown = told(capsys, "show")
    assert shown["letters"] == len(letters) >= 3
    found: Counter[str] = Counter()
    for heap in shown["reasons"]:
        found[heap["reason"]] += heap["letters"]
    assert found == reasons
    assert told(capsys, "show", "--since", "1h")["letters"] == len(letters)
    assert told(capsys, "show", "--since", "2099-01-01T00:00:00Z")["letters"] == 0
    [most] = reasons.most_common(1)
    assert told(capsys, "show", "--reason", most[0])["letters"] == most[1]


def test_a_replay_sends_key_value_and_headers_again_with_a_mark_and_goes_on_where_it_ended(
    flow: Engagement, capsys: pytest.CaptureFixture[str]
) -> None:
    process = flow.start()
    append(flow, b"rubbish", TENANT.encode())
    append(flow, None, OTHER.encode())
    append(flow, b"no key", None, lane=2)
    wait_until(lambda: len(flow.messages(DEAD)) == 3, 30)
    before = {(m.key(), m.value()): (m.partition(), own_headers(m)) for m in flow.messages(RECORDS)}
    places = [f"{DEAD}/{m.partition()}/{m.offset()}" for m in flow.messages(DEAD)]

    assert told(capsys, "replay", "--dry-run")["sent"] == 3
    sent = told(capsys, "replay")
    assert (sent["sent"], sent["again"], sent["finished"]) == (3, 0, True)
    flow.wait_committed()
    again = [message for message in flow.messages(RECORDS) if marks(message)]
    assert {(m.key(), m.value()): (m.partition(), own_headers(m)) for m in again} == before
    assert sorted(mark for message in again for mark in marks(message)) == sorted(places)

    wait_until(lambda: len(flow.messages(DEAD)) == 6, 30)  # nothing was mended: they are back
    shown = told(capsys, "show")
    assert sum(heap["came_back"] for heap in shown["reasons"]) == 3
    assert shown["replayed_twice"] == 0

    sent = told(capsys, "replay")
    assert (sent["sent"], sent["again"]) == (3, 3)
    flow.wait_committed()
    twice = [message for message in flow.messages(RECORDS) if len(marks(message)) == 2]
    assert len(twice) == 3

    assert told(capsys, "replay", "--again", "--limit", "3")["sent"] == 3
    wait_until(lambda: told(capsys, "show")["replayed_twice"] > 0, 30)
    assert process.end() == 0, process.said


def test_a_filter_has_a_place_of_its_own(
    flow: Engagement, capsys: pytest.CaptureFixture[str]
) -> None:
    process = flow.start()
    append(flow, b"rubbish", TENANT.encode())
    append(flow, b"{}", OTHER.encode())
    wait_until(lambda: len(flow.messages(DEAD)) == 2, 30)
    assert process.end() == 0, process.said
    assert told(capsys, "replay", "--since", "1h")["sent"] == 2  # keeps no place
    only = ("replay", "--tenant", TENANT)
    assert told(capsys, *only)["sent"] == 1
    assert told(capsys, *only)["sent"] == 0
    assert told(capsys, "replay")["sent"] == 2
    assert told(capsys, "replay", "--from", "0:0,1:0,2:0,3:0")["sent"] == 2


def test_a_record_under_another_tenant_s_key_is_used_once_it_is_keyed_anew(
    flow: Engagement, capsys: pytest.CaptureFixture[str]
) -> None:
    process = flow.start()
    [came] = lines_of([
        visit(TENANT, AT, "v-1", version=1, status="attended", phone="+77011234567",
              starts_at=AT, amount_minor=100, currency="KZT"),
    ])  # fmt: skip
    append(flow, came, OTHER.encode())
    wait_until(lambda: len(flow.messages(DEAD)) == 1, 30)
    assert told(capsys, "replay", "--reason", "tenant", "--rekey")["sent"] == 1
    wait_until(lambda: len(flow.messages(TOPICS["segments"].name)) == 1, 30)
    assert process.end() == 0, process.said
    assert len(flow.messages(DEAD)) == 1


def test_a_key_that_is_a_phone_is_not_shown(
    flow: Engagement, capsys: pytest.CaptureFixture[str]
) -> None:
    producer = Producer({"bootstrap.servers": flow.kafka.bootstrap, **QUIET})
    producer.produce(DEAD, b"rubbish", b"+77011234567")
    assert producer.flush(30) == 0
    assert run(["dlq", "show"]) == 0
    assert "7701" not in capsys.readouterr().out


def test_a_letter_whose_value_was_cut_is_not_sent(
    flow: Engagement, capsys: pytest.CaptureFixture[str]
) -> None:
    headers: Headers = [
        ("__flowsell.errors.reason", b"size"),
        ("__flowsell.errors.partition", b"1"),
        ("__flowsell.errors.offset", b"0"),
        ("__flowsell.errors.truncated", b"20000000"),
    ]
    producer = Producer({"bootstrap.servers": flow.kafka.bootstrap, **QUIET})
    producer.produce(DEAD, b"the beginning", TENANT.encode(), headers=headers)
    assert producer.flush(30) == 0
    assert told(capsys, "show")["bytes"] == 20_000_000
    sent = told(capsys, "replay")
    assert (sent["sent"], sent["unsendable"]) == (0, {"truncated": 1})
    assert flow.messages(RECORDS) == []


def test_a_broker_that_is_not_there_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FLOWSELL_KAFKA", "localhost:1")
    monkeypatch.setattr("flows.topic_reader.REACH_SECONDS", 1.0)
    monkeypatch.setattr("flows.topic_reader.ANSWER_SECONDS", 0.0)
    assert run(["dlq", "show"]) == 3
    said = capsys.readouterr()
    assert said.err.startswith("flowsell: Kafka at localhost:1: ")
    assert (said.out + said.err).count("\n") == 1
