"""Read imported history: lists of visits and clients, as they stand in generic webhooks.

Takes: records of kind ``history``
Out:   the same events as the generic webhooks would give, in the same scope, so that a webhook that
       comes later is a newer version of the same visit or card
Drift: where one object cannot be understood, the others are kept and the record is refused once
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from schemas.record import UNREADABLE, History, unreadable
from schemas.webhooks.drift import Refusal
from schemas.webhooks.findings import Findings
from schemas.webhooks.generic import Client, Reader, Visit

_VISITS = msgspec.json.Decoder(list[Visit], strict=False), msgspec.json.Decoder(Visit, strict=False)
_CARDS = (
    msgspec.json.Decoder(list[Client], strict=False),
    msgspec.json.Decoder(Client, strict=False),
)
_decode_pieces = msgspec.json.Decoder(list[Raw]).decode


def read_history(record: int, told: History, reader: Reader, findings: Findings) -> None:
    """Hands every object to the reader of generic webhooks."""
    empty = True
    for name, raw, decoders in (
        ("visits", told.visits, _VISITS),
        ("customers", told.customers, _CARDS),
    ):
        if not isinstance(raw, Raw) or bytes(raw) == b"null":
            continue
        for at, body in _objects(record, name, raw, decoders, findings):
            empty = False
            try:
                reader.take(record, told.tenant, None, body)
            except Refusal as refusal:
                place = refusal.message.replace("body", f"{name}[{at}]", 1)
                findings.refuse(record, refusal.reason, place)
    if empty and record not in findings.refusals:
        findings.ignore("empty")


def _objects(
    record: int, name: str, raw: Raw, decoders: tuple[Any, Any], findings: Findings
) -> list[tuple[int, Any]]:
    """What can be read, with its place in the list."""
    whole, single = decoders
    try:
        return list(enumerate(whole.decode(raw)))
    except UNREADABLE:
        pass  # piece by piece then
    read: list[tuple[int, Any]] = []
    try:
        pieces = _decode_pieces(raw)
    except UNREADABLE as error:
        findings.refuse(record, *unreadable(error, name))
        return read
    for at, piece in enumerate(pieces):
        try:
            read.append((at, single.decode(piece)))
        except UNREADABLE as error:
            findings.refuse(record, *unreadable(error, f"{name}[{at}]"))
    return read
