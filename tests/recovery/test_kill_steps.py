"""SIGKILL inside each step of commit, snapshot, assign, restore, revoke and leave, in turn.

Whoever died is followed by the next one that dies, so that each start meets what another left.
"""

from __future__ import annotations

import json
import random
import subprocess
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import repeat

import pytest

from sources.kafka import heartbeat
from tests.kafka_flow import Engagement, FlowProcess, wait_until
from tests.recovery.log import is_short, life
from tests.recovery.runner import (
    ASSIGN_STEPS,
    COMMIT_STEPS,
    LEAVE_STEPS,
    RESTORE_STEPS,
    REVOKE_STEPS,
    SNAPSHOT_STEPS,
)

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
ASSIGN = (
    ("consumer_group_metadata", "before", 1),
    ("committed", "before", 1),
    ("read manifest", "before", 1),
    ("read base", "before", 1),
    ("read delta", "before", 1),
    ("get_watermark_offsets", "before", 2),
    ("read base", "after", 1),
    ("assign", "after", 1),
    ("assign", "before", 2),
    ("assign", "after", 2),
)
"""With the number of the call: the first ``assign`` stops reading, the second begins it."""
REVOKE = (*((step, "before") for step in REVOKE_STEPS), ("revoke commit_transaction", "after"))
SIGKILLED = -9


def pieces(records: int, size: int = PIECE) -> Iterator[Sequence[bytes]]:
    """The log in pieces of the same size; then the clock goes on for as long as anybody waits."""
    log = list(life(records, SEED))
    for at in range(0, len(log), size):
        yield log[at : at + size]
    yield from repeat([heartbeat(datetime.now(UTC))])


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
    finish(engagement, log)


def finish(engagement: Engagement, log: Iterator[Sequence[bytes]]) -> None:
    """One more process folds what all of them owe, and drains."""
    process = engagement.start()
    process.wait_started()
    engagement.append(next(log))
    engagement.wait_committed()
    assert process.end() == 0, process.said
    owed = engagement.assert_settled()
    assert owed.count("commands")


def has_deltas(engagement: Engagement) -> bool:
    """Whether a restore has to read one."""
    lanes = [sorted(lane.glob("manifest-*.json")) for lane in engagement.state.glob("lane-*")]
    newest = [json.loads(paths[-1].read_bytes()) for paths in lanes if paths]
    return any(sealed["manifest"]["deltas"] for sealed in newest)


def die_in_a_revoke(
    engagement: Engagement, log: Iterator[Sequence[bytes]], step: str, moment: str
) -> None:
    """Others come and go until the process that must give its lanes away dies of it."""
    doomed = engagement.start("engagement-0", (step, moment, "1", "0.3"))
    doomed.wait_owning()
    while doomed.is_running:
        other = engagement.start("engagement-1")
        # It owns its lanes, or those of both once the session of the dead has ended; until then
        # records keep coming, so that a revoke has something to commit.
        while "lanes assigned" not in other.said:
            assert other.is_running, other.said
            engagement.append(next(log))
            time.sleep(0.03)
        assert other.end() == 0, other.said
    assert doomed.wait() == SIGKILLED, f"{step}: {doomed.said}"


def test_a_kill_inside_each_step_of_a_commit_loses_and_repeats_nothing(
    engagement: Engagement,
) -> None:
    assert {step for step, _ in COMMIT} == set(COMMIT_STEPS)
    die_in_each(engagement, COMMIT)


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param(SNAPSHOT[1::2], id="some"),
        pytest.param(SNAPSHOT, id="all", marks=pytest.mark.faults),
    ],
)
def test_a_kill_inside_each_step_of_a_snapshot_loses_and_repeats_nothing(
    engagement: Engagement, steps: Sequence[tuple[str, str]]
) -> None:
    die_in_each(engagement, steps)


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param(ASSIGN[1::4], id="some"),
        pytest.param(ASSIGN, id="all", marks=pytest.mark.faults),
    ],
)
def test_a_kill_inside_each_step_of_an_assignment_and_a_restore_loses_and_repeats_nothing(
    engagement: Engagement, steps: Sequence[tuple[str, str, int]]
) -> None:
    assert {step for step, _, _ in ASSIGN} == {*ASSIGN_STEPS, *RESTORE_STEPS}
    log = pieces(60_000)
    while not has_deltas(engagement):
        first = engagement.start(runner=("rename delta", "after", "3", "0.1"))
        feed_until_dead(engagement, first, log)
    for step, moment, number in steps:
        process = engagement.start(runner=(step, moment, str(number), "0.1"))
        engagement.append(next(log))
        assert process.wait() == SIGKILLED, f"{step}: {process.said}"
    finish(engagement, log)


@pytest.mark.faults
def test_a_kill_inside_a_revoke_loses_and_repeats_nothing(engagement: Engagement) -> None:
    engagement.environment["FLOWSELL_KAFKA_SESSION_TIMEOUT_MS"] = "1500"
    log = pieces(60_000, size=20)
    for step, moment in REVOKE[::2] if is_short() else REVOKE:
        die_in_a_revoke(engagement, log, step, moment)
    finish(engagement, log)


def test_a_kill_while_leaving_the_group_loses_and_repeats_nothing(engagement: Engagement) -> None:
    log = pieces(60_000)
    for step in LEAVE_STEPS:
        process = engagement.start(runner=(step, "after", "1"))
        process.wait_owning()
        engagement.append(next(log))
        assert process.end() == SIGKILLED, f"{step}: {process.said}"
    finish(engagement, log)


def test_a_fate_that_is_not_met_kills_nobody(engagement: Engagement) -> None:
    process = engagement.start(runner=("none", "before", "0"))
    process.wait_started()
    engagement.append(next(pieces(PIECE)))
    wait_until(lambda: any(at for at, _ in engagement.committed().values()), 30)
    assert process.end() == 0, process.said
