"""Look for bytes that make decode raise, lose a record, or tell two things of the same record.

Takes: for how long, in seconds, and a folder for what it finds: ``python -m tests.fuzz.fuzz_decode
       60 /tmp/fuzz``
Out:   exit code 0 where nothing was found; else the bytes, in a file ``crash-...`` of the folder

Half of what atheris makes is a record as it is, begun from the samples; of the other half only the
choices are its own: which sample, in which place, is damaged with what.
"""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random

import atheris

with atheris.instrument_imports(include=["schemas", "operators"]):
    from operators.decode import decode
    from schemas.webhooks import usual

from tests.unit.damage import check, damaged, whole
from tests.unit.decoding import EVERYTHING, Json, chunk_of

usual.FEW = 2  # so that a record alone is read another way than among others

_WORDS: tuple[Json, ...] = (
    None, True, 0, -1, 2**63, 1e308, "", "x", "1", "nan", "2026-11-22T10:00:00Z", "BR.1", "delete",
    "a[b]=1", [], {}, [[]], [{}],
)  # fmt: skip
_SEEDS = [sample for sample in EVERYTHING if len(sample) < 2_000]


def lines_from(data: bytes) -> list[bytes]:
    """The records that some bytes stand for."""
    if data[:1] != b"!":
        return data.split(b"\n")
    chance = Random(data)
    return [damaged(chance, chance.choice(_WORDS)) for _ in range(4)]


def judge(data: bytes) -> None:
    """Raises where decode does, and where it is at fault."""
    lines = lines_from(data)
    batches = decode(chunk_of(lines), 3)
    check(lines, batches)
    alone = [batch for at, one in enumerate(lines) for batch in decode(chunk_of([one], at), 3)]
    assert whole(alone) == whole(batches)


def main(seconds: int, folder: Path) -> None:
    """Goes on until the time is over or something is found."""
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, sample in enumerate((*_SEEDS, b"!", b"!!", b"!!!")):
        Path(corpus, f"{number:03d}").write_bytes(sample)
    limits = [f"-max_total_time={seconds}", "-max_len=8192", "-timeout=20"]
    told = ["-print_final_stats=1", f"-artifact_prefix={folder}/"]
    atheris.Setup([sys.argv[0], *limits, *told, str(corpus)], judge)
    atheris.Fuzz()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
