"""Collect what the fold owes while a batch is folded, and put each stream into its final order.

In:    encoded messages with the position and instant that caused them
Out:   ``Message`` (position, key, JSON) per stream, ordered by (position, due, customer, rule)
State: none beyond the batch

Within one position, instant, customer and rule the order of adding stays: it is the order of that
customer's own events, which no cut of the log can change.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import repeat

import msgspec
import xxhash

from operators.profiles import Standing, encoded_profiles, joined, standing_order
from schemas.batch import STREAMS, Message
from schemas.outputs import Command, Decision
from state.lane import LaneState

_ENCODER = msgspec.json.Encoder()
DIGEST_MASK = (1 << 64) - 1

_Line = tuple[int, int, bytes, str, int, bytes]


class Owed:
    """What one batch owes."""

    def __init__(self) -> None:
        self._lines: dict[str, list[_Line]] = {stream: [] for stream in STREAMS}
        self._standings: list[Standing] = []

    def add(
        self, stream: str, position: int, due_ms: int, key: bytes, rule: str, value: bytes
    ) -> None:
        """Owes one encoded message."""
        lines = self._lines[stream]
        lines.append((position, due_ms, key, rule, len(lines), value))

    def decision(self, due_ms: int, decision: Decision) -> None:
        """Owes a decision."""
        key = decision.customer_id.encode()
        value = _ENCODER.encode(decision)
        rule = _rule(decision.trigger, decision.command_id)
        self.add("decisions", decision.position, due_ms, key, rule, value)

    def command(self, position: int, due_ms: int, command: Command) -> bytes:
        """Owes a command; returns its bytes."""
        value = _ENCODER.encode(command)
        rule = _rule(command.trigger, command.command_id)
        self.add("commands", position, due_ms, command.customer_id.encode(), rule, value)
        return value

    def profiles(self, standing: Standing) -> None:
        """Owes a profile for each line; they are written when the batch is over."""
        self._standings.append(standing)

    def streams(self, state: LaneState) -> dict[str, list[Message]]:
        """Everything owed, in final order."""
        ordered = {}
        for stream, lines in self._lines.items():
            lines.sort()
            ordered[stream] = _messages(
                [line[0] for line in lines],
                [line[2] for line in lines],
                [line[5] for line in lines],
            )
        if self._standings:
            standing = joined(self._standings)
            standing = standing.take(standing_order(standing))
            ordered["profiles"] = _messages(
                standing.owed_at.tolist(), standing.key.tolist(), encoded_profiles(state, standing)
            )
        return ordered


def _rule(trigger: str, command_id: str) -> str:
    """Visits of one customer may be due under one rule at once: their commands tell them apart."""
    return f"{trigger}\x1f{command_id}"


def _messages(
    positions: Iterable[int], keys: Iterable[bytes], values: Iterable[bytes]
) -> list[Message]:
    # As many tuples as there are outputs: made in C, without a call of Python for each.
    lines = zip(positions, keys, values, strict=True)
    return list(map(tuple.__new__, repeat(Message), lines))


def digest_of(streams: dict[str, list[Message]]) -> int:
    """Sum of the hashes of all messages, modulo 2**64: the same for any cut of the log."""
    total = 0
    for messages in streams.values():
        if messages:
            positions, _, values = zip(*messages, strict=True)
            total += sum(map(xxhash.xxh3_64_intdigest, values, positions))
    return total & DIGEST_MASK
