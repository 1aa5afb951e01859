"""Fill what a command tells of its customer into the params that ask for it.

In:    params with ``{favourite_service}``, ``{usual_interval_days}`` or ``{last_visit}`` in texts
Out:   the same with what is known of the customer; nothing where it is not
State: read only
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from operators.bookings import service_titles
from operators.crowds import inside
from operators.features import history_of
from operators.rebooks import NO_INTERVAL, usual_intervals
from schemas.batch import ATTENDED
from schemas.texts import day_text
from state.index import Rows
from state.lane import LaneState
from state.tables import NO_DAY

BLANKS = ("{favourite_service}", "{usual_interval_days}", "{last_visit}")


def has_blanks(value: object) -> bool:
    """Whether there is anything to fill in, in texts, lists or tables."""
    if isinstance(value, str):
        return any(blank in value for blank in BLANKS)
    if isinstance(value, dict):
        return any(map(has_blanks, value.values()))
    return isinstance(value, list | tuple) and any(map(has_blanks, value))


def fill(state: LaneState, customer: int, params: dict[str, Any], today: int) -> dict[str, Any]:
    """Params with every blank filled in as of the customer's day."""
    visits = _attended(state, customer, today)
    last = int(state.customers.last_day[customer])
    days = state.visits.day[visits]
    interval = int(usual_intervals(1, np.zeros(len(days), np.int32), days)[0])
    told = (
        favourite_service(state, visits),
        "" if interval == NO_INTERVAL else str(interval),
        "" if last == NO_DAY else day_text(last),
    )
    return {name: _filled(value, told) for name, value in params.items()}


def favourite_service(state: LaneState, visits: Rows) -> str:
    """The title that most of these visits name; of several the one of the latest visit."""
    times: Counter[str] = Counter()
    latest: dict[str, int] = {}
    table = state.visits
    for row in visits.tolist():
        word = table.services.item(row)
        for title in dict.fromkeys(service_titles(state, word)):
            times[title] += 1
            latest[title] = max(latest.get(title, 0), table.start_ms.item(row))
    return min(times, key=lambda title: (-times[title], -latest[title], title), default="")


def _attended(state: LaneState, customer: int, today: int) -> Rows:
    visits = state.visits
    rows = history_of(state, np.array([customer], np.int32)).visit
    rows = rows[visits.status[rows] == ATTENDED]
    window = state.tenants.window[state.customers.tenant[customer]]
    days = np.full(len(rows), today, np.int32)
    found: Rows = rows[inside(visits.day[rows], days, np.full(len(rows), window))]
    return found


def _filled(value: Any, told: tuple[str, ...]) -> Any:
    if isinstance(value, str):
        for blank, text in zip(BLANKS, told, strict=True):
            value = value.replace(blank, text)
        return value
    if isinstance(value, dict):
        return {name: _filled(each, told) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_filled(each, told) for each in value]
    return value
