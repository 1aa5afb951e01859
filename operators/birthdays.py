"""Tell when customers' birthdays are greeted.

In:    customers and the birthdays that their cards tell, yyyymmdd
Out:   ``Coming``: days before birthdays, at a local time: the last ones and the next
State: read only
"""

from __future__ import annotations

import numpy as np

from operators.coming import Coming, coming, customer_marks
from schemas.batch import I4, I8
from state.index import Rows
from state.lane import LaneState
from state.zones import DAY_MS, MINUTE_MS

_SALT = np.uint64(0x62697274682D2D2D)
_YEARS = np.array((-1, 0, 1))


def birthday_days(years: I8, birthday: I4) -> I8:
    """Days since 1970-01-01 of the birthdays in these years; 29 February falls back to the 28th."""
    month, day = birthday // 100 % 100, birthday % 100
    leap = (years % 4 == 0) & ((years % 100 != 0) | (years % 400 == 0))
    day = np.where((month == 2) & (day == 29) & ~leap, 28, day)
    months = ((years - 1970) * 12 + month - 1).astype("M8[M]")
    found: I8 = months.astype("M8[D]").astype(np.int64) + day - 1
    return found


def birthdays(
    state: LaneState, customers: Rows, birthday: I4, today: I4, forgotten_days: int
) -> Coming:
    """Occasions around the tenant-local ``today``; the subject is the year of the birthday.

    Those that were due more than ``forgotten_days`` before ``today`` are left out, or nearly all.
    """
    rules = state.tenants.triggers["birthday"]
    told = birthday.nonzero()[0]
    tenants = state.customers.tenant[customers[told]]
    line, slot = rules.each(tenants)
    ahead = rules.column("days_before")[tenants[line], slot]
    this = (today[told[line]] + ahead).astype("M8[D]").astype("M8[Y]").astype(np.int64) + 1970
    years = np.add.outer(_YEARS, this).ravel()
    line, slot, ahead = (np.tile(each, len(_YEARS)) for each in (line, slot, ahead))
    day = birthday_days(years, birthday[told[line]]) - ahead
    open_ = (day >= today[told[line]] - forgotten_days - 2).nonzero()[0]  # wherever on Earth
    line, slot, years = line[open_], slot[open_], years[open_]
    owner, tenant = told[line], tenants[line]
    local = day[open_] * DAY_MS + rules.column("at_minute")[tenant, slot] * MINUTE_MS
    due = state.zones.to_instant(state.tenants.zone[tenant], local)
    mark = customer_marks(state, customers[owner], _SALT, years, rules.key[tenant, slot])
    return coming(owner, slot, due, years, mark)
