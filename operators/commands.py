"""Write commands: what a sender is told to send, to whom, on which channels.

In:    dues that have passed the gate, with the channels that are left of each
Out:   commands as JSON
State: read only
"""

from __future__ import annotations

import msgspec
import numpy as np

from operators.owed import Due
from operators.params import fill, has_blanks
from operators.people import told_aliases
from operators.profiles import speakers
from operators.segments import own_day, recency_days
from operators.texts import instant_text, segment_text
from schemas.batch import I8
from schemas.outputs import Command, Rfm
from schemas.segments import SCHEME
from schemas.settings import TenantSettings
from state.index import Rows
from state.lane import LaneState
from state.tables import NO_DAY

_ENCODE = msgspec.json.Encoder().encode


def commands_of(
    state: LaneState,
    dues: list[Due],
    identities: list[str],
    customers: Rows,
    made_ms: I8,
    channels: list[list[str]],
) -> list[bytes]:
    """A command for each due; all columns run beside ``dues``."""
    table, clients = state.customers, state.clients
    tenant, phones, segments = table.tenant[customers], table.phone[customers], table.segment
    speaker = speakers(state, customers)
    name, locale = clients.name[speaker], clients.locale[speaker]
    name[speaker < 0] = locale[speaker < 0] = None
    # Whose day begins minutes after midnight is in the day of the last score by then.
    today = np.maximum(own_day(state, customers, made_ms), table.scored_day[customers])
    last_day = table.last_day[customers]
    recency = recency_days(last_day, today).astype(np.object_)
    recency[last_day == NO_DAY] = None
    tenants = tenant.tolist()
    settings = [state.tenants.settings[each] for each in tenants]
    columns = zip(
        identities,
        state.tenants.name[tenant].tolist(),
        table.id[customers].astype("U32").tolist(),
        [f"+{phone}" if phone else None for phone in phones.tolist()],
        told_aliases(state, customers).tolist(),
        name.tolist(),
        locale.tolist(),
        channels,
        segments[customers].tolist(),
        map(
            Rfm,
            recency.tolist(),
            table.frequency[customers].tolist(),
            table.monetary[customers].tolist(),
            [each.currency for each in settings],
        ),
        map(state.tenants.thresholds_on, tenants, today.tolist()),
        strict=True,
    )
    days = today.tolist()
    return [
        _command(state, due, rules, day, about)
        for due, rules, day, about in zip(dues, settings, days, columns, strict=True)
    ]


_Columns = tuple[
    str,
    str,
    str,
    str | None,
    dict[str, str],
    str | None,
    str | None,
    list[str],
    int,
    Rfm,
    str,
]


def _command(
    state: LaneState, due: Due, settings: TenantSettings, today: int, columns: _Columns
) -> bytes:
    identity, tenant, customer, phone, aliases, name, locale, channels, segment, rfm, version = (
        columns
    )
    trigger, branch = due.trigger, due.branch
    template, params = settings.message_for(trigger, segment)
    if params and has_blanks(params):
        params = fill(state, due.customer, params, today)
    # In the order of Command's fields: naming two dozen of them costs as much as the encoding.
    return _ENCODE(
        Command(
            identity,
            tenant,
            customer,
            phone,
            aliases,
            name,
            trigger.id,
            trigger.kind,  # type: ignore[arg-type]  # settings admit only known kinds
            trigger.category,  # type: ignore[arg-type]  # likewise
            channels,
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
    )
