"""Columns of instants and wall clocks convert as zoneinfo converts them one by one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from schemas.zones import zone as rules_of
from state.zones import Zones

NAMES = ("Asia/Almaty", "Europe/Moscow", "Europe/Berlin", "America/New_York", "Africa/Casablanca")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
seconds = st.integers(631_200_000, 4_102_000_000)
near_changes = st.builds(
    lambda day, hour: day * 86_400 + hour * 1_800,
    st.sampled_from([19_813, 19_812, 20_177, 20_541, 20_388, 19_691, 20_055]),
    st.integers(-10, 60),
)
_ZONES = Zones()


@given(st.sampled_from(NAMES), seconds | near_changes)
def test_a_wall_clock_is_what_zoneinfo_says(name: str, second: int) -> None:
    told = (EPOCH + timedelta(seconds=second)).astimezone(rules_of(name)).replace(tzinfo=UTC)
    code = np.array([_ZONES.code(name)], np.int32)
    local = _ZONES.to_local(code, np.array([second * 1000]))
    assert local[0] == int((told - EPOCH).total_seconds()) * 1000


@given(st.sampled_from(NAMES), seconds | near_changes)
def test_an_instant_is_what_zoneinfo_says_also_in_gaps_and_hours_told_twice(
    name: str, second: int
) -> None:
    naive = (EPOCH + timedelta(seconds=second)).replace(tzinfo=rules_of(name))
    code = np.array([_ZONES.code(name)], np.int32)
    instant = _ZONES.to_instant(code, np.array([second * 1000]))
    assert instant[0] == int(naive.timestamp()) * 1000


def test_a_column_may_mix_zones() -> None:
    codes = np.array([_ZONES.code(name) for name in NAMES], np.int32)
    noon = np.full(len(NAMES), 1_781_524_800_000)  # 2026-06-15 12:00 UTC
    hours = (_ZONES.to_local(codes, noon) - noon) // 3_600_000
    assert hours.tolist() == [5, 3, 2, -4, 1]
