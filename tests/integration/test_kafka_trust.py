"""A start from a state that does not belong to the log is refused, and says what to do."""

from __future__ import annotations

import json

from confluent_kafka import Consumer, TopicPartition

from flows.run import GROUP
from tests.kafka_flow import LANES, QUIET, RECORDS, Engagement, wait_until
from tests.recovery.log import life


def drained(engagement: Engagement) -> None:
    """A log, folded, committed and saved."""
    process = engagement.start()
    engagement.append(life(1_000, seed=3))
    engagement.wait_committed()
    assert process.end() == 0, process.said


def refused(engagement: Engagement) -> str:
    """The one line that a refused start says."""
    process = engagement.start()
    # A replay is judged before the first new record, and a broker may take a new setting late.
    more = list(life(20, seed=4))

    def has_judged() -> bool:
        engagement.append(more)
        return not process.is_running

    wait_until(has_judged, 60)
    assert process.wait() == 5, process.said
    [line] = [line for line in process.said.splitlines() if line.startswith("flowsell:")]
    return line


def commit_again(engagement: Engagement, digest: str) -> None:
    """Positions as they are, with another digest beside them."""
    consumer = Consumer(
        {
            "bootstrap.servers": engagement.kafka.bootstrap,
            **QUIET,
            "group.id": GROUP,
            "group.instance.id": "engagement-0",
            "partition.assignment.strategy": "range",
        }
    )
    consumer.subscribe([RECORDS])
    wait_until(lambda: consumer.poll(0.1) is not None or consumer.assignment() != [], 30)
    for lane, (at, text) in engagement.committed().items():
        pointer = json.loads(text or "{}") | {"digest": digest}
        where = TopicPartition(RECORDS, lane, at, metadata=json.dumps(pointer))
        consumer.commit(offsets=[where], asynchronous=False)
    consumer.close()


def test_records_gone_between_the_snapshot_and_the_log(engagement: Engagement) -> None:
    drained(engagement)
    engagement.delete_records({lane: at for lane, (at, _) in engagement.committed().items()})
    engagement.start().end()  # S = C = the log's beginning: nothing is missing
    engagement.state.rename(engagement.folder / "lost")
    assert "the log begins at" in refused(engagement)


def test_another_id_key(engagement: Engagement) -> None:
    drained(engagement)
    engagement.environment["FLOWSELL_ID_KEY"] = "another secret"
    assert "id_key" in refused(engagement)
    engagement.state.rename(engagement.folder / "lost")
    assert "id_key" in refused(engagement)


def test_another_number_of_lanes(engagement: Engagement) -> None:
    drained(engagement)
    engagement.environment["FLOWSELL_LANES"] = str(LANES + 1)
    assert "fixed for ever" in refused(engagement)


def test_a_snapshot_at_c_of_other_outputs_than_were_committed(engagement: Engagement) -> None:
    drained(engagement)
    commit_again(engagement, "0123456789abcdef")
    assert "other outputs" in refused(engagement)


def test_a_replay_to_c_that_gives_other_outputs_than_were_committed(
    engagement: Engagement,
) -> None:
    drained(engagement)
    commit_again(engagement, "0123456789abcdef")
    engagement.state.rename(engagement.folder / "lost")
    assert "other outputs" in refused(engagement)


def test_a_damaged_snapshot(engagement: Engagement) -> None:
    drained(engagement)
    for path in engagement.state.glob("lane-*/base-*"):
        path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    assert "checksum" in refused(engagement)


def test_a_log_without_append_times(engagement: Engagement) -> None:
    engagement.delete_topics()
    engagement.make_topics()
    engagement.alter(RECORDS, "message.timestamp.type", "CreateTime")
    engagement.append(life(100, seed=3))
    assert "LogAppendTime" in refused(engagement)


def test_a_build_that_folds_differently_under_the_same_version(engagement: Engagement) -> None:
    drained(engagement)
    engagement.state.rename(engagement.folder / "lost")
    engagement.append(life(200, seed=4))
    process = engagement.start(runner=("fold", "differs", "0"))
    assert process.wait() == 5, process.said
    assert "the log, the settings or the rules have changed" in process.said
