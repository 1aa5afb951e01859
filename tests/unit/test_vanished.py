"""What waits to be sent is not sent where its reason is gone by then."""

from __future__ import annotations

import numpy as np
import pytest

from operators.agenda import vanished
from operators.held import Waiting
from tests.agenda import START, came, lived, rule, rules
from tests.logs import DAY, HOUR, Record, visit
from tests.people import PHONE

MISSED = visit("t1", START, "v1", status="no_show", phone=PHONE, starts_at=START, version=1)
BOOKED = visit("t1", START + DAY, "v1", status="booked", phone=PHONE, starts_at=START, version=2)
NEWER = came(START + 30 * DAY, START + 30 * DAY, "v2")
THANKS, BACK = rule("after_visit", after="2h"), rule("winback", after_days=20)
AGAIN, LOST = rule("rebook", after_days=14), rule("no_show", after="1h")


@pytest.mark.parametrize(
    ("asks", "first", "then"),
    [
        (THANKS, came(START, START), came(START + DAY, START, version=2, status="cancelled")),
        (BACK, came(START, START), NEWER),
        (AGAIN, came(START, START), NEWER),
        (LOST, MISSED, BOOKED),
    ],
)
def test_the_reason_is_there_until_a_record_takes_it_away(
    asks: Record, first: Record, then: Record
) -> None:
    for records, gone in (((first,), False), ((first, then), True)):
        streams = lived(rules(asks), *records, until=START + 31 * DAY, step=12 * HOUR)
        (decision,) = streams.rows("decisions")[:1]
        state = streams.states[0]
        marks = state.occasions.live()
        marks = marks[state.occasions.state[marks] > 0][:1]
        who = np.flatnonzero(state.customers.known[: state.customers.rows]).astype(np.int32)
        now = np.array([state.clock_ms])
        assert decision["trigger"] == asks["id"]
        waiting = Waiting(who, marks, np.array([START]))
        assert vanished(state, waiting, now).tolist() == [gone]
