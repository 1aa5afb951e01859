"""Write commands: what a sender is told to send, to whom, on which channels.

In:    dues that have passed the gate, with the channels that are left of each
Out:   commands as JSON
State: read only
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from operators.gate import Asked
from operators.params import fill, has_blanks
from operators.people import told_aliases
from operators.profiles import scored, speakers, told_recency
from operators.segments import own_day
from schemas.batch import I4
from schemas.forms import INSTANT, JSON, KEY, NUMBER, PHONE, TEXT, VALUE, form_of
from schemas.outputs import Command, Rfm
from schemas.segments import SCHEME
from state.index import Rows
from state.lane import LaneState

_COMMAND = form_of(
    Command,
    TEXT,
    TEXT,
    KEY,
    PHONE,
    VALUE,  # aliases
    *[TEXT] * 4,  # name to category
    VALUE,  # channels
    TEXT,
    VALUE,  # params
    *[TEXT] * 3,  # locale to branch
    JSON,  # visit
    KEY,
    JSON,  # rfm
    f'"{SCHEME}"'.encode(),
    TEXT,
    *[INSTANT] * 3,
    TEXT,
    b"false",  # withdrawn
)
_RFM = form_of(Rfm, NUMBER, NUMBER, NUMBER, TEXT)


def commands_of(
    state: LaneState,
    asked: Asked,
    lines: NDArray[np.intp],
    channels: list[list[str]],
) -> list[bytes]:
    """A command for each of these lines; ``channels`` run beside them."""
    table, places = state.customers, lines.tolist()
    customers, tenant = asked.customer[lines], asked.tenant[lines]
    # Whose day begins minutes after midnight is in the day of the last score by then.
    today = own_day(state, customers, asked.made_ms[lines])
    today = np.maximum(today, table.scored_day[customers])
    triggers = [state.tenants.rules.triggers[rule] for rule in asked.rule[lines].tolist()]
    settings = [state.tenants.settings[each] for each in tenant.tolist()]
    branches = [asked.branch[line] for line in places]
    templates, params = _messages(state, asked.rule[lines], customers, today)
    name, locale = _names(state, customers)
    return _COMMAND.fill(
        [asked.identity[line] for line in places],
        state.tenants.name[tenant].tolist(),
        table.id[customers],
        table.phone[customers],
        told_aliases(state, customers).tolist(),
        name,
        [trigger.id for trigger in triggers],
        [trigger.kind for trigger in triggers],
        [trigger.category for trigger in triggers],
        channels,
        templates,
        params,
        [
            trigger.locale or own or rules.locale
            for trigger, own, rules in zip(triggers, locale, settings, strict=True)
        ],
        [
            rules.zone_of(branch) if branch else rules.timezone
            for rules, branch in zip(settings, branches, strict=True)
        ],
        branches,
        [asked.visit[line] for line in places],
        scored(table.segment[customers])[0],
        _rfms(state, customers, today, [rules.currency for rules in settings]),
        state.tenants.thresholds_on(tenant, today),
        asked.due_ms[lines],
        asked.expires_ms[lines],
        asked.made_ms[lines],
        [asked.occasion[line] for line in places],
    )


def _names(state: LaneState, customers: Rows) -> tuple[list[str | None], list[str | None]]:
    """What the customers are called, and the locales of their cards."""
    clients, speaker = state.clients, speakers(state, customers)
    name, locale = clients.name[speaker], clients.locale[speaker]
    name[speaker < 0] = locale[speaker < 0] = None
    return name.tolist(), locale.tolist()


def _rfms(
    state: LaneState, customers: Rows, today: I4, currencies: list[str | None]
) -> list[bytes]:
    table = state.customers
    recency = told_recency(table.last_day[customers], today)
    return _RFM.fill(recency, table.frequency[customers], table.monetary[customers], currencies)


def _messages(
    state: LaneState, rules: I4, customers: Rows, today: I4
) -> tuple[list[str], list[dict[str, Any]]]:
    """Templates and params: of each rule and segment one, but for what is told of a customer."""
    tenants, segments = state.customers.tenant[customers], state.customers.segment[customers]
    asked = list(zip(tenants.tolist(), rules.tolist(), segments.tolist(), strict=True))
    known = {
        (tenant, rule, segment): state.tenants.settings[tenant].message_for(
            state.tenants.rules.triggers[rule], segment
        )
        for tenant, rule, segment in set(asked)
    }
    blank = {each for each, (_, params) in known.items() if params and has_blanks(params)}
    messages = [known[each] for each in asked]
    params = [params for _, params in messages]
    for line, each in enumerate(asked) if blank else ():
        if each in blank:
            params[line] = fill(state, customers.item(line), params[line], today.item(line))
    return [template for template, _ in messages], params
