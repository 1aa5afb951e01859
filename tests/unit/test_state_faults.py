"""Whatever happens to the files of a lane: a right start, or an error that says what to do."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import cycle
from pathlib import Path
from random import Random
from typing import Any

import pytest
from pyarrow import fs

import state.shelf
from state.lane import LaneState
from state.shelf import Shelf
from state.snapshots import SnapshotStore, StateError, Taken
from state.trust import LaneReport, verify
from tests.engine import ID_KEY
from tests.snapshots import FINGERPRINT, LINES, folded, restored, saved, whole

C = 121
STEPS = ("write base", "rename base", "write delta", "rename delta", "write manifest",
         "rename manifest")  # fmt: skip


def assert_right(lane: LaneState) -> None:
    """From here on the lane owes what a lane owes that was never stopped."""
    assert folded(lane, len(LINES)).digest == whole().digest


def verified(folder: Path) -> LaneReport:
    read: list[int] = []
    return verify(Shelf(str(folder)), 0, FINGERPRINT, read.append)


def remedies(folder: Path) -> Iterator[str]:
    """Tries to start, and does what the error says, until it may be started."""
    while (refused := refusal(folder)) is not None:
        yield refused
        found = re.search(r"^lane 0: cannot trust .*; remove (.+?) to ", refused)
        assert found is not None, refused
        for path in found[1].split():
            Path(path).unlink()


def refusal(folder: Path) -> str | None:
    """Why a start is refused."""
    try:
        restored(folder, C)
    except StateError as why:
        return str(why)
    return None


def a_life(folder: Path) -> list[Path]:
    """A lane's files after many snapshots, the ones that a start at C reads."""
    saved(folder, range(7, C + 1, 6))
    shelf = Shelf(str(folder))
    newest = shelf.manifest(0, shelf.positions(0)[-1])
    assert newest.deltas
    names = [file.name for file in newest.files]
    return [folder / "lane-0000" / name for name in names]


def flip(path: Path, chance: Random) -> None:
    content = bytearray(path.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def cut(path: Path, chance: Random) -> None:
    path.write_bytes(path.read_bytes()[: chance.randrange(path.stat().st_size)])


def take_away(path: Path, _: Random) -> None:
    path.unlink()


@pytest.mark.parametrize("harm", [flip, cut, take_away])
@pytest.mark.parametrize("kind", ["base", "delta", "manifest"])
def test_harm_to_a_file_is_told_and_its_remedy_is_a_longer_replay(
    tmp_path: Path, kind: str, harm: Any
) -> None:
    files = a_life(tmp_path)
    manifest = max((tmp_path / "lane-0000").glob("manifest-*"))
    path = {"base": files[0], "delta": files[-1], "manifest": manifest}[kind]
    assert verified(tmp_path).findings == []
    harm(path, Random(kind))
    if harm is not take_away or kind != "manifest":
        with pytest.raises(StateError, match=rf"^lane 0: cannot trust {path}: .*; remove "):
            restored(tmp_path, C)
        [finding] = verified(tmp_path).findings
        assert finding.what.startswith(f"cannot trust {path}: ")
    assert len([*remedies(tmp_path)]) <= 1
    lane = restored(tmp_path, C)
    assert 0 < lane.position < C
    assert verified(tmp_path).findings == []
    assert_right(lane)


def test_a_bit_flipped_in_any_file_is_found_by_verify_and_by_the_start_that_reads_it(
    tmp_path: Path,
) -> None:
    files = {*a_life(tmp_path), max((tmp_path / "lane-0000").glob("manifest-*"))}
    shelf, chance = Shelf(str(tmp_path)), Random(5)
    manifests = [shelf.manifest(0, position) for position in shelf.positions(0)]
    counted = {file.name for manifest in manifests for file in manifest.files}
    for path in sorted((tmp_path / "lane-0000").iterdir()):
        content = path.read_bytes()
        flip(path, chance)
        counts = path.name in counted or path.name.startswith("manifest-")
        assert bool(verified(tmp_path).findings) == counts, path.name
        if path in files:
            with pytest.raises(StateError, match="lane 0: cannot trust"):
                restored(tmp_path, C)
        else:
            assert restored(tmp_path, C).position == C
        path.write_bytes(content)


@pytest.mark.faults
@pytest.mark.parametrize("seed", range(5 if os.environ.get("FAULTS") == "short" else 100))
def test_any_harm_to_several_files_ends_in_a_right_start_by_remedies(
    tmp_path: Path, seed: int
) -> None:
    chance = Random(seed)
    saved(tmp_path, sorted(chance.sample(range(1, C + 1), chance.randint(2, 40))))
    paths = sorted((tmp_path / "lane-0000").iterdir())
    for path in chance.sample(paths, min(len(paths), chance.randint(1, 4))):
        chance.choice([flip, cut, take_away])(path, chance)
    for _ in remedies(tmp_path):
        continue
    assert_right(restored(tmp_path, C))


def test_with_every_base_harmed_the_remedy_leads_to_the_log_s_beginning(tmp_path: Path) -> None:
    a_life(tmp_path)
    for path in (tmp_path / "lane-0000").glob("base-*"):
        flip(path, Random(1))
    *_, last = remedies(tmp_path)
    assert "to fold the lane's log from its beginning, or restore a savepoint" in last
    lane = restored(tmp_path, C)
    assert lane.position == 0
    assert_right(lane)


def test_with_all_manifests_gone_the_log_is_folded_from_its_beginning(tmp_path: Path) -> None:
    a_life(tmp_path)
    for path in (tmp_path / "lane-0000").glob("manifest-*"):
        path.unlink()
    lane = restored(tmp_path, C)
    assert lane.position == 0
    assert_right(lane)


def test_a_damaged_older_snapshot_keeps_no_lane_from_being_saved(tmp_path: Path) -> None:
    store, lane = saved(tmp_path, range(7, 61, 6))
    for path in sorted((tmp_path / "lane-0000").glob("manifest-*"))[:-1]:
        flip(path, Random(path.name))
    for position in range(67, C + 1, 6):
        store.save(folded(lane, position))
    assert_right(restored(tmp_path, C))


def test_where_a_merge_finds_damage_the_next_snapshot_is_a_base_of_its_own(tmp_path: Path) -> None:
    store, lane = SnapshotStore(str(tmp_path), FINGERPRINT), LaneState(0, ID_KEY)
    store.write(store.take(folded(lane, 60)))
    [base] = (tmp_path / "lane-0000").glob("base-*")
    flip(base, Random(1))
    store.write(store.take(folded(lane, 90)))
    with pytest.raises(StateError, match=r"^lane 0: cannot trust .*base-.*a base of its own"):
        store.merge(0)
    assert store.save(folded(lane, C)).is_base
    assert_right(restored(tmp_path, C))


def test_after_a_save_that_failed_the_next_one_writes_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, lane = saved(tmp_path, [20, 40])
    files = _Failing("write delta", 1, errno.ENOSPC)
    with monkeypatch.context() as patched:
        patched.setattr(store._shelf, "_files", files)
        with pytest.raises(OSError, match="no more"):
            store.save(folded(lane, 60))
    assert store.save(folded(lane, 80)).is_base
    assert_right(restored(tmp_path, C))


class _Failing(fs.LocalFileSystem):  # type: ignore[misc]
    """A file system on which the n-th of a kind of step fails, half-way through a write."""

    def __init__(self, step: str, number: int, error: int) -> None:
        super().__init__()
        self.step, self.left, self.error = step, number, error

    def meet(self, step: str, path: str) -> None:
        if step.endswith(path.rpartition("/")[2].partition("-")[0]) and step == self.step:
            self.left -= 1
            if self.left <= 0:
                raise OSError(self.error, "no more", path)

    def open_output_stream(self, path: str, *args: Any, **kwargs: Any) -> Any:
        return _HalfWritten(self, path, super().open_output_stream(path, *args, **kwargs))

    def move(self, src: str, dest: str) -> None:
        self.meet(f"rename {kind_of(dest)}", dest)
        super().move(src, dest)


class _HalfWritten:
    def __init__(self, files: _Failing, path: str, stream: Any) -> None:
        self.files, self.path, self.stream = files, path, stream

    def __enter__(self) -> _HalfWritten:
        return self

    def __exit__(self, *error: object) -> None:
        self.stream.close()

    def write(self, content: Any) -> None:
        content = bytes(content)
        self.stream.write(content[: len(content) // 2])
        self.files.meet(f"write {kind_of(self.path)}", self.path)
        self.stream.write(content[len(content) // 2 :])


def kind_of(path: str) -> str:
    return path.rpartition("/")[2].partition("-")[0]


@pytest.mark.parametrize(("step", "error"), [*zip(STEPS, cycle(["ENOSPC", "EROFS"]), strict=False)])
def test_a_step_of_a_save_that_fails_leaves_the_snapshot_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, error: str
) -> None:
    saved(tmp_path, [20, 40])
    files = _Failing(step, 2 if "base" in step else 3, getattr(errno, error))
    with monkeypatch.context() as patched:
        patched.setattr(state.shelf, "_filesystem", lambda uri: (files, uri))
        store = SnapshotStore(str(tmp_path), FINGERPRINT)
        lane, reached = store.restore(0, ID_KEY, C), 40
        for position in range(43, C + 1, 3):
            try:
                store.save(folded(lane, position))
            except OSError:
                break
            reached = position
        assert reached < C - 3, "nothing failed"
    assert not [*tmp_path.rglob("*.part")]
    again = restored(tmp_path, C)
    # A merged base that could not be kept harms no snapshot: the one after which it was tried is.
    assert again.position in (reached, reached + 3)
    store = SnapshotStore(str(tmp_path), FINGERPRINT)
    lane = store.restore(0, ID_KEY, C)
    for position in range(lane.position + 1, C + 1, 2):
        store.save(folded(lane, position))
    assert_right(restored(tmp_path, C))


def test_a_base_whose_merge_was_cut_off_is_gone_with_the_next_base(tmp_path: Path) -> None:
    unused = merged_and_cut_off(tmp_path)
    goes_on(tmp_path, C)
    assert not unused.exists()
    assert verified(tmp_path).findings == []
    assert_right(restored(tmp_path, C))


def test_a_process_that_wakes_after_its_merge_does_without_a_base_that_is_gone(
    tmp_path: Path,
) -> None:
    store, lane = written(tmp_path, range(7, 61, 6))
    store.merge(0)
    taken = store.take(folded(lane, 66))
    before = {*(tmp_path / "lane-0000").glob("base-*")}
    goes_on(tmp_path, C)
    assert not before <= {*(tmp_path / "lane-0000").glob("base-*")}
    store.write(taken)
    assert verified(tmp_path).findings == []
    assert_right(restored(tmp_path, C))


def written(folder: Path, positions: Iterable[int]) -> tuple[SnapshotStore, LaneState]:
    """A lane saved at each position, and never merged."""
    store, lane = SnapshotStore(str(folder), FINGERPRINT), LaneState(0, ID_KEY)
    for position in positions:
        store.write(store.take(folded(lane, position)))
    return store, lane


def merged_and_cut_off(folder: Path) -> Path:
    """The base that a process has merged and died before it used it."""
    store, _ = written(folder, range(7, 61, 6))
    before = {*(folder / "lane-0000").glob("base-*")}
    store.merge(0)
    [unused] = {*(folder / "lane-0000").glob("base-*")} - before
    return unused


def goes_on(folder: Path, end: int) -> None:
    """The lane's next life, until it stands on another base."""
    store = SnapshotStore(str(folder), FINGERPRINT)
    lane = store.restore(0, ID_KEY, end)
    store.write(store.take(folded(lane, lane.position + 4)))
    store.merge(0)
    for position in range(lane.position + 4, end + 1, 8):
        store.write(store.take(folded(lane, position)))


@pytest.mark.parametrize("seed", range(3))
def test_a_process_that_wakes_and_writes_what_it_had_taken_harms_no_other_s_snapshots(
    tmp_path: Path, seed: int
) -> None:
    chance = Random(seed)
    store, lane = saved(tmp_path, [10])
    asleep = [zombie_of(tmp_path, 10, chance)]
    for position in range(12, C + 1, 2):
        store.save(folded(lane, position))
        if chance.random() < 0.3:
            asleep.append(zombie_of(tmp_path, position, chance))
        if asleep and chance.random() < 0.3:
            zombie, taken = asleep.pop(chance.randrange(len(asleep)))
            zombie.write(taken)
            if zombie.wants_merge(0):
                with suppress(StateError):  # its base may be gone: that is the zombie's affair
                    zombie.merge(0)
        assert restored(tmp_path, position).position == position
    assert_right(restored(tmp_path, C))


def zombie_of(folder: Path, position: int, chance: Random) -> tuple[SnapshotStore, Taken]:
    """A process that has folded a little further, taken a snapshot, and was stopped."""
    store = SnapshotStore(str(folder), FINGERPRINT)
    lane = store.restore(0, ID_KEY, position)
    return store, store.take(folded(lane, position + chance.randint(1, 9)))
