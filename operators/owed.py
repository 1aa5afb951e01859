"""Collect what the fold owes while a batch is folded, and put each stream into its final order.

In:    encoded messages with the position and instant that caused them; what is due, to be decided
Out:   ``Message`` (position, key, JSON) per stream, ordered by (position, due, customer, rule)
State: none beyond the batch

Within one position, instant, customer and rule the order of adding stays: it is the order of that
customer's own events, which no cut of the log can change.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from operators.customer_segments import blank_score, changed_scores
from operators.profiles import Standing, encoded_profiles, joined, standing_order
from operators.restate import Differences, Restated
from schemas.batch import I1, I4, I8, STREAMS, Message
from schemas.forms import hash_sum, messages_of
from schemas.keys import decision_id
from schemas.outputs import Decision, Tombstone
from schemas.texts import instant_text
from state.index import U8, Rows
from state.lane import LaneState
from state.runs import begins
from state.tables import Flags

_ENCODER = msgspec.json.Encoder()
DIGEST_MASK = (1 << 64) - 1
_LAST = "~"
"""A rule that sorts behind what else is told of the same key at once."""


@dataclass(slots=True)
class _Lines:
    """Messages of one stream in the order of adding, and what else they are sorted by.

    Of one position, instant and key the rule decides, and then the command: visits of one customer
    may be due under one rule at once.
    """

    position: list[int] = field(default_factory=list)
    due_ms: list[int] = field(default_factory=list)
    key: list[bytes] = field(default_factory=list)
    rule: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    value: list[bytes] = field(default_factory=list)

    def extend(self, *columns: Sequence[Any]) -> None:
        """Adds lines, column by column."""
        for name, told in zip(_Lines.__slots__, columns, strict=True):
            getattr(self, name).extend(told)

    def in_order(self) -> list[Message]:
        """The messages in their final order."""
        if not self.position:
            return []
        columns = _keys(self.key), np.array(self.due_ms), np.array(self.position)
        order = np.lexsort(columns)
        self._part_equals(order, begins(*(column[order] for column in columns)))
        return messages_of(order, self.position, self.key, self.value)

    def _part_equals(self, order: NDArray[np.intp], first: Flags) -> None:
        """Puts lines in order that nothing but their rules and commands tells apart."""
        if first.all():
            return
        starts = first.nonzero()[0]
        sizes = np.diff(starts, append=len(order))
        for start, size in zip(starts[sizes > 1].tolist(), sizes[sizes > 1].tolist(), strict=True):
            alike = order[start : start + size].tolist()
            order[start : start + size] = sorted(alike, key=self._rule_of)

    def _rule_of(self, line: int) -> str:
        return f"{self.rule[line]}\x1f{self.command[line]}"


def _keys(keys: list[bytes]) -> NDArray[np.bytes_]:
    """Keys as a column: customers' ids are all of one width."""
    width = len(keys[0])
    if set(map(len, keys)) == {width}:
        return np.frombuffer(b"".join(keys), f"S{width}")
    return np.array(keys)


@dataclass(slots=True)
class Sent:
    """Commands that have just been sent, n lines: their keys in messages, and their contacts."""

    key: U8
    contact: Rows
    customer: Rows
    now_ms: I8
    position: I8


@dataclass(slots=True)
class Steps:
    """Contacts that have come further, n lines: a message of theirs has, or was answered.

    ``level`` is how far it has come, ``lost`` and ``carrying`` by how many more of their messages
    have failed, and have been heard of and not failed.
    """

    contact: Rows
    now_ms: I8
    position: I8
    level: I1
    replied: Flags
    lost: I1
    carrying: I1


@dataclass(slots=True)
class Dues:
    """Occasions that have come for customers, one line each; ``rule`` numbers the ``Rules``.

    ``due_ms`` is the due minute, ``made_ms`` the moment that the outputs tell, ``now_ms`` the lane
    clock at the record ``position`` that brought it about. ``mark`` is the row of the occasion;
    ``visit`` is JSON. ``held``: it has waited for the end of a quiet window.
    """

    customer: Rows
    rule: I4
    occasion: list[str]
    due_ms: I8
    made_ms: I8
    now_ms: I8
    position: I8
    expires_ms: I8
    visit: Sequence[bytes | None]
    branch: Sequence[str | None]
    mark: Rows
    held: Flags


def joined_dues(parts: list[Dues]) -> Dues:
    """All lines, in the order in which they were asked for."""
    if len(parts) == 1:
        return parts[0]
    columns: list[Any] = []
    for name in Dues.__slots__:
        column = [getattr(part, name) for part in parts]
        told = type(column[0]) is list
        columns.append(list(chain.from_iterable(column)) if told else np.concatenate(column))
    return Dues(*columns)


class Owed:
    """What one batch owes, and what of it is counted.

    ``dues`` wait for their decision: all of one customer that come at once are decided together.
    ``sent`` are commands whose messages are not awaited yet; ``replies`` messages of customers that
    answer something; ``funnel`` and ``uplift`` are changes of rows that are not counted yet.
    """

    def __init__(self) -> None:
        self.dues: list[Dues] = []
        self.sent: list[Sent] = []
        self.replies: list[Steps] = []
        self.funnel: list[Differences] = []
        self.uplift: list[Differences] = []
        self.counts: Counter[tuple[str, ...]] = Counter()
        self._lines = {stream: _Lines() for stream in STREAMS}
        self._standings: list[Standing] = []

    def add(
        self,
        stream: str,
        position: int,
        due_ms: int,
        key: bytes,
        rule: str,
        value: bytes,
        command: str = "",
    ) -> None:
        """Owes one encoded message; ``rule`` and ``command`` are those of ``decided``."""
        self._lines[stream].extend([position], [due_ms], [key], [rule], [command], [value])

    def decision(self, due_ms: int, decision: Decision) -> None:
        """Owes a decision."""
        key, rule, command = decision.customer_id.encode(), decision.trigger, decision.command_id
        value = _ENCODER.encode(decision)
        self.add("decisions", decision.position, due_ms, key, rule, value, command)
        self.counts["decisions", decision.outcome, decision.reason or ""] += 1

    def withdrawal(
        self, command: str, tenant: str, customer: str, trigger: str, now_ms: int, position: int
    ) -> None:
        """Owes the decision that a command, or what is held of one, is taken back."""
        self.decision(
            now_ms,
            Decision(
                decision_id=decision_id(command, "withdrawn"),
                command_id=command,
                tenant=tenant,
                customer_id=customer,
                trigger=trigger,
                outcome="withdrawn",
                reason=None,
                at=instant_text(now_ms),
                position=position,
            ),
        )

    def decided(
        self,
        stream: str,
        position: I8,
        due_ms: I8,
        keys: NDArray[np.bytes_],
        rules: Sequence[str],
        commands: Sequence[str],
        values: Sequence[bytes],
    ) -> None:
        """Owes many encoded messages under customers' ids: by which triggers, of which commands.

        What has neither says so by empty texts.
        """
        places = position.tolist(), due_ms.tolist()
        self._lines[stream].extend(*places, keys.tolist(), rules, commands, values)

    def tombstone(self, due_ms: int, tombstone: Tombstone) -> None:
        """Owes the last line of an id that is no more, and an empty score."""
        key = tombstone.customer_id.encode()
        value = _ENCODER.encode(tombstone)
        self.add("profiles", tombstone.position, due_ms, key, "", value)
        named, value = blank_score(tombstone.tenant, tombstone.customer_id, tombstone.position)
        self.add("aggregates", tombstone.position, due_ms, named, _LAST, value)

    def profiles(self, standing: Standing) -> None:
        """Owes a profile for each line; they are written when the batch is over."""
        self._standings.append(standing)

    def rows(self, keys: list[bytes], owed_at: I8, due_ms: I8, values: list[bytes]) -> None:
        """Owes rows of the aggregates, each under its table and key."""
        nothing = [""] * len(keys)
        places = owed_at.tolist(), due_ms.tolist()
        self._lines["aggregates"].extend(*places, keys, nothing, nothing, values)

    def restated(
        self,
        row: type[msgspec.Struct],
        names: Sequence[list[str]],
        told: Restated,
        measures: Sequence[list[int]] | None = None,
    ) -> None:
        """Owes rows under the names of their keys; ``measures`` are the table's unless given."""
        columns = told.columns() if measures is None else measures
        values = map(row, *names, *columns, told.position.tolist())
        table = row.__struct_config__.tag
        keys = [f"{table}/{'/'.join(parts)}".encode() for parts in zip(*names, strict=True)]
        self.rows(keys, told.owed_at, told.due_ms, list(map(_ENCODER.encode, values)))

    def streams(self, state: LaneState) -> dict[str, list[Message]]:
        """Everything owed, in final order."""
        standing = joined(self._standings) if self._standings else None
        if standing is not None:
            standing = standing.take(standing_order(standing))
            scores, keys, values = changed_scores(state, standing)
            self.rows(keys, scores.owed_at, scores.due_ms, values)
        ordered = {stream: lines.in_order() for stream, lines in self._lines.items()}
        if standing is not None:
            ordered["profiles"] = self._with_tombstones(standing, encoded_profiles(state, standing))
        return ordered

    def _with_tombstones(self, standing: Standing, profiles: list[bytes]) -> list[Message]:
        """Of one position, instant and customer the tombstone is the last word."""
        positions, keys = standing.owed_at.tolist(), standing.key.tolist()
        stones = self._lines["profiles"]
        if not stones.position:
            return messages_of(np.arange(len(keys)), positions, keys, profiles)
        nothing = [""] * len(keys)
        lines = _Lines(positions, standing.due_ms.tolist(), keys, nothing, nothing.copy(), profiles)
        lines.extend(*(getattr(stones, name) for name in _Lines.__slots__))
        return lines.in_order()


def digest_of(streams: dict[str, list[Message]]) -> int:
    """Sum of the hashes of all messages, modulo 2**64: the same for any cut of the log."""
    return sum(map(hash_sum, streams.values())) & DIGEST_MASK
