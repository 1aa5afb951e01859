"""``flowsell generate --kafka`` on a real broker."""

from __future__ import annotations

import uuid

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # it is a re-export

from benchmarks.broker import KafkaServer
from flows.cli import run
from flows.generate import tenant_of
from flows.living import living
from schemas.keys import lane_of
from sources.generator import World

LANES = 3


def test_records_arrive_whole_each_in_its_tenants_lane(
    kafka: KafkaServer, capsys: pytest.CaptureFixture[str]
) -> None:
    topic = f"records-{uuid.uuid4().hex}"
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    admin.create_topics([NewTopic(topic, LANES)])[topic].result(30)
    options = ["--tenants", "5", "--customers", "200", "--days", "10", "--no-progress"]
    assert run(["generate", *options, "--kafka", kafka.bootstrap, "--topic", topic]) == 0
    lanes: list[list[bytes]] = [[] for _ in range(LANES)]
    for line in living(World(5, 200, 10, 1, effect=10.0), b"demo"):
        lanes[lane_of((tenant_of(line) or b"unknown").decode(), LANES)].append(line)
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": topic})
    try:
        for lane, expected in enumerate(lanes):
            consumer.assign([TopicPartition(topic, lane, 0)])
            found = [message.value() for message in consumer.consume(len(expected), 30)]
            assert found == expected
    finally:
        consumer.close()
    assert topic in capsys.readouterr().out
