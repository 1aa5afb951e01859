"""What became of commands: accepted, sent, delivered, read, replied, returned.

Takes: receipts, statuses and messages in log order; at the end the visits that stand
Out:   rows of ``message_funnel_daily`` and ``uplift_monthly``, as dicts from key to measures
Source: domain.md's funnel; a message is a command's by its own word, or by a receipt's, in any
        order; a status without either waits ten minutes from its last like
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

from schemas.keys import text_key
from tests.oracle_bodies import Key, StatusFact
from tests.oracle_diary import Departed, Diary
from tests.oracle_gate import Contact
from tests.oracle_messages import KEPT, WAIT
from tests.oracle_rows import Receipt
from tests.oracle_times import day_of, day_text

LEVELS = ("accepted", "sent", "delivered", "read")
UNREACHABLE = frozenset({131026})

Name = tuple[str, ...]


@dataclass
class Hearing:
    """One message: of which command, or since when it waits for one."""

    command: str | None = None
    since: int = 0
    statuses: set[str] = field(default_factory=set)
    unreachable: int | None = None  # since when


@dataclass
class Sending:
    """One command: when it was sent, its messages, what they have met, whether it was answered."""

    who: str
    at: int
    messages: dict[str, set[str]] = field(default_factory=dict)
    met: set[str] = field(default_factory=set)
    replied: bool = False


class Failure(NamedTuple):
    """A message of a command that could not reach its number, since when."""

    command: str
    message: str
    at: int


class Return(NamedTuple):
    """An attended visit that credits a contact."""

    start: int
    money: int
    key: Key


class Party(NamedTuple):
    """What one customer got, and what of it is credited, by command."""

    contacts: list[Contact]
    credited: dict[str, Return]


@dataclass
class Trail:
    """All messages of one tenant."""

    sendings: dict[str, Sending] = field(default_factory=dict)
    hearings: dict[str, Hearing] = field(default_factory=dict)

    def receive(self, receipt: Receipt, now: int) -> Failure | None:
        """A sender's answer; one without a message is this command's on that channel."""
        message = receipt.message or f"{receipt.command}\x1f{receipt.channel or ''}"
        return self._hear(message, receipt.command, receipt.status, receipt.error, now)

    def take(self, fact: StatusFact, now: int) -> Failure | None:
        """What a messenger tells; returns the message's failure, if it has one that counts."""
        if fact.at <= now - KEPT:
            return None
        return self._hear(fact.id, fact.command, fact.status, fact.error, now)

    def _hear(
        self, message: str, command: str | None, status: str, error: int, now: int
    ) -> Failure | None:
        heard = self.hearings.get(message)
        if heard is None or not self._is_known(heard, now):
            heard = self.hearings[message] = Hearing()
        if command is not None and self._is_kept(command, now):
            if heard.command is not None:
                del self.sendings[heard.command].messages[message]
            heard.command = command
        heard.since = now
        heard.statuses.add(status)
        if status == "failed" and error in UNREACHABLE and heard.unreachable is None:
            heard.unreachable = now
        if heard.command is None:
            return None
        sending = self.sendings[heard.command]
        sending.messages[message] = heard.statuses
        sending.met |= heard.statuses
        if heard.unreachable is None:
            return None
        return Failure(heard.command, message, heard.unreachable)

    def _is_known(self, heard: Hearing, now: int) -> bool:
        if heard.command is None:
            return heard.since > now - WAIT
        return self._is_kept(heard.command, now)

    def _is_kept(self, command: str, now: int) -> bool:
        sending = self.sendings.get(command)
        return sending is not None and sending.at > now - KEPT

    def reply(self, who: str, at: int, now: int) -> None:
        """What the customer was sent last is answered; what was sent at once, together."""
        sent = [s for s in self.sendings.values() if s.who == who and now - KEPT < s.at < at]
        last = max((each.at for each in sent), default=None)
        for sending in sent:
            sending.replied |= sending.at == last

    def reached(self, command: str) -> dict[str, int]:
        """Cumulative measures of one command."""
        sending = self.sendings[command]
        level = max(
            (LEVELS.index(status) for status in sending.met if status in LEVELS), default=-1
        )
        if sending.replied:
            level = len(LEVELS) - 1
        lost = [m for m, each in sending.messages.items() if "failed" in each]
        carried = any(m not in lost and each for m, each in sending.messages.items())
        told = {name: int(at <= level) for at, name in enumerate(LEVELS)}
        return told | {"replied": int(sending.replied), "failed": int(bool(lost) and not carried)}


def returns(
    diary: Diary,
    who: str,
    contacts: list[Contact],
    leaving: Departed | None = None,
    zone: str | None = None,
) -> dict[str, Return]:
    """By command: each visit credits the last contact before it, if that is not too long ago.

    What a visit that has left the window was credited for stays; ``leaving`` is about to, and
    ``zone`` is the tenant's until then.
    """
    zone = zone or diary.rules.timezone
    visits = [(b.start, diary.worth[b.key], b.key) for b in diary.bookings(who) if b.came]
    if leaving is not None:
        visits = [each for each in visits if each[2] != leaving.key]
        visits.append((leaving.start, leaving.money, leaving.key))
    marketing = [contact for contact in contacts if contact.category == "marketing"]
    marketing.sort(key=lambda each: (each.at, _signed(text_key(each.trigger))))
    credited = {c.command: Return(*c.kept) for c in marketing if c.kept is not None}
    for start, money, key in sorted(visits):
        before = [contact for contact in marketing if contact.at < start]
        if before and day_of(start, zone) - before[-1].day <= before[-1].return_days:
            credited.setdefault(before[-1].command, Return(start, money, key))
    return credited


def _signed(key: int) -> int:
    """Of rules at one instant the greater key comes last, as 64 bits with a sign."""
    return key - (1 << 64) if key >= 1 << 63 else key


def funnel_rows(tenant: str, parties: list[Party], trail: Trail) -> Rows:
    """``message_funnel_daily`` and ``uplift_monthly`` of one tenant."""
    rows = Rows()
    for contacts, credited in parties:
        enrolled: dict[Name, list[Contact]] = defaultdict(list)
        for contact in contacts:
            day = day_text(contact.day)
            key = (tenant, day, contact.trigger, contact.channel, contact.variant)
            told = Counter({"commanded": 1})
            if contact.is_sent:
                told.update(trail.reached(contact.command))
            back = credited.get(contact.command)
            told.update(
                {"returned": int(back is not None), "revenue_minor": back.money if back else 0}
            )
            rows.funnel[key] += told
            if contact.category == "marketing":
                enrolled[tenant, day[:7], contact.trigger].append(contact)
        for name, enrolling in enrolled.items():
            found = [credited[c.command] for c in enrolling if c.command in credited]
            revenue = sum(each.money for each in found)
            told = Counter(customers=1, returned=int(bool(found)), revenue_minor=revenue)
            told["revenue_squared"] = revenue * revenue
            rows.uplift[*name, enrolling[0].variant] += told
    return rows


@dataclass
class Rows:
    """Measures by key; what is zero need not be there."""

    funnel: dict[Name, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    uplift: dict[Name, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
