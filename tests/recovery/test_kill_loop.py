"""SIGKILL at random moments: what Kafka holds then is exactly what one pass over the log owes."""

from __future__ import annotations

import random
import time

import pytest

from tests.kafka_flow import Engagement, FlowProcess
from tests.recovery.log import feeding, is_short

SEED = 20_261_122
OFTEN = ("none", "before", "0", "0.5")
"""Snapshots twice a second, so that starts find them at all ages."""
SESSION_SECONDS = 3.0


def finish(engagement: Engagement, processes: list[FlowProcess], records: int) -> None:
    """Let them commit everything, drain them, compare."""
    engagement.wait_committed(180)
    for process in processes:
        assert process.end() == 0, process.said
    owed = engagement.assert_settled()
    assert owed.count("decisions") > records // 100
    assert owed.count("profiles") > records // 100
    assert owed.dead


def kill_again_and_again(engagement: Engagement, records: int, kills: int, rate: float) -> None:
    """Append at a rate while processes are killed and started; compare at the end."""
    chance = random.Random(SEED)
    with feeding(engagement, records, rate, SEED):
        for _ in range(kills):
            process = engagement.start(runner=OFTEN)
            process.wait_started()
            time.sleep(chance.uniform(0.0, 2.5))
            process.kill()
        process = engagement.start(runner=OFTEN)
        process.wait_started()
    finish(engagement, [process], records)


def kill_one_of_three(engagement: Engagement, records: int, kills: int, rate: float) -> None:
    """One of three is killed: it is back before its session ends, or its lanes move meanwhile."""
    chance = random.Random(SEED)
    engagement.environment["FLOWSELL_KAFKA_SESSION_TIMEOUT_MS"] = f"{SESSION_SECONDS * 1000:.0f}"
    names = [f"engagement-{n}" for n in range(3)]
    running = {name: engagement.start(name, OFTEN) for name in names}
    for process in running.values():
        process.wait_owning()
    with feeding(engagement, records, rate, SEED):
        for _ in range(kills):
            name = chance.choice(names)
            time.sleep(chance.uniform(0.0, 2.0))
            assert running[name].is_running, running[name].said
            running[name].kill()
            time.sleep(chance.choice([0.0, chance.uniform(0.0, 2 * SESSION_SECONDS)]))
            running[name] = engagement.start(name, OFTEN)
            running[name].wait_started()
    finish(engagement, [*running.values()], records)


def test_three_kills_over_30_000_records_lose_and_repeat_nothing(engagement: Engagement) -> None:
    kill_again_and_again(engagement, records=30_000, kills=3, rate=3_000)


def test_three_kills_of_one_of_three_processes_lose_and_repeat_nothing(
    engagement: Engagement,
) -> None:
    kill_one_of_three(engagement, records=20_000, kills=3, rate=2_000)


@pytest.mark.faults
def test_twenty_kills_over_200_000_records_lose_and_repeat_nothing(engagement: Engagement) -> None:
    if is_short():
        kill_again_and_again(engagement, records=50_000, kills=5, rate=5_000)
    else:
        kill_again_and_again(engagement, records=200_000, kills=20, rate=3_000)


@pytest.mark.faults
@pytest.mark.timeout(3_600)
def test_a_hundred_kills_of_one_of_three_processes_over_two_million_records_lose_nothing(
    engagement: Engagement,
) -> None:
    if is_short():
        kill_one_of_three(engagement, records=40_000, kills=6, rate=2_000)
    else:
        kill_one_of_three(engagement, records=2_000_000, kills=100, rate=5_000)
