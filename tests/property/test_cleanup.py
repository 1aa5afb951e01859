"""Whether what is beyond its horizon has been freed, or not yet, no output can tell."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators import fold
from state.tenants import EVERYWHERE
from tests.engine import Streams, comparable, run
from tests.life import logs

ALWAYS, NEVER = 0, 1 << 62


def cleaned(
    lines: list[bytes],
    every_ms: int,
    cuts: set[int] | range,
    countries: frozenset[str] = EVERYWHERE,
) -> Streams:
    """A run that frees at most once in so many ms of the lane's clock."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fold, "_CLEAN_EVERY_MS", every_ms)
        return run(lines, cuts=cuts, countries=countries)


@given(logs())
def test_cleaning_up_before_every_record_and_never_give_the_same_bytes(lines: list[bytes]) -> None:
    always = cleaned(lines, ALWAYS, range(len(lines)))
    never = cleaned(lines, NEVER, set())
    assert comparable(always) == comparable(never)
    assert always.digests == never.digests


@given(logs(), st.data())
def test_cleaning_up_now_and_then_gives_the_same_bytes(
    lines: list[bytes], data: st.DataObject
) -> None:
    cuts = data.draw(st.sets(st.integers(1, len(lines)), max_size=8))
    now_and_then = cleaned(lines, ALWAYS, cuts)
    assert comparable(now_and_then) == comparable(cleaned(lines, NEVER, cuts))
