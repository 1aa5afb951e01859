"""Snapshots are written behind the worker's back, in their order, and failures are not lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flows.saving import Saver
from schemas.engines import EngineError
from state.lane import LaneState
from state.shelf import Shelf
from state.snapshots import Saved, SnapshotStore
from tests.engine import ID_KEY
from tests.snapshots import FINGERPRINT, LINES, assert_equal, folded, restored

C = 121


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """No file is kept before the event is set."""
    opened = threading.Event()
    put = Shelf.put_file

    def waits(self: Shelf, lane: int, name: str, content: Any) -> None:
        assert opened.wait(60)
        put(self, lane, name, content)

    monkeypatch.setattr(Shelf, "put_file", waits)
    yield opened
    opened.set()


def nothing_fails(failure: BaseException) -> None:
    raise failure


def a_saver(folder: Path, failed: Any = nothing_fails, **told: Any) -> Saver:
    return Saver(SnapshotStore(str(folder), FINGERPRINT), failed, **told)


def test_a_lane_that_is_being_saved_goes_on_and_the_snapshot_is_of_before(
    tmp_path: Path, gate: threading.Event
) -> None:
    saver, lane = a_saver(tmp_path), folded(LaneState(0, ID_KEY), 60)
    saver.save(lane)
    folded(lane, C)
    assert restored(tmp_path, C).position == 0
    gate.set()
    saver.finish()
    assert_equal(restored(tmp_path, C), folded(LaneState(0, ID_KEY), 60))
    saver.close()


def test_a_save_now_returns_once_it_can_be_restored(tmp_path: Path) -> None:
    saver, lane = a_saver(tmp_path), LaneState(0, ID_KEY)
    for position in range(20, C, 20):
        saver.save_now(folded(lane, position))
        assert restored(tmp_path, C).position == position
    saver.close()


def test_a_restore_waits_for_what_is_being_written(tmp_path: Path, gate: threading.Event) -> None:
    saver = a_saver(tmp_path)
    saver.save(folded(LaneState(0, ID_KEY), 60))
    threading.Timer(0.1, gate.set).start()
    assert saver.restore(0, ID_KEY, C).position == 60
    saver.close()


def test_bases_are_merged_and_every_snapshot_is_told(tmp_path: Path) -> None:
    told: list[tuple[int, Saved]] = []
    saver = a_saver(tmp_path, observe=lambda lane, saved: told.append((lane, saved)))
    lane = LaneState(0, ID_KEY)
    positions = range(5, len(LINES), 5)
    for position in positions:
        saver.save(folded(lane, position))
    saver.finish()
    saver.close()
    assert [(n, saved.position, saved.is_base) for n, saved in told] == [
        (0, position, position == 5) for position in positions
    ]
    shelf = Shelf(str(tmp_path))
    bases = {shelf.manifest(0, position).base.name for position in shelf.positions(0)}
    assert len(bases) == 2
    assert_equal(restored(tmp_path, len(LINES)), lane)


def test_a_write_that_fails_is_told_at_once_and_raised_by_the_next_call(tmp_path: Path) -> None:
    folder, told = tmp_path / "state", threading.Event()
    saver, lane = a_saver(folder, lambda _: told.set()), folded(LaneState(0, ID_KEY), 60)
    folder.write_text("in the way")
    saver.save(lane)
    assert told.wait(60)
    for call in (saver.finish, lambda: saver.save_now(lane)):
        with pytest.raises(EngineError, match="the state cannot be read or written"):
            call()
    saver.close()


def test_a_merge_that_fails_is_logged_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(SnapshotStore, "merge", fails)
    saver, lane = a_saver(tmp_path), LaneState(0, ID_KEY)
    for position in range(5, len(LINES), 5):
        saver.save(folded(lane, position))
    saver.finish()
    saver.close()
    assert "bases not merged" in capsys.readouterr().out
    assert_equal(restored(tmp_path, len(LINES)), lane)
