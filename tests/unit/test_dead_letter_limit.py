"""When a replay stops for its input: more than a fifth of at least a hundred in a minute."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest

from flows.limit import DeadLetterLimit, TooManyDead
from operators.decode import decode
from tests.engine import chunk_of, pieces
from tests.logs import MINUTE, heartbeat, lines_of, ms, visit

START = ms("2026-11-20T10:00:00Z")
RUBBISH = b"{no json"


def good(count: int, minute: int = 0) -> list[bytes]:
    at = START + minute * MINUTE
    return lines_of(
        [visit("t1", at, f"{minute}-{n}", status="booked", starts_at=at) for n in range(count)]
    )


def limit_after(
    lines: Sequence[bytes], cuts: Iterable[int] | None = None, lanes: int = 4, committed: int = 0
) -> DeadLetterLimit:
    limit = DeadLetterLimit(committed)
    for start, stop in pieces(len(lines), cuts):
        limit.observe(decode(chunk_of(lines, start, stop), lanes))
    return limit


@pytest.mark.parametrize(
    ("alive", "dead", "is_broken"),
    [(79, 20, False), (80, 20, False), (79, 21, True), (60, 39, False), (61, 39, True)],
)
def test_a_minute_is_bad_over_a_fifth_of_at_least_a_hundred(
    alive: int, dead: int, is_broken: bool
) -> None:
    lines = [*good(alive), *[RUBBISH] * dead]
    assert limit_after(lines).broken(at_end=True) is is_broken


def test_a_minute_is_judged_when_it_is_over() -> None:
    open_minute = [*good(60), *[RUBBISH] * 60]
    assert not limit_after(open_minute).broken(at_end=False)
    assert limit_after([*open_minute, *good(1, minute=1)]).broken(at_end=False)
    assert not limit_after([*open_minute, *good(300)]).broken(at_end=True)


def test_rubbish_spread_over_minutes_is_within_the_limit() -> None:
    lines = [line for minute in range(50) for line in (*good(3, minute), *[RUBBISH] * 3)]
    assert not limit_after(lines).broken(at_end=True)


def test_a_file_of_nothing_but_rubbish_is_beyond_it() -> None:
    limit = limit_after([RUBBISH] * 100)
    assert limit.broken(at_end=True)
    with pytest.raises(TooManyDead, match=r"^more than 20 % are dead letters: 100 of 100 records$"):
        limit.check()


@pytest.mark.parametrize("step", [1, 7, 100])
def test_rubbish_before_the_first_time_is_of_that_minute(step: int) -> None:
    lines = [*[RUBBISH] * 21, *good(79, minute=7)]
    limit = limit_after(lines, cuts=range(step, len(lines), step))
    assert limit.remember() == limit_after(lines).remember()
    assert limit.broken(at_end=True)
    with pytest.raises(TooManyDead, match=r"21 of 100 records in the minute 2026-11-20T10:07Z"):
        limit.check()


def test_the_error_names_the_minute() -> None:
    limit = limit_after([*good(80, minute=7), *[RUBBISH] * 40])
    assert limit.broken(at_end=True)
    with pytest.raises(TooManyDead, match=r"40 of 120 records in the minute 2026-11-20T10:07Z"):
        limit.check()


def test_a_heartbeat_counts_once_though_it_reaches_every_lane() -> None:
    lines = [*lines_of([heartbeat(START)]) * 70, *[RUBBISH] * 30]
    assert limit_after(lines, lanes=16).broken(at_end=True)
    lines = [*lines_of([heartbeat(START)]) * 69, *[RUBBISH] * 30]
    assert not limit_after(lines, lanes=16).broken(at_end=True)


@pytest.mark.parametrize("step", [1, 7, 100])
def test_how_the_input_is_cut_makes_no_difference(step: int) -> None:
    lines = [*good(90), *[RUBBISH] * 22, *good(90, minute=1), *[RUBBISH] * 23, *good(1, minute=2)]
    whole = limit_after(lines)
    cut = limit_after(lines, cuts=range(step, len(lines), step))
    assert whole.broken(at_end=False)
    assert cut.remember() == whole.remember()


def test_what_was_counted_before_a_restart_counts_on() -> None:
    lines = [*good(80), *[RUBBISH] * 40]
    before = limit_after(lines[:90])
    after = DeadLetterLimit(committed=90)
    after.recall(before.remember())
    after.observe(decode(chunk_of(lines, 60, 120), 4))
    assert after.remember() == limit_after(lines).remember()
    assert after.broken(at_end=True)
