"""Processes come, go and hang while records pour in: every lane goes on where it was committed."""

from __future__ import annotations

import pytest

from tests.kafka_flow import Engagement, FlowProcess
from tests.recovery.log import feeding, is_short

SEED = 7
OFTEN = ("none", "before", "0", "0.5")


def drained(process: FlowProcess) -> bool:
    return process.end() == 0


def rescale(engagement: Engagement, records: int, rate: float) -> None:
    """One process, three, two, one, under load."""
    engagement.environment["FLOWSELL_KAFKA_SESSION_TIMEOUT_MS"] = "300000"
    with feeding(engagement, records, rate, SEED):
        first = engagement.start("engagement-0", OFTEN)
        first.wait_owning()
        others = [engagement.start(f"engagement-{n}", OFTEN) for n in (1, 2)]
        for other in others:
            other.wait_owning()
        for leaving in (first, others[0]):
            assert drained(leaving), leaving.said
    engagement.wait_committed(120)
    assert drained(others[1]), others[1].said
    assert engagement.assert_settled().count("commands")


def test_one_process_then_three_then_two_then_one_lose_and_repeat_nothing(
    engagement: Engagement,
) -> None:
    rescale(engagement, records=12_000, rate=1_500)


def test_a_drain_under_load_leaves_every_lane_s_snapshot_at_its_committed_position(
    engagement: Engagement,
) -> None:
    with feeding(engagement, records=12_000, rate=3_000, seed=SEED):
        for _ in range(2):
            process = engagement.start()
            process.wait_owning()
            assert drained(process), process.said
            for lane, (at, _) in engagement.committed().items():
                folder = engagement.state / f"lane-{lane:04d}"
                names = [path.name for path in folder.glob("manifest-*")]
                positions = [int(name[len("manifest-") : -len(".json")]) for name in names]
                assert max(positions, default=0) == at
    process = engagement.start()
    process.wait_owning()
    engagement.wait_committed()
    assert drained(process), process.said
    assert engagement.assert_settled().count("commands")


@pytest.mark.faults
def test_rescaling_again_and_again_loses_and_repeats_nothing(
    engagement: Engagement,
) -> None:
    chain = ["engagement-0", "engagement-1", "engagement-2"]
    records, turns = (24_000, 2) if is_short() else (100_000, 6)
    with feeding(engagement, records, rate=2_000, seed=SEED):
        running = {chain[0]: engagement.start(chain[0], OFTEN)}
        for turn in range(turns):
            for name in set(chain) - set(running):
                running[name] = engagement.start(name, OFTEN)
                running[name].wait_owning()
            for name in (chain[turn % 3], chain[(turn + 1) % 3]):
                leaving = running.pop(name)
                assert drained(leaving), leaving.said
    engagement.wait_committed(180)
    [last] = running.values()
    assert drained(last), last.said
    assert engagement.assert_settled().count("commands")
