"""Keep who was contacted when: what fills caps and cooldowns, and what the funnel counts.

In:    dues with their verdicts; customers that merge or are forgotten
Out:   changes of the funnel: contacts, and customers enrolled by them
State: contacts and the rows of the funnel that count them, their chains, cooldowns
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from operators.commands import chosen
from operators.enrolments import Enrolments, enrol, enrolments
from operators.failures import inherit_failures
from operators.funnel import note
from operators.gate import HOLDOUT, PASSED, Asked, Verdicts
from operators.moments import Moment
from operators.owed import Owed, Sent
from operators.returns import credit
from schemas.batch import I4, NONE
from state.chains import hand_over, let_go, put_first
from state.contacts import HOLDOUT as HELD_OUT
from state.contacts import TREATED, cooldown_keys
from state.funnel import funnel_keys
from state.index import U8, Rows
from state.lane import LaneState


def keep_contacts(state: LaneState, owed: Owed, asked: Asked, verdicts: Verdicts) -> None:
    """Marketing that has come as far as the holdout is a contact; what is sent is kept as well."""
    lines = (verdicts.contact | (verdicts.reason == PASSED)).nonzero()[0]
    if not len(lines):
        return
    table, rules = state.contacts, state.tenants.rules
    rows, fresh = table.find_or_add(asked.key[lines])
    rows, lines = rows[fresh], lines[fresh]
    customer, tenant, rule = asked.customer[lines], asked.tenant[lines], asked.rule[lines]
    fills, is_sent = verdicts.contact[lines], verdicts.reason[lines] == PASSED
    moment = Moment(asked.now_ms[lines], asked.position[lines])
    table.customer[rows] = customer
    table.tenant[rows] = tenant
    table.rule[rows] = rules.key[rule]
    table.day[rows] = asked.today[lines]
    table.at_ms[rows] = asked.made_ms[lines]
    table.fills[rows] = fills
    table.sent_ms[rows[is_sent]] = moment.now_ms[is_sent]
    table.return_days[rows] = rules.return_days[rule]
    table.funnel[rows] = _funnel_rows(state, asked, verdicts, lines)
    put_first(state.customers.first_contact, table.next_contact, rows, customer)
    _cool_down(state, customer, rules.key[rule], asked.today[lines])
    told = moment.take(is_sent)
    sent = rows[is_sent]
    owed.sent.append(Sent(table.key[sent], sent, customer[is_sent], told.now_ms, told.position))
    note(state, owed, rows, moment, commanded=np.ones(len(rows), np.int64))
    counted = fills.nonzero()[0]  # one a customer: of what comes at once one fills
    if len(counted):
        told = moment.take(counted)
        enrol(state, owed, rows[counted], told)
        # A visit may be attended before its start.
        customer, made_ms = customer[counted], asked.made_ms[lines[counted]]
        comes_later = state.customers.last_visit_ms[customer] > made_ms
        again = comes_later.nonzero()[0]
        credit(state, owed, customer[again], told.take(again))


def _funnel_rows(
    state: LaneState, asked: Asked, verdicts: Verdicts, lines: NDArray[np.intp]
) -> Rows:
    """Rows of the funnel that count these contacts, under the first channel that is left."""
    tenant, day, rules = asked.tenant[lines], asked.today[lines], asked.rule[lines].tolist()
    mask = verdicts.channels[lines]
    lowest = mask & (~mask + np.uint64(1))
    first = np.log2(np.maximum(lowest, np.uint64(1)).astype(np.float64)).astype(np.int64).tolist()
    words = state.tenants.rules.words
    trigger = state.intern(chosen(lines, asked.trigger))
    channel = state.intern([words[rule][at] for rule, at in zip(rules, first, strict=True)])
    variant = np.where(verdicts.reason[lines] == HOLDOUT, HELD_OUT, TREATED)
    told = (trigger.astype(np.int64) << 32 | channel) * 2 + variant
    keys = funnel_keys(state.tenants.key[tenant], day, told)
    return state.funnel_days.of(
        keys, tenant=tenant, day=day, trigger=trigger, channel=channel, variant=variant
    )


def _cool_down(state: LaneState, customers: Rows, rules: U8, days: I4) -> None:
    table = state.cooldowns
    rows, _ = table.find_or_add(cooldown_keys(state.customers.key[customers], rules))
    table.customer[rows] = customers
    table.rule[rows] = rules
    np.maximum.at(table.day, rows, days)
    table.touch(rows)


def inherit_contacts(state: LaneState, old: int, heir: int) -> tuple[Enrolments, Enrolments]:
    """What a customer got before the phone was learnt counts for whom the phone is.

    Returns the enrolments of both before it, and those of the heir after it.
    """
    table, customers = state.contacts, state.customers
    before = enrolments(state, np.array([old, heir], np.int64))
    before.place[:] = 0  # both are noted at one moment, that of the merge
    rows = hand_over(customers.first_contact, table.next_contact, old, heir)
    table.customer[rows] = heir
    table.touch(rows)
    inherit_failures(state, old, heir)
    cooldowns = state.cooldowns
    rows = cooldowns.live()
    rows = rows[cooldowns.customer[rows] == old]
    if len(rows):
        whose = np.full(len(rows), heir, np.int64)
        _cool_down(state, whose, cooldowns.rule[rows].copy(), cooldowns.day[rows].copy())
    return before, enrolments(state, np.array([heir], np.int64))


def forget_contacts(state: LaneState, customer: int) -> None:
    """Contacts stay in the tenant's totals, and are nobody's."""
    table, customers = state.contacts, state.customers
    rows = let_go(customers.first_contact, table.next_contact, customer)
    table.customer[rows] = -1
    table.touch(rows)
    failures = state.failures
    rows = let_go(customers.first_failure, failures.next_failure, customer)
    failures.customer[rows] = -1
    failures.heard_ms[rows] = NONE
    failures.touch(rows)
    cooldowns = state.cooldowns
    rows = cooldowns.live()
    rows = rows[cooldowns.customer[rows] == customer]
    if len(rows):
        cooldowns.free(rows)
