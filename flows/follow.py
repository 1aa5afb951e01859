"""Follow one customer through a log, with the fold itself as the witness.

In:    a log, as files; whom to look for: a phone or a customer id of one tenant
Out:   ``CustomerPath``
State: a lane's, of this tenant alone; nothing is saved

The log is folded as one lane, in which the records of other tenants only let time pass: a tenant's
outputs depend on nobody else. It is cut before whatever may touch the customer, so that what the
lane knows afterwards was told by that record. Who turns out to be several ids is looked at again
from the start, under all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from flows.customer_path import (
    CustomerPath,
    Facts,
    Moment,
    Sought,
    Thresholds,
    Unknown,
    decided,
    of_change,
)
from flows.lane import take_settings
from flows.mentions import Mentions, Whom, of_tenant, own_aliases, piece_of, tail
from flows.portrait import Portrait, changes, portrait_of
from flows.progress import Step
from operators.decode import decode
from operators.fold import fold
from operators.people import find_customers
from operators.phones import canonical_phone
from operators.profiles import encoded_profiles, standing_now
from operators.segments import recency_days
from schemas.batch import I4, Batch, Chunk, Message, Outputs
from schemas.keys import alias_customer_id, customer_id, text_key
from schemas.outputs import (
    Decision,
    SegmentChange,
    Tombstone,
    decode_change,
    decode_command,
    decode_decision,
    decode_profile,
    decode_tombstone,
    instant_ms,
)
from schemas.settings import TenantSettings
from sources.files import LineReader
from state.index import Rows
from state.lane import LaneState
from state.messages import command_keys
from state.tables import NEVER, NO_DAY
from state.tenants import EVERYWHERE

BLOCK_BYTES = 8 << 20
_INTERNATIONAL = "whatsapp"
_BEAT = b'{"kind":"heartbeat","received_at":"2026-01-01T00:00:00Z"}'
_BURIED = b'"merged_into":'


def follow(
    paths: Sequence[Path],
    sought: Sought,
    settings: TenantSettings | None,
    id_key: bytes,
    step: Step,
    countries: frozenset[str] = EVERYWHERE,
) -> CustomerPath:
    """The path that the log tells; ``settings`` hold before the log tells others.

    Raises ``Unknown``.
    """
    ids = {sought.customer_id} if sought.customer_id is not None else set()
    while True:
        walk = _Walk(sought, settings, id_key, ids, countries)
        walk.read(paths, step)
        if walk.joined <= ids:
            return walk.path()
        ids |= walk.joined | walk.whom.ids


@dataclass
class _Walk:
    """One pass over the log."""

    sought: Sought
    settings: TenantSettings | None
    id_key: bytes
    known_before: set[str]
    countries: frozenset[str]
    whom: Whom = field(init=False)
    state: LaneState = field(init=False)
    joined: set[str] = field(default_factory=set)
    """Ids of the same person that were met on the way."""
    moments: list[Moment] = field(default_factory=list)
    tombstones: list[Tombstone] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.state = LaneState(0, self.id_key, self.countries)
        self.whom = Whom(ids=set(self.known_before))
        self._seen = Portrait()
        self._triggers: dict[int, str] = {}
        self._heard: set[int] = set()
        self._unnamed = set(self.known_before)  # ids for which no phone or alias is known yet
        self._told: set[object] = set()  # phones and aliases that were tried
        self._is_over = False
        if self.sought.phone is not None:
            self.whom.tails.add(tail(self.sought.phone))

    def read(self, paths: Sequence[Path], step: Step) -> None:
        """Fold up to the end, or as far as was asked."""
        last = self.sought.until
        reader = LineReader(paths, BLOCK_BYTES)
        try:
            while not self._is_over:
                position = reader.position
                lines = reader.read(None if last is None else last + 1)
                if not lines:
                    break
                positions = np.arange(position, position + len(lines), dtype=np.int64)
                for batch in decode(Chunk(-1, positions, None, lines), 1):
                    self._take(of_tenant(batch, self.sought.tenant))
                step(reader.bytes_read, reader.position)
        finally:
            reader.close()

    def _take(self, batch: Batch) -> None:
        state, end = self.state, len(batch.positions)
        if state.clock_ms == 0 and self.settings is not None:
            tenants = {self.sought.tenant: self.settings}
            take_settings(state, 1, tenants, max(int(batch.appended_ms[0]), 0), fold)
        clock = np.maximum.accumulate(np.maximum(batch.appended_ms, state.clock_ms))
        if self.sought.until_ms is not None:
            end = int(np.searchsorted(clock, self.sought.until_ms, "right"))
            self._is_over = end < len(clock)
        self._find_ids(batch)
        mentions = Mentions(state, batch)
        start = 0
        while start < end:
            rows = self._rows()
            named = mentions.next(self.whom, rows, start)
            due_ms = state.customers.due[rows].min(initial=state.tenants.next_midnight())
            due = int(np.searchsorted(clock, due_ms))
            cut = min(max(due, start), end - 1, end - 1 if named is None else named)
            outputs = fold(state, piece_of(batch, start, cut + 1))
            self._see(outputs, batch, mentions, cut)
            start = cut + 1
        if self._is_over and state.clock_ms:
            self._pass(int(batch.positions[end]), self.sought.until_ms or 0)

    def _pass(self, position: int, until_ms: int) -> None:
        """What is due between the last record and the instant that is asked for."""
        chunk = Chunk(0, np.array([position]), np.array([until_ms]), [_BEAT])
        (batch,) = decode(chunk, 1)
        self._see(fold(self.state, batch), batch, Mentions(self.state, batch), 0)

    def _find_ids(self, batch: Batch) -> None:
        """Which phones and aliases make ids that are looked for and not met yet."""
        if not self._unnamed:
            return
        kinds = (batch.visits, batch.clients, batch.payments, batch.statuses, batch.incoming)
        countries = {each.settings.country for each in batch.settings} | {self._country()}
        for text in {text for kind in kinds for text in kind.phone.tolist() if text} - self._told:
            self._told.add(text)
            for number in {
                canonical_phone(text, country, is_full)
                for country in countries
                for is_full in (False, True)
            } - {0}:
                if customer_id(self.id_key, self.sought.tenant, number) in self._unnamed:
                    self.whom.tails.add(tail(text))
        told = {each for each in (*batch.statuses.alias, *batch.incoming.alias) if each}
        told |= {each for aliases in batch.clients.aliases if aliases for each in aliases}
        for alias in told - self._told:
            self._told.add(alias)
            if alias_customer_id(self.id_key, self.sought.tenant, *alias) in self._unnamed:
                self.whom.aliases.add(alias)

    def _country(self) -> str | None:
        if len(self.state.tenants):
            return self.state.tenants.settings[0].country
        return self.settings.country if self.settings else None

    def _rows(self) -> Rows:
        """The customer's rows; the phone is read by the rules of the tenant's country."""
        state, whom = self.state, self.whom
        if not len(state.tenants):
            return np.zeros(0, np.int64)
        found: Rows = np.zeros(0, np.int64)
        if self.sought.phone is not None:
            number = canonical_phone(self.sought.phone, self._country())
            found = find_customers(state, np.zeros(1, np.int32), np.array([number]))
            if number:
                whom.ids.add(customer_id(self.id_key, self.sought.tenant, number))
        ids = state.customers.id[: state.customers.rows]
        rows = [np.flatnonzero(ids == each.encode()) for each in self.known_before]
        rows_of_all = np.unique(np.concatenate([found[found >= 0], *rows]))
        return rows_of_all.astype(np.int32)

    def _see(self, outputs: Outputs, batch: Batch, mentions: Mentions, cut: int) -> None:
        """What a piece that ends with this record has told of the customer."""
        state, whom = self.state, self.whom
        rows = self._rows()
        whom.aliases |= own_aliases(state, rows)
        self._hear(batch, cut, rows)
        keys = {each.encode() for each in whom.ids}
        streams = outputs.streams
        commands = [decode_command(each.value) for each in _of(streams["commands"], keys)]
        decisions = [decode_decision(each.value) for each in _of(streams["decisions"], keys)]
        moved = [decode_change(each.value) for each in _of(streams["segments"], keys)]
        # Features are those of the piece's end: of several moves they made the last one.
        self.moments += [of_change(each) for each in moved[:-1]]
        self.moments += [of_change(each, self._features(each)) for each in moved[-1:]]
        self.moments += decided(decisions, commands)
        self._keep_commands(decisions)
        if whom.commands:
            whom.messages |= self._own_messages(batch, mentions, cut)
        now = portrait_of(state, rows)
        for what, key, facts in changes(state, self._seen, now):
            of_message = key in self._triggers
            trigger = {"trigger": self._triggers[key]} if of_message else {}
            self.moments.append(
                Moment(outputs.clock_ms, 3 if of_message else 0, what, trigger | facts)
            )
        self._seen = now
        self._bury(streams["profiles"])

    def _hear(self, batch: Batch, cut: int, rows: Rows) -> None:
        """The customer's own messages in this record, each once; none while abroad."""
        if self.sought.tenant in self.state.tenants.abroad:
            return
        incoming = batch.incoming
        phones = set(self.state.customers.phone[rows].tolist()) - {0}
        first, end = np.searchsorted(incoming.record, [cut, cut + 1]).tolist()
        for at in range(first, end):
            text, scope = incoming.phone[at], batch.scopes[incoming.scope[at]]
            is_full = scope.provider == _INTERNATIONAL
            number = canonical_phone(text, self._country(), is_full) if text else 0
            is_own = number in phones if number else incoming.alias[at] in self.whom.aliases
            message = int(incoming.message[at])
            if is_own and message not in self._heard:
                self._heard.add(message)
                facts = {"channel": incoming.channel[at], "kind": incoming.kind[at]}
                self.moments.append(Moment(self.state.clock_ms, 0, "wrote", facts))

    def _own_messages(self, batch: Batch, mentions: Mentions, cut: int) -> set[int]:
        statuses = batch.statuses
        first, end = np.searchsorted(statuses.record, [cut, cut + 1]).tolist()
        for at in range(first, end):
            command = statuses.command[at]
            if command and text_key(command) in self.whom.commands:
                return mentions.messages_in(cut)
        return set()

    def _keep_commands(self, decisions: list[Decision]) -> None:
        for each in decisions:
            key = text_key(each.command_id)
            self.whom.commands.add(key)
            space = self.state.tenants.key[:1]
            contact = int(command_keys(space, np.array([key], np.int64))[0])
            self._triggers[contact] = each.trigger

    def _features(self, change: SegmentChange) -> Facts:
        rows = self._rows()
        table = self.state.customers
        ids = table.id[rows].astype("U32").tolist()
        if change.customer_id not in ids:
            return {}
        row = rows[[ids.index(change.customer_id)]]
        today = table.scored_day[row]
        if table.last_day[row[0]] == NO_DAY:
            return {}
        return {
            "recency_days": int(recency_days(table.last_day[row], today)[0]),
            "frequency": int(table.frequency[row[0]]),
            "monetary_minor": int(table.monetary[row[0]]),
            "thresholds": self._thresholds(today)._asdict(),
        }

    def _thresholds(self, today: I4) -> Thresholds:
        tenants = self.state.tenants
        settings, row = tenants.settings[0], np.zeros(1, np.int32)
        big, fair = (int(each[0]) for each in tenants.boundaries_on(row, today))
        return Thresholds(
            settings.window_days,
            settings.recency_days,
            settings.frequency,
            None if big == NEVER else (big, fair),
            tenants.thresholds_on(row, today)[0],
        )

    def _bury(self, profiles: list[Message]) -> None:
        """Ids that are no more: merged with what is followed, or forgotten."""
        for message in profiles:
            if _BURIED not in message.value:
                continue
            told = decode_tombstone(message.value)
            both = {told.customer_id, told.merged_into} - {None}
            if not both & self.whom.ids:
                continue
            self.joined |= {each for each in both - self.whom.ids if each is not None}
            self.tombstones.append(told)
            at_ms = instant_ms(told.as_of)
            if told.forgotten:
                # Whoever asks to be forgotten is told of no more, whatever the log still has.
                self.moments, self._seen = [], Portrait()
                self._triggers.clear()
                self.moments.append(Moment(at_ms, 3, "forgotten", {}))
            else:
                facts = {"customer_id": told.customer_id, "into": told.merged_into}
                self.moments.append(Moment(at_ms, 3, "merged", facts))

    def path(self) -> CustomerPath:
        """Everything together, as of the last record; raises ``Unknown``."""
        state, sought = self.state, self.sought
        if not len(state.tenants):
            raise Unknown(f"{sought.tenant}: no such tenant in this log")
        rows = self._rows()
        known = rows[state.customers.known[rows]]
        if not len(known) and not self.tombstones:
            raise Unknown(f"{sought.tenant}: no such customer in this log")
        settings = state.tenants.settings[0]
        path = CustomerPath(sought.tenant, self._asked(), "log", settings.timezone)
        path.business, path.currency = settings.name, settings.currency
        path.consent_default = settings.consent_default
        for told in self.tombstones:
            if told.forgotten:
                path.forgotten_at = told.as_of
            elif told.customer_id == sought.customer_id:
                path.merged_into = told.merged_into
            else:
                path.merged_from.append(told.customer_id)
        if len(known):
            standing = standing_now(state, known[:1])
            path.profile = decode_profile(encoded_profiles(state, standing)[0])
            path.thresholds = self._thresholds(standing.today)
        path.moments = self.moments
        path.sort()
        return path

    def _asked(self) -> str:
        if self.sought.customer_id is not None:
            return self.sought.customer_id
        number = canonical_phone(self.sought.phone or "", self._country())
        return customer_id(self.id_key, self.sought.tenant, number)


def _of(messages: list[Message], keys: set[bytes]) -> Iterator[Message]:
    return (message for message in messages if message.key in keys)
