"""Profiles and tombstones in PostgreSQL and Valkey: what is kept of somebody, and what is not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import valkey

from flows.cli import run
from schemas.engines import EngineError
from schemas.keys import customer_id
from schemas.slices import Place
from sinks.migrations import Migration
from sinks.postgres import ProfilesInPostgres
from sinks.postgres_engine import Postgres, migrate, postgres_files
from sinks.store import Cadence, Engine, Store
from sinks.valkey import CUSTOMER, KEPT_SECONDS, Customers, ProfilesInValkey
from state.vitals import Vitals
from tests.integration.test_sink_contract import Hands, said
from tests.stores import (
    KeptInPostgres,
    KeptInValkey,
    customer,
    kept,
    opened,
    postgres_server,
    profile,
    tombstone,
    valkey_server,
)

ID_KEY = b"a secret of the tests"
PLACE = Place("profiles", 0)


@dataclass
class Both:
    """The engines of the profiles flow, told the same."""

    postgres: ProfilesInPostgres
    valkey: ProfilesInValkey
    customers: Customers
    asks: Any
    kept: KeptInValkey

    def tell(self, *lines: bytes) -> None:
        engines: list[Engine] = [self.postgres, self.valkey]
        for engine in engines:
            engine.add("profiles", [*lines])
            engine.write(engine.take(), {PLACE: 40})

    def rows(self, statement: str) -> list[Any]:
        with psycopg.connect(postgres_server().url) as connection:
            return connection.execute(statement).fetchall()


@pytest.fixture
def both(tmp_path: Path) -> Iterator[Both]:
    """Empty ones."""
    with kept("postgres", tmp_path) as one, kept("valkey", tmp_path) as other:
        assert isinstance(one, KeptInPostgres)
        assert isinstance(other, KeptInValkey)
        postgres, hashes = one.engine(), other.engine()
        assert isinstance(postgres, ProfilesInPostgres)
        assert isinstance(hashes, ProfilesInValkey)
        opened(postgres)
        opened(hashes)
        url = valkey_server().url
        customers = Customers(url, ID_KEY)
        asks = valkey.Valkey.from_url(url, decode_responses=True)
        yield Both(postgres, hashes, customers, asks, other)
        customers.close()


def everything_in(asks: Any) -> str:
    """All keys and values."""
    told = [(key, asks.hgetall(key)) for key in asks.scan_iter() if asks.type(key) == "hash"]
    return repr(told)


def test_a_customer_who_was_merged_away_leads_to_who_it_is_now(both: Both) -> None:
    both.tell(profile(1, 7, "312"), profile(2, 8, "333"))
    both.tell(tombstone(1, 9, into=2), profile(1, 7, "312"))
    assert both.rows("SELECT customer_id FROM flowsell.profiles_now") == [(customer(2),)]
    assert both.rows("SELECT merged_into FROM flowsell.profiles WHERE segment IS NULL") == [
        (customer(2),)
    ]
    assert both.customers.of_id(customer(1))["segment"] == "333"


def test_of_a_forgotten_customer_an_id_and_a_position_are_left(both: Both) -> None:
    both.tell(profile(1, 7, "312", name="Мария Петрова"))
    both.tell(tombstone(1, 9, into=None))
    both.tell(profile(1, 8, "333"))
    (row,) = both.rows("SELECT to_jsonb(p) FROM flowsell.profiles p")
    assert {name for name, value in row[0].items() if value is not None} == {
        "tenant",
        "customer_id",
        "as_of",
        "position",
        "forgotten",
    }
    assert both.customers.of_id(customer(1)) == {}
    assert both.asks.hgetall(CUSTOMER + customer(1)) == {
        "tenant": "salon",
        "forgotten": "1",
        "position": "9",
    }


def test_a_customer_of_whom_something_new_is_known_is_there_again(both: Both) -> None:
    both.tell(tombstone(1, 9, into=None), profile(1, 10, "311"))
    assert both.rows("SELECT segment, forgotten FROM flowsell.profiles") == [("311", None)]
    assert both.customers.of_id(customer(1))["segment"] == "311"


def test_a_phone_is_found_and_stands_nowhere_in_valkey(both: Both) -> None:
    who = customer_id(ID_KEY, "salon", 77010000001)
    both.tell(profile(1, 7, "312", customer_id=who, next_booking_at="2026-12-01T07:00:00Z"))
    found = both.customers.of_phone("salon", "+77010000001")
    assert (found["segment"], found["name"]) == ("312", "Мария")
    assert found["next_booking_at"] == "2026-12-01T07:00:00Z"
    assert found["consent"].startswith('{"marketing":{"value":true')
    assert both.customers.of_phone("other", "+77010000001") == {}
    told = everything_in(both.asks)
    assert who in told
    for personal in ("7010000001", "KZ.1", "1990-02-28"):
        assert personal not in told


def test_what_is_not_known_any_more_is_not_there_any_more(both: Both) -> None:
    both.tell(profile(1, 7, "312", next_booking_at="2026-12-01T07:00:00Z"))
    both.tell(profile(1, 8, "312", next_booking_at=None, name=None))
    found = both.customers.of_id(customer(1))
    assert "next_booking_at" not in found
    assert "name" not in found
    assert both.rows("SELECT name, next_booking_at FROM flowsell.profiles") == [(None, None)]


def test_a_hash_is_kept_for_so_long_from_when_it_was_said(both: Both) -> None:
    today = datetime.now(UTC)
    old = (today - timedelta(days=100)).isoformat(timespec="seconds").replace("+00:00", "Z")
    older = (today - timedelta(days=500)).isoformat(timespec="seconds").replace("+00:00", "Z")
    both.tell(profile(1, 7, "312", as_of=old), profile(2, 8, "333", as_of=older))
    left = both.asks.ttl(CUSTOMER + customer(1))
    assert abs(left - (KEPT_SECONDS - 100 * 86_400)) < 600
    assert both.customers.of_id(customer(2)) == {}
    assert len(both.rows("SELECT 1 FROM flowsell.profiles")) == 2


@pytest.mark.parametrize(
    "name", ["a\\b\t\n\"c'\r", "\\N", "\0nul\0", "\\u0000", "Мария \U0001f600"]
)
def test_any_name_can_be_kept_and_comes_back_as_it_was(both: Both, name: str) -> None:
    both.tell(profile(1, 7, "312", name=name))
    assert both.rows("SELECT name FROM flowsell.profiles") == [(name.replace("\0", ""),)]
    assert both.customers.of_id(customer(1))["name"] == name


def test_postgresql_tells_profiles_as_the_topic_told_them(both: Both) -> None:
    lines = [
        profile(1, 7, "312"),
        profile(2, 8, "000", r=None, f=None, m=None, recency_days=None, last_visit_at=None),
        tombstone(3, 9, into=2),
        tombstone(4, 10, into=None),
    ]
    both.tell(*lines)
    with both.postgres.read(3) as everybody:
        assert (everybody.log, everybody.total) == ("log-1", 4)
        assert dict(everybody.places) == {PLACE: 40}
        assert sorted(line for some in everybody.lines for line in some) == sorted(lines)


def test_a_lost_valkey_is_filled_again_by_one_command(
    both: Both, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    both.tell(profile(1, 7, "312"), profile(2, 8, "333"), tombstone(3, 9, into=2))
    before = everything_in(both.asks)
    both.asks.flushall()
    monkeypatch.setenv("FLOWSELL_POSTGRES", postgres_server().url)
    monkeypatch.setenv("FLOWSELL_VALKEY", valkey_server().url)
    assert run(["profiles", "rebuild"]) == 0, capsys.readouterr().err
    assert "3 profiles" in capsys.readouterr().out
    assert sorted(before) == sorted(everything_in(both.asks))
    assert dict(both.valkey.places()) == {PLACE: 40}


def test_a_rebuild_takes_nothing_newer_back(
    both: Both, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    both.tell(profile(1, 7, "312"))
    both.valkey.add("profiles", [profile(1, 9, "333")])
    both.valkey.write(both.valkey.take(), {PLACE: 50})
    monkeypatch.setenv("FLOWSELL_POSTGRES", postgres_server().url)
    monkeypatch.setenv("FLOWSELL_VALKEY", valkey_server().url)
    assert run(["profiles", "rebuild"]) == 0, capsys.readouterr().err
    assert both.customers.of_id(customer(1))["segment"] == "333"
    assert dict(both.valkey.places()) == {PLACE: 50}


def test_a_valkey_that_was_emptied_under_the_flow_is_filled_from_the_topic(both: Both) -> None:
    clock = Hands()
    store = Store(ProfilesInValkey(valkey_server().url), "log-1", Cadence(1, 0.0), clock=clock)
    store.open()
    store.resume(1)
    store.add(said(both.kept, 1, 0, profile(1, 7, "312")))
    both.asks.flushall()
    store.add(said(both.kept, 1, 2, profile(2, 8, "333")))
    assert store.is_away
    clock.now += 60
    store.tick()
    assert store.written(PLACE) is None, "reading begins at the topic's beginning"
    store.resume(2)
    store.add(said(both.kept, 2, 0, profile(1, 7, "312")))
    assert both.customers.of_id(customer(1))["segment"] == "312"
    store.close()


def test_an_engine_that_hangs_is_given_up_and_caught_up_with_when_it_wakes(
    both: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sinks.store.PATIENCE_SECONDS", 0.2)
    vitals, server = Vitals(), postgres_server()
    eager = Cadence(1, 0.0, is_beside=True, again_seconds=0.01, most_again_seconds=0.01)
    store = Store(ProfilesInPostgres(server.url), "log-1", eager, vitals)
    store.open()
    store.resume(1)
    server.stop()
    try:
        for number in range(1, 8):
            store.add(said(both.kept, 1, 2 * number, profile(number, number, "312")))
            store.tick()
        assert "has not answered" in vitals.away["postgres"]
    finally:
        server.wake()
    deadline = time.monotonic() + 30
    while vitals.away:
        assert time.monotonic() < deadline, vitals.away
        store.tick()
        time.sleep(0.01)
    store.resume(2)
    for number in range(1, 8):
        store.add(said(both.kept, 2, 2 * number, profile(number, number, "312")))
    store.flush()
    assert both.rows("SELECT count(*) FROM flowsell.profiles_now") == [(7,)]
    store.close()


def test_migrations_of_postgresql_run_once_and_what_lacks_them_is_one_line(both: Both) -> None:
    engine = Postgres(postgres_server().url)
    engine.open()
    assert migrate(engine) == []
    assert migrate(engine, [*postgres_files(), Migration("900_more", "SELECT 1;")]) == ["900_more"]
    with pytest.raises(EngineError, match="has 900_more, which this release does not know"):
        both.postgres.open("log-1")
    engine.connection.execute("DROP SCHEMA flowsell CASCADE")
    engine.close()
    with pytest.raises(EngineError, match="lacks 001_log; `flowsell migrate` brings it up to date"):
        ProfilesInPostgres(postgres_server().url).open("log-1")


def test_a_migration_that_fails_leaves_nothing_of_itself(both: Both) -> None:
    engine = Postgres(postgres_server().url)
    engine.open()
    broken = Migration("900_half", "CREATE TABLE flowsell.half (a int);\nSELECT nothing;\n")
    with pytest.raises(EngineError, match="nothing"):
        migrate(engine, [*postgres_files(), broken])
    assert both.rows("SELECT to_regclass('flowsell.half')") == [(None,)]
    assert migrate(engine) == []
    engine.close()


@pytest.mark.usefixtures("both")
def test_migrate_brings_postgresql_up_to_date_and_then_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = Postgres(postgres_server().url)
    engine.open()
    engine.connection.execute("DROP SCHEMA flowsell CASCADE")
    engine.close()
    monkeypatch.setenv("FLOWSELL_POSTGRES", postgres_server().url)
    assert run(["migrate"]) == 0
    assert capsys.readouterr().out == "".join(
        f"{each.name}: applied\n" for each in postgres_files()
    )
    assert run(["migrate"]) == 0
    assert capsys.readouterr().out.endswith(": up to date at 003_settings\n")
