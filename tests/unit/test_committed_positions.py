"""What is committed beside a position, when a start is refused, and a dead letter's headers."""

from __future__ import annotations

import pytest

from schemas.batch import DeadLetter
from schemas.topics import ERROR_HEADER, MAX_MESSAGE_BYTES
from sinks.kafka import dead_letter_headers
from sources.group import Committed, refusal
from state.lane import LaneState
from state.pointer import Pointer, difference, pointer_text, read_pointer

OWN: dict[str, object] = {"fold": "7", "tzdata": "2026.6", "id_key": "a1", "lanes": "16"}


def test_a_pointer_is_read_as_it_was_written() -> None:
    text = pointer_text(OWN, (1 << 64) - 1)
    assert read_pointer(text) == Pointer(OWN, "ffffffffffffffff")


@pytest.mark.parametrize("text", [None, "", "moved by hand", "{}", "[1]"])
def test_a_position_that_another_tool_committed_has_no_pointer(text: str | None) -> None:
    assert read_pointer(text) is None


@pytest.mark.parametrize("name", ["id_key", "lanes"])
@pytest.mark.parametrize("is_drained", [True, False])
def test_another_id_key_or_lane_count_never_starts(name: str, is_drained: bool) -> None:
    assert name in difference(OWN | {name: "other"}, OWN, is_drained)


@pytest.mark.parametrize("name", ["fold", "tzdata"])
def test_another_version_starts_only_where_nothing_is_folded_again(name: str) -> None:
    assert difference(OWN | {name: "6"}, OWN, is_drained=True) == ""
    assert f"{name} 6" in difference(OWN | {name: "6"}, OWN, is_drained=False)


def state_at(position: int, digest: int = 5) -> LaneState:
    state = LaneState(0, b"key")
    state.position, state.digest = position, digest
    return state


@pytest.mark.parametrize(
    ("restored", "committed", "log", "why"),
    [
        (state_at(100), Committed(100, OWN, 5), (0, 200), ""),
        (state_at(90, digest=4), Committed(100, OWN, 5), (90, 200), ""),
        (state_at(100), Committed(100, None, None), (0, 200), ""),
        (state_at(0, digest=0), Committed(0, None, None), (0, 0), ""),
        (state_at(90, digest=4), Committed(100, OWN, 5), (91, 200), "begins at 91"),
        (state_at(0, digest=0), Committed(0, None, None), (1, 200), "begins at 1"),
        (state_at(100), Committed(100, OWN, 5), (0, 99), "ends at 99"),
        (state_at(100), Committed(100, OWN, 6), (0, 200), "other outputs"),
    ],
)
def test_a_restored_lane_goes_on_only_where_log_commit_and_snapshot_agree(
    restored: LaneState, committed: Committed, log: tuple[int, int], why: str
) -> None:
    said = refusal(restored, committed, log, OWN)
    assert (why in said) if why else said == ""


def test_a_dead_letter_keeps_the_record_s_headers_before_its_own() -> None:
    dead = DeadLetter((3 << 48) | 7, "decode", "json", "what was wrong", None, b"x")
    headers = dead_letter_headers(2, dead, [("traceparent", b"00"), ("empty", None)])
    assert headers[:2] == [("traceparent", b"00"), ("empty", None)]
    assert dict(headers)[f"{ERROR_HEADER}offset"] == b"7"
    assert dict(headers)[f"{ERROR_HEADER}partition"] == b"2"
    assert f"{ERROR_HEADER}truncated" not in dict(headers)


def test_a_dead_letter_that_leaves_no_room_for_its_headers_says_how_long_it_was() -> None:
    dead = DeadLetter(0, "decode", "size", "too big", None, bytes(MAX_MESSAGE_BYTES))
    headers = dict(dead_letter_headers(0, dead, None))
    assert headers[f"{ERROR_HEADER}truncated"] == str(MAX_MESSAGE_BYTES).encode()
