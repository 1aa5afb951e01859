"""Walk a log record by record, instant by instant, and decide every trigger: slow and plain.

Takes: record lines in log order, in one lane
Out:   every tenant's ``Town``, as the last record leaves it
Source: design.md's clock: what is due before a record comes before it, each thing at its instant
"""

from __future__ import annotations

from collections.abc import Sequence

from tests.oracle import Sums
from tests.oracle_bodies import Fact, Key, MessageFact, StatusFact
from tests.oracle_boundaries import Boundaries
from tests.oracle_consent import Said, Voice
from tests.oracle_decisions import Decisions
from tests.oracle_diary import Departed, Diary
from tests.oracle_funnel import Failure, Party, Rows, funnel_rows, returns
from tests.oracle_gate import Arms, Folk, Gate, Moment
from tests.oracle_messages import KEPT
from tests.oracle_rows import Told, read
from tests.oracle_times import day_of, midnight_of
from tests.oracle_triggers import Due, View, entries, planned, replies

FOREVER = 1 << 62
LONG_AGO = 30 * 86_400_000
"""What is first heard of so late is not even refused, and leaves no mark."""


class Town(Decisions):
    """One tenant: its facts, its customers, and what is planned for them."""

    def __init__(self, gate: Gate) -> None:
        super().__init__(gate)
        self.bounds = Boundaries()
        self.before: Sums | None = None  # until ``bounds_day`` begins for a customer
        self.bounds_day = -FOREVER
        self.linked: set[Key] = set()
        self.midnight = FOREVER
        self.parted: list[Party] = []  # forgotten, but not by the tenant's totals
        self.zone: str | None = None  # while settings change: that of before
        self.diary.on_leaving = self._keep_return

    def funnel(self) -> Rows:
        """What became of everything that was sent, or withheld."""
        parties = [*self.parted, *map(self._party, self.folks)]
        return funnel_rows(self.tenant, parties, self.trail)

    def _party(self, who: str) -> Party:
        contacts = self.folks[who].contacts if who in self.folks else []
        return Party(contacts, returns(self.diary, who, contacts))

    def _keep_return(self, leaving: Departed) -> None:
        """A visit that leaves the window stays credited as it is now."""
        who = self.diary.owner(leaving.client)
        if who not in self.folks:
            return
        contacts = self.folks[who].contacts
        credited = returns(self.diary, who, contacts, leaving, self.zone)
        for contact in contacts:
            found = credited.get(contact.command)
            if found is not None and found.key == leaving.key:
                contact.kept = found

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
        self.decide(who, dues + ready + released, told)

    def _roll(self, who: str, folk: Folk, moment: Moment) -> list[Due]:
        before = folk.segment
        folk.segment = self._segment(who, folk.day)
        crossed: list[Due] = []
        if folk.segment != before:
            by_bounds = folk.day == self.bounds_day
            by_bounds &= self.diary.segment(who, folk.day, self.before) == before
            if not by_bounds:
                crossed = entries(self.diary, who, before, folk.segment, moment.at)
        late = self._plan(who, folk, moment.at - 1, moment, is_fact=True)
        return crossed + late

    def _segment(self, who: str, day: int) -> str:
        sums = self.before if day < self.bounds_day else self.bounds.sums
        return self.diary.segment(who, day, sums)

    def take(self, told: Told) -> None:
        """One record, at whose clock time has passed already."""
        self.diary.clock, self.diary.imported = told.clock, told.imported
        moment = Moment(told.clock, told.clock, told.position)
        if told.settings is not None:
            self._adopt(told, moment)
        if told.forget is not None:
            self._forget(told.forget, moment)
        for turn in self.diary.recognise(told.facts):
            if turn.refused is None:
                self._forget(turn.who, moment)
            else:
                self._folk(turn.who).voice.join(Voice(Said(turn.refused, denied=True)))
        if told.receipt is not None:
            self._note_failure(self.trail.receive(told.receipt, told.clock))
        for fact in told.facts:
            self._take_fact(fact, moment, is_fact=not told.imported)
        if self.midnight == FOREVER:
            self.await_midnight()

    def _adopt(self, told: Told, moment: Moment) -> None:
        assert told.settings is not None
        self.zone = self.diary.rules.timezone
        self.diary.adopt(told.settings)
        self.bounds.adopt(told.settings)
        self.before, self.bounds_day = self.bounds.sums, -FOREVER
        self.await_midnight()
        for who, folk in self.folks.items():
            folk.day = self.diary.own_day(who, moment.at)
        kept = {trigger.id for trigger in told.settings.triggers}
        for who in self.folks:
            for mark in [m for m in self.held.get(who, {}) if m[0] not in kept]:
                self.withdraw_held(who, mark, moment)
        self._restand(moment, fires=False, is_fact=False, moved=set(), born={})
        self.zone = None

    def _forget(self, named: str, moment: Moment) -> None:
        who = self.diary.people.living(named)
        if who is None:
            self.diary.forget(named)
            return
        for mark in list(self.held.get(who, {})):
            self.withdraw_held(who, mark, moment)
        for sent in self.sent.values():
            if sent.command.customer == who:
                self.withdraw(sent, moment)
        self.diary.expire()
        for booking in self.diary.bookings(who):
            self.holders.pop(booking.key, None)
        self.linked -= self.diary.people.clients_of(who)
        self.parted.append(self._party(who))
        self.diary.forget_notes(who)
        self.diary.forget(who)
        self.folks.pop(who, None)
        for sending in self.trail.sendings.values():
            sending.who = "" if sending.who == who else sending.who
        self.marks = {mark for mark in self.marks if who not in mark}

    def _take_fact(self, fact: Fact, moment: Moment, is_fact: bool) -> None:
        people = self.diary.people
        fact = people.keep_out(self.diary.called(fact))
        before = {client: people.owner(client) for client in people.clients}
        self.diary.handed.clear()
        repeats = self.diary.take(fact)
        for key in self.diary.handed:
            self.withdraw_visit(key, self.holders.pop(key, None), moment)
        moved = self._moved(before)
        self._merge()
        born: dict[str, list[Due]] = {}
        if isinstance(fact, StatusFact):
            self._note_failure(self.trail.take(fact, moment.now))
        elif isinstance(fact, MessageFact) and fact.at > moment.now - KEPT:
            born = self._hear(fact, moment, repeats)
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

    def _hear(self, fact: MessageFact, moment: Moment, repeats: bool) -> dict[str, list[Due]]:
        people = self.diary.people
        if fact.phone is not None:
            who = people.person(fact.phone)
        elif fact.alias is not None:
            who = people.aliases[fact.alias][0]
        else:
            return {}
        at = min(fact.at, moment.now)
        self.trail.reply(who, at, moment.now)
        if repeats:
            return {}
        self._folk(who).voice.hear(fact.text, at)
        return {who: replies(self.diary, who, fact, moment.now)}

    def _note_failure(self, failure: Failure | None) -> None:
        if failure is not None:
            folk = self.folks.get(self.trail.sendings[failure.command].who)
            if folk is not None:
                folk.failures.setdefault(failure.message, failure.at)

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
            if goes:
                dues += entries(self.diary, who, before, folk.segment, moment.at)
            self.replan_reminders(who, moment)
            dues += self._plan(who, folk, moment.at, moment, is_fact and who not in moved)
            self.decide(who, dues, moment)

    def _plan(self, who: str, folk: Folk, until: int, moment: Moment, is_fact: bool) -> list[Due]:
        """What is still to come waits; what is past already is returned, or never told."""
        dues = planned(View(self.diary, who, folk.day, moment.at))
        self.take_back(who, {due.mark for due in dues}, moment)
        folk.pending, late = [], []
        for due in dues:
            if due.mark in self.marks:
                continue
            imported = due.held is not None and self.diary.imports[due.held[0]]
            if due.due > until and not imported:
                folk.pending.append(due)
                continue
            if due.trigger.kind != "reminder" and due.due <= moment.at - LONG_AGO:
                continue
            fresh = due.trigger.kind != "birthday" or moment.now < due.expires
            if due.trigger.kind == "reminder" or not is_fact or not fresh:
                self.hush(due)
            else:
                late.append(due)
        return late


def walk(
    lines: Sequence[bytes],
    id_key: bytes,
    arms: Arms,
) -> dict[str, Town]:
    """Every tenant of a log that runs in one lane, as its last record leaves it."""
    towns: dict[str, Town] = {}
    for told in read(lines, 1):
        for town in towns.values():
            town.pass_time(told.clock, told.position)
        if told.tenant is None:
            continue
        if told.tenant not in towns:
            gate = Gate(Diary(told.tenant, id_key), arms)
            towns[told.tenant] = Town(gate)
        towns[told.tenant].take(told)
    return towns
