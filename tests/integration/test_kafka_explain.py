"""``flowsell explain`` from the topics of a real Kafka: what was decided, by customer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from confluent_kafka import Producer

from flows.cli import run
from schemas.keys import customer_id
from schemas.topics import TOPICS
from tests.agenda import START, came, known, lived, rule, rules
from tests.engine import ID_KEY, Row, Streams
from tests.kafka_flow import QUIET, Engagement
from tests.logs import DAY, HOUR
from tests.people import PHONE, TENANT, WHO

OTHERS = tuple(f"+770199988{number}" for number in range(10, 16))
STREAMS = ("commands", "decisions", "segments", "profiles")


def life() -> Streams:
    """Somebody who comes and cools, and others who do the same."""
    phones = [PHONE, *OTHERS]
    return lived(
        rules(
            rule("segment_entered", segments=["311", "312", "211", "212"]),
            scoring={"recency_days": [3, 9], "frequency": [3, 2]},
        ),
        known(START, consent={"marketing": True}),
        *(
            came(START + HOUR, START, f"v{number}", phone=phone, client=f"c{number + 1}")
            for number, phone in enumerate(phones)
        ),
        until=START + 5 * DAY,
    )


def published(flow: Engagement, streams: Streams) -> None:
    """What the fold has said, in its topics, by customer."""
    producer = Producer(
        {"bootstrap.servers": flow.kafka.bootstrap, "partitioner": "murmur2_random"} | QUIET
    )
    for stream in STREAMS:
        for row in streams.rows(stream):
            value = json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode()
            producer.produce(TOPICS[stream].name, value, row["customer_id"])
    assert producer.flush(30) == 0


def explained(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    capsys.readouterr()
    assert run(["explain", TENANT, *arguments, "--json", "--no-progress"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def own(streams: Streams, stream: str) -> list[Row]:
    return [row for row in streams.rows(stream) if row["customer_id"] == WHO]


def test_the_topics_tell_the_decisions_and_commands_of_one_customer(
    engagement: Engagement, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    streams = life()
    published(engagement, streams)
    monkeypatch.setenv("FLOWSELL_KAFKA", engagement.kafka.bootstrap)
    found = explained(capsys, PHONE)
    decisions = [each for each in found["path"] if "command_id" in each]
    assert len(decisions) == 2
    assert [(each["command_id"], each["at"]) for each in decisions] == [
        (row["command_id"], row["at"]) for row in own(streams, "decisions")
    ]
    sent = {row["command_id"]: row["template"] for row in own(streams, "commands")}
    assert all(each["template"] == sent[each["command_id"]] for each in decisions)
    assert [(each["from"], each["to"]) for each in found["path"] if each["what"] == "segment"] == [
        (row["from"], row["to"]) for row in own(streams, "segments")
    ]
    assert found["profile"]["position"] == own(streams, "profiles")[-1]["position"]
    assert found["missing"] == ["retention", "visits"]
    for phone in OTHERS:
        assert customer_id(ID_KEY, TENANT, int(phone[1:])) not in str(found)
