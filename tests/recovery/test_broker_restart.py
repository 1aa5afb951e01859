"""The broker goes away and comes back: the flow waits for it, and loses and repeats nothing."""

from __future__ import annotations

import time

import pytest

from tests.kafka_flow import Engagement, assert_exactly_once, wait_until
from tests.recovery.log import life

pytestmark = [pytest.mark.xdist_group("kafka"), pytest.mark.faults]

PIECE = 500
LONGER_THAN_A_TRANSACTION = 15.0


@pytest.mark.parametrize("away", [0.0, LONGER_THAN_A_TRANSACTION])
def test_a_broker_that_is_stopped_and_started_changes_no_output(
    engagement: Engagement, away: float
) -> None:
    log = list(life(6_000, seed=6))
    process = engagement.start()
    process.wait_started()
    for at in range(0, 4_000, PIECE):
        engagement.append(log[at : at + PIECE])
    wait_until(lambda: any(at for at, _ in engagement.committed().values()), 30)
    engagement.kafka.stop()
    time.sleep(away)
    engagement.kafka.start()
    engagement.append(log[4_000:])
    engagement.wait_committed(60)
    assert process.end() == 0, process.said
    owed = engagement.owed()
    assert owed.count("commands")
    assert_exactly_once(engagement.given(), owed)
