"""Walk a log record by record, minute by minute, and decide every trigger: slow and plain.

Takes: record lines in log order, in one lane; what is decided, and by which steps of the gate
Out:   ``Decided`` in no order; what commands are about; rows of the funnel and of the uplift
Source: domain.md and contracts.md alone; nothing here is shared with the operators
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from schemas.keys import command_id
from schemas.settings import Trigger
from tests.oracle import Sums
from tests.oracle_bodies import Fact, Key, MessageFact, StatusFact
from tests.oracle_boundaries import Boundaries
from tests.oracle_diary import Diary
from tests.oracle_funnel import Sending, Trail
from tests.oracle_gate import STEPS, Arms, Contact, Folk, Gate, Moment, Verdict
from tests.oracle_rows import Told, read
from tests.oracle_times import day_of, midnight_of
from tests.oracle_triggers import Due, Mark, View, entries, held_starts, planned, replies

KINDS = frozenset(
    (
        *("birthday", "reminder", "after_visit", "rebook"),
        *("winback", "no_show", "segment_entered", "reply"),
    )
)
FOREVER = 1 << 62


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


class Town:
    """One tenant: its facts, its customers, and what is planned for them."""

    def __init__(self, tenant: str, id_key: bytes, gate: Gate, kinds: frozenset[str]) -> None:
        self.tenant, self.gate, self.diary, self.kinds = tenant, gate, gate.diary, kinds
        self.said = Said()
        self.bounds, self.before = Boundaries(), None
        self.bounds_day = -FOREVER
        self.folks: dict[str, Folk] = {}
        self.marks: set[Mark] = set()
        self.decided: set[str] = set()
        self.held: dict[str, dict[Mark, Held]] = {}
        self.sent: dict[str, Sent] = {}
        self.holders: dict[Key, int] = {}
        self.linked: set[Key] = set()
        self.trail = Trail()
        self.midnight = FOREVER

    bounds: Boundaries
    before: Sums | None

    # Time

    def await_midnight(self) -> None:
        """The next one of the tenant's zone."""
        zone = self.diary.rules.timezone
        self.midnight = midnight_of(day_of(self.diary.clock, zone) + 1, zone)

    def pass_time(self, clock: int, position: int) -> None:
        """Everything that is due up to a record's clock, in its order."""
        while True:
            instants = {who: self._next(who) for who in self.folks}
            at = min([self.midnight, *instants.values()])
            if at > clock:
                return
            self.diary.clock = max(self.diary.clock, at)
            if self.midnight == at:
                self._begin_day(at)
                continue
            moment = Moment(at, clock, position)
            for who in sorted(who for who, instant in instants.items() if instant == at):
                self._pass(who, moment)

    def _next(self, who: str) -> int:
        waiting = [held.release for held in self.held.get(who, {}).values()]
        planned_for = [due.due for due in self.folks[who].pending]
        return min([self._roll_at(who), *waiting, *planned_for])

    def _roll_at(self, who: str) -> int:
        zone = self.diary.rules.timezone
        return midnight_of(self.folks[who].day + 1, zone) + self.diary.delay(who)

    def _begin_day(self, at: int) -> None:
        self.diary.expire()
        self.before = self.bounds.sums
        self.bounds.begin_day(self.diary)
        self.bounds_day = self.diary.today
        self.await_midnight()

    def _pass(self, who: str, moment: Moment) -> None:
        """The customer's day begins, if it does, and then all that is due at this instant."""
        folk, at = self.folks[who], moment.at
        dues: list[Due] = []
        if self._roll_at(who) == at:
            folk.day += 1
            self.diary.expire()
            dues += self._roll(who, folk, moment)
        told = moment._replace(at=at - at % 60_000)
        ready = [due for due in folk.pending if due.due == at]
        folk.pending = [due for due in folk.pending if due.due != at]
        released = [held.due for held in self.held.get(who, {}).values() if held.release == at]
        self._decide(who, dues + ready + released, told)

    def _roll(self, who: str, folk: Folk, moment: Moment) -> list[Due]:
        before = folk.segment
        folk.segment = self._segment(who, folk.day)
        crossed: list[Due] = []
        if folk.segment != before:
            by_bounds = folk.day == self.bounds_day
            by_bounds &= self.diary.segment(who, folk.day, self.before) == before
            if not by_bounds and "segment_entered" in self.kinds:
                crossed = entries(self.diary, who, before, folk.segment, moment.at)
        late = self._plan(who, folk, moment.at - 1, moment, is_fact=True)
        return crossed + late

    def _segment(self, who: str, day: int) -> str:
        sums = self.before if day < self.bounds_day else self.bounds.sums
        return self.diary.segment(who, day, sums)

    # Records

    def take(self, told: Told) -> None:
        """One record, at whose clock time has passed already."""
        self.diary.clock, self.diary.imported = told.clock, told.imported
        moment = Moment(told.clock, told.clock, told.position)
        if told.settings is not None:
            self._adopt(told, moment)
        if told.forget is not None:
            self._forget(told.forget, moment)
        if told.receipt is not None:
            self._note_failure(self.trail.receive(told.receipt, told.clock))
        for fact in told.facts:
            self._take_fact(fact, moment, is_fact=not told.imported)
        if self.midnight == FOREVER:
            self.await_midnight()

    def _adopt(self, told: Told, moment: Moment) -> None:
        assert told.settings is not None
        self.diary.adopt(told.settings)
        self.bounds.adopt(told.settings)
        self.before, self.bounds_day = self.bounds.sums, -FOREVER
        self.await_midnight()
        for who, folk in self.folks.items():
            folk.day = self.diary.own_day(who, moment.at)
        kept = {trigger.id for trigger in told.settings.triggers}
        for who in self.folks:
            for mark in [m for m in self.held.get(who, {}) if m[0] not in kept]:
                self._withdraw_held(who, mark, moment)
        self._restand(moment, fires=False, is_fact=False, moved=set(), born={})

    def _forget(self, named: str, moment: Moment) -> None:
        who = self.diary.people.living(named)
        if who is None:
            return
        for mark in list(self.held.get(who, {})):
            self._withdraw_held(who, mark, moment)
        for sent in self.sent.values():
            if sent.command.customer == who:
                self._withdraw(sent, moment)
        self.diary.expire()
        for booking in self.diary.bookings(who):
            self.holders.pop(booking.key, None)
        self.linked -= self.diary.people.clients_of(who)
        self.diary.forget_notes(who)
        self.diary.forget(who)
        self.folks.pop(who, None)
        self.marks = {mark for mark in self.marks if who not in mark}

    def _take_fact(self, fact: Fact, moment: Moment, is_fact: bool) -> None:
        people = self.diary.people
        before = {client: people.owner(client) for client in people.clients}
        self.diary.handed.clear()
        repeats = self.diary.take(fact)
        for key in self.diary.handed:
            self._withdraw_visit(key, self.holders.pop(key, None), moment)
        moved = self._moved(before)
        self._merge()
        born: dict[str, list[Due]] = {}
        if isinstance(fact, StatusFact):
            self._note_failure(self.trail.take(fact, moment.now))
        elif (
            isinstance(fact, MessageFact) and not repeats and fact.at > moment.now - 21 * 86_400_000
        ):
            born = self._hear(fact, moment)
        self._restand(moment, fires=is_fact, is_fact=is_fact, moved=moved, born=born)

    def _moved(self, before: dict[Key, str | None]) -> set[str | None]:
        """Customers whose clients came from others, or went to others."""
        people = self.diary.people
        moved: set[str | None] = set()
        for client in people.clients:
            was, now = before.get(client), people.owner(client)
            if was == now:
                continue
            moved.add(was)
            if now is not None and client in self.linked:
                moved.add(now)
            if now is not None:
                self.linked.add(client)
        return moved

    def _merge(self) -> None:
        """Whoever was known by another name alone has become somebody."""
        for gone, heir in self.diary.people.gone.items():
            if heir is None or gone not in self.folks:
                continue
            old, new = self.folks.pop(gone), self._folk(heir)
            new.voice.join(old.voice)
            new.contacts = sorted(new.contacts + old.contacts, key=lambda contact: contact.at)
            new.failures |= old.failures
            self.held.setdefault(heir, {}).update(self.held.pop(gone, {}))
            self.marks = {tuple(heir if p == gone else p for p in mark) for mark in self.marks}
            for sending in self.trail.sendings.values():
                sending.who = heir if sending.who == gone else sending.who

    def _folk(self, who: str) -> Folk:
        day = self.diary.own_day(who, self.diary.clock)
        return self.folks.setdefault(who, Folk(day))

    def _hear(self, fact: MessageFact, moment: Moment) -> dict[str, list[Due]]:
        people = self.diary.people
        if fact.phone is not None:
            who = people.person(fact.phone)
        elif fact.alias is not None:
            who = people.aliases[fact.alias][0]
        else:
            return {}
        at = min(fact.at, moment.now)
        self._folk(who).voice.hear(fact.text, at)
        self.trail.reply(who, at, moment.now)
        return {who: replies(self.diary, who, fact, moment.now) if "reply" in self.kinds else []}

    def _note_failure(self, failed: tuple[str, str, int, int] | None) -> None:
        if failed is not None:
            command, message, at, _ = failed
            folk = self.folks.get(self.trail.sendings[command].who)
            if folk is not None:
                folk.failures.setdefault(message, at)

    # What follows

    def _restand(
        self,
        moment: Moment,
        fires: bool,
        is_fact: bool,
        moved: set[str | None],
        born: dict[str, list[Due]],
    ) -> None:
        """Everybody is looked at anew, and what is due at once is decided, each one's together."""
        self.diary.expire()
        for who in sorted(self.diary.people.known):
            folk = self._folk(who)
            before, folk.segment = folk.segment, self._segment(who, folk.day)
            dues = list(born.get(who, []))
            goes = fires and folk.segment != before and who not in moved
            if goes and "segment_entered" in self.kinds:
                dues += entries(self.diary, who, before, folk.segment, moment.at)
            self._replan_reminders(who, moment)
            dues += self._plan(who, folk, moment.at, moment, is_fact)
            self._decide(who, dues, moment)

    def _plan(self, who: str, folk: Folk, until: int, moment: Moment, is_fact: bool) -> list[Due]:
        """What is still to come waits; what is past already is returned, or never told."""
        dues = planned(View(self.diary, who, folk.day, moment.at))
        dues = [due for due in dues if due.trigger.kind in self.kinds]
        self._take_back(who, {due.mark for due in dues}, moment)
        folk.pending, late = [], []
        for due in dues:
            if due.mark in self.marks:
                continue
            imported = due.held is not None and self.diary.imports[due.held[0]]
            if due.due > until and not imported:
                folk.pending.append(due)
                continue
            fresh = due.trigger.kind != "birthday" or moment.now < due.expires
            if due.trigger.kind == "reminder" or not is_fact or not fresh:
                self.marks.add(due.mark)
            else:
                late.append(due)
        return late

    def _take_back(self, who: str, standing: set[Mark], moment: Moment) -> None:
        """Held messages whose reason is no more."""
        for mark in list(self.held.get(who, {})):
            if mark[1] in {"after_visit", "no_show"} and mark not in standing:
                self._withdraw_held(who, mark, moment)

    def _replan_reminders(self, who: str, moment: Moment) -> None:
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
                self._withdraw_visit(key, old, moment)
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
            for sent in self.sent.values():
                if sent.held == (key, start) and sent.command.trigger == mark[0]:
                    sent.held = heir, start

    def _withdraw_visit(self, key: Key, start: int | None, moment: Moment) -> None:
        for sent in self.sent.values():
            if start is not None and sent.held == (key, start):
                self._withdraw(sent, moment)

    def _withdraw(self, sent: Sent, moment: Moment) -> None:
        if sent.is_over or moment.now >= sent.command.expires:
            return
        sent.is_over = True
        again = sent.command._replace(withdrawn=True, position=moment.position)
        self.said.commands.append(again)
        self._say(again.customer, again.trigger, again.command, "withdrawn", None, moment)

    def _withdraw_held(self, who: str, mark: Mark, moment: Moment) -> None:
        due = self.held[who].pop(mark).due
        identity = command_id(self.tenant, due.trigger.id, due.occasion)
        self._say(who, due.trigger.id, identity, "withdrawn", None, moment)

    # Decisions

    def _decide(self, who: str, dues: list[Due], moment: Moment) -> None:
        holds = self.held.setdefault(who, {})
        rules = {trigger.id: trigger for trigger in self.diary.rules.triggers}
        fresh: dict[Mark, Due] = {}
        for due in dues:
            if due.mark not in self.marks or due.mark in holds:
                fresh.setdefault(due.mark, due._replace(trigger=rules[due.trigger.id]))
        if not fresh:
            return
        for verdict in self.gate.judge(who, self.folks[who], list(fresh.values()), moment):
            due = verdict.due
            self.marks.add(due.mark)
            was_held = holds.pop(due.mark, None)
            identity = command_id(self.tenant, due.trigger.id, due.occasion)
            if verdict.outcome == "held":
                holds[due.mark] = Held(due, verdict.release)
                if was_held is not None:
                    continue
            elif identity in self.decided:
                continue
            else:
                self.decided.add(identity)
            self._say(who, due.trigger.id, identity, verdict.outcome, verdict.reason, moment)
            self._keep(who, identity, verdict, moment)

    def _keep(self, who: str, identity: str, verdict: Verdict, moment: Moment) -> None:
        """A contact, and a command if it is one."""
        due, trigger, folk = verdict.due, verdict.due.trigger, self.folks[who]
        is_sent = verdict.outcome == "sent"
        if is_sent or verdict.reason in {"holdout", "undeliverable"}:
            day = day_of(moment.at, self.diary.rules.timezone)
            variant = "holdout" if verdict.outcome == "holdout" else "treated"
            told = (trigger.id, trigger.category, day, moment.at, verdict.channels[0], variant)
            folk.contacts.append(Contact(identity, *told, is_sent))
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


def walk(
    lines: Sequence[bytes],
    id_key: bytes,
    arms: Arms,
    kinds: frozenset[str] = KINDS,
    steps: tuple[str, ...] = STEPS,
) -> dict[str, Town]:
    """Every tenant of a log that runs in one lane, as its last record leaves it."""
    towns: dict[str, Town] = {}
    for told in read(lines, 1):
        for town in towns.values():
            town.pass_time(told.clock, told.position)
        if told.tenant is None:
            continue
        if told.tenant not in towns:
            gate = Gate(Diary(told.tenant, id_key), arms, steps)
            towns[told.tenant] = Town(told.tenant, id_key, gate, kinds)
        towns[told.tenant].take(told)
    return towns
