"""Uplift says what the groups show, and says when they are too small to show anything."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ttest_ind

from flows.cli import run
from flows.uplift import rows_of_clickhouse, rows_of_folder
from flows.uplift_report import WIDTH, bar
from flows.uplift_statistics import (
    Arm,
    Difference,
    UpliftRow,
    judge,
    rate_difference,
    revenue_difference,
    uplifts,
)
from sinks.clickhouse_target import Embedded
from tests.clickhouse import warehouse

RUNS = 400


def arm(revenue: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Arm:
    """Customers by what each spent; who spent nothing did not return."""
    spent = [int(each) for each in revenue]
    returned = sum(each > 0 for each in spent)
    return Arm(len(spent), returned, sum(spent), sum(each**2 for each in spent))


def customers(
    chance: np.random.Generator, count: int, rate: float
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Some return, and what they spend is as uneven as money is."""
    spent = chance.lognormal(12, 0.6, count).astype(np.int64)
    return np.where(chance.random(count) < rate, spent, 0)


def row(variant: str, count: int, returned: int, **told: object) -> dict[str, object]:
    """A row as ``aggregates.ndjson`` has it."""
    body: dict[str, object] = {
        "tenant": "t1",
        "month": "2026-06",
        "trigger": "winback",
        "variant": variant,
    }
    body |= {"customers": count, "returned": returned, "revenue_minor": returned * 100_000}
    return {"table": "uplift_monthly", **body, "revenue_squared": returned * 10**10, **told}


def written(folder: Path, *rows: dict[str, object]) -> str:
    """A replay's folder with these rows, among others."""
    lines = [json.dumps(each) for each in ({"table": "visits_daily", "tenant": "t1"}, *rows)]
    (folder / "aggregates.ndjson").write_text("\n".join(lines) + "\n")
    return str(folder)


def test_the_interval_of_rates_is_that_of_newcombes_paper() -> None:
    """His example (a): 56 of 70 against 48 of 80, method 10: 0.0524 to 0.3339."""
    found = rate_difference(Arm(70, 56), Arm(80, 48))
    assert found.value == pytest.approx(0.2)
    assert found.low == pytest.approx(0.0524, abs=5e-5)
    assert found.high == pytest.approx(0.3339, abs=5e-5)


def test_the_interval_of_revenue_is_welchs_over_the_customers_themselves() -> None:
    chance = np.random.default_rng(7)
    treated, holdout = customers(chance, 230, 0.4), customers(chance, 41, 0.3)
    found = revenue_difference(arm(treated), arm(holdout))
    wanted = ttest_ind(treated, holdout, equal_var=False).confidence_interval(0.95)
    assert found.low == pytest.approx(wanted.low)
    assert found.high == pytest.approx(wanted.high)


def test_intervals_cover_a_planted_effect_in_at_least_nine_of_ten_groups() -> None:
    chance = np.random.default_rng(11)
    rates, money = 0, 0
    per_visit = np.exp(12 + 0.6**2 / 2)
    for _ in range(RUNS):
        treated, holdout = arm(customers(chance, 900, 0.4)), arm(customers(chance, 100, 0.35))
        rate, revenue = rate_difference(treated, holdout), revenue_difference(treated, holdout)
        rates += (rate.low or 0) <= 0.05 <= (rate.high or 0)
        money += (revenue.low or 0) <= 0.05 * per_visit <= (revenue.high or 0)
    assert rates >= 0.9 * RUNS
    assert money >= 0.9 * RUNS


def test_where_nothing_is_planted_few_groups_show_a_difference() -> None:
    chance = np.random.default_rng(13)
    shown = 0
    for _ in range(RUNS):
        treated, holdout = arm(customers(chance, 900, 0.35)), arm(customers(chance, 100, 0.35))
        verdict = judge(treated, holdout, rate_difference(treated, holdout))
        assert verdict != "too_few"
        shown += verdict != "unclear"
    assert shown <= 0.08 * RUNS


@pytest.mark.parametrize(
    ("treated", "holdout", "verdict"),
    [
        (Arm(1000, 500), Arm(100, 20), "more"),
        (Arm(1000, 200), Arm(100, 50), "fewer"),
        (Arm(1000, 350), Arm(100, 34), "unclear"),
        (Arm(1000, 350), Arm(29, 3), "too_few"),
        (Arm(1000, 9), Arm(1000, 0), "too_few"),
        (Arm(1000, 1000), Arm(1000, 991), "too_few"),
        (Arm(1000, 500), Arm(), "too_few"),
    ],
)
def test_a_verdict_needs_groups_that_are_large_enough(
    treated: Arm, holdout: Arm, verdict: str
) -> None:
    assert judge(treated, holdout, rate_difference(treated, holdout)) == verdict


def test_an_arm_of_nobody_has_no_interval() -> None:
    for found in (rate_difference(Arm(5, 2), Arm()), revenue_difference(Arm(5, 2, 10, 50), Arm())):
        assert (found.low, found.high) == (None, None)


def test_large_sums_of_squares_lose_nothing() -> None:
    """Two customers who spent 10**12 and 10**12 + 2 have a variance of 2."""
    spent = [10**12, 10**12 + 2]
    assert Arm(2, 2, sum(spent), sum(each**2 for each in spent)).variance == 2


def test_months_of_a_trigger_add_up() -> None:
    told = [("2026-06", "treated", 10), ("2026-07", "treated", 20), ("2026-07", "holdout", 5)]
    rows = [
        UpliftRow("t1", month, "winback", variant, n, 1, 7, 49)  # type: ignore[arg-type]  # of two
        for month, variant, n in told
    ]
    (found,) = uplifts(rows)
    assert found.months == ("2026-06", "2026-07")
    assert found.treated == Arm(30, 2, 14, 98)
    assert found.holdout == Arm(5, 1, 7, 49)


def test_the_last_row_of_a_key_counts_and_one_that_is_cut_short_does_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = written(tmp_path, row("treated", 5, 1), row("treated", 9, 2), row("holdout", 3, 1))
    with (tmp_path / "aggregates.ndjson").open("a") as file:
        file.write('{"table":"uplift_monthly","tenant":"t1"')
    assert run(["uplift", folder, "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["uplift"]
    assert found["treated"]["customers"] == 9
    assert (found["holdout"]["customers"], found["verdict"]) == (3, "too_few")


def test_tables_say_what_is_shown_and_what_is_too_small(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    rows = [row("treated", 1000, 500), row("holdout", 100, 20)]
    rows += [row(variant, 9, 3, trigger="bday") for variant in ("treated", "holdout")]
    assert run(["uplift", written(tmp_path, *rows)]) == 0
    told = capsys.readouterr().out
    assert "more come back" in told
    assert "too few to tell" in told
    assert "50.0 %" in told
    assert "+30.0 (" in told
    assert "●" in told


def test_one_tenant_and_one_month_can_be_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = written(
        tmp_path,
        row("treated", 5, 1),
        row("treated", 6, 1, month="2026-07"),
        row("treated", 7, 1, tenant="t2"),
    )
    assert run(["uplift", folder, "--tenant", "t1", "--month", "2026-07", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["uplift"]
    assert (found["tenant"], found["months"]) == ("t1", ["2026-07"])
    assert found["treated"]["customers"] == 6


def test_without_contacts_there_is_nothing_to_show(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["uplift", written(tmp_path)]) == 0
    assert "No contacts" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["folder", "--clickhouse"], ["nowhere"]])
def test_wrong_usage_is_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["uplift", *arguments]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_clickhouse_tells_the_same_as_the_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of squares that need more than 64 bits, and of what was told again later."""
    rows = [
        row("treated", 900, 400, position=6),
        row("treated", 1000, 500, position=7, revenue_squared=10**40 + 1),
        row("holdout", 100, 20, position=7, revenue_squared=2**64),
    ]
    folder = written(tmp_path, *rows)
    with warehouse(tmp_path / "ch") as made:
        made.add_lines("aggregates", [json.dumps(each).encode() for each in rows])
        made.flush()
    assert run(["uplift", folder, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    monkeypatch.setenv("FLOWSELL_CLICKHOUSE", f"chdb:{tmp_path / 'ch'}")
    assert run(["uplift", "--clickhouse", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == told
    (found,) = told["uplift"]
    assert (found["treated"]["customers"], found["verdict"]) == (1000, "more")
    exact = {each.variant: each.revenue_squared for each in rows_of_folder(tmp_path)}
    assert exact == {"treated": 10**40 + 1, "holdout": 2**64}
    target = Embedded(tmp_path / "ch")
    assert {each.variant: each.revenue_squared for each in rows_of_clickhouse(target)} == exact


def test_a_bar_shows_its_ends_its_value_and_the_zero() -> None:
    told = bar(Difference(0.1, 0.05, 0.15), 0.2)
    assert len(told) == WIDTH
    zero, low, value, high = (told.index(sign) for sign in "│├●┤")
    assert zero < low < value < high
    assert "┼" in bar(Difference(0.1, -0.1, 0.2), 0.2)
