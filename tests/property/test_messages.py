"""However the log is cut and whenever the lane is cleaned, the same is known of every message."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators import hearings, messages
from operators.decode import decode
from operators.fold import fold
from operators.prune import prune
from schemas.keys import command_id
from state.lane import LaneState
from tests.bookings import DUE, START, TOLD, booked, rules
from tests.engine import ID_KEY, chunk_of, pieces
from tests.logs import DAY, HOUR, MINUTE, SECOND, Record, lines_of, message_in, stamp
from tests.people import TENANT
from tests.unit.test_messages import SENT, Counts, folded, receipt, status


class Lines(list[Record]):
    def __repr__(self) -> str:
        return f"<log of {len(self)} records>"


def lives(chance: Random) -> list[Record]:
    """A booking or two, and statuses, receipts and messages around what is sent for them."""
    commands = [SENT, command_id(TENANT, "reminder", f"visit:generic::v2@{stamp(START)[:16]}Z")]
    ids, phones = [f"m{n}" for n in range(5)], ("+77011234567", "+77017654321", None)
    at, log = DUE - chance.choice((0, MINUTE, HOUR)), [rules(), booked(TOLD)]
    for _ in range(chance.randrange(4, 60)):
        at += chance.choice((0, 1, SECOND, SECOND, MINUTE, 9 * MINUTE, 11 * MINUTE, 9 * DAY))
        message, which = chance.choice(ids), chance.random()
        if which < 0.2:
            log.append(receipt(at, chance.choice(commands), message))
        elif which < 0.3:
            log.append(message_in(TENANT, at, message, "+77011234567"))
        elif which < 0.4:
            start, other = START + chance.choice((0, DAY)), chance.choice(("v2", "v3"))
            log.append(booked(at, start, version=at, id=other, phone="+77017654321"))
        else:
            told: dict[str, Any] = {"phone": chance.choice(phones)} if which < 0.8 else {}
            told |= {"command_id": chance.choice(commands)} if which > 0.7 else {}
            told = {key: value for key, value in told.items() if value}
            log.append(status(at, chance.choice(("sent", "read")), message, **told))
    return Lines(log)


def remembered(state: LaneState) -> dict[int, tuple[Any, ...]]:
    """What is known of every message that is known at all, rows told by their keys."""
    messages.forget_messages(state, state.clock_ms)
    table = state.messages
    named = {row: int(table.key[row]) for row in table.live().tolist()}
    owners = np.where(table.customer >= 0, state.customers.key[table.customer], 0)
    return {
        key: (
            int(owners[row]),
            named.get(int(table.command[row]), int(table.command[row])),
            int(table.since_ms[row]),
            int(table.statuses[row]),
        )
        for row, key in named.items()
    }


@given(st.integers(0, 2**32), st.data())
def test_any_cutting_and_cleaning_leaves_the_same_messages(seed: int, data: st.DataObject) -> None:
    log = lives(Random(seed))
    cuts = data.draw(st.sets(st.integers(1, len(log)), max_size=12))
    cleaned = data.draw(st.sets(st.sampled_from(sorted(cuts)))) if cuts else set()
    limit = data.draw(st.sampled_from((3, 200_000)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hearings, "WAITING", limit)
        whole, counts = folded(log)
        state, cut_counts, lines = LaneState(0, id_key=ID_KEY), Counts(), lines_of(log)
        for start, stop in pieces(len(lines), cuts):
            if start in cleaned:
                prune(state, state.clock_ms)
            for batch in decode(chunk_of(lines, start, stop), 1):
                cut_counts.update(fold(state, batch).counts)
        assert remembered(state) == remembered(whole)
    for name in ("duplicates", "generic"), ("duplicates", "receipt"), ("ignored", "nobody"):
        assert cut_counts[name] == counts[name], name
