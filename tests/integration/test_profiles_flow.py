"""The profiles flow on a real Kafka: PostgreSQL and Valkey say who everybody is, whatever fails."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import valkey

from benchmarks.engines import PostgresServer, ValkeyServer
from schemas.keys import customer_id
from sinks.postgres import ProfilesInPostgres
from sinks.valkey import CUSTOMER, Customers
from tests.following import Following
from tests.kafka_flow import ID_KEY, Engagement, FlowProcess, wait_until
from tests.recovery.log import life
from tests.stores import KeptInPostgres, KeptInValkey, postgres_server, valkey_server

pytestmark = pytest.mark.xdist_group("kafka")


@dataclass
class Profiles:
    """Both engines, and the flow that fills them."""

    postgres: PostgresServer
    valkey: ValkeyServer
    following: Following

    def start(self) -> FlowProcess:
        process = self.following.start()
        wait_until(lambda: "partitions assigned" in process.said or not process.is_running, 60)
        return process


@pytest.fixture
def profiles(engagement: Engagement) -> Iterator[Profiles]:
    """Empty engines, and no process yet."""
    postgres, hashes = postgres_server(), valkey_server()
    KeptInPostgres(postgres)
    KeptInValkey(hashes)
    following = Following(
        engagement,
        "profiles",
        ("profiles",),
        FLOWSELL_POSTGRES=postgres.url,
        FLOWSELL_VALKEY=hashes.url,
    )
    yield Profiles(postgres, hashes, following)
    engagement.close()


def owed(engagement: Engagement) -> dict[str, dict[str, Any]]:
    """The last profile or tombstone of everybody, as one pass of the fold over the log has it."""
    streams = engagement.owed().streams["profiles"]
    return {key.decode(): json.loads(lines[-1]) for key, lines in streams.items()}


def assert_told(profiles: Profiles) -> None:
    """Both engines say of everybody what is owed."""
    due = owed(profiles.following.engagement)
    with ProfilesInPostgres(profiles.postgres.url).read(1_000) as everybody:
        rows = [json.loads(line) for lines in everybody.lines for line in lines]
    assert {row["customer_id"]: row for row in rows} == due
    asks: Any = valkey.Valkey.from_url(profiles.valkey.url, decode_responses=True)
    there = {
        key.removeprefix(CUSTOMER): asks.hgetall(key) for key in asks.scan_iter(f"{CUSTOMER}*")
    }
    asks.close()
    assert there.keys() == due.keys()
    for who, row in due.items():
        for name in ("segment", "name", "last_visit_at", "next_booking_at", "merged_into"):
            assert there[who].get(name) == row.get(name), (who, name)
        assert there[who]["position"] == str(row["position"])
        assert json.loads(there[who].get("consent", "{}")) == row.get("consent", {})


def assert_found(profiles: Profiles) -> None:
    """A sender that has the key finds each phone."""
    customers = Customers(profiles.valkey.url, ID_KEY)
    known = [row for row in owed(profiles.following.engagement).values() if row.get("phone")]
    assert known
    for row in known:
        found = customers.of_phone(row["tenant"], row["phone"])
        assert found["segment"] == row["segment"]
        assert customer_id(ID_KEY, row["tenant"], int(row["phone"][1:])) == row["customer_id"]
    customers.close()


def test_both_engines_say_who_everybody_is_through_kills_of_the_flow_and_of_each(
    engagement: Engagement, profiles: Profiles
) -> None:
    log = list(life(2_000, seed=12))
    flow = engagement.start()
    process = profiles.start()
    engagement.append(log[:700])
    wait_until(lambda: profiles.following.lag() < 50, 60)
    process.kill()
    profiles.valkey.kill()
    profiles.valkey.start()
    process = profiles.start()
    profiles.postgres.kill()
    engagement.append(log[700:1_400])
    wait_until(lambda: '"engine is away"' in process.said, 60)
    profiles.postgres.start()
    profiles.valkey.kill()
    engagement.append(log[1_400:])
    engagement.wait_committed()
    profiles.valkey.start()
    wait_until(profiles.following.is_settled, 90)
    assert_told(profiles)
    assert_found(profiles)
    assert (process.end(), flow.end()) == (0, 0), process.said
    assert "Мария" not in process.said
    assert "+7" not in process.said


@pytest.mark.faults
def test_an_engine_that_is_away_holds_the_other_up_for_nothing(
    engagement: Engagement, profiles: Profiles
) -> None:
    flow = engagement.start()
    process = profiles.start()
    profiles.postgres.kill()
    asks: Any = valkey.Valkey.from_url(profiles.valkey.url)
    engagement.append(life(500, seed=13))
    engagement.wait_committed()
    wait_until(lambda: len([*asks.scan_iter(f"{CUSTOMER}*")]) == len(owed(engagement)), 60)
    asks.close()
    profiles.postgres.start()
    wait_until(profiles.following.is_settled, 60)
    assert_told(profiles)
    assert (process.end(), flow.end()) == (0, 0), process.said


def test_an_engine_that_is_not_there_at_the_start_is_exit_code_3_and_one_line(
    engagement: Engagement,
) -> None:
    following = Following(
        engagement,
        "profiles",
        ("profiles",),
        FLOWSELL_VALKEY="valkey://flow:hush@127.0.0.1:1/0",
    )
    process = following.start()
    assert process.wait() == 3
    assert process.said.startswith("flowsell: Valkey at 127.0.0.1:1: ")
    assert process.said.count("\n") == 1
    assert "hush" not in process.said


@pytest.mark.faults
def test_several_processes_share_the_partitions_and_a_drain_leaves_nothing_to_write(
    engagement: Engagement, profiles: Profiles
) -> None:
    flow = engagement.start()
    process = profiles.following.start("--processes", "2")
    engagement.append(life(1_000, seed=14))
    engagement.wait_committed()
    assert flow.end() == 0
    wait_until(profiles.following.is_settled, 90)
    assert_told(profiles)
    assert process.end() == 0, process.said
    assert "profiles-0-1" in process.said
