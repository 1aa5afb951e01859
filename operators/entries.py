"""Fire ``segment_entered`` triggers: once per crossing, at the minute of the crossing.

In:    customers whose segment has just changed, from where, and when
Out:   decisions and commands
State: occasions, for as long as the same minute can come again, or the command be carried out
"""

from __future__ import annotations

import numpy as np

from operators.moments import Moment
from operators.owed import Due, Owed
from operators.segments import Codes
from operators.texts import minute_text, segment_text
from schemas.batch import I8
from schemas.keys import mix, row_keys, text_key
from schemas.settings import Trigger
from state.index import Rows
from state.lane import LaneState
from state.zones import MINUTE_MS


def enter(
    state: LaneState, owed: Owed, customers: Rows, before: Codes, made_ms: I8, moment: Moment
) -> None:
    """Asks for every trigger that these crossings set off; ``made_ms`` is when each happened.

    ``customers`` are distinct. A midnight may bring a hundred thousand: they are asked for at once.
    """
    lines, triggers = _set_off(state, customers, before)
    if not triggers:
        return
    chosen, made = customers[lines], made_ms[lines]
    minute = made - made % MINUTE_MS
    segment = state.customers.segment[chosen]
    crossing = (minute + segment).view(np.uint64)
    rules = np.array([text_key(trigger.id) for trigger in triggers], np.uint64)
    keys = row_keys(mix(state.customers.key[chosen], crossing), rules)
    rows, fresh = state.occasions.find_or_add(keys)
    new = np.flatnonzero(fresh)
    if not len(new):
        return
    chosen, rows = chosen[new], rows[new]
    minute = minute[new]
    dues = _dues(
        state, chosen, [triggers[at] for at in new.tolist()], made[new], moment, lines[new], rows
    )
    expires = np.array([due.expires_ms for due in dues], np.int64)
    state.occasions.start_ms[rows] = np.maximum(minute + MINUTE_MS, expires)
    owed.dues += dues


def _set_off(state: LaneState, customers: Rows, before: Codes) -> tuple[Rows, list[Trigger]]:
    """Places of the customers and, beside each, a trigger that its crossing sets off."""
    entries = state.tenants.triggers["segment_entered"].of
    tenants = state.customers.tenant[customers].tolist()
    segments = state.customers.segment[customers].tolist()
    lines: list[int] = []
    triggers: list[Trigger] = []
    for at, (tenant, left, segment) in enumerate(
        zip(tenants, before.tolist(), segments, strict=True)
    ):
        for trigger in entries[tenant]:
            entered = not trigger.segments or segment in trigger.segments
            if entered and (not trigger.from_segments or left in trigger.from_segments):
                lines.append(at)
                triggers.append(trigger)
    return np.array(lines, np.int32), triggers


def _dues(
    state: LaneState,
    customers: Rows,
    triggers: list[Trigger],
    made_ms: I8,
    moment: Moment,
    lines: Rows,
    marks: Rows,
) -> list[Due]:
    """``lines`` are the customers' places in ``moment``, ``marks`` the rows of their occasions."""
    dues = []
    for row, mark, trigger, customer, segment, made, now, position in zip(
        customers.tolist(),
        marks.tolist(),
        triggers,
        state.customers.id[customers].tolist(),
        state.customers.segment[customers].tolist(),
        made_ms.tolist(),
        moment.now_ms[lines].tolist(),
        moment.position[lines].tolist(),
        strict=True,
    ):
        minute = made - made % MINUTE_MS
        code = segment_text(segment)
        dues.append(
            Due(
                customer=row,
                trigger=trigger,
                occasion=f"segment:{customer.decode()}:{code}@{minute_text(minute)}",
                due_ms=minute,
                made_ms=made,
                now_ms=now,
                position=position,
                expires_ms=minute + (trigger.ttl_ms or 0),
                mark=mark,
            )
        )
    return dues
