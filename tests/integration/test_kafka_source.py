"""The source alone, on a real Kafka: what it hands out, from where, and how lanes share it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer

import sources.kafka
from benchmarks.broker import KafkaServer
from sources.group import Group, Membership
from sources.kafka import SLICE_SECONDS, Reader
from state.control import Assigned, Data
from state.lane import LaneState
from tests.kafka_flow import ID_KEY, LANES, QUIET, Engagement

PAD = "x" * 1_000
BEAT = json.dumps({"kind": "heartbeat", "received_at": "2026-11-22T10:00:00Z", "pad": PAD}).encode()
HUGE = json.dumps({"kind": "heartbeat", "pad": PAD * 8_000}).encode()


class Taken:
    """An outlet that has everything as soon as it was read, and commits nothing."""

    def __init__(self) -> None:
        self.at: dict[int, int] = {}
        self.rests = 0.0

    def assign(self, term: int, membership: object, committed: Mapping[int, int]) -> None:
        assert membership is not None
        self.at = dict(committed)

    def committed(self, lane: int) -> int:
        return self.at[lane]

    def reached(self, lane: int) -> int:
        return self.at[lane]

    def tick(self) -> None:
        pass

    def rest(self) -> float:
        return self.rests

    def commit(self) -> bool:
        return True

    def commit_now(self) -> None:
        pass

    def discard(self) -> None:
        self.at = {}


@contextmanager
def opened(engagement: Engagement, outlet: Taken | None = None) -> Iterator[Reader]:
    """A reader that owns every lane."""
    membership = Membership(
        properties={"bootstrap.servers": engagement.kafka.bootstrap, **QUIET},
        group=engagement.folder.name,
        instance="source-0",
        fingerprint={},
    )
    outlet = outlet or Taken()

    def restore(lane: int, at_most: int) -> LaneState:
        assert at_most == 0
        return LaneState(lane, ID_KEY)

    group = Group(membership, outlet, restore, save=LaneState.rederive)
    reader = Reader(group, outlet)
    reader.open()
    yield reader
    reader.close()


@pytest.fixture
def reader(engagement: Engagement) -> Iterator[Reader]:
    with opened(engagement) as reader:
        yield reader


def read(reader: Reader, records: int) -> Iterator[Data | Assigned]:
    """Items until so many records were read."""
    deadline = time.monotonic() + 60
    while records > 0:
        assert time.monotonic() < deadline, f"{records} records did not come"
        for item in reader.read():
            if isinstance(item, Data | Assigned):
                yield item
            if isinstance(item, Data):
                records -= len(item.chunk.values)


def test_every_lane_is_assigned_before_its_first_record(
    engagement: Engagement, reader: Reader
) -> None:
    for lane in range(LANES):
        engagement.append([BEAT] * 100, lane=lane)
    assigned = set()
    for item in read(reader, 100 * LANES):
        if isinstance(item, Assigned):
            assigned.add(item.lane)
        else:
            assert item.chunk.lane in assigned
    assert assigned == set(range(LANES))


def test_records_come_once_and_in_the_order_of_the_log(
    engagement: Engagement, reader: Reader
) -> None:
    for lane in range(LANES):
        engagement.append([b"%d" % number for number in range(3_000)], lane=lane)
    came: dict[int, list[bytes]] = {lane: [] for lane in range(LANES)}
    for item in read(reader, 3_000 * LANES):
        if isinstance(item, Data):
            came[item.chunk.lane] += item.chunk.values
            assert len(item.chunk.positions) == len(item.chunk.values)
    for values in came.values():
        assert values == [b"%d" % number for number in range(3_000)]


def test_lanes_share_a_backlog(engagement: Engagement, reader: Reader) -> None:
    backlog = 30_000
    for lane in range(LANES):
        engagement.append([BEAT] * backlog, lane=lane)
    at = dict.fromkeys(range(LANES), 0)
    for item in read(reader, LANES * backlog // 2):
        if isinstance(item, Data):
            at[item.chunk.lane] += len(item.chunk.values)
    assert min(at.values()) > backlog // 8, at


def test_what_could_not_be_committed_yet_is_gathered(
    engagement: Engagement, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources.kafka, "ENOUGH_RECORDS", 50)
    monkeypatch.setattr(sources.kafka, "seconds_to_turn", lambda: 60.0)
    outlet = Taken()
    with opened(engagement, outlet) as reader:
        assigned = 0
        while assigned < LANES:
            assigned += len(reader.read())
        outlet.rests = 600.0
        later = threading.Timer(0.5, engagement.append, ([BEAT] * 25,), {"lane": 0})
        engagement.append([BEAT] * 25, lane=0)
        later.start()
        (item,) = next(items for _ in range(600) if (items := reader.read()))
        later.join()
    assert isinstance(item, Data)
    assert len(item.chunk.values) == 50


def test_gathering_does_not_wait_over_the_turn_of_a_minute(
    engagement: Engagement, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Impatient(Consumer):
        def consume(self, num_messages: int = 1, timeout: float = -1) -> list[Any]:
            asked.append(timeout)
            return super().consume(num_messages, min(timeout, SLICE_SECONDS))

    asked: list[float] = []
    monkeypatch.setattr("sources.member.Consumer", Impatient)
    outlet = Taken()
    outlet.rests = 30.0
    for turn, wait in ((40.0, 30.0), (20.0, 20.0), (0.0, SLICE_SECONDS)):
        monkeypatch.setattr(sources.kafka, "seconds_to_turn", lambda turn=turn: turn)
        engagement.append([BEAT], lane=0)
        with opened(engagement, outlet) as reader:
            list(read(reader, 1))
        assert asked[-1] == wait


def test_bodies_of_megabytes_do_not_starve_their_lanes_behind_the_others(
    kafka: KafkaServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources.kafka, "MOST_RECORDS", 5_000)
    monkeypatch.setattr(sources.kafka, "STARVED_SECONDS", 0.25)
    monkeypatch.setattr(sources.kafka, "ALONE_SECONDS", 60.0)  # however busy the machine is
    lanes, backlog, starving = 12, 20_000, (2, 7)
    engagement = Engagement(kafka, tmp_path, lanes)
    engagement.make_topics()
    for lane in range(lanes):
        few = [BEAT, HUGE, *[BEAT] * 1_000]
        engagement.append(few if lane in starving else [BEAT] * backlog, lane=lane)
    total = (lanes - len(starving)) * backlog + len(starving) * 1_002
    at = dict.fromkeys(range(lanes), 0)
    came_after: dict[int, int] = {}
    with opened(engagement) as reader:
        for item in read(reader, total):
            if isinstance(item, Data):
                at[item.chunk.lane] += len(item.chunk.values)
                time.sleep(len(item.chunk.values) / 40_000)  # as long as a fold might take
                if at[item.chunk.lane] > 2:
                    came_after.setdefault(item.chunk.lane, sum(at.values()))
    assert sum(at.values()) == total
    assert max(came_after[lane] for lane in starving) < total * 3 // 4
