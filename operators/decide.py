"""Turn what is due into decisions, and into commands where the gate lets it pass.

In:    ``Owed.dues``: which rule, for whom, for which occasion, when
Out:   one final decision each, or ``held`` before it; commands; what came of each occasion
State: occasions, held messages, contacts and cooldowns, the funnel's rows

What is due to one customer at once is decided in one call: of marketing only one goes out.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
import numpy as np

from operators.commands import chosen, commands_of
from operators.contacts import keep_contacts
from operators.gate import HOLDOUT, PASSED, QUIET_HOURS, REASONS, Asked, Verdicts, judge
from operators.held import hold
from operators.owed import Dues, Owed, joined_dues
from schemas.batch import I4, Objects
from schemas.forms import INSTANT, KEY, NUMBER, TEXT, form_of
from schemas.keys import command_ids, decision_ids, text_keys
from schemas.outputs import Decision, Outcome, decode_command
from state.lane import LaneState
from state.messages import command_keys
from state.tables import DECIDED, HELD, SENT

_ENCODE = msgspec.json.Encoder().encode
_DECISION = form_of(Decision, TEXT, TEXT, TEXT, KEY, TEXT, TEXT, TEXT, INSTANT, NUMBER)

_OUTCOMES: tuple[Outcome, ...] = tuple(
    "sent"
    if at == PASSED
    else "held"
    if at == QUIET_HOURS
    else "holdout"
    if at == HOLDOUT
    else "refused"
    for at in range(len(REASONS))
)
_PHASES = ["held" if outcome == "held" else "final" for outcome in _OUTCOMES]
_STATES = np.array(
    [SENT if each == "sent" else HELD if each == "held" else DECIDED for each in _OUTCOMES],
    np.int8,
)


def decide(state: LaneState, owed: Owed) -> None:
    """Owes a decision for each due, and a command where it is ``sent``."""
    if not owed.dues:
        return
    asked, owed.dues = _asked(state, joined_dues(owed.dues)), []
    verdicts = judge(state, asked)
    _owe_decisions(state, owed, asked, verdicts)
    commands = _owe_commands(state, owed, asked, verdicts)
    _keep_marks(state, asked, verdicts, commands)
    hold(state, asked, (verdicts.reason == QUIET_HOURS).nonzero()[0])
    keep_contacts(state, owed, asked, verdicts)


def _asked(state: LaneState, dues: Dues) -> Asked:
    tenant, triggers = state.customers.tenant[dues.customer], state.tenants.rules.triggers
    trigger = [triggers[rule].id for rule in dues.rule.tolist()]
    identity = command_ids(state.tenants.name[tenant].tolist(), trigger, dues.occasion)
    told: dict[str, Any] = {name: getattr(dues, name) for name in Dues.__slots__}
    zone, place_zone = state.tenants.zone[tenant], _place_zones(state, dues, tenant)
    return Asked(
        **told,
        tenant=tenant,
        today=state.tenant_day(tenant, dues.made_ms),
        zone=np.where(state.tenants.rules.marketing[dues.rule], zone, place_zone),
        place_zone=place_zone,
        trigger=trigger,
        identity=identity,
        key=command_keys(state.tenants.key[tenant], text_keys(identity)),
    )


def _place_zones(state: LaneState, dues: Dues, tenant: I4) -> I4:
    """The branch's zone where there is a visit, else the tenant's."""
    zones = state.tenants.zone[tenant]
    if not any(dues.branch):
        return zones
    places = list(zip(tenant.tolist(), dues.branch, strict=True))
    known = dict(zip(places, zones.tolist(), strict=True))
    for own, branch in known:
        branches = state.tenants.settings[own].branches
        if branch in branches:
            known[own, branch] = state.zones.code(branches[branch])
    return np.array([known[place] for place in places], np.int32)


def _owe_decisions(state: LaneState, owed: Owed, asked: Asked, verdicts: Verdicts) -> None:
    """What is held on was told when it was held first."""
    lines = (~asked.held | (verdicts.reason != QUIET_HOURS)).nonzero()[0]
    customers, reasons = asked.customer[lines], verdicts.reason[lines].tolist()
    identities, triggers = chosen(lines, asked.identity), chosen(lines, asked.trigger)
    position, keys = asked.position[lines], state.customers.id[customers]
    values = _DECISION.fill(
        decision_ids(identities, [_PHASES[verdict] for verdict in reasons]),
        identities,
        state.tenants.name[asked.tenant[lines]].tolist(),
        keys,
        triggers,
        [_OUTCOMES[verdict] for verdict in reasons],
        [REASONS[verdict] for verdict in reasons],
        asked.made_ms[lines],
        position,
    )
    owed.decided("decisions", position, asked.due_ms[lines], keys, triggers, identities, values)
    for verdict, times in Counter(reasons).items():
        owed.counts["decisions", _OUTCOMES[verdict], REASONS[verdict] or ""] += times


def _owe_commands(state: LaneState, owed: Owed, asked: Asked, verdicts: Verdicts) -> Objects:
    """Returns the commands beside the dues, ``None`` where there is none."""
    commands = np.empty(len(asked.rule), np.object_)
    passed = (verdicts.reason == PASSED).nonzero()[0]
    if not len(passed):
        return commands
    values = commands_of(state, asked, passed, verdicts.channels[passed])
    identities, triggers = chosen(passed, asked.identity), chosen(passed, asked.trigger)
    keys, position = state.customers.id[asked.customer[passed]], asked.position[passed]
    owed.decided("commands", position, asked.due_ms[passed], keys, triggers, identities, values)
    commands[passed] = values
    return commands


def _keep_marks(state: LaneState, asked: Asked, verdicts: Verdicts, commands: Objects) -> None:
    """What came of each occasion is kept with it."""
    occasions = state.occasions
    at = (asked.mark >= 0).nonzero()[0]
    rows = asked.mark[at]
    occasions.state[rows] = _STATES[verdicts.reason[at]]
    occasions.expires_ms[rows] = asked.expires_ms[at]
    occasions.command[rows] = commands[at]
    occasions.touch(rows)


def withdraw(owed: Owed, sent: bytes, now_ms: int, position: int) -> None:
    """Owes the same command again, withdrawn, and the decision that says so."""
    command = decode_command(sent)
    value = _ENCODE(msgspec.structs.replace(command, withdrawn=True))
    customer, trigger, identity = command.customer_id, command.trigger, command.command_id
    owed.add("commands", position, now_ms, customer.encode(), trigger, value, identity)
    owed.withdrawal(identity, command.tenant, customer, trigger, now_ms, position)
