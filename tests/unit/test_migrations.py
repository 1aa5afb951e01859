"""Files of statements run once each, forward only, and never under a database that is another's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sinks.clickhouse_engine import PINNED
from sinks.clickhouse_rows import TABLES
from sinks.migrations import Migration, pending, shipped, statements

DOCUMENT = Path(__file__).parents[2] / "docs" / "clickhouse.md"
OWN = {"log", "progress", "forgotten"}
"""Tables that are the sink's own, and nobody's report."""

FILES = [Migration("001_a", "CREATE a;"), Migration("002_b", "CREATE b;")]


def noted(*migrations: Migration) -> dict[str, str]:
    return {migration.name: migration.checksum for migration in migrations}


def test_what_was_not_run_is_pending_in_order() -> None:
    assert pending({}, FILES) == FILES
    assert pending(noted(FILES[0]), FILES) == FILES[1:]
    assert pending(noted(*FILES), FILES) == []


def test_a_file_that_was_changed_since_is_refused() -> None:
    changed = Migration("001_a", "CREATE another;")
    with pytest.raises(ValueError, match="has another 001_a than this release"):
        pending(noted(changed), FILES)


def test_a_file_that_a_newer_release_made_is_refused() -> None:
    with pytest.raises(ValueError, match="has 002_b, which this release does not know"):
        pending(noted(*FILES), FILES[:1])


def test_a_file_that_was_squeezed_in_is_refused() -> None:
    with pytest.raises(ValueError, match="lacks 001_a, though it has later ones"):
        pending(noted(FILES[1]), FILES)


def test_a_comment_is_no_statement_and_may_be_mended() -> None:
    text = "-- why;\nCREATE a\n(\n    x String -- and; so on\n);\n\nCREATE b;\n"
    assert statements(text) == ["CREATE a\n(\n    x String -- and; so on\n)", "CREATE b"]
    assert Migration("001_a", text).checksum == Migration("001_a", f"-- more\n{text}").checksum


def test_every_shipped_table_has_a_view_and_may_be_made_again() -> None:
    for migration in shipped():
        name = migration.name[4:]
        found = statements(migration.text)
        assert found[0].startswith(f"CREATE TABLE IF NOT EXISTS flowsell.{name}\n")
        if name not in OWN:
            assert found[1].startswith(f"CREATE VIEW IF NOT EXISTS flowsell.{name}_now AS\n")
            assert "ENGINE = ReplacingMergeTree(position)" in found[0]


def documented(head: str) -> list[list[str]]:
    """The rows of a table of the document, its cells as the names in backticks."""
    rows = DOCUMENT.read_text(encoding="utf-8").partition(f"| {head} |")[2].splitlines()[2:]
    end = next(at for at, row in enumerate(rows) if not row.startswith("|"))
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[:end]]


def test_the_document_has_the_tables_and_columns_of_the_code() -> None:
    made = {migration.name[4:]: migration.text for migration in shipped()}
    told = {name.strip("`"): cells for name, *cells in documented("Table | Key | Values")}
    assert set(told) == set(TABLES) == set(made) - OWN
    for name, (key, values) in told.items():
        columns = re.findall(r"`(\w+)`", f"{key} {values}")
        assert [*columns, "position"] == [*TABLES[name]]
        assert f"ORDER BY ({key.replace('`', '')})" in made[name].replace("`", "")


def test_the_document_has_the_pinned_settings_of_the_code() -> None:
    told = [(name.strip("`"), value) for name, value, _ in documented("Setting | Value | Why")]
    assert told == [(name, str(value)) for name, value in PINNED.items()]
