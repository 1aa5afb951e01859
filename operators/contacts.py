"""Keep who was contacted when: what fills caps and cooldowns, and what the funnel begins with.

In:    dues with their verdicts; customers that merge or are forgotten
Out:   nothing
State: contacts, the chain customer → contacts, cooldowns
"""

from __future__ import annotations

import numpy as np

from operators.clients import rechain
from operators.failures import inherit_failures
from operators.gate import HOLDOUT, PASSED, Asked, Verdicts
from schemas.batch import I4, NONE
from schemas.keys import text_keys
from state.chains import walk
from state.contacts import HOLDOUT as HELD_OUT
from state.contacts import TREATED, cooldown_keys
from state.index import U8, Rows
from state.lane import LaneState
from state.messages import command_keys


def keep_contacts(state: LaneState, asked: Asked, verdicts: Verdicts) -> None:
    """Marketing that has come as far as the holdout is a contact; what is sent is kept as well."""
    lines = np.flatnonzero(verdicts.contact | (verdicts.reason == PASSED)).astype(np.int32)
    if not len(lines):
        return
    table, rules = state.contacts, state.tenants.rules
    customer, tenant, rule = asked.customer[lines], asked.tenant[lines], asked.rule[lines]
    keys = command_keys(
        state.tenants.key[tenant], text_keys([asked.identity[at] for at in lines.tolist()])
    )
    rows, fresh = table.find_or_add(keys)
    rows, lines = rows[fresh], lines[fresh]
    customer, tenant, rule = customer[fresh], tenant[fresh], rule[fresh]
    table.customer[rows] = customer
    table.tenant[rows] = tenant
    table.rule[rows] = rules.key[rule]
    table.day[rows] = asked.today[lines]
    table.at_ms[rows] = asked.made_ms[lines]
    table.fills[rows] = verdicts.contact[lines]
    table.variant[rows] = np.where(verdicts.reason[lines] == HOLDOUT, HELD_OUT, TREATED)
    table.trigger[rows] = state.intern([asked.trigger[at] for at in lines.tolist()])
    table.channel[rows] = _first_channels(state, asked, verdicts, lines)
    _chain_in(state, customer, rows)
    _cool_down(state, customer, rules.key[rule], asked.today[lines])


def _first_channels(state: LaneState, asked: Asked, verdicts: Verdicts, lines: Rows) -> I4:
    """Words of the first channels that are left."""
    mask = verdicts.channels[lines]
    lowest = mask & (~mask + np.uint64(1))
    place = np.log2(np.maximum(lowest, np.uint64(1)).astype(np.float64)).astype(np.int64)
    named = state.tenants.rules.words
    return state.intern(
        [
            named[rule][at]
            for rule, at in zip(asked.rule[lines].tolist(), place.tolist(), strict=True)
        ]
    )


def _chain_in(state: LaneState, customers: Rows, rows: Rows) -> None:
    """Puts contacts first in their customers' chains; a customer may have several at once."""
    first, following = state.customers.first_contact, state.contacts.next_contact
    for customer, row in zip(customers.tolist(), rows.tolist(), strict=True):
        following[row] = first[customer]
        first[customer] = row


def _cool_down(state: LaneState, customers: Rows, rules: U8, days: I4) -> None:
    table = state.cooldowns
    rows, _ = table.find_or_add(cooldown_keys(state.customers.key[customers], rules))
    table.customer[rows] = customers
    table.rule[rows] = rules
    np.maximum.at(table.day, rows, days)
    table.touch(rows)


def inherit_contacts(state: LaneState, old: int, heir: int) -> None:
    """What a customer got before the phone was learnt counts for whom the phone is."""
    table, customers = state.contacts, state.customers
    head = customers.first_contact[[old]]
    _, rows = walk(head, table.next_contact, np.zeros(1, np.int32))
    for row in rows[::-1].tolist():
        child, parent = np.array([row], np.int32), np.array([heir], np.int32)
        rechain(customers.first_contact, table.next_contact, child, table.customer[child], parent)
        table.customer[row] = heir
    table.touch(rows)
    inherit_failures(state, old, heir)
    cooldowns = state.cooldowns
    rows = cooldowns.live()
    rows = rows[cooldowns.customer[rows] == old]
    if len(rows):
        whose = np.full(len(rows), heir, np.int32)
        _cool_down(state, whose, cooldowns.rule[rows].copy(), cooldowns.day[rows].copy())


def forget_contacts(state: LaneState, customer: Rows) -> None:
    """Contacts stay in the tenant's totals, and are nobody's."""
    table = state.contacts
    head = state.customers.first_contact[customer]
    _, rows = walk(head, table.next_contact, np.zeros(1, np.int32))
    table.customer[rows] = table.next_contact[rows] = -1
    table.touch(rows)
    failures = state.failures
    head = state.customers.first_failure[customer]
    _, rows = walk(head, failures.next_failure, np.zeros(1, np.int32))
    failures.customer[rows] = failures.next_failure[rows] = -1
    failures.heard_ms[rows] = NONE
    failures.touch(rows)
    cooldowns = state.cooldowns
    rows = cooldowns.live()
    rows = rows[cooldowns.customer[rows] == customer[0]]
    if len(rows):
        cooldowns.free(rows)
