"""Snapshots restore exactly what was saved, or say why they cannot."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyarrow import fs

import state.shelf
from state import savepoints, snapshots
from state.lane import LaneState
from state.shelf import Shelf
from state.snapshots import SnapshotStore, StateError
from tests.engine import ID_KEY
from tests.snapshots import FINGERPRINT, LINES, assert_equal, folded, restored, saved, whole


def test_a_restored_lane_holds_what_the_saved_one_held(tmp_path: Path) -> None:
    _, state = saved(tmp_path, [50, 80, 120])
    assert_equal(restored(tmp_path, 120), state)


@pytest.mark.parametrize("step", [4, 10])
def test_a_lane_restored_from_merged_bases_holds_what_the_saved_one_held(
    tmp_path: Path, step: int
) -> None:
    store, state = SnapshotStore(str(tmp_path), FINGERPRINT), LaneState(0, ID_KEY)
    shelf, bases = Shelf(str(tmp_path)), set()
    for position in range(step, len(LINES), step):
        store.save(folded(state, position))
        assert_equal(restored(tmp_path, position), state)
        bases.add(shelf.manifest(0, position).base.name)
    assert len(bases) > 2


def test_a_start_takes_the_newest_snapshot_that_is_not_past_the_commit(tmp_path: Path) -> None:
    saved(tmp_path, [50, 80, 120])
    assert restored(tmp_path, 119).position == 80
    assert restored(tmp_path, 80).position == 80
    assert restored(tmp_path, 49).position == 0


def test_a_later_save_writes_only_what_changed(tmp_path: Path) -> None:
    saved(tmp_path, [100, 101])
    base = next(tmp_path.glob("lane-0000/base-*")).stat().st_size
    delta = next(tmp_path.glob("lane-0000/delta-*")).stat().st_size
    assert delta < base


def test_two_bases_are_kept_and_older_files_go(tmp_path: Path) -> None:
    saved(tmp_path, range(5, 125, 2))
    shelf = Shelf(str(tmp_path))
    standing = {shelf.manifest(0, at).base.name for at in shelf.positions(0)}
    there = {entry.name for entry in shelf.entries(0) if entry.name.startswith("base-")}
    assert len(standing) == 2
    assert standing <= there
    assert len(there - standing) <= 1  # one that was merged, for the next save
    assert restored(tmp_path, 10_000).position == 123


def test_a_large_base_is_not_written_anew_for_a_few_deltas(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {"_SMALL_BYTES": 0, "_OUTGROWN": 100, "_DELTAS_PER_MERGE": 4, "_RUNS_PER_BASE": 3}
    for name, number in told.items():
        monkeypatch.setattr(snapshots, name, number)
    saved(tmp_path, range(1, 61))
    shelf, chains = Shelf(str(tmp_path)), []
    for position in shelf.positions(0):
        chains.append("".join(file.name[0] for file in shelf.manifest(0, position).files))
        state = restored(tmp_path, position)
        assert folded(state, len(LINES)).digest == whole().digest
    # A base, runs and deltas: what is merged stands in the next chain.
    first = chains.index("bd")
    assert chains[first : first + 17] == [
        *("bd", "bdd", "bddd", "bdddd", "brd", "brdd", "brddd", "brdddd", "brrd", "brrdd"),
        *("brrddd", "brrdddd", "brrrd", "brrrdd", "brrrddd", "brrrdddd", "bd"),
    ]


def test_whatever_is_kept_can_be_restored(tmp_path: Path) -> None:
    saved(tmp_path, range(5, 125, 2))
    positions = Shelf(str(tmp_path)).positions(0)
    assert len(positions) < 60
    for position in positions[::5]:
        state = restored(tmp_path, position)
        assert state.position == position
        assert folded(state, len(LINES)).digest == whole().digest


def test_where_files_are_put_and_not_renamed_all_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, _ = fs.FileSystem.from_uri("mock:///")  # Arrow's own, in memory
    monkeypatch.setattr(state.shelf, "_filesystem", lambda uri: (files, uri.lstrip("/")))
    _, lane = saved(tmp_path, range(5, 125, 4))
    assert_equal(restored(tmp_path, 124), lane)
    shelf, kept = Shelf(str(tmp_path)), Shelf(str(tmp_path / "kept"))
    assert len({shelf.manifest(0, position).base for position in shelf.positions(0)}) == 2
    listing = savepoints.make(shelf, kept, savepoints.newest(shelf), "2026-06-10", print)
    again = Shelf(str(tmp_path / "again"))
    savepoints.restore(kept, again, listing, savepoints.newer(listing, again), print)
    assert_equal(restored(tmp_path / "again", 124), lane)
    assert not any(tmp_path.iterdir())


def test_a_save_after_a_restore_goes_on_with_deltas(tmp_path: Path) -> None:
    saved(tmp_path, [100])
    store = SnapshotStore(str(tmp_path), FINGERPRINT)
    state = store.restore(0, ID_KEY, 100)
    assert not store.save(folded(state, 103)).is_base
    assert_equal(restored(tmp_path, 103), state)


@pytest.mark.parametrize("kind", ["base", "delta", "manifest"])
@pytest.mark.parametrize("damage", ["gone", "cut", "flipped"])
def test_a_damaged_file_is_an_error_that_names_lane_and_remedy(
    tmp_path: Path, kind: str, damage: str
) -> None:
    saved(tmp_path, [60, 90])
    folder = tmp_path / "lane-0000"
    path = max(folder.glob(f"{kind}-*"))
    content = path.read_bytes()
    if damage == "gone":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    else:
        middle = len(content) // 2
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    if kind == "manifest" and damage == "gone":
        assert restored(tmp_path, 90).position == 60
        return
    with pytest.raises(StateError, match=r"lane 0: .*remove .*manifest-0*90\.json"):
        restored(tmp_path, 90)
    (folder / f"manifest-{90:020d}.json").unlink()
    if kind != "base":
        assert restored(tmp_path, 90).position == 60


def test_another_id_key_or_lane_count_never_starts(tmp_path: Path) -> None:
    saved(tmp_path, [60])
    for other in ({"id_key": "z"}, {"lanes": "2"}):
        with pytest.raises(StateError, match=next(iter(other))):
            restored(tmp_path, 60, **other)


def test_another_fold_starts_only_where_nothing_is_replayed(tmp_path: Path) -> None:
    saved(tmp_path, [60])
    assert restored(tmp_path, 60, fold="2").position == 60
    with pytest.raises(StateError, match="SIGTERM"):
        restored(tmp_path, 61, fold="2")


def test_a_half_written_file_is_never_looked_at(tmp_path: Path) -> None:
    saved(tmp_path, [60])
    (tmp_path / "lane-0000" / f"manifest-{70:020d}.json.part").write_bytes(b"{")
    assert restored(tmp_path, 70).position == 60
