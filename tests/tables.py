"""Mappings and tables of a business's past, as short as a test wants them."""

from __future__ import annotations

from typing import Any

import polars as pl
import tomli_w

from operators.sift import Sifted, check_columns, sift_customers, sift_visits
from schemas.mapping import BackfillMapping, parse_mapping
from sources.tables import as_texts
from tests.logs import stamp

NOW = 1_767_225_600_000
"""2026-01-01T00:00:00Z."""

Table = dict[str, Any]


def mapping(**keys: Any) -> BackfillMapping:
    """A mapping of tenant ``salon`` in Kazakhstan; a key that is ``None`` is left out."""
    whole = {"tenant": "salon", "country": "KZ", "currency": "KZT"} | keys
    given = {key: value for key, value in whole.items() if value is not None}
    return parse_mapping("past.toml", tomli_w.dumps(given).encode())


def visits(columns: Table, top: Table | None = None, **keys: Any) -> Sifted:
    """Sift columns by field, each of which is told under its own name."""
    named = {field: field for field in columns} | keys.pop("columns", {})
    read = mapping(visits={"file": "v.csv", "columns": named} | keys, **(top or {}))
    assert read.visits is not None
    frame = as_texts(pl.DataFrame(columns))
    return sift_visits(check_columns(frame, read.visits, "visits"), read, NOW)


def customers(columns: Table, top: Table | None = None, **keys: Any) -> Sifted:
    """The same of cards."""
    named = {field: field for field in columns}
    read = mapping(customers={"file": "c.csv", "columns": named} | keys, **(top or {}))
    assert read.customers is not None
    frame = as_texts(pl.DataFrame(columns))
    return sift_customers(check_columns(frame, read.customers, "customers"), read)


def visit(**cells: Any) -> Table:
    """One row of a table that is right."""
    row = {"phone": "+77011234567", "starts_at": stamp(NOW - 86_400_000), "amount": "100"}
    return {name: [cell] for name, cell in (row | cells).items()}


def card(**cells: Any) -> Table:
    """The same of cards."""
    row = {"id": "c1", "phone": "+77011234567", "name": "Мария"}
    return {name: [cell] for name, cell in (row | cells).items()}
