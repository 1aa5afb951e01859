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

import numpy as np
from numpy.typing import NDArray

from operators.asides import add_receipts, checked_settings, forget_events
from operators.shares import NO_WEBHOOK, Homes, Share, Shares
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
from schemas.record import (
    SIZE_LIMIT,
    UNREADABLE,
    Heartbeat,
    Record,
    Webhook,
    decode_record,
)
from schemas.webhooks.findings import Findings, indexes, integers
from schemas.webhooks.readers import BODIES, decode_webhook
from schemas.webhooks.times import instants
from schemas.webhooks.usual import add_events, senders, usual_of

STAGE = "decode"


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
    record = np.flatnonzero(sender != NO_WEBHOOK).astype(np.int32)
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
