"""What a lane folds, emits, saves and refuses, with a fold that only remembers positions."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from flows.lane import Lane, Part, Work, settings_batch
from operators.decode import decode
from schemas.batch import STREAMS, Batch, DeadLetter, Message, Outputs
from schemas.keys import lane_of
from schemas.settings import parse_settings
from state.control import Assigned, EndOfInput, Folded, Revoked, SnapshotDue
from state.lane import LaneState
from state.snapshots import StateError
from tests.engine import chunk_of
from tests.logs import heartbeat, lines_of

TERM = 3


class Books:
    """Stands for the fold: every position owes one command, every third is dead."""

    def __init__(self) -> None:
        self.folded: list[int] = []
        self.saved: list[int] = []

    def fold(self, state: LaneState, batch: Batch) -> Outputs:
        positions = batch.positions.tolist()
        self.folded += positions
        state.position = positions[-1] + 1
        state.digest += len(positions)
        streams: dict[str, list[Message]] = {stream: [] for stream in STREAMS}
        streams["commands"] = [Message(at, b"k", b"{}") for at in positions]
        dead = [DeadLetter(at, "s", "json", "m", None, b"") for at in positions if at % 3 == 0]
        return Outputs(0, state.position, 0, state.digest, streams, dead, Counter())

    def close(self, state: LaneState) -> Outputs:
        streams: dict[str, list[Message]] = {stream: [] for stream in STREAMS}
        streams["profiles"] = [Message(state.position, b"k", b"end")]
        return Outputs(0, state.position, 0, state.digest, streams, [], Counter())

    def lane(self, at: int = 0, committed: int = 0, digest: int | None = None) -> Lane:
        state = LaneState(0, b"key")
        state.position = state.digest = at
        work = Work(self.fold, self.close, lambda state: self.saved.append(state.position))
        return Lane(work, Assigned(0, TERM, committed, state, digest), 1, {})


def part(start: int, stop: int, term: int = TERM) -> Part:
    lines = lines_of([heartbeat("2026-01-01T00:00:00Z")]) * stop
    (batch,) = decode(chunk_of(lines, start, stop), 1)
    return Part(term, 7, 2, batch)


def positions(folded: list[Folded]) -> list[int]:
    return [message.position for each in folded for message in each.outputs.streams["commands"]]


def test_a_part_past_the_committed_position_is_emitted_whole() -> None:
    (folded,) = Books().lane().obey(part(0, 4))
    assert positions([folded]) == [0, 1, 2, 3]
    assert [dead.position for dead in folded.outputs.dead_letters] == [0, 3]
    assert (folded.term, folded.chunk, folded.parts, folded.closing) == (TERM, 7, 2, False)


def test_what_was_committed_is_folded_again_and_not_emitted() -> None:
    books = Books()
    lane = books.lane(at=2, committed=6)
    assert lane.obey(part(2, 6)) == []
    assert positions(lane.obey(part(6, 8))) == [6, 7]
    assert books.folded == [2, 3, 4, 5, 6, 7]


def test_a_part_across_the_committed_position_is_trimmed() -> None:
    (folded,) = Books().lane(committed=4).obey(part(0, 7))
    assert positions([folded]) == [4, 5, 6]
    assert [dead.position for dead in folded.outputs.dead_letters] == [6]


def test_a_part_that_the_snapshot_holds_is_passed_over() -> None:
    books = Books()
    lane = books.lane(at=5, committed=5)
    assert lane.obey(part(0, 5)) == []
    assert books.folded == []


def test_a_part_half_in_the_snapshot_is_a_bug_of_the_source() -> None:
    with pytest.raises(AssertionError, match="across"):
        Books().lane(at=5, committed=5).obey(part(3, 8))


def test_an_item_of_another_term_is_a_bug() -> None:
    with pytest.raises(AssertionError, match="term 4"):
        Books().lane().obey(part(0, 1, term=4))


def test_folding_again_must_arrive_at_the_committed_digest() -> None:
    good, other = Books().lane(committed=4, digest=4), Books().lane(committed=4, digest=99)
    for lane in (good, other):
        assert lane.obey(part(0, 4)) == []
    assert positions(good.obey(part(4, 5))) == [4]
    with pytest.raises(StateError, match=r"^lane 0: folding up to position 4 gave other outputs"):
        other.obey(part(4, 5))


def test_the_digest_is_compared_at_the_end_of_the_input_too() -> None:
    lane = Books().lane(committed=4, digest=99)
    lane.obey(part(0, 4))
    with pytest.raises(StateError):
        lane.obey(EndOfInput(0, TERM))


def test_a_snapshot_and_a_revocation_save_the_lane_where_it_stands() -> None:
    books = Books()
    lane = books.lane()
    lane.obey(part(0, 4))
    assert lane.obey(SnapshotDue(0, TERM)) == []
    lane.obey(part(4, 5))
    assert lane.obey(Revoked(0, TERM)) == []
    assert books.saved == [4, 5]


def test_the_end_of_the_input_is_a_chunk_of_every_lane() -> None:
    (folded,) = Books().lane().obey(EndOfInput(0, TERM))
    assert folded.closing
    assert folded.parts == 1
    assert [message.value for message in folded.outputs.streams["profiles"]] == [b"end"]


def test_settings_of_a_lane_go_before_its_first_record_with_that_records_clock() -> None:
    tenants = {f"t{n}": parse_settings({"name": f"T{n}"}, "t") for n in range(40)}
    own = sorted(tenant for tenant in tenants if lane_of(tenant, 4) == 2)
    batch = settings_batch(2, 4, tenants, 1_000)
    assert batch is not None
    assert [event.tenant for event in batch.settings] == own
    assert batch.positions.tolist() == list(range(-len(own), 0))
    assert np.all(batch.appended_ms == 1_000)
    assert settings_batch(2, 4, {}, 1_000) is None
