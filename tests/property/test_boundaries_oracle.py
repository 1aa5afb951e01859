"""The monetary boundaries of every day against an oracle over the log's prefix at each midnight."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.crowd import crowd
from tests.engine import ID_KEY, Streams, run, watch
from tests.life import logs
from tests.logs import lines_of
from tests.oracle import Sums
from tests.oracle_boundaries import Follower


def assert_boundaries(lines: list[bytes]) -> dict[str, list[Sums | None]]:
    """After every record, what the fold has is what the oracle has; tells what each tenant had."""
    follower = Follower(lines, ID_KEY)
    had: dict[str, list[Sums | None]] = {}
    for position, boundaries in watch(lines, Streams.boundaries):
        for tenant, sums in follower.after(position).items():
            assert boundaries[tenant] == sums, (position, tenant)
            story = had.setdefault(tenant, [])
            if not story or story[-1] != sums:
                story.append(sums)
    return had


@given(logs())
def test_the_boundaries_of_small_businesses_are_those_of_the_prefix(lines: list[bytes]) -> None:
    assert_boundaries(lines)


@settings(max_examples=settings().max_examples // 4)
@given(st.integers(0, 2**32))
def test_the_boundaries_of_large_businesses_are_those_of_the_prefix(seed: int) -> None:
    assert_boundaries(lines_of(crowd(Random(seed))))


def test_a_large_business_keeps_its_boundaries_until_they_differ_by_more_than_5_percent() -> None:
    told = [lines_of(crowd(Random(seed))) for seed in range(3)]
    stories = [had for lines in told for had in assert_boundaries(lines).values()]
    assert max(map(len, stories)) >= 3
    assert run(told[0]).rows("segments")
