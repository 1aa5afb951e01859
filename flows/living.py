"""Let a synthetic world live with the engine: what it does causes commands, which it answers.

In:    a ``World`` and the key of customer ids
Out:   the world's log, in log order; the same world and key give the same bytes
State: one lane that holds all tenants, folded a day at a time

The fold hears the answers to a day's commands when the day is over, so that a day is folded once.
In the log they stand where they belong.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np

from operators.decode import decode
from operators.fold import fold
from schemas.batch import Chunk
from sources.generator import World
from state.lane import LaneState

_decode_command = msgspec.json.Decoder(dict[str, Any]).decode


class Engine:
    """The engine over a log that is being made: records in, commands out."""

    def __init__(self, id_key: bytes) -> None:
        self._state = LaneState(0, id_key)
        self._position = 0

    def commands(self, records: list[bytes]) -> list[dict[str, Any]]:
        """The commands that these records cause, in the order in which they are made."""
        positions = np.arange(self._position, self._position + len(records), dtype=np.int64)
        self._position += len(records)
        return [
            _decode_command(message.value)
            for batch in decode(Chunk(-1, positions, None, records), 1)
            for message in fold(self._state, batch).streams["commands"]
        ]


def living(world: World, id_key: bytes) -> Iterator[bytes]:
    """Every record of the world, each day's when the day is over."""
    engine = Engine(id_key)
    waiting = world.opening()
    yield from waiting
    for day in world.days:
        world.hear(engine.commands(waiting + world.live(day)))
        waiting = world.settle(day)
        yield from world.written()
