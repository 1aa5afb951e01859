"""Run the engagement flow as its own process on a real Kafka, and know what it owes.

Takes: a broker; record lines
Out:   ``Engagement``: topics made anew, processes started, drained and killed; ``owed`` and
       ``given``, the same kind of thing from one pass over the log and from the output topics
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from flows.generate import tenant_of
from flows.kafka import Topics
from flows.run import GROUP
from operators.decode import decode
from operators.fold import fold
from schemas.batch import STREAMS
from schemas.topics import ERROR_HEADER, TOPICS
from sources.kafka import chunk_of
from state.lane import LaneState
from tests.kafka_server import KafkaServer

ID_KEY = b"a secret of the tests"
LANES = 4
RECORDS = TOPICS["records"].name
DEAD = TOPICS["dead_letters"].name

QUIET = {"log_level": 0}

Headers = Sequence[tuple[str, bytes]]
Dead = tuple[int, int, str, bytes | None, bytes | None, str]
"""Lane, offset, reason, key, value, the record's own headers."""


@dataclass
class Said:
    """Outputs by stream and key, each key's values in their order; dead letters, counted."""

    streams: dict[str, dict[bytes, list[bytes]]] = field(
        default_factory=lambda: {stream: defaultdict(list) for stream in STREAMS}
    )
    dead: Counter[Dead] = field(default_factory=Counter)

    def count(self, stream: str) -> int:
        """Messages of a stream."""
        return sum(map(len, self.streams[stream].values()))


class FlowProcess:
    """``flowsell run engagement`` in a process of its own."""

    def __init__(self, program: list[str], environment: dict[str, str], log: Path) -> None:
        self.log = log
        self._from = log.stat().st_size if log.exists() else 0
        with log.open("ab") as stderr:
            self._process = subprocess.Popen(
                program,
                env=os.environ | environment,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
            )

    def wait_started(self, seconds: float = 30.0) -> None:
        """Until it is a member, or has ended."""
        wait_until(lambda: "started" in self.said or not self.is_running, seconds)

    @property
    def said(self) -> str:
        """Everything on stderr."""
        return self.log.read_bytes()[self._from :].decode()

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL, as a lost machine would."""
        self._process.kill()
        self._process.wait()

    def end(self, how: signal.Signals = signal.SIGTERM, seconds: float = 60.0) -> int:
        """Ask for a drain; the exit code."""
        self._process.send_signal(how)
        return self.wait(seconds)

    def wait(self, seconds: float = 60.0) -> int:
        """The exit code, once it has one."""
        return self._process.wait(seconds)


class Engagement:
    """The engagement flow's topics, its log, and its processes."""

    def __init__(self, kafka: KafkaServer, folder: Path, lanes: int = LANES) -> None:
        self.kafka = kafka
        self.folder = folder
        self.lanes = lanes
        self.state = folder / "state"
        self.environment = {
            "FLOWSELL_KAFKA": kafka.bootstrap,
            "FLOWSELL_STATE": self.state.as_uri(),
            "FLOWSELL_INSTANCE": "engagement-0",
            "FLOWSELL_ID_KEY": ID_KEY.decode(),
            "FLOWSELL_LANES": str(lanes),
            "FLOWSELL_LOG": "json",
        }
        self.processes: list[FlowProcess] = []
        self._admin = AdminClient({"bootstrap.servers": kafka.bootstrap, **QUIET})
        self._producer = Producer(
            {
                "bootstrap.servers": kafka.bootstrap,
                **QUIET,
                "partitioner": "murmur2_random",
                "enable.idempotence": True,
                "message.max.bytes": 16 << 20,
                "linger.ms": 5,
            }
        )

    def make_topics(self) -> None:
        """Empty topics and no committed positions, whatever was there before."""
        self.delete_topics()
        Topics({"bootstrap.servers": self.kafka.bootstrap, **QUIET}).create(self.lanes, 1)

    def delete_topics(self) -> None:
        """As on a new cluster."""
        ours = [topic.name for topic in TOPICS.values()]
        there = self._admin.list_topics(timeout=10).topics
        old = [name for name in ours if name in there]
        for future in (self._admin.delete_topics(old) if old else {}).values():
            future.result(10)
        wait_until(lambda: not set(ours) & set(self._admin.list_topics(timeout=10).topics), 20)
        # Kafka forgets positions in a topic that is deleted, if not at once.
        wait_until(lambda: not any(text for _, text in self.committed().values()), 20)

    def create_bare(self, topic: str, lanes: int) -> None:
        """A topic as somebody else would make it."""
        try:
            self._admin.create_topics([NewTopic(topic, lanes, 1)])[topic].result(10)
        except KafkaException as refusal:
            # A request that is sent again after a slow answer meets what its first try has made.
            if refusal.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
        wait_until(lambda: topic in self._admin.list_topics(timeout=10).topics, 20)

    def alter(self, topic: str, key: str, value: str) -> None:
        """Set one thing about a topic."""
        how = AlterConfigOpType.SET
        entry = ConfigEntry(key, value, incremental_operation=how)
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
        self._admin.incremental_alter_configs([resource])[resource].result(10)
        wait_until(lambda: self.setting(topic)[key] == value, 20)

    def setting(self, topic: str) -> dict[str, str]:
        """Everything that is set about a topic."""
        resource = ConfigResource(ResourceType.TOPIC, topic)
        found = self._admin.describe_configs([resource])[resource].result(10)
        return {key: entry.value for key, entry in found.items()}

    def delete_records(self, before: dict[int, int]) -> None:
        """As retention does, in time."""
        where = [TopicPartition(RECORDS, lane, at) for lane, at in before.items()]
        for future in self._admin.delete_records(where).values():
            future.result(10)

    def append(
        self,
        records: Iterable[bytes | None],
        lane: int | None = None,
        headers: Headers = (),
    ) -> None:
        """Append records by their tenant, or all to one lane; returns once the log has them."""
        partition = -1 if lane is None else lane
        for value in records:
            self._producer.produce(RECORDS, value, key_of(value), partition, headers=[*headers])
            self._producer.poll(0)
        assert self._producer.flush(60) == 0

    def start(
        self,
        instance: str = "engagement-0",
        runner: Iterable[str] = (),
        module: str = "tests.recovery.runner",
    ) -> FlowProcess:
        """A process; with ``runner`` arguments, one that is told how to go wrong."""
        flowsell = [str(Path(sys.executable).with_name("flowsell")), "run", "engagement"]
        process = FlowProcess(
            [sys.executable, "-m", module, *runner] if runner else flowsell,
            self.environment | {"FLOWSELL_INSTANCE": instance},
            self.folder / f"{instance}.log",
        )
        self.processes.append(process)
        return process

    def committed(self, group: str = GROUP) -> dict[int, tuple[int, str | None]]:
        """C of each lane, and what its commit carries."""
        consumer = Consumer({"bootstrap.servers": self.kafka.bootstrap, **QUIET, "group.id": group})
        asked = [TopicPartition(RECORDS, lane) for lane in range(self.lanes)]
        found = answered(lambda: consumer.committed(asked, timeout=30))
        consumer.close()
        return {one.partition: (max(one.offset, 0), one.metadata) for one in found}

    def ends(self) -> dict[int, int]:
        """The end of each lane's log."""
        consumer = Consumer(
            {"bootstrap.servers": self.kafka.bootstrap, **QUIET, "group.id": "ends"}
        )
        asked = [TopicPartition(RECORDS, lane) for lane in range(self.lanes)]
        ends = {
            one.partition: answered(partial(consumer.get_watermark_offsets, one, 10))[1]
            for one in asked
        }
        consumer.close()
        return ends

    def is_committed(self) -> bool:
        """Whether every lane is committed up to its end."""
        ends = self.ends()
        return all(at == ends[lane] for lane, (at, _) in self.committed().items())

    def wait_committed(self, seconds: float = 60.0) -> None:
        """Until every lane is committed up to its end."""
        wait_until(self.is_committed, seconds)

    def read(self, topic: str) -> dict[int, list[Any]]:
        """What a ``read_committed`` consumer finds in a topic, by partition."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.kafka.bootstrap,
                **QUIET,
                "group.id": "reads",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
            }
        )
        partitions = range(len(consumer.list_topics(topic, 10).topics[topic].partitions))
        consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
        found: dict[int, list[Any]] = {partition: [] for partition in partitions}
        waiting = set(partitions)
        deadline = time.monotonic() + 60
        while waiting:
            assert time.monotonic() < deadline, f"{topic} has no end"
            for message in consumer.consume(10_000, 0.05):
                if message.error() is None:
                    found[message.partition() or 0].append(message)
                else:
                    waiting.discard(message.partition() or 0)
        consumer.close()
        return found

    def messages(self, topic: str) -> list[Any]:
        """The same, partition after partition."""
        return [message for messages in self.read(topic).values() for message in messages]

    def given(self) -> Said:
        """What the output topics hold."""
        said = Said()
        for stream in STREAMS:
            for message in self.messages(TOPICS[stream].name):
                said.streams[stream][message.key()].append(message.value())
        said.dead.update(_dead_letter(message) for message in self.messages(DEAD))
        return said

    def owed(self) -> Said:
        """What one pass over the log owes, lane after lane."""
        said = Said()
        for lane, messages in self.read(RECORDS).items():
            originals = {message.offset(): message for message in messages}
            state = LaneState(lane, ID_KEY)
            for batch in decode(chunk_of(lane, messages), self.lanes) if messages else []:
                outputs = fold(state, batch)
                for stream, owed in outputs.streams.items():
                    for message in owed:
                        said.streams[stream][message.key].append(message.value)
                said.dead.update(
                    (
                        lane,
                        dead.position,
                        dead.reason,
                        originals[dead.position].key(),
                        originals[dead.position].value(),
                        repr(originals[dead.position].headers() or []),
                    )
                    for dead in outputs.dead_letters
                )
        return said

    def close(self) -> None:
        """End what still runs."""
        for process in self.processes:
            if process.is_running:
                process.kill()


def _dead_letter(message: Any) -> Dead:
    errors = {
        name.removeprefix(ERROR_HEADER): value.decode()
        for name, value in message.headers()
        if name.startswith(ERROR_HEADER)
    }
    own = [header for header in message.headers() if not header[0].startswith(ERROR_HEADER)]
    where = int(errors["partition"]), int(errors["offset"])
    return (*where, errors["reason"], message.key(), message.value(), repr(own))


def answered(ask: Callable[[], Any]) -> Any:
    """The answer of a broker that may still be loading, or electing a leader of a new topic."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return ask()
        except KafkaException:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def key_of(value: bytes | None) -> bytes:
    """The key of a record: its tenant, or one for all that name none."""
    return tenant_of(value or b"") or b"unknown"


def wait_until(is_so: Any, seconds: float) -> None:
    """Poll until it is so; fail when it takes too long."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.05)


def assert_exactly_once(given: Said, owed: Said) -> None:
    """Nothing missing, nothing twice, in order per customer, in every stream."""
    for stream in STREAMS:
        for key in owed.streams[stream].keys() | given.streams[stream].keys():
            is_, should = given.streams[stream].get(key, []), owed.streams[stream].get(key, [])
            assert is_ == should, f"{stream} of {key.decode()}: {len(is_)}, owed {len(should)}"
    assert given.dead == owed.dead


@pytest.fixture
def engagement(kafka: KafkaServer, tmp_path: Path) -> Iterator[Engagement]:
    """Empty topics, an empty state folder, and no process yet."""
    engagement = Engagement(kafka, tmp_path)
    engagement.make_topics()
    yield engagement
    engagement.close()
