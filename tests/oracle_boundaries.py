"""The monetary boundaries of every tenant and day, worked out over the log's prefix.

Takes: record lines in log order
Out:   ``Follower``: the boundaries in force after each record
Source: P33 and P67 by nearest rank over customers with an attended visit in the window; a new one
        holds only where it differs by more than 5 %; under 300 customers, multiples of a check
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import polars as pl

from schemas.settings import TenantSettings
from tests.oracle import Sums
from tests.oracle_days import Midnight, days
from tests.oracle_ledger import Ledger

ENOUGH = 300


@dataclass
class Boundaries:
    """What is in force at one tenant, and what the last midnight saw."""

    sums: Sums | None = None
    crowd: int = 0
    check: int | None = None

    def fixed(self, rules: TenantSettings) -> Sums | None:
        """Of few customers: as many checks as visits make F 3 and F 2."""
        check = rules.average_check_minor or self.check
        often, repeated = rules.frequency
        return None if check is None else (often * check, repeated * check)

    def begin_day(self, ledger: Ledger) -> None:
        """A midnight, over the facts before it."""
        money = money_of_customers(ledger)
        self.crowd = len(money)
        self.check = median_check(ledger) if self.crowd < ENOUGH else None
        if ledger.rules.monetary is not None:
            self.sums = ledger.rules.monetary
        elif self.crowd < ENOUGH:
            self.sums = self.fixed(ledger.rules)
        else:
            fresh = rank(money, 67), rank(money, 33)
            held = self.sums
            self.sums = (
                fresh if held is None else (kept(held[0], fresh[0]), kept(held[1], fresh[1]))
            )

    def adopt(self, rules: TenantSettings) -> None:
        """New settings hold at once; tertiles wait for the next midnight."""
        if rules.monetary is not None:
            self.sums = rules.monetary
        elif self.crowd < ENOUGH:
            self.sums = self.fixed(rules)


class Follower:
    """Every tenant's boundaries, record by record, of a log in one lane."""

    def __init__(self, lines: Sequence[bytes], id_key: bytes) -> None:
        self._tenants: dict[str, Boundaries] = defaultdict(Boundaries)
        self._steps = days(lines, 1, id_key, self._begin)
        self._seen: dict[str, Sums | None] = {}
        self._next = next(self._steps, None)

    def after(self, position: int) -> dict[str, Sums | None]:
        """What is in force after the record at this position; asked for one after the other."""
        while self._next is not None and self._next.told.position <= position:
            told = self._next.told
            if told.tenant is not None and told.settings is not None:
                self._tenants[told.tenant].adopt(told.settings)
            self._seen = {tenant: each.sums for tenant, each in self._tenants.items()}
            self._next = next(self._steps, None)
        return self._seen

    def _begin(self, midnight: Midnight) -> None:
        self._tenants[midnight.ledger.tenant].begin_day(midnight.ledger)


def rank(sums: list[int], percent: int) -> int:
    """The nearest rank, ``x[ceil(p * n) - 1]``."""
    return sorted(sums)[ceil(percent * len(sums) / 100) - 1]


def kept(old: int, new: int) -> int:
    """The new one only if it differs by more than 5 %."""
    return new if 20 * abs(new - old) > abs(old) else old


def money_of_customers(ledger: Ledger) -> list[int]:
    """M of everybody who has an attended visit in the window."""
    visits = _inside(ledger)
    counts = ledger.today - pl.col("day") < ledger.rules.window_days
    payments = ledger.payments_frame().filter(counts)
    whose = visits.select("owner").unique()
    money = pl.concat([visits.select("owner", "money"), payments.select("owner", "money")])
    sums = whose.join(money, on="owner").group_by("owner").agg(pl.col("money").sum())
    return sums["money"].to_list()


def median_check(ledger: Ledger) -> int | None:
    """The lower median of the positive sums of visit days."""
    sums = _inside(ledger).group_by("owner", "day").agg(pl.col("money").sum())
    positive = sorted(sums.filter(pl.col("money") > 0)["money"].to_list())
    return positive[(len(positive) - 1) // 2] if positive else None


def _inside(ledger: Ledger) -> pl.DataFrame:
    ledger.expire()
    attended = ledger.visits_frame().filter(pl.col("status") == "attended")
    return attended.filter(pl.col("inside") & pl.col("owner").is_not_null())
