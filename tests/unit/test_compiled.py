"""What is compiled is for speed alone: without it the same log gives the same outputs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks.workload import Load, Town, live, warmup
from operators.decode import decode
from operators.fold import fold
from state.lane import LaneState

ROOT = Path(__file__).parents[2]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
COMPILED = [each["name"] for each in SETTINGS["ext-modules"]]

CAN_COMPILE = (
    shutil.which("cc") is not None and Path(sysconfig.get_path("include"), "Python.h").exists()
)

WITHOUT = """
import sys
sys.modules.update(dict.fromkeys({compiled!r}))  # so that to import one is an ImportError
from tests.unit.test_compiled import digests
print(digests())
"""


def digests() -> list[int]:
    """Of the benchmarks' load, some of it with triggers, lane by lane."""
    load = Load(6_000, 600, lanes=2, runs=2, messages_each=1)
    town = Town(load)
    lanes = [LaneState(lane, b"key") for lane in range(load.lanes)]
    chunks = [*warmup(town), *live(town, 0), *live(town, 1)]
    for chunk in chunks:
        for batch in decode(chunk, load.lanes):
            fold(lanes[batch.lane], batch)
    return [lane.digest for lane in lanes]


@pytest.mark.skipif(not CAN_COMPILE, reason="there is no C compiler, or Python without headers")
@pytest.mark.parametrize("name", COMPILED)
def test_where_there_is_a_compiler_everything_is_compiled(name: str) -> None:
    spec = find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    assert spec.origin.endswith((".so", ".pyd"))


def test_every_compiled_module_may_be_absent() -> None:
    assert all(each["optional"] for each in SETTINGS["ext-modules"])
    assert {f"{name.replace('.', '/')}.pyx" for name in COMPILED} == {
        str(path.relative_to(ROOT)) for path in ROOT.glob("[a-z]*/*.pyx")
    }


def test_without_anything_compiled_the_outputs_are_the_same() -> None:
    script = WITHOUT.format(compiled=COMPILED)
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert json.loads(run.stdout) == digests()
