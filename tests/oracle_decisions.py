"""Keep what was decided for each customer, once for each occasion, and take back what must be.

Takes: what is due for a customer at one moment; visits that move, or are no more
Out:   ``Decided`` and ``Command``, in no order
Source: domain.md's triggers and gate; nothing here is shared with the operators
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from schemas.keys import command_id
from schemas.settings import Trigger
from tests.oracle_bodies import Key
from tests.oracle_funnel import Sending, Trail
from tests.oracle_gate import Contact, Folk, Gate, Moment, Verdict
from tests.oracle_times import day_of
from tests.oracle_triggers import Due, Mark, held_starts

NEVER = -(1 << 63)

CONTACTS = {"holdout", "undeliverable"}
"""Reasons of what reached the holdout without being sent."""


class Decided(NamedTuple):
    """One decision, as the stream of decisions tells it."""

    position: int
    customer: str
    trigger: str
    command: str
    outcome: str
    reason: str | None
    at: int


class Command(NamedTuple):
    """What a command says that has to be decided."""

    position: int
    customer: str
    trigger: str
    command: str
    occasion: str
    channels: tuple[str, ...]
    template: str
    segment: str
    due: int
    expires: int
    created: int
    visits: tuple[str, ...]
    withdrawn: bool


@dataclass
class Held:
    """A message that waits for the end of quiet hours."""

    due: Due
    release: int
    last: int  # start of the last visit when it was held


@dataclass
class Sent:
    """A command that may still be withdrawn."""

    command: Command
    held: tuple[Key, int] | None
    is_over: bool = False


@dataclass
class Said:
    """Everything that was decided."""

    decisions: list[Decided] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)


class Decisions:
    """What was decided for one tenant's customers, what waits, what may still be taken back."""

    def __init__(self, gate: Gate) -> None:
        self.gate, self.diary = gate, gate.diary
        self.tenant = gate.diary.tenant
        self.said = Said()
        self.folks: dict[str, Folk] = {}
        self.marks: set[Mark] = set()
        self.heard: set[str] = set()  # command ids
        self.held: dict[str, dict[Mark, Held]] = {}
        self.sent: dict[str, Sent] = {}
        self.holders: dict[Key, int] = {}
        self.trail = Trail()

    def decide(self, who: str, dues: list[Due], moment: Moment) -> None:
        """Judges what is due for a customer at once, each occasion for the first time or held."""
        holds = self.held.setdefault(who, {})
        for verdict in self.gate.judge(who, self.folks[who], self._fresh(who, dues), moment):
            due, identity = verdict.due, self._identity(verdict.due)
            was_held = holds.pop(due.mark, None) is not None
            if verdict.outcome == "held":
                holds[due.mark] = Held(due, verdict.release, self._last_start(who))
            if verdict.outcome != "held" or not was_held:
                self._say(who, due.trigger.id, identity, verdict.outcome, verdict.reason, moment)
            self._keep(who, identity, verdict, moment)

    def _fresh(self, who: str, dues: list[Due]) -> list[Due]:
        """Those that wait, and those of which nobody has heard; from now on everybody has."""
        rules = {trigger.id: trigger for trigger in self.diary.rules.triggers}
        fresh: dict[Mark, Due] = {}
        for due in dues:
            identity = self._identity(due)
            if due.mark in self.held[who] or not (due.mark in self.marks or identity in self.heard):
                fresh[due.mark] = due._replace(trigger=rules[due.trigger.id])
            self.hush(due)
        return list(fresh.values())

    def hush(self, due: Due) -> None:
        """From now on this occasion is nothing new."""
        self.marks.add(due.mark)
        self.heard.add(self._identity(due))

    def _identity(self, due: Due) -> str:
        return command_id(self.tenant, due.trigger.id, due.occasion)

    def _keep(self, who: str, identity: str, verdict: Verdict, moment: Moment) -> None:
        """A contact, and a command if it is one."""
        due, trigger, folk = verdict.due, verdict.due.trigger, self.folks[who]
        is_sent = verdict.outcome == "sent"
        reached = trigger.category == "marketing" and verdict.reason in CONTACTS
        if is_sent or reached:
            day = day_of(moment.at, self.diary.rules.timezone)
            variant = "holdout" if verdict.outcome == "holdout" else "treated"
            told = (trigger.id, trigger.category, day, moment.at, verdict.channels[0], variant)
            days = self.diary.rules.return_days
            folk.contacts.append(Contact(identity, *told, is_sent, days))
        if is_sent:
            self.trail.sendings[identity] = Sending(who, moment.now)
            command = self._command(who, identity, verdict, trigger, moment)
            self.said.commands.append(command)
            self.sent[identity] = Sent(command, due.held)

    def _command(
        self, who: str, identity: str, verdict: Verdict, trigger: Trigger, moment: Moment
    ) -> Command:
        due, segment = verdict.due, self.folks[who].segment
        return Command(
            position=moment.position,
            customer=who,
            trigger=trigger.id,
            command=identity,
            occasion=due.occasion,
            channels=verdict.channels,
            template=self.diary.rules.message_for(trigger, int(segment))[0],
            segment=segment,
            due=due.due,
            expires=due.expires,
            created=moment.at,
            visits=due.visits,
            withdrawn=False,
        )

    def _say(
        self,
        who: str,
        trigger: str,
        identity: str,
        outcome: str,
        reason: str | None,
        moment: Moment,
    ) -> None:
        told = (moment.position, who, trigger, identity, outcome, reason, moment.at)
        self.said.decisions.append(Decided(*told))

    def take_back(self, who: str, standing: set[Mark], moment: Moment) -> None:
        """Held messages whose reason is no more, or who has come since."""
        for mark, held in list(self.held.get(who, {}).items()):
            gone = mark[1] in {"after_visit", "no_show"} and mark not in standing
            gone |= mark[1] == "rebook" and self._last_start(who) > held.last
            gone |= mark[1] == "winback" and (self.diary.last_day(who) or 0) > int(str(mark[-1]))
            if gone:
                self.withdraw_held(who, mark, moment)

    def _last_start(self, who: str) -> int:
        start = self.diary.last_start(who)
        return NEVER if start is None else start

    def replan_reminders(self, who: str, moment: Moment) -> None:
        """A visit that holds its day no more passes it on, or what was sent is withdrawn."""
        now = moment.now
        new = held_starts(self.diary, who, now)
        bookings = {booking.key: booking for booking in self.diary.bookings(who)}
        for key, booking in bookings.items():
            old = self.holders.get(key)
            if old is None or old <= now or new.get(key) == old:
                continue
            heirs = [
                heir
                for heir, start in new.items()
                if start == old and bookings[heir].place == booking.place
            ]
            if heirs:
                self._pass_on(key, heirs[0], old)
            else:
                self.withdraw_visit(key, old, moment)
        for key in bookings:
            if key in new:
                self.holders[key] = new[key]
            else:
                self.holders.pop(key, None)

    def _pass_on(self, key: Key, heir: Key, start: int) -> None:
        for mark in [m for m in self.marks if m[1:] == ("reminder", key, start)]:
            again = (mark[0], "reminder", heir, start)
            if again in self.marks:
                continue
            self.marks.add(again)
            for holds in self.held.values():
                if mark in holds:
                    held = holds.pop(mark)
                    due = held.due._replace(mark=again, held=(heir, start))
                    holds[again] = Held(due, held.release, held.last)
            for sent in self.sent.values():
                if sent.held == (key, start) and sent.command.trigger == mark[0]:
                    sent.held = heir, start

    def withdraw_visit(self, key: Key, start: int | None, moment: Moment) -> None:
        """What was sent, or waits, for a start that is no more."""
        for who, holds in self.held.items():
            for mark in [m for m, held in holds.items() if held.due.held == (key, start)]:
                self.withdraw_held(who, mark, moment)
        in_force = {trigger.id for trigger in self.diary.rules.triggers}
        for sent in self.sent.values():
            theirs = start is not None and sent.held == (key, start)
            if theirs and sent.command.trigger in in_force:
                self.withdraw(sent, moment)

    def withdraw(self, sent: Sent, moment: Moment) -> None:
        if sent.is_over or moment.now >= sent.command.expires:
            return
        sent.is_over = True
        again = sent.command._replace(withdrawn=True, position=moment.position)
        self.said.commands.append(again)
        self._say(again.customer, again.trigger, again.command, "withdrawn", None, moment)

    def withdraw_held(self, who: str, mark: Mark, moment: Moment) -> None:
        due = self.held[who].pop(mark).due
        self._say(who, due.trigger.id, self._identity(due), "withdrawn", None, moment)
