"""Decode raw records into one lane's event columns.

In:    ``Chunk`` of raw bytes in log order
Out:   a ``Batch`` for each lane that the chunk touches, in the order of lanes: typed event columns,
       checked settings, and every record that cannot be used as a dead letter with its bytes
State: none; how a log is cut into chunks changes nothing

Nothing that the bytes can hold raises. A record of a file lands in its tenant's lane, in lane 0
where no tenant can be told; a heartbeat of a file lands in every lane.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from schemas.batch import (
    Batch,
    Chunk,
)
from schemas.record import (
    SIZE_LIMIT,
    UNREADABLE,
    Heartbeat,
    Webhook,
    decode_record,
)
from schemas.webhooks import generic, whatsapp, yclients
from schemas.webhooks.findings import Findings

STAGE = "decode"

Reader = Callable[[str, Sequence[int], Sequence[Webhook], Findings], None]

READERS: dict[str, Reader] = {
    "yclients": yclients.read,
    "altegio": yclients.read,
    "whatsapp": whatsapp.read,
    "generic": generic.read,
}

BODIES: dict[str, Callable[[Any], object]] = {
    "yclients": yclients.decode_body,
    "altegio": yclients.decode_body,
    "whatsapp": whatsapp.decode_body,
    "generic": generic.decode_body,
}


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


class Share:
    """One lane's share of a chunk: its records' numbers, times and contents, not yet read.

    Lists are flat, a record after the other: a tuple for each would be one more object to collect.
    """

    def __init__(self, lane: int) -> None:
        self.lane = lane
        self.records = 0
        self.heads: list[Any] = []  # index in the chunk, received_at, appended_at
        self.webhooks: defaultdict[str, list[Any]] = defaultdict(list)  # record, webhook
        self.receipts: list[tuple[int, Receipt]] = []
        self.settings: list[tuple[int, SettingsRecord]] = []
        self.findings = Findings()

    def take(self, index: int, received_at: str, appended_at: str | None) -> int:
        """The number in the lane's batch of one more record."""
        self.heads += (index, received_at, appended_at)
        self.records += 1
        return self.records - 1


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

    def refuse(self, index: int, value: bytes, error: Exception) -> None:
        """A record without a usable envelope; it lands with its tenant where that can be told."""
        reason, message = unreadable(error)
        try:
            outline = decode_outline(value)
        except UNREADABLE as worse:
            outline = Outline()
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
        lane = lane_of(tenant, self.shares.lanes)
        at_home = self.shares.of_file or lane == self.shares.first
        home = self.shares[lane if at_home else self.shares.first], tenant.encode(), at_home
        self[tenant] = home
        return home


def decode(chunk: Chunk, lanes: int) -> list[Batch]:
    """The chunk's records by lane, each lane's in log order; see the module's header."""
    shares = Shares(chunk, lanes)
    homes = Homes(shares)
    keys = chunk.keys
    for index, value in enumerate(chunk.values):
        if len(value) > SIZE_LIMIT:
            share = shares[shares.first]
            record = share.take(index, "", None)
            share.findings.refuse(record, "size", f"{len(value)} bytes, over {SIZE_LIMIT}")
            share.findings.counts["records", "unknown"] += 1
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
            share.findings.refuse(record, "tenant", "tenant: not of this lane or not the key")
            share.findings.counts["records", _KINDS[type(told)]] += 1
        elif type(told) is Webhook:
            share.webhooks[told.provider] += (record, told)
        else:
            _set_aside(share, record, told)
    return [_batch(shares[lane], chunk) for lane in sorted(shares)]


_KINDS: dict[type, str] = {kind: str(kind.__struct_config__.tag) for kind in RECORD_KINDS}


def _beat(shares: Shares, index: int, beat: Heartbeat) -> None:
    """Time passes in every lane; a time that cannot be read is one lane's dead letter."""
    appended = beat.appended_at
    told = [beat.received_at] if appended is None else [beat.received_at, appended]
    reached = shares.every() if (instants(told) != NONE).all() else [shares[shares.first]]
    for share in reached:
        share.take(index, beat.received_at, appended)
    shares[shares.first].findings.counts["records", "heartbeat"] += 1


def _set_aside(
    share: Share, record: int, told: Receipt | SettingsRecord | History | Forget
) -> None:
    kind = _KINDS[type(told)]
    share.findings.counts["records", kind] += 1
    if type(told) is Receipt:
        share.receipts.append((record, told))
    elif type(told) is SettingsRecord:
        share.settings.append((record, told))
    else:
        share.findings.ignore(kind)


def _batch(share: Share, chunk: Chunk) -> Batch:
    """Reads a lane's share, kind by kind, into columns."""
    findings = share.findings
    rows = integers(share.heads[0::3])
    appended_ms = _clock(share, None if chunk.appended_ms is None else chunk.appended_ms[rows])
    refused = frozenset(findings.refusals)
    for provider, group in share.webhooks.items():
        records, webhooks = group[0::2], group[1::2]
        findings.counts["records", "webhook"] += len(records)
        if refused:
            kept = [at for at, record in enumerate(records) if record not in refused]
            records = [records[at] for at in kept]
            webhooks = [webhooks[at] for at in kept]
        reader = READERS.get(provider, _refuse_provider)
        reader(provider, records, webhooks, findings)
    _add_receipts(
        [each for each in share.receipts if each[0] not in refused], appended_ms, findings
    )
    settings = _settings([each for each in share.settings if each[0] not in refused], findings)
    dead_letters = _dead_letters(share, chunk)
    return Batch(
        lane=share.lane,
        positions=chunk.positions[rows],
        appended_ms=appended_ms,
        scopes=[Scope(*scope) for scope in findings.scopes],
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
    received_at, appended_at = share.heads[1::3], share.heads[2::3]
    received = instants(received_at)
    unreadable = received == NONE
    clock = received
    if any(appended_at):
        appended = instants([text or "" for text in appended_at])
        given = np.fromiter((text is not None for text in appended_at), np.bool_, share.records)
        unreadable |= given & (appended == NONE)
        clock = np.where(given, appended, received)
    for record in np.flatnonzero(unreadable).tolist():
        share.findings.refuse(
            record, "clock", "received_at, appended_at: unreadable or outside 1990 to 2099"
        )
    return clock if appended_ms is None else appended_ms


def _refuse_provider(
    provider: str, records: Sequence[int], _: Sequence[Webhook], findings: Findings
) -> None:
    known = provider in PROVIDERS
    message = f"provider: {provider} is not supported yet" if known else "provider: unknown"
    for record in records:
        findings.refuse(record, "provider", message)


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
