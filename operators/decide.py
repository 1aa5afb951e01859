"""Turn a due trigger into exactly one final decision, and a command if the gate lets it pass.

In:    ``Owed.dues``: which rule, for whom, for which occasion, when
Out:   decisions and commands, added to ``Owed``
State: occasions: what came of each
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np

from operators.gate import refusal
from operators.owed import Due, Owed, Sent
from operators.params import fill, has_blanks
from operators.profiles import NOWHERE, Standing, standing_of
from operators.segments import own_day
from operators.texts import instant_text, segment_text
from schemas.keys import command_id, decision_id
from schemas.outputs import Command, Decision, Rfm
from schemas.segments import SCHEME
from schemas.settings import TenantSettings
from state.lane import LaneState
from state.tables import DECIDED, SENT


def decide(state: LaneState, owed: Owed) -> None:
    """Owes a decision for each due, and a command where it is ``sent``."""
    if not owed.dues:
        return
    dues, owed.dues = owed.dues, []
    customers = np.array([due.customer for due in dues], np.int32)
    made_ms = np.array([due.made_ms for due in dues], np.int64)
    whose = standing_of(state, customers, NOWHERE, NOWHERE)
    scored = state.customers.scored_day[customers]
    whose.today = np.maximum(own_day(state, customers, made_ms), scored)
    persons = zip(*_persons(state, whose), strict=True)
    sent = [
        _decide(state, owed, due, who, today)
        for due, who, today in zip(dues, persons, whose.today.tolist(), strict=True)
    ]
    occasions = state.occasions
    for due, command in zip(dues, sent, strict=True):
        if due.mark >= 0:
            occasions.state[due.mark] = DECIDED if command is None else SENT
            occasions.expires_ms[due.mark] = due.expires_ms
            occasions.command[due.mark] = command


_Person = tuple[
    TenantSettings, str, str, str | None, str | None, str | None, int, Rfm, str, dict[str, str]
]


def _persons(state: LaneState, whose: Standing) -> tuple[Iterable[Any], ...]:
    """Columns of what a decision needs to know of its customer, as ``_Person`` tells."""
    settings = [state.tenants.settings[tenant] for tenant in whose.tenant.tolist()]
    return (
        settings,
        state.tenants.name[whose.tenant].tolist(),
        whose.customer_ids(),
        whose.phones(),
        whose.name.tolist(),
        whose.locale.tolist(),
        whose.segment.tolist(),
        map(
            Rfm,
            whose.recency(),
            whose.frequency.tolist(),
            whose.monetary.tolist(),
            [each.currency for each in settings],
        ),
        map(state.tenants.thresholds_on, whose.tenant.tolist(), whose.today.tolist()),
        whose.aliases.tolist(),
    )


def _decide(state: LaneState, owed: Owed, due: Due, who: _Person, today: int) -> bytes | None:
    _, tenant, customer, _, _, _, segment, _, _, _ = who
    identity = command_id(tenant, due.trigger.id, due.occasion)
    reason = refusal(due.trigger, segment, due.now_ms, due.expires_ms)
    decision = Decision(
        decision_id(identity, "final"),
        identity,
        tenant,
        customer,
        due.trigger.id,
        "refused" if reason else "sent",
        reason,
        instant_text(due.made_ms),
        due.position,
    )
    owed.decision(due.due_ms, decision)
    if reason:
        return None
    owed.sent.append(Sent(due.position, due.now_ms, due.customer, identity))
    command = _command(state, due, identity, who, today)
    return owed.command(due.position, due.due_ms, command)


def withdraw(owed: Owed, sent: bytes, now_ms: int, position: int) -> None:
    """Owes the same command again, withdrawn, and the decision that says so."""
    command = msgspec.json.decode(sent, type=Command)
    owed.command(position, now_ms, msgspec.structs.replace(command, withdrawn=True))
    owed.decision(
        now_ms,
        Decision(
            decision_id=decision_id(command.command_id, "withdrawn"),
            command_id=command.command_id,
            tenant=command.tenant,
            customer_id=command.customer_id,
            trigger=command.trigger,
            outcome="withdrawn",
            reason=None,
            at=instant_text(now_ms),
            position=position,
        ),
    )


def _command(state: LaneState, due: Due, identity: str, who: _Person, today: int) -> Command:
    settings, tenant, customer, phone, name, locale, segment, rfm, version, aliases = who
    trigger, branch = due.trigger, due.branch
    template, params = settings.message_for(trigger, segment)
    if params and has_blanks(params):
        params = fill(state, due.customer, params, today)
    # In the order of Command's fields: naming two dozen of them costs as much as the encoding.
    return Command(
        identity,
        tenant,
        customer,
        phone,
        aliases,
        name,
        trigger.id,
        trigger.kind,  # type: ignore[arg-type]  # settings admit only known kinds
        trigger.category,  # type: ignore[arg-type]  # likewise
        list(trigger.channels),
        template,
        params,
        trigger.locale or locale or settings.locale,
        settings.zone_of(branch) if branch else settings.timezone,
        branch,
        due.visit,
        segment_text(segment),
        rfm,
        SCHEME,
        version,
        instant_text(due.due_ms),
        instant_text(due.expires_ms),
        instant_text(due.made_ms),
        due.occasion,
        False,  # withdrawn
    )
