"""One connection to PostgreSQL, and the tables of this release in it.

Takes:  a URL; files of statements in ``tables/postgres``, forward only, each once
Errors: ``EngineError`` for whatever the engine refuses; it names the engine, never a value
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from schemas.engines import EngineError
from sinks.migrations import FOLDER, Migration, pending, shipped, statements

SCHEMA = "flowsell"
CONNECT_SECONDS = 10
ANSWER_SECONDS = 30
"""Under the minute after which a process that says nothing is taken for stuck."""

_LOCK = 0x666C6F77
"""One migration at a time, whoever runs it."""
_OF_VALUES = ("22", "23")
"""Classes of errors whose messages repeat the values that they are about."""
_LONGEST = 300

_NOTES_TABLE = """
CREATE TABLE IF NOT EXISTS flowsell.migrations
(
    name text PRIMARY KEY,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""


class Postgres:
    """One connection; nothing is reached before ``open``."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: psycopg.Connection[Any] | None = None
        try:
            where = conninfo_to_dict(url)
        except psycopg.ProgrammingError:
            raise ValueError("not postgresql://user:password@host:port/database") from None
        host, port = where.get("host", "localhost"), where.get("port", 5432)
        self._name = f"PostgreSQL at {host}:{port}"

    def __str__(self) -> str:
        """As errors name it: without its user."""
        return self._name

    def open(self) -> None:
        """Connect, and let go of what was open before."""
        self.close()
        with self.answers():
            self._connection = psycopg.connect(
                self._url,
                autocommit=True,
                connect_timeout=CONNECT_SECONDS,
                application_name=SCHEMA,
                tcp_user_timeout=ANSWER_SECONDS * 1000,
                keepalives_idle=CONNECT_SECONDS,
            )
            self._connection.execute(f"SET statement_timeout = '{ANSWER_SECONDS}s'")

    @property
    def connection(self) -> psycopg.Connection[Any]:
        """The open one."""
        assert self._connection is not None, "PostgreSQL is used before it was opened"
        return self._connection

    def close(self) -> None:
        """Let go of the engine; a transaction that is open is no more."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextmanager
    def answers(self) -> Iterator[None]:
        """What PostgreSQL refuses inside is an ``EngineError``."""
        try:
            yield
        except psycopg.Error as error:
            raise EngineError(f"{self}: {why(error)}") from None


def why(error: psycopg.Error) -> str:
    """The first line of what the engine or the way to it says, where that repeats no value."""
    if (error.sqlstate or "")[:2] in _OF_VALUES:
        return f"refuses a row: {type(error).__name__} ({error.sqlstate})"
    lines: Sequence[str] = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:_LONGEST]


def postgres_files() -> list[Migration]:
    """The files of this release, in their order."""
    return shipped(FOLDER / "postgres")


def migrate(engine: Postgres, migrations: Sequence[Migration] | None = None) -> list[str]:
    """Run what is pending, each file in a transaction with its note; returns the names."""
    wanted = postgres_files() if migrations is None else migrations
    ran: list[str] = []
    with engine.answers(), engine.connection.transaction():
        engine.connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        for migration in _pending(engine, wanted):
            if not ran:
                engine.connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
                engine.connection.execute(_NOTES_TABLE)
            for statement in statements(migration.text):
                engine.connection.execute(sql.SQL(statement))
            engine.connection.execute(
                "INSERT INTO flowsell.migrations (name, checksum) VALUES (%s, %s)",
                (migration.name, migration.checksum),
            )
            ran.append(migration.name)
    return ran


def check(engine: Postgres) -> None:
    """Raise where the tables are not those of this release."""
    with engine.answers():
        left = _pending(engine, postgres_files())
    if left:
        raise EngineError(
            f"{engine}: lacks {left[0].name}; `flowsell migrate` brings it up to date"
        )


def _pending(engine: Postgres, migrations: Sequence[Migration]) -> list[Migration]:
    there = engine.connection.execute("SELECT to_regclass('flowsell.migrations')").fetchone()
    applied: dict[str, str] = {}
    if there is not None and there[0] is not None:
        rows = engine.connection.execute("SELECT name, checksum FROM flowsell.migrations")
        applied = dict(rows.fetchall())
    try:
        return pending(applied, migrations)
    except ValueError as mistake:
        raise EngineError(f"{engine}: {mistake}") from None
