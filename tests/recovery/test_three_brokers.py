"""Three brokers: one of them lost, leaders moved, and no output changes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import ElectionType, TopicPartition
from confluent_kafka.admin import AdminClient

from benchmarks.broker import (
    KafkaServer,
    KafkaUnavailableError,
    Node,
    cluster_id,
    free_ports,
    libraries,
)
from tests.kafka_flow import QUIET, RECORDS, Engagement, wait_until
from tests.recovery.log import feeding

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]

BROKERS = 3


@pytest.fixture
def brokers(tmp_path: Path) -> Iterator[list[KafkaServer]]:
    try:
        libraries()
    except KafkaUnavailableError as reason:
        pytest.skip(f"no Apache Kafka here: {reason}")
    ports = free_ports(2 * BROKERS)
    nodes = [Node(*ports[at : at + 2]) for at in range(0, len(ports), 2)]
    cluster = cluster_id()
    servers = [KafkaServer(tmp_path / f"{n}", nodes, n, cluster) for n in range(BROKERS)]
    for server in servers:
        server.launch()
    for server in servers:
        server.wait_answering()
    wait_until(lambda: len(admin(servers[0]).list_topics(timeout=10).brokers) == BROKERS, 60)
    yield servers
    for server in servers:
        server.kill()


def admin(server: KafkaServer) -> AdminClient:
    return AdminClient({"bootstrap.servers": server.bootstrap, **QUIET})


def leaders(server: KafkaServer) -> list[int]:
    """Who leads each lane of the records."""
    partitions = admin(server).list_topics(timeout=10).topics[RECORDS].partitions
    return [partitions[lane].leader for lane in sorted(partitions)]


def in_sync(server: KafkaServer) -> int:
    """The fewest replicas that any lane of the records has in step."""
    partitions = admin(server).list_topics(timeout=10).topics[RECORDS].partitions
    return min(len(partition.isrs) for partition in partitions.values())


def lead_again(server: KafkaServer, lanes: int) -> None:
    """Move the leaders back to where they were at first."""
    moved = [TopicPartition(RECORDS, lane) for lane in range(lanes)]
    client = admin(server)  # gone before its answer, it would refuse it
    client.elect_leaders(ElectionType.PREFERRED, moved).result(30)


def test_a_broker_that_is_lost_and_leaders_that_move_change_no_output(
    brokers: list[KafkaServer], tmp_path: Path
) -> None:
    engagement = Engagement(brokers[0], tmp_path)
    engagement.make_topics()
    assert in_sync(brokers[0]) == BROKERS
    host = engagement.start("host", processes=2)  # starts again who ends when brokers are away
    host.wait_owning()
    try:
        with feeding(engagement, records=20_000, rate=400, seed=8):
            for lost in (1, 2):
                brokers[lost].kill()
                wait_until(lambda number=lost + 1: number not in leaders(brokers[0]), 60)
                brokers[lost].start()
                wait_until(lambda: in_sync(brokers[0]) == BROKERS, 90)
                lead_again(brokers[0], engagement.lanes)
                wait_until(lambda number=lost + 1: number in leaders(brokers[0]), 60)
        engagement.wait_committed(180)
        assert host.end() == 0, host.said
        assert engagement.assert_settled().count("commands")
    finally:
        engagement.close()
