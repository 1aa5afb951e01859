"""People against a slow model of them: cards, phones, aliases, visits, wishes to be forgotten.

Whatever comes, and however the log is cut, cleaned up and restored: who is known, whose the visits
are, which ids are no more. The model keeps plain sets and looks everything up anew.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from operators.fold import close
from operators.prune import prune
from schemas.keys import alias_customer_id, customer_id
from state.archive import pack, unpack
from state.lane import LaneState
from tests.engine import ID_KEY, Streams, comparable, feed, run
from tests.logs import (
    DAY,
    MINUTE,
    SECOND,
    Record,
    card,
    forget,
    lines_of,
    local,
    settings,
    stamp,
    visit,
)
from tests.people import BSUID, is_written_to, telegram, writes

TENANT = "t1"
BEGIN = local("2026-06-01 12:00", "UTC")
RULES = settings(TENANT, BEGIN, scoring={"monetary": [2_000_000, 1]})

PHONES = st.sampled_from(["77011234561", "77011234562", "77011234563"])
NAMES = st.sampled_from(["1", "2", "3"])
CARDS = st.sampled_from(["crm-1", "crm-2", "crm-3"])
VERSIONS = st.integers(1, 4)
LATENESS = st.sampled_from([0, 0, 0, 5 * SECOND, 3 * MINUTE])

NOBODYS = "-"
"""The phone of one who wants to be forgotten."""

Alias = tuple[str, str]
Person = tuple[str, ...]
"""``("phone", digits)``, or an alias whose phone nobody knows."""


@dataclass
class Card:
    """What is known of one card, or of what stands in for a phone's."""

    version: int | None = None
    card_phone: str | None = None
    visit_phone: str | None = None
    aliases: tuple[Alias, ...] = ()

    def owner(self) -> Person | None:
        phone = self.card_phone or self.visit_phone
        return ("phone", phone) if phone and phone != NOBODYS else None


@dataclass
class Visit:
    version: int
    said: tuple[Any, ...]
    card: str | None
    phone: str | None
    attended: bool
    amount: int
    day: int


@dataclass
class Model:
    """The same, slowly."""

    cards: dict[str, Card] = field(default_factory=dict)
    visits: dict[str, Visit] = field(default_factory=dict)
    called: dict[Alias, tuple[Person, int]] = field(default_factory=dict)
    known: set[Person] = field(default_factory=set)
    heirs: dict[Person, Person] = field(default_factory=dict)
    stones: list[tuple[Person, Person | None]] = field(default_factory=list)
    out: dict[Person, tuple[Person, int]] = field(default_factory=dict)

    def is_out(self, named: Person) -> bool:
        """A name that is somebody's is theirs, whatever stands under it."""
        return named in self.out and named not in self.called

    def told_card(
        self, id: str, version: int, phone: str | None, aliases: tuple[Alias, ...], now: int
    ) -> None:
        if phone is not None and self.is_out(("phone", phone)):
            for alias in aliases:
                self.met(phone, alias, now, by_card=True)
            phone, aliases = NOBODYS, ()
        aliases = tuple(alias for alias in aliases if not self.is_out(alias))
        card = self.cards.setdefault(id, Card())
        if (phone or card.visit_phone) == NOBODYS:
            aliases = ()
        if card.version is not None and version < card.version:
            return
        before, called = card.owner(), card.aliases
        card.version, card.card_phone = version, phone
        card.aliases = aliases or called
        self.settle(card, before, called, now)

    def told_visit(self, id: str, told: Visit, now: int) -> None:
        if told.phone is not None and self.is_out(("phone", told.phone)):
            by = told.said[2]
            told = replace(told, card=by, phone=NOBODYS, said=(*told.said[:3], None))
        stored = self.visits.get(id)
        if stored and (told.version < stored.version or told.said == stored.said):
            return
        self.visits[id] = told
        if told.card is None or told.phone is None:
            if told.card is not None:
                self.cards.setdefault(told.card, Card())
            return
        card = self.cards.setdefault(told.card, Card())
        before = card.owner()
        card.visit_phone = told.phone
        self.settle(card, before, card.aliases, now)

    def settle(
        self, card: Card, before: Person | None, called: tuple[Alias, ...], now: int
    ) -> None:
        owner = card.owner()
        if owner is None or (owner == before and card.aliases == called):
            return
        self.known.add(owner)
        for alias in card.aliases:
            self.point(alias, owner, now)

    def wrote(self, phone: str | None, alias: Alias, at: int, starts: bool, now: int) -> None:
        person = None if phone is None else ("phone", phone)
        if starts:
            for named in (person, alias):
                if named is not None and self.is_out(named) and at > self.out[named][1]:
                    whose = self.out[named][0]
                    self.out = {who: told for who, told in self.out.items() if told[0] != whose}
        if phone is not None:
            self.met(phone, alias, now)
        if self.is_out(person or alias):
            return
        if person is not None:
            self.known.add(person)
            self.point(alias, person, at)
            return
        writer, _ = self.called.setdefault(alias, (alias, at))
        self.known.add(writer)
        self.heirs.pop(writer, None)

    def written_to(self, phone: str, alias: Alias, at: int, now: int) -> None:
        self.met(phone, alias, now)
        if not self.is_out(("phone", phone)):
            self.point(alias, ("phone", phone), at)

    def met(self, phone: str, alias: Alias, now: int, by_card: bool = False) -> None:
        """A name beside a phone: if one of them is forgotten, so may be the other."""
        person: Person = ("phone", phone)
        if self.is_out(person) and not self.is_out(alias):
            told = self.out[person]
            if self.called.get(alias, (alias, 0))[0] != alias:
                return
            if alias in self.known:
                self.forget(alias, now)
            self.out[alias] = told
        elif self.is_out(alias) and not self.is_out(person) and not by_card:
            whose, since = self.out[alias]
            if whose == alias and person not in self.known:
                self.forget(person, now)
                self.out |= {person: (person, since), alias: (person, since)}
            else:
                del self.out[alias]

    def point(self, alias: Alias, person: Person, at: int) -> None:
        now, told = self.called.get(alias, (None, 0))
        if now == person or (now is not None and now[0] == "phone" and at < told):
            return
        self.called[alias] = person, at
        self.known.add(person)
        if now is not None and now[0] != "phone":
            self.known.discard(now)
            self.heirs[now] = person
            self.stones.append((now, person))

    def forget(self, person: Person, now: int) -> None:
        if person not in self.known and self.heirs.get(person) in self.known:
            person = self.heirs[person]
        before = self.out.get(person, (None, 0))[0]
        if person in self.known or before is None:
            self.stones.append((person, None))
        whose = person if person in self.known or before is None else before
        names: list[Person] = [n for n, (who, _) in self.called.items() if who == person]
        names += [named for named, told in self.out.items() if told[0] == before]
        self.out |= dict.fromkeys([person, *names], (whose, now))
        self.known.discard(person)
        for alias in [alias for alias, (who, _) in self.called.items() if who == person]:
            del self.called[alias]
        if person[0] != "phone":
            return
        cards = [number for number, held in self.cards.items() if held.owner() == person]
        for told in self.visits.values():
            if told.card in cards or told.phone == person[1]:
                told.version += 1
                told.said = ()
                told.phone = None
            if told.card in cards:
                told.card = None
        for number, held in self.cards.items():
            if number in cards:
                version = None if held.version is None else held.version + 1
                self.cards[number] = Card(version, visit_phone=NOBODYS)
            elif held.visit_phone == person[1]:
                held.visit_phone = NOBODYS

    def counted(self) -> dict[Person | None, tuple[int, int]]:
        """Visit days and money of everybody, and of nobody."""
        days: dict[Person | None, set[int]] = {}
        money: Counter[Person | None] = Counter()
        for told in self.visits.values():
            if told.attended:
                owner = self.cards[told.card].owner() if told.card else None
                days.setdefault(owner, set()).add(told.day)
                money[owner] += told.amount
        return {owner: (len(days[owner]), money[owner]) for owner in days}


class People(RuleBasedStateMachine):
    """Draws a life record by record, and folds it in batches of any size."""

    def __init__(self) -> None:
        super().__init__()
        self.state = LaneState(0, ID_KEY)
        self.model = Model()
        self.lines = lines_of([RULES])
        self.folded = 0
        self.said = Streams()
        self.now = BEGIN
        self.number = 0

    def tell(self, told: Record) -> None:
        self.lines += lines_of([told])

    def later(self, seconds: int) -> int:
        self.now += seconds * SECOND
        self.number += 1
        return self.now

    @rule(
        id=CARDS,
        version=VERSIONS,
        phone=st.none() | PHONES,
        name=st.none() | st.none() | NAMES,
        chat=st.none() | st.none() | NAMES,
        wait=st.integers(0, 3),
    )
    def card(
        self,
        id: str,
        version: int,
        phone: str | None,
        name: str | None,
        chat: str | None,
        wait: int,
    ) -> None:
        now = self.later(wait)
        told = {} if name is None else {BSUID: f"KZ.{name}"}
        told |= {} if chat is None else {"telegram": chat}
        self.tell(card(TENANT, now, id, version=version, phone=phone, aliases=told or None))
        self.model.told_card(id, version, phone, tuple(sorted(told.items())), now)

    @rule(
        id=st.sampled_from(["v1", "v2", "v3"]),
        version=VERSIONS,
        by=st.none() | CARDS,
        phone=st.none() | PHONES,
        status=st.sampled_from(["attended", "attended", "booked", "no_show"]),
        amount=st.sampled_from([1, 10, 100, 1_000]),
        day=st.integers(0, 2),
        wait=st.integers(0, 3),
    )
    def visit(
        self,
        id: str,
        version: int,
        by: str | None,
        phone: str | None,
        status: str,
        amount: int,
        day: int,
        wait: int,
    ) -> None:
        now, start = self.later(wait), BEGIN - day * DAY
        body: dict[str, Any] = {"status": status, "amount_minor": amount, "client": by}
        body |= {"version": version, "phone": phone, "starts_at": start}
        self.tell(visit(TENANT, now, id, **body))
        of_card = by or (f"of {phone}" if phone else None)
        said = (version, status, by, phone, amount, day)
        told = Visit(version, said, of_card, phone, status == "attended", amount, day)
        self.model.told_visit(id, told, now)

    @rule(
        phone=st.none() | PHONES,
        name=NAMES,
        starts=st.booleans(),
        late=LATENESS,
        wait=st.integers(0, 3),
    )
    def writes(self, phone: str | None, name: str, starts: bool, late: int, wait: int) -> None:
        now = self.later(wait)
        text = "START" if starts else "ok"
        told = writes(TENANT, now - late, f"m{self.number}", phone, name, text)
        self.tell(told | {"received_at": stamp(now)})
        self.model.wrote(phone, (BSUID, f"KZ.{name}"), now - late, starts, now)

    @rule(name=NAMES, wait=st.integers(0, 3))
    def chats(self, name: str, wait: int) -> None:
        now = self.later(wait)
        self.tell(telegram(TENANT, now, f"m{self.number}", name))
        self.model.wrote(None, ("telegram", name), now, False, now)

    @rule(phone=PHONES, name=NAMES, late=LATENESS, wait=st.integers(0, 3))
    def is_written_to(self, phone: str, name: str, late: int, wait: int) -> None:
        now = self.later(wait)
        told = is_written_to(TENANT, now - late, f"m{self.number}", phone, name)
        self.tell(told | {"received_at": stamp(now)})
        self.model.written_to(phone, (BSUID, f"KZ.{name}"), now - late, now)

    @rule(
        person=PHONES.map(lambda phone: ("phone", phone))
        | NAMES.map(lambda name: (BSUID, f"KZ.{name}")),
        wait=st.integers(0, 3),
        meant=st.booleans(),
    )
    def wants_to_be_forgotten(self, person: Person, wait: int, meant: bool) -> None:
        if meant:
            self.tell(forget(TENANT, self.later(wait), id_of(person)))
            self.model.forget(person, self.now)

    @precondition(lambda self: self.folded < len(self.lines))
    @rule()
    def fold(self) -> None:
        feed({0: self.state}, self.lines, self.folded, len(self.lines), self.said)
        self.folded = len(self.lines)

    @rule()
    def clean_up(self) -> None:
        prune(self.state, self.state.clock_ms)

    @rule()
    def crash(self) -> None:
        """What is saved is all that is left."""
        restored = LaneState(0, ID_KEY)
        unpack(restored.tables, pack(self.state.tables, everything=True))
        for name in ("position", "clock_ms", "cleaned_ms", "digest"):
            setattr(restored, name, getattr(self.state, name))
        restored.rederive()
        self.state = restored

    @precondition(lambda self: self.folded == len(self.lines))
    @invariant()
    def everybody_is_who_the_model_says(self) -> None:
        ended = Streams()
        ended.add(close(self.state))
        profiles = {row["customer_id"]: row for row in ended.rows("profiles")}
        assert profiles.keys() == {id_of(person) for person in self.model.known}
        counted = self.model.counted()
        for person in self.model.known:
            profile = profiles[id_of(person)]
            told = profile["frequency"], profile["monetary_minor"]
            assert told == counted.get(person, (0, 0))
            assert profile["phone"] == (f"+{person[1]}" if person[0] == "phone" else None)
            called = {alias for alias, (who, _) in self.model.called.items() if who == person}
            assert profile["aliases"].items() <= called
            assert profile["aliases"].keys() == {kind for kind, _ in called}

    @precondition(lambda self: self.folded == len(self.lines))
    @invariant()
    def no_money_is_lost_or_counted_twice(self) -> None:
        ended = Streams()
        ended.add(close(self.state))
        rows = [*self.said.rows("aggregates"), *ended.rows("aggregates")]
        days = {row["day"]: row for row in rows if row["table"] == "visits_daily"}.values()
        counted = self.model.counted()
        told = [told for told in self.model.visits.values() if told.attended]
        assert sum(row["revenue_minor"] for row in days) == sum(each.amount for each in told)
        assert sum(row["visits"] for row in days) == len(told)
        whole = sum(row["monetary_minor"] for row in ended.rows("profiles"))
        assert whole + counted.get(None, (0, 0))[1] == sum(each.amount for each in told)

    @precondition(lambda self: self.folded == len(self.lines))
    @invariant()
    def ids_that_are_no_more_have_a_stone_each_time(self) -> None:
        stones = [row for row in self.said.rows("profiles") if "forgotten" in row]
        assert [(row["customer_id"], row["merged_into"]) for row in stones] == [
            (id_of(old), new and id_of(new)) for old, new in self.model.stones
        ]
        assert all(row["forgotten"] is (row["merged_into"] is None) for row in stones)
        last = {row["customer_id"]: row for row in self.said.rows("profiles")}
        gone = {id_of(old) for old, _ in self.model.stones} - {id_of(p) for p in self.model.known}
        assert all("forgotten" in last[who] for who in gone)

    def teardown(self) -> None:
        self.fold()
        at_once = run(self.lines, ended=False)
        assert comparable(at_once) == comparable(self.said)
        assert at_once.digests.get(0, 0) == self.state.digest


def id_of(person: Person) -> str:
    kind, value = person
    if kind == "phone":
        return customer_id(ID_KEY, TENANT, int(value))
    return alias_customer_id(ID_KEY, TENANT, kind, value)


def test_customers_are_those_of_a_model_and_no_merge_changes_a_total() -> None:
    run_state_machine_as_test(People, settings=hypothesis_settings(stateful_step_count=40))
