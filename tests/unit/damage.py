"""Damage records in one place, and check that decode loses none whatever they say.

Takes: samples; chance is an argument
Out:   ``damaged`` gives a line, ``check`` raises where a record was lost or told wrongly
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from copy import deepcopy
from random import Random
from typing import Any

import numpy as np

from schemas.batch import Batch
from schemas.record import REASONS
from tests.unit.decoding import EVERYTHING, Json, rows

KINDS = ("visits", "clients", "statuses", "incoming", "payments", "webhooks")
EVENTS = KINDS[:-1]


def encoded(told: Json) -> bytes:
    """As JSON, surrogates and NaN included."""
    return json.dumps(told).encode()


def damaged(chance: Random, value: Json) -> bytes:
    """A sample in which one place holds something else, nothing, or one thing more."""
    told = json.loads(chance.choice(EVERYTHING))
    place = told
    while True:
        keys: list[Any] = list(range(len(place)) if isinstance(place, list) else place)
        if not keys:
            break
        key = chance.choice(keys)
        if isinstance(place[key], dict | list) and place[key] and chance.random() < 0.85:
            place = place[key]
            continue
        if chance.random() < 0.15:
            del place[key]
        else:
            place[key] = deepcopy(value)
        break
    return encoded(told)


def whole(batches: Sequence[Batch]) -> dict[int, list[Any]]:
    """All that batches say, by lane, free of how they were cut."""
    said: dict[int, list[Any]] = {}
    for batch in batches:
        lane = said.setdefault(batch.lane, [])
        for position, at in zip(batch.positions.tolist(), batch.appended_ms.tolist(), strict=True):
            lane.append((position, "clock", at))
        for kind in KINDS:
            events = rows(batch, getattr(batch, kind))
            lane += [(row["record"], kind, repr(row)) for row in events]
        for record in np.flatnonzero(batch.imported).tolist():
            lane.append((int(batch.positions[record]), "imported", ""))
        for forget in batch.forgets:
            lane.append((int(batch.positions[forget.record]), "forget", forget.customer_id))
        for event in batch.settings:
            lane.append((int(batch.positions[event.record]), "settings", repr(event.settings)))
        for letter in batch.dead_letters:
            lane.append((letter.position, "dead", repr(letter)))
    return {lane: sorted(told, key=lambda each: each[:2]) for lane, told in said.items()}


def check(lines: list[bytes], batches: Sequence[Batch]) -> None:
    """Every record is in one lane (a heartbeat in all), and dead letters hold its bytes."""
    positions = [position for batch in batches for position in batch.positions.tolist()]
    assert set(positions) == set(range(len(lines)))
    for batch in batches:
        assert batch.positions.tolist() == sorted(batch.positions.tolist())
        letters = batch.dead_letters
        assert all(letter.value == lines[letter.position] for letter in letters)
        assert all(letter.reason in REASONS for letter in letters)
        assert [letter.position for letter in letters] == sorted(
            {letter.position for letter in letters}
        )
        dead = sum(count for key, count in batch.counts.items() if key[0] == "dead_letters")
        assert dead == len(letters)
        told = sum(count for key, count in batch.counts.items() if key[0] == "events")
        assert told == sum(len(getattr(batch, kind).record) for kind in EVENTS)
        webhooks = batch.webhooks
        dead_positions = {letter.position for letter in letters}
        assert webhooks.dead.tolist() == [
            position in dead_positions for position in batch.positions[webhooks.record].tolist()
        ]
        assert batch.counts["records", "webhook"] == len(webhooks.record)
        assert len(batch.imported) == len(batch.positions)
        for kind in KINDS:
            record = getattr(batch, kind).record
            assert np.all(record[1:] >= record[:-1])
    counted = sum(
        count for batch in batches for key, count in batch.counts.items() if key[0] == "records"
    )
    assert counted == len(lines)
