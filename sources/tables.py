"""A business's own tables: CSV, Parquet, or what a query to PostgreSQL answers.

Takes: an ``Origin`` of a mapping, and the folder that its file is relative to
Out:   a frame with every column under its own name, as text (lists of texts stay lists); what is
       empty or blank is null
Errors: ``InputUnreadable`` for a file that is not there, ``InputDamaged`` for one that is no such
       table, ``EngineError`` for PostgreSQL; none of them repeats a value
"""

from __future__ import annotations

import csv
import gzip
from io import BytesIO, StringIO
from pathlib import Path

import polars as pl
import psycopg
from psycopg import sql

from schemas.engines import EngineError
from schemas.mapping import PARQUET, Origin
from sources.files import InputDamaged, unreadable

_CONNECT_SECONDS = 10
_GZIP_MAGIC = b"\x1f\x8b"
_LONGEST = 300
_OF_VALUES = "22"
"""The class of errors whose messages repeat the values that they are about."""


def read_table(origin: Origin, folder: Path, database: str | None) -> pl.DataFrame:
    """Every row, as text; ``database`` is that of a query which names none."""
    if origin.query is not None:
        where = origin.database or database
        assert where is not None, "a query without a database is a mistake of the environment"
        content = answer(where, origin.query)
        return as_texts(_csv(content, ",", "the query"))
    path = folder / (origin.file or "")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from None
    if content.startswith(_GZIP_MAGIC):
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError):
            raise InputDamaged(f"{path}: cannot be unpacked") from None
    if path.name.removesuffix(".gz").endswith(PARQUET):
        try:
            return as_texts(pl.read_parquet(BytesIO(content)))
        except pl.exceptions.PolarsError:
            raise InputDamaged(f"{path}: no Parquet file") from None
    return as_texts(_csv(_utf8(content, origin.encoding, path), origin.separator, str(path)))


def answer(database: str, query: str) -> bytes:
    """What PostgreSQL answers to a query, as CSV with a header; it can change nothing."""
    copy = sql.SQL("COPY ({}) TO STDOUT (FORMAT csv, HEADER)")
    try:
        with psycopg.connect(
            database, connect_timeout=_CONNECT_SECONDS, application_name="flowsell-backfill"
        ) as connection:
            connection.read_only = True
            connection.execute("SET LOCAL datestyle = 'ISO'; SET LOCAL timezone = 'UTC'")
            text = sql.SQL(query.strip().rstrip(";"))
            with connection.cursor().copy(copy.format(text)) as rows:
                return b"".join(bytes(block) for block in rows)
    except psycopg.Error as error:
        raise EngineError(f"PostgreSQL: {_why(error)}") from None


def _why(error: psycopg.Error) -> str:
    """What it says, where that repeats neither a value nor a password."""
    if isinstance(error, psycopg.ProgrammingError) and error.sqlstate is None:
        return "not postgresql://user:password@host:port/database"
    if (error.sqlstate or "").startswith(_OF_VALUES):
        return f"refuses a row: {type(error).__name__} ({error.sqlstate})"
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:_LONGEST]


def as_texts(frame: pl.DataFrame) -> pl.DataFrame:
    """Every column as text."""
    # Under its own name a column called ``^id$`` would be a pattern.
    return pl.DataFrame({name: _as_text(frame[name].alias("told")) for name in frame.columns})


def _as_text(column: pl.Series) -> pl.Series:
    kind = column.dtype
    if isinstance(kind, pl.List):
        return column.cast(pl.List(pl.String))
    if isinstance(kind, pl.Datetime):
        zoned = kind.time_zone is not None
        if zoned:
            column = column.dt.convert_time_zone("UTC")
        return column.dt.strftime("%Y-%m-%dT%H:%M:%S" + ("Z" if zoned else ""))
    if kind.is_float():
        # A phone or an id that pandas kept beside a gap has a fraction of zero.
        whole = column.fill_nan(None).drop_nulls()
        if ((whole % 1 == 0) & (whole.abs() < 2**53)).all():
            column = column.fill_nan(None).cast(pl.Int64)
    return column.cast(pl.String).str.strip_chars().replace("", None)


def _utf8(content: bytes, encoding: str, path: Path) -> bytes:
    try:
        return content.decode("utf-8-sig" if encoding == "utf-8" else encoding).encode()
    except UnicodeDecodeError:
        raise InputDamaged(f"{path}: not {encoding}; name its encoding in the mapping") from None


def _csv(content: bytes, separator: str, name: str) -> pl.DataFrame:
    try:
        return pl.read_csv(BytesIO(content), separator=separator, infer_schema=False)
    except pl.exceptions.NoDataError:
        raise InputDamaged(f"{name}: empty, without even a header") from None
    except pl.exceptions.PolarsError:
        raise InputDamaged(f"{name}: {_culprit(content, separator)}") from None


def _culprit(content: bytes, separator: str) -> str:
    """The first row that is not as the header says."""
    rows = csv.reader(StringIO(content.decode(), newline=""), delimiter=separator)
    width = number = 0
    try:
        width = len(next(rows, []))
        for number, cells in enumerate(rows, 1):
            if len(cells) > width:
                return f"row {number} has {len(cells)} cells, the header {width}"
    except csv.Error:  # it takes no cell over 128 KiB
        return f"row {number + 1} has a cell without an end, as a quote that is not closed makes it"
    return "no CSV table"
