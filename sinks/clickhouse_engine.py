"""One connection to ClickHouse, with every setting that could change what is stored pinned.

Takes:  a ``Target``; statements and Arrow tables
Errors: ``EngineError`` for whatever the engine refuses; it names the engine, never a value
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import clickhouse_connect
import pyarrow as pa
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from schemas.engines import EngineError
from sinks.clickhouse_target import DATABASE, Embedded, Server, Target

PINNED: dict[str, str | int] = {
    # The answer to an insert means that its rows are in the table, not in a queue on the way there.
    "async_insert": 0,
    # A replicated table would drop a block that it has seen, also where the rows came to be others
    # in between; rows are absolute and guarded by their position, which is all that is needed.
    "insert_deduplicate": 0,
    # A missing value, a missing column, a column that the table does not have: errors, no defaults.
    "input_format_null_as_default": 0,
    "input_format_arrow_allow_missing_columns": 0,
    "input_format_skip_unknown_fields": 0,
    # Imported history may touch many months at once.
    "max_partitions_per_insert_block": 0,
    # One insert becomes one block and so one part for each partition: there, or not there.
    "min_insert_block_size_rows": 1_048_576,
    "min_insert_block_size_bytes": 268_435_456,
    # Where a statement reads or prints a time, it does so in UTC, whatever the server's zone.
    "session_timezone": "UTC",
}

CONNECT_SECONDS = 10
ANSWER_SECONDS = 120
_LONGEST = 300

_OF_CHDB = frozenset(
    ("data", "metadata", "metadata_dropped", "status", "store", "tmp", "user_defined")
)
_LOCKED = "status"

_ON_THE_WAY = re.compile(
    r"\[(Errno|SSL)[^\]]*\] [^\"')]+|timed out|Remote end closed connection|certificate[^\"')]+"
)

T = TypeVar("T")


class ClickHouse:
    """One connection; nothing is reached before ``open``."""

    def __init__(self, target: Target, answer_seconds: int = ANSWER_SECONDS) -> None:
        self.target = target
        self._answer_seconds = answer_seconds
        self._client: Client | None = None

    def open(self) -> None:
        """Connect; the folder of an embedded engine is made where it is missing."""
        logging.getLogger("clickhouse_connect").addHandler(logging.NullHandler())
        target = self.target
        if isinstance(target, Embedded):
            check_folder(target.folder)
            arguments: dict[str, Any] = {"interface": "chdb", "path": str(target.folder)}
        else:
            arguments = server_arguments(target) | {"send_receive_timeout": self._answer_seconds}
        self._client = self._answered(
            lambda: clickhouse_connect.get_client(settings=dict(PINNED), **arguments)
        )

    def rows(self, statement: str, **values: object) -> list[tuple[Any, ...]]:
        """The answer to a query; ``{name:String}`` in it stands for a value."""
        answer = self._answered(lambda: self._open.query(statement, parameters=values))
        return [tuple(row) for row in answer.result_rows]

    def command(self, statement: str, **values: object) -> None:
        """Run a statement that has no answer."""
        self._answered(lambda: self._open.command(statement, parameters=values))

    def insert(self, table: str, rows: pa.Table) -> None:
        """Insert an Arrow table; its columns are found by name."""
        self._answered(lambda: self._open.insert_arrow(table, rows, database=DATABASE))

    def close(self) -> None:
        """Let go of the engine; an embedded one lets go of its folder."""
        if self._client is not None:
            self._client.close()
            self._client = None

    @property
    def _open(self) -> Client:
        assert self._client is not None, "ClickHouse is used before it was opened"
        return self._client

    def _answered(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except (ClickHouseError, OSError) as error:
            raise EngineError(f"{self.target}: {why(error)}") from None


def server_arguments(server: Server) -> dict[str, Any]:
    """What the client needs to know of a server."""
    return {
        "host": server.host,
        "port": server.port,
        "username": server.user,
        "password": server.password,
        "secure": server.is_secure,
        "connect_timeout": CONNECT_SECONDS,
        "send_receive_timeout": ANSWER_SECONDS,
        "autogenerate_session_id": False,
    }


def check_folder(folder: Path) -> None:
    """Raise before chDB does, which says less, and says it on stderr: it takes one process."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        others = sorted(entry.name for entry in folder.iterdir() if entry.name not in _OF_CHDB)
        if others:
            raise EngineError(
                f"{folder}: holds {others[0]}, so it is no embedded ClickHouse; "
                "give a folder of its own"
            )
        if not os.access(folder, os.W_OK):
            raise EngineError(f"{folder}: cannot be written")
        with (folder / _LOCKED).open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise EngineError(
            f"{folder}: is open in another process; an embedded ClickHouse takes one at a time"
        ) from None
    except OSError as error:
        raise EngineError(f"{folder}: {error.strerror or type(error).__name__}") from None


def why(error: Exception) -> str:
    """The first line of what the engine or the way to it says, without the driver's own words."""
    text = str(error)
    if "executing HTTP request" in text and "DB::Exception" not in text:
        reason = _ON_THE_WAY.search(text)
        return f"cannot be reached: {reason[0] if reason else 'no answer'}"
    lines: Sequence[str] = text.strip().splitlines() or [type(error).__name__]
    return lines[0][:_LONGEST]
