"""The contract of a sink, kept by the transactional committer on a real Kafka."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer

import sinks.kafka
from schemas.batch import Message, Outputs
from schemas.engines import EngineError
from schemas.topics import TOPICS
from sinks.kafka import KafkaCommitter
from state.control import Folded
from tests.kafka_flow import LANES, QUIET, RECORDS, Engagement, wait_until

SEGMENTS = TOPICS["segments"].name


def group_of(engagement: Engagement) -> str:
    """Each test has its own, so that it waits for nobody else's members."""
    return engagement.folder.name


def folded(position: int, term: int = 1) -> Folded:
    """One segment change in lane 0, caused by the record at a position."""
    change = Message(position, b"customer", b'{"position":%d}' % position)
    outputs = Outputs(0, position + 1, 0, 7, {"segments": [change]}, [], Counter())
    return Folded(term, outputs, position, 1)


def committer(engagement: Engagement, patience: float = 30.0) -> KafkaCommitter:
    """An open one, of the same instance as all others here."""
    properties = {"bootstrap.servers": engagement.kafka.bootstrap, **QUIET}
    made = KafkaCommitter(properties, "sink-0", group_of(engagement), {"fold": "1"}, patience)
    made.open()
    return made


class Member:
    """A group member that owns every lane and reads nothing."""

    def __init__(self, engagement: Engagement) -> None:
        self.metadata: object = None
        self.consumer = Consumer(
            {
                "bootstrap.servers": engagement.kafka.bootstrap,
                **QUIET,
                "group.id": group_of(engagement),
                "partition.assignment.strategy": "range",
            }
        )
        self.consumer.subscribe([RECORDS], on_assign=self._assigned)
        self.wait_assigned()

    def _assigned(self, consumer: Any, partitions: list[Any]) -> None:
        del partitions
        self.metadata = consumer.consumer_group_metadata()

    def wait_assigned(self) -> None:
        """Poll until there is an assignment."""

        def is_assigned() -> bool:
            self.consumer.poll(0.1)
            return self.metadata is not None

        wait_until(is_assigned, 30)


@pytest.fixture
def member(engagement: Engagement) -> Iterator[Member]:
    member = Member(engagement)
    yield member
    member.consumer.close()


def positions(engagement: Engagement) -> list[bytes]:
    """What readers see of the segment changes."""
    return [message.value() for message in engagement.messages(SEGMENTS)]


def test_outputs_and_the_position_appear_together(engagement: Engagement, member: Member) -> None:
    sink = committer(engagement)
    sink.assign(1, member.metadata, dict.fromkeys(range(LANES), 0))
    sink.add(folded(0))
    sink.add(folded(1))
    assert positions(engagement) == []
    assert sink.commit()
    assert positions(engagement) == [b'{"position":0}', b'{"position":1}']
    at, text = engagement.committed(group_of(engagement))[0]
    assert at == sink.committed(0) == 2
    assert text == '{"fingerprint":{"fold":"1"},"digest":"0000000000000007"}'


def test_the_same_batch_twice_is_refused(engagement: Engagement, member: Member) -> None:
    sink = committer(engagement)
    sink.assign(1, member.metadata, {0: 0})
    sink.add(folded(0))
    with pytest.raises(AssertionError):
        sink.add(folded(0))
    sink.commit()
    with pytest.raises(AssertionError):
        sink.add(folded(0))


def test_outputs_of_another_term_are_refused(engagement: Engagement, member: Member) -> None:
    sink = committer(engagement)
    sink.assign(2, member.metadata, {0: 0})
    with pytest.raises(AssertionError):
        sink.add(folded(0, term=1))


def test_what_is_held_and_not_committed_is_never_seen(
    engagement: Engagement, member: Member
) -> None:
    sink = committer(engagement)
    sink.assign(1, member.metadata, {0: 0})
    sink.add(folded(0))
    sink.close()
    assert positions(engagement) == []
    assert engagement.committed(group_of(engagement))[0][0] == 0


def test_a_newer_life_of_the_instance_fences_the_older(
    engagement: Engagement, member: Member
) -> None:
    old = committer(engagement)
    old.assign(1, member.metadata, {0: 0})
    old.add(folded(0))
    new = committer(engagement)
    new.assign(1, member.metadata, {0: 0})
    with pytest.raises(EngineError, match="Kafka ends this producer"):
        old.commit()
    new.add(folded(0))
    assert new.commit()
    assert positions(engagement) == [b'{"position":0}']


def test_a_commit_under_an_old_assignment_is_refused_and_still_held(
    engagement: Engagement, member: Member
) -> None:
    sink = committer(engagement)
    sink.assign(1, member.metadata, {0: 0})
    sink.add(folded(0))
    stale, member.metadata = member.metadata, None
    other = Consumer(
        {
            "bootstrap.servers": engagement.kafka.bootstrap,
            **QUIET,
            "group.id": group_of(engagement),
            "partition.assignment.strategy": "range",
        }
    )
    other.subscribe([RECORDS])
    other.poll(0.1)
    member.wait_assigned()
    assert stale != member.metadata
    assert not sink.commit()
    assert sink.reached(0) == 1
    sink.tick()  # refused as well, while more comes
    sink.add(folded(1))
    assert not sink.commit()
    assert sink.reached(0) == 2
    assert sink.committed(0) == 0
    assert positions(engagement) == []
    sink.discard()
    sink.assign(2, member.metadata, {0: 0})
    sink.add(folded(0, term=2))
    assert sink.commit()
    assert positions(engagement) == [b'{"position":0}']
    other.close()


def test_what_comes_while_a_transaction_is_written_goes_into_the_next(
    engagement: Engagement, member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_writing, may_end = threading.Event(), threading.Event()

    class Slow(Producer):
        def commit_transaction(self, *patience: float) -> None:
            is_writing.set()
            may_end.wait()
            super().commit_transaction(*patience)

    monkeypatch.setattr("sinks.transactions.Producer", Slow)
    sink = committer(engagement)
    sink.assign(1, member.metadata, {0: 0})
    sink.add(folded(0))
    sink.tick()
    assert is_writing.wait(30)
    sink.add(folded(1))
    sink.tick()
    assert (sink.reached(0), sink.committed(0)) == (2, 0)
    may_end.set()

    def is_committed() -> bool:
        sink.tick()
        return sink.committed(0) == 2

    wait_until(is_committed, 30)
    sink.close()
    assert positions(engagement) == [b'{"position":0}', b'{"position":1}']
    assert engagement.committed(group_of(engagement))[0][0] == 2


def test_between_lanes_a_commit_begins_where_many_messages_are_held(
    engagement: Engagement, member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sinks.kafka, "MANY_MESSAGES", 3)
    sink = committer(engagement)
    sink.assign(1, member.metadata, {0: 0})
    for position in range(2):
        sink.add(folded(position))
        sink.relieve()
    assert sink.rest() == 0.0  # nothing has begun
    sink.add(folded(2))
    sink.relieve()
    sink.discard()  # waits for what has begun, and forgets the rest
    sink.close()
    assert len(positions(engagement)) == 3


def test_it_raises_and_loses_nothing_when_the_broker_is_down(
    engagement: Engagement, member: Member
) -> None:
    sink = committer(engagement, patience=2.0)
    sink.assign(1, member.metadata, {0: 0})
    sink.add(folded(0))
    assert sink.commit()
    sink.add(folded(1))
    engagement.kafka.stop()
    with pytest.raises(EngineError):
        sink.commit()
    engagement.kafka.start()
    again = committer(engagement)
    at = engagement.committed(group_of(engagement))[0][0]
    assert at == 1
    again.assign(1, member.metadata, {0: at})
    again.add(folded(1))
    assert again.commit()
    assert positions(engagement) == [b'{"position":0}', b'{"position":1}']


def test_positions_that_are_never_answered_are_an_error_and_not_committed(
    engagement: Engagement, member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As librdkafka behaves when the coordinator has moved: its own time-out does not end it."""
    answered = threading.Event()

    class Silent(Producer):
        def send_offsets_to_transaction(self, *_: object) -> None:
            answered.wait()

    monkeypatch.setattr("sinks.transactions.Producer", Silent)
    monkeypatch.setattr("sinks.transactions.GRACE_SECONDS", 0.1)
    sink = committer(engagement)
    sink._transactions.patience = 0.5
    sink.assign(1, member.metadata, {0: 0})
    sink.add(folded(0))
    with pytest.raises(EngineError, match="does not take the positions"):
        sink.commit()
    answered.set()
    assert engagement.committed(group_of(engagement))[0][0] == 0
