"""Read phone numbers as people and providers write them.

In:    a column of texts, with the rows of their tenants and scopes
Out:   E.164 as integers, 0 where there is no number, NOBODYS for who wants to be forgotten
State: read only; what was read once is remembered, as people come again
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import phonenumbers

from schemas.batch import FORGOTTEN, I8, NOBODYS, Objects
from state.index import Rows
from state.lane import LaneState

_PLUS_SEVEN = frozenset({"RU", "KZ"})
_INTERNATIONAL = frozenset({"whatsapp"})  # writes digits without a plus
_CACHE_LIMIT = 100_000
_LONGEST_WRITING = 64

_FULL = 12  # "+7" and ten digits
_BLANK = " " * _FULL
_POWERS = 10 ** np.arange(_FULL - 2, -1, -1, dtype=np.int64)

_phones: dict[tuple[str | None, str], int] = {}
"""By country (``+``: written in full, as messengers do) and writing."""


def canonical_phone(text: str, country: str | None, international: bool = False) -> int:
    """E.164 as an integer, 0 for what cannot be a phone number.

    A leading 8 with 11 digits is +7 in Russia and Kazakhstan; everything that is not already
    +7 and ten digits is judged by ``phonenumbers`` (possible, not necessarily assigned).
    """
    full = f"+{text}" if international else text
    if len(full) == 12 and full.startswith("+7") and full[1:].isdecimal() and full.isascii():
        return int(full)
    if len(text) > _LONGEST_WRITING or any(letter.isalpha() for letter in text):
        return 0
    digits = "".join(letter for letter in text if letter in "0123456789")
    if text.lstrip(" (").startswith("+") or international:
        return _possible(f"+{digits}", None)
    if country in _PLUS_SEVEN and len(digits) == 11 and digits[0] in "78":
        return int("7" + digits[1:])
    # A tourist's number is often written in full, without its plus, or with two zeros instead.
    local = _possible(digits, country) if country else 0
    full = f"+{digits.removeprefix('00')}"
    return local or (_possible(full, None) if len(digits) > 10 else 0)


def _possible(text: str, country: str | None) -> int:
    try:
        number = phonenumbers.parse(text, country)
    except phonenumbers.NumberParseException:
        return 0
    # Not what is possible within one town only. Under +7, 14 digits are no subscriber's.
    judged = phonenumbers.is_possible_number_with_reason(number)
    phone = int(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))
    is_long = number.country_code == 7 and phone >= 10**11
    return 0 if is_long or judged != phonenumbers.ValidationResult.IS_POSSIBLE else phone


def phone_column(
    phones: Objects, tenants: Rows, scopes: Rows, state: LaneState, counts: Counter[tuple[str, ...]]
) -> I8:
    """Canonical phones of a column as providers write them; what cannot be one is counted."""
    texts = phones.tolist()
    if not texts:
        return np.zeros(0, np.int64)
    found = _written_in_full(texts)
    for at in (found == 0).nonzero()[0].tolist():
        text = texts[at]
        if text is FORGOTTEN:
            found[at] = NOBODYS
        elif text:
            country = state.tenants.settings[tenants[at]].country
            found[at] = phone = _phone(text, country, state.scopes.provider[scopes[at]])
            counts["ignored", "phone"] += phone == 0
    return found


def _written_in_full(texts: list[str | None]) -> I8:
    """``+7`` and ten digits as most people in the logs are written, 0 for everything else."""
    alike = [text if text and len(text) == _FULL else _BLANK for text in texts]
    # "replace" keeps one byte a character, so that a stray letter cannot shift its neighbours
    letters = np.frombuffer("".join(alike).encode("ascii", "replace"), np.uint8)
    letters = letters.reshape(len(texts), _FULL)
    digits = letters[:, 1:] - np.uint8(ord("0"))
    full = (letters[:, 0] == ord("+")) & (digits[:, 0] == 7) & (digits.max(axis=1) <= 9)
    phones: I8 = np.where(full, digits @ _POWERS, 0)
    return phones


def plain_phones(phones: Objects) -> I8:
    """Phones as messengers write them, digits alone, as integers; 0 where one is not such.

    Nothing is checked, for these are only looked up: what is no phone is no customer's.
    """
    texts = phones.tolist()
    try:
        return np.fromiter(map(int, texts), np.int64, len(texts))
    except (TypeError, ValueError, OverflowError):
        return np.array([_plain(text) for text in texts], np.int64)


def _plain(text: str | None) -> int:
    return int(text) if text and len(text) < 16 and text.isascii() and text.isdigit() else 0


def _phone(text: str, country: str | None, provider: str) -> int:
    """One writing; what comes again is not read again."""
    international = provider in _INTERNATIONAL
    cached = (("+" if international or text.startswith("+") else country), text)
    phone = _phones.get(cached)
    if phone is None:
        if len(_phones) >= _CACHE_LIMIT:
            _phones.clear()
        _phones[cached] = phone = canonical_phone(text, country, international)
    return phone
