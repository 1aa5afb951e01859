"""Bring ClickHouse to the tables of this release: forward only, each file once.

Takes:    ``tables/NNN_name.sql``, in the order of their numbers
Delivery: at least once: statements say IF NOT EXISTS, and a file is noted when all of it has run
Errors:   ``EngineError`` where the database has another release's tables
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from schemas.engines import EngineError
from sinks.clickhouse_engine import ClickHouse
from sinks.clickhouse_target import DATABASE

FOLDER = Path(__file__).parent / "tables"

_NAME = re.compile(r"\d{3}_[a-z_]+")
_NOTES_TABLE = """
CREATE TABLE IF NOT EXISTS flowsell.migrations
(
    name String,
    checksum String,
    applied_at DateTime64(3, 'UTC')
)
ENGINE = MergeTree
ORDER BY name
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
"""


class Migration(NamedTuple):
    """One file of statements."""

    name: str
    text: str

    @property
    def checksum(self) -> str:
        """Of the statements; comments may be mended."""
        return sha256("\n".join(statements(self.text)).encode()).hexdigest()[:32]


def statements(text: str) -> list[str]:
    """The statements of a file: each ends with a line that ends in a semicolon."""
    lines = [line.rstrip() for line in text.splitlines() if not line.lstrip().startswith("--")]
    parts = re.split(r";$", "\n".join(lines), flags=re.MULTILINE)
    return [part.strip() for part in parts if part.strip()]


def shipped(folder: Path = FOLDER) -> list[Migration]:
    """The files of this release, in their order."""
    paths = sorted(folder.glob("*.sql"))
    for path in paths:
        assert _NAME.fullmatch(path.stem), f"{path.name}: not NNN_name.sql"
    return [Migration(path.stem, path.read_text(encoding="utf-8")) for path in paths]


def pending(applied: Mapping[str, str], migrations: Sequence[Migration]) -> list[Migration]:
    """What is still to be run; ``applied`` has checksums by name. Raises ``ValueError``."""
    known = {migration.name: migration.checksum for migration in migrations}
    for name in sorted(applied):
        if name not in known:
            raise ValueError(f"has {name}, which this release does not know: a newer one made it")
        if applied[name] != known[name]:
            raise ValueError(f"has another {name} than this release: the file was changed since")
    left = [migration for migration in migrations if migration.name not in applied]
    if left and applied and left[0].name < max(applied):
        raise ValueError(f"lacks {left[0].name}, though it has later ones")
    return left


def applied(engine: ClickHouse) -> dict[str, str]:
    """Checksums of what was run, by name; none where there is no such database yet."""
    there = engine.rows(
        "SELECT count() FROM system.tables WHERE database = {database:String} "
        "AND name = 'migrations'",
        database=DATABASE,
    )
    if not there[0][0]:
        return {}
    noted = engine.rows("SELECT name, any(checksum) FROM flowsell.migrations GROUP BY name")
    return {str(name): str(checksum) for name, checksum in noted}


def migrate(engine: ClickHouse, migrations: Sequence[Migration] | None = None) -> list[str]:
    """Run what is pending; returns the names."""
    wanted = shipped() if migrations is None else migrations
    left = _pending(engine, wanted)
    if left:
        engine.command(f"CREATE DATABASE IF NOT EXISTS {DATABASE}")
        engine.command(_NOTES_TABLE)
    for migration in left:
        for statement in statements(migration.text):
            engine.command(statement)
        engine.command(
            "INSERT INTO flowsell.migrations SELECT {name:String}, {checksum:String}, now64(3)",
            name=migration.name,
            checksum=migration.checksum,
        )
    return [migration.name for migration in left]


def check(engine: ClickHouse) -> None:
    """Raise where the tables are not those of this release."""
    left = _pending(engine, shipped())
    if left:
        raise EngineError(
            f"{engine.target}: lacks {left[0].name}; `flowsell migrate` brings it up to date"
        )


def _pending(engine: ClickHouse, migrations: Sequence[Migration]) -> list[Migration]:
    try:
        return pending(applied(engine), migrations)
    except ValueError as mistake:
        raise EngineError(f"{engine.target}: {mistake}") from None
