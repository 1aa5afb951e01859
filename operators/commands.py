"""Write commands: what a sender is told to send, to whom, on which channels.

In:    dues that have passed the gate, with the channels that are left of each
Out:   commands as JSON
State: read only
"""

from __future__ import annotations

import msgspec
import numpy as np

from operators.owed import Due
from operators.profiles import NOWHERE, standing_of
from operators.segments import own_day
from operators.texts import instant_text, segment_text
from schemas.batch import I8
from schemas.outputs import Command, Rfm
from schemas.segments import SCHEME
from schemas.settings import TenantSettings
from state.index import Rows
from state.lane import LaneState

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
    whose = standing_of(state, customers, NOWHERE, NOWHERE)
    # Whose day begins minutes after midnight is in the day of the last score by then.
    today = own_day(state, customers, made_ms)
    whose.today = np.maximum(today, state.customers.scored_day[customers])
    tenants = whose.tenant.tolist()
    settings = [state.tenants.settings[tenant] for tenant in tenants]
    columns = zip(
        identities,
        state.tenants.name[whose.tenant].tolist(),
        whose.customer_ids(),
        whose.phones(),
        whose.aliases.tolist(),
        whose.name.tolist(),
        whose.locale.tolist(),
        channels,
        whose.segment.tolist(),
        map(
            Rfm,
            whose.recency(),
            whose.frequency.tolist(),
            whose.monetary.tolist(),
            whose.currency.tolist(),
        ),
        map(state.tenants.thresholds_on, tenants, whose.today.tolist()),
        strict=True,
    )
    return list(map(_command, dues, settings, columns))


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


def _command(due: Due, settings: TenantSettings, columns: _Columns) -> bytes:
    identity, tenant, customer, phone, aliases, name, locale, channels, segment, rfm, version = (
        columns
    )
    trigger, branch = due.trigger, due.branch
    template, params = settings.message_for(trigger, segment)
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
