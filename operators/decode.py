"""Decode raw records into one lane's event columns.

In:    ``Chunk`` of raw bytes in log order
Out:   a ``Batch`` for each lane that the chunk touches, in the order of lanes: typed event columns,
       checked settings, and every record that cannot be used as a dead letter with its bytes
State: none; how a log is cut into chunks changes nothing

Nothing that the bytes can hold raises. A record of a file lands in its tenant's lane, in lane 0
where no tenant can be told; a heartbeat of a file lands in every lane.

Usual webhooks are read all at once (``schemas.webhooks.usual``), all other records one by one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from operators.asides import add_receipts, checked_settings, forget_events
from schemas.batch import (
    I8,
    NONE,
    Batch,
    Chunk,
    ClientEvents,
    DeadLetter,
    IncomingEvents,
    Originals,
    PaymentEvents,
    StatusEvents,
    VisitEvents,
    WebhookRows,
)
from schemas.keys import lane_of
from schemas.record import (
    RECORD_KINDS,
    SIZE_LIMIT,
    UNREADABLE,
    Forget,
    Heartbeat,
    History,
    Outline,
    Receipt,
    Record,
    SettingsRecord,
    TypedWebhook,
    Webhook,
    decode_outline,
    decode_record,
    unreadable,
    well_formed,
)
from schemas.webhooks import generic
from schemas.webhooks.findings import Findings, indexes, integers
from schemas.webhooks.history import read_history
from schemas.webhooks.readers import BODIES, PROVIDER_OF, Readers, decode_webhook
from schemas.webhooks.tables import Usual
from schemas.webhooks.times import instants
from schemas.webhooks.usual import add_events, senders, usual_of, without

STAGE = "decode"

_KINDS: dict[type, str] = {kind: str(kind.__struct_config__.tag) for kind in RECORD_KINDS}
_KINDS |= dict.fromkeys(PROVIDER_OF, _KINDS[Webhook])

_NO_WEBHOOK = -1
_OF_ENVELOPE = {"shape": "envelope", "time": "clock"}


class Share:
    """One lane's share of a chunk: its records' numbers, times and contents, not yet read.

    There is a list for each: a tuple for each record would be one more object to collect.
    """

    def __init__(self, lane: int, usual: Usual | None) -> None:
        self.lane = lane
        self.usual = usual
        self.usuals: list[int] = [] if usual is None else usual.envelopes.record.tolist()
        self.indexes: list[int] = []  # in the chunk, of the others
        self.received_at: list[str] = []
        self.appended_at: list[Any] = []  # texts or None
        self.senders: list[int] = []  # scopes of tenant and provider
        self.receipts: list[tuple[int, Receipt]] = []
        self.settings: list[tuple[int, SettingsRecord]] = []
        self.forgets: list[tuple[int, Forget]] = []
        self.imported: list[int] = []
        self.findings = Findings()
        self.readers = Readers(self.findings)

    def take(self, index: int, received_at: str, appended_at: str | None) -> int:
        """The number in the lane's batch of one more record that is not usual."""
        indexes = self.indexes
        record = len(indexes) + bisect_left(self.usuals, index)
        indexes.append(index)
        self.received_at.append(received_at)
        self.appended_at.append(appended_at)
        self.senders.append(_NO_WEBHOOK)
        return record

    def joined(
        self, rows: I8, others: NDArray[Any], usual: NDArray[Any] | np.bool_
    ) -> NDArray[Any]:
        """A column of the whole share out of one of each; ``rows`` are all its places."""
        if self.usual is None:
            return others
        whole = np.empty(len(rows), others.dtype)
        whole[np.searchsorted(rows, self.usual.envelopes.record)] = usual
        whole[np.searchsorted(rows, self.indexes)] = others
        return whole

    def turn_away(self, record: int, told: TypedWebhook | Webhook | Aside) -> None:
        """Refuses a record that belongs to another lane, or whose key is not its tenant."""
        self.findings.counts["records", _KINDS[type(told)]] += 1
        self.findings.refuse(record, "tenant", "tenant: not of this lane, or not the record's key")

    def set_aside(self, record: int, told: Aside) -> None:
        """Keeps a record that is no webhook until the lane's clock is known."""
        kind = _KINDS[type(told)]
        self.findings.counts["records", kind] += 1
        if type(told) is Receipt:
            self.receipts.append((record, told))
        elif type(told) is SettingsRecord:
            self.settings.append((record, told))
        elif type(told) is Forget:
            self.forgets.append((record, told))
        elif type(told) is History:
            self.imported.append(record)
            reader = self.readers["generic"]
            assert isinstance(reader, generic.Reader)
            read_history(record, told, reader, self.findings)


Aside = Receipt | SettingsRecord | History | Forget


class Shares(dict[int, Share]):
    """Shares by lane, made where a lane is first touched."""

    def __init__(self, chunk: Chunk, lanes: int) -> None:
        super().__init__()
        self.lanes = lanes
        self.record_keys = chunk.keys
        self.of_file = chunk.lane < 0
        self.first = max(chunk.lane, 0)

    def __missing__(self, lane: int) -> Share:
        self[lane] = share = Share(lane, None)
        return share

    def take_usual(self, usual: Usual) -> Usual:
        """Gives each lane its usual records; returns those that are in one now.

        A record of a log whose tenant lives in another lane is in none.
        """
        if not len(usual.envelopes):
            return usual
        numbers, tenants = usual.envelopes.names("tenant")
        homes = integers([_address(tenant, self.lanes)[0] for tenant in tenants])
        lanes = homes[numbers]
        if not self.of_file:
            usual = without(usual, usual.envelopes.record[lanes != self.first])
            if len(usual.envelopes):
                self[self.first] = Share(self.first, usual)
            return usual
        lane_at = np.full(usual.count, -1)
        lane_at[usual.envelopes.record] = lanes
        for lane in np.unique(lanes).tolist():
            self[lane] = Share(lane, usual.where(lane_at == lane))
        return usual

    def refuse_large(self, index: int, value: bytes) -> None:
        """A record that is not even parsed, so that its tenant is not known either."""
        findings = self[self.first].findings
        record = self[self.first].take(index, "", None)
        findings.refuse(record, "size", f"{len(value)} bytes, over {SIZE_LIMIT}")
        findings.counts["records", "unknown"] += 1

    def refuse(self, index: int, value: bytes, error: Exception) -> None:
        """A record without a usable envelope; it lands with its tenant where that can be told."""
        reason, message = unreadable(error)
        outline = Outline()
        try:
            well_formed(value)
            outline = decode_outline(value)
        except msgspec.ValidationError:
            pass  # JSON, but no object
        except UNREADABLE as worse:
            reason, message = unreadable(worse)
        tenant, at, appended = outline.tenant, outline.received_at, outline.appended_at
        known = self.of_file and type(tenant) is str and tenant
        share = self[lane_of(tenant, self.lanes)] if known else self[self.first]
        record = share.take(
            index, at if type(at) is str else "", appended if type(appended) is str else None
        )
        share.findings.refuse(record, _OF_ENVELOPE.get(reason, reason), message)
        share.findings.counts["records", "unknown"] += 1

    def beat(self, index: int, beat: Heartbeat) -> None:
        """Time passes in every lane; a time that cannot be read is one lane's dead letter."""
        appended = beat.appended_at
        told = [beat.received_at] if appended is None else [beat.received_at, appended]
        reached = self._every() if (instants(told) != NONE).all() else [self[self.first]]
        for share in reached:
            share.take(index, beat.received_at, appended)
        self[self.first].findings.counts["records", "heartbeat"] += 1

    def _every(self) -> list[Share]:
        """Those that a heartbeat reaches."""
        return [self[lane] for lane in range(self.lanes)] if self.of_file else [self[self.first]]


Reading = tuple[Callable[[int, Any], None], int]
"""What reads a type of webhook, and the scope of the tenant's webhooks of that provider."""


class Senders(dict[type, Reading]):
    """Who sends webhooks to one tenant, by their types, at hand for the loop over all records."""

    def __init__(self, tenant: str, share: Share) -> None:
        super().__init__()
        self.tenant = tenant
        self.share = share

    def __missing__(self, kind: type) -> Reading:
        provider = PROVIDER_OF[kind]
        scope = self.share.findings.scopes[self.tenant, provider, None]
        self[kind] = reading = self.share.readers[provider].read, scope
        return reading


class Homes(dict[str, tuple[Share, bytes, bool, Senders]]):
    """Each tenant's share and key, and whether its records belong into this chunk at all."""

    def __init__(self, shares: Shares) -> None:
        super().__init__()
        self.shares = shares

    def __missing__(self, tenant: str) -> tuple[Share, bytes, bool, Senders]:
        shares = self.shares
        lane, key = _address(tenant, shares.lanes)
        at_home = shares.of_file or lane == shares.first
        share = shares[lane if at_home else shares.first]
        self[tenant] = home = share, key, at_home, Senders(tenant, share)
        return home


def _look_again(homes: Homes, index: int, value: bytes) -> None:
    """A record that one pass could not read: another kind, or a webhook that is not as usual."""
    try:
        told: Record = decode_record(value)
    except UNREADABLE as error:
        homes.shares.refuse(index, value, error)
        return
    if isinstance(told, Heartbeat):
        homes.shares.beat(index, told)
        return
    keys = homes.shares.record_keys
    share, key, at_home, _ = homes[told.tenant]
    record = share.take(index, told.received_at, told.appended_at)
    if not at_home or (keys is not None and keys[index] != key):
        share.turn_away(record, told)
    elif isinstance(told, Webhook):
        share.senders[-1] = share.findings.scopes[told.tenant, told.provider, None]
        share.readers.read_raw(record, told)
    else:
        share.set_aside(record, told)


@lru_cache(maxsize=65_536)
def _address(tenant: str, lanes: int) -> tuple[int, bytes]:
    return lane_of(tenant, lanes), tenant.encode()


def _batch(share: Share, chunk: Chunk) -> Batch:
    """Reads a lane's share, kind by kind, into columns."""
    findings, usual = share.findings, share.usual
    others = integers(share.indexes)
    rows = others if usual is None else np.sort(np.concatenate([usual.envelopes.record, others]))
    appended_ms = _clock(share, rows, chunk.appended_ms)
    for reader in share.readers.values():
        reader.finish()
    if usual is not None:
        number = np.empty(usual.count, np.int32)
        number[rows] = np.arange(len(rows), dtype=np.int32)
        add_events(usual, number, findings)
    add_receipts(share.receipts, appended_ms, findings)
    settings = checked_settings(share.settings, findings)
    webhooks = _webhooks(share, rows)
    if len(webhooks.record):
        findings.counts["records", "webhook"] += len(webhooks.record)
    imported = np.zeros(len(rows), np.int8)
    imported[share.imported] = 1
    originals = Originals(chunk, rows)
    return Batch(
        lane=share.lane,
        positions=chunk.positions[rows],
        appended_ms=appended_ms,
        scopes=findings.scopes.scopes,
        visits=findings.found(VisitEvents),
        clients=findings.found(ClientEvents),
        statuses=findings.found(StatusEvents),
        incoming=findings.found(IncomingEvents),
        payments=findings.found(PaymentEvents),
        webhooks=webhooks,
        imported=imported,
        settings=settings,
        forgets=forget_events(share.forgets, findings),
        dead_letters=_dead_letters(findings, originals),
        counts=findings.counts,
        originals=originals,
    )


def _clock(share: Share, rows: I8, appended_ms: I8 | None) -> I8:
    """Append times: the log's, else those of the envelopes, NONE where one cannot be read.

    Both times of an envelope must be readable, whichever of them counts.
    """
    findings, usual = share.findings, share.usual
    clock, bad = _told_clock(share)
    if bad.any():
        findings.barred = share.joined(rows, bad, np.False_)
        for record in np.flatnonzero(findings.barred).tolist():
            findings.refuse(record, "clock", "received_at, appended_at: no time of 1990 to 2099")
    if appended_ms is not None:
        return appended_ms[rows]
    if usual is None:
        return clock
    appended = usual.appended_ms
    return share.joined(rows, clock, np.where(appended == NONE, usual.received_ms, appended))


def _told_clock(share: Share) -> tuple[I8, NDArray[np.bool_]]:
    """What the envelopes of records that are not usual tell, and which cannot be read."""
    received_at, appended_at = share.received_at, share.appended_at
    received = instants(received_at)
    bad = received == NONE
    clock = received
    absent = appended_at.count(None)
    if absent == 0:
        clock = instants(appended_at)
        bad |= clock == NONE
    elif absent < len(appended_at):
        appended = instants([text or "" for text in appended_at])
        given = np.fromiter((text is not None for text in appended_at), np.bool_, len(appended_at))
        bad |= given & (appended == NONE)
        clock = np.where(given, appended, received)
    return clock, bad


def _webhooks(share: Share, rows: I8) -> WebhookRows:
    """Who sent each webhook; those of another lane's tenants are that lane's to count."""
    sender = indexes(share.senders)
    if share.usual is not None:
        sender = share.joined(rows, sender, senders(share.usual, share.findings))
    record = np.flatnonzero(sender != _NO_WEBHOOK).astype(np.int32)
    dead = np.zeros(len(sender), np.int8)
    dead[list(share.findings.refusals)] = 1
    return WebhookRows(record=record, scope=sender[record], dead=dead[record])


def _dead_letters(findings: Findings, originals: Originals) -> list[DeadLetter]:
    letters = []
    for record, (reason, message) in sorted(findings.refusals.items()):
        letters.append(originals.letter(record, STAGE, reason, message))
        findings.counts["dead_letters", reason] += 1
    return letters


def decode(chunk: Chunk, lanes: int) -> list[Batch]:
    """The chunk's records by lane, each lane's in log order; see the module's header."""
    shares = Shares(chunk, lanes)
    homes = Homes(shares)
    keys, values = chunk.keys, chunk.values
    for index in shares.take_usual(usual_of(values, keys)).others():
        value = values[index]
        if len(value) > SIZE_LIMIT:
            shares.refuse_large(index, value)
            continue
        try:
            told = decode_webhook(value)
        except UNREADABLE:
            _look_again(homes, index, value)
            continue
        share, key, at_home, readings = homes[told.tenant]
        record = share.take(index, told.received_at, told.appended_at)
        if at_home and (keys is None or keys[index] == key):
            read, share.senders[-1] = readings[type(told)]
            read(record, told)
        else:
            share.turn_away(record, told)
        del told  # the next one is made in the same memory, still in the processor's cache
    return [_batch(shares[lane], chunk) for lane in sorted(shares)]


def decode_only(values: list[bytes]) -> int:
    """Typed decode of envelopes and bodies and nothing else; how many of them could be read.

    The limit that the benchmark compares the whole fold with.
    """
    read = 0
    for value in values:
        try:
            decode_webhook(value)
        except UNREADABLE:
            try:
                record = decode_record(value)
                if type(record) is Webhook:
                    BODIES[record.provider](record.body)
            except (*UNREADABLE, KeyError):
                continue
        read += 1
    return read
