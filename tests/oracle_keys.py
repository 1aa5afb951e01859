"""Hashes that the fold orders equals by, and spreads a day's beginnings with.

Takes: names as the log has them
Out:   64-bit keys; ms by which a customer's day begins after midnight
Source: of two visits that start together the one with the smaller key is the earlier, and so on:
        any order would do, but both sides must have the same one
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from schemas.keys import row_keys, text_key
from tests.oracle_bodies import Alias, Key

_VISIT = 0x76697369742D6964
_CLIENT = 0x636C69656E742D69
_PHONE = 0x70686F6E652D6964
_ALIAS = 0x616C6961732D6964
_NAMELESS = 0x6C6561642D6E616D
_SPREAD_S = 300
_NUMBERED = {"yclients", "altegio"}


@lru_cache(maxsize=100_000)
def _key(space: int, number: int) -> int:
    return int(row_keys(np.array([space], np.uint64), np.array([number], np.uint64))[0])


def _tenant(tenant: str) -> int:
    return _key(text_key(tenant), 0)


def _number(scope: str, name: str) -> int:
    return int(name) if scope.partition("/")[0] in _NUMBERED else text_key(name)


def _scope(tenant: str, scope: str) -> int:
    provider, _, branch = scope.partition("/")
    return _key(text_key("\x1f".join((tenant, provider, branch))), 0)


def visit_key(tenant: str, visit: Key) -> int:
    """Of a visit, by its scope and id."""
    return _key(_scope(tenant, visit[0]) ^ _VISIT, _number(*visit))


def client_key(tenant: str, client: Key) -> int:
    """Of a card, or of the stand-in of a phone."""
    if client[0] == "phone":
        return _key(_tenant(tenant) ^ _CLIENT, int(client[1]))
    return _key(_scope(tenant, client[0]) ^ _CLIENT, _number(*client))


def message_key(message: str) -> int:
    """Of a message, by its id."""
    return text_key(message)


def phone_delay(tenant: str, phone: int) -> int:
    """How long after midnight the day of whoever has this phone begins."""
    return _key(_tenant(tenant) ^ _PHONE, phone) % _SPREAD_S * 1_000


def alias_delay(tenant: str, alias: Alias) -> int:
    """The same of somebody whom only a messenger's name is known of."""
    key = _key(_tenant(tenant) ^ _ALIAS, text_key("\x1f".join(alias)))
    return _key(key ^ _NAMELESS, 0) % _SPREAD_S * 1_000
