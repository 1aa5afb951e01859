"""Sort visits into days: those of one customer, branch and local day, in the order of their starts.

In:    n visits and whose they are
Out:   ``Days``
State: read only
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operators.bookings import runs_of
from schemas.batch import CONFIRMED, I4
from state.index import Rows
from state.lane import LaneState
from state.runs import begins


@dataclass(slots=True)
class Days:
    """n visits, day by day; days are in no order.

    ``line`` are their places in what was asked; ``first`` are where days begin: of visits that
    start at the same time, a booked one before an attended one, a live one before history's.
    """

    line: NDArray[np.intp]
    visit: Rows
    day: I4
    first: NDArray[np.intp]

    def several(self) -> dict[int, list[int]]:
        """The visits of days that have more than one, under the first."""
        return runs_of(self.visit, self.first)


def several_of(state: LaneState, owner: Rows, visit: Rows) -> dict[int, list[int]]:
    """``Days.several`` of these visits; most owners have one."""
    if np.bincount(owner).max(initial=0) <= 1:
        return {}
    return days_of(state, owner, visit).several()


def days_of(state: LaneState, owner: Rows, visit: Rows) -> Days:
    """The days of these visits, a line each; owners are small numbers."""
    visits = state.visits
    day = state.zones.day(state.places.zone[visits.place[visit]], visits.start_ms[visit])
    crowded = np.bincount(owner)[owner] > 1
    if not crowded.any():  # most have one, and a day with it
        every = np.arange(len(visit))
        return Days(every, visit, day, every)
    line = crowded.nonzero()[0]
    rows = visit[line]
    place = visits.place[rows]
    order = np.lexsort(
        (
            visits.key[rows],
            visits.imported[rows],
            visits.status[rows] > CONFIRMED,
            visits.start_ms[rows],
            day[line],
            place,
            owner[line],
        )
    )
    alone = (~crowded).nonzero()[0]
    first = np.ones(len(visit), np.bool_)
    first[len(alone) :] = begins(owner[line][order], place[order], day[line][order])
    line = np.concatenate([alone, line[order]])
    return Days(line, visit[line], day[line], first.nonzero()[0])
