"""Decode raw records into one lane's event columns.

In:    ``Chunk`` of raw bytes in log order
Out:   a ``Batch`` for each lane that the chunk touches, in the order of lanes: typed event columns,
       checked settings, and every record that cannot be used as a dead letter with its bytes
State: none; how a log is cut into chunks changes nothing

Nothing that the bytes can hold raises. A record of a file lands in its tenant's lane, in lane 0
where no tenant can be told; a heartbeat of a file lands in every lane.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np

from schemas.batch import (
    ACCEPTED,
    FAILED,
    I8,
    NONE,
    Batch,
    Chunk,
    ClientEvents,
    DeadLetter,
    IncomingEvents,
    PaymentEvents,
    SettingsEvent,
    StatusEvents,
    VisitEvents,
    WebhookRows,
)
from schemas.keys import lane_of, text_key
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
    Webhook,
    decode_outline,
    decode_record,
    unreadable,
    well_formed,
)
from schemas.settings import SettingsError, parse_settings
from schemas.webhooks import drift
from schemas.webhooks.findings import (
    RECEIPT,
    Findings,
    all_the_same,
    flags,
    indexes,
    integers,
    nothing,
    objects,
)
from schemas.webhooks.readers import (
    BODIES,
    PROVIDER_OF,
    ReadableWebhook,
    Readers,
    Readings,
    decode_webhook,
)
from schemas.webhooks.times import instants

STAGE = "decode"

_KINDS: dict[type, str] = {kind: str(kind.__struct_config__.tag) for kind in RECORD_KINDS}
_KINDS |= dict.fromkeys(PROVIDER_OF, _KINDS[Webhook])


class Share:
    """One lane's share of a chunk: its records' numbers, times and contents, not yet read.

    There is a list for each: a tuple for each record would be one more object to collect.
    """

    def __init__(self, lane: int) -> None:
        self.lane = lane
        self.indexes: list[int] = []  # in the chunk
        self.received_at: list[str] = []
        self.appended_at: list[Any] = []  # texts or None
        self.webhooks = 0
        self.receipts: list[tuple[int, Receipt]] = []
        self.settings: list[tuple[int, SettingsRecord]] = []
        self.findings = Findings()
        self.readers = Readers(self.findings)
        self.read = Readings(self.readers)

    def take(self, index: int, received_at: str, appended_at: str | None) -> int:
        """The number in the lane's batch of one more record."""
        indexes = self.indexes
        record = len(indexes)
        indexes.append(index)
        self.received_at.append(received_at)
        self.appended_at.append(appended_at)
        return record

    def turn_away(self, record: int, told: ReadableWebhook | Webhook | Aside) -> None:
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
        else:
            self.findings.ignore(kind)


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
        self[lane] = share = Share(lane)
        return share

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
        share.findings.refuse(record, "envelope" if reason == "shape" else reason, message)
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


class Homes(dict[str, tuple[Share, bytes, bool]]):
    """Each tenant's share and key, and whether its records belong into this chunk at all."""

    def __init__(self, shares: Shares) -> None:
        super().__init__()
        self.shares = shares

    def __missing__(self, tenant: str) -> tuple[Share, bytes, bool]:
        shares = self.shares
        lane, key = _address(tenant, shares.lanes)
        at_home = shares.of_file or lane == shares.first
        self[tenant] = home = shares[lane if at_home else shares.first], key, at_home
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
    share, key, at_home = homes[told.tenant]
    record = share.take(index, told.received_at, told.appended_at)
    if not at_home or (keys is not None and keys[index] != key):
        share.turn_away(record, told)
    elif isinstance(told, Webhook):
        share.webhooks += 1
        share.readers[told.provider].read_raw(record, told)
    else:
        share.set_aside(record, told)


@lru_cache(maxsize=65_536)
def _address(tenant: str, lanes: int) -> tuple[int, bytes]:
    return lane_of(tenant, lanes), tenant.encode()


def _batch(share: Share, chunk: Chunk) -> Batch:
    """Reads a lane's share, kind by kind, into columns."""
    findings = share.findings
    rows = integers(share.indexes)
    appended_ms = _clock(share, None if chunk.appended_ms is None else chunk.appended_ms[rows])
    for reader in share.readers.values():
        reader.finish()
    _add_receipts(share.receipts, appended_ms, findings)
    settings = _settings(share.settings, findings)
    if share.webhooks:
        findings.counts["records", "webhook"] += share.webhooks
    dead_letters = _dead_letters(share, chunk)
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
        webhooks=nothing(WebhookRows),
        imported=np.zeros(len(rows), np.int8),
        settings=settings,
        dead_letters=dead_letters,
        counts=findings.counts,
    )


def _clock(share: Share, appended_ms: I8 | None) -> I8:
    """Append times: the log's, else those of the envelopes, NONE where one cannot be read.

    Both times of an envelope must be readable, whichever of them counts.
    """
    findings = share.findings
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
    if bad.any():
        findings.barred = bad
        for record in np.flatnonzero(bad).tolist():
            findings.refuse(record, "clock", "received_at, appended_at: no time of 1990 to 2099")
    return clock if appended_ms is None else appended_ms


def _add_receipts(
    receipts: Sequence[tuple[int, Receipt]], appended_ms: I8, findings: Findings
) -> None:
    """What senders answered, at the time at which the log has it."""
    if not receipts:
        return
    count = len(receipts)
    record = indexes([record for record, _ in receipts])
    told = [receipt for _, receipt in receipts]
    statuses = StatusEvents(
        record=record,
        scope=indexes([findings.scopes[each.tenant, RECEIPT, ""] for each in told]),
        message=integers([text_key(each.message_id) if each.message_id else NONE for each in told]),
        status=flags([ACCEPTED if each.status == "accepted" else FAILED for each in told]),
        at_ms=appended_ms[record],
        command=objects([each.command_id for each in told], count),
        phone=all_the_same(None, count),
        error=indexes([drift.error_code(each.error) for each in told]),
        alias=all_the_same(None, count),
        channel=objects([each.channel for each in told], count),
    )
    findings.add(RECEIPT, statuses, np.ones(count, np.bool_), "")


def _settings(
    told: Sequence[tuple[int, SettingsRecord]], findings: Findings
) -> list[SettingsEvent]:
    events = []
    for record, each in told:
        if findings.barred is not None and findings.barred[record]:
            continue
        try:
            settings = parse_settings(each.settings, f"tenants.{each.tenant}")
        except SettingsError as mistake:
            findings.refuse(record, "shape", str(mistake))
        except UNREADABLE as error:
            findings.refuse(record, *unreadable(error, "settings"))
        else:
            events.append(SettingsEvent(record, each.tenant, settings))
    return events


def _dead_letters(share: Share, chunk: Chunk) -> list[DeadLetter]:
    letters = []
    for record, (reason, message) in sorted(share.findings.refusals.items()):
        index = share.indexes[record]
        key = None if chunk.keys is None else chunk.keys[index]
        position = int(chunk.positions[index])
        letters.append(DeadLetter(position, STAGE, reason, message, key, chunk.values[index]))
        share.findings.counts["dead_letters", reason] += 1
    return letters


def decode(chunk: Chunk, lanes: int) -> list[Batch]:
    """The chunk's records by lane, each lane's in log order; see the module's header."""
    shares = Shares(chunk, lanes)
    homes = Homes(shares)
    keys = chunk.keys
    for index, value in enumerate(chunk.values):
        if len(value) > SIZE_LIMIT:
            shares.refuse_large(index, value)
            continue
        try:
            told = decode_webhook(value)
        except UNREADABLE:
            _look_again(homes, index, value)
            continue
        share, key, at_home = homes[told.tenant]
        record = len(share.indexes)  # as ``take`` does, without the call
        share.indexes.append(index)
        share.received_at.append(told.received_at)
        share.appended_at.append(told.appended_at)
        if at_home and (keys is None or keys[index] == key):
            share.webhooks += 1
            share.read[type(told)](record, told)
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
