"""SIGKILL at random moments: what Kafka holds then is exactly what one pass over the log owes."""

from __future__ import annotations

import os
import random
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.kafka_flow import Engagement, assert_exactly_once
from tests.recovery.log import life

pytestmark = pytest.mark.xdist_group("kafka")

SEED = 20_261_122


def kill_again_and_again(engagement: Engagement, records: int, kills: int, rate: float) -> None:
    """Append at a rate while processes are killed and started; compare at the end."""
    chance = random.Random(SEED)
    log = list(life(records, SEED))

    def append() -> None:
        started = time.monotonic()
        step = max(1, round(rate / 20))
        for at in range(0, len(log), step):
            engagement.append(log[at : at + step])
            time.sleep(max(0.0, started + at / rate - time.monotonic()))

    appending = ThreadPoolExecutor(1).submit(append)
    for _ in range(kills):
        process = engagement.start(runner=("none", "before", "0", "0.5"))
        process.wait_started()
        time.sleep(chance.uniform(0.0, 2.5))
        process.kill()
    process = engagement.start(runner=("none", "before", "0", "0.5"))
    process.wait_started()
    appending.result()
    engagement.wait_committed(120)
    assert process.end() == 0, process.said
    given, owed = engagement.given(), engagement.owed()
    assert owed.count("commands") > records // 100
    assert owed.count("profiles") > records // 100
    assert owed.dead
    assert_exactly_once(given, owed)


def test_three_kills_over_30_000_records_lose_and_repeat_nothing(engagement: Engagement) -> None:
    kill_again_and_again(engagement, records=30_000, kills=3, rate=3_000)


@pytest.mark.faults
def test_twenty_kills_over_200_000_records_lose_and_repeat_nothing(engagement: Engagement) -> None:
    if os.environ.get("FAULTS") == "short":
        kill_again_and_again(engagement, records=50_000, kills=5, rate=5_000)
    else:
        kill_again_and_again(engagement, records=200_000, kills=20, rate=3_000)
