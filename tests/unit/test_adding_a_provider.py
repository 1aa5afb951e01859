"""The provider that docs/adding-a-provider.md adds is read as its samples there say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "adding-a-provider.md").read_text(encoding="utf-8")

ADDED = """
import json, sys, types
import schemas.webhooks

code, entry, samples = sys.argv[1:]
module = types.ModuleType("schemas.webhooks.salonix")
sys.modules[module.__name__] = module
exec(code, module.__dict__)
schemas.webhooks.MODULES.update(eval("{" + entry + "}"))

from tests.unit.test_decode_samples import test_a_sample_says_what_its_file_tells as check

for case in json.loads(samples):
    check("salonix", case)
    print(case["case"])
"""


def test_the_provider_of_the_example_is_read_once_it_is_in_the_list() -> None:
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)
    code, entry = (text for language, text in blocks if language == "python")
    _, samples = (text for language, text in blocks if language == "json")
    added = subprocess.run(
        [sys.executable, "-c", ADDED, code, entry, samples],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert added.returncode == 0, added.stderr
    assert len(added.stdout.splitlines()) == 2
