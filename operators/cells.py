"""Read the cells of a business's own tables: phones, times, sums, versions, as people keep them.

In:    columns of texts, null where a cell is empty
Out:   columns of values, null where a text cannot be read or is null; times as int64 milliseconds,
       ``NONE`` there
State: none

What the fold would read, it reads here by the same rule: phones and ISO times.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from operators.phones import canonical_phone
from schemas.batch import I8, NONE
from schemas.currencies import EXPONENTS
from schemas.webhooks.drift import MOST_MONEY
from schemas.webhooks.times import instants, starts, within_years

_FRACTION_DIGITS = 4
"""Enough to round half up: no currency has more than three."""
_ALL = "cells"


def phones(texts: pl.Series, countries: pl.Series) -> pl.Series:
    """E.164 with its plus, as a text; each writing is read once."""
    told = pl.DataFrame({"text": texts, "country": countries})
    writings = told.drop_nulls("text").unique(maintain_order=True)
    numbers = [canonical_phone(text, country) for text, country in writings.iter_rows()]
    found = pl.Series("phone", [f"+{number}" if number else None for number in numbers], pl.String)
    read = writings.with_columns(found)
    joined = told.join(
        read, on=["text", "country"], how="left", nulls_equal=True, maintain_order="left"
    )
    return joined["phone"]


def moments(texts: pl.Series, formats: Sequence[str]) -> tuple[I8, I8]:
    """Instants of times with a zone, wall clocks of those without; both NONE where it is no time.

    The first format that fits counts; without formats a time is ISO 8601, as in a webhook.
    """
    if not formats:
        return starts(texts.fill_null("").to_list())
    instant, wall = np.full((2, len(texts)), NONE)
    for form in formats:
        read = texts.str.to_datetime(form, strict=False, time_unit="ms")
        zoned = isinstance(read.dtype, pl.Datetime) and read.dtype.time_zone is not None
        ms = within_years(read.cast(pl.Int64).fill_null(NONE).to_numpy())
        into = instant if zoned else wall
        into[:] = np.where((instant == NONE) & (wall == NONE), ms, into)
    return instant, wall


def time_texts(instant: I8, wall: I8) -> pl.Series:
    """RFC 3339 of instants, the same without a zone of wall clocks, null of neither."""
    zoned = pl.Series(instant != NONE)
    ms = np.where(instant != NONE, instant, wall)
    at = pl.DataFrame({_ALL: ms, "zone": zoned.replace_strict({True: "Z", False: ""})})
    told = pl.from_epoch(_ALL, time_unit="ms").dt.strftime("%Y-%m-%dT%H:%M:%S") + pl.col("zone")
    return at.select(pl.when(pl.col(_ALL) != NONE).then(told)).to_series()


def days(texts: pl.Series, formats: Sequence[str]) -> pl.Series:
    """``YYYY-MM-DD`` of dates in the first format that fits; without formats of ISO dates."""
    found = pl.Series(_ALL, [None] * len(texts), pl.Date)
    for form in formats:
        read = texts.str.to_datetime(form, strict=False).dt.date()
        found = found.to_frame().select(pl.coalesce(pl.first(), read)).to_series()
    if not formats:
        found = texts.str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)
    return found.dt.strftime("%Y-%m-%d")


def sums(texts: pl.Series, currencies: pl.Series, decimal: str) -> pl.Series:
    """Minor units of sums such as ``3 500,50 ₸``, rounded half up; none is below zero.

    A currency that is null or unknown has no minor units to tell.
    """
    group = "," if decimal == "." else "."
    point = rf"\{decimal}"
    text = pl.col(_ALL).str.replace_all(r"[\s\u{a0}\u{202f}'\p{Sc}]", "")
    grouped = text.str.contains(rf"^\d{{1,3}}(\{group}\d{{3}})+({point}\d+)?$")
    plain = pl.when(grouped).then(text.str.replace_all(group, "", literal=True)).otherwise(text)
    parts = plain.str.extract_groups(rf"^(\d{{1,15}})(?:{point}(\d+))?$")
    whole = parts.struct.field("1").cast(pl.Int64)
    padded = parts.struct.field("2").fill_null("") + "0" * _FRACTION_DIGITS
    fraction = padded.str.slice(0, _FRACTION_DIGITS).cast(pl.Int64)
    digits = {code: 10**exponent for code, exponent in EXPONENTS.items()}
    scale = pl.col("currency").replace_strict(digits, default=None, return_dtype=pl.Int64)
    tens = 10**_FRACTION_DIGITS
    minor = whole * scale + (fraction * scale + tens // 2) // tens
    cells = pl.DataFrame({_ALL: texts, "currency": currencies})
    return cells.select(pl.when(whole <= MOST_MONEY // scale).then(minor)).to_series()


def whole_sums(texts: pl.Series) -> pl.Series:
    """Minor units that are told as such."""
    read = texts.str.extract(r"^(\d{1,15})(?:\.0+)?$", 1).cast(pl.Int64)
    return (
        read.to_frame(_ALL).select(pl.when(pl.first() <= MOST_MONEY).then(pl.first())).to_series()
    )


def versions(texts: pl.Series) -> pl.Series:
    """Whole numbers from 0 on, or the milliseconds of times (UTC where no zone is told)."""
    numbers = texts.str.extract(r"^(\d{1,18})$", 1).cast(pl.Int64)
    others = texts.filter(numbers.is_null() & texts.is_not_null())
    if not len(others):
        return numbers
    found = instants(others.to_list(), zoneless_is_utc=True)
    at = ((numbers.is_null() & texts.is_not_null()).to_numpy()).nonzero()[0]
    read = at[found != NONE]
    return numbers.scatter(read, found[found != NONE])


def words(texts: pl.Series, meanings: Mapping[str, object], kind: type[pl.DataType]) -> pl.Series:
    """What each word stands for; an empty cell is the word ````."""
    return texts.fill_null("").replace_strict(dict(meanings), default=None, return_dtype=kind)
