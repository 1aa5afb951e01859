"""Where reading of a topic begins for a store, and what of a slice is new to it."""

from __future__ import annotations

import pytest

from schemas.slices import Place, Slice, place_of
from sources.topics import start_of
from state.snapshots import StateError

PLACE = Place("segments", 3)


def test_a_place_is_kept_as_a_text_and_read_again() -> None:
    assert str(PLACE) == "segments/3"
    assert place_of("segments/3") == PLACE


@pytest.mark.parametrize(
    ("written", "log", "begins"),
    [(None, (0, 9), 0), (None, (4, 9), 4), (0, (0, 0), 0), (5, (4, 9), 5), (9, (4, 9), 9)],
)
def test_reading_begins_where_the_store_is_or_with_the_topic(
    written: int | None, log: tuple[int, int], begins: int
) -> None:
    assert start_of(PLACE, written, log, over_gaps=False) == begins


def test_messages_that_were_deleted_before_they_were_written_are_not_passed_over_in_silence() -> (
    None
):
    with pytest.raises(StateError, match=r"begins at 4, and was written up to 3.*--over-gaps"):
        start_of(PLACE, 3, (4, 9), over_gaps=False)
    assert start_of(PLACE, 3, (4, 9), over_gaps=True) == 4


def test_a_topic_that_ends_before_what_was_written_is_another_one() -> None:
    for over_gaps in (False, True):
        with pytest.raises(StateError, match=r"flowsell\.segments\.v1, partition 3: ends at 9"):
            start_of(PLACE, 10, (4, 9), over_gaps=over_gaps)


def test_of_a_slice_what_comes_from_an_offset_on_is_new() -> None:
    said = Slice(1, PLACE, [2, 3, 7, 8], [b"a", b"b", None, b"d"], 10)
    assert said.since(0) == [b"a", b"b", b"d"]
    assert said.since(3) == [b"b", b"d"]
    assert said.since(4) == [b"d"]
    assert said.since(9) == []
    assert Slice(1, PLACE, [], [], 10).since(0) == []
