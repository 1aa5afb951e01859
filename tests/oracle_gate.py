"""Whether a due trigger may become a command: the gate's steps, in order, for one customer.

Takes: what is due for the customer at one moment, and what is known by then
Out:   ``Verdict``, one for each: refused, held until an instant, or passed by its channels
Source: domain.md's gate
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from schemas.settings import Trigger
from tests.oracle_bodies import Key
from tests.oracle_consent import Voice, may_write
from tests.oracle_diary import Diary, Notes
from tests.oracle_times import day_of
from tests.oracle_triggers import Due, is_inside, minute_of_day, wall

DAY = 86_400_000
FAILURES, FAILING_DAYS = 2, 14
NEXT_VISIT_MATTERS = {"rebook", "winback", "no_show"}

Arms = Callable[[str, str, int], bool]
"""Whether somebody of a tenant, by phone or else by customer id, is in this share of hundredths."""


@dataclass
class Contact:
    """A command that was sent, or a marketing decision that reached the holdout."""

    command: str
    trigger: str
    category: str
    day: int
    at: int
    channel: str
    variant: str  # treated or holdout
    is_sent: bool
    return_days: int
    kept: tuple[int, int, Key] | None = None  # the return by a visit that has left the window


@dataclass
class Folk:
    """One customer, as decisions see it."""

    day: int
    segment: str = "000"
    voice: Voice = field(default_factory=Voice)
    contacts: list[Contact] = field(default_factory=list)
    failures: dict[str, int] = field(default_factory=dict)  # message to when
    pending: list[Due] = field(default_factory=list)


class Verdict(NamedTuple):
    """What the gate says of one due."""

    due: Due
    outcome: str
    reason: str | None
    channels: tuple[str, ...] = ()
    release: int = 0


class Moment(NamedTuple):
    """``at`` is the moment that outputs tell, ``now`` the clock of the record that brought it."""

    at: int
    now: int
    position: int


@dataclass
class Gate:
    """The gate of one tenant."""

    diary: Diary
    arms: Arms

    def judge(self, who: str, folk: Folk, dues: list[Due], moment: Moment) -> list[Verdict]:
        """One verdict for each due; what is marketing contends for the one place."""
        verdicts, contenders = [], []
        for due in sorted(dues, key=lambda due: (due.trigger.id, due.occasion)):
            verdict = self._before_priority(who, folk, due, moment)
            if verdict.outcome == "sent" and due.trigger.category == "marketing":
                contenders.append(verdict)
            elif verdict.outcome == "sent" and self._is_lost(folk, moment.at):
                verdicts.append(_refused(due, "undeliverable"))
            else:
                verdicts.append(verdict)
        contenders.sort(key=lambda v: (-v.due.trigger.priority, v.due.trigger.id, v.due.occasion))
        verdicts += [_refused(each.due, "priority") for each in contenders[1:]]
        best = contenders[:1]
        return verdicts + [self._after_priority(who, folk, each, moment) for each in best]

    def _before_priority(self, who: str, folk: Folk, due: Due, moment: Moment) -> Verdict:
        trigger, channels = due.trigger, due.trigger.channels
        if trigger.segments and int(folk.segment) not in trigger.segments:
            return _refused(due, "segment")
        if self._is_cooling(folk, trigger, moment.at):
            return _refused(due, "cooldown")
        if trigger.category == "marketing":
            channels = tuple(c for c in channels if self._agreed(who, folk, c))
            if not channels:
                return _refused(due, "consent")
        channels = tuple(c for c in channels if self._reaches(who, trigger, c))
        if not channels:
            return _refused(due, "channel")
        booked = self.diary.next_booking(who, moment.at) is not None
        if booked and trigger.kind in NEXT_VISIT_MATTERS:
            return _refused(due, "future_booking")
        if moment.now >= due.expires:
            return _refused(due, "stale")
        release = self._release(due, moment.now)
        if release is not None:
            return Verdict(due, "held", "quiet_hours", channels, release)
        return Verdict(due, "sent", None, channels)

    def _after_priority(self, who: str, folk: Folk, verdict: Verdict, moment: Moment) -> Verdict:
        rules, due = self.diary.rules, verdict.due
        today = day_of(moment.at, rules.timezone)
        for cap in rules.caps:
            days = [c.day for c in folk.contacts if c.category == "marketing"]
            # Where the zone has moved west, what went out today may be of tomorrow.
            if sum(today - cap.per_days < day for day in days) >= cap.max:
                return _refused(due, "cap")
        phone = self.diary.people.phones.get(who)
        named = who if phone is None else str(phone)
        if self.arms(self.diary.tenant, named, rules.holdout_percent):
            return verdict._replace(outcome="holdout", reason="holdout")
        if self._is_lost(folk, moment.at):
            return verdict._replace(outcome="refused", reason="undeliverable")
        return verdict

    def _is_lost(self, folk: Folk, at: int) -> bool:
        """Whether the number cannot be reached, as far as its messages tell."""
        since = at - FAILING_DAYS * DAY
        failed = sum(told > since for told in folk.failures.values())
        return failed >= FAILURES

    def _is_cooling(self, folk: Folk, trigger: Trigger, at: int) -> bool:
        today = day_of(at, self.diary.rules.timezone)
        days = [c.day for c in folk.contacts if c.trigger == trigger.id]
        return any(today - day < trigger.cooldown_days for day in days)

    def _agreed(self, who: str, folk: Folk, channel: str) -> bool:
        clients = self.diary.people.clients_of(who)
        cards = [self.diary.notes.get(client, Notes()) for client in clients]
        return may_write(self.diary.rules, folk.voice, cards, channel)

    def _reaches(self, who: str, trigger: Trigger, channel: str) -> bool:
        if channel in self.diary.rules.banned_channels.get(trigger.category, frozenset()):
            return False
        if who in self.diary.people.phones:
            return True
        kinds = [kind for (kind, _), told in self.diary.people.aliases.items() if told[0] == who]
        if channel == "whatsapp":
            return "whatsapp_bsuid" in kinds
        return channel != "sms" and any(kind.startswith(channel) for kind in kinds)

    def _release(self, due: Due, now: int) -> int | None:
        """When the window ends in which a sender would get it; booked visits do not wait."""
        rules = self.diary.rules
        marketing = due.trigger.category == "marketing"
        if due.trigger.kind == "reminder" and not marketing:
            return None
        window = rules.quiet_hours if marketing else rules.quiet_utility
        zone = rules.timezone if marketing or due.place is None else rules.zone_of(due.place)
        minute = minute_of_day(now, zone)
        if not is_inside(minute, window):
            return None
        over = window[0] > window[1] and minute >= window[0]
        return wall(day_of(now, zone) + over, window[1], zone)


def _refused(due: Due, reason: str) -> Verdict:
    return Verdict(due, "refused", reason)
