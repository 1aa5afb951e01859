"""Decide whether what is due may become a command: one verdict each, the first refusal wins.

In:    ``Asked``: dues as columns; all of one customer that come at once are among them
Out:   ``Verdicts``: a step of the gate for each that does not pass, channels for each that does
State: read only

Each step looks at those that are still going on, and strikes some; the order is the contract's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operators.consent import consents_of
from operators.failures import cannot_be_reached
from operators.features import history_of
from operators.owed import Dues
from operators.people import told_aliases
from operators.quiet import inside_window, windows_of
from schemas.batch import CONFIRMED, I4, NONE
from schemas.consent_words import IN, OUT
from schemas.keys import holdout_places
from schemas.outputs import Reason
from state.chains import walk
from state.contacts import cooldown_keys
from state.index import U8, Rows
from state.lane import LaneState
from state.rules import MOST_CHANNELS, SEGMENT_BIT
from state.tables import Flags

REASONS: tuple[Reason | None, ...] = (
    None,
    "segment",
    "cooldown",
    "consent",
    "channel",
    "future_booking",
    "stale",
    "quiet_hours",
    "priority",
    "cap",
    "holdout",
    "undeliverable",
)
"""What a verdict's number says, in the order of the steps; 0 goes out."""

PASSED = 0
QUIET_HOURS, HOLDOUT = REASONS.index("quiet_hours"), REASONS.index("holdout")


@dataclass(slots=True)
class Asked(Dues):
    """Dues with what the gate asks of each; ``today`` is the tenant's day.

    ``place_zone`` is the branch's where there is a visit, else the tenant's; ``zone`` is whose
    clock quiet hours go by: that one for utility, the tenant's for marketing. ``trigger`` is the
    rule's id, ``identity`` the command's, ``key`` its key in messages.
    """

    tenant: I4
    today: I4
    zone: I4
    place_zone: I4
    trigger: list[str]
    identity: list[str]
    key: U8


@dataclass(slots=True)
class Verdicts:
    """For each line its number in ``REASONS``; ``channels``: a bit for each that may be used.

    ``contact``: the line is a marketing contact, whatever came of it.
    """

    reason: NDArray[np.int8]
    channels: NDArray[np.uint64]
    contact: Flags


def judge(state: LaneState, asked: Asked) -> Verdicts:
    """The gate, step by step."""
    rules = state.tenants.rules
    verdicts = Verdicts(
        reason=np.zeros(len(asked.customer), np.int8),
        channels=rules.channels[asked.rule],
        contact=np.zeros(len(asked.customer), np.bool_),
    )
    lines = np.arange(len(asked.customer))
    marketing = rules.marketing[asked.rule].nonzero()[0]
    for reason, refused in _STEPS:
        if reason == "holdout":
            verdicts.contact[marketing] = True
        chosen = marketing if reason in _OF_MARKETING else lines
        if len(chosen):
            struck = chosen[refused(state, asked, chosen, verdicts)]
            if len(struck):
                verdicts.reason[struck] = REASONS.index(reason)
                lines = lines[verdicts.reason[lines] == PASSED]
                marketing = marketing[verdicts.reason[marketing] == PASSED]
    return verdicts


def _wrong_segment(state: LaneState, asked: Asked, lines: Rows, _: Verdicts) -> Flags:
    bit = SEGMENT_BIT[state.customers.segment[asked.customer[lines]]]
    refused: Flags = state.tenants.rules.segments[asked.rule[lines]] & bit == 0
    return refused


def _cooling_down(state: LaneState, asked: Asked, lines: Rows, _: Verdicts) -> Flags:
    """The same rule had a contact fewer than so many local days ago."""
    rules, table = state.tenants.rules, state.cooldowns
    rule = asked.rule[lines]
    refused = rules.cooldown[rule] > 0
    at = refused.nonzero()[0]
    keys = cooldown_keys(
        state.customers.key[asked.customer[lines[at]]],
        rules.key[rule[at]],
    )
    row = table.index.find(keys)
    ago = asked.today[lines[at]] - table.day[row].astype(np.int64)
    refused[at] = (row >= 0) & (ago < rules.cooldown[rule[at]])
    return refused


def _without_consent(state: LaneState, asked: Asked, lines: Rows, verdicts: Verdicts) -> Flags:
    """Strikes channels that are denied; what nobody has spoken of is the tenant's default."""
    consents = consents_of(state, asked.customer[lines])
    allowed = state.tenants.consents[asked.tenant[lines]] & (consents.value != OUT)
    allowed |= consents.value == IN
    sms = np.where(consents.sms_ms != NONE, state.tenants.rules.sms[asked.rule[lines]], 0)
    verdicts.channels[lines] &= np.where(allowed, ~sms.astype(np.uint64), np.uint64(0))
    refused: Flags = verdicts.channels[lines] == 0
    return refused


def _without_channel(state: LaneState, asked: Asked, lines: Rows, verdicts: Verdicts) -> Flags:
    """Strikes channels that the policy forbids, and those that cannot reach the customer."""
    verdicts.channels[lines] &= state.tenants.rules.allowed[asked.rule[lines]]
    phoneless = lines[state.customers.phone[asked.customer[lines]] == 0]
    if len(phoneless):
        aliases = told_aliases(state, asked.customer[phoneless]).tolist()
        for line, names in zip(phoneless.tolist(), aliases, strict=True):
            channels = state.tenants.rules.words[asked.rule.item(line)]
            verdicts.channels[line] &= np.uint64(_reaching(channels, names))
    refused: Flags = verdicts.channels[lines] == 0
    return refused


def _reaching(channels: Iterable[str], aliases: Iterable[str]) -> int:
    """Bits of the channels that reach who has no phone: those that an alias is of."""
    return sum(
        1 << at
        for at, channel in enumerate(channels)
        if at < MOST_CHANNELS and any(_is_of(alias, channel) for alias in aliases)
    )


def _is_of(alias: str, channel: str) -> bool:
    if channel in ("sms", "whatsapp"):
        return channel == "whatsapp" and alias == "whatsapp_bsuid"
    return alias.startswith(channel)


def _booked_again(state: LaneState, asked: Asked, lines: Rows, _: Verdicts) -> Flags:
    """Has a booking that starts after now."""
    refused = state.tenants.rules.future[asked.rule[lines]]
    # Features know the first booking after the last change: none then is none now.
    at = refused.nonzero()[0]
    customers = asked.customer[lines[at]]
    refused[at] = state.customers.next_booking_ms[customers] > asked.made_ms[lines[at]]
    passed = (state.customers.next_booking_ms[customers] != NONE) & ~refused[at]
    at, customers = at[passed], customers[passed]
    if len(at):
        history = history_of(state, customers)
        now_ms = asked.made_ms[lines[at]]
        booked = state.visits.status[history.visit] <= CONFIRMED
        booked &= state.visits.start_ms[history.visit] > now_ms[history.owner]
        refused[at[history.owner[booked]]] = True
    return refused


def _stale(_: LaneState, asked: Asked, lines: Rows, __: Verdicts) -> Flags:
    stale: Flags = asked.now_ms[lines] >= asked.expires_ms[lines]
    return stale


def _in_quiet_hours(state: LaneState, asked: Asked, lines: Rows, _: Verdicts) -> Flags:
    """By the lane's clock: that is when a sender gets it. A utility reminder never waits."""
    rules = state.tenants.rules
    rule, tenant = asked.rule[lines], asked.tenant[lines]
    start, end = windows_of(state, tenant, rules.marketing[rule])
    quiet = inside_window(state, asked.zone[lines], asked.now_ms[lines], start, end)
    quiet &= rules.marketing[rule] | ~rules.reminder[rule]
    return quiet


def _outranked(state: LaneState, asked: Asked, lines: Rows, _: Verdicts) -> Flags:
    """Another of the customer's comes at once: the highest priority wins, then the rule's id."""
    customer = asked.customer[lines]
    order = np.argsort(customer, kind="stable")
    same = np.zeros(len(lines), np.bool_)
    same[1:] = customer[order][1:] == customer[order][:-1]
    outranked = np.zeros(len(lines), np.bool_)
    if not same.any():
        return outranked
    priority = state.tenants.rules.priority
    best: dict[int, tuple[tuple[int, str, str], int]] = {}
    first = same.copy()
    first[:-1] |= same[1:]
    for at in order[first].tolist():
        line = lines.item(at)
        rank = (-int(priority[asked.rule.item(line)]), asked.trigger[line], asked.occasion[line])
        whose = customer.item(at)
        outranked[at] = True
        if whose not in best or rank < best[whose][0]:
            best[whose] = rank, at
    outranked[[at for _, at in best.values()]] = False
    return outranked


def _capped(state: LaneState, asked: Asked, lines: Rows, _: Verdicts) -> Flags:
    """Enough marketing contacts on the last local days."""
    tenants, table = state.tenants, state.contacts
    days, most = tenants.cap_days[asked.tenant[lines]], tenants.cap_most[asked.tenant[lines]]
    owners = np.arange(len(lines), dtype=np.int32)
    heads = state.customers.first_contact[asked.customer[lines]]
    owner, contact = walk(heads, table.next_contact, owners)
    fills = table.fills[contact]
    owner, contact = owner[fills], contact[fills]
    ago = asked.today[lines][owner] - table.day[contact].astype(np.int64)
    capped = np.zeros(len(lines), np.bool_)
    for cap in range(days.shape[1]):
        counted = np.bincount(owner[ago < days[owner, cap]], minlength=len(lines))
        capped |= (days[:, cap] > 0) & (counted >= most[:, cap])
    return capped


def _held_out(state: LaneState, asked: Asked, lines: Rows, _: Verdicts) -> Flags:
    """The permanent share of customers who get no marketing."""
    tenants, customers = state.tenants, state.customers
    tenant, rows = asked.tenant[lines], asked.customer[lines]
    who = list(map(str, customers.phone[rows].tolist()))
    for at in (customers.phone[rows] == 0).nonzero()[0].tolist():
        who[at] = customers.id[rows[at]].decode()
    places = np.array(holdout_places(tenants.name[tenant].tolist(), who))
    refused: Flags = places < tenants.rules.holdout[asked.rule[lines]]
    return refused


def _undeliverable(state: LaneState, asked: Asked, lines: Rows, _: Verdicts) -> Flags:
    return cannot_be_reached(state, asked.customer[lines], asked.made_ms[lines])


_Step = Callable[[LaneState, Asked, Rows, Verdicts], Flags]
_STEPS: tuple[tuple[Reason, _Step], ...] = (
    ("segment", _wrong_segment),
    ("cooldown", _cooling_down),
    ("consent", _without_consent),
    ("channel", _without_channel),
    ("future_booking", _booked_again),
    ("stale", _stale),
    ("quiet_hours", _in_quiet_hours),
    ("priority", _outranked),
    ("cap", _capped),
    ("holdout", _held_out),
    ("undeliverable", _undeliverable),
)
_OF_MARKETING = frozenset({"consent", "priority", "cap", "holdout"})
