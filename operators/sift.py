"""Sift a business's own tables: what can be told as history, and why the rest cannot.

In:    a table of texts as its source has it, and its mapping
Out:   ``Sifted``: one object of history for each id, as JSON; every bad row with its reason and the
       column at fault, by number alone
State: none; ids and versions come of the rows, so that the same table always gives the same objects
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np
import phonenumbers
import polars as pl
from numpy.typing import NDArray

from operators import cells
from schemas.batch import NONE
from schemas.currencies import EXPONENTS
from schemas.durations import DAY_MS
from schemas.keys import text_keys
from schemas.mapping import (
    BackfillMapping,
    ColumnsOfCustomers,
    ColumnsOfVisits,
    CustomersTable,
    VisitsTable,
    sources_of,
)
from schemas.mistakes import SettingsError
from schemas.webhooks.generic import VISIT_STATUSES

REASONS = (
    "tenant", "country", "id", "phone", "nobody", "version", "status", "time", "future", "amount",
    "currency", "birthday", "consent", "size",
)  # fmt: skip
"""Why a row can be bad; the first that holds is told."""

MOST_BYTES = 8_000
"""Of one object, so that 500 of them fit into a record."""

FIRST_VERSION = 0
"""Of what tells no version: any that a webhook tells is newer."""

_UNIT = "\x1f"
_YES_NO = {"true": True, "false": False, "t": True, "f": False, "1": True, "0": False}

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Sifted:
    """A table, told apart. ``told``: tenant, id, at (i8 ms), phone, client, body; one row an id."""

    told: pl.DataFrame
    bad: pl.DataFrame
    """row (u4, from 1, without the header), reason, column; in the order of rows."""
    rows: int
    repeated: int
    """Rows of an id that another row tells at least as well."""
    differing: int
    """Of these: with other contents. The highest version holds, else the last row."""

    @property
    def reasons(self) -> dict[str, int]:
        """Bad rows by reason, in the order of reasons."""
        found = dict(self.bad.group_by("reason").len().iter_rows())
        return {reason: found[reason] for reason in REASONS if reason in found}


class _Fields:
    """The rows of a table under our names, and what is wrong with each."""

    def __init__(self, frame: pl.DataFrame, columns: ColumnsOfVisits | ColumnsOfCustomers) -> None:
        self.sources = sources_of(columns)
        self.height = frame.height
        self._frame = frame
        self._verdict = np.zeros(frame.height, np.int16)
        self._causes: list[tuple[str, str]] = []

    def __contains__(self, field: str) -> bool:
        return field in self.sources

    def __getitem__(self, field: str) -> pl.Series:
        """The texts of a field; nulls where it is not told at all."""
        sources = self.sources.get(field, ())
        if not sources:
            return self.same(field, None)
        if len(sources) == 1:
            return self._frame[sources[0]].alias(field)
        parts = pl.concat_str(
            [self._frame[each] for each in sources], separator=" ", ignore_nulls=True
        )
        return self._frame.select(pl.when(parts != "").then(parts).alias(field)).to_series()

    def same(self, field: str, value: str | None) -> pl.Series:
        """One text in every row."""
        return pl.select(pl.repeat(value, self.height, dtype=pl.String).alias(field)).to_series()

    def blame(self, reason: str, field: str, wrong: Mask | pl.Series) -> None:
        """These rows are bad for this reason, unless they already were for another one."""
        self._causes.append((reason, field))
        if isinstance(wrong, pl.Series):
            wrong = wrong.fill_null(False).to_numpy()
        self._verdict[(self._verdict == 0) & wrong] = len(self._causes)

    def blame_unread(self, reason: str, field: str, texts: pl.Series, values: pl.Series) -> None:
        """Rows that tell something which could not be read."""
        self.blame(reason, field, texts.is_not_null() & values.is_null())

    def good(self) -> pl.Series:
        """Rows that nothing is wrong with."""
        return pl.Series(self._verdict == 0)

    def bad(self) -> pl.DataFrame:
        """As ``Sifted.bad``."""
        rows = self._verdict.nonzero()[0]
        causes = [self._causes[cause - 1] for cause in self._verdict[rows].tolist()]
        named = [", ".join(self.sources.get(field, ())) for _, field in causes]
        return pl.DataFrame(
            {"row": rows + 1, "reason": [reason for reason, _ in causes], "column": named},
            schema={"row": pl.UInt32, "reason": pl.String, "column": pl.String},
        )


def check_columns(
    frame: pl.DataFrame, table: VisitsTable | CustomersTable, path: str
) -> pl.DataFrame:
    """The columns that the mapping names alone; raises ``SettingsError`` for one that is not."""
    named: dict[str, None] = {}
    for field, sources in sources_of(table.columns).items():
        for source in sources:
            if source not in frame.columns:
                # Not all of them: without a header they would be somebody's name and phone.
                near = get_close_matches(source, frame.columns, 1)
                hint = f'; did you mean "{near[0]}"?' if near else ""
                raise SettingsError(
                    f"{path}.columns.{field}", f'no column "{source}" in {table.name}{hint}'
                )
            if isinstance(frame.schema[source], pl.List) and field != "services":
                raise SettingsError(f"{path}.columns.{field}", f'"{source}" is a list')
            named[source] = None
    return frame[[*named]]


def sift_visits(frame: pl.DataFrame, mapping: BackfillMapping, now_ms: int) -> Sifted:
    """Visits; who has come must have begun to by ``now_ms``, give or take a day of zones."""
    table = mapping.visits
    assert table is not None
    rows = _Fields(frame, table.columns)
    tenant, phone = _whose(rows, mapping)
    client = rows["client"]
    if "id" not in rows:
        rows.blame("nobody", "phone", client.is_null() & phone.is_null())
    version = _version(rows)
    status = _status(rows, table)
    instant, wall = cells.moments(rows["starts_at"], table.times)
    at = np.where(instant == NONE, wall, instant)
    may_lack = (status == "cancelled") & rows["starts_at"].is_null()
    rows.blame("time", "starts_at", pl.Series(at == NONE) & ~may_lack.fill_null(False))
    rows.blame("future", "starts_at", (status == "attended") & pl.Series(at > now_ms + DAY_MS))
    told: dict[str, pl.Series] = {
        "version": version,
        "status": status,
        "phone": phone,
        "client": client,
        "branch": rows["branch"],
        "starts_at": cells.time_texts(instant, wall),
    }
    if "ends_at" in rows:
        told["ends_at"] = cells.time_texts(*cells.moments(rows["ends_at"], table.times))
        rows.blame_unread("time", "ends_at", rows["ends_at"], told["ends_at"])
    told |= _money(rows, mapping, table)
    if "services" in rows:
        told["services"] = _services(rows["services"], table.split_services)
    told["staff"] = rows["staff"]
    ids = rows["id"] if "id" in rows else _ids_of_visits(told)
    order = pl.Series("at", np.where(at == NONE, 0, at))
    return _told(rows, tenant, ids, order, told)


def sift_customers(frame: pl.DataFrame, mapping: BackfillMapping) -> Sifted:
    """Cards of customers."""
    table = mapping.customers
    assert table is not None
    rows = _Fields(frame, table.columns)
    tenant, phone = _whose(rows, mapping)
    if "id" not in rows:
        rows.blame("nobody", "phone", phone.is_null())
    told = {
        "version": _version(rows),
        "phone": phone,
        "name": rows["name"],
        "birthday": cells.days(rows["birthday"], table.dates),
        "locale": rows["locale"],
    }
    rows.blame_unread("birthday", "birthday", rows["birthday"], told["birthday"])
    if "consent" in rows:
        told["consent"] = _consent(rows, table.consent)
    ids = rows["id"] if "id" in rows else "p" + _hashes(phone.fill_null(""))
    order = pl.Series("at", np.zeros(rows.height, np.int64))
    return _told(rows, tenant, ids, order, told)


def _whose(rows: _Fields, mapping: BackfillMapping) -> tuple[pl.Series, pl.Series]:
    """Tenants, and phones by the rule of each row's country."""
    tenant = rows["tenant"] if "tenant" in rows else rows.same("tenant", mapping.tenant)
    rows.blame("tenant", "tenant", tenant.is_null())
    country = rows.same("country", mapping.country)
    if "country" in rows:
        country = rows["country"].str.to_uppercase().fill_null(mapping.country or "")
        known = country.is_in([*phonenumbers.SUPPORTED_REGIONS, ""])
        rows.blame("country", "country", ~known)
        country = country.to_frame().select(pl.when(known & (country != "")).then(country))[:, 0]
    if "id" in rows:
        rows.blame("id", "id", rows["id"].is_null())
    phone = cells.phones(rows["phone"], country)
    rows.blame_unread("phone", "phone", rows["phone"], phone)
    if mapping.nobody:
        nobodys = _nobodys(mapping)
        phone = phone.to_frame().select(pl.when(~phone.is_in(nobodys)).then(phone))[:, 0]
    return tenant, phone.alias("phone")


def _nobodys(mapping: BackfillMapping) -> list[str]:
    """The phones that stand for none; raises ``SettingsError``."""
    texts = pl.Series(mapping.nobody, dtype=pl.String)
    found = cells.phones(texts, pl.Series([mapping.country] * len(texts), dtype=pl.String))
    for number, phone in enumerate(found):
        if phone is None:
            raise SettingsError(f"nobody[{number}]", "not a phone")
    return found.to_list()


def _version(rows: _Fields) -> pl.Series:
    version = cells.versions(rows["version"])
    rows.blame_unread("version", "version", rows["version"], version)
    return version.fill_null(FIRST_VERSION)


def _status(rows: _Fields, table: VisitsTable) -> pl.Series:
    if "status" not in rows:
        return rows.same("status", "attended")
    meanings = table.status or {name: name for name in VISIT_STATUSES}
    status = cells.words(rows["status"], meanings, pl.String)
    rows.blame("status", "status", status.is_null())
    return status


def _money(rows: _Fields, mapping: BackfillMapping, table: VisitsTable) -> dict[str, pl.Series]:
    currency = rows["currency"].str.to_uppercase()
    if mapping.currency is not None:
        currency = currency.fill_null(mapping.currency)
    known = currency.is_in([*EXPONENTS]).fill_null(False)
    rows.blame("currency", "currency", currency.is_not_null() & ~known)
    told = {"currency": currency}
    if "amount_minor" in rows:
        told["amount_minor"] = cells.whole_sums(rows["amount_minor"])
        rows.blame_unread("amount", "amount_minor", rows["amount_minor"], told["amount_minor"])
    elif "amount" in rows:
        rows.blame("currency", "currency", rows["amount"].is_not_null() & currency.is_null())
        told["amount_minor"] = cells.sums(rows["amount"], currency, table.decimal)
        rows.blame_unread("amount", "amount", rows["amount"], told["amount_minor"])
    return told


def _services(column: pl.Series, split: str | None) -> pl.Series:
    """Lists of titles; a text that is not to be split is one."""
    if isinstance(column.dtype, pl.List):
        return column.list.drop_nulls()
    if split is None:
        titles = column.to_frame().select(pl.concat_list(pl.first()))
    else:
        parts = pl.first().str.split(split).list.eval(pl.element().str.strip_chars())
        titles = column.to_frame().select(parts.list.filter(pl.element() != ""))
    return titles.select(pl.when(column.is_not_null()).then(pl.first())).to_series()


def _consent(rows: _Fields, words: Mapping[str, bool]) -> pl.Series:
    """``{"marketing": true}``; an empty cell says nothing, unless it is one of the words."""
    texts = rows["consent"]
    meanings: Mapping[str, object] = words or _YES_NO
    told = cells.words(texts if words else texts.str.to_lowercase(), meanings, pl.Boolean)
    rows.blame_unread("consent", "consent", texts, told)
    consent = told.to_frame("marketing").select(
        pl.when(pl.first().is_not_null()).then(pl.struct(pl.first())).alias("consent")
    )
    return consent.to_series()


def _ids_of_visits(told: Mapping[str, pl.Series]) -> pl.Series:
    """Who, when, where and what for: a row that tells these again is the same visit.

    Not how much: a sum that was corrected is a correction.
    """
    named = {name: told[name] for name in ("phone", "client", "starts_at", "branch", "staff")}
    if "services" in told:
        named["services"] = told["services"].list.join(_UNIT)
    parts = pl.concat_str(pl.all().fill_null(""), separator=_UNIT)
    return "v" + _hashes(pl.DataFrame(named).select(parts).to_series())


def _hashes(texts: pl.Series) -> pl.Series:
    return pl.Series("id", [f"{key:x}" for key in text_keys(texts.to_list()).tolist()], pl.String)


def _told(
    rows: _Fields,
    tenant: pl.Series,
    ids: pl.Series,
    at: pl.Series,
    told: Mapping[str, pl.Series],
) -> Sifted:
    """Good rows as objects, one for each tenant and id."""
    fields: dict[str, Any] = {"id": ids} | {
        name: column for name, column in told.items() if column.null_count() < rows.height
    }
    body = pl.DataFrame(fields).select(pl.struct(pl.all()).struct.json_encode()).to_series()
    rows.blame("size", "id", body.str.len_bytes() > MOST_BYTES)
    whole = pl.DataFrame(
        {
            "row": np.arange(1, rows.height + 1, dtype=np.uint32),
            "tenant": tenant,
            "id": ids,
            "version": told["version"],
            "at": at,
            "phone": told["phone"],
            "client": told.get("client", rows.same("client", None)),
            "body": body,
        }
    ).filter(rows.good())
    kept = whole.sort("version", "row").unique(["tenant", "id"], keep="last", maintain_order=True)
    again = whole.join(kept.select("row"), on="row", how="anti")
    stands = again.join(kept.select("tenant", "id", stands="body"), on=["tenant", "id"])
    return Sifted(
        told=kept.drop("version", "row"),
        bad=rows.bad(),
        rows=rows.height,
        repeated=again.height,
        differing=stands.filter(pl.col("body") != pl.col("stands")).height,
    )
