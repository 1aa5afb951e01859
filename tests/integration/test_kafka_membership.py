"""Lanes move with the consumer group: exactly one owner, and nothing lost or repeated by a move."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Iterator
from itertools import islice

import psutil
import pytest

from tests.kafka_flow import LANES, Engagement, FlowProcess, wait_until
from tests.recovery.log import life

PIECE = 500
SHORT_SESSION = "2000"
LONG_SESSION = "300000"
"""Longer than any of these tests may take: nothing here waits for it."""


def pieces(records: int) -> Iterator[list[bytes]]:
    log = list(life(records, seed=5))
    return (log[at : at + PIECE] for at in range(0, len(log), PIECE))


def feed(engagement: Engagement, log: Iterable[list[bytes]]) -> None:
    """Everything, until it is committed."""
    for piece in log:
        engagement.append(piece)
    engagement.wait_committed(120)


def settle(engagement: Engagement, *processes: FlowProcess) -> None:
    """The processes drain, and everything that is owed is there once."""
    for process in processes:
        assert process.end() == 0, process.said
    assert engagement.assert_settled().count("commands")


def session(engagement: Engagement, milliseconds: str) -> None:
    engagement.environment["FLOWSELL_KAFKA_SESSION_TIMEOUT_MS"] = milliseconds


def both(engagement: Engagement) -> tuple[FlowProcess, FlowProcess]:
    """Two processes, each with lanes."""
    first = engagement.start("engagement-0")
    first.wait_owning()
    second = engagement.start("engagement-1")
    second.wait_owning()
    wait_until(lambda: first.said.count("lanes assigned") == 2, 30)
    return first, second


def has_ended_well(process: FlowProcess) -> bool:
    """It drains, or Kafka has ended it: either is right for one that was away for so long."""
    return process.end() in (0, 3)


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
    settle(engagement, second)


def test_a_process_that_joins_takes_lanes_and_one_that_drains_gives_them_back_at_once(
    engagement: Engagement,
) -> None:
    session(engagement, LONG_SESSION)
    log = pieces(10_000)
    first, second = both(engagement)
    feed(engagement, islice(log, 8))
    assert second.end() == 0, second.said
    feed(engagement, log)
    assert first.end() == 0, first.said
    assert first.said.count("lanes assigned") == 3
    settle(engagement)


def test_a_killed_process_gets_its_lanes_back_and_the_others_keep_theirs(
    engagement: Engagement,
) -> None:
    session(engagement, LONG_SESSION)
    log = pieces(4_000)
    first, second = both(engagement)
    engagement.append(next(log))
    second.kill()
    engagement.append(next(log))
    second = engagement.start("engagement-1")
    feed(engagement, log)
    assert first.said.count("lanes assigned") == 2
    assert second.said.count("lanes assigned") == 1
    settle(engagement, first, second)


def test_the_lanes_of_a_killed_process_that_stays_away_move_when_its_session_ends(
    engagement: Engagement,
) -> None:
    session(engagement, SHORT_SESSION)
    log = pieces(4_000)
    first, second = both(engagement)
    engagement.append(next(log))
    second.kill()
    feed(engagement, log)
    settle(engagement, first)


def test_a_process_that_was_stopped_past_its_session_and_wakes_commits_nothing_of_the_past(
    engagement: Engagement,
) -> None:
    session(engagement, SHORT_SESSION)
    log = pieces(6_000)
    first, second = both(engagement)
    for _ in range(3):
        engagement.append(next(log))
    second.stop()
    feed(engagement, islice(log, 3))  # the first has taken its lanes
    second.wake()
    feed(engagement, log)
    assert has_ended_well(second), second.said
    settle(engagement, first)


@pytest.mark.faults
@pytest.mark.parametrize("step", ["send_offsets_to_transaction", "commit_transaction"])
def test_a_process_that_was_stopped_inside_a_transaction_and_wakes_commits_nothing_of_the_past(
    engagement: Engagement, step: str
) -> None:
    session(engagement, SHORT_SESSION)
    log = pieces(20_000)
    first = engagement.start("engagement-0", (step, "hang", "3"))
    first.wait_owning()
    while not is_stopped(first):
        engagement.append(next(log))
        time.sleep(0.2)
    second = engagement.start("engagement-1")
    feed(engagement, log)  # the broker ends the open transaction before
    first.wake()
    second.wait_owning()
    assert has_ended_well(first), first.said
    settle(engagement, second)


def is_stopped(process: FlowProcess) -> bool:
    return psutil.Process(process.pid).status() == psutil.STATUS_STOPPED


def children(process: FlowProcess) -> list[int]:
    return [child.pid for child in psutil.Process(process.pid).children()]


def test_processes_of_one_host_share_the_lanes_and_a_killed_one_is_started_again(
    engagement: Engagement,
) -> None:
    session(engagement, LONG_SESSION)
    log = pieces(6_000)
    host = engagement.start("host", processes=2)
    wait_until(lambda: host.said.count("lanes assigned") >= 2, 60)
    feed(engagement, islice(log, 3))
    victim, _ = children(host)
    os.kill(victim, signal.SIGKILL)
    feed(engagement, log)
    assert host.said.count("process started") == 3
    assert '"code": 137' in host.said
    assert host.end() == 0, host.said
    assert host.said.count("process drained") == 2
    settle(engagement)


def test_processes_drain_when_their_supervisor_is_killed(engagement: Engagement) -> None:
    log = pieces(1_000)
    host = engagement.start("host", processes=2)
    wait_until(lambda: host.said.count("lanes assigned") >= 2, 60)
    for piece in log:
        engagement.append(piece)
    left = [psutil.Process(pid) for pid in children(host)]
    host.kill()
    _, alive = psutil.wait_procs(left, timeout=60)
    assert not alive
    assert host.said.count('"drained"') == 2
    last = engagement.start("host-0")
    engagement.wait_committed()
    settle(engagement, last)


@pytest.mark.faults
def test_processes_that_cannot_start_end_with_one_line_and_the_code_of_the_last(
    engagement: Engagement,
) -> None:
    engagement.environment["FLOWSELL_LANES"] = str(LANES + 1)
    host = engagement.start("host", processes=2)
    assert host.wait(180) == 5, host.said
    last = host.said.splitlines()[-1]
    assert last.startswith("flowsell: host-")
    assert "6 times in a row, the last time with exit code 5" in last
