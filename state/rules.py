"""The triggers in force as columns, so that the gate asks a rule's numbers for a whole batch.

State: derived from the tenants' settings; a rule's number is good until its tenant's settings
       change
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.batch import I4, I8
from schemas.keys import text_key
from schemas.segments import CODES
from schemas.settings import TenantSettings, Trigger

MOST_CHANNELS = 63
"""Channels of one trigger that are tried: one bit each."""

FOREVER = 1 << 60
"""What has no time to live: a reminder, which is over when its visit starts."""

_FUTURE = frozenset({"rebook", "winback", "no_show"})
_BIT_OF = {code: np.uint32(1 << at) for at, code in enumerate(sorted(CODES.values()))}

SEGMENT_BIT = np.zeros(334, np.uint32)
"""The bit of each segment's code."""
for _code, _bit in _BIT_OF.items():
    SEGMENT_BIT[_code] = _bit

_DTYPES = {
    "key": "u8",
    "segments": "u4",
    "marketing": "?",
    "reminder": "?",
    "future": "?",
    "priority": "i4",
    "cooldown": "i4",
    "ttl_ms": "i8",
    "channels": "u8",
    "allowed": "u8",
    "sms": "u8",
    "holdout": "i4",
    "return_days": "i4",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """One trigger's numbers: channels are bits, in the trigger's order.

    ``holdout``, in percent, and ``return_days`` are its tenant's.
    """

    key: int
    segments: int
    marketing: bool
    reminder: bool
    future: bool
    priority: int
    cooldown: int
    ttl_ms: int
    channels: int
    allowed: int
    sms: int
    holdout: int
    return_days: int


class Rules:
    """Rules of all tenants by number; ``allowed`` are the channels that no policy forbids.

    ``future``: a booking to come stands against it. ``ttl_ms`` is ``FOREVER`` where the settings
    name none; ``triggers`` are the rules as they are, and ``words`` their channels.
    """

    key: NDArray[np.uint64]
    segments: NDArray[np.uint32]
    marketing: NDArray[np.bool_]
    reminder: NDArray[np.bool_]
    future: NDArray[np.bool_]
    priority: I4
    cooldown: I4
    ttl_ms: I8
    channels: NDArray[np.uint64]
    allowed: NDArray[np.uint64]
    sms: NDArray[np.uint64]
    holdout: I4
    return_days: I4

    def __init__(self) -> None:
        self.triggers: list[Trigger] = []
        self.words: list[tuple[str, ...]] = []
        self._numbers: list[dict[str, int]] = []
        self._free: list[int] = []
        self._used = 0
        for name, dtype in _DTYPES.items():
            setattr(self, name, np.zeros(64, dtype))

    def number(self, tenant: int, trigger: str) -> int:
        """The number of the tenant's rule; -1 where it is not in force."""
        return self._numbers[tenant].get(trigger, -1)

    def adopt(self, tenant: int, settings: TenantSettings) -> None:
        """Puts a tenant's rules in force instead of those before."""
        while len(self._numbers) <= tenant:
            self._numbers.append({})
        self._free += self._numbers[tenant].values()
        self._numbers[tenant] = {
            trigger.id: self._add(_rule(settings, trigger), trigger)
            for trigger in settings.triggers
        }

    def _add(self, rule: Rule, trigger: Trigger) -> int:
        if self._free:
            number = self._free.pop()
        else:
            number, self._used = self._used, self._used + 1
            self.triggers.append(trigger)
            self.words.append(())
            if self._used > len(self.key):
                for name in _DTYPES:
                    column: NDArray[Any] = getattr(self, name)
                    setattr(self, name, np.concatenate([column, np.zeros_like(column)]))
        for name in _DTYPES:
            getattr(self, name)[number] = getattr(rule, name)
        self.triggers[number], self.words[number] = trigger, trigger.channels
        return number


def _rule(settings: TenantSettings, trigger: Trigger) -> Rule:
    banned = settings.banned_channels.get(trigger.category, frozenset())
    bits = [(name, 1 << at) for at, name in enumerate(trigger.channels[:MOST_CHANNELS])]
    wanted = trigger.segments or frozenset(_BIT_OF)
    return Rule(
        key=text_key(trigger.id),
        segments=sum(int(_BIT_OF[code]) for code in wanted),
        marketing=trigger.category == "marketing",
        reminder=trigger.kind == "reminder",
        future=trigger.kind in _FUTURE,
        priority=trigger.priority,
        cooldown=trigger.cooldown_days,
        ttl_ms=FOREVER if trigger.ttl_ms is None else trigger.ttl_ms,
        channels=sum(bit for _, bit in bits),
        allowed=sum(bit for name, bit in bits if name not in banned),
        sms=sum(bit for name, bit in bits if name == "sms"),
        holdout=settings.holdout_percent,
        return_days=settings.return_days,
    )
