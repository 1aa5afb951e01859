"""Turn what is due into decisions, and into commands where the gate lets it pass.

In:    ``Owed.dues``: which rule, for whom, for which occasion, when
Out:   one final decision each, or ``held`` before it; commands; what came of each occasion
State: occasions, held messages, contacts and cooldowns, the funnel's rows

What is due to one customer at once is decided in one call: of marketing only one goes out.
"""

from __future__ import annotations

from collections import Counter

import msgspec
import numpy as np
from numpy.typing import NDArray

from operators.commands import commands_of
from operators.contacts import keep_contacts
from operators.gate import HOLDOUT, PASSED, QUIET_HOURS, REASONS, Asked, Verdicts, judge
from operators.held import hold
from operators.owed import Due, Owed, Sent
from operators.texts import instant_text
from schemas.batch import I4, Objects
from schemas.keys import command_id, decision_id
from schemas.outputs import Command, Decision, Outcome
from state.lane import LaneState
from state.tables import DECIDED, HELD, SENT

_ENCODE = msgspec.json.Encoder().encode

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
    dues, owed.dues = owed.dues, []
    asked = _asked(state, dues)
    verdicts = judge(state, asked)
    _owe_decisions(state, owed, dues, asked, verdicts)
    commands = _owe_commands(state, owed, dues, asked, verdicts)
    _keep_marks(state, dues, asked, verdicts, commands)
    hold(state, dues, asked, np.flatnonzero(verdicts.reason == QUIET_HOURS))
    keep_contacts(state, owed, dues, asked, verdicts)


def _asked(state: LaneState, dues: list[Due]) -> Asked:
    customer = np.array([due.customer for due in dues], np.int32)
    tenant = state.customers.tenant[customer]
    tenants = tenant.tolist()
    trigger = [due.trigger.id for due in dues]
    made_ms = np.array([due.made_ms for due in dues], np.int64)
    names = state.tenants.name[tenant].tolist()
    occasion = [due.occasion for due in dues]
    identity = list(map(command_id, names, trigger, occasion))
    return Asked(
        customer=customer,
        tenant=tenant,
        rule=np.array(list(map(state.tenants.rules.number, tenants, trigger)), np.int32),
        today=state.tenant_day(tenant, made_ms),
        made_ms=made_ms,
        now_ms=np.array([due.now_ms for due in dues], np.int64),
        expires_ms=np.array([due.expires_ms for due in dues], np.int64),
        due_ms=np.array([due.due_ms for due in dues], np.int64),
        zone=_zones(state, dues, tenant),
        trigger=trigger,
        occasion=occasion,
        identity=identity,
    )


def _zones(state: LaneState, dues: list[Due], tenant: I4) -> I4:
    """Whose clock quiet hours are judged by: of utility the visit's branch's, else the tenant's."""
    zones = state.tenants.zone[tenant]
    for at, due in enumerate(dues):
        if due.branch and due.trigger.category == "utility":
            settings = state.tenants.settings[tenant.item(at)]
            zones[at] = state.zones.code(settings.zone_of(due.branch))
    return zones


def _owe_decisions(
    state: LaneState, owed: Owed, dues: list[Due], asked: Asked, verdicts: Verdicts
) -> None:
    """What is held on was told when it was held first."""
    again = np.array([due.held for due in dues], np.bool_)
    lines = np.flatnonzero(~(again & (verdicts.reason == QUIET_HOURS)))
    chosen = [dues[at] for at in lines.tolist()]
    identities = [asked.identity[at] for at in lines.tolist()]
    tenants = state.tenants.name[asked.tenant[lines]].tolist()
    customers = state.customers.id[asked.customer[lines]].tolist()
    reasons = verdicts.reason[lines].tolist()
    values = [
        _ENCODE(
            Decision(
                decision_id(identity, _PHASES[verdict]),
                identity,
                tenant,
                customer.decode(),
                due.trigger.id,
                _OUTCOMES[verdict],
                REASONS[verdict],
                instant_text(due.made_ms),
                due.position,
            )
        )
        for due, identity, tenant, customer, verdict in zip(
            chosen, identities, tenants, customers, reasons, strict=True
        )
    ]
    owed.decided("decisions", chosen, zip(customers, identities, values, strict=True))
    for verdict, times in Counter(reasons).items():
        owed.counts["decisions", _OUTCOMES[verdict], REASONS[verdict] or ""] += times


def _owe_commands(
    state: LaneState, owed: Owed, dues: list[Due], asked: Asked, verdicts: Verdicts
) -> Objects:
    """Returns the commands beside the dues, ``None`` where there is none."""
    commands = np.empty(len(dues), np.object_)
    passed = np.flatnonzero(verdicts.reason == PASSED)
    if not len(passed):
        return commands
    chosen = [dues[at] for at in passed.tolist()]
    identities = [asked.identity[at] for at in passed.tolist()]
    whose = asked.customer[passed]
    channels = _channel_lists(chosen, asked.rule[passed], verdicts.channels[passed])
    values = commands_of(state, chosen, identities, whose, asked.made_ms[passed], channels)
    owed.sent += [
        Sent(due.position, due.now_ms, due.customer, identity)
        for due, identity in zip(chosen, identities, strict=True)
    ]
    ids = state.customers.id[whose].tolist()
    owed.decided("commands", chosen, zip(ids, identities, values, strict=True))
    commands[passed] = values
    return commands


def _channel_lists(dues: list[Due], rules: I4, masks: NDArray[np.uint64]) -> list[list[str]]:
    """The channels of each mask in its trigger's order; what comes again is one list."""
    known: dict[tuple[int, int], list[str]] = {}
    lists = []
    for due, *key in zip(dues, rules.tolist(), masks.tolist(), strict=True):
        rule, mask = key
        found = known.get((rule, mask))
        if found is None:
            names = enumerate(due.trigger.channels)
            found = known[rule, mask] = [name for at, name in names if mask >> at & 1]
        lists.append(found)
    return lists


def _keep_marks(
    state: LaneState, dues: list[Due], asked: Asked, verdicts: Verdicts, commands: Objects
) -> None:
    """What came of each occasion is kept with it."""
    occasions = state.occasions
    marks = np.array([due.mark for due in dues], np.int32)
    at = np.flatnonzero(marks >= 0)
    rows = marks[at]
    occasions.state[rows] = _STATES[verdicts.reason[at]]
    occasions.expires_ms[rows] = asked.expires_ms[at]
    occasions.command[rows] = commands[at]
    occasions.touch(rows)


def withdraw(owed: Owed, sent: bytes, now_ms: int, position: int) -> None:
    """Owes the same command again, withdrawn, and the decision that says so."""
    command = msgspec.json.decode(sent, type=Command)
    value = _ENCODE(msgspec.structs.replace(command, withdrawn=True))
    key, identity = command.customer_id.encode(), command.command_id
    owed.command(position, now_ms, key, command.trigger, identity, value)
    owed.decision(
        now_ms,
        Decision(
            decision_id=decision_id(identity, "withdrawn"),
            command_id=identity,
            tenant=command.tenant,
            customer_id=command.customer_id,
            trigger=command.trigger,
            outcome="withdrawn",
            reason=None,
            at=instant_text(now_ms),
            position=position,
        ),
    )
