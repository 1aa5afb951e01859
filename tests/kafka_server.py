"""The broker of a test process: one for all of its tests.

Takes:    nothing; ``benchmarks.broker`` starts it
Delivery: a session's fixture, which skips with the reason where Apache Kafka cannot run
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from benchmarks.broker import KafkaServer, KafkaUnavailableError


@cache
def _shared() -> KafkaServer:
    server = KafkaServer(Path(tempfile.mkdtemp(prefix="flowsell-kafka-")))
    server.start()
    return server


@pytest.fixture(scope="session")
def kafka() -> Iterator[KafkaServer]:
    """The broker of this test process."""
    try:
        server = _shared()
    except KafkaUnavailableError as reason:
        pytest.skip(f"no Apache Kafka here: {reason}")
    yield server
    server.kill()
    shutil.rmtree(server.folder, ignore_errors=True)
    _shared.cache_clear()
