"""Forms that columns are filled into, one text a line: outputs as JSON, and what ids are made of.

In:    columns as numbers, keys, texts, or JSON that is there already
Out:   ``bytes`` for each line
Source: JSON to the letter as msgspec writes it

A form is filled in by ``schemas.fill`` where that could be compiled, else here, which is slower.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from enum import IntEnum
from itertools import chain, repeat
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

from schemas.batch import NONE, Message
from schemas.texts import birthday_text, instant_text, minute_text, wall_text

try:
    from schemas import fill
except ImportError:  # there was no compiler where this was installed
    COMPILED = False
else:
    COMPILED = True

_ENCODE = msgspec.json.Encoder().encode


class Kind(IntEnum):
    """What a column holds, and how it is told."""

    TEXT = 0  # str, or None
    PLAIN = 1  # str, as it is and without quotes
    VALUE = 2  # anything that JSON has
    JSON = 3  # bytes of JSON, or None
    KEY = 4  # ASCII of a fixed width, as it is
    NUMBER = 5  # integers; NONE is null, here and below
    PHONE = 6  # E.164 without ``+``; 0 is null
    INSTANT = 7  # milliseconds, RFC 3339
    WALL = 8  # the same without its zone, as it is
    MINUTE = 9  # ``2026-11-20T07:00Z``, as it is
    DATE = 10  # yyyymmdd, told as ``YYYY-MM-DD``; 0 is null


TEXT, PLAIN, VALUE, JSON, KEY, NUMBER, PHONE, INSTANT, WALL, MINUTE, DATE = Kind
_BARE = frozenset({KEY, WALL})
"""JSON wants quotes around these."""


class Form:
    """Pieces of text with a column's kind between any two of them."""

    def __init__(self, *parts: bytes | Kind) -> None:
        pieces, kinds = [b""], []
        for part in parts:
            if isinstance(part, Kind):
                kinds.append(part)
                pieces.append(b"")
            else:
                pieces[-1] += part
        self._pieces, self._kinds = tuple(pieces), tuple(kinds)

    def fill(self, *columns: Any) -> list[bytes]:
        """A text for each line; raises ``UnicodeEncodeError`` for a lone surrogate."""
        told = tuple(map(_taken, self._kinds, columns))
        if not COMPILED:
            return filled(self._pieces, self._kinds, told)
        return fill.fill(self._pieces, self._kinds, told, len(columns[0]), _ENCODE)


def form_of(row: type[msgspec.Struct], *parts: bytes | Kind | None) -> Form:
    """The JSON of a struct: for each of its fields a kind, or what it says in every line.

    ``None``: the column before tells this field too, as ``run_of`` writes it.
    """
    config = row.__struct_config__
    tag = f'"{config.tag_field}":"{config.tag}",' if config.tag else ""
    names = zip(row.__struct_encode_fields__, parts, strict=True)
    told = [_named(name, part) for name, part in names if part is not None]
    return Form(b"{" + tag.encode(), *_listed(told), b"}")


def run_of(row: type[msgspec.Struct], first: str, *parts: bytes | Kind) -> Form:
    """The values of fields that stand together; ``first`` has its name from ``form_of``."""
    names = row.__struct_encode_fields__
    begin = names.index(first)
    told = list(map(_named, names[begin : begin + len(parts)], parts))
    told[0] = told[0][1:]
    return Form(*_listed(told))


def _named(name: str, part: bytes | Kind) -> list[bytes | Kind]:
    quote = b'"' if part in _BARE else b""
    return [f'"{name}":'.encode(), quote, part, quote]


def _listed(told: list[list[bytes | Kind]]) -> list[bytes | Kind]:
    return [*told[0], *chain.from_iterable([b",", *each] for each in told[1:])]


def _taken(kind: Kind, column: Any) -> Any:
    if kind <= JSON:
        return column if type(column) is list else list(column)
    if kind == KEY:
        keys = np.ascontiguousarray(column)
        return keys.view(np.uint8).reshape(len(keys), keys.dtype.itemsize)
    return np.ascontiguousarray(column, np.int64)


def filled(
    pieces: tuple[bytes, ...], kinds: tuple[Kind, ...], columns: Iterable[Any]
) -> list[bytes]:
    """The same in Python: columns are as ``_taken`` gives them."""
    told = [_WRITERS[kind](column) for kind, column in zip(kinds, columns, strict=True)]
    parts = chain.from_iterable(zip(map(repeat, pieces), told, strict=False))
    return list(map(b"".join, zip(*parts, repeat(pieces[-1]))))


def messages_of(
    order: NDArray[np.intp], positions: list[int], keys: list[bytes], values: list[bytes]
) -> list[Message]:
    """Messages of these lines, in this order."""
    if COMPILED:
        return fill.messages(Message, order, positions, keys, values)
    chosen = order.tolist()
    columns = (map(column.__getitem__, chosen) for column in (positions, keys, values))
    return list(map(Message, *columns))


def hash_sum(messages: list[Message]) -> int:
    """Sum of the hashes of messages; a multiple of 2**64 may be missing."""
    if COMPILED:
        return fill.digest(messages, xxh3_64_intdigest)
    return sum(xxh3_64_intdigest(value, position) for position, _, value in messages)


def _keys(column: Any) -> Iterator[bytes]:
    return (bytes(key).rstrip(b"\0") for key in column)


def _numbers(write: Callable[[int], str], absent: tuple[int, ...] = (NONE,)) -> Callable[..., Any]:
    def told(column: Any) -> Iterator[bytes]:
        for number in column.tolist():
            yield b"null" if number in absent else write(number).encode()

    return told


def _quoted(write: Callable[[int], str]) -> Callable[[int], str]:
    return lambda number: f'"{write(number)}"'


_WRITERS: dict[Kind, Callable[[Any], Iterable[bytes]]] = {
    TEXT: lambda texts: map(_ENCODE, texts),
    PLAIN: lambda texts: map(str.encode, texts),
    VALUE: lambda values: map(_ENCODE, values),
    JSON: lambda texts: (b"null" if text is None else text for text in texts),
    KEY: _keys,
    NUMBER: _numbers(str),
    PHONE: _numbers(_quoted("+{}".format), (NONE, 0)),
    INSTANT: _numbers(_quoted(instant_text)),
    WALL: _numbers(wall_text),
    MINUTE: _numbers(minute_text),
    DATE: _numbers(_quoted(birthday_text), (NONE, 0)),
}
