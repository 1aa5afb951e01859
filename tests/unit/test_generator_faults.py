"""The generator's faults: each at its rate, poison always dead, the rest unharmed."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from random import Random

import numpy as np
import orjson
import pytest

from operators.decode import decode
from schemas.batch import Chunk, DeadLetter
from sources.generator import Faults, generate
from sources.poison import OVERSIZED_BYTES, SPOILS, decoy, oversized

POISON_ALONE = Faults(0.0, 0.0, 0.0, 0.0, poison=0.02, largest_tenant=0.0)
REPEATS_ALONE = Faults(0.02, 0.0, 0.0, 0.0, 0.0, 0.0)
DELAYS_ALONE = Faults(0.0, 0.05, 0.01, 0.001, 0.0, 0.0)


def dead_of(lines: list[bytes]) -> list[DeadLetter]:
    chunk = Chunk(-1, np.arange(len(lines), dtype=np.int64), None, lines)
    return [letter for batch in decode(chunk, 4) for letter in batch.dead_letters]


def parts(lines: list[bytes]) -> Counter[bytes]:
    """Bodies, which neither a repetition nor a delay changes; all are different in a quiet log."""
    return Counter(line[line.index(b'"body":') :] for line in lines if b'"body":' in line)


def test_records_come_again_about_as_often_as_asked() -> None:
    quiet, faulty = (list(generate(4, 900, 40, 3, faults)) for faults in (False, REPEATS_ALONE))
    before, after = parts(quiet), parts(faulty)
    assert set(before) == set(after)
    again = sum((after - before).values())
    assert again / sum(before.values()) == pytest.approx(0.02, abs=0.004)


def test_records_come_late_about_as_often_as_asked() -> None:
    times: list[dict[bytes, float]] = []
    for faults in (False, DELAYS_ALONE):
        at = {}
        for line in generate(4, 900, 40, 3, faults):
            if b'"data":' in line and b'"body":' in line:
                appended = line[line.index(b'"appended_at":"') + 15 :][:23]
                moment = datetime.fromisoformat(appended.decode())
                at[line[line.index(b'"body":') :]] = moment.timestamp()
        times.append(at)
    quiet, faulty = times
    late = [faulty[body] - quiet[body] for body in quiet if body in faulty]
    shares = [
        sum(low < each <= high for each in late) / len(late)
        for low, high in ((0.5, 61), (3_500, 86_500), (86_500, 7 * 86_500))
    ]
    assert shares[0] == pytest.approx(0.05, abs=0.01)
    assert shares[1] == pytest.approx(0.01, abs=0.005)
    assert 0 < shares[2] < 0.004


def test_poison_is_never_a_good_record_and_the_rest_is_unharmed() -> None:
    lines = list(generate(3, 300, 20, 3, POISON_ALONE))
    good = list(generate(3, 300, 20, 3))
    assert not any(b"\n" in line for line in lines)
    assert not parts(good) - parts(lines)
    assert len(dead_of(lines)) == len(lines) - len(good)
    assert len(dead_of(lines)) == pytest.approx(0.02 * len(good), rel=0.35)


@pytest.mark.parametrize("name", [*SPOILS, "oversized"])
def test_every_kind_of_poison_is_a_dead_letter(name: str) -> None:
    spoil = oversized if name == "oversized" else SPOILS[name]
    log = list(generate(4, 400, 20, 3))
    marks = (
        b'"resource":"record"', b'"recipient_id"', b'"id":"v-', b'"TableOrderUpdate"',
        b'"messageId"', b'"outgoingMessageStatus"',
    )  # fmt: skip
    lines = [next(line for line in log if mark in line) for mark in marks]
    for seed in range(12):
        for line in (*lines, decoy("t0001", 1_767_600_000_000, 1_767_600_000_005)):
            spoilt = spoil(line, Random(seed))
            assert spoilt != line
            assert len(dead_of([spoilt])) == 1, (name, spoilt[:300])


def test_oversized_bodies_are_few() -> None:
    faults = Faults(0.0, 0.0, 0.0, 0.0, poison=0.3)
    sizes = [len(line) for line in generate(2, 200, 20, 3, faults)]
    assert 1 <= sum(size > OVERSIZED_BYTES for size in sizes) <= 3


def test_one_tenant_has_about_a_third_of_the_traffic() -> None:
    tenants = Counter(
        orjson.loads(line).get("tenant")
        for line in generate(10, 4_000, 40, 3, Faults(0.0, 0.0, 0.0, 0.0, 0.0))
    )
    assert tenants["t0001"] / tenants.total() == pytest.approx(0.3, abs=0.08)
