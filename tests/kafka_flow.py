"""Run the engagement flow as its own process on a real Kafka, and know what it owes.

Takes: a broker; record lines
Out:   ``Engagement``: topics made anew, processes started, drained and killed; whether what a
       ``read_committed`` consumer finds is what the log owes (``obligations``)
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
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

from benchmarks.broker import KafkaServer
from flows.generate import tenant_of
from flows.kafka import Topics
from flows.run import GROUP
from schemas.topics import TOPICS
from sources.answers import answered
from state.tenants import EVERYWHERE
from tests.obligations import Owed, Said, assert_exactly_once, assert_pointers, given, owed

ID_KEY = b"a secret of the tests"
LANES = 4
RECORDS = TOPICS["records"].name
DEAD = TOPICS["dead_letters"].name

QUIET = {"log_level": 0}

Headers = Sequence[tuple[str, bytes]]


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

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_owning(self, seconds: float = 60.0) -> None:
        """Until it was given lanes, or has ended."""
        wait_until(lambda: "lanes assigned" in self.said or not self.is_running, seconds)

    def stop(self) -> None:
        """SIGSTOP: it is there and does nothing, as on a machine that hangs."""
        self._process.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        """SIGCONT."""
        self._process.send_signal(signal.SIGCONT)

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
            "FLOWSELL_OPS_PORT": "0",
        }
        self.processes: list[FlowProcess] = []
        self._consumers: dict[str, Any] = {}
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
        Topics({"bootstrap.servers": self.kafka.bootstrap, **QUIET}).create(
            self.lanes, self.kafka.copies
        )

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
        processes: int = 1,
        module: str = "tests.recovery.runner",
    ) -> FlowProcess:
        """A process; with ``runner`` arguments, one that is told how to go wrong."""
        flowsell = [str(Path(sys.executable).with_name("flowsell")), "run", "engagement"]
        many = ["--processes", str(processes)] if processes > 1 else []
        process = FlowProcess(
            [sys.executable, "-m", module, *runner] if runner else [*flowsell, *many],
            self.environment | {"FLOWSELL_INSTANCE": instance},
            self.folder / f"{instance}.log",
        )
        self.processes.append(process)
        return process

    def committed(self, group: str = GROUP) -> dict[int, tuple[int, str | None]]:
        """C of each lane, and what its commit carries."""
        asked = [TopicPartition(RECORDS, lane) for lane in range(self.lanes)]
        found = answered(lambda: self._asks(group).committed(asked, timeout=30))
        return {one.partition: (max(one.offset, 0), one.metadata) for one in found}

    def ends(self) -> dict[int, int]:
        """The end of each lane's log."""
        return {lane: self._end(TopicPartition(RECORDS, lane)) for lane in range(self.lanes)}

    def is_committed(self) -> bool:
        """Whether every lane is committed up to its end."""
        ends = self.ends()
        return all(at == ends[lane] for lane, (at, _) in self.committed().items())

    def wait_committed(self, seconds: float = 60.0) -> None:
        """Until every lane is committed up to its end; says which are not."""
        deadline = time.monotonic() + seconds
        while not self.is_committed():
            if time.monotonic() > deadline:
                at = {lane: position for lane, (position, _) in self.committed().items()}
                raise AssertionError(f"committed {at}, appended {self.ends()}")
            time.sleep(0.05)

    def read(self, topic: str, lanes: Sequence[int] | None = None) -> dict[int, list[Any]]:
        """What a ``read_committed`` consumer finds in a topic, by partition (of these, or all).

        It reads up to where the topic ends now, and so waits for a transaction that is open there.
        """
        consumer = Consumer(
            {
                "bootstrap.servers": self.kafka.bootstrap,
                **QUIET,
                "group.id": "reads",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 10,  # an end is told by an answer, which waits for more
            }
        )
        there = range(len(consumer.list_topics(topic, 10).topics[topic].partitions))
        partitions = there if lanes is None else lanes
        where = [TopicPartition(topic, partition, 0) for partition in partitions]
        waiting = {one.partition: self._end(one) for one in where}
        found: dict[int, list[Any]] = {partition: [] for partition in partitions}
        consumer.assign(where)
        deadline = time.monotonic() + 60
        while waiting:
            assert time.monotonic() < deadline, f"{topic}: transactions stay open before {waiting}"
            for message in consumer.consume(10_000, 0.05):
                error, partition = message.error(), message.partition() or 0
                if error is None:
                    found[partition].append(message)
                elif error.code() != KafkaError._PARTITION_EOF:
                    assert not error.fatal(), error
                elif (message.offset() or 0) >= waiting.get(partition, 0):
                    waiting.pop(partition, None)
        consumer.close()
        return found

    def messages(self, topic: str) -> list[Any]:
        """The same, partition after partition."""
        return [message for messages in self.read(topic).values() for message in messages]

    def given(self) -> Said:
        """What the output topics hold."""
        return given(self.messages)

    def owed(self, countries: frozenset[str] = EVERYWHERE) -> Owed:
        """What one pass over the log owes, lane after lane."""
        log = ((lane, self.read(RECORDS, [lane])[lane]) for lane in range(self.lanes))
        return owed(log, self.lanes, ID_KEY, countries)

    def assert_settled(self, countries: frozenset[str] = EVERYWHERE) -> Owed:
        """Everything owed is there, once, and committed; what was owed."""
        due = self.owed(countries)
        assert_exactly_once(self.given(), due)
        assert_pointers(self.committed(), due)
        return due

    def _end(self, where: TopicPartition) -> int:
        """Where a partition ends, transactions that are open among it."""
        ask = self._asks("ends", "read_uncommitted").get_watermark_offsets
        end: int = answered(partial(ask, where, 10))[1]
        return end

    def _asks(self, group: str, isolation: str = "read_committed") -> Any:
        """A client that asks about a group and never joins it; kept, for it is asked often."""
        if group not in self._consumers:
            asked = {
                "bootstrap.servers": self.kafka.bootstrap,
                "group.id": group,
                "isolation.level": isolation,
            }
            self._consumers[group] = Consumer(asked | QUIET)
        return self._consumers[group]

    def close(self) -> None:
        """End what still runs."""
        for consumer in self._consumers.values():
            consumer.close()
        for process in self.processes:
            if process.is_running:
                process.kill()


def key_of(value: bytes | None) -> bytes:
    """The key of a record: its tenant, or one for all that name none."""
    return tenant_of(value or b"") or b"unknown"


def wait_until(is_so: Any, seconds: float) -> None:
    """Poll until it is so; fail when it takes too long."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.05)


@pytest.fixture
def engagement(kafka: KafkaServer, tmp_path: Path) -> Iterator[Engagement]:
    """Empty topics, an empty state folder, and no process yet."""
    engagement = Engagement(kafka, tmp_path)
    engagement.make_topics()
    yield engagement
    engagement.close()
