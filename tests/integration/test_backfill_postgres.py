"""``flowsell backfill`` of a whole base from PostgreSQL, tenant by tenant."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from flows.cli import run
from tests.engine import run as fold
from tests.stores import postgres_server

BASE = """
CREATE SCHEMA crm;
CREATE TABLE crm.visits
(
    id bigint, business text, phone text, starts_at timestamptz, paid numeric(12, 2), currency text,
    state text, services text, changed timestamptz
);
INSERT INTO crm.visits
SELECT n, 'b' || n % 3, CASE WHEN n % 10 = 0 THEN NULL ELSE '+7 701 ' || lpad((n % 40)::text, 7, '0') END,
       timestamptz '2025-12-31 12:00+05' - n * interval '7 hours', n + 0.5,
       CASE n % 3 WHEN 0 THEN 'KZT' WHEN 1 THEN 'RUB' ELSE 'JPY' END, 'done', 'cut; "shave"',
       timestamptz '2025-12-31 12:00+05'
FROM generate_series(1, 900) AS n;
"""  # noqa: E501 - as PostgreSQL is written
MAPPING = """
[visits]
query = "SELECT * FROM crm.visits;"
split_services = ";"
status = { done = "attended" }
columns = { tenant = "business", id = "id", version = "changed", phone = "phone", \
starts_at = "starts_at", amount = "paid", currency = "currency", status = "state", \
services = "services" }
"""
AT = ["--at", "2026-01-01T00:00:00Z"]


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    """A CRM's own tables; the URL of its database."""
    url = postgres_server().url
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS crm CASCADE")
        connection.execute(BASE)
        yield url
        connection.execute("DROP SCHEMA crm CASCADE")


@pytest.fixture
def mapping(base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLOWSELL_POSTGRES", base)
    path = tmp_path / "base.toml"
    path.write_text(MAPPING, encoding="utf-8")
    return path


def test_every_tenant_of_the_base_has_its_visits_and_its_customers(mapping: Path) -> None:
    log = mapping.with_name("log.ndjson")
    assert run(["backfill", str(mapping), "--out", str(log), *AT]) == 0
    lines = log.read_bytes().splitlines()
    records = [json.loads(line) for line in lines]
    assert [record["tenant"] for record in records] == ["b0", "b1", "b2"]
    told = {visit["id"]: visit for record in records for visit in record["visits"]}
    assert len(told) == 900
    assert told["2"] == {
        "id": "2", "version": 1_767_164_400_000, "status": "attended", "phone": "+77010000002",
        "starts_at": "2025-12-30T17:00:00Z", "currency": "JPY", "amount_minor": 3,
        "services": ["cut", '"shave"'],
    }  # fmt: skip
    assert told["10"]["phone"] is None
    found = fold(lines)
    assert {row["tenant"] for row in found.profiles().values()} == {"b0", "b1", "b2"}
    assert found.rows("decisions") == []


def test_a_query_that_would_change_something_is_refused(
    mapping: Path, base: str, capsys: pytest.CaptureFixture[str]
) -> None:
    deletes = MAPPING.replace("SELECT * FROM crm.visits;", "DELETE FROM crm.visits RETURNING *")
    mapping.write_text(deletes, encoding="utf-8")
    assert run(["backfill", str(mapping), "--dry-run"]) == 3
    assert "read-only transaction" in capsys.readouterr().err
    with psycopg.connect(base) as connection:
        assert connection.execute("SELECT count(*) FROM crm.visits").fetchone() == (900,)


REFUSED = [
    ("SELECT nothing FROM crm.visits", 3, 'column "nothing" does not exist'),
    ("SELECT phone::int FROM crm.visits", 3, "refuses a row: InvalidTextRepresentation (22P02)"),
    ("SELECT phone FROM crm.visits", 2, 'visits.columns.tenant: no column "business" in the query'),
]


@pytest.mark.parametrize(("query", "code", "message"), REFUSED)
def test_what_postgresql_refuses_is_one_line_without_values(
    mapping: Path, capsys: pytest.CaptureFixture[str], query: str, code: int, message: str
) -> None:
    text = MAPPING.replace("SELECT * FROM crm.visits;", query)
    mapping.write_text(text, encoding="utf-8")
    assert run(["backfill", str(mapping), "--dry-run"]) == code
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1
    assert "701 0" not in told


@pytest.mark.parametrize("database", ["postgresql://flow:hush@127.0.0.1:1/crm", "hush"])
def test_a_database_that_is_not_there_is_one_line_without_its_password(
    mapping: Path, capsys: pytest.CaptureFixture[str], database: str
) -> None:
    mapping.write_text(
        MAPPING.replace("[visits]", f'[visits]\ndatabase = "{database}"'), encoding="utf-8"
    )
    assert run(["backfill", str(mapping), "--dry-run"]) == 3
    told = capsys.readouterr().err
    assert told.startswith("flowsell: PostgreSQL: ")
    assert told.count("\n") == 1
    assert "hush" not in told


def test_without_a_database_the_mistake_names_both_places(
    mapping: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FLOWSELL_POSTGRES")
    assert run(["backfill", str(mapping), "--dry-run"]) == 2
    assert capsys.readouterr().err == (
        "flowsell: FLOWSELL_POSTGRES: not set, and visits.database is neither; "
        "visits.query needs one of them\n"
    )
