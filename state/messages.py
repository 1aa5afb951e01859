"""What has been heard of messages: which command each was for, which of its statuses were seen.

State: ``messages`` (also a row for every command sent, by its id) and ``tallies``
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from schemas.batch import I4, I8, NONE, StatusEvents
from schemas.keys import row_keys, text_key
from state.index import U8
from state.table import Column, Table
from state.zones import DAY_MS, MINUTE_MS

UNASKED, THEIRS = -1, -2
"""Links of messages that no command of ours is known for: somebody's, or the customer's own."""

KEPT_MS = 21 * DAY_MS
"""How long a message with a command is known, from the sending of the command."""

WAIT_MS = 10 * MINUTE_MS
"""How long one without a command is remembered, from the last time it was heard of."""

_MESSAGE_SALT = np.uint64(0x6D6573736167652D)
_COMMAND_SALT = np.uint64(0x636F6D6D616E642D)
_FIRST_CLEANING = 65_536


class Messages(Table):
    """One row a message, by its id at its provider, and one a command, by the command's id.

    ``command`` is the row of the command that the message carries out, of a command its own, and
    ``contact`` of a command the row of its contact.
    ``since_ms`` is the instant from which the row is kept: that at which the command was sent;
    of a message without one the last at which it was heard of, and ``sight`` the lane's number of
    that hearing. ``statuses`` has a bit for each status seen.
    """

    COLUMNS: ClassVar = {
        "key": Column("u8"),
        "customer": Column("i4", -1),
        "command": Column("i4", UNASKED),
        "contact": Column("i4", -1),
        "since_ms": Column("i8", NONE),
        "sight": Column("u4"),
        "statuses": Column("u1"),
    }
    customer: I4
    command: I4
    contact: I4
    since_ms: I8
    sight: NDArray[np.uint32]
    statuses: NDArray[np.uint8]

    def __init__(self) -> None:
        super().__init__()
        self.clean_at = _FIRST_CLEANING  # rows in use at which it is worth looking for dead ones

    def cleaned(self) -> None:
        """Waits until as many again have come as a clean-up has left, or nearly."""
        self.clean_at = max(_FIRST_CLEANING, len(self) + len(self) // 2)


class Tallies(Table):
    """Counts that outlive a crash."""

    COLUMNS: ClassVar = {"key": Column("u8"), "count": Column("i8")}
    count: I8

    def add(self, name: int, more: int) -> int:
        """Counts more of what has this number; returns how many there were before."""
        row, _ = self.find_or_add(np.array([name], np.uint64))
        before = int(self.count[row[0]])
        self.count[row] += more
        self.touch(row)
        return before


def message_keys(tenants: U8, messages: I8) -> U8:
    """Keys of messages, whichever provider tells of them."""
    return row_keys(tenants ^ _MESSAGE_SALT, messages.view(np.uint64))


def command_keys(tenants: U8, commands: I8) -> U8:
    """Keys of commands, by ``text_key`` of their ids."""
    return row_keys(tenants ^ _COMMAND_SALT, commands.view(np.uint64))


def message_ids(statuses: StatusEvents) -> I8:
    """A sender that failed has no message to name: it is this command's on that channel."""
    ids = statuses.message
    nameless = (ids == NONE).nonzero()[0]
    if len(nameless):
        ids = ids.copy()
        for at in nameless.tolist():
            ids[at] = text_key(f"{statuses.command[at] or ''}\x1f{statuses.channel[at] or ''}")
    return ids
