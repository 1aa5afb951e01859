"""Tell which messages of customers triggers ``reply`` are set off by.

In:    one round of events; the messages among them
Out:   dues, added to ``Owed``, once per message and trigger
State: ``marks``
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from operators.agenda import is_marked, keep_occasions, put_marks
from operators.hearings import were_heard
from operators.identify import INCOMING, Named
from operators.owed import Dues, Owed
from operators.progress import writers
from schemas.batch import I8, IncomingEvents
from schemas.keys import mix, row_keys
from state.index import Rows
from state.lane import LaneState
from state.messages import KEPT_MS, message_keys
from state.zones import MINUTE_MS

_SALT = np.uint64(0x7265706C792D2D2D)


def answer(
    state: LaneState,
    owed: Owed,
    named: Named,
    lines: Rows,
    events: IncomingEvents,
    clocks: I8,
    positions: I8,
) -> None:
    """Asks for decisions of what these messages set off; ``clocks`` are per record."""
    rules = state.tenants.triggers["reply"]
    lines = lines[(named.kind[lines] == INCOMING) & rules.some[named.tenant[lines]]]
    if not len(lines):
        return
    at, record, tenant = named.source[lines], named.record[lines], named.tenant[lines]
    now_ms = clocks[record]
    due_ms = np.minimum(events.at_ms[at], now_ms) // MINUTE_MS * MINUTE_MS
    customer = writers(state, named, lines)
    numbers = events.message[at].view(np.uint64)
    message = mix(state.tenants.key[tenant] ^ _SALT, numbers)
    ids = state.customers.id[customer].astype("U32").tolist()
    fresh = events.at_ms[at] > now_ms - KEPT_MS
    # What was heard before its trigger was there sets nothing off when it comes again.
    fresh &= ~were_heard(
        state, message_keys(state.tenants.key[tenant], numbers.view(np.int64)), now_ms
    )
    for slot in rules.slots:
        key = rules.key[tenant, slot]
        mark = row_keys(message, key)
        due = (key != 0) & fresh & ~is_marked(state, mark, now_ms)
        set_off = [
            line
            for line in due.nonzero()[0].tolist()
            if matches(
                rules.of[tenant[line]][slot].match, events.kind[at[line]], events.text[at[line]]
            )
        ]
        if not set_off:
            continue
        asked = np.array(set_off, np.int64)
        rule, due_at, number = rules.rule[tenant[asked], slot], due_ms[asked], numbers[asked]
        put_marks(state, "reply", mark[asked], due_at)
        nothing = [None] * len(asked)
        dues = Dues(
            customer=customer[asked],
            rule=rule,
            occasion=[
                f"reply:{ids[line]}:{each:016x}"
                for line, each in zip(set_off, number.tolist(), strict=True)
            ],
            due_ms=due_at,
            made_ms=now_ms[asked],
            now_ms=now_ms[asked],
            position=positions[record[asked]],
            expires_ms=due_at + state.tenants.rules.ttl_ms[rule],
            visit=nothing,
            branch=nothing,
            mark=keep_occasions(state, mark[asked], rule, None, due_at),
            held=np.zeros(len(asked), np.bool_),
        )
        owed.dues.append(dues)


def matches(wanted: tuple[str, ...], kind: str | None, text: str | None) -> bool:
    """Whether a message is of one of these kinds, or holds one of these words or phrases.

    Nothing wanted is any message; words are compared without case, and whole.
    """
    if not wanted or (kind is not None and kind in wanted):
        return True
    if not text:
        return False
    told = _in_words(text)
    return any((phrase := _phrase(each)) != "  " and phrase in told for each in wanted)


@lru_cache(maxsize=4096)
def _phrase(text: str) -> str:
    return _in_words(text)


def _in_words(text: str) -> str:
    words = "".join(each if each.isalnum() else " " for each in text.casefold()).split()
    return f" {' '.join(words)} "
