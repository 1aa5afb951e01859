"""What is planted is found: by the fold's own rows, and as often as its intervals promise."""

from __future__ import annotations

import pytest

from tests.planted import LIVES, Tally, planted, tally
from tests.recovery.log import is_short

SEEDS = range(2 if is_short() else 10)
ALL_LIVES = 10 * LIVES
FAR = 5
"""Standard errors that chance does not bridge."""


def slack(share: float, lives: int) -> float:
    """What chance may add to a share of so few lives; of all two hundred nothing."""
    return FAR * (share * (1 - share) * lives) ** 0.5 if lives < ALL_LIVES else 0.0


def at_length(points: float) -> Tally:
    """Two hundred lives, or forty in short."""
    return tally([each for seed in SEEDS for each in planted(seed, points)], points)


def test_a_large_effect_is_found_where_it_was_planted() -> None:
    found = planted(1, 30.0, count=6)
    told = tally(found, 30.0)
    asked = sum(each.treated.customers for each in found)
    held_out = sum(each.holdout.customers for each in found)
    error = (0.25 / asked + 0.25 / held_out) ** 0.5
    back = sum(each.treated.returned for each in found) / asked
    anyway = sum(each.holdout.returned for each in found) / held_out
    assert told.lives == 6
    assert min(asked, held_out) > 400
    assert back - anyway == pytest.approx(0.3, abs=FAR * error)
    assert back - anyway > FAR * error


def test_where_nothing_was_planted_nothing_much_is_found() -> None:
    found = tally(planted(1, 0.0, count=6), 0.0)
    assert found.mean == pytest.approx(0.0, abs=0.15)
    assert found.shown < found.lives / 2


@pytest.mark.faults
@pytest.mark.timeout(3_600)
def test_intervals_cover_five_planted_points_in_nine_of_ten_lives() -> None:
    found = at_length(5.0)
    assert found.lives == len(SEEDS) * LIVES
    assert found.covered >= 0.9 * found.lives - slack(0.9, found.lives)
    assert found.mean == pytest.approx(0.05, abs=FAR * found.error)


@pytest.mark.faults
@pytest.mark.timeout(3_600)
def test_intervals_lack_the_zero_in_at_most_eight_of_a_hundred_lives_without_an_effect() -> None:
    found = at_length(0.0)
    assert found.lives == len(SEEDS) * LIVES
    assert found.shown <= 0.08 * found.lives + slack(0.08, found.lives)
    assert found.mean == pytest.approx(0.0, abs=FAR * found.error)
