"""What holds of every run: one final decision, and no message that nobody may send.

Each law is asked of the simulator in full, and of the fold as far as it is built.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from functools import cache
from random import Random
from typing import NamedTuple

import hypothesis
import pytest

from schemas.settings import TenantSettings, parse_settings
from tests.decided import Told, by_fold, by_simulator, sent_by, simulated
from tests.engine import ID_KEY
from tests.life_rules import PARTS, RuledLife, answered
from tests.logs import Record, lines_of
from tests.oracle_bodies import CardFact, Key, MessageFact, VisitFact
from tests.oracle_consent import Said, Voice
from tests.oracle_decisions import Command, Decided
from tests.oracle_people import People
from tests.oracle_rows import read
from tests.oracle_times import day_of
from tests.oracle_triggers import is_inside, minute_of_day

RUNS = range(8 if hypothesis.settings().max_examples < 100 else 300)
FINAL = {"sent", "refused", "holdout"}


class Teller(NamedTuple):
    """Somebody who decides."""

    name: str
    tell: Callable[[list[Record]], Told]


TELLERS = (Teller("simulator", by_simulator), Teller("fold", by_fold))


by_each = pytest.mark.parametrize("teller", TELLERS, ids=lambda teller: teller.name)


@cache
def log_of(seed: int) -> list[Record]:
    """One life under rules, answered."""
    chance = Random(seed)
    life = RuledLife(Random(seed), parts=PARTS)
    log = life.log(chance.randrange(8, 20), chance.randrange(1, 3))
    return answered(log, chance, sent_by(simulated(lines_of(log))))


@cache
def told_by(teller: Teller, seed: int) -> Told:
    """What was decided over it."""
    return teller.tell(log_of(seed))


class Rules:
    """Every tenant's settings, and from which positions they hold."""

    def __init__(self, log: list[Record]) -> None:
        self.told: dict[str, list[tuple[int, TenantSettings]]] = defaultdict(list)
        for position, record in enumerate(log):
            if record["kind"] == "settings":
                rules = parse_settings(record["settings"], record["tenant"])
                self.told[record["tenant"]].append((position, rules))

    def at(self, tenant: str, position: int) -> TenantSettings:
        """Those that hold before a record."""
        return [rules for since, rules in self.told[tenant] if since < position][-1]

    def is_marketing(self, tenant: str, decision: Decided | Command) -> bool:
        """Whether the decision was about a marketing message."""
        triggers = self.at(tenant, decision.position).triggers
        return {t.id: t.category for t in triggers}.get(decision.trigger) == "marketing"

    def marketing(self, told: Told) -> list[tuple[str, Command]]:
        """Marketing commands and their tenants."""
        found = [(told.tenants[c.command], c) for c in told.commands if not c.withdrawn]
        return [(tenant, c) for tenant, c in found if self.is_marketing(tenant, c)]


def is_contact(decision: Decided) -> bool:
    """Whether the customer got it, or would have got it."""
    outcome, reason = decision.outcome, decision.reason
    return outcome in {"sent", "holdout"} or reason == "undeliverable"


@by_each
def test_every_due_trigger_has_exactly_one_final_decision(teller: Teller) -> None:
    """But for what still waits for the end of quiet hours where the log ends."""
    seen = 0
    for seed in RUNS:
        found: dict[str, list[str]] = defaultdict(list)
        for decision in told_by(teller, seed).decisions:
            found[decision.command].append(decision.outcome)
        for outcomes in found.values():
            final = [outcome for outcome in outcomes if outcome in FINAL]
            waits = outcomes == ["held"]
            taken_back = outcomes == ["held", "withdrawn"]
            assert len(final) == 1 or ((waits or taken_back) and not final), outcomes
            assert outcomes.count("held") <= 1
            assert outcomes[0] == "held" or "held" not in outcomes
        seen += len(found)
    assert seen


@by_each
def test_every_command_has_a_decision_that_sends_it_and_nothing_else_has_one(
    teller: Teller,
) -> None:
    for seed in RUNS:
        told = told_by(teller, seed)
        names = Counter(
            (c.command, c.position, c.created) for c in told.commands if not c.withdrawn
        )
        sent = [d for d in told.decisions if d.outcome == "sent"]
        assert names == Counter((d.command, d.position, d.at) for d in sent)
        assert all(c.created < c.expires for c in told.commands if not c.withdrawn)


@by_each
def test_no_marketing_command_goes_out_in_quiet_hours(teller: Teller) -> None:
    """By the clock of the record that brings it: that is when a sender gets it."""
    seen = 0
    for seed in RUNS:
        told = told_by(teller, seed)
        rules = Rules(told.log)
        clocks = {each.position: each.clock for each in read(lines_of(told.log), 1)}
        for tenant, command in rules.marketing(told):
            own = rules.at(tenant, command.position)
            minute = minute_of_day(clocks[command.position], own.timezone)
            assert not is_inside(minute, own.quiet_hours)
            seen += 1
    assert seen


@by_each
def test_no_marketing_contact_is_above_a_cap(teller: Teller) -> None:
    seen = 0
    for seed in RUNS:
        told = told_by(teller, seed)
        rules = Rules(told.log)
        days: dict[str, list[int]] = defaultdict(list)
        for decision in sorted(filter(is_contact, told.decisions), key=lambda d: d.at):
            tenant = told.tenants[decision.command]
            own = rules.at(tenant, decision.position)
            if not rules.is_marketing(tenant, decision):
                continue
            today = day_of(decision.at, own.timezone)
            days[decision.customer].append(today)
            for cap in own.caps:
                near = [day for day in days[decision.customer] if today - day < cap.per_days]
                assert len(near) <= cap.max
                seen += len(near) == cap.max
    assert seen


@by_each
def test_a_customer_is_in_one_arm_for_as_long_as_the_share_stays(teller: Teller) -> None:
    arms: Counter[str] = Counter()
    for seed in RUNS:
        told = told_by(teller, seed)
        rules = Rules(told.log)
        found: dict[str, set[str]] = defaultdict(set)
        for decision in told.decisions:
            tenant = told.tenants[decision.command]
            shares = {own.holdout_percent for _, own in rules.told[tenant]}
            marketing = rules.is_marketing(tenant, decision)
            if marketing and is_contact(decision) and len(shares) == 1:
                found[decision.customer].add("held out" if decision.outcome == "holdout" else "in")
        for arm in found.values():
            assert len(arm) == 1
            arms.update(arm)
    assert arms["held out"]
    assert arms["in"]


@by_each
def test_both_arms_meet_the_same_gate(teller: Teller) -> None:
    """Nobody is held out, or everybody is: the same marketing is decided, at the same time.

    What is no marketing may differ: only who gets messages can turn out not to be reached.
    """

    def told(log: list[Record], share: int) -> list[tuple[object, ...]]:
        changed = []
        for record in log:
            own = record.get("settings")
            whole = {} if own is None else {"settings": own | {"holdout_percent": share}}
            changed.append(record | whole)
        found = teller.tell(changed)
        rules = Rules(changed)
        decisions = []
        for each in found.decisions:
            if rules.is_marketing(found.tenants[each.command], each):
                arm = ("contact", None) if is_contact(each) else each[4:6]
                decisions.append((*each[:4], *arm, each.at))
        return sorted(decisions, key=str)

    for seed in RUNS:
        log = log_of(seed)
        assert told(log, 0) == told(log, 100)


class Word(NamedTuple):
    """Something that a customer wrote of being written to."""

    position: int
    said: Said


def words_by_phone(log: list[Record], tenant: str) -> dict[str, list[Word]]:
    """By customer; what is written under another name than a phone is not among them."""
    people, found = People(tenant, ID_KEY), defaultdict(list)
    for told in read(lines_of(log), 1):
        for fact in told.facts if told.tenant == tenant else ():
            voice = Voice()
            if isinstance(fact, MessageFact) and fact.phone is not None:
                voice.hear(fact.text, min(fact.at, told.clock))
            if voice.said is not None and isinstance(fact, MessageFact) and fact.phone:
                found[people.person(fact.phone)].append(Word(told.position, voice.said))
    return found


def agreed(log: list[Record], tenant: str) -> set[str]:
    """Everybody of whom any card, or they themselves, ever said that they may be written to."""
    people = People(tenant, ID_KEY)
    phones: dict[Key | None, set[int]] = defaultdict(set)
    yes: set[Key] = set()
    for told in read(lines_of(log), 1):
        for fact in told.facts if told.tenant == tenant else ():
            if isinstance(fact, CardFact | VisitFact) and fact.phone:
                phones[fact.key if isinstance(fact, CardFact) else fact.client].add(fact.phone)
            if isinstance(fact, CardFact) and fact.about.marketing:
                yes.add(fact.key)
    words = words_by_phone(log, tenant).items()
    found = {who for who, said in words if not all(word.said.denied for word in said)}
    return found | {people.person(phone) for client in yes for phone in phones[client]}


def renames(log: list[Record], tenant: str) -> bool:
    """Whether somebody agrees under a name that may be anybody's."""
    for told in read(lines_of(log), 1):
        for fact in told.facts if told.tenant == tenant else ():
            if isinstance(fact, MessageFact) and fact.alias is not None:
                voice = Voice()
                voice.hear(fact.text, 0)
                if voice.said is not None and not voice.said.denied:
                    return True
    return False


@by_each
def test_nobody_gets_marketing_without_consent(teller: Teller) -> None:
    """Where unknown means no, who never agreed; anywhere, whose last word is a refusal."""
    seen, refused = 0, 0
    for seed in RUNS:
        told = told_by(teller, seed)
        rules = Rules(told.log)
        for tenant, command in rules.marketing(told):
            if renames(told.log, tenant):
                continue
            defaults = {own.consent_default for _, own in rules.told[tenant]}
            if defaults == {"deny"}:
                assert command.customer in agreed(told.log, tenant)
            seen += 1
            words = words_by_phone(told.log, tenant)[command.customer]
            before = [word.said for word in words if word.position < command.position]
            assert not before or not max(before).denied
        refused += sum(decision.reason == "consent" for decision in told.decisions)
    assert seen
    assert refused
