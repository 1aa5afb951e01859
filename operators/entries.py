"""Fire ``segment_entered`` triggers: once per crossing, at the minute of the crossing.

In:    customers whose segment has just changed, from where, and when
Out:   decisions and commands
State: occasions, for as long as the same minute can come again, or the command be carried out
"""

from __future__ import annotations

import numpy as np

from operators.moments import Moment
from operators.owed import Dues, Owed
from operators.segments import Codes
from schemas.batch import I4, I8
from schemas.keys import mix, row_keys
from schemas.texts import minute_text, segment_text
from state.index import Rows
from state.lane import LaneState
from state.zones import MINUTE_MS


def enter(
    state: LaneState, owed: Owed, customers: Rows, before: Codes, made_ms: I8, moment: Moment
) -> None:
    """Asks for every trigger that these crossings set off; ``made_ms`` is when each happened.

    ``customers`` are distinct. A midnight may bring a hundred thousand: they are asked for at once.
    """
    lines, rules = _set_off(state, customers, before)
    if not len(lines):
        return
    chosen, made = customers[lines], made_ms[lines]
    minute = made - made % MINUTE_MS
    crossing = (minute + state.customers.segment[chosen]).view(np.uint64)
    keys = row_keys(mix(state.customers.key[chosen], crossing), state.tenants.rules.key[rules])
    rows, fresh = state.occasions.find_or_add(keys)
    if not fresh.any():
        return
    new = Moment(moment.now_ms[lines[fresh]], moment.position[lines[fresh]])
    dues = _dues(state, chosen[fresh], rules[fresh], made[fresh], new, rows[fresh])
    state.occasions.start_ms[dues.mark] = np.maximum(dues.due_ms + MINUTE_MS, dues.expires_ms)
    owed.dues.append(dues)


def _set_off(state: LaneState, customers: Rows, before: Codes) -> tuple[Rows, I4]:
    """Places of the customers and, beside each, a rule that its crossing sets off."""
    entries = state.tenants.triggers["segment_entered"]
    tenants = state.customers.tenant[customers].tolist()
    segments = state.customers.segment[customers].tolist()
    lines: list[int] = []
    rules: list[int] = []
    for at, (tenant, left, segment) in enumerate(
        zip(tenants, before.tolist(), segments, strict=True)
    ):
        for slot, trigger in enumerate(entries.of[tenant]):
            entered = not trigger.segments or segment in trigger.segments
            if entered and (not trigger.from_segments or left in trigger.from_segments):
                lines.append(at)
                rules.append(entries.rule.item(tenant, slot))
    return np.array(lines, np.int64), np.array(rules, np.int64)


def _dues(
    state: LaneState, customers: Rows, rules: I4, made_ms: I8, moment: Moment, marks: Rows
) -> Dues:
    """``marks`` are the rows of their occasions; all columns run beside the customers."""
    minute = made_ms - made_ms % MINUTE_MS
    nothing = [None] * len(customers)
    return Dues(
        customer=customers,
        rule=rules,
        occasion=[
            f"segment:{customer}:{segment_text(segment)}@{minute_text(at)}"
            for customer, segment, at in zip(
                state.customers.id[customers].astype("U32").tolist(),
                state.customers.segment[customers].tolist(),
                minute.tolist(),
                strict=True,
            )
        ],
        due_ms=minute,
        made_ms=made_ms,
        now_ms=moment.now_ms,
        position=moment.position,
        expires_ms=minute + state.tenants.rules.ttl_ms[rules],
        visit=nothing,
        branch=nothing,
        mark=marks,
        held=np.zeros(len(marks), np.bool_),
    )
