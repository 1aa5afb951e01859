"""However the log is cut and whenever the lane is cleaned, the same visits are walk-ins."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators import crowds
from operators.decode import decode
from operators.fold import fold
from operators.prune import prune
from state.lane import LaneState
from state.tables import VACANT
from tests.engine import ID_KEY, Streams, chunk_of, comparable, pieces, run
from tests.logs import DAY, HOUR, MINUTE, SECOND, Record, card, heartbeat, lines_of, settings, visit
from tests.unit.test_house_numbers import HOUSE, NOON, OTHER, RULES, TENANT, ZONE, folded


class Log(list[Record]):
    def __repr__(self) -> str:
        return f"<log of {len(self)} records>"


def rushes(chance: Random, crowd: int) -> Log:
    """A house number's days with everything that may go wrong around them."""
    at, log = NOON, Log([RULES])
    size = chance.randrange(crowd, 8 * crowd)
    days = chance.choice(((0,), (0, 1), (0, -1, -8, 2)))
    window = chance.choice((365, 9))
    log[0] = settings(TENANT, at - DAY, timezone=ZONE, scoring={"window_days": window})
    calm, crm = chance.random() < 0.3, chance.choice((0.1, 0.7))
    for number in range(size):
        at += chance.choice((0, SECOND, SECOND, MINUTE, HOUR))
        which = chance.random() * (1 if not calm else 0.8)
        told: dict[str, Any] = {"phone": HOUSE, "starts_at": NOON + chance.choice(days) * DAY}
        told |= {"status": "attended", "amount_minor": chance.choice((0, 100, 700))}
        told |= {"version": chance.choice((at, at, at - HOUR, None))}
        name = f"v{number}"
        if which > 0.5:
            name = f"v{chance.randrange(number + 1)}"
        if chance.random() < crm:
            told["client"] = chance.choice(("crm-1", "crm-2", "crm-3", None))
        if which > 0.8:
            told["phone"] = chance.choice((HOUSE, OTHER, None))
        if which > 0.85:
            told["status"] = chance.choice(("cancelled", "booked", "no_show"))
        if which > 0.92:
            phone = chance.choice((HOUSE, OTHER, None))
            log.append(card(TENANT, at, f"crm-{chance.randrange(1, 4)}", version=at, phone=phone))
        elif which > 0.91:
            at += chance.choice((1, 1, 3)) * DAY
            log.append(heartbeat(at))
        elif which > 0.9:
            window = chance.choice((5, 365))
            log.append(settings(TENANT, at, timezone=ZONE, scoring={"window_days": window}))
        else:
            log.append(visit(TENANT, at, name, **told))
    log.append(heartbeat(at + DAY))
    return log


def standing(state: LaneState) -> list[tuple[Any, ...]]:
    """Whose every visit is."""
    visits = state.visits
    rows = visits.live()
    rows = rows[visits.status[rows] != VACANT]
    client = visits.client[rows]
    owner = np.where(client >= 0, state.clients.customer[client], -1)
    keys = np.where(owner >= 0, state.customers.key[owner], 0)
    columns = visits.key[rows].tolist(), keys.tolist(), visits.day[rows].tolist()
    return sorted(zip(*columns, strict=True))


@given(st.integers(0, 2**32), st.sampled_from((3, 30)), st.data())
def test_any_cutting_and_cleaning_has_the_same_walk_ins(
    seed: int, limit: int, data: st.DataObject
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crowds, "CROWD", limit)
        log = rushes(Random(seed), limit)
        lines = lines_of(log)
        cuts = data.draw(st.sets(st.integers(1, len(lines)), max_size=12))
        cleaned = data.draw(st.sets(st.sampled_from(sorted(cuts)))) if cuts else set()
        streams, state = Streams(), LaneState(0, id_key=ID_KEY)
        for start, stop in pieces(len(lines), cuts):
            if start in cleaned:
                prune(state, state.clock_ms)
            for batch in decode(chunk_of(lines, start, stop), 1):
                streams.add(fold(state, batch))
        whole = run(lines, ended=False)
        assert comparable(streams) == comparable(whole)
        single, _ = folded(lines, range(len(lines)))
        for each in single, state:
            prune(each, each.clock_ms)
        assert standing(single) == standing(state)
