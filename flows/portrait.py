"""Look at what a lane knows of one customer, and tell what differs from what it knew before.

In:    rows of the customer, before and after something was folded
Out:   ``Portrait``: visits, payments, contacts, consent; ``changes`` from one to the next
State: read only
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
import numpy as np

from flows.stories import NAMES
from operators.consent import told_consents
from operators.features import history_of
from operators.money import payment_money, visit_money
from operators.progress import LEVELS
from schemas.batch import ATTENDED, DELETED, NONE, SERVICES_SEPARATOR
from schemas.outputs import Consent
from schemas.texts import day_text, instant_text, wall_text
from state.chains import walk
from state.index import Rows
from state.lane import LaneState
from state.tables import NO_WALL, VACANT

Facts = dict[str, Any]

_decode_consents = msgspec.json.Decoder(dict[str, Consent]).decode


class Seen(NamedTuple):
    """A visit in the version that counts; ``wall_ms`` is its start on the branch's clock."""

    status: int
    start_ms: int
    wall_ms: int
    money: int | None
    branch: str
    services: str
    imported: bool

    def facts(self) -> Facts:
        """As the path tells them."""
        told = self.start_ms != NONE
        return {
            "starts_at": instant_text(self.start_ms) if told else None,
            "local_start": wall_text(self.wall_ms) if told else None,
            "services": self.services.split(SERVICES_SEPARATOR) if self.services else [],
            "branch": self.branch or None,
            "money_minor": self.money,
            "imported": self.imported,
        }


class Reached(NamedTuple):
    """How far a contact has come; ``credit_ms`` is the visit that it is credited with, or NONE."""

    level: int
    replied: bool
    failed: bool
    credit_ms: int
    credit_money: int


@dataclass
class Portrait:
    """What is known of a customer, each thing under its table's key."""

    visits: dict[int, Seen] = field(default_factory=dict)
    payments: dict[int, tuple[str, int]] = field(default_factory=dict)
    """Day and money of what was paid beside visits."""
    contacts: dict[int, Reached] = field(default_factory=dict)
    consent: dict[str, Consent] = field(default_factory=dict)


def portrait_of(state: LaneState, rows: Rows) -> Portrait:
    """What the lane knows of these rows, which are one person's."""
    if not len(rows):
        return Portrait()
    history = history_of(state, rows)
    consent = map(_decode_consents, told_consents(state, rows).tolist())
    return Portrait(
        _visits(state, history.visit),
        _payments(state, history.client),
        _contacts(state, rows),
        {name: said for told in consent for name, said in told.items()},
    )


def _visits(state: LaneState, rows: Rows) -> dict[int, Seen]:
    table = state.visits
    rows = rows[table.status[rows] != VACANT]
    money = visit_money(state, rows).tolist()
    found = {}
    for row, minor in zip(rows.tolist(), money, strict=True):
        start = int(table.start_ms[row])
        services = int(table.services[row])
        status = int(table.status[row])
        found[int(table.key[row])] = Seen(
            status,
            start,
            _wall(state, row, start),
            minor if status == ATTENDED else None,
            state.places.branch[table.place[row]] or "",
            state.words.text[services] if services >= 0 else "",
            bool(table.imported[row]),
        )
    return found


def _wall(state: LaneState, row: int, start: int) -> int:
    if start == NONE:
        return NONE
    ahead = int(state.visits.ahead_ms[row])
    if ahead != NO_WALL:
        return start + ahead
    zone = state.places.zone[state.visits.place[row]]
    return int(state.zones.to_local(np.array([zone]), np.array([start]))[0])


def _payments(state: LaneState, clients: Rows) -> dict[int, tuple[str, int]]:
    table = state.payments
    _, rows = walk(state.clients.first_payment[clients], table.next_payment, clients)
    money = payment_money(state, rows).tolist()
    return {
        int(table.key[row]): (day_text(int(table.day[row])), minor)
        for row, minor in zip(rows.tolist(), money, strict=True)
        if minor
    }


def _contacts(state: LaneState, customers: Rows) -> dict[int, Reached]:
    table = state.contacts
    _, rows = walk(state.customers.first_contact[customers], table.next_contact, customers)
    return {
        int(table.key[row]): Reached(
            int(table.level[row]),
            bool(table.replied[row]),
            bool(table.lost[row] > 0 and table.carrying[row] == 0),
            int(table.credit_ms[row]),
            int(table.credit_money[row]),
        )
        for row in rows.tolist()
    }


def changes(
    state: LaneState, before: Portrait, after: Portrait
) -> Iterator[tuple[str, int, Facts]]:
    """What came to be known: its name, the key of the visit or contact it is of, its facts."""
    for category, said in after.consent.items():
        earlier = before.consent.get(category)
        if earlier is None or said.value != earlier.value:
            facts = {"category": category, "source": said.source, "since": said.at}
            yield ("agreed" if said.value else "denied"), 0, facts
    for key, seen in sorted(after.visits.items(), key=_start):
        yield from _of_visit(key, before.visits.get(key), seen)
    for key in sorted(before.visits.keys() - after.visits.keys()):
        if _is_there(state, key):
            yield "taken", key, before.visits[key].facts()
    for key in sorted(after.payments.keys() | before.payments.keys()):
        day, was = before.payments.get(key, ("", 0))
        day, now = after.payments.get(key, (day, 0))
        if now != was and key in after.payments:
            yield "paid", key, {"day": day, "money_minor": now, "was_minor": was or None}
    for key, reached in sorted(after.contacts.items()):
        nothing = Reached(0, False, False, NONE, 0)
        yield from _of_contact(key, before.contacts.get(key, nothing), reached)


def _start(visit: tuple[int, Seen]) -> tuple[int, int]:
    key, seen = visit
    return seen.start_ms, key


def _is_there(state: LaneState, visit: int) -> bool:
    """Whether somebody else has it now; what nobody has is older than is remembered."""
    return int(state.visits.index.find(np.array([visit], np.uint64))[0]) >= 0


def _of_visit(key: int, before: Seen | None, seen: Seen) -> Iterator[tuple[str, int, Facts]]:
    facts = seen.facts()
    if before is None or before.status != seen.status:
        if seen.status != DELETED:
            yield NAMES[seen.status], key, facts
        elif before is not None:  # of one that nobody knew there is nothing to tell
            yield "deleted", key, before.facts()
    elif before.start_ms != seen.start_ms:
        yield "moved", key, facts | {"was": before.facts()["local_start"]}
    elif before.money != seen.money:
        yield "repriced", key, facts | {"was_minor": before.money}


def _of_contact(key: int, before: Reached, now: Reached) -> Iterator[tuple[str, int, Facts]]:
    if now.level > before.level:
        yield LEVELS[now.level - 1], key, {}
    if now.replied and not before.replied:
        yield "replied", key, {}
    if now.failed and not before.failed:
        yield "failed", key, {}
    if now.credit_ms != before.credit_ms or now.credit_money != before.credit_money:
        if now.credit_ms == NONE:
            yield "uncredited", key, {"starts_at": instant_text(before.credit_ms)}
        else:
            facts = {"starts_at": instant_text(now.credit_ms), "money_minor": now.credit_money}
            yield "returned", key, facts
