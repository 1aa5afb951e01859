"""What a customer has agreed to: any card's denial binds, until that card or a later word lifts it.

Takes: what each card says, and since when; what the customer wrote
Out:   whether a marketing message may go out on a channel
Source: domain.md's consent; a denial by message is lifted by a message alone
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from schemas.settings import TenantSettings
from tests.oracle_diary import Notes
from tests.oracle_words import START, STOP, plain


class Said(NamedTuple):
    """A word of the customer's own; a later one wins, of two at once the denial."""

    at: int
    denied: bool


@dataclass
class Voice:
    """What a customer has written about being written to."""

    said: Said | None = None

    def hear(self, text: str, at: int) -> None:
        """One message more; most say nothing of it."""
        words = plain(text)
        if words in STOP or words in START:
            self.say(Said(at, words in STOP))

    def say(self, word: Said) -> None:
        """The newest stays."""
        self.said = word if self.said is None else max(self.said, word)

    def join(self, other: Voice) -> None:
        """Two customers are one: whoever is opted out binds both."""
        words = [word for word in (self.said, other.said) if word is not None]
        denials = [word for word in words if word.denied]
        self.said = max(denials or words, default=None)


def may_write(rules: TenantSettings, voice: Voice, cards: list[Notes], channel: str) -> bool:
    """Whether marketing may go to a channel."""
    word = voice.said
    if word is not None and word.denied:
        return False
    denials = [n.marketing[0] for n in cards if n.marketing is not None and not n.marketing[1]]
    if channel == "sms":
        denials += [n.sms[0] for n in cards if n.sms is not None and not n.sms[1]]
    if any(word is None or at >= word.at for at in denials):
        return False
    agreed = word is not None or any(n.marketing is not None and n.marketing[1] for n in cards)
    return agreed or rules.consent_default == "allow"
