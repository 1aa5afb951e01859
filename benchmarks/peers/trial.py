"""One peer on one broker: start it, give it the log, see what it tells.

Takes:    a site of its own, so that no peer meets what another has left behind
Delivery: a phase of the log is appended in one transaction, so that all of it is there at once
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from benchmarks.engines import PostgresServer
from benchmarks.peers.catalogue import Peer
from benchmarks.peers.given import Given
from benchmarks.peers.job import day_of_ms
from benchmarks.peers.log import PeerLog
from benchmarks.peers.oracle import owed
from benchmarks.peers.outputs import Outputs
from benchmarks.peers.process import Tree
from benchmarks.site import ID_KEY, RECORDS, Site, produce
from benchmarks.workload import Load
from schemas.batch import Chunk
from schemas.engines import EngineError
from schemas.keys import customer_id
from schemas.topics import TOPICS

PATIENCE_SECONDS = 600.0
_SLICES_PER_SECOND = 50
LOGS = Path(__file__).resolve().parent / ".logs"
"""What each peer said in its last trial; git ignores it."""
_SEGMENTS = "peers.segments"


class Trial:
    """A peer, its log and its outputs."""

    def __init__(self, peer: Peer, program: Sequence[str], deployment: Site, load: Load) -> None:
        self.peer = peer
        self.log = PeerLog(load)
        self._program = program
        self._site = deployment
        self._values: list[bytes] = []
        self._producer: Any = None
        self._is_ours = peer.origin == "flowsell"
        self.postgres = (
            PostgresServer(deployment.folder / "postgres") if peer.name == "postgres" else None
        )
        segments = TOPICS["segments"].name if self._is_ours else _SEGMENTS
        if not self._is_ours:
            _create(deployment.bootstrap, segments, deployment.lanes)
        self._given = Given(
            deployment.bootstrap, RECORDS, segments, deployment.lanes, deployment.folder / "state",
            self.postgres.url if self.postgres else "",
        )  # fmt: skip
        self.state.mkdir(exist_ok=True)
        self.outputs = Outputs(
            deployment.bootstrap, segments, deployment.lanes, peer.settled_seconds
        )
        self._trees: list[Tree] = []
        LOGS.mkdir(exist_ok=True)
        self._log_file = LOGS / f"{peer.name}.log"
        self._log_file.unlink(missing_ok=True)

    @property
    def state(self) -> Path:
        """The peer's folder."""
        return self._given.state

    def start(self) -> Tree:
        """Its processes."""
        told = self._site.environment("peer-0") if self._is_ours else self._given.environment()
        tree = Tree(self._program, told | dict(self.peer.variables), self._log_file)
        self._trees.append(tree)
        return tree

    def append(self, chunks: Iterable[Chunk]) -> int:
        """Append in one transaction; returns once it is committed: how many records."""
        if self._producer is None:
            self._producer = _transactional(self._given.bootstrap)
        before = len(self._values)
        self._producer.begin_transaction()
        for lane, key, value in _records(chunks):
            self._values.append(value)
            produce(self._producer, value, key, lane)
        self._producer.commit_transaction(PATIENCE_SECONDS)
        return len(self._values) - before

    def slices(self, chunks: Iterable[Chunk], most: int, rate: int) -> Iterator[int]:
        """Append a slice each time this is asked for one, until ``most`` records are there.

        Yields how many there are; some fifty slices hold what comes in a second.
        """
        producer = self._site.producer()
        for number, (lane, key, value) in enumerate(islice(_records(chunks), most), 1):
            self._values.append(value)
            produce(producer, value, key, lane)
            if number % max(rate // _SLICES_PER_SECOND, 1) == 0:
                producer.poll(0)
                yield number
        producer.flush(PATIENCE_SECONDS)

    def key(self, tenant: str, phone: str) -> str:
        """A customer as the key of a change."""
        return customer_id(ID_KEY, tenant, int(phone)) if self._is_ours else f"{tenant}|{phone}"

    def markers(self, phase: int) -> set[str]:
        """Keys of a phase's markers."""
        return {self.key(*customer) for customer in self.log.marker_customers(phase)}

    def owed(self) -> dict[str, str]:
        """By key, the segment of each customer after all that was appended."""
        today = day_of_ms(int(time.time() * 1000))
        return {self.key(*who): code for who, code in owed(self._values, today).items()}

    def to_the_end(self, tree: Tree) -> None:
        """Until a batch has done its work."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not tree.ended():
            time.sleep(0.02)
            if time.monotonic() > deadline:
                raise EngineError(f"not done within {PATIENCE_SECONDS:,.0f} s")

    def batch_cpu_seconds(self) -> float:
        """Of all batches that have ended, and of the database that works for them."""
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        database = self.postgres.cpu_seconds() if self.postgres else 0.0
        return used.ru_utime + used.ru_stime + database

    def close(self) -> None:
        """End everything."""
        for tree in self._trees:
            tree.kill()
        self.outputs.close()
        if self.postgres is not None:
            self.postgres.close()


@contextmanager
def trial(peer: Peer, program: Sequence[str], deployment: Site, load: Load) -> Iterator[Trial]:
    """A trial that ends with everything that it has started."""
    made = Trial(peer, program, deployment, load)
    try:
        yield made
    finally:
        made.close()


def _records(chunks: Iterable[Chunk]) -> Iterator[tuple[int, bytes, bytes]]:
    """Lane, key and value."""
    for chunk in chunks:
        for key, value in zip(chunk.keys or (), chunk.values, strict=True):
            yield chunk.lane, key or b"", value


def _create(bootstrap: str, topic: str, lanes: int) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 2})
    for created in admin.create_topics([NewTopic(topic, lanes, 1)]).values():
        created.result(30)


def _transactional(bootstrap: str) -> Any:
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "log_level": 2,
            "transactional.id": "flowsell.bench.peers",
            "transaction.timeout.ms": 600_000,
            "compression.type": "lz4",
            "linger.ms": 5,
            "message.max.bytes": 16 << 20,
            "queue.buffering.max.messages": 200_000,
        }
    )
    producer.init_transactions(30)
    return producer
