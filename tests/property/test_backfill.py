"""Laws of sifting: it never raises, loses no row, and tells nothing that decode cannot use."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from operators.cells import sums
from operators.decode import decode
from operators.pack import pack
from operators.sift import Sifted
from schemas.batch import Chunk
from schemas.currencies import EXPONENTS
from tests.tables import customers, visits

AT = "2026-01-01T00:00:00Z"
STATUSES = ["attended", "booked", "confirmed", "no_show", "cancelled"]

rubbish = st.text(max_size=12)
times = st.datetimes().map(str) | st.dates().map(str) | rubbish
whole = st.integers(-5, 10**19).map(str)
cells = {
    "tenant": st.sampled_from(["a", "b", "студия", '"', ""]),
    "country": st.sampled_from(["KZ", "ru", "DE", "XX", ""]),
    "id": st.sampled_from(["1", "2", "3", ""]) | rubbish,
    "version": whole | times,
    "status": st.sampled_from(STATUSES) | rubbish,
    "phone": st.from_regex(r"\+?[78]? ?\(?70[0-9]\)? ?[0-9]{7}", fullmatch=True) | rubbish | whole,
    "client": rubbish,
    "branch": rubbish,
    "starts_at": times,
    "ends_at": times,
    "amount": st.decimals(-10, 10**16, allow_nan=True).map(str) | rubbish | whole,
    "currency": st.sampled_from(["KZT", "jpy", "KWD", "XXX", ""]),
    "services": rubbish,
    "staff": rubbish,
    "name": rubbish,
    "birthday": times,
    "locale": rubbish,
    "consent": st.sampled_from(["true", "False", "1", "", "да"]),
}
OF_VISITS = [*cells][:14]
OF_CARDS = ["tenant", "country", "id", "version", "phone", "name", "birthday", "locale", "consent"]


@st.composite
def tables(draw: st.DrawFn, fields: list[str], always: set[str]) -> dict[str, Any]:
    """Some rows of some of the columns."""
    rows = draw(st.integers(1, 12))
    told = [field for field in fields if field in always or draw(st.booleans())]
    columns = {
        field: draw(st.lists(st.none() | cells[field], min_size=rows, max_size=rows))
        for field in told
    }
    return {field: pl.Series(field, column, pl.String) for field, column in columns.items()}


def assert_lawful(sifted: Sifted) -> None:
    """No row is lost, and each bad one has its reason."""
    assert sifted.told.height + sifted.repeated + sifted.bad.height == sifted.rows
    assert sum(sifted.reasons.values()) == sifted.bad.height


@given(tables(OF_VISITS, {"tenant", "phone", "starts_at"}))
def test_whatever_a_table_of_visits_holds_what_is_told_can_be_used(table: dict[str, Any]) -> None:
    top = {"tenant": None, "currency": None if "currency" in table else "KZT"}
    sifted = visits(table, top)
    assert_lawful(sifted)
    lines = [record for _, record in pack(None, sifted).records(AT)]
    assert understood(lines, "visits") == sifted.told.height


@given(tables(OF_CARDS, {"tenant", "phone"}))
def test_whatever_a_table_of_cards_holds_what_is_told_can_be_used(table: dict[str, Any]) -> None:
    sifted = customers(table, {"tenant": None})
    assert_lawful(sifted)
    lines = [record for _, record in pack(sifted, None).records(AT)]
    assert understood(lines, "clients") == sifted.told.height


def understood(lines: list[bytes], events: str) -> int:
    """How many events decode finds; none of these records is a dead letter."""
    found = 0
    for batch in decode(Chunk(-1, np.arange(len(lines)), None, lines, None), 3):
        assert [letter.message for letter in batch.dead_letters] == []
        found += len(getattr(batch, events).record)
    return found


@given(
    st.decimals(0, 10**11, places=5),
    st.sampled_from([*EXPONENTS]),
    st.sampled_from([".", ","]),
    st.booleans(),
)
def test_a_sum_is_rounded_half_up_in_whatever_writing(
    amount: Decimal, currency: str, decimal: str, is_grouped: bool
) -> None:
    text = f"{amount:,}" if is_grouped else f"{amount}"
    if decimal == ",":
        text = text.translate(str.maketrans(".,", ",."))
    (minor,) = sums(pl.Series([text]), pl.Series([currency]), decimal).to_list()
    exact = amount * 10 ** EXPONENTS[currency]
    assert minor == int(exact.to_integral_value(ROUND_HALF_UP)), text
