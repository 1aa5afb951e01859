"""Write commands: what a sender is told to send, to whom, on which channels.

In:    dues that have passed the gate, with the channels that are left of each
Out:   commands as JSON
State: read only
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from operators.gate import Asked
from operators.params import fill, has_blanks
from operators.people import told_aliases
from operators.profiles import SEGMENTS, speakers, told_recency
from operators.segments import own_day
from schemas.batch import I4
from schemas.forms import INSTANT, JSON, KEY, NUMBER, PHONE, TEXT, VALUE, form_of, run_of
from schemas.outputs import Command, Rfm
from schemas.segments import SCHEME
from state.index import U8, Rows
from state.lane import LaneState
from state.rules import SEGMENT_BIT

T = TypeVar("T")

_COMMAND = form_of(
    Command,
    TEXT,
    TEXT,
    KEY,
    PHONE,
    VALUE,  # aliases
    TEXT,
    JSON,  # trigger
    *[None] * 5,  # kind to params
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
_ORDER = run_of(Command, "trigger", TEXT, TEXT, TEXT, VALUE, TEXT, VALUE)
_RFM = form_of(Rfm, NUMBER, NUMBER, NUMBER, TEXT)


@dataclass(slots=True)
class _Orders:
    """What commands say alike, one line each: by rule, its channels, segment and thresholds.

    ``message`` is JSON from the trigger to the params. ``locale`` is the rule's, ``usual_locale``
    that of its tenant.
    """

    message: list[bytes]
    locale: list[str | None]
    usual_locale: list[str]
    currency: list[str | None]
    thresholds: list[str]


def commands_of(
    state: LaneState,
    asked: Asked,
    lines: NDArray[np.intp],
    channels: U8,
) -> list[bytes]:
    """A command for each of these lines; ``channels`` are beside them, a bit for each."""
    table = state.customers
    customers, tenant = asked.customer[lines], asked.tenant[lines]
    # Whose day begins minutes after midnight is in the day of the last score by then.
    today = own_day(state, customers, asked.made_ms[lines])
    today = np.maximum(today, table.scored_day[customers])
    orders = _orders(state, asked.rule[lines], customers, channels, today)
    name, locale = _names(state, customers)
    locales = zip(orders.locale, locale, orders.usual_locale, strict=True)
    zones = np.array(state.zones.names(), np.object_)
    return _COMMAND.fill(
        chosen(lines, asked.identity),
        state.tenants.name[tenant].tolist(),
        table.id[customers],
        table.phone[customers],
        told_aliases(state, customers).tolist(),
        name,
        orders.message,
        [rules or own or usual for rules, own, usual in locales],
        zones[asked.place_zone[lines]].tolist(),
        chosen(lines, asked.branch),
        chosen(lines, asked.visit),
        SEGMENTS[table.segment[customers]],
        _rfms(state, customers, today, orders.currency),
        orders.thresholds,
        asked.due_ms[lines],
        asked.expires_ms[lines],
        asked.made_ms[lines],
        chosen(lines, asked.occasion),
    )


def chosen(lines: NDArray[np.intp], told: Sequence[T]) -> Sequence[T]:
    """What stands in these lines, which are distinct."""
    return told if len(lines) == len(told) else [told[line] for line in lines.tolist()]


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


def _orders(state: LaneState, rules: I4, customers: Rows, channels: U8, today: I4) -> _Orders:
    segments = state.customers.segment[customers]
    tenants = state.customers.tenant[customers]
    is_new = today >= state.tenants.bounds_day[tenants]
    alike = (rules.astype(np.int64) * 2 + is_new) * len(SEGMENT_BIT) + segments
    if (channels != channels[0]).any():  # as a rule all have kept the same
        masks, mask = np.unique(channels, return_inverse=True)
        alike = alike * len(masks) + mask
    _, firsts, place = np.unique(alike, return_index=True, return_inverse=True)
    triggers = [state.tenants.rules.triggers[rule] for rule in rules[firsts].tolist()]
    settings = [state.tenants.settings[tenant] for tenant in tenants[firsts].tolist()]
    messages = [
        own.message_for(trigger, segment)
        for own, trigger, segment in zip(settings, triggers, segments[firsts].tolist(), strict=True)
    ]
    names = [
        [name for at, name in enumerate(trigger.channels) if bits >> at & 1]
        for trigger, bits in zip(triggers, channels[firsts].tolist(), strict=True)
    ]
    params = [params for _, params in messages]
    columns = (
        [trigger.id for trigger in triggers],
        [trigger.kind for trigger in triggers],
        [trigger.category for trigger in triggers],
        names,
        [template for template, _ in messages],
    )
    told = _each(place, _ORDER.fill(*columns, params))
    blank = np.array([has_blanks(each) for each in params], np.bool_)[place]
    for line in blank.nonzero()[0].tolist():
        at = place.item(line)
        own_params = fill(state, customers.item(line), params[at], today.item(line))
        (told[line],) = _ORDER.fill(*([column[at]] for column in columns), [own_params])
    return _Orders(
        told,
        _each(place, [trigger.locale for trigger in triggers]),
        _each(place, [own.locale for own in settings]),
        _each(place, [own.currency for own in settings]),
        _each(place, state.tenants.thresholds_on(tenants[firsts], today[firsts])),
    )


def _each(place: NDArray[np.intp], told: list[T]) -> list[T]:
    """What stands at each of these places."""
    each: list[T] = np.array(told, np.object_)[place].tolist()
    return each
