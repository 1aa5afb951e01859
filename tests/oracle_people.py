"""Know who is who at one tenant: cards, phones, other names, people.

Takes: cards, messages, and what visits tell of a client, in log order
Out:   the customer id behind a client, a phone or another name; who is known; who was merged
Source: a client's phone is that of its newest card, else of the latest visit that names one; the
        phone is the person; where there is none, the messenger's own name is
"""

from __future__ import annotations

from dataclasses import dataclass, field

from schemas.keys import alias_customer_id, customer_id
from tests.oracle_bodies import Alias, CardFact, Key, MessageFact, StatusFact


def stand_in(phone: int | None) -> Key | None:
    """The client of visits that name a phone and no card."""
    return None if phone is None else ("phone", str(phone))


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

    def person(self, phone: int) -> str:
        """The id of whoever has this phone."""
        return customer_id(self.id_key, self.tenant, phone)

    def nameless(self, alias: Alias) -> str:
        """The id of somebody known by another name alone."""
        return alias_customer_id(self.id_key, self.tenant, *alias)

    def owner(self, client: Key) -> str | None:
        """The customer whom a client is, if its phone is known."""
        phone = self.clients[client].phone if client in self.clients else None
        return None if phone is None else self.person(phone)

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
        before = card.phone, card.aliases
        card.version = card.version if fact.version is None else fact.version
        card.card_phone = fact.phone
        card.aliases = fact.aliases or card.aliases
        if (card.phone, card.aliases) != before:
            self._meet(card, clock)

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

    def forget(self, who: str) -> None:
        """Nothing is left of a customer but its place in the totals."""
        for client in self.clients_of(who):
            version = self.clients[client].version
            self.clients[client] = Client(version=None if version is None else version + 1)
            self.last.pop(client, None)
        for card in self.clients.values():
            if card.visit_phone is not None and self.person(card.visit_phone) == who:
                card.visit_phone = None
        self.aliases = {a: told for a, told in self.aliases.items() if told[0] != who}
        self.known.discard(who)
        self.gone[who] = None

    def _meet(self, card: Client, clock: int) -> None:
        if card.phone is None:
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
