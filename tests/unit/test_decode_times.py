"""A written time means the same alone and among thousands."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.batch import NONE
from schemas.webhooks.times import instants, read_time, read_times, starts, walls, yyyymmdd
from tests.unit.decoding import ms

MANY = 200

DATES = ["2026-11-22", "2020-02-29", "2021-02-29", "1990-01-01", "1989-12-31", "2099-12-31"]
DATES += ["2100-01-01", "2026-13-01", "2026-00-10", "2026-04-31", "0000-00-00", "2026-1a-01"]
CLOCKS = ["00:00:00", "23:59:59", "24:00:00", "10:60:00", "10:00:61", "1x:00:00", "10-00:00"]
CLOCKS += ["10:00:60"]
ZONES = ["", "Z", ".123Z", "+0300", "-0330", "+03:00", "-11:00", "+24:00", "+0360", "z", ".12xZ"]
ZONES += ["+03-00", ".123+", ".1234", "Z\0", ".12Z", ".123+05:00", ".123456Z", "é0300"]

written = st.builds(
    lambda date, gap, clock, zone: f"{date}{gap}{clock}{zone}",
    st.sampled_from(DATES),
    st.sampled_from("T _"),
    st.sampled_from(CLOCKS),
    st.sampled_from(ZONES),
)


@given(st.lists(st.one_of(written, st.text(max_size=30)), min_size=1, max_size=12))
@settings(deadline=None)
def test_a_time_never_depends_on_its_neighbours(texts: Sequence[str]) -> None:
    many = list(texts) * MANY
    wall, offset = read_times(many)
    alone = [read_time(text) for text in many]
    assert list(zip(wall.tolist(), offset.tolist(), strict=True)) == alone


@pytest.mark.parametrize("count", [1, MANY])
@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-11-22T10:00:00.123Z", "2026-11-22T10:00:00.123Z"),
        ("2026-11-22T10:00:00Z", "2026-11-22T10:00:00Z"),
        ("2026-11-22T10:00:00+05:00", "2026-11-22T05:00:00Z"),
        ("2020-11-17T13:58:19+0300", "2020-11-17T10:58:19Z"),
        ("2026-11-22T10:00:00.123456-03:30", "2026-11-22T13:30:00.123Z"),
        ("2026-11-22t10:00:00z", "2026-11-22T10:00:00Z"),
        ("2026-11-22T10:00:00.123z", "2026-11-22T10:00:00.123Z"),
        ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59Z"),
        ("2017-01-01T02:59:60.5+03:00", "2016-12-31T23:59:59.500Z"),
        ("2026-11-22T10:00:61Z", None),
        ("2026-11-22T10:00:00", None),
        ("2026-02-29T10:00:00Z", None),
        ("1990-01-01T00:00:00Z", "1990-01-01T00:00:00Z"),
        ("1990-01-01T00:00:00+01:00", None),
        ("2099-12-31T23:59:59Z", "2099-12-31T23:59:59Z"),
        ("2099-12-31T23:59:59-01:00", None),
        ("", None),
        ("today", None),
        ("now", None),
    ],
)
def test_an_instant_needs_a_zone_and_a_year_from_1990_to_2099(
    text: str, instant: str | None, count: int
) -> None:
    expected = NONE if instant is None else ms(instant)
    assert instants([text] * count).tolist() == [expected] * count


def test_a_wall_clock_leaves_the_zone_out() -> None:
    texts = ["2020-11-21 16:00:00", "2020-11-21T16:00:00+03:00", "2020-11-21T16:00Z", "x"]
    wall = ms("2020-11-21T16:00:00")
    assert walls(texts).tolist() == [wall, wall, wall, NONE]


@pytest.mark.parametrize("count", [1, MANY])
def test_a_start_is_an_instant_or_a_wall_clock(count: int) -> None:
    start, local = starts(["2020-11-21T16:00:00", "2020-11-21T16:00:00+03:00", "x"] * count)
    assert start.tolist() == [NONE, ms("2020-11-21T13:00:00Z"), NONE] * count
    assert local.tolist() == [ms("2020-11-21T16:00:00"), NONE, NONE] * count


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1990-02-28", 19900228),
        ("2000-02-29", 20000229),
        ("1990-02-30", 0),
        ("1990-02-28 00:00:00", 19900228),
        ("0000-00-00", 0),
        ("", 0),
        (None, 0),
        (19900228, 0),
    ],
)
def test_a_birthday_is_a_number_or_0(text: object, number: int) -> None:
    assert yyyymmdd(text) == number
