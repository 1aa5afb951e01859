"""Clocks that leap, commits that crawl, logs with everything wrong in them: the same outputs."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from schemas.keys import lane_of
from tests.kafka_flow import DEAD, LANES, RECORDS, Engagement, wait_until
from tests.logs import lines_of, visit
from tests.recovery.log import feeding, is_short, life

SEED = 9
TENANT = "t0001"
BEAT = b'{"kind":"heartbeat"'


def beats_of_today(engagement: Engagement) -> list[datetime]:
    """What the heartbeats that the flow itself appended say of the host's clock."""
    values = [message.value() for message in engagement.messages(RECORDS)]
    said = [json.loads(value) for value in values if value.startswith(BEAT)]
    times = [datetime.fromisoformat(beat["received_at"]) for beat in said]
    return [at for at in times if abs(at - datetime.now(UTC)) < timedelta(hours=2)]


def test_a_host_whose_clock_leaps_by_hours_changes_no_output(engagement: Engagement) -> None:
    """The flow reads the host's clock for one thing, the heartbeats that it appends."""
    process = engagement.start(runner=("clock", "leaps", "1", "0.5", "0.3"))
    process.wait_owning()
    with feeding(engagement, records=1_500, rate=500, seed=SEED):
        wait_until(lambda: len(beats_of_today(engagement)) > 3 * LANES, 60)
    assert process.end() == 0, process.said
    beats = beats_of_today(engagement)
    assert max(beats) - min(beats) > timedelta(hours=1)
    process = engagement.start()  # what came after the last commit
    process.wait_owning()
    engagement.wait_committed()
    assert process.end() == 0, process.said
    assert engagement.assert_settled().count("segments")


def test_commits_that_take_longer_than_an_epoch_lose_and_repeat_nothing(
    engagement: Engagement,
) -> None:
    process = engagement.start(runner=("commit_transaction", "slow", "700", "0.5"))
    with feeding(engagement, records=6_000, rate=2_000, seed=SEED):
        process.wait_owning()
    engagement.wait_committed(120)
    assert process.end() == 0, process.said
    assert engagement.assert_settled().count("commands")


def everything_wrong(engagement: Engagement, records: int) -> None:
    """A life with poison, records in another lane than their tenant's, and bodies of 10 MB."""
    strange = (lane_of(TENANT, LANES) + 1) % LANES
    came = visit(TENANT, 0, "v-1", version=1, status="attended", phone="+77010000001", starts_at=0)
    [stranger] = lines_of([came])
    huge = json.dumps({"kind": "webhook", "tenant": TENANT, "body": "x" * (10 << 20)}).encode()
    poison = [b"\xff\xfe", b"{", b"", b"[" * 50_000, b'{"kind":"webhook"}']
    process = engagement.start()
    log = list(life(records, SEED))
    step = len(log) // 4
    for at in range(0, len(log), step):
        engagement.append(log[at : at + step])
        engagement.append([stranger], lane=strange)
        engagement.append(poison)
        engagement.append([huge])
    engagement.wait_committed(300)
    assert process.end() == 0, process.said
    dead = engagement.messages(DEAD)
    reasons = [dict(message.headers())["__flowsell.errors.reason"] for message in dead]
    assert reasons.count(b"tenant") >= 4
    assert reasons.count(b"size") >= 4
    assert reasons.count(b"json") >= 12
    assert engagement.assert_settled().count("commands")


def test_poison_strangers_and_huge_records_among_many_harm_only_themselves(
    engagement: Engagement,
) -> None:
    everything_wrong(engagement, 3_000)


@pytest.mark.faults
@pytest.mark.timeout(1_800)
def test_poison_among_three_hundred_thousand_harms_only_itself(engagement: Engagement) -> None:
    everything_wrong(engagement, 20_000 if is_short() else 300_000)
