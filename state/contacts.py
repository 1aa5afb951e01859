"""What the gate remembers: who was contacted when, what is held, what reached nobody.

Units: instants are ms since the epoch, UTC; days are the tenant's, since 1970-01-01
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from schemas.batch import I1, I4, I8, NONE, Objects
from schemas.keys import mix, row_keys
from state.index import U8
from state.table import Column, Table
from state.tables import NEVER, NO_DAY, Flags

TREATED, HOLDOUT = range(2)
"""Arms of a contact: who got the message, and who would have got it."""

_COOLDOWN_SALT = np.uint64(0x636F6F6C646F776E)


class Contacts(Table):
    """One row a command sent, or withheld from the holdout; keyed as its command is in messages.

    ``fills``: it is a contact and counts for caps and returns. ``rule`` is the trigger's key,
    ``funnel`` the row of the funnel that counts it, ``sent_ms`` the clock at which the command went
    out, NONE for none. ``level`` is how far its messages have come, ``lost`` and ``carrying`` how
    many of them have failed, and how many were heard of and have not. ``credit_ms`` is the start of
    the visit that it is credited with, NONE for none; ``credit_day`` the day with which that visit
    leaves the window, NO_DAY where it has.
    """

    COLUMNS: ClassVar = {
        "key": Column("u8"),
        "customer": Column("i4", -1),
        "tenant": Column("i4"),
        "rule": Column("u8"),
        "day": Column("i4", NO_DAY),
        "at_ms": Column("i8", NONE),
        "fills": Column("?"),
        "funnel": Column("i4", -1),
        "sent_ms": Column("i8", NONE),
        "return_days": Column("i2"),
        "level": Column("i1"),
        "replied": Column("?"),
        "lost": Column("i2"),
        "carrying": Column("i2"),
        "credit_ms": Column("i8", NONE),
        "credit_day": Column("i4", NO_DAY),
        "credit_money": Column("i8"),
        "next_contact": Column("i4", -1, derived=True),
    }
    customer: I4
    tenant: I4
    rule: NDArray[np.uint64]
    day: I4
    at_ms: I8
    fills: Flags
    funnel: I4
    sent_ms: I8
    return_days: NDArray[np.int16]
    level: I1
    replied: Flags
    lost: NDArray[np.int16]
    carrying: NDArray[np.int16]
    credit_ms: I8
    credit_day: I4
    credit_money: I8
    next_contact: I4


class Cooldowns(Table):
    """The last day on which a rule contacted a customer."""

    COLUMNS: ClassVar = {
        "key": Column("u8"),
        "customer": Column("i4", -1),
        "rule": Column("u8"),
        "day": Column("i4", NO_DAY),
    }
    customer: I4
    rule: NDArray[np.uint64]
    day: I4


class Held(Table):
    """Messages that wait for the end of a quiet window, keyed as their commands are in messages.

    ``customer`` is -1 where the message has been decided since. ``visit`` is what the command tells
    of it, as JSON; ``mark`` the row of its occasion; ``last_ms`` the start of the customer's last
    visit when it was held.
    """

    COLUMNS: ClassVar = {
        "key": Column("u8"),
        "customer": Column("i4", -1),
        "trigger": Column("O", None),
        "occasion": Column("O", None),
        "due_ms": Column("i8", NONE),
        "expires_ms": Column("i8", NONE),
        "release_ms": Column("i8", NEVER),
        "branch": Column("O", None),
        "visit": Column("O", None, text=False),
        "mark": Column("i4", -1),
        "last_ms": Column("i8", NONE),
    }
    customer: I4
    trigger: Objects
    occasion: Objects
    due_ms: I8
    expires_ms: I8
    release_ms: I8
    branch: Objects
    visit: Objects
    mark: I4
    last_ms: I8


class Failures(Table):
    """Messages that could not reach their phone, by the messages' keys: heard when first, whose.

    ``customer`` is -1 while no command is known for the message.
    """

    COLUMNS: ClassVar = {
        "key": Column("u8"),
        "customer": Column("i4", -1),
        "heard_ms": Column("i8", NONE),
        "next_failure": Column("i4", -1, derived=True),
    }
    customer: I4
    heard_ms: I8
    next_failure: I4


def cooldown_keys(customers: U8, rules: U8) -> U8:
    """Keys of cooldowns, by the keys of customers and of rules."""
    return row_keys(mix(customers ^ _COOLDOWN_SALT, rules), rules)
