"""What is planted is found: by the fold's own rows, and as often as its intervals promise."""

from __future__ import annotations

import pytest

from tests.planted import planted, tally
from tests.recovery.log import is_short

FEW = range(4)
MANY = range(30 if is_short() else 200)
FAR = 5
"""Standard errors that chance does not bridge."""


def test_a_large_effect_is_found_where_it_was_planted() -> None:
    found = [planted(seed, 30.0) for seed in FEW]
    treated, holdout = ([getattr(each, arm) for each in found] for arm in ("treated", "holdout"))
    back, anyway = (
        sum(arm.returned for arm in arms) / sum(arm.customers for arm in arms)
        for arms in (treated, holdout)
    )
    asked, held_out = (sum(arm.customers for arm in arms) for arms in (treated, holdout))
    error = (back * (1 - back) / asked + anyway * (1 - anyway) / held_out) ** 0.5
    assert min(asked, held_out) > 300
    assert back - anyway == pytest.approx(0.3, abs=FAR * error)
    assert back - anyway > FAR * error


def test_where_nothing_was_planted_nothing_much_is_found() -> None:
    found = tally(FEW, 0.0)
    assert found.mean == pytest.approx(0.0, abs=0.15)
    assert found.shown < found.seeds


@pytest.mark.faults
@pytest.mark.timeout(3_600)
def test_intervals_cover_five_planted_points_in_nine_of_ten_lives() -> None:
    found = tally(MANY, 5.0)
    assert found.covered >= 0.9 * found.seeds
    assert found.mean == pytest.approx(0.05, abs=FAR * found.error)


@pytest.mark.faults
@pytest.mark.timeout(3_600)
def test_intervals_lack_the_zero_in_at_most_eight_of_a_hundred_lives_without_an_effect() -> None:
    found = tally(MANY, 0.0)
    assert found.shown <= 0.08 * found.seeds
    assert found.mean == pytest.approx(0.0, abs=FAR * found.error)
