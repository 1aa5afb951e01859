"""Keep what customers say of marketing in their own words, and weigh it against what cards say.

In:    incoming messages that are opt-out or opt-in words; customers who are asked about
Out:   additions to ``touched``; ``Consents``; what profiles tell
State: ``customers.opted`` and ``opted_ms``; read only: consents of the cards

Once customers opt out by their own words, no card lifts that. A denial by any of their cards
binds all, until that card says otherwise or a later word of theirs does. Else the newest counts;
what is said of SMS alone counts for SMS.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from operators.clients import Cause, TouchedRows
from operators.identify import INCOMING, Named
from schemas.batch import I1, I8, NONE, Batch, Objects
from schemas.consent_words import IN, OUT, said
from schemas.forms import INSTANT, JSON, TEXT, Form, form_of
from schemas.outputs import Consent
from state.chains import rows_in, walk
from state.index import Rows
from state.lane import LaneState
from state.messages import KEPT_MS
from state.tables import BOOKING, PERSON, Flags

MARKETING, MARKETING_BY_SMS = "marketing", "marketing:sms"
"""Keys under which a profile tells consent."""

_CONSENT = form_of(Consent, JSON, INSTANT, TEXT)
_ALONE = Form(b"{", TEXT, b":", JSON, b"}")
_NOTHING_SAID = b"{}"
_VALUES = {OUT: b"false", IN: b"true"}
_SOURCES = {False: "client", True: "message"}


@dataclass(slots=True)
class Words:
    """What the messages of a part say of marketing: OUT, IN, or -1; one line a message."""

    says: I1
    at_ms: I8


def words_of(part: Batch, clock_ms: I8) -> Words | None:
    """The opt-out and opt-in words among a part's messages; ``None``: there are none.

    A message that is older than messages are known for says nothing any more.
    """
    incoming = part.incoming
    if not len(incoming.record):
        return None
    told = [-1 if text is None else said(text) for text in incoming.text.tolist()]
    says = np.array([-1 if each is None else each for each in told], np.int8)
    now_ms = clock_ms[incoming.record]
    says[incoming.at_ms <= now_ms - KEPT_MS] = -1
    if (says < 0).all():
        return None
    return Words(says, np.minimum(incoming.at_ms, now_ms))


def take_words(
    state: LaneState, named: Named, lines: Rows, words: Words | None, touched: TouchedRows
) -> None:
    """Keeps the newest word of whoever writes one; of two at the same time the refusal."""
    if words is None:
        return
    chosen = lines[named.kind[lines] == INCOMING]
    chosen = chosen[words.says[named.source[chosen]] >= 0]
    alias = named.alias[chosen]
    owner = rows_in(state.aliases.customer, alias)
    writer = np.where(named.customer[chosen] >= 0, named.customer[chosen], owner)
    chosen, writer = chosen[writer >= 0], writer[writer >= 0]
    says, at_ms = words.says[named.source[chosen]], words.at_ms[named.source[chosen]]
    table = state.customers
    newer = (at_ms > table.opted_ms[writer]) | ((at_ms == table.opted_ms[writer]) & (says == OUT))
    changed = newer & ((says != table.opted[writer]) | (at_ms != table.opted_ms[writer]))
    rows = writer[changed]
    table.opted[rows], table.opted_ms[rows] = says[changed], at_ms[changed]
    table.touch(rows)
    # Who was forgotten is back by such a word.
    table.stir(rows, BOOKING | PERSON)
    touched.add(rows, chosen[changed], Cause.IDENTITY)


def inherit_words(state: LaneState, old: int, heir: int) -> None:
    """In a merge the refusal of either stays; else the newer word."""
    table = state.customers

    def rank(row: int) -> tuple[bool, int]:
        return int(table.opted[row]) == OUT, int(table.opted_ms[row])

    if rank(old) > rank(heir):
        table.opted[heir], table.opted_ms[heir] = table.opted[old], table.opted_ms[old]
        table.touch(np.array([heir], np.int64))


@dataclass(slots=True)
class Consents:
    """One line a customer: ``value`` 1 given, 0 denied, -1 nothing said; since when, by whom.

    ``sms_ms`` is since when a card forbids SMS alone, NONE where none does.
    """

    value: I1
    at_ms: I8
    by_message: Flags
    sms_ms: I8


def consents_of(state: LaneState, customers: Rows) -> Consents:
    """What is in force for each customer; marketing may go out where it is given."""
    table, clients = state.customers, state.clients
    owners = np.arange(len(customers), dtype=np.int64)
    owner, client = walk(table.first_client[customers], clients.next_client, owners)
    value, word_ms = table.opted[customers], table.opted_ms[customers]
    given_ms, denied_ms, sms_ms = np.full((3, len(customers)), NONE)
    for says, told_ms, last_ms in (
        (clients.consent[client] == IN, clients.consent_ms, given_ms),
        (clients.consent[client] == OUT, clients.consent_ms, denied_ms),
        (clients.sms_denied[client] == 1, clients.sms_ms, sms_ms),
    ):
        np.maximum.at(last_ms, owner[says], told_ms[client[says]])
    # An opt-in at the very instant of a card that gives consent says the same.
    denies = (value != OUT) & (denied_ms != NONE) & (denied_ms >= word_ms)
    gives = (value != OUT) & ~denies & (given_ms != NONE) & (given_ms >= word_ms)
    by_card = denies | gives
    return Consents(
        value=np.where(by_card, np.where(denies, OUT, IN), value).astype(np.int8),
        at_ms=np.where(denies, denied_ms, np.where(gives, given_ms, word_ms)),
        by_message=(value >= 0) & ~by_card,
        sms_ms=np.where(sms_ms >= word_ms, sms_ms, NONE),
    )


def told_consents(state: LaneState, customers: Rows) -> Objects:
    """The same as profiles tell it, in JSON."""
    found = np.empty(len(customers), np.object_)
    found.fill(_NOTHING_SAID)
    consents = consents_of(state, customers)
    lines = (consents.value >= 0).nonzero()[0]
    if len(lines):
        values = [_VALUES[value] for value in consents.value[lines].tolist()]
        sources = [_SOURCES[message] for message in consents.by_message[lines].tolist()]
        told = _CONSENT.fill(values, consents.at_ms[lines], sources)
        found[lines] = _ALONE.fill([MARKETING] * len(lines), told)
    lines = (consents.sms_ms != NONE).nonzero()[0]
    if len(lines):
        count = len(lines)
        denials = _CONSENT.fill([_VALUES[OUT]] * count, consents.sms_ms[lines], ["client"] * count)
        denials = _ALONE.fill([MARKETING_BY_SMS] * count, denials)
        for line, denial in zip(lines.tolist(), denials, strict=True):
            before = found[line]
            found[line] = denial if before == _NOTHING_SAID else before[:-1] + b"," + denial[1:]
    return found
