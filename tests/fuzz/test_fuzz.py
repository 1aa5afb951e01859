"""Nothing that a fuzzer makes of records in a minute is lost by decode."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECONDS = 10 if os.environ.get("FAULTS") == "short" else 60


@pytest.mark.faults
@pytest.mark.skipif(
    find_spec("atheris") is None,
    reason="atheris is not installed: it has wheels for Linux on x86-64 alone",
)
def test_a_fuzzer_finds_no_record_that_decode_loses(tmp_path: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.fuzz_decode", str(SECONDS), str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS + 120,
        check=False,
    )
    print(found.stderr[-3_000:])
    assert found.returncode == 0, found.stderr[-3_000:]
    runs = [line for line in found.stderr.splitlines() if "number_of_executed_units" in line]
    assert int(runs[0].rsplit(maxsplit=1)[1]) > 100 * SECONDS // 10
