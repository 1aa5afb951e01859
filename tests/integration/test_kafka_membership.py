"""Lanes move with the consumer group: exactly one owner, and nothing lost or repeated by a move."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kafka_flow import Engagement, wait_until
from tests.recovery.log import life

pytestmark = pytest.mark.xdist_group("kafka")

PIECE = 500


def pieces(records: int) -> Iterator[list[bytes]]:
    log = list(life(records, seed=5))
    return (log[at : at + PIECE] for at in range(0, len(log), PIECE))


def compare(engagement: Engagement) -> None:
    owed = engagement.assert_settled()
    assert owed.count("commands")


def test_a_second_process_of_the_same_instance_fences_the_first(engagement: Engagement) -> None:
    log = pieces(4_000)
    first = engagement.start()
    first.wait_started()
    engagement.append(next(log))
    wait_until(lambda: any(at for at, _ in engagement.committed().values()), 30)
    second = engagement.start()
    second.wait_started()
    for piece in log:
        engagement.append(piece)
    assert first.wait() == 3
    assert "flowsell: Kafka ends this" in first.said
    engagement.wait_committed()
    assert second.end() == 0, second.said
    compare(engagement)


def test_a_process_that_joins_takes_lanes_and_one_that_leaves_gives_them_back(
    engagement: Engagement,
) -> None:
    engagement.environment["FLOWSELL_KAFKA_SESSION_TIMEOUT_MS"] = "6000"
    log = pieces(20_000)
    first = engagement.start("engagement-0")
    first.wait_started()
    for _ in range(8):
        engagement.append(next(log))
    second = engagement.start("engagement-1")
    second.wait_started()
    wait_until(lambda: "lanes assigned" in second.said, 30)
    for _ in range(8):
        engagement.append(next(log))
    engagement.wait_committed()
    assert second.end() == 0, second.said
    for piece in log:  # lanes of a static member wait for it until its session ends
        engagement.append(piece)
    engagement.wait_committed()
    assert first.end() == 0, first.said
    assert first.said.count("lanes assigned") >= 3
    compare(engagement)
