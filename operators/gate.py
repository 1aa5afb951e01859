"""Decide whether a due trigger may become a command: one verdict, the first refusal wins.

In:    the trigger, the customer's segment, the lane clock and the command's expiry
Out:   the reason of a refusal, or None
State: none

Of the gate's order (segment, cooldown, consent, channel, future booking, stale, quiet hours,
priority, cap, holdout, undeliverable) this release judges ``segment`` and ``stale``.
"""

from __future__ import annotations

from typing import Literal

from schemas.settings import Trigger

Refusal = Literal["segment", "stale"]


def refusal(trigger: Trigger, segment: int, now_ms: int, expires_ms: int) -> Refusal | None:
    """Why this customer may not get it now; a command is stale from its expiry on."""
    if trigger.segments and segment not in trigger.segments:
        return "segment"
    if now_ms >= expires_ms:
        return "stale"
    return None
