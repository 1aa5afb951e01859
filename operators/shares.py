"""Share a chunk's records out among lanes: a file has all tenants', a lane's log those of its own.

In:    records of a ``Chunk``, usual ones all at once, all others one by one
Out:   ``Share`` for each lane that is touched: which records it has, and what has read them
State: none
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from schemas.batch import I8, NONE, Chunk
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
    SettingsRecord,
    TypedWebhook,
    Webhook,
    decode_outline,
    unreadable,
    well_formed,
)
from schemas.webhooks import generic
from schemas.webhooks.findings import Findings, integers
from schemas.webhooks.history import read_history
from schemas.webhooks.readers import PROVIDER_OF, Readers
from schemas.webhooks.tables import Usual
from schemas.webhooks.times import instants
from schemas.webhooks.usual import without

NO_WEBHOOK = -1
"""The sender of a record that is no webhook, or is not at home."""

_KINDS: dict[type, str] = {kind: str(kind.__struct_config__.tag) for kind in RECORD_KINDS}
_KINDS |= dict.fromkeys(PROVIDER_OF, _KINDS[Webhook])

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
        self.senders.append(NO_WEBHOOK)
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


@lru_cache(maxsize=65_536)
def _address(tenant: str, lanes: int) -> tuple[int, bytes]:
    return lane_of(tenant, lanes), tenant.encode()
