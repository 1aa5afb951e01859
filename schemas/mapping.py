"""Which columns of a business's own tables say what: the mapping of a backfill, in TOML.

Takes: the content of a TOML file: tenant, country, currency, and a table ``visits``, ``customers``
       or both, each with a file or a query and its columns
Errors: ``SettingsError``, one for the first mistake, with its path; then nothing is read
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any, Literal

import msgspec
import phonenumbers

from schemas.currencies import EXPONENTS
from schemas.mistakes import SettingsError, convert, shown, unknown
from schemas.webhooks.generic import VISIT_STATUSES

VISITS, CUSTOMERS = "visits", "customers"
CSV, PARQUET = (".csv", ".tsv", ".txt"), ".parquet"
_DAY_PARTS = (("%Y", "%y"), ("%m", "%b", "%B"), ("%d", "%e"))


class ColumnsOfVisits(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The table's own names of what a visit says; what is not named is not told."""

    tenant: str | None = None
    country: str | None = None
    id: str | None = None
    version: str | None = None
    status: str | None = None
    phone: str | None = None
    client: str | None = None
    branch: str | None = None
    starts_at: str | list[str]
    """Of several columns, such as a day and an hour: joined with a blank."""
    ends_at: str | None = None
    amount: str | None = None
    """In units of the currency, with a fraction."""
    amount_minor: str | None = None
    currency: str | None = None
    services: str | None = None
    staff: str | None = None


class ColumnsOfCustomers(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The same of a customer's card."""

    tenant: str | None = None
    country: str | None = None
    id: str | None = None
    version: str | None = None
    phone: str | None = None
    name: str | None = None
    birthday: str | None = None
    locale: str | None = None
    consent: str | None = None


class Origin(msgspec.Struct, kw_only=True):
    """Where a table comes from: a file beside the mapping, or a query to PostgreSQL."""

    file: str | None = None
    query: str | None = None
    database: str | None = None
    """A URL or ``service=…``; else that of FLOWSELL_POSTGRES."""
    separator: str = ","
    encoding: str = "utf-8"

    @property
    def name(self) -> str:
        """As people are told of it."""
        return self.file or "the query"


class VisitsTable(Origin, kw_only=True):
    """A table with a visit in each row."""

    columns: ColumnsOfVisits
    times: list[str] = []
    """How times are written, such as ``%d.%m.%Y %H:%M``; ISO 8601 without any."""
    decimal: Literal[".", ","] = "."
    split_services: str | None = None
    status: dict[str, str] = {}
    """Our word for each of the table's own; without it every visit was attended."""


class CustomersTable(Origin, kw_only=True):
    """A table with a customer's card in each row; one of visits will do, as cards may repeat."""

    columns: ColumnsOfCustomers
    dates: list[str] = []
    consent: dict[str, bool] = {}


class BackfillMapping(msgspec.Struct, kw_only=True):
    """Everything that a backfill needs to know of a business's tables."""

    tenant: str | None = None
    country: str | None = None
    """How phones without ``+`` are read; a column ``country`` goes before it."""
    currency: str | None = None
    nobody: list[str] = []
    """Phones that a table writes where there is none."""
    visits: VisitsTable | None = None
    customers: CustomersTable | None = None

    @property
    def tables(self) -> dict[str, VisitsTable | CustomersTable]:
        """Those that are there, by name."""
        both = {CUSTOMERS: self.customers, VISITS: self.visits}
        return {name: table for name, table in both.items() if table is not None}


def sources_of(columns: ColumnsOfVisits | ColumnsOfCustomers) -> dict[str, tuple[str, ...]]:
    """The table's own columns by field, of the fields that are told."""
    told: dict[str, Any] = msgspec.structs.asdict(columns)
    return {
        field: (named,) if isinstance(named, str) else tuple(named)
        for field, named in told.items()
        if named is not None
    }


def parse_mapping(name: str, content: bytes) -> BackfillMapping:
    """Check a mapping; ``name`` is its file's, for what is no TOML at all."""
    try:
        document = tomllib.loads(content.decode())
    except ValueError as error:
        raise SettingsError(name, f"cannot be read: {error}") from None
    _check_keys(document)
    try:
        mapping = convert(document, BackfillMapping, "", {"decimal": (".", ",")})
    except SettingsError as mistake:
        raise SettingsError(mistake.path.removeprefix("."), mistake.message) from None
    if not mapping.tables:
        raise SettingsError(VISITS, "missing; a mapping has visits, customers or both")
    if mapping.country is not None and mapping.country not in phonenumbers.SUPPORTED_REGIONS:
        raise unknown("country", "country", mapping.country)
    if mapping.currency is not None and mapping.currency not in EXPONENTS:
        raise unknown("currency", "currency", mapping.currency)
    for path, table in mapping.tables.items():
        _check_origin(table, path)
        if (mapping.tenant is None) == (table.columns.tenant is None):
            raise SettingsError("tenant", f"give either tenant or {path}.columns.tenant")
    if mapping.visits is not None:
        _check_visits(mapping.visits, mapping.currency)
    if mapping.customers is not None:
        _check_customers(mapping.customers)
    return mapping


def _check_keys(document: Mapping[str, Any]) -> None:
    """A key with a slip of the pen would be a column that is silently not told."""
    kinds: dict[str, Any] = {
        "": BackfillMapping,
        VISITS: VisitsTable,
        CUSTOMERS: CustomersTable,
        f"{VISITS}.columns": ColumnsOfVisits,
        f"{CUSTOMERS}.columns": ColumnsOfCustomers,
    }
    for path, kind in kinds.items():
        table: Any = document
        for step in path.split(".") if path else ():
            table = table.get(step) if isinstance(table, Mapping) else None
        names = [field.name for field in msgspec.structs.fields(kind)]
        for key in table if isinstance(table, Mapping) else ():
            if key not in names:
                raise unknown(path or key, "key", key, names)


def _check_origin(table: Origin, path: str) -> None:
    if (table.file is None) == (table.query is None):
        raise SettingsError(path, "give either file or query")
    if table.file is not None:
        if table.database is not None:
            raise SettingsError(f"{path}.database", "is for a query")
        plain = table.file.removesuffix(".gz")
        if not plain.endswith((*CSV, PARQUET)):
            raise SettingsError(f"{path}.file", f"not a .csv or .parquet file: {table.file}")
    if len(table.separator.encode()) != 1:
        raise SettingsError(f"{path}.separator", f"not one sign: {shown(table.separator)}")
    try:
        "".encode(table.encoding)
    except LookupError:
        raise unknown(f"{path}.encoding", "encoding", table.encoding) from None


def _check_visits(table: VisitsTable, currency: str | None) -> None:
    columns = table.columns
    at = f"{VISITS}.columns"
    if not columns.starts_at:
        raise SettingsError(f"{at}.starts_at", "names no column")
    if columns.phone is None and columns.client is None:
        raise SettingsError(at, "give phone, client or both: without them nobody has come")
    if columns.amount is not None and columns.amount_minor is not None:
        raise SettingsError(at, "give either amount or amount_minor")
    if columns.amount is not None and columns.currency is None and currency is None:
        raise SettingsError("currency", "missing; visits.columns.amount is in units of it")
    for word, status in table.status.items():
        if status not in VISIT_STATUSES:
            path = f"{VISITS}.status.{word or shown(word)}"
            raise unknown(path, "status", status, VISIT_STATUSES)
    if table.status and columns.status is None:
        raise SettingsError(f"{VISITS}.status", "needs visits.columns.status")
    if table.split_services == "":
        raise SettingsError(f"{VISITS}.split_services", "empty")
    _check_formats(table.times, f"{VISITS}.times")


def _check_customers(table: CustomersTable) -> None:
    columns = table.columns
    if columns.phone is None and columns.id is None:
        raise SettingsError(f"{CUSTOMERS}.columns", "give phone, id or both")
    if table.consent and columns.consent is None:
        raise SettingsError(f"{CUSTOMERS}.consent", "needs customers.columns.consent")
    _check_formats(table.dates, f"{CUSTOMERS}.dates")


def _check_formats(formats: list[str], path: str) -> None:
    for number, written in enumerate(formats):
        if not all(any(part in written for part in parts) for parts in _DAY_PARTS):
            raise SettingsError(f"{path}[{number}]", f"lacks year, month or day: {shown(written)}")
