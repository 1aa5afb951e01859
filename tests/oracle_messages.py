"""Know which messages, and which of their statuses, have been heard of before.

Takes: messages and statuses in log order, each with the clock at which it arrived
Out:   whether one repeats what is known
Source: what a customer wrote is known for 21 days from its last coming; a message of ours that no
        command is known for, ten minutes from its last status
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.oracle_bodies import MessageFact, StatusFact

MINUTE = 60_000
KEPT = 21 * 24 * 60 * MINUTE
WAIT = 10 * MINUTE


@dataclass
class Heard:
    """One message: what was heard of it, since when."""

    since: int
    is_theirs: bool = False
    seen: set[str] = field(default_factory=set)

    def is_known(self, now: int) -> bool:
        """Whether it still is."""
        return self.since > now - (KEPT if self.is_theirs else WAIT)


@dataclass
class Messages:
    """All messages of one tenant, by their ids."""

    heard: dict[str, Heard] = field(default_factory=dict)

    def take(self, fact: MessageFact | StatusFact, now: int) -> bool:
        """One more hearing; tells whether it says nothing new."""
        if fact.at <= now - KEPT:
            return False
        message = self.heard.get(fact.id)
        if message is None or not message.is_known(now):
            message = self.heard[fact.id] = Heard(now)
        told = "came" if isinstance(fact, MessageFact) else fact.status
        repeats = told in message.seen
        message.seen.add(told)
        message.is_theirs |= isinstance(fact, MessageFact)
        if isinstance(fact, MessageFact) or not message.is_theirs:
            message.since = now
        return repeats
