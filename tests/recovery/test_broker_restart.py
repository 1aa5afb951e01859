"""The broker goes away and comes back, with the flow or without it: no output changes."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.kafka_flow import Engagement, FlowProcess, wait_until
from tests.recovery.log import life

PIECE = 500
LONGER_THAN_A_TRANSACTION = 15.0


def supervise(engagement: Engagement, process: FlowProcess, seconds: float) -> FlowProcess:
    """Start it again when it ends, as a supervisor does, until everything is committed."""
    deadline = time.monotonic() + seconds
    while not engagement.is_committed():
        assert time.monotonic() < deadline, process.said
        if not process.is_running:
            assert process.wait() == 3, process.said
            process = engagement.start()
        time.sleep(0.2)
    return process


def lose_the_broker(engagement: Engagement, lose: Callable[[], None], away: float) -> None:
    """The broker is lost in mid-stream, and comes back on the same files."""
    log = list(life(6_000, seed=6))
    process = engagement.start()
    process.wait_started()
    for at in range(0, 4_000, PIECE):
        engagement.append(log[at : at + PIECE])
    wait_until(lambda: any(at for at, _ in engagement.committed().values()), 30)
    lose()
    time.sleep(away)
    engagement.kafka.start()
    engagement.append(log[4_000:])
    process = supervise(engagement, process, seconds=120)
    assert process.end() == 0, process.said
    assert engagement.assert_settled().count("commands")


def test_a_broker_that_is_killed_and_started_changes_no_output(engagement: Engagement) -> None:
    lose_the_broker(engagement, engagement.kafka.kill, away=0.0)


@pytest.mark.faults
@pytest.mark.parametrize("away", [0.0, LONGER_THAN_A_TRANSACTION])
def test_a_broker_that_is_stopped_and_started_changes_no_output(
    engagement: Engagement, away: float
) -> None:
    lose_the_broker(engagement, engagement.kafka.stop, away)


@pytest.mark.faults
def test_a_broker_that_is_killed_for_longer_than_a_transaction_changes_no_output(
    engagement: Engagement,
) -> None:
    lose_the_broker(engagement, engagement.kafka.kill, LONGER_THAN_A_TRANSACTION)
