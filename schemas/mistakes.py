"""A mistake in settings is one error that says where and what.

Paths read as people write them: ``tenants.t0042.triggers[2].before``
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TypeVar

import msgspec

_T = TypeVar("_T")

_AT = re.compile(r" - at `\$(?P<path>.*)`$")
_MISSING = re.compile(r"Object missing required field `(?P<field>.*)`$")
_TYPE = re.compile(r"`([a-z]+)(?: \| [a-z |]+)?`")
_PLAIN = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
    "null": "nothing",
}
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")
_LONGEST_SHOWN = 60


class SettingsError(ValueError):
    """Settings that cannot be used; ``path`` names the place, ``message`` the mistake."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.path = path
        self.message = message

    def __reduce__(self) -> tuple[type[SettingsError], tuple[str, str]]:
        return (SettingsError, (self.path, self.message))


def shown(value: object) -> str:
    """The value as the file has it, cut where it is long."""
    try:
        text = msgspec.json.encode(value).decode()
    except (TypeError, ValueError, OverflowError, RecursionError):
        text = type(value).__name__
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def unknown(path: str, noun: str, value: object, known: Iterable[str] = ()) -> SettingsError:
    """An error for a name that we do not know, with those that we do where they are few."""
    names = ", ".join(known)
    return SettingsError(
        path, f"unknown {noun}: {shown(value)}{f' (one of {names})' if names else ''}"
    )


def convert(
    value: object, kind: type[_T], path: str, known: Mapping[str, Iterable[str]] | None = None
) -> _T:
    """``msgspec.convert`` whose errors are ours; ``known`` lists the names of closed sets by key.

    Dictionaries with free keys must be converted value by value: msgspec does not tell the key.
    """
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise _translated(str(error), value, path, known or {}) from None
    except RecursionError:
        raise SettingsError(path, "nested too deep") from None


def _translated(
    text: str, value: object, path: str, known: Mapping[str, Iterable[str]]
) -> SettingsError:
    inner = ""
    if at := _AT.search(text):
        inner, text = at["path"], text[: at.start()]
    if missing := _MISSING.search(text):
        return SettingsError(f"{path}{inner}.{missing['field']}", "missing")
    culprit = _reached(value, inner)
    name = inner.rpartition(".")[2]
    if text.startswith(("Invalid enum value", "Invalid value")):
        return unknown(f"{path}{inner}", name, culprit, known.get(name, ()))
    plain = _TYPE.sub(lambda match: _PLAIN.get(match[1], match[1]), text)
    return SettingsError(f"{path}{inner}", f"{plain[0].lower()}{plain[1:]}: {shown(culprit)}")


def _reached(value: object, inner: str) -> object:
    """The value that a path of ours leads to, ``None`` where it leads nowhere."""
    for key, index in _STEP.findall(inner):
        if key and isinstance(value, dict):
            value = value.get(key)
        elif index and isinstance(value, list | tuple) and int(index) < len(value):
            value = value[int(index)]
        else:
            return None
    return value
