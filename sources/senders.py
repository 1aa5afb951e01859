"""Carry out commands as senders do: try the channels, say what came of it, pass on statuses.

Takes: a command as the engine writes it; a seeded generator of chance
Out:   moments for ``Put``: a receipt for each attempt, statuses with delays, losses and repeats,
       now and then a reply; and ``Outcome``, what the customer noticed of it
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any, NamedTuple

from sources.business import MINUTE, SECOND, Business, Letter
from sources.messages import ERRORS, Messengers, Told, messenger_of
from sources.places import MOVES, OPT_OUTS, REPLIES
from sources.story import Put, Writer

LOST_RECEIPTS = 0.01
"""Commands of which the sender never says anything."""
LOST_STATUSES = 0.015
REPEATED_STATUSES = 0.04
SKIPPED_DELIVERED = 0.06
"""Read messages that were never told to be delivered: the chat was open."""
FAILED_ATTEMPTS = 0.04
"""Attempts that the provider refuses; the next channel is tried."""
BOUNCED = 0.012
"""Accepted messages that fail later."""
READ = {b"utility": 0.9, b"marketing": 0.8}
REPLIED = 0.04
"""Read messages that are answered."""

_DELAY = 1_200


class Outcome(NamedTuple):
    """What the customer noticed of a command."""

    delivered: bool
    read: bool


class Sender:
    """Who sends for one business."""

    def __init__(self, business: Business, rng: Random, put: Put) -> None:
        self._rng = rng
        self._put = put
        self._own = Messengers(business)
        self._messenger = messenger_of(business, self._own)
        self._echoes = business.messenger == "whatsapp"

    def carry_out(self, command: Mapping[str, Any], at: int, phone: bytes, name: bytes) -> Outcome:
        """Every attempt at a command that was made at the instant ``at``."""
        rng = self._rng
        identity = command["command_id"].encode()
        category = command["category"].encode()
        silent = rng.random() < LOST_RECEIPTS
        at += 300 + int(1_500 * rng.random())
        for channel in command["channels"]:
            if rng.random() < FAILED_ATTEMPTS:
                if not silent:
                    told = (identity, channel.encode(), rng.choice(tuple(ERRORS)))
                    self._put(at, 300, self._own.refusal, told)
                at += SECOND + int(4 * SECOND * rng.random())
                continue
            sms = channel == "sms"
            number = b"sms-%024x" % rng.getrandbits(96) if sms else self._messenger.number(rng)
            letter = Letter(number, phone, identity, category)
            if not silent:
                self._put(at, 300, self._own.receipt, (letter, channel.encode()))
            if not sms and not (self._echoes and (silent or rng.random() < 0.5)):
                letter = letter._replace(command=b"")
            return self._follow(letter, at, sms, name)
        return Outcome(delivered=False, read=False)

    def send_own(self, at: int, phone: bytes, name: bytes) -> None:
        """A message of the business itself, which no command of ours was for."""
        letter = Letter(self._messenger.number(self._rng), phone, b"", b"marketing")
        self._follow(letter, at, False, name)

    def _follow(self, letter: Letter, at: int, sms: bool, name: bytes) -> Outcome:
        """Statuses of one message, in the order in which they come about."""
        rng = self._rng
        sent = at + 400 + int(rng.random() * 2 * SECOND)
        if rng.random() < BOUNCED and not sms:
            self._tell(letter, sent, sms, ((b"failed", sent, rng.choice(tuple(ERRORS))),))
            return Outcome(delivered=False, read=False)
        delivered = sent + int(rng.expovariate(1 / (8 * SECOND))) + SECOND
        reads = rng.random() < READ[letter.category] and not sms
        skipped = reads and rng.random() < SKIPPED_DELIVERED
        if not skipped and rng.random() < 0.02:
            both: tuple[Told, ...] = ((b"sent", sent, 0), (b"delivered", delivered, 0))
            self._tell(letter, delivered, sms, both)
        else:
            self._tell(letter, sent, sms, ((b"sent", sent, 0),))
            if not skipped:
                self._tell(letter, delivered, sms, ((b"delivered", delivered, 0),))
        if not reads:
            return Outcome(delivered=True, read=False)
        read = delivered + 2 * SECOND + int(rng.expovariate(1 / (25 * MINUTE)))
        self._tell(letter, read, sms, ((b"read", read, 0),))
        if rng.random() < 0.12:  # a second device reads it too
            self._tell(letter, read + 3 * SECOND, sms, ((b"read", read + 2 * SECOND, 0),))
        if rng.random() < REPLIED:
            self.hear(read + 20 * SECOND + int(rng.expovariate(1 / (5 * MINUTE))), letter, name)
        return Outcome(delivered=True, read=True)

    def hear(self, at: int, letter: Letter, name: bytes) -> None:
        """A customer answers: thanks, wants to move, wants no more of it, sends a picture."""
        rng = self._rng
        marketing = letter.category == b"marketing"
        u = rng.random()
        if u < (0.15 if marketing else 0.02):
            text = rng.choice(OPT_OUTS)
        elif u < 0.3:
            text = rng.choice(MOVES)
        else:
            text = rng.choice(REPLIES) if u < 0.9 else ""
        number = self._messenger.number(rng)
        told = (number, letter.phone, name, at, text.encode())
        self._put(at, _DELAY, self._messenger.incoming, told)

    def _tell(self, letter: Letter, at: int, sms: bool, told: tuple[Told, ...]) -> None:
        """One body of statuses: lost, or told once or twice."""
        rng = self._rng
        u = rng.random()
        if u < LOST_STATUSES:
            return
        write: Writer = self._own.sms_status if sms else self._messenger.statuses
        if not sms and len(told) > self._messenger.most:
            for each in told:
                self._put(at, _DELAY, write, (letter, (each,)))
            return
        self._put(at, _DELAY, write, (letter, told))
        if u > 1 - REPEATED_STATUSES:
            again = at + 2 * SECOND + int(rng.expovariate(1 / (40 * SECOND)))
            self._put(again, _DELAY, write, (letter, told))
