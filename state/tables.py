"""The tables of a lane: who, what happened, what was decided. Column names and dtypes are storage.

Units: ``*_ms`` are instants (ms since the epoch, UTC); ``*_day`` are tenant-local days since
       1970-01-01; ``due`` columns are instants, NEVER where nothing is due; money is minor units
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from schemas.batch import I1, I4, I8, NONE, Objects
from state.rows_plain import Rows
from state.table import Column, Table

NEVER = np.iinfo(np.int64).max
"""The due instant of what is not due."""

NO_DAY = np.iinfo(np.int32).min
"""The day of a visit that never was."""

NO_WALL = np.iinfo(np.int32).min
"""How far the wall clock is ahead of UTC at a start that was told as an instant."""

UNCOUNTED, UNATTRIBUTED = -1, -2
"""A visit that no segment's revenue has: it does not count or its day is not over; it was nobody's
when its day was over, or when it was told after that."""

VACANT = -1
"""Status of a visit row that no version has filled yet."""

SILENT, DECIDED, SENT, WITHDRAWN, HELD = range(5)
"""Occasion states: passed in silence, refused, commanded, commanded and taken back, waiting."""

ATTENDANCE, BOOKING, PERSON = 1, 2, 4
"""What of a customer is to be planned anew, a bit each: what follows visits that were attended or
missed, what precedes a visit, what hangs on who the customer is."""
STIRRED = ATTENDANCE | BOOKING | PERSON

Flags = NDArray[np.bool_]


class Words(Table):
    """Strings of low cardinality: service lists, staff, currencies."""

    COLUMNS: ClassVar = {"key": Column("u8"), "text": Column("O", None)}
    text: Objects


class Scopes(Table):
    """Name spaces of provider ids: tenant, provider, branch."""

    COLUMNS: ClassVar = {
        "key": Column("u8"),
        "tenant": Column("i4"),
        "provider": Column("O", None),
        "branch": Column("O", None),
    }
    tenant: I4
    provider: Objects
    branch: Objects


class Places(Table):
    """Branches at which visits take place, each with the zone that the settings give it."""

    COLUMNS: ClassVar = {
        "key": Column("u8"),
        "tenant": Column("i4"),
        "branch": Column("O", None),
        "zone": Column("i4", derived=True),
    }
    tenant: I4
    branch: Objects
    zone: I4


class Customers(Table):
    """One person at one tenant, under a canonical phone; phone 0: under an alias as yet.

    ``heir`` is whom the customer of an alias was merged into when its phone was learnt.
    ``day_segment`` is the segment at the end of the tenant's last day; ``score_changed``: segment,
    F, M or the last visit have changed since the last flush. ``placed`` counts visits that came
    to the customer, as far as ``crowds.CROWD``: from then on each of the days has a row there.
    ``opted`` is what the customer's own messages said last of marketing, 0 out, 1 in, -1 nothing.
    """

    COLUMNS: ClassVar = {
        "key": Column("u8"),
        "tenant": Column("i4"),
        "phone": Column("i8"),
        "id": Column("S32"),
        "known": Column("?"),
        "segment": Column("i2"),
        "scored_day": Column("i4", NO_DAY),
        "last_day": Column("i4", NO_DAY),
        "frequency": Column("i4"),
        "monetary": Column("i8"),
        "last_visit_ms": Column("i8", NONE),
        "next_booking_ms": Column("i8", NONE),
        "position": Column("i8"),
        "as_of_ms": Column("i8"),
        "roll_due": Column("i8", NEVER),
        "reminder_due": Column("i8", NEVER),
        "flush_due": Column("i8", NEVER),
        "birthday_due": Column("i8", NEVER),
        "trigger_due": Column("i8", NEVER),
        "held_due": Column("i8", NEVER),
        "opted": Column("i1", -1),
        "opted_ms": Column("i8", NONE),
        "day_segment": Column("i2"),
        "score_changed": Column("?"),
        "heir": Column("i4", -1),
        "placed": Column("u1"),
        "lives": Column("u1"),
        "due": Column("i8", NEVER, derived=True),
        "first_client": Column("i4", -1, derived=True),
        "first_alias": Column("i4", -1, derived=True),
        "first_contact": Column("i4", -1, derived=True),
        "first_failure": Column("i4", -1, derived=True),
        "slot": Column("i4", -1, derived=True),
        "stirred": Column("i1", derived=True),
    }
    tenant: I4
    phone: I8
    id: NDArray[np.bytes_]
    known: Flags
    segment: NDArray[np.int16]
    scored_day: I4
    last_day: I4
    frequency: I4
    monetary: I8
    last_visit_ms: I8
    next_booking_ms: I8
    position: I8
    as_of_ms: I8
    roll_due: I8
    reminder_due: I8
    flush_due: I8
    birthday_due: I8
    trigger_due: I8
    held_due: I8
    opted: I1
    opted_ms: I8
    day_segment: NDArray[np.int16]
    score_changed: Flags
    heir: I4
    placed: NDArray[np.uint8]
    lives: NDArray[np.uint8]
    due: I8
    first_client: I4
    first_alias: I4
    first_contact: I4
    first_failure: I4
    slot: I4
    stirred: I1

    def stir(self, rows: Rows, what: int) -> None:
        """Has this of customers (-1: none) looked at when their facts are complete."""
        self.stirred[rows[rows >= 0]] |= what


class Clients(Table):
    """One card of a CRM, or the stand-in for visits that name a phone and no card.

    ``aliases`` are those that the card tells (JSON); ``linked``: it has belonged to a customer.
    ``consent_ms`` and ``sms_ms`` are the instants at which the card said so last.
    """

    COLUMNS: ClassVar = {
        "key": Column("u8"),
        "tenant": Column("i4"),
        "customer": Column("i4", -1),
        "version": Column("i8", NONE),
        "card_phone": Column("i8"),
        "visit_phone": Column("i8"),
        "has_card": Column("?"),
        "name": Column("O", None),
        "birthday": Column("i4"),
        "locale": Column("O", None),
        "consent": Column("i1", -1),
        "consent_ms": Column("i8", NONE),
        "sms_denied": Column("i1", -1),
        "sms_ms": Column("i8", NONE),
        "gone_day": Column("i4", NO_DAY),
        "gone_ms": Column("i8", NONE),
        "aliases": Column("O", None),
        "linked": Column("?"),
        "next_client": Column("i4", -1, derived=True),
        "first_visit": Column("i4", -1, derived=True),
        "first_payment": Column("i4", -1, derived=True),
    }
    tenant: I4
    customer: I4
    version: I8
    card_phone: I8
    visit_phone: I8
    has_card: Flags
    name: Objects
    birthday: I4
    locale: Objects
    consent: I1
    consent_ms: I8
    sms_denied: I1
    sms_ms: I8
    gone_day: I4
    gone_ms: I8
    aliases: Objects
    linked: Flags
    next_client: I4
    first_visit: I4
    first_payment: I4


class Visits(Table):
    """One CRM record or closed order in its newest version.

    ``kept_day`` is the latest day that any version has told: while it is inside the window the row
    stays and refuses older versions. ``ahead_ms``: how far the wall clock by which the start was
    told is ahead of it. ``held_ms`` is the start whose reminders the visit holds.
    ``counted`` is the segment whose revenue of its day has the visit. ``imported``: its start was
    told by history, so that nobody is reminded of it. ``missed_at`` is the minute since the epoch
    at which it became a no-show or cancelled, 0 before.
    """

    COLUMNS: ClassVar = {
        "key": Column("u8"),
        "scope": Column("i4"),
        "id": Column("i8"),
        "client": Column("i4", -1),
        "phone": Column("i8"),
        "version": Column("i8", NONE),
        "status": Column("i1", VACANT),
        "start_ms": Column("i8", NONE),
        "ahead_ms": Column("i4", NO_WALL),
        "duration_s": Column("i4", -1),
        "day": Column("i4", NO_DAY),
        "kept_day": Column("i4", NO_DAY),
        "amount": Column("i8"),
        "is_major": Column("?"),
        "foreign": Column("?"),
        "currency": Column("i4", -1),
        "place": Column("i4"),
        "services": Column("i4", -1),
        "staff": Column("i4", -1),
        "held_ms": Column("i8", NONE),
        "counted": Column("i2", UNCOUNTED),
        "imported": Column("?"),
        "money_unit": Column("i8", NONE),
        "unit": Column("i4", -1),
        "missed_at": Column("i4"),
        "next_visit": Column("i4", -1, derived=True),
        "next_same": Column("i4", -1, derived=True),
    }
    scope: I4
    id: I8
    client: I4
    phone: I8
    version: I8
    status: I1
    start_ms: I8
    ahead_ms: I4
    duration_s: I4
    day: I4
    kept_day: I4
    amount: I8
    is_major: Flags
    foreign: Flags
    currency: I4
    place: I4
    services: I4
    staff: I4
    held_ms: I8
    counted: NDArray[np.int16]
    imported: Flags
    money_unit: I8
    unit: I4
    missed_at: I4
    next_visit: I4
    next_same: I4


class VisitTexts(Table):
    """Ids of visits that are no integers, as providers write them; keyed as the visits are."""

    COLUMNS: ClassVar = {"key": Column("u8"), "text": Column("O", None)}
    text: Objects


class Occasions(Table):
    """What has been decided, so that no correction decides it again.

    A reminder's occasion is a visit, its start and a rule, and is kept until the start; that of an
    entered segment until its minute is over, or its command has expired (``start_ms`` is then).
    Any other is kept until then too, and tells the visit that it is about, a winback the last day;
    that it has been decided is kept in ``marks``.
    """

    COLUMNS: ClassVar = {
        "key": Column("u8"),
        "rule": Column("u8"),
        "visit": Column("i4", -1),
        "start_ms": Column("i8", NONE),
        "state": Column("i1"),
        "expires_ms": Column("i8", NONE),
        "command": Column("O", None, text=False),
    }
    rule: NDArray[np.uint64]
    visit: I4
    start_ms: I8
    state: I1
    expires_ms: I8
    command: Objects


class Marks(Table):
    """What has been decided of any trigger but reminders and entered segments, until an instant."""

    COLUMNS: ClassVar = {"key": Column("u8"), "until_ms": Column("i8")}
    until_ms: I8
