"""Tell who a messenger means: a phone, or its own name of a person who hides one.

Takes: what a messenger calls the other side of a chat
Out:   a phone as written, and an alias
"""

from __future__ import annotations

import re

from schemas.webhooks.findings import Alias

BSUID = "whatsapp_bsuid"
"""WhatsApp's name of a person at one business: a country and letters or digits."""

_BSUID = re.compile(r"[A-Z]{2}\.(?:ENT\.)?[A-Za-z0-9]{1,128}")


Peer = tuple[str | None, Alias | None]
"""A phone and an alias, of which one may be absent, or both."""

NOBODY: Peer = (None, None)


def bsuid(name: str | None) -> Alias | None:
    """The alias where the name has that form (``BR.1502576394655843``)."""
    return (BSUID, name) if name and _BSUID.fullmatch(name) else None


def peer(messenger: str, name: str) -> Peer:
    """Who is meant: WhatsApp calls people by their phones, other messengers by names of theirs."""
    if not name:
        return NOBODY
    if messenger == "whatsapp":
        if hidden := bsuid(name):
            return None, hidden
        # Whole numbers with their country, of which the plus sign alone is missing.
        return (f"+{name}" if name.isdecimal() else name), None
    return None, (messenger, name)
