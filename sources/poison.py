"""Spoil a good record in each of the ways in which bad ones have been seen.

Takes: a good line of the log and a seeded generator of chance
Out:   one line that no strict reader takes; its bytes never hold a line end
"""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random

from sources.bodies import utc

_WRONG = (
    (
        b"yclients",
        b'{"company_id":{"x":1},"resource":"record","resource_id":[7],"status":1,"data":"gone"}',
    ),
    (
        b"yclients",
        (
            b'{"company_id":1,"resource":"record","resource_id":7,"status":"update","data":'
            b'{"id":7,"date":{"y":2026},"attendance":"many","services":"none","client":[1]}}'
        ),
    ),
    (b"whatsapp", b'{"object":"whatsapp_business_account","entry":{"id":1}}'),
    (
        b"whatsapp",
        b'{"entry":[{"changes":[{"field":"messages","value":{"statuses":[{"id":5,"status":[]}]}}]}]}',
    ),
    (b"wazzup", b'{"statuses":{"messageId":[5],"status":{}}}'),
    (b"greenapi", b"[[],[]]"),
    (
        b"iiko",
        b'[{"eventType":"TableOrderUpdate","eventInfo":{"creationStatus":"Success","order":[7]}}]',
    ),
    (b"generic", b"17"),
)
"""Bodies whose fields are of other types than their provider's."""

Spoil = Callable[[bytes, Random], bytes]

OVERSIZED_BYTES = 5 << 20
_PROVIDER = re.compile(rb'"provider":"[a-z]+"')
_KIND = re.compile(rb'"kind":"[a-z]+"')
_BODY = re.compile(rb'"body":.*\}$', re.DOTALL)
_RECEIVED = re.compile(rb'"received_at":"[^"]*","appended_at":"[^"]*"')
_ABSURD_CLOCKS = (b"0001-01-01T00:00:00Z", b"99999-01-01T00:00:00Z", b"yesterday", b"")
_ABSURD_TIMES = (b"0000-00-00 00:00:00", b"3026-01-01 10:00:00", b"tomorrow at ten", b"")


def truncated(line: bytes, rng: Random) -> bytes:
    """The connection broke."""
    return line[: rng.randint(1, len(line) - 1)]


def foreign(_: bytes, rng: Random) -> bytes:
    """Not one of our records at all."""
    return rng.choice(
        (b"<html><h1>502 Bad Gateway</h1></html>", b"[1,2,3]", b'"ok"', b"null", b"{}", b"NaN")
    )


def wrong_envelope(line: bytes, rng: Random) -> bytes:
    """A kind that does not exist, or a tenant that is no text."""
    if rng.random() < 0.5:
        return _KIND.sub(b'"kind":"webhooks"', line, count=1)
    return re.sub(rb'"tenant":"([^"]*)"', rb'"tenant":["\1"]', line, count=1)


def unknown_provider(line: bytes, _: Random) -> bytes:
    """A provider that nobody connected."""
    return _PROVIDER.sub(b'"provider":"bitrix"', line, count=1)


def wrong_types(line: bytes, rng: Random) -> bytes:
    """An envelope in order around a body whose fields are of other types."""
    provider, body = rng.choice(_WRONG)
    return _with_body(_PROVIDER.sub(b'"provider":"%b"' % provider, line, count=1), body)


def absurd_event_time(line: bytes, rng: Random) -> bytes:
    """A visit in a year in which nobody books."""
    at = rng.choice(_ABSURD_TIMES)
    yclients = (
        b'{"company_id":100000,"resource":"record","resource_id":7,"status":"update","data":'
        b'{"id":7,"company_id":100000,"services":[],"client":null,"date":"%b","attendance":1,'
        b'"visit_id":8,"deleted":false,"last_change_date":"%b"}}'
    ) % (at, at)
    return _with_body(_PROVIDER.sub(b'"provider":"yclients"', line, count=1), yclients)


def absurd_clock(line: bytes, rng: Random) -> bytes:
    """An envelope whose times cannot be."""
    at = rng.choice(_ABSURD_CLOCKS)
    return _RECEIVED.sub(b'"received_at":"%b","appended_at":"%b"' % (at, at), line, count=1)


def nul_bytes(line: bytes, rng: Random) -> bytes:
    """A disk or a driver wrote zeros."""
    at = rng.randrange(len(line))
    return line[:at] + b"\x00" * rng.randint(1, 16) + line[at:]


def nested(line: bytes, rng: Random) -> bytes:
    """Brackets, thousands deep."""
    depth = rng.choice((3_000, 100_000))
    return _with_body(line, b"[" * depth + b"]" * depth)


def oversized(line: bytes, _: Random) -> bytes:
    """A body beyond the limit."""
    return _with_body(line, b'{"padding":"' + b"x" * OVERSIZED_BYTES + b'"}')


SPOILS: dict[str, Spoil] = {
    "truncated": truncated,
    "foreign": foreign,
    "wrong_envelope": wrong_envelope,
    "unknown_provider": unknown_provider,
    "wrong_types": wrong_types,
    "absurd_event_time": absurd_event_time,
    "absurd_clock": absurd_clock,
    "nul_bytes": nul_bytes,
    "nested": nested,
}
"""Every way but ``oversized``, which the generator uses sparingly."""


def decoy(tenant: str, received: int, appended: int) -> bytes:
    """A plain good webhook to be spoiled: the ways that need one can rely on its fields."""
    return (
        b'{"kind":"webhook","tenant":"%b","provider":"generic","received_at":"%b",'
        b'"appended_at":"%b","body":{"type":"client","id":"crm-0"}}'
    ) % (tenant.encode(), utc(received), utc(appended))


def _with_body(line: bytes, body: bytes) -> bytes:
    return _BODY.sub(lambda _: b'"body":' + body + b"}", line, count=1)
