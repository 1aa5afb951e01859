"""Compare customers who got messages with those who were held out: rates, money, and how sure.

In:    rows of ``uplift_monthly``, by tenant, month, trigger and variant
Out:   ``Uplift`` of each tenant and trigger: both arms, the differences with their 95 % intervals
Source: return rates by Newcombe's hybrid score interval (1998, method 10), as statsmodels has it;
        revenue per customer by Welch's unequal variances, from sums and sums of squares
"""

from __future__ import annotations

from collections.abc import Iterable
from math import sqrt
from typing import Literal, NamedTuple

import msgspec
from scipy.stats import t as student
from statsmodels.stats.proportion import confint_proportions_2indep

CONFIDENCE = 0.95
FEWEST_CUSTOMERS = 30
"""In either arm; with fewer no interval is worth reading."""
FEWEST_RETURNS = 10
"""In both arms together, and as many who did not return."""

Verdict = Literal["too_few", "more", "fewer", "unclear"]


class UpliftRow(msgspec.Struct, frozen=True):
    """A row of ``uplift_monthly``; ``revenue_squared`` is the sum of the customers' squares."""

    tenant: str
    month: str
    trigger: str
    variant: Literal["treated", "holdout"]
    customers: int
    returned: int
    revenue_minor: int
    revenue_squared: int


class Arm(NamedTuple):
    """One arm over all of its months; money in minor units."""

    customers: int = 0
    returned: int = 0
    revenue: int = 0
    revenue_squared: int = 0

    @property
    def rate(self) -> float:
        """The share of customers who returned; 0 of nobody."""
        return self.returned / self.customers if self.customers else 0.0

    @property
    def mean(self) -> float:
        """Revenue per customer; 0 of nobody."""
        return self.revenue / self.customers if self.customers else 0.0

    @property
    def variance(self) -> float:
        """Of revenue per customer, unbiased; of fewer than two customers 0."""
        if self.customers < 2:
            return 0.0
        # Exact until the last division: squares of money are large.
        deviations = self.customers * self.revenue_squared - self.revenue**2
        return deviations / (self.customers * (self.customers - 1))

    def plus(self, row: UpliftRow) -> Arm:
        """With one more month."""
        return Arm(
            self.customers + row.customers,
            self.returned + row.returned,
            self.revenue + row.revenue_minor,
            self.revenue_squared + row.revenue_squared,
        )


class Difference(NamedTuple):
    """Treated less holdout, and the interval; ``None`` where an arm is too small to have one."""

    value: float
    low: float | None
    high: float | None


class Uplift(NamedTuple):
    """One trigger of one tenant."""

    tenant: str
    trigger: str
    months: tuple[str, ...]
    treated: Arm
    holdout: Arm
    rate: Difference
    revenue: Difference
    verdict: Verdict


def uplifts(rows: Iterable[UpliftRow]) -> list[Uplift]:
    """By tenant and trigger, in that order; months add up."""
    arms: dict[tuple[str, str], dict[str, Arm]] = {}
    months: dict[tuple[str, str], set[str]] = {}
    for row in rows:
        key = row.tenant, row.trigger
        own = arms.setdefault(key, {})
        own[row.variant] = own.get(row.variant, Arm()).plus(row)
        months.setdefault(key, set()).add(row.month)
    found = []
    for (tenant, trigger), own in sorted(arms.items()):
        treated, holdout = own.get("treated", Arm()), own.get("holdout", Arm())
        rate = rate_difference(treated, holdout)
        verdict = judge(treated, holdout, rate)
        spent = revenue_difference(treated, holdout)
        told = tuple(sorted(months[tenant, trigger]))
        found.append(Uplift(tenant, trigger, told, treated, holdout, rate, spent, verdict))
    return found


def rate_difference(treated: Arm, holdout: Arm) -> Difference:
    """Of return rates; an interval wherever both arms have a customer."""
    value = treated.rate - holdout.rate
    if not (treated.customers and holdout.customers):
        return Difference(value, None, None)
    low, high = confint_proportions_2indep(
        treated.returned,
        treated.customers,
        holdout.returned,
        holdout.customers,
        method="newcomb",
        compare="diff",
        alpha=1 - CONFIDENCE,
    )
    return Difference(value, float(low), float(high))


def revenue_difference(treated: Arm, holdout: Arm) -> Difference:
    """Of revenue per customer; an interval wherever both arms have two customers who differ."""
    value = treated.mean - holdout.mean
    if min(treated.customers, holdout.customers) < 2:
        return Difference(value, None, None)
    parts = [arm.variance / arm.customers for arm in (treated, holdout)]
    if not sum(parts):
        return Difference(value, None, None)
    weights = zip(parts, (treated, holdout), strict=True)
    freedom = sum(parts) ** 2 / sum(part**2 / (arm.customers - 1) for part, arm in weights)
    reach = float(student.ppf((1 + CONFIDENCE) / 2, freedom)) * sqrt(sum(parts))
    return Difference(value, value - reach, value + reach)


def judge(treated: Arm, holdout: Arm, rate: Difference) -> Verdict:
    """What the return rates show; ``unclear`` where no difference is within the interval."""
    returned = treated.returned + holdout.returned
    stayed = treated.customers + holdout.customers - returned
    few = min(treated.customers, holdout.customers) < FEWEST_CUSTOMERS
    if few or min(returned, stayed) < FEWEST_RETURNS or rate.low is None or rate.high is None:
        return "too_few"
    return "more" if rate.low > 0 else "fewer" if rate.high < 0 else "unclear"
