"""SIGKILL inside each step of a commit and of a snapshot, in turn: nothing is lost or repeated."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterator, Sequence

import pytest

from tests.kafka_flow import Engagement, FlowProcess, assert_exactly_once, wait_until
from tests.recovery.log import life
from tests.recovery.runner import COMMIT_STEPS, SNAPSHOT_STEPS

pytestmark = pytest.mark.xdist_group("kafka")

SEED = 2
PIECE = 250
COMMIT = (
    ("begin_transaction", "after"),
    ("produce", "after"),
    ("send_offsets_to_transaction", "during"),
    ("commit_transaction", "before"),
    ("commit_transaction", "during"),
    ("commit_transaction", "after"),
)
SNAPSHOT = (
    *((step, "before") for step in SNAPSHOT_STEPS),
    ("rename manifest", "after"),
)
SIGKILLED = -9


def pieces(records: int) -> Iterator[Sequence[bytes]]:
    """The log in pieces of the same size."""
    log = list(life(records, SEED))
    for at in range(0, len(log), PIECE):
        yield log[at : at + PIECE]


def feed_until_dead(
    engagement: Engagement, process: FlowProcess, log: Iterator[Sequence[bytes]]
) -> None:
    """Append piece after piece until the process meets its fate."""
    process.wait_started()
    while process.is_running:
        engagement.append(next(log))
        try:
            process.wait(0.15)
        except subprocess.TimeoutExpired:
            continue


def die_in_each(engagement: Engagement, steps: Sequence[tuple[str, str]]) -> None:
    """One process after another dies in its step; the last one finishes what all of them owe."""
    chance = random.Random(SEED)
    log = pieces(60_000)
    for step, moment in steps:
        number = chance.randint(20, 400) if step == "produce" else chance.randint(1, 4)
        process = engagement.start(runner=(step, moment, str(number), "0.1"))
        feed_until_dead(engagement, process, log)
        assert process.wait() == SIGKILLED, f"{step}: {process.said}"
    process = engagement.start()
    process.wait_started()
    engagement.append(next(log))
    engagement.wait_committed()
    assert process.end() == 0, process.said
    owed = engagement.owed()
    assert owed.count("commands")
    assert_exactly_once(engagement.given(), owed)


def test_a_kill_inside_each_step_of_a_commit_loses_and_repeats_nothing(
    engagement: Engagement,
) -> None:
    assert {step for step, _ in COMMIT} == set(COMMIT_STEPS)
    die_in_each(engagement, COMMIT)


def test_a_kill_inside_each_step_of_a_snapshot_loses_and_repeats_nothing(
    engagement: Engagement,
) -> None:
    die_in_each(engagement, SNAPSHOT)


def test_a_fate_that_is_not_met_kills_nobody(engagement: Engagement) -> None:
    process = engagement.start(runner=("none", "before", "0"))
    process.wait_started()
    engagement.append(next(pieces(PIECE)))
    wait_until(lambda: any(at for at, _ in engagement.committed().values()), 30)
    assert process.end() == 0, process.said
