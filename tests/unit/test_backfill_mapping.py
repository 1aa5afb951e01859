"""A mapping is checked before anything is read; a mistake is one error with its path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tomli_w

from operators.sift import REASONS
from schemas.mapping import (
    BackfillMapping,
    ColumnsOfCustomers,
    ColumnsOfVisits,
    CustomersTable,
    VisitsTable,
    parse_mapping,
    sources_of,
)
from schemas.mistakes import SettingsError
from tests.unit.test_readme import blocks, table

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "backfill.md"
Table = dict[str, Any]


def visits(**keys: Any) -> Table:
    columns = {"phone": "Phone", "starts_at": "Date"} | keys.pop("columns", {})
    return {"tenant": "salon", "visits": {"file": "v.csv", "columns": columns} | keys}


def cards(**keys: Any) -> Table:
    return {"tenant": "salon", "customers": {"file": "c.csv", "columns": {"phone": "P"}} | keys}


def without(document: Table, *steps: str) -> Table:
    """The same without one key."""
    here = document
    for step in steps[:-1]:
        here = here[step]
    del here[steps[-1]]
    return document


MISTAKES: list[tuple[Table, str]] = [
    ({"tenant": "salon"}, "visits: missing; a mapping has visits, customers or both"),
    (visits() | {"tenat": "x"}, 'tenat: unknown key: "tenat" (one of tenant, country, currency, '),
    (visits(seperator=";"), 'visits: unknown key: "seperator" (one of file, query, '),
    (
        visits(columns={"fone": "P"}),
        'visits.columns: unknown key: "fone" (one of tenant, country, ',
    ),
    (without(visits(), "visits", "columns"), "visits.columns: missing"),
    (without(visits(), "visits", "columns", "starts_at"), "visits.columns.starts_at: missing"),
    (visits(columns={"starts_at": []}), "visits.columns.starts_at: names no column"),
    (visits(columns={"phone": 7}), "visits.columns.phone: expected text, got a whole number: 7"),
    (
        without(visits(), "visits", "columns", "phone"),
        "visits.columns: give phone, client or both: without them nobody has come",
    ),
    (without(visits(), "tenant"), "tenant: give either tenant or visits.columns.tenant"),
    (visits(columns={"tenant": "T"}), "tenant: give either tenant or visits.columns.tenant"),
    (without(visits(), "visits", "file"), "visits: give either file or query"),
    (visits(query="SELECT 1"), "visits: give either file or query"),
    (visits(database="service=crm"), "visits.database: is for a query"),
    (visits(file="v.xlsx"), "visits.file: not a .csv or .parquet file: v.xlsx"),
    (visits(separator="||"), 'visits.separator: not one sign: "||"'),
    (visits(encoding="cp12510"), 'visits.encoding: unknown encoding: "cp12510"'),
    (visits(decimal=";"), 'visits.decimal: unknown decimal: ";" (one of ., ,)'),
    (visits(times=["%d.%m %H:%M"]), 'visits.times[0]: lacks year, month or day: "%d.%m %H:%M"'),
    (visits(split_services=""), "visits.split_services: empty"),
    (visits(status={"came": "attended"}), "visits.status: needs visits.columns.status"),
    (
        visits(columns={"status": "S"}, status={"came": "atended"}),
        'visits.status.came: unknown status: "atended" (one of booked, confirmed, attended, ',
    ),
    (
        visits(columns={"amount": "A"}),
        "currency: missing; visits.columns.amount is in units of it",
    ),
    (
        visits(columns={"amount": "A", "amount_minor": "A"}),
        "visits.columns: give either amount or amount_minor",
    ),
    (visits() | {"country": "XX"}, 'country: unknown country: "XX"'),
    (visits() | {"currency": "TNG"}, 'currency: unknown currency: "TNG"'),
    (cards(columns={"name": "N"}), "customers.columns: give phone, id or both"),
    (cards(consent={"yes": True}), "customers.consent: needs customers.columns.consent"),
    (cards(dates=["%Y"]), 'customers.dates[0]: lacks year, month or day: "%Y"'),
]


@pytest.mark.parametrize(("document", "message"), MISTAKES, ids=lambda value: str(value)[:60])
def test_a_mistake_is_one_error_with_its_path(document: Table, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_mapping("past.toml", tomli_w.dumps(document).encode())
    told = str(caught.value)
    assert told == message or (message.endswith(", ") and told.startswith(message))


def test_what_is_no_toml_is_told_by_the_file_s_name() -> None:
    with pytest.raises(SettingsError, match=r"past\.toml: cannot be read: "):
        parse_mapping("past.toml", b"tenant = ")


def documented() -> list[BackfillMapping]:
    shown = blocks(DOCUMENT, "toml")
    return [parse_mapping("shown.toml", text.encode()) for text in shown]


def test_the_mappings_that_are_shown_are_right() -> None:
    export, base = documented()
    assert export.visits is not None
    assert export.customers is not None
    assert sources_of(export.visits.columns)["starts_at"] == ("Дата визита", "Время")
    assert export.customers.consent == {"Да": True, "Нет": False}
    assert base.visits is not None
    assert base.visits.columns.tenant == "slug"


def test_every_key_field_and_reason_is_told_in_the_document() -> None:
    keys = {*VisitsTable.__struct_fields__, *CustomersTable.__struct_fields__}
    assert {row[0] for row in table(DOCUMENT, "| Key |")} == keys
    text = DOCUMENT.read_text(encoding="utf-8")
    for kind in (ColumnsOfVisits, ColumnsOfCustomers):
        for field in kind.__struct_fields__:
            assert f"`{field}`" in text
    assert [row[0] for row in table(DOCUMENT, "| Reason |")] == [*REASONS]
    assert "`visits.columns.starts_at: missing`" in text
