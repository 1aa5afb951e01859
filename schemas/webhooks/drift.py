"""Read values whose type drifts between a provider's versions, where a typed decoder cannot.

Takes: one value as JSON gave it
Errors: ``Refusal`` where a value that matters cannot be understood; others are read as absent
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal
from typing import Annotated, Any

from msgspec import Meta

LARGEST = 2**63 - 1

Whole = Annotated[int, Meta(ge=-LARGEST, le=LARGEST)]
"""An integer that fits a column; a text of digits is one too, as decoders here are not strict."""

Number = Whole | float

_LARGEST_ERROR = 2**31 - 1
LONGEST_SECONDS = 10 * 366 * 86_400
MOST_MONEY = 10**15
"""No sum is larger, in whatever unit: what is came of a broken field, and could overflow a sum."""

ZERO = Decimal(0)


class Refusal(Exception):
    """What a body says cannot be used: the reason of its dead letter, and where."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(reason, message)
        self.reason = reason
        self.message = message


def text(value: Any) -> str | None:
    """A text that says something, else ``None``."""
    return value if type(value) is str and value else None


def phone(value: Any) -> str | None:
    """A phone as written; some write it as a number."""
    if type(value) is str:
        return value or None
    if type(value) is float and value.is_integer():
        value = int(value)
    return str(value) if type(value) is int and value > 0 else None


def seconds(value: Any) -> int | None:
    """A length of time that is plausible, else ``None``."""
    if type(value) is str and value.isascii() and value.isdigit() and len(value) < 12:
        value = int(value)
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 < value < LONGEST_SECONDS else None


def flag(value: Any) -> int:
    """1 or 0 of what may be a boolean, a number or a text of one; -1 where it is none of these."""
    if type(value) is str and value.isascii():
        value = {"1": 1, "true": 1, "0": 0, "false": 0}.get(value.lower())
    return int(value) if type(value) in (bool, int) and value in (0, 1) else -1


def error_code(value: Any) -> int:
    """A provider's error code, alone, in an object, or in the first of a list; else 0."""
    if type(value) is list and value:
        value = value[0]
    if type(value) is dict:
        value = value.get("code")
    if type(value) is str and value.isascii() and value.isdigit() and len(value) < 12:
        value = int(value)
    return value if type(value) is int and abs(value) <= _LARGEST_ERROR else 0


def thousandths(path: str, total: Number, factors: Iterable[tuple[Number, Number]]) -> int:
    """A sum of price times amount in thousandths of the unit, rounded half up at the end.

    ``total`` is what floats make of ``factors``. Nearly all sums are whole, and then it is exact;
    others are taken as they are written (shortest decimal), so that 33.71 is no binary fraction.
    """
    if -MOST_MONEY <= total * 1000 <= MOST_MONEY and not total % 1:
        return int(total) * 1000
    try:
        exact = ZERO
        for price, amount in factors:
            exact += Decimal(str(price)) * Decimal(str(amount))
        exact = (exact * 1000).to_integral_value(ROUND_HALF_UP)
        if abs(exact) <= MOST_MONEY:
            return int(exact)
    except ArithmeticError:  # "nan" and "inf" are numbers to lenient decoders
        pass
    raise Refusal("shape", f"{path}: not a sum of money")
