"""Turn a due trigger into exactly one final decision, and a command if the gate lets it pass.

In:    a ``Due``: whose, which rule, for which occasion, when
Out:   a decision and perhaps a command, added to ``Owed``
State: read only; who calls keeps the occasion
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from operators.encode import Owed, instant_text, segment_text, speaker
from operators.gate import refusal
from schemas.batch import SERVICES_SEPARATOR
from schemas.keys import command_id, decision_id
from schemas.outputs import Command, Decision, Rfm, Visit
from schemas.segments import SCHEME
from schemas.settings import Trigger
from state.lane import LaneState
from state.tables import NO_DAY


@dataclass(slots=True)
class Due:
    """A rule's occasion that has come for one customer.

    ``due_ms`` is its due minute, ``made_ms`` the moment that the outputs tell, ``now_ms`` the lane
    clock at the record ``position`` that brought it about, ``today`` the customer's local day.
    """

    customer: int
    trigger: Trigger
    occasion: str
    due_ms: int
    made_ms: int
    now_ms: int
    position: int
    expires_ms: int
    today: int
    visit: Visit | None
    place: int | None


def decide(state: LaneState, owed: Owed, due: Due) -> bytes | None:
    """Owes the decision and, if it is ``sent``, the command; returns the command's bytes."""
    customers = state.customers
    tenant = state.tenants.name[customers.tenant[due.customer]]
    identity = command_id(tenant, due.trigger.id, due.occasion)
    segment = int(customers.segment[due.customer])
    reason = refusal(due.trigger, segment, due.now_ms, due.expires_ms)
    decision = Decision(
        decision_id=decision_id(identity, "final"),
        command_id=identity,
        tenant=tenant,
        customer_id=customers.id[due.customer].decode(),
        trigger=due.trigger.id,
        outcome="refused" if reason else "sent",
        reason=reason,
        at=instant_text(due.made_ms),
        position=due.position,
    )
    owed.decision(due.due_ms, decision)
    if reason:
        return None
    return owed.command(due.position, due.due_ms, _command(state, due, identity, segment))


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


def _command(state: LaneState, due: Due, identity: str, segment: int) -> Command:
    customers, row = state.customers, due.customer
    tenant = int(customers.tenant[row])
    settings = state.tenants.settings[tenant]
    client = speaker(state, row)
    template, params = settings.message_for(due.trigger, segment)
    branch = state.places.branch[due.place] if due.place is not None else None
    locale = state.clients.locale[client] if client >= 0 else None
    return Command(
        command_id=identity,
        tenant=state.tenants.name[tenant],
        customer_id=customers.id[row].decode(),
        phone=f"+{customers.phone[row]}",
        aliases={},
        name=state.clients.name[client] if client >= 0 else None,
        trigger=due.trigger.id,
        kind=due.trigger.kind,  # type: ignore[arg-type]  # settings admit only known kinds
        category=due.trigger.category,  # type: ignore[arg-type]  # likewise
        channels=list(due.trigger.channels),
        template=template,
        params=params,
        locale=due.trigger.locale or locale or settings.locale,
        timezone=settings.zone_of(branch) if branch else settings.timezone,
        branch=branch or None,
        visit=due.visit,
        segment=segment_text(segment),
        rfm=_rfm(state, row, due.today),
        scheme=SCHEME,
        thresholds_version=settings.version,
        due_at=instant_text(due.due_ms),
        expires_at=instant_text(due.expires_ms),
        created_at=instant_text(due.made_ms),
        occasion=due.occasion,
        withdrawn=False,
    )


def _rfm(state: LaneState, row: int, today: int) -> Rfm:
    customers = state.customers
    last = int(customers.last_day[row])
    return Rfm(
        recency_days=None if last == NO_DAY else max(today - last, 0),
        frequency=int(customers.frequency[row]),
        monetary_minor=int(customers.monetary[row]),
        currency=state.tenants.settings[customers.tenant[row]].currency,
    )


def visit_text(state: LaneState, visits: list[int], start_ms: int, local_ms: int) -> Visit:
    """The booking as a command tells it; visits in order of their start."""
    table, words = state.visits, state.words.text
    services: list[str] = []
    staff: list[str] = []
    for row in visits:
        if table.services[row] >= 0:
            services += words[table.services[row]].split(SERVICES_SEPARATOR)
        if table.staff[row] >= 0 and words[table.staff[row]] not in staff:
            staff.append(words[table.staff[row]])
    return Visit(
        ids=[visit_id(state, row) for row in visits],
        starts_at=instant_text(start_ms),
        local_start=instant_text(local_ms).removesuffix("Z"),
        services=services,
        staff=staff,
    )


def visit_id(state: LaneState, row: int) -> str:
    """The provider's id as text."""
    text: str | None = state.visits.id_text[row]
    return text if text is not None else str(state.visits.id[row])


def visit_occasion(state: LaneState, row: int, start_ms: int) -> str:
    """``visit:<provider>:<branch>:<id>@<start minute>``."""
    scope = state.visits.scope[row]
    provider, branch = state.scopes.provider[scope], state.scopes.branch[scope]
    return f"visit:{provider}:{branch}:{visit_id(state, row)}@{minute_text(start_ms)}"


def minute_text(ms: int) -> str:
    """``2026-11-20T07:00Z``."""
    return instant_text(ms - ms % 60_000)[:16] + "Z"
