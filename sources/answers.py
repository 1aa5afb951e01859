"""Ask Kafka again until it answers: a coordinator moves, a broker loads, a topic gets a leader.

Takes:    a call that raises ``KafkaException`` while there is no answer
Delivery: its answer, or an ``EngineError`` that says why there was none
Replays:  the same call, ten times a second
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from confluent_kafka import KafkaException

from schemas.engines import EngineError

ANSWER_SECONDS = 30.0
"""Longer than the transaction time-out: a position under an open transaction is waited for."""
RETRY_SECONDS = 0.1

T = TypeVar("T")


def answered(
    call: Callable[[], T],
    seconds: float = ANSWER_SECONDS,
    who: str = "Kafka does not answer",
    meanwhile: Callable[[], None] = lambda: None,
) -> T:
    """The answer; after ``seconds`` without one an ``EngineError`` that begins with ``who``.

    ``meanwhile`` is called before each further try.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return call()
        except KafkaException as failure:
            if time.monotonic() > deadline:
                raise EngineError(f"{who}: {failure.args[0].str()}") from None
            meanwhile()
            time.sleep(RETRY_SECONDS)
