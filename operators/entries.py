"""Fire ``segment_entered`` triggers: once per crossing, at the minute of the crossing.

In:    customers whose segment has just changed, from where, and when
Out:   decisions and commands
State: occasions, for as long as the same minute can come again, or the command be carried out
"""

from __future__ import annotations

import numpy as np

from operators.decide import Due, decide
from operators.owed import Owed
from operators.reminders import Moment
from operators.segments import Codes
from operators.texts import minute_text, segment_text
from schemas.batch import I8, NONE
from schemas.keys import mix, row_keys, text_key
from schemas.settings import Trigger
from state.index import Rows
from state.lane import LaneState
from state.tables import DECIDED, SENT
from state.zones import MINUTE_MS


def enter(
    state: LaneState, owed: Owed, customers: Rows, before: Codes, made_ms: I8, moment: Moment
) -> None:
    """Decides every trigger that these crossings set off; ``made_ms`` is when each happened."""
    tenants = state.customers.tenant[customers]
    for at, tenant in enumerate(tenants.tolist()):
        triggers = state.tenants.entries[tenant]
        if not triggers:
            continue
        segment = int(state.customers.segment[customers[at]])
        for trigger in triggers:
            if _set_off(trigger, int(before[at]), segment):
                _enter_one(state, owed, int(customers[at]), trigger, int(made_ms[at]), moment, at)


def _set_off(trigger: Trigger, before: int, segment: int) -> bool:
    entered = not trigger.segments or segment in trigger.segments
    return entered and (not trigger.from_segments or before in trigger.from_segments)


def _enter_one(
    state: LaneState,
    owed: Owed,
    customer: int,
    trigger: Trigger,
    made_ms: int,
    moment: Moment,
    at: int,
) -> None:
    segment = int(state.customers.segment[customer])
    minute = made_ms - made_ms % MINUTE_MS
    occasions = state.occasions
    crossing = np.array([minute + segment], np.uint64)
    rule = np.array([text_key(trigger.id)], np.uint64)
    key = row_keys(mix(state.customers.key[[customer]], crossing), rule)
    rows, fresh = occasions.find_or_add(key)
    if not fresh[0]:
        return
    identity = state.customers.id[customer].decode()
    ttl = trigger.ttl_ms if trigger.ttl_ms is not None else 0
    due = Due(
        trigger=trigger,
        occasion=f"segment:{identity}:{segment_text(segment)}@{minute_text(minute)}",
        due_ms=minute,
        made_ms=made_ms,
        now_ms=int(moment.now_ms[at]),
        position=int(moment.position[at]),
        expires_ms=minute + ttl,
        visit=None,
        branch=None,
    )
    who = np.array([customer], np.int32)
    (sent,) = decide(state, owed, who, state.customers.scored_day[who], [due])
    row = int(rows[0])
    occasions.state[row] = DECIDED if sent is None else SENT
    occasions.command[row] = sent
    occasions.expires_ms[row] = due.expires_ms
    occasions.start_ms[row] = max(minute + MINUTE_MS, NONE if sent is None else due.expires_ms)
