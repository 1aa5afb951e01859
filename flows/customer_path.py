"""A customer's whole path: who it is, how it is scored, and everything that happened, by time.

Takes: what a log or the stores tell of one customer
Out:   ``CustomerPath``; one JSON object of it, in which the phone is masked and names are optional
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from flows.stories import masked
from schemas.outputs import Command, Decision, Profile, SegmentChange, instant_ms
from schemas.texts import instant_text

Facts = dict[str, Any]

MESSAGES = ("accepted", "sent", "delivered", "read", "replied", "failed")
"""What became of a message, in the order of the funnel; ``failed`` stands apart."""


class Unknown(Exception):
    """Nobody knows this tenant or customer; the message repeats no phone."""


@dataclass(frozen=True)
class Sought:
    """One customer of a tenant, by phone as people write it or by id, up to a place in the log."""

    tenant: str
    phone: str | None = None
    customer_id: str | None = None
    until: int | None = None
    """The last position that is looked at."""
    until_ms: int | None = None
    """The last instant of the log's clock."""


class Moment(NamedTuple):
    """Something that happened; ``order`` tells what comes first of one instant."""

    at_ms: int
    order: int
    what: str
    facts: Facts


class Thresholds(NamedTuple):
    """What a customer is scored by; ``monetary`` is ``None`` where every digit is 2."""

    window_days: int
    recency_days: tuple[int, int]
    """Upper bounds of R 3 and R 2, inclusive."""
    frequency: tuple[int, int]
    """Lower bounds of F 3 and F 2."""
    monetary: tuple[int, int] | None
    """Lower bounds of M 3 and M 2."""
    version: str


@dataclass
class CustomerPath:
    """Everything that is known of one customer of one tenant."""

    tenant: str
    customer_id: str
    source: str
    """``log`` or ``stores``."""
    zone: str
    """In which times are told."""
    business: str | None = None
    currency: str | None = None
    consent_default: str | None = None
    profile: Profile | None = None
    thresholds: Thresholds | None = None
    merged_from: list[str] = field(default_factory=list)
    merged_into: str | None = None
    forgotten_at: str | None = None
    missing: list[str] = field(default_factory=list)
    """What the source cannot tell: names of sentences."""
    moments: list[Moment] = field(default_factory=list)

    @property
    def tzinfo(self) -> ZoneInfo:
        """The rules of ``zone``."""
        return ZoneInfo(self.zone)

    @property
    def phone(self) -> str | None:
        """The country code and the last two digits."""
        phone = self.profile.phone if self.profile else None
        return masked(phone) if phone else None

    def name(self, is_shown: bool) -> str | None:
        """The first name alone, and that only where it is asked for."""
        name = (self.profile.name or "").split() if self.profile and is_shown else []
        return name[0] if name else None

    def sort(self) -> None:
        """By time; of one instant what happened, then what came of it."""
        self.moments.sort(key=lambda moment: moment[:2])

    def as_json(self, names: bool) -> Facts:
        """One object for machines."""
        profile: Facts | None = None
        if self.profile is not None:
            profile = msgspec.to_builtins(self.profile)
            for kept in ("tenant", "customer_id", "birthday"):
                del profile[kept]
            profile["phone"], profile["name"] = self.phone, self.name(names)
            profile["aliases"] = {kind: hidden(each) for kind, each in profile["aliases"].items()}
        return {
            "tenant": self.tenant,
            "customer_id": self.customer_id,
            "source": self.source,
            "timezone": self.zone,
            "merged_from": self.merged_from,
            "merged_into": self.merged_into,
            "forgotten_at": self.forgotten_at,
            "profile": profile,
            "thresholds": self.thresholds and self.thresholds._asdict(),
            "missing": self.missing,
            "path": [
                {"at": instant_text(each.at_ms), "what": each.what, **each.facts}
                for each in self.moments
            ],
        }


def hidden(name: str) -> str:
    """A messenger's own name of a person: its last two characters."""
    return f"***{name[-2:]}"


def of_change(change: SegmentChange, facts: Facts | None = None) -> Moment:
    """A move between segments; ``facts`` are the features that made it, where they are known."""
    told = {"from": change.from_, "to": change.to, "cause": change.cause}
    return Moment(instant_ms(change.at), 1, "segment", told | (facts or {}))


def of_decision(decision: Decision, command: Command | None) -> Moment:
    """What became of a due trigger; what is sent is told by its command."""
    facts: Facts = {
        "trigger": decision.trigger,
        "command_id": decision.command_id,
        "reason": decision.reason,
    }
    if command is not None:
        facts |= {
            "kind": command.kind,
            "category": command.category,
            "template": command.template,
            "channels": command.channels,
            "segment": command.segment,
            "expires_at": command.expires_at,
            "visit_at": command.visit and command.visit.local_start,
        }
    what = "commanded" if decision.outcome == "sent" else decision.outcome
    return Moment(instant_ms(decision.at), 2, what, facts)


def decided(decisions: Iterable[Decision], commands: Iterable[Command]) -> list[Moment]:
    """Decisions with the commands of those that were sent."""
    sent = {command.command_id: command for command in commands if not command.withdrawn}
    return [
        of_decision(each, sent.get(each.command_id) if each.outcome == "sent" else None)
        for each in decisions
    ]
