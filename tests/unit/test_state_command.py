"""``flowsell state``: what is there is read and judged, kept elsewhere, and put back."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

import state.shelf
from flows.cli import run
from flows.engagement import fingerprint
from state import savepoints
from state.shelf import Mark, Shelf
from state.snapshots import SnapshotStore
from tests.engine import ID_KEY
from tests.snapshots import LINES, folded, whole

LANES = 4


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state of a deployment whose lanes 0 and 2 have been saved at 80 and at 100."""
    folder = tmp_path / "state"
    monkeypatch.setenv("FLOWSELL_STATE", folder.as_uri())
    monkeypatch.setenv("FLOWSELL_ID_KEY", ID_KEY.decode())
    monkeypatch.setenv("FLOWSELL_LANES", str(LANES))
    for lane in (0, 2):
        save(folder, lane, 80, 100)
    return folder


def save(folder: Path, lane: int, *positions: int) -> None:
    """Goes on with a lane from its last snapshot; lane 2 lives as lane 0 does."""
    store = SnapshotStore(str(folder), fingerprint(LANES, ID_KEY))
    found = store.restore(lane, ID_KEY, 10_000)
    for position in positions:
        as_lane_0 = found
        as_lane_0.lane = 0
        folded(as_lane_0, position)
        found.lane = lane
        store.save(found)


def answered(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any, str]:
    """The exit code, the JSON object, and stderr without the lines of progress."""
    capsys.readouterr()
    code = run(["state", *arguments, "--json"])
    out, said = capsys.readouterr()
    return code, json.loads(out) if out else None, said


def test_verify_tells_every_lane_s_position_age_and_size(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, told, said = answered(capsys, "verify")
    assert (code, said) == (0, "")
    assert told["trusted"] is True
    assert [lane["lane"] for lane in told["lanes"]] == [0, 2]
    for lane in told["lanes"]:
        files = [*(folder / f"lane-{lane['lane']:04d}").iterdir()]
        assert lane["position"] == 100
        assert lane["bytes"] == sum(file.stat().st_size for file in files)
        assert lane["snapshots"] == 2
        assert 0 <= lane["age_seconds"] < 3600
        assert lane["clock"] is not None
        assert lane["fingerprint"] == fingerprint(LANES, ID_KEY)
        assert lane["wrong"] == []


def test_verify_tells_people_the_same(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["state", "verify", str(folder)]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [(row[0], row[1], row[-1]) for row in rows[1:]] == [
        ("0", "100", "good"),
        ("2", "100", "good"),
    ]


def test_verify_ends_with_5_and_names_lane_file_and_remedy(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    [delta] = (folder / "lane-0002").glob("delta-*")
    delta.write_bytes(delta.read_bytes()[:-9])
    code, told, said = answered(capsys, "verify")
    assert code == 5
    assert said == "flowsell: 1 of 2 lanes cannot be trusted: [2]\n"
    good, bad = told["lanes"]
    assert good["wrong"] == []
    assert bad["position"] == 80
    [wrong] = bad["wrong"]
    assert wrong["what"].startswith(f"cannot trust {delta}: it has ")
    remedy = rf"remove {folder}/lane-0002/manifest-0*100\.json to start from position 80, with .*"
    assert re.fullmatch(remedy, wrong["remedy"])
    assert run(["state", "verify"]) == 5
    assert f"lane 2: {wrong['what']}\n  → {wrong['remedy']}\n" in capsys.readouterr().out


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(("name", "value"), [("ID_KEY", "another"), ("LANES", "5")])
def test_verify_finds_that_a_state_is_another_deployment_s(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: str,
) -> None:
    monkeypatch.setenv(f"FLOWSELL_{name}", value)
    code, told, _ = answered(capsys, "verify")
    assert code == 5
    for wrong in (wrong for lane in told["lanes"] for wrong in lane["wrong"]):
        assert f"another {name.lower()}" in wrong["what"]
        assert "under the FLOWSELL_ID_KEY and FLOWSELL_LANES" in wrong["remedy"]


def test_verify_finds_two_histories_that_are_mixed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shelf = Shelf(str(folder))
    forged = msgspec.structs.replace(shelf.manifest(0, 100), after=Mark(80, "0" * 16))
    shelf.publish(forged)
    code, told, _ = answered(capsys, "verify")
    assert code == 5
    assert "two histories" in told["lanes"][0]["wrong"][0]["what"]
    assert told["lanes"][0]["position"] == 80


def test_verify_finds_a_manifest_in_another_lane_s_folder(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shelf = Shelf(str(folder))
    name = f"manifest-{100:020d}.json"
    shelf.put_file(0, name, (folder / "lane-0002" / name).read_bytes())
    code, told, _ = answered(capsys, "verify")
    assert code == 5
    assert "it is of lane 2" in told["lanes"][0]["wrong"][0]["what"]


def test_a_format_of_a_newer_release_is_refused_and_says_so(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Later(msgspec.Struct):
        format: int = state.shelf.FORMAT + 1
        lanes: str = "as nobody knows them yet"

    shelf = Shelf(str(folder))
    shelf.put_file(0, f"manifest-{110:020d}.json", state.shelf._sealed(Later()))
    code, told, _ = answered(capsys, "verify")
    assert code == 5
    [wrong] = told["lanes"][0]["wrong"]
    assert "its format is 2, this release reads up to 1" in wrong["what"]
    assert wrong["remedy"] == "start the release that wrote it, or a newer one"
    shelf.put_note(savepoints.LISTING, Later())
    assert answered(capsys, "restore", str(folder))[0] == 5


def test_a_folder_without_snapshots_is_told_and_harmless(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["state", "verify", str(tmp_path / "nowhere")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'nowhere'} holds no snapshots\n"
    assert answered(capsys, "savepoint", str(folder))[0] == 2


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("command", ["verify", "savepoint", "restore"])
def test_a_uri_that_leads_nowhere_is_a_mistake_and_is_not_repeated(
    capsys: pytest.CaptureFixture[str], command: str
) -> None:
    code, _, said = answered(capsys, command, "ftp://user:secret@there/state")
    assert code == 2
    assert "file://, s3://, gs://" in said
    assert "secret" not in said


def test_a_key_in_a_uri_is_never_shown() -> None:
    uri = "s3://user:secret@bucket/state?endpoint_override=http://127.0.0.1:1&region=x"
    assert Shelf(uri).name == "s3://bucket/state"


def test_a_savepoint_put_in_place_gives_what_was_saved(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "kept"
    code, told, said = answered(capsys, "savepoint", str(kept))
    assert (code, said, told["lanes"]) == (0, "", {"0": 100, "2": 100})
    files = [path.stat().st_size for path in kept.glob("lane-*/*")]
    assert told["bytes"] == sum(files)
    assert answered(capsys, "verify", str(kept))[0] == 0
    folder.rename(tmp_path / "lost")
    code, told, said = answered(capsys, "restore", str(kept))
    assert (code, said, told["lanes"]) == (0, "", {"0": 100, "2": 100})
    assert answered(capsys, "verify")[0] == 0
    lane = SnapshotStore(str(folder), fingerprint(LANES, ID_KEY)).restore(0, ID_KEY, 100)
    assert lane.position == 100
    assert folded(lane, len(LINES)).digest == whole().digest


def test_a_savepoint_is_made_once_and_never_into_a_deployment_s_state(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert answered(capsys, "savepoint", str(tmp_path / "kept"))[0] == 0
    code, _, said = answered(capsys, "savepoint", str(tmp_path / "kept"))
    assert code == 2
    assert "holds a savepoint already" in said
    code, _, said = answered(capsys, "savepoint", str(folder))
    assert code == 2
    assert "holds the state of a deployment" in said


def test_newer_snapshots_in_place_are_removed_only_when_told_so(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = str(tmp_path / "kept")
    answered(capsys, "savepoint", kept)
    save(folder, 0, 110)
    save(folder, 3, 40)
    code, _, said = answered(capsys, "restore", kept)
    assert code == 2
    assert "holds newer snapshots in 2 lanes (lane 0 at 110); say --discard-newer" in said
    assert Shelf(str(folder)).positions(0)[-1] == 110
    assert answered(capsys, "restore", kept, "--discard-newer")[0] == 0
    code, told, _ = answered(capsys, "verify")
    assert code == 0
    assert [lane["position"] for lane in told["lanes"]] == [100, 100, None]


def test_a_snapshot_of_other_outputs_at_the_same_position_counts_as_newer(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = str(tmp_path / "kept")
    answered(capsys, "savepoint", kept)
    shelf = Shelf(str(folder))
    shelf.publish(msgspec.structs.replace(shelf.manifest(0, 100), digest="f" * 16))
    assert answered(capsys, "restore", kept)[0] == 2
    assert answered(capsys, "restore", kept, "--discard-newer")[0] == 0
    assert shelf.manifest(0, 100).digest != "f" * 16


@pytest.mark.parametrize("harm", ["file", "listing", "none"])
def test_a_savepoint_that_is_damaged_or_none_changes_nothing(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], harm: str
) -> None:
    kept = tmp_path / "kept"
    answered(capsys, "savepoint", str(kept))
    listing = kept / savepoints.LISTING
    if harm == "file":
        [path, *_] = kept.glob("lane-0002/*")
        path.write_bytes(path.read_bytes()[::-1])
    elif harm == "listing":
        listing.write_bytes(listing.read_bytes().replace(b"100", b"101"))
    else:
        listing.unlink()
    (folder / "lane-0000" / f"manifest-{100:020d}.json").unlink()
    code, _, said = answered(capsys, "restore", str(kept))
    assert code == 5
    assert said.count("\n") == 1
    assert ("another copy" in said) == (harm != "none")
    assert Shelf(str(folder)).positions(0) == [80]


@pytest.mark.usefixtures("folder")
def test_a_savepoint_of_another_key_is_refused(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answered(capsys, "savepoint", str(tmp_path / "kept"))
    monkeypatch.setenv("FLOWSELL_ID_KEY", "another")
    code, _, said = answered(capsys, "restore", str(tmp_path / "kept"))
    assert code == 5
    assert "lane 0: it was committed under another id_key" in said


class Died(Exception):
    pass


@pytest.mark.parametrize("step", range(12))
def test_a_copy_that_ends_in_mid_air_is_no_savepoint_and_can_be_made_again(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    step: int,
) -> None:
    kept, put, left = tmp_path / "kept", Shelf._put, step

    def dies(self: Shelf, path: str, content: Any) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Died
        put(self, path, content)

    for arguments in (("savepoint", str(kept)), ("restore", str(kept), "--discard-newer")):
        monkeypatch.setattr(Shelf, "_put", dies)
        try:
            assert run(["state", *arguments, "--json"]) == 0
        except Died:
            left = 99
            if arguments[0] == "savepoint":
                assert answered(capsys, "restore", str(kept))[0] == 5
            assert answered(capsys, "verify")[0] == 0
            assert run(["state", *arguments, "--json"]) == 0
        monkeypatch.setattr(Shelf, "_put", put)
        if arguments[0] == "savepoint":
            save(folder, 0, 110)
    lane = SnapshotStore(str(folder), fingerprint(LANES, ID_KEY)).restore(0, ID_KEY, 10_000)
    assert (lane.position, answered(capsys, "verify")[0]) == (100, 0)
