"""Decode raw records into one lane's event columns.

In:    ``Chunk`` of raw bytes in log order
Out:   a ``Batch`` for each lane that the chunk touches, in the order of lanes: typed event columns,
       checked settings, and every record that cannot be used as a dead letter with its bytes
State: none; how a log is cut into chunks changes nothing

Nothing that the bytes can hold raises. A record of a file lands in its tenant's lane, in lane 0
where no tenant can be told; a heartbeat of a file lands in every lane.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Protocol

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
)
from schemas.keys import lane_of, text_key
from schemas.record import (
    PROVIDERS,
    RECORD_KINDS,
    SIZE_LIMIT,
    UNREADABLE,
    Forget,
    Heartbeat,
    History,
    Outline,
    Receipt,
    SettingsRecord,
    Webhook,
    decode_outline,
    decode_record,
    unreadable,
    well_formed,
)
from schemas.settings import SettingsError, parse_settings
from schemas.webhooks import drift, generic, whatsapp, yclients
from schemas.webhooks.findings import (
    RECEIPT,
    Findings,
    all_the_same,
    flags,
    indexes,
    integers,
    objects,
)
from schemas.webhooks.times import instants

STAGE = "decode"


class Reader(Protocol):
    """Turns a provider's bodies into events, one by one, and adds them to the findings."""

    def read(self, record: int, webhook: Webhook) -> None:
        """One webhook; ``record`` is its place in the batch."""

    def finish(self) -> None:
        """Adds everything that was read."""


READERS: dict[str, Callable[[str, Findings], Reader]] = {
    "yclients": yclients.Reader,
    "altegio": yclients.Reader,
    "whatsapp": whatsapp.Reader,
    "generic": generic.Reader,
}

BODIES: dict[str, Callable[[Any], object]] = {
    "yclients": yclients.decode_body,
    "altegio": yclients.decode_body,
    "whatsapp": whatsapp.decode_body,
    "generic": generic.decode_body,
}


_KINDS: dict[type, str] = {kind: str(kind.__struct_config__.tag) for kind in RECORD_KINDS}


class Readers(dict[str, Reader]):
    """The readers of one lane's share by provider, made where they are first needed."""

    def __init__(self, findings: Findings) -> None:
        super().__init__()
        self.findings = findings

    def __missing__(self, provider: str) -> Reader:
        self[provider] = reader = READERS.get(provider, Stranger)(provider, self.findings)
        return reader


class Stranger:
    """Refuses the webhooks of a provider that has no reader."""

    def __init__(self, provider: str, findings: Findings) -> None:
        known = provider in PROVIDERS
        self.message = (
            f"provider: {provider} is not supported yet" if known else "provider: unknown"
        )
        self.findings = findings

    def read(self, record: int, _: Webhook) -> None:
        """Refuses it."""
        self.findings.refuse(record, "provider", self.message)

    def finish(self) -> None:
        """Has nothing to add."""


class Share:
    """One lane's share of a chunk: its records' numbers, times and contents, not yet read.

    Lists are flat, a record after the other: a tuple for each would be one more object to collect.
    """

    def __init__(self, lane: int) -> None:
        self.lane = lane
        self.records = 0
        self.heads: list[Any] = []  # index in the chunk, received_at, appended_at
        self.webhooks = 0
        self.receipts: list[tuple[int, Receipt]] = []
        self.settings: list[tuple[int, SettingsRecord]] = []
        self.findings = Findings()
        self.readers = Readers(self.findings)

    def take(self, index: int, received_at: str, appended_at: str | None) -> int:
        """The number in the lane's batch of one more record."""
        self.heads += (index, received_at, appended_at)
        self.records += 1
        return self.records - 1

    def turn_away(self, record: int, told: Webhook | Aside) -> None:
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
        self.of_file = chunk.lane < 0
        self.first = max(chunk.lane, 0)

    def __missing__(self, lane: int) -> Share:
        self[lane] = share = Share(lane)
        return share

    def every(self) -> list[Share]:
        """Those that a heartbeat reaches."""
        return [self[lane] for lane in range(self.lanes)] if self.of_file else [self[self.first]]

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


@lru_cache(maxsize=65_536)
def _address(tenant: str, lanes: int) -> tuple[int, bytes]:
    return lane_of(tenant, lanes), tenant.encode()


def _beat(shares: Shares, index: int, beat: Heartbeat) -> None:
    """Time passes in every lane; a time that cannot be read is one lane's dead letter."""
    appended = beat.appended_at
    told = [beat.received_at] if appended is None else [beat.received_at, appended]
    reached = shares.every() if (instants(told) != NONE).all() else [shares[shares.first]]
    for share in reached:
        share.take(index, beat.received_at, appended)
    shares[shares.first].findings.counts["records", "heartbeat"] += 1


def _batch(share: Share, chunk: Chunk) -> Batch:
    """Reads a lane's share, kind by kind, into columns."""
    findings = share.findings
    rows = integers(share.heads[0::3])
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
        settings=settings,
        dead_letters=dead_letters,
        counts=findings.counts,
    )


def _clock(share: Share, appended_ms: I8 | None) -> I8:
    """Append times: the log's, else those of the envelopes, NONE where one cannot be read.

    Both times of an envelope must be readable, whichever of them counts.
    """
    findings = share.findings
    received_at, appended_at = share.heads[1::3], share.heads[2::3]
    received = instants(received_at)
    bad = received == NONE
    clock = received
    absent = appended_at.count(None)
    if absent == 0:
        clock = instants(appended_at)
        bad |= clock == NONE
    elif absent < share.records:
        appended = instants([text or "" for text in appended_at])
        given = np.fromiter((text is not None for text in appended_at), np.bool_, share.records)
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
        index = share.heads[3 * record]
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
            told = decode_record(value)
        except UNREADABLE as error:
            shares.refuse(index, value, error)
            continue
        if type(told) is Heartbeat:
            _beat(shares, index, told)
            continue
        share, key, at_home = homes[told.tenant]
        record = share.records
        share.records = record + 1
        share.heads += (index, told.received_at, told.appended_at)
        if not at_home or (keys is not None and keys[index] != key):
            share.turn_away(record, told)
        elif type(told) is Webhook:
            share.webhooks += 1
            share.readers[told.provider].read(record, told)
        else:
            share.set_aside(record, told)
    return [_batch(shares[lane], chunk) for lane in sorted(shares)]


def decode_only(values: list[bytes]) -> int:
    """Typed decode of envelopes and bodies and nothing else; how many of them could be read.

    The limit that the benchmark compares the whole fold with.
    """
    read = 0
    decode_envelope, bodies = decode_record, BODIES
    for value in values:
        try:
            record = decode_envelope(value)
            if type(record) is Webhook:
                bodies[record.provider](record.body)
        except (*UNREADABLE, KeyError):
            continue
        read += 1
    return read
