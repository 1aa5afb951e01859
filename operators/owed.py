"""Collect what the fold owes while a batch is folded, and put each stream into its final order.

In:    encoded messages with the position and instant that caused them; what is due, to be decided
Out:   ``Message`` (position, key, JSON) per stream, ordered by (position, due, customer, rule)
State: none beyond the batch

Within one position, instant, customer and rule the order of adding stays: it is the order of that
customer's own events, which no cut of the log can change.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from itertools import chain, repeat
from operator import itemgetter
from typing import Any

import msgspec
import numpy as np
import xxhash

from operators.customer_segments import blank_score, changed_scores
from operators.profiles import Standing, encoded_profiles, joined, standing_order
from operators.restate import Differences, Restated
from operators.texts import instant_text
from schemas.batch import I1, I4, I8, STREAMS, Message
from schemas.keys import decision_id
from schemas.outputs import Decision, Tombstone, Visit
from state.index import U8, Rows
from state.lane import LaneState
from state.tables import Flags

_ENCODER = msgspec.json.Encoder()
DIGEST_MASK = (1 << 64) - 1
_LAST = "~"
"""A rule that sorts behind what else is told of the same key at once."""

_Line = tuple[int, int, bytes, str, int, bytes]


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
    ``held``: it has waited for the end of a quiet window.
    """

    customer: Rows
    rule: I4
    occasion: list[str]
    due_ms: I8
    made_ms: I8
    now_ms: I8
    position: I8
    expires_ms: I8
    visit: Sequence[Visit | None]
    branch: Sequence[str | None]
    mark: Rows
    held: Flags


def joined_dues(parts: list[Dues]) -> Dues:
    """All lines, in the order in which they were asked for."""
    if len(parts) == 1:
        return parts[0]
    columns: list[Any] = []
    for name in (field.name for field in fields(Dues)):
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
        (rule,) = rule_texts([decision.trigger], [decision.command_id])
        self.add("decisions", decision.position, due_ms, key, rule, value)
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

    def command(
        self, position: int, due_ms: int, key: bytes, trigger: str, identity: str, value: bytes
    ) -> None:
        """Owes an encoded command; ``key`` is its customer's id."""
        (rule,) = rule_texts([trigger], [identity])
        self.add("commands", position, due_ms, key, rule, value)

    def decided(
        self,
        stream: str,
        position: I8,
        due_ms: I8,
        keys: Iterable[bytes],
        rules: Iterable[str],
        values: Iterable[bytes],
    ) -> None:
        """Owes many encoded commands or decisions; ``rules`` are as ``rule_texts`` gives them."""
        lines = self._lines[stream]
        first, count = len(lines), len(position)
        numbers = range(first, first + count)
        places = (position.tolist(), due_ms.tolist(), keys, rules)
        lines += zip(*places, numbers, values, strict=True)

    def tombstone(self, due_ms: int, tombstone: Tombstone) -> None:
        """Owes the last line of an id that is no more, and an empty score."""
        key = tombstone.customer_id.encode()
        value = _ENCODER.encode(tombstone)
        self.add("profiles", tombstone.position, due_ms, key, "", value)
        named, value = blank_score(tombstone.tenant, tombstone.customer_id, tombstone.position)
        self.add("aggregates", tombstone.position, due_ms, named.encode(), _LAST, value)

    def profiles(self, standing: Standing) -> None:
        """Owes a profile for each line; they are written when the batch is over."""
        self._standings.append(standing)

    def rows(self, keys: Iterable[str], owed_at: I8, due_ms: I8, values: Iterable[bytes]) -> None:
        """Owes rows of the aggregates, each under its table and key."""
        lines = self._lines["aggregates"]
        first, count = len(lines), len(owed_at)
        numbers = range(first, first + count)
        places = (owed_at.tolist(), due_ms.tolist(), map(str.encode, keys))
        lines += zip(*places, repeat("", count), numbers, values, strict=True)

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
        keys = [f"{table}/{'/'.join(parts)}" for parts in zip(*names, strict=True)]
        self.rows(keys, told.owed_at, told.due_ms, map(_ENCODER.encode, values))

    def streams(self, state: LaneState) -> dict[str, list[Message]]:
        """Everything owed, in final order."""
        ordered = {}
        standing = joined(self._standings) if self._standings else None
        if standing is not None:
            standing = standing.take(standing_order(standing))
            scores, keys, values = changed_scores(state, standing)
            self.rows(keys, scores.owed_at, scores.due_ms, values)
        for stream, lines in self._lines.items():
            lines.sort()
            ordered[stream] = _messages(
                [line[0] for line in lines],
                [line[2] for line in lines],
                [line[5] for line in lines],
            )
        if standing is not None:
            ordered["profiles"] = self._with_tombstones(standing, encoded_profiles(state, standing))
        return ordered

    def _with_tombstones(self, standing: Standing, profiles: list[bytes]) -> list[Message]:
        """Of one position, instant and customer the tombstone is the last word."""
        positions, keys = standing.owed_at.tolist(), standing.key.tolist()
        stones = self._lines["profiles"]
        if not stones:
            return _messages(positions, keys, profiles)
        lines = list(zip(positions, standing.due_ms.tolist(), keys, profiles, strict=True))
        lines += [(position, due, key, value) for position, due, key, _, _, value in stones]
        lines.sort(key=itemgetter(0, 1, 2))
        return _messages(
            [line[0] for line in lines], [line[2] for line in lines], [line[3] for line in lines]
        )


def rule_texts(triggers: Iterable[str], command_ids: Iterable[str]) -> list[str]:
    """Visits of one customer may be due under one rule at once: their commands tell them apart."""
    return [
        f"{trigger}\x1f{identity}" for trigger, identity in zip(triggers, command_ids, strict=True)
    ]


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
            hashes = map(xxhash.xxh3_64_intdigest, values, positions)
            total += int(np.fromiter(hashes, np.uint64, len(values)).sum())
    return total & DIGEST_MASK
