"""Ids and hashes that must be the same in every process, for ever.

Source: Kafka's murmur2 partitioner; xxHash (XXH3) for keys and ids of what is decided; keyed
        BLAKE2b for customer ids, which must not be guessed
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import blake2b

import numpy as np
import xxhash
from numpy.typing import NDArray

from schemas.forms import PLAIN, Form

DEFAULT_LANES = 16

_TWO = Form(PLAIN, b"\x1f", PLAIN)
_HOLDOUT = Form(PLAIN, b"\x1fholdout\x1f", PLAIN)
_THREE = Form(PLAIN, b"\x1f", PLAIN, b"\x1f", PLAIN)

_U64 = NDArray[np.uint64]

_text_keys: Callable[[Sequence[str] | NDArray[np.object_]], NDArray[np.int64]] | None = None
_mixed: Callable[[_U64, _U64, int], _U64] | None = None
try:
    from schemas import xxh3
except ImportError:  # no compiler where this was installed
    pass
else:
    _text_keys, _mixed = xxh3.text_keys, xxh3.mixed


def murmur2(key: bytes) -> int:
    """32-bit murmur2 with Kafka's seed, as the Java client's default partitioner computes it."""
    m = 0x5BD1E995
    mask = 0xFFFFFFFF
    length = len(key)
    h = 0x9747B28C ^ length
    tail = length & ~3
    for i in range(0, tail, 4):
        k = int.from_bytes(key[i : i + 4], "little") * m & mask
        k = (k ^ (k >> 24)) * m & mask
        h = (h * m & mask) ^ k
    if tail < length:
        h = (h ^ int.from_bytes(key[tail:], "little")) * m & mask
    h = (h ^ (h >> 13)) * m & mask
    return h ^ (h >> 15)


@lru_cache(maxsize=65_536)
def lane_of(tenant: str, lanes: int) -> int:
    """The lane (Kafka partition) in which every record of this tenant lives."""
    return (murmur2(tenant.encode()) & 0x7FFFFFFF) % lanes


def text_key(text: str) -> int:
    """A signed 64-bit key of a text id, never ``NONE``."""
    key = xxhash.xxh3_64_intdigest(text.encode("utf-8", "surrogatepass"))
    return (key >> 1) if key >= 1 << 63 else key


def text_keys(texts: Sequence[str] | NDArray[np.object_]) -> NDArray[np.int64]:
    """``text_key`` of many texts."""
    digest = xxhash.xxh3_64_intdigest
    try:
        if _text_keys is not None:
            return _text_keys(texts)
        keys = np.fromiter(map(digest, map(str.encode, texts)), np.uint64, len(texts))
    except UnicodeEncodeError:  # a lone surrogate, which no JSON decoder of ours lets through
        return np.fromiter([text_key(text) for text in texts], np.int64, len(texts))
    return np.where(keys >> np.uint64(63), keys >> np.uint64(1), keys).astype(np.int64)


_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_M1, _M2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_S27, _S30, _S31 = np.uint64(27), np.uint64(30), np.uint64(31)


def mix(a: _U64, b: _U64) -> _U64:
    """One 64-bit key out of two, vectorised (splitmix64's finalizer over their combination)."""
    if _mixed is not None and len(a) == len(b):
        return _mixed(a, b, 0)
    # Columns of unsigned integers wrap around silently, as they must here.
    x = a * _GOLDEN
    x = x + b
    x ^= x >> _S30
    x *= _M1
    x ^= x >> _S27
    x *= _M2
    x ^= x >> _S31
    return x


def row_keys(space: _U64, ids: _U64) -> _U64:
    """Keys of table rows: mixed, and never 0, which marks a free row."""
    if _mixed is not None and len(space) == len(ids):
        return _mixed(space, ids, 1)
    return np.maximum(mix(space, ids), np.uint64(1))


def customer_id(id_key: bytes, tenant: str, phone: int) -> str:
    """32 hex digits: a keyed hash of the tenant and the canonical phone (E.164 without ``+``)."""
    return blake2b(f"{tenant}\x1f{phone}".encode(), digest_size=16, key=id_key[:64]).hexdigest()


def alias_customer_id(id_key: bytes, tenant: str, kind: str, value: str) -> str:
    """The same of someone whom only a messenger's own name is known of."""
    told = f"{tenant}\x1f{kind}\x1f{value}".encode("utf-8", "surrogatepass")
    return blake2b(told, digest_size=16, key=id_key[:64]).hexdigest()


def command_id(tenant: str, trigger: str, occasion: str) -> str:
    """32 hex digits of the occasion that the command is for."""
    return xxhash.xxh3_128_hexdigest(f"{tenant}\x1f{trigger}\x1f{occasion}".encode())


def command_ids(
    tenants: Sequence[str], triggers: Sequence[str], occasions: Sequence[str]
) -> list[str]:
    """``command_id`` of many."""
    return list(map(xxhash.xxh3_128_hexdigest, _THREE.fill(tenants, triggers, occasions)))


def decision_id(command: str, phase: str) -> str:
    """32 hex digits of a command's id and ``held``, ``final`` or ``withdrawn``."""
    return xxhash.xxh3_128_hexdigest(f"{command}\x1f{phase}".encode())


def decision_ids(commands: Sequence[str], phases: Sequence[str]) -> list[str]:
    """``decision_id`` of many."""
    return list(map(xxhash.xxh3_128_hexdigest, _TWO.fill(commands, phases)))


def in_holdout(tenant: str, who: str, percent: int) -> bool:
    """Whether a customer is of the share that gets no marketing, for as long as the share stays.

    ``who`` is the canonical phone (E.164 without ``+``), or the customer's id without one. A larger
    share has all of a smaller one.
    """
    return holdout_places([tenant], [who])[0] < percent


def holdout_places(tenants: Sequence[str], whos: Sequence[str]) -> list[int]:
    """0 to 99 for each customer: those below a percentage are in the holdout."""
    told = _HOLDOUT.fill(tenants, whos)
    return [place % 100 for place in map(xxhash.xxh3_64_intdigest, told)]
