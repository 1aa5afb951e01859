"""Know who is who at one tenant: cards, phones, other names, people.

Takes: cards, messages, and what visits tell of a client, in log order
Out:   the customer id behind a client, a phone or another name; who is known; who was merged
Source: a client's phone is that of its newest card, else of the latest visit that names one; the
        phone is the person; where there is none, the messenger's own name is
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from schemas.keys import alias_customer_id, customer_id
from tests.oracle_bodies import (
    Alias,
    CardFact,
    Fact,
    Key,
    MessageFact,
    PaymentFact,
    StatusFact,
    VisitFact,
)
from tests.oracle_words import START, plain

NOBODYS = -1
"""The phone of one who wants to be forgotten: told, and nobody's."""

WORDS_COUNT = 21 * 86_400_000


def stand_in(phone: int | None) -> Key | None:
    """The client of visits that name a phone and no card."""
    return None if phone is None or phone == NOBODYS else ("phone", str(phone))


class Turn(NamedTuple):
    """A customer turns out to be somebody who is forgotten, or who has refused at an instant."""

    who: str
    refused: int | None = None


@dataclass
class Client:
    """A card as it stands, and what visits have said about it."""

    version: int | None = None
    card_phone: int | None = None
    visit_phone: int | None = None
    aliases: tuple[Alias, ...] = ()

    @property
    def phone(self) -> int | None:
        """The card's own, else the visits'."""
        return self.card_phone or self.visit_phone


@dataclass
class People:
    """Who is who, as of the last fact."""

    tenant: str
    id_key: bytes
    clients: dict[Key, Client] = field(default_factory=dict)
    last: dict[Key, tuple[int, int]] = field(default_factory=dict)  # day, instant
    aliases: dict[Alias, tuple[str, int]] = field(default_factory=dict)  # whose, since when
    known: set[str] = field(default_factory=set)
    gone: dict[str, str | None] = field(default_factory=dict)  # heir, or None: forgotten
    stones: dict[str, tuple[str, int]] = field(default_factory=dict)  # of which person, since when

    def person(self, phone: int) -> str:
        """The id of whoever has this phone."""
        return customer_id(self.id_key, self.tenant, phone)

    def nameless(self, alias: Alias) -> str:
        """The id of somebody known by another name alone."""
        return alias_customer_id(self.id_key, self.tenant, *alias)

    def owner(self, client: Key) -> str | None:
        """The customer whom a client is, if its phone is known."""
        phone = self.clients[client].phone if client in self.clients else None
        return None if phone is None or phone == NOBODYS else self.person(phone)

    def clients_of(self, who: str) -> set[Key]:
        """Every client of a customer."""
        return {client for client in self.clients if self.owner(client) == who}

    def remember(self, client: Key, day: int, start: int) -> None:
        """An attended visit that counts no more was on this day."""
        known_day, known_start = self.last.get(client, (day, start))
        self.last[client] = max(known_day, day), max(known_start, start)

    def name(self, client: Key, phone: int | None, clock: int) -> None:
        """A visit of this client tells its phone."""
        card = self.clients.setdefault(client, Client())
        before = card.phone
        card.visit_phone = phone or card.visit_phone
        if phone is not None and card.phone != before:
            self._meet(card, clock)

    def take_card(self, fact: CardFact, clock: int) -> None:
        """A card in a new version; one that is deleted takes nothing back."""
        card = self.clients.setdefault(fact.key, Client())
        ordered = fact.version is not None and card.version is not None
        if fact.deleted or (ordered and (fact.version or 0) < (card.version or 0)):
            return
        fact = replace(fact, aliases=()) if self.is_silent(fact) else fact
        before = card.phone, card.aliases
        card.version = card.version if fact.version is None else fact.version
        card.card_phone = fact.phone
        card.aliases = fact.aliases or card.aliases
        if (card.phone, card.aliases) != before:
            self._meet(card, clock)

    def is_silent(self, fact: CardFact) -> bool:
        """Whether a card tells of one who wants to be forgotten."""
        card = self.clients.get(fact.key, Client())
        return (fact.phone or card.visit_phone) == NOBODYS

    def take_message(self, fact: MessageFact | StatusFact, clock: int) -> None:
        """Who writes is known by it; who is written to only where both names are told."""
        at = min(fact.at, clock)
        if isinstance(fact, MessageFact) and fact.phone is not None:
            self._know(self.person(fact.phone))
        if fact.alias is not None and fact.phone is not None:
            self._call(fact.alias, fact.phone, at)
        elif fact.alias is not None and isinstance(fact, MessageFact):
            who, _ = self.aliases.setdefault(fact.alias, (self.nameless(fact.alias), at))
            self._know(who)

    def living(self, who: str) -> str | None:
        """Whose id this is, or whose it was before a merge."""
        heir = self.gone.get(who)
        found = who if who in self.known else heir
        return found if found in self.known else None

    def forget(self, who: str, clock: int) -> None:
        """Nothing is left of a customer but its place in the totals, and a stone for each name."""
        before, _ = self.stones.get(who, (None, 0))
        known = who in self.known
        person = who if known or before is None else before
        names = [self.nameless(alias) for alias, told in self.aliases.items() if told[0] == who]
        names += [name for name, (whose, _) in self.stones.items() if whose == before]
        for client in self.clients_of(who):
            version = self.clients[client].version
            version = None if version is None else version + 1
            self.clients[client] = Client(version=version, visit_phone=NOBODYS)
            self.last.pop(client, None)
        for card in self.clients.values():
            phone = card.visit_phone
            if phone not in {None, NOBODYS} and self.person(phone or 0) == who:
                card.visit_phone = NOBODYS
        self.aliases = {a: told for a, told in self.aliases.items() if told[0] != who}
        self.known.discard(who)
        if known or before is None:
            self.gone[who] = None
        self.stones |= dict.fromkeys([who, *names], (person, clock))

    def keep_out(self, fact: Fact) -> Fact:
        """The same, without the phone and the other names of whoever is forgotten."""
        out = fact.phone is not None and self.stone_of(fact.phone) is not None
        if isinstance(fact, MessageFact | StatusFact):
            out |= fact.alias is not None and self.stone_of(fact.alias) is not None
            by_phone = fact.phone is not None and self.stone_of(fact.phone) is not None
            fact = replace(fact, alias=None if out else fact.alias)
            return replace(fact, phone=None) if by_phone else fact
        if isinstance(fact, CardFact):
            names = tuple(name for name in fact.aliases if self.stone_of(name) is None)
            fact = replace(fact, aliases=() if out else names)
        return replace(fact, phone=NOBODYS) if out else fact

    def stone_of(self, named: int | Alias) -> str | None:
        """The id under which this phone or name is forgotten; a name that is somebody's is not."""
        if isinstance(named, int):
            who = None if named == NOBODYS else self.person(named)
        else:
            who = None if named in self.aliases else self.nameless(named)
        return who if who in self.stones else None

    def recognise(self, facts: Iterable[Fact], clock: int) -> Iterator[Turn]:
        """What a record tells of who is forgotten, before it is taken.

        Yields what must be done of it at once.
        """
        for kind in (MessageFact, CardFact, StatusFact):
            for fact in facts:
                if isinstance(fact, MessageFact) and kind is MessageFact:
                    self._lift(fact, clock)
                if not isinstance(fact, kind) or isinstance(fact, VisitFact | PaymentFact):
                    continue
                names = fact.aliases if isinstance(fact, CardFact) else (fact.alias,)
                for name in names:
                    if name is not None and fact.phone is not None:
                        yield from self._recognise(fact.phone, name, kind is CardFact)

    def _lift(self, fact: MessageFact, clock: int) -> None:
        at = min(fact.at, clock)
        if plain(fact.text) not in START or at <= clock - WORDS_COUNT:
            return
        for named in (fact.phone, fact.alias):
            stone = None if named is None else self.stone_of(named)
            if stone is not None and at > self.stones[stone][1]:
                person = self.stones[stone][0]
                self.stones = {w: told for w, told in self.stones.items() if told[0] != person}

    def _recognise(self, phone: int, name: Alias, by_card: bool) -> Iterator[Turn]:
        of_phone, of_name = self.stone_of(phone), self.stone_of(name)
        alone = self.nameless(name)
        if of_phone is not None and of_name is None:
            whose = self.aliases[name][0] if name in self.aliases else None
            told = self.stones[of_phone]
            if whose == alone:
                yield Turn(alone)
            if whose in {None, alone}:
                self.stones[alone] = told
        elif of_name is not None and of_phone is None and not by_card:
            person, since = self.stones[of_name]
            who = self.person(phone)
            if person == of_name and who not in self.known:
                yield Turn(who)
                self.stones |= dict.fromkeys([who, alone], (who, since))
                return
            del self.stones[of_name]
            if person == of_name:
                yield Turn(who, since)

    def _meet(self, card: Client, clock: int) -> None:
        if card.phone is None or card.phone == NOBODYS:
            return
        self._know(self.person(card.phone))
        for alias in card.aliases:
            self._call(alias, card.phone, clock)

    def _call(self, alias: Alias, phone: int, at: int) -> None:
        """Another name is somebody's; whoever was known by it alone becomes that person."""
        who, alone = self.person(phone), self.nameless(alias)
        before, since = self.aliases.get(alias, (None, 0))
        if before == who or (before not in {None, alone} and at < since):
            return
        if before == alone:
            self.known.discard(alone)
            self.gone[alone] = who
        self.aliases[alias] = who, at
        self._know(who)

    def _know(self, who: str) -> None:
        self.known.add(who)
        self.gone.pop(who, None)
