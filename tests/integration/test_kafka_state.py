"""The state of a flow on Kafka: verified, kept, put back, upgraded, and harmed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_kafka_trust import commit_again
from tests.kafka_flow import Engagement, wait_until
from tests.obligations import assert_exactly_once
from tests.recovery.log import life

FLOWSELL = str(Path(sys.executable).with_name("flowsell"))
OLDER = "tests.recovery.older"
NEVER = "600"
"""A snapshot cadence at which only drains save."""


def told(engagement: Engagement, *arguments: str) -> tuple[int, Any, str]:
    """The exit code, the JSON object and stderr of ``flowsell state``."""
    done = subprocess.run(
        [FLOWSELL, "state", *arguments, "--json"],
        env=os.environ | engagement.environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr


def lived(engagement: Engagement, seed: int, **how: Any) -> None:
    """A process folds a log, commits it, and drains."""
    process = engagement.start(**how)
    process.wait_started()
    engagement.append(life(600, seed))
    engagement.wait_committed()
    assert process.end() == 0, process.said


def cut_off(engagement: Engagement, seed: int, **how: Any) -> None:
    """The same, but it is killed, and nothing of it was saved."""
    process = engagement.start(**how)
    process.wait_started()
    engagement.append(life(600, seed))
    engagement.wait_committed()
    process.kill()


def assert_right(engagement: Engagement) -> None:
    """Whatever went before, a life more is folded and everything is there once."""
    lived(engagement, seed=9)
    owed = engagement.owed()
    assert owed.count("commands")
    assert_exactly_once(engagement.given(), owed)


def refused(engagement: Engagement) -> str:
    """The line of a start that is refused."""
    process = engagement.start()
    assert process.wait() == 5, process.said
    [line] = [line for line in process.said.splitlines() if line.startswith("flowsell:")]
    return line


def quietly(seconds: str) -> dict[str, Any]:
    """A process that saves at a drain only."""
    return {"runner": ("none", "before", "0", seconds)}


def test_a_savepoint_of_a_drained_flow_is_put_back_and_the_rest_is_folded_again(
    engagement: Engagement,
) -> None:
    kept = str(engagement.folder / "kept")
    lived(engagement, seed=3)
    code, listing, said = told(engagement, "savepoint", kept)
    assert (code, said) == (0, "")
    at = {lane: position for lane, (position, _) in engagement.committed().items()}
    assert {int(lane): position for lane, position in listing["lanes"].items()} == at
    lived(engagement, seed=4)
    engagement.state.rename(engagement.folder / "lost")
    assert told(engagement, "restore", kept)[0] == 0
    code, verified, _ = told(engagement, "verify")
    assert code == 0
    for lane in verified["lanes"]:
        assert lane["position"] == at[lane["lane"]] < lane["committed"]
    assert_right(engagement)


def test_a_savepoint_is_refused_until_the_flow_has_drained(engagement: Engagement) -> None:
    kept = str(engagement.folder / "kept")
    lived(engagement, seed=3)
    cut_off(engagement, seed=4, **quietly(NEVER))
    code, _, said = told(engagement, "savepoint", kept)
    assert code == 2
    assert "is committed" in said
    assert "SIGTERM" in said
    assert told(engagement, "savepoint", kept, "--lagging")[0] == 0
    engagement.state.rename(engagement.folder / "lost")
    assert told(engagement, "restore", kept)[0] == 0
    assert_right(engagement)


def test_verify_compares_with_what_is_committed(engagement: Engagement) -> None:
    lived(engagement, seed=3)
    code, verified, said = told(engagement, "verify")
    assert (code, said) == (0, "")
    committed = {lane: position for lane, (position, _) in engagement.committed().items()}
    stands = {lane["lane"]: (lane["position"], lane["committed"]) for lane in verified["lanes"]}
    assert stands == {lane: (at, at) for lane, at in committed.items()}
    engagement.state.rename(engagement.folder / "lost")
    code, verified, _ = told(engagement, "verify")
    assert code == 0  # the log is all there, and may be folded from its beginning
    assert {lane["position"] for lane in verified["lanes"]} == {None}
    engagement.delete_records(committed)
    code, verified, _ = told(engagement, "verify")
    assert code == 5
    for lane in verified["lanes"]:
        [wrong] = lane["wrong"]
        assert wrong["what"] == f"it has no snapshot, and its log begins at {lane['committed']}"


def test_verify_finds_that_other_outputs_were_committed(engagement: Engagement) -> None:
    lived(engagement, seed=3)
    commit_again(engagement, "0123456789abcdef")
    code, verified, _ = told(engagement, "verify")
    assert code == 5
    for lane in verified["lanes"]:
        [wrong] = lane["wrong"]
        assert "comes from other outputs than were committed there" in wrong["what"]


@pytest.mark.parametrize(
    "harm",
    [
        "base gone",
        pytest.param("manifests gone", marks=pytest.mark.faults),
        pytest.param("bit flipped", marks=pytest.mark.faults),
    ],
)
def test_a_lane_whose_files_were_harmed_starts_by_the_remedy_with_a_longer_replay(
    engagement: Engagement, harm: str
) -> None:
    lived(engagement, seed=3)
    lived(engagement, seed=4)
    folders = sorted(engagement.state.glob("lane-*"))
    for folder in folders:
        if harm == "manifests gone":
            max(folder.glob("manifest-*")).unlink()
            continue
        manifest = max(folder.glob("manifest-*")).read_text()
        found = re.search(r"base-[\w-]+\.arrows", manifest)  # a merge may have left a newer one
        assert found is not None
        base = folder / found[0]
        if harm == "base gone":
            base.unlink()
        else:
            content = bytearray(base.read_bytes())
            content[len(content) // 2] ^= 16
            base.write_bytes(content)
    for _ in folders if harm != "manifests gone" else []:
        line = refused(engagement)
        found = re.search(r"lane \d: cannot trust .*; remove (.+) to fold the lane's log", line)
        assert found is not None, line
        for path in found[1].split():
            Path(path).unlink()
    assert_right(engagement)


def test_a_state_of_an_older_release_is_taken_over_after_a_drain(engagement: Engagement) -> None:
    lived(engagement, seed=3, runner=(NEVER,), module=OLDER)
    code, verified, _ = told(engagement, "verify")
    assert code == 0
    assert {lane["fingerprint"]["fold"] for lane in verified["lanes"]} == {"1"}
    lived(engagement, seed=4)
    assert_right(engagement)
    code, verified, _ = told(engagement, "verify")
    assert code == 0
    assert "1" not in {lane["fingerprint"]["fold"] for lane in verified["lanes"]}


def test_a_state_of_an_older_release_that_did_not_drain_is_refused(engagement: Engagement) -> None:
    lived(engagement, seed=3, runner=(NEVER,), module=OLDER)
    cut_off(engagement, seed=4, runner=(NEVER,), module=OLDER)
    line = refused(engagement)
    assert "it was committed by fold 1" in line
    assert "SIGTERM" in line
    lived(engagement, seed=5, runner=(NEVER,), module=OLDER)
    assert_right(engagement)


@pytest.fixture
def disk(engagement: Engagement) -> Iterator[Callable[[str], None]]:
    """The state folder as a disk of its own, to be mounted again otherwise."""
    engagement.state.mkdir()
    folder = str(engagement.state)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "state", folder], check=False
    )
    if mounted.returncode:
        pytest.skip("a disk of a certain size takes the right to mount one")

    def again(how: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{how}", folder], check=True)

    yield again
    for process in engagement.processes:
        if process.is_running:
            process.kill()
    subprocess.run(["umount", folder], check=True)


@pytest.mark.faults
@pytest.mark.parametrize(("harmed", "why"), [("size=96k", "No space"), ("ro", "Read-only")])
def test_a_disk_that_is_full_or_read_only_ends_the_flow_and_nothing_is_lost(
    engagement: Engagement, disk: Callable[[str], None], harmed: str, why: str
) -> None:
    process = engagement.start(runner=("none", "before", "0", "0.1"))
    process.wait_started()
    engagement.append(life(200, seed=3))
    if harmed == "ro":
        wait_until(lambda: any(engagement.state.glob("lane-*/manifest-*")), 30)
    disk(harmed)
    more = life(20_000, seed=4)

    def has_ended() -> bool:
        engagement.append(islice(more, 20))
        return not process.is_running

    wait_until(has_ended, 120)
    assert process.wait() == 3, process.said
    [line] = [line for line in process.said.splitlines() if line.startswith("flowsell:")]
    assert line.startswith("flowsell: the state cannot be read or written")
    assert why in line
    assert told(engagement, "verify")[0] == 0
    disk("rw,size=64m")
    assert_right(engagement)
