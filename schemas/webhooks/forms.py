"""Take a body out of the text that wraps it: JSON written as a text, or a form.

Takes: a body that is a JSON text
Out:   the JSON that it holds; the body as it is where the text holds none

A form is what a browser posts: ``resource=record&data[id]=1`` with PHP's brackets, or one field
that holds JSON (``payload={...}``). What it says are texts; readers are lenient about that.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
from msgspec import Raw

from schemas.record import UNREADABLE

_KEY = re.compile(r"(?P<name>[A-Za-z_][\w.-]{0,99})(?P<steps>(?:\[[\w.-]{0,100}\]){0,16})")
_STEP = re.compile(r"\[(.*?)\]")
_ESCAPED = re.compile(rb"%([0-9A-Fa-f]{2})")
_MOST_FIELDS = 20_000

_decode_text = msgspec.json.Decoder(str).decode


class _NoForm(Exception):
    """The text is something else."""


def unwrapped(body: Raw) -> Raw:
    """The JSON inside a body that is a JSON text."""
    try:
        text = _decode_text(body).strip()
        if text[:1] in {"{", "["}:
            return Raw(text.encode())
        return Raw(msgspec.json.encode(_form(text)))
    except (*UNREADABLE, _NoForm):
        return body


def _form(text: str) -> Any:
    """What the fields of a form say, one inside the other."""
    told: dict[str, Any] = {}
    fields = text.split("&", _MOST_FIELDS)
    if len(fields) > _MOST_FIELDS:
        raise _NoForm
    for field in fields:
        written, equals, value = field.partition("=")
        key = _KEY.fullmatch(_plain(written))
        if not key or not equals:
            raise _NoForm
        _put(told, [key["name"], *_STEP.findall(key["steps"])], _value(value))
    if len(told) == 1:
        (value,) = told.values()
        if isinstance(value, Raw):
            return value
    return _listed(told)


def _put(told: dict[str, Any], steps: list[str], value: Any) -> None:
    """Hangs a value where its key says; ``[]`` is the next number."""
    *path, last = steps
    for step in path:
        told = told.setdefault(step or str(len(told)), {})
        if not isinstance(told, dict):
            raise _NoForm
    told[last or str(len(told))] = value


def _value(written: str) -> Any:
    """A text, or JSON that is written as one."""
    text = _plain(written)
    if text[:1] in {"{", "["}:
        try:
            return msgspec.json.decode(text, type=Raw)
        except UNREADABLE:
            pass
    return text


def _plain(written: str) -> str:
    """Without the escapes of a URL."""
    spaced = written.replace("+", " ").encode()
    return _ESCAPED.sub(lambda escape: bytes.fromhex(escape[1].decode()), spaced).decode()


def _listed(told: Any) -> Any:
    """Objects whose fields are numbered from 0 are lists."""
    if not isinstance(told, dict):
        return told
    inner = {key: _listed(value) for key, value in told.items()}
    numbered = all(key == str(at) for at, key in enumerate(inner))
    return list(inner.values()) if numbered and inner else inner
