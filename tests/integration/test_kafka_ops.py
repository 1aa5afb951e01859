"""What the ops endpoint of a real process says is what is in Kafka, and nobody's phone or name."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.broker import KafkaServer, free_ports
from flows.run import GROUP
from schemas.topics import TOPICS
from sources.answers import answered
from sources.kafka import heartbeat
from tests.kafka_flow import (
    DEAD,
    LANES,
    QUIET,
    RECORDS,
    Engagement,
    wait_until,
)
from tests.recovery.log import life

SIZE = 3_000


class Ops:
    """The endpoint of the flow that runs here."""

    def __init__(self, engagement: Engagement) -> None:
        [self.port] = free_ports(1)
        engagement.environment["FLOWSELL_OPS_PORT"] = str(self.port)

    def get(self, page: str) -> tuple[int, str]:
        """Status and text; 0 where nobody listens."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", page)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except OSError:
            return 0, ""
        finally:
            connection.close()

    def wait_ready(self) -> None:
        wait_until(lambda: self.get("/readyz")[0] == 200, 60)

    def why_not(self) -> str:
        """What ``/readyz`` says."""
        text = self.get("/readyz")[1]
        return str(json.loads(text)["why"]) if text else ""

    def samples(self) -> list[Any]:
        families = text_string_to_metric_families(self.get("/metrics")[1])
        return [sample for family in families for sample in family.samples]

    def by(self, name: str, label: str) -> Counter[str]:
        """A metric's samples, summed by one of its labels; without those that are 0."""
        found: Counter[str] = Counter()
        for sample in self.samples():
            if sample.name == name:
                found[sample.labels.get(label, "")] += int(sample.value)
        return +found

    def sum(self, name: str) -> float:
        return float(sum(sample.value for sample in self.samples() if sample.name == name))


@pytest.fixture
def ops(engagement: Engagement) -> Ops:
    return Ops(engagement)


def rows(engagement: Engagement, stream: str) -> list[dict[str, Any]]:
    return [json.loads(message.value()) for message in engagement.messages(TOPICS[stream].name)]


def beat(engagement: Engagement) -> None:
    """The second is over in every lane, so that profiles are told."""
    time.sleep(1.1)
    for lane in range(engagement.lanes):
        engagement.append([heartbeat(datetime.now(UTC))], lane)


def reasons(engagement: Engagement) -> Counter[str]:
    headers = (dict(message.headers()) for message in engagement.messages(DEAD))
    return Counter(each["__flowsell.errors.reason"].decode() for each in headers)


def segments(engagement: Engagement) -> Counter[str]:
    """Customers by the segment of their last profile."""
    last = {row["customer_id"]: row.get("segment") for row in rows(engagement, "profiles")}
    return Counter(segment for segment in last.values() if segment is not None)


def test_metrics_say_what_is_in_the_topics(engagement: Engagement, ops: Ops) -> None:
    process = engagement.start()
    ops.wait_ready()
    engagement.append(life(SIZE, seed=21))
    engagement.wait_committed()
    wait_until(lambda: ops.sum("flowsell_lag_records") == 0, 10)
    assert ops.sum("flowsell_records_total") == sum(engagement.ends().values()) >= SIZE
    assert ops.by("flowsell_dead_letters_total", "reason") == reasons(engagement)
    for stream, name, label in (
        ("segments", "segment_changes", "cause"),
        ("decisions", "decisions", "outcome"),
    ):
        told = Counter(row[label] for row in rows(engagement, stream))
        assert told
        assert ops.by(f"flowsell_{name}_total", label) == told
    commands = len(rows(engagement, "commands"))
    assert ops.sum("flowsell_end_to_end_seconds_count") == commands > 0
    assert 0 < ops.sum("flowsell_end_to_end_seconds_sum") < 60 * commands
    assert ops.sum("flowsell_lag_seconds") == 0
    assert ops.sum("flowsell_lanes_owned") == LANES
    assert ops.sum("flowsell_snapshot_bytes") >= 0
    assert process.end() == 0, process.said
    assert ops.get("/livez")[0] == 0


def test_a_restart_counts_nothing_twice(engagement: Engagement, ops: Ops) -> None:
    log = list(life(SIZE, seed=22))
    engagement.start()
    engagement.append(log[:2_000])
    engagement.wait_committed()
    # The process hears of a commit a moment after Kafka has it, and counts it then.
    wait_until(lambda: ops.sum("flowsell_records_total") == 2_000, 30)
    first = ops.by("flowsell_records_total", "kind")
    engagement.processes[0].kill()
    engagement.append(log[2_000:])
    second = engagement.start()
    engagement.wait_committed()
    before = sum(at for at, _ in engagement.committed().values())
    wait_until(lambda: ops.sum("flowsell_lag_records") == 0 and ops.get("/readyz")[0] == 200, 60)
    assert (first + ops.by("flowsell_records_total", "kind")).total() == before
    assert second.end() == 0, second.said


def test_a_minute_full_of_rubbish_is_a_figure_and_a_warning_and_stops_nothing(
    engagement: Engagement, ops: Ops
) -> None:
    process = engagement.start()
    engagement.append([b"rubbish"] * 150)
    engagement.wait_committed()
    wait_until(lambda: "many dead letters" in process.said, 30)
    assert ops.sum("flowsell_dead_letter_ratio") > 0.2
    assert ops.by("flowsell_dead_letters_total", "reason") == {"json": 150}
    assert process.end() == 0, process.said


def test_customers_are_counted_by_segment(engagement: Engagement, ops: Ops) -> None:
    process = engagement.start()
    engagement.append(life(SIZE, seed=23))
    beat(engagement)
    engagement.wait_committed()

    def is_told() -> bool:  # a profile is told a second after its change, a census in its turn
        told = ops.by("flowsell_customers", "segment")
        return bool(told) and told == segments(engagement)

    wait_until(is_told, 60)
    assert ops.by("flowsell_state_rows", "table")["customers"] >= segments(engagement).total()
    assert process.end() == 0, process.said


def test_neither_logs_nor_metrics_tell_a_phone_or_a_name(engagement: Engagement, ops: Ops) -> None:
    process = engagement.start()
    engagement.append(life(SIZE, seed=24))
    beat(engagement)
    engagement.wait_committed()
    wait_until(lambda: ops.sum("flowsell_customers") > 0, 30)
    said = "".join(ops.get(page)[1] for page in ("/metrics", "/readyz", "/livez", "/"))
    assert process.end() == 0, process.said
    said += process.said
    profiles = rows(engagement, "profiles")
    phones = {row["phone"] for row in profiles if row.get("phone")}
    names = {row["name"] for row in profiles if row.get("name")}
    assert len(phones) > 50
    assert len(names) > 20
    digits = set(re.findall(r"\d{9,}", said))
    assert not [phone for phone in phones if any(phone[-9:] in each for each in digits)]
    assert not [name for name in names if re.search(rf"\b{re.escape(name)}\b", said)]


def test_the_group_s_offsets_are_those_that_ordinary_tools_read(engagement: Engagement) -> None:
    process = engagement.start("engagement-0")
    engagement.append(life(500, seed=25))
    engagement.wait_committed()
    admin = AdminClient({"bootstrap.servers": engagement.kafka.bootstrap, **QUIET})
    asked = ConsumerGroupTopicPartitions(GROUP)
    found = admin.list_consumer_group_offsets([asked])[GROUP].result(30).topic_partitions
    assert {one.partition: one.offset for one in found if one.topic == RECORDS} == engagement.ends()
    told = admin.describe_consumer_groups([GROUP])[GROUP].result(30)
    [member] = told.members
    assert member.group_instance_id == "engagement-0"
    owned = sorted(member.assignment.topic_partitions, key=lambda one: one.partition)
    assert owned == [TopicPartition(RECORDS, lane) for lane in range(LANES)]
    assert process.end() == 0, process.said


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[KafkaServer]:
    """A broker of this test's own, for it is killed."""
    server = KafkaServer(tmp_path / "kafka")
    server.start()
    yield server
    server.kill()


def test_a_process_without_a_broker_is_alive_and_not_ready_until_it_is_back(
    kafka: KafkaServer, mortal: KafkaServer, tmp_path: Path
) -> None:
    del kafka  # skips this test where there can be none
    engagement = Engagement(mortal, tmp_path)
    ops = Ops(engagement)
    engagement.environment["FLOWSELL_KAFKA_STATISTICS_INTERVAL_MS"] = "500"
    answered(engagement.make_topics)
    process = engagement.start()
    try:
        engagement.append(life(500, seed=26))
        ops.wait_ready()
        engagement.wait_committed()
        mortal.kill()
        wait_until(lambda: "cut off" in ops.why_not(), 30)
        assert ops.get("/livez")[0] == 200
        mortal.start()
        ops.wait_ready()
        assert process.end() == 0, process.said
    finally:
        engagement.close()
