"""A deployment to measure: a broker, the engine's topics, its processes and what they use.

Takes:    FLOWSELL_KAFKA for a broker that is there; without it a node of Apache Kafka is started
Delivery: everything that was started ends with ``Site``; the topics' contents are the benchmark's
          alone, so a broker that is given must have no topics of ours
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import click
from confluent_kafka import (
    Consumer,
    ConsumerGroupState,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient

from benchmarks.broker import KafkaServer, KafkaUnavailableError
from benchmarks.chunks import Lanes
from flows.kafka import Topics
from flows.run import GROUP
from schemas.batch import Chunk
from schemas.engines import EngineError
from schemas.topics import TOPICS
from sources.answers import answered
from sources.bodies import heartbeat_record
from sources.business import SECOND

ID_KEY = b"bench"
RECORDS = TOPICS["records"].name

_CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
_PATIENCE_SECONDS = 300.0


class Engine:
    """``flowsell run engagement`` as a process of its own."""

    def __init__(self, environment: dict[str, str], log: Path, *options: str) -> None:
        self.log = log
        program = [str(Path(sys.executable).with_name("flowsell")), "run", "engagement", *options]
        with log.open("ab") as stderr:
            self._process = subprocess.Popen(
                program, env=os.environ | environment, stdout=subprocess.DEVNULL, stderr=stderr
            )

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def drain(self) -> None:
        """SIGTERM, and wait until everything is committed and saved."""
        self.ask_to_drain()
        self.wait_drained()

    def ask_to_drain(self) -> None:
        """SIGTERM; once, for a second one would kill a process that is about to end by itself."""
        self._process.send_signal(signal.SIGTERM)

    def wait_drained(self) -> None:
        """Until it has ended; raises where that was not by a drain."""
        if self._process.wait(_PATIENCE_SECONDS) != 0:
            raise EngineError(f"the engine ended with an error: {self._last_words()}")

    def kill(self) -> None:
        """SIGKILL, as a lost machine would."""
        self._process.kill()
        self._process.wait()

    def check(self) -> None:
        """Raises where it has ended by itself."""
        if self._process.poll() is not None:
            raise EngineError(f"the engine has ended: {self._last_words()}")

    def close(self) -> None:
        """End it, however it stands."""
        if self._process.poll() is None:
            self.kill()

    def _last_words(self) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return lines[-1] if lines else "it said nothing"


def drain_all(engines: Sequence[Engine]) -> None:
    """End them at once, as a deployment that is stopped: no lane moves from one to another."""
    for engine in engines:
        engine.ask_to_drain()
    for engine in engines:
        engine.wait_drained()


class Site:
    """A broker with empty topics of the engine, and a folder for state and logs."""

    def __init__(
        self, bootstrap: str, folder: Path, lanes: int, broker: KafkaServer | None
    ) -> None:
        self.bootstrap = bootstrap
        self.folder = folder
        self.lanes = lanes
        self._broker = broker
        self.state = folder / "state"
        self._engines: list[Engine] = []
        self._producer: Any = None
        self._asks = Consumer({"bootstrap.servers": bootstrap, "group.id": GROUP, "log_level": 2})

    @property
    def broker_pid(self) -> int | None:
        """Of a broker of its own."""
        return self._broker.pid if self._broker else None

    @contextmanager
    def earlier(self, late_ms: int) -> Iterator[None]:
        """A time in which what is appended has an append time of the past; nobody else reads."""
        if self._broker is None:
            raise click.UsageError("FLOWSELL_KAFKA: only a broker of our own can have a late clock")
        for ms in (late_ms, 0):
            self._broker.stop()
            self._broker.start(ms)
            self.ends()  # it answers for its topics a little later than on its port, and until then
            self._producer = None  # tells a producer that it has none
            if ms:
                yield

    def start(self, instance: str = "bench-0", *options: str, state: Path | None = None) -> Engine:
        """An engine of the group; ``state`` where it shall not be the site's."""
        environment = self.environment(instance, state)
        engine = Engine(environment, self.folder / f"{instance}.log", *options)
        self._engines.append(engine)
        return engine

    def start_all(self, processes: int) -> list[Engine]:
        """So many engines, each an instance of its own."""
        return [self.start(f"bench-{number}") for number in range(processes)]

    def environment(self, instance: str, state: Path | None = None) -> dict[str, str]:
        """What an engine of the group is told."""
        return {
            "FLOWSELL_KAFKA": self.bootstrap,
            "FLOWSELL_STATE": (state or self.state).as_uri(),
            "FLOWSELL_INSTANCE": instance,
            "FLOWSELL_ID_KEY": ID_KEY.decode(),
            "FLOWSELL_LANES": str(self.lanes),
            "FLOWSELL_LOG": "json",
            "FLOWSELL_OPS_PORT": "0",
        }

    def append(self, chunks: Iterable[Chunk]) -> int:
        """Appends chunks to their lanes; returns once the log has them: how many records."""
        producer = self.producer()
        count = 0
        for chunk in chunks:
            keys = chunk.keys or [None] * len(chunk.values)
            for value, key in zip(chunk.values, keys, strict=True):
                produce(producer, value, key, chunk.lane)
            count += len(chunk.values)
        if producer.flush(_PATIENCE_SECONDS):
            raise EngineError("Kafka did not take the records in time")
        return count

    def beat(self) -> None:
        """Appends a heartbeat to every lane: its clock comes to now."""
        now = int(time.time() * SECOND)
        lanes = Lanes(self.lanes, 1)
        for lane in range(self.lanes):
            self.append(lanes.add(lane, now, heartbeat_record(now, now)))

    def fill(self, chunks: Iterable[Chunk]) -> None:
        """Lets an engine of its own fold what is appended, and save its state."""
        self.append(chunks)
        engine = self.start()
        self.wait_committed(engine)
        engine.drain()

    def producer(self) -> Any:
        """A producer of records, one for the site."""
        if self._producer is None:
            self._producer = record_producer(self.bootstrap)
        return self._producer

    def ends(self, topic: str = RECORDS) -> list[int]:
        """The end of each lane's log, or of each partition of another topic."""
        lanes = [TopicPartition(topic, lane) for lane in range(self.lanes)]
        return [answered(lambda: self._asks.get_watermark_offsets(lane, 10)[1]) for lane in lanes]  # noqa: B023  # called at once

    def committed(self) -> list[int]:
        """C of each lane."""
        lanes = [TopicPartition(RECORDS, lane) for lane in range(self.lanes)]
        found = answered(lambda: self._asks.committed(lanes, 30))
        return [max(one.offset, 0) for one in found]

    def wait_committed(
        self, *engines: Engine, said: Callable[[int], None] = lambda _: None
    ) -> None:
        """Until every lane is committed up to its end as of now; ``said`` is told what is not."""
        ends, since = self.ends(), time.monotonic()
        least = sum(ends) + 1
        while (missing := sum(ends) - sum(map(min, self.committed(), ends))) > 0:
            for engine in engines:
                engine.check()
            now = time.monotonic()
            if missing < least:
                least, since = missing, now
            elif now - since > _PATIENCE_SECONDS:
                raise EngineError(f"{missing:,} records are not committed in time")
            said(missing)
            time.sleep(0.05)

    def wait_joined(self, engines: Sequence[Engine]) -> None:
        """Until each has lanes: the first one to come may be given all of them for a while."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 2})
        wanted, since = min(len(engines), self.lanes), time.monotonic()
        while _owners(admin) < wanted:
            for engine in engines:
                engine.check()
            if time.monotonic() - since > _PATIENCE_SECONDS:
                raise EngineError("the processes have not shared the lanes in time")
            time.sleep(0.1)

    def read(self, topic: str, partition: int, begin: int = 0) -> Iterator[list[Any]]:
        """What a ``read_committed`` consumer finds from there on, thousands at a time."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": "flowsell.bench.reads",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "isolation.level": "read_committed",
                "log_level": 2,
            }
        )
        consumer.assign([TopicPartition(topic, partition, begin)])
        at_end = False
        while not at_end:
            messages = consumer.consume(16_384, 0.1)
            good = []
            for message in messages:
                error = message.error()
                if error is None:
                    good.append(message)
                elif error.code() == KafkaError._PARTITION_EOF:
                    at_end = True
                else:  # what is not read would be told as lost
                    raise KafkaException(error)
            if good:
                yield good
        consumer.close()

    def close(self) -> None:
        """End every process."""
        for engine in self._engines:
            engine.close()
        self._asks.close()


def _owners(admin: Any) -> int:
    """How many members of the group have lanes; 0 while they are being shared out."""
    group = answered(lambda: admin.describe_consumer_groups([GROUP])[GROUP].result(10))
    if group.state != ConsumerGroupState.STABLE:
        return 0
    return sum(bool(member.assignment.topic_partitions) for member in group.members)


@contextmanager
def site(lanes: int, more: str = "") -> Iterator[Site]:
    """A site, gone with everything in it afterwards; ``more`` properties of a broker of its own."""
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="flowsell-bench-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        bootstrap, broker = os.environ.get("FLOWSELL_KAFKA"), None
        if bootstrap is None:
            broker = _started(folder / "kafka", more)
            stack.callback(broker.kill)
            bootstrap = broker.bootstrap
        topics = Topics({"bootstrap.servers": bootstrap, "log_level": 2})
        if topics.create(lanes, 1).unchanged:
            raise click.UsageError(
                "FLOWSELL_KAFKA: this broker has topics of ours; a benchmark needs one without, "
                "as it fills them with made-up records"
            )
        deployment = Site(bootstrap, folder, lanes, broker)
        stack.callback(deployment.close)
        yield deployment


def _started(folder: Path, more: str) -> KafkaServer:
    try:
        broker = KafkaServer(folder, more=more)
        broker.start()
    except KafkaUnavailableError as reason:
        raise click.UsageError(
            f"FLOWSELL_KAFKA: not set, and none can be started: {reason}"
        ) from None
    return broker


def record_producer(bootstrap: str) -> Any:
    """A producer as a gateway would have it."""
    return Producer(
        {
            "bootstrap.servers": bootstrap,
            "log_level": 2,
            "partitioner": "murmur2_random",
            "compression.type": "lz4",
            "enable.idempotence": True,
            "linger.ms": 5,
            "message.max.bytes": 16 << 20,
            "queue.buffering.max.messages": 200_000,
        }
    )


def produce(producer: Any, value: bytes, key: bytes | None, lane: int) -> None:
    """Hands one record over, waiting while the producer's buffer is full."""
    while True:
        try:
            producer.produce(RECORDS, value, key, lane)
        except BufferError:
            producer.poll(0.05)
        else:
            return


def cpu_seconds(pid: int | None) -> float:
    """Processor time that a process has used so far, in user and kernel mode; 0 if not known."""
    try:
        told = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except OSError:
        return 0.0
    fields = told.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _CLOCK_TICKS


def rss_bytes_of(pid: int | None) -> int:
    """Memory that a process holds; 0 if not known."""
    try:
        told = Path(f"/proc/{pid}/statm").read_text(encoding="ascii")
    except OSError:
        return 0
    return int(told.split()[1]) * os.sysconf("SC_PAGE_SIZE")
