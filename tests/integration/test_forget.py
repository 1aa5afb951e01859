"""Three customers followed from Kafka through every store; one of them is forgotten in each."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
import valkey

from flows.cli import run
from flows.kafka import Topics
from schemas.keys import alias_customer_id, customer_id
from schemas.slices import Place
from sinks.clickhouse import STREAMS
from sinks.clickhouse_engine import ClickHouse
from sinks.migrations import migrate
from sinks.valkey import CUSTOMER
from sinks.warehouse import WarehouseEngine
from tests.clickhouse_server import served
from tests.following import Following
from tests.integration.test_warehouse_flow import at
from tests.kafka_flow import ID_KEY, Engagement, FlowProcess, wait_until
from tests.logs import (
    DAY,
    Record,
    card,
    envelope,
    lines_of,
    message_in,
    settings,
    stamp,
    trigger,
    visit,
)
from tests.people import BSUID, writes
from tests.stores import KeptInPostgres, KeptInValkey, postgres_server, valkey_server

pytestmark = pytest.mark.xdist_group("kafka")

TENANT = "salon"
AWAKE: Record = {"quiet_utility": ["00:00", "00:00"]}
ANNA, BORIS, VERA = (f"7701123456{digit}" for digit in range(3))


def of(digits: str) -> str:
    return customer_id(ID_KEY, TENANT, int(digits))


ALONE = alias_customer_id(ID_KEY, TENANT, BSUID, "KZ.1")


@dataclass
class Stores:
    """All three, the flows that fill them, and the log."""

    engagement: Engagement
    clickhouse: ClickHouse
    server: Any
    hashes: Any
    followings: list[Following]
    processes: list[FlowProcess]

    def tell(self, *records: Record) -> None:
        self.engagement.append(lines_of([*records]))

    def settle(self) -> None:
        self.engagement.wait_committed()
        for following in self.followings:
            wait_until(following.is_settled, 60)

    def profile(self, who: str) -> dict[str, Any]:
        with psycopg.connect(postgres_server().url) as connection:
            (found,) = connection.execute(
                "SELECT to_jsonb(p) FROM flowsell.profiles p WHERE customer_id = %s", (who,)
            ).fetchall()
        return {name: value for name, value in found[0].items() if value is not None}

    def hash(self, who: str) -> dict[str, str]:
        found: dict[str, str] = self.hashes.hgetall(CUSTOMER + who)
        return found

    def rows(self, table: str, who: str) -> list[tuple[Any, ...]]:
        statement = f"SELECT * FROM flowsell.{table} WHERE customer_id = {{who:String}}"
        return self.clickhouse.rows(statement, who=who)

    def commands(self, who: str) -> list[dict[str, Any]]:
        said = self.engagement.messages("flowsell.commands.v1")
        return [json.loads(each.value()) for each in said if each.key().decode() == who]


@pytest.fixture
def stores(
    engagement: Engagement, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Stores]:
    """Empty ones, with every flow at work, and an environment that names all of it."""
    postgres, hashes = postgres_server(), valkey_server()
    KeptInPostgres(postgres).clear()
    KeptInValkey(hashes).clear()
    with served(tmp_path / "clickhouse") as (_, server):
        engine = ClickHouse(server)
        engine.open()
        migrate(engine)
        both = {"FLOWSELL_POSTGRES": postgres.url, "FLOWSELL_VALKEY": hashes.url}
        for name, value in (engagement.environment | both | at(server)).items():
            if name != "FLOWSELL_INSTANCE":
                monkeypatch.setenv(name, value)
        followings = [
            Following(engagement, "profiles", ("profiles",), **both),
            Following(engagement, "warehouse", STREAMS, **at(server)),
        ]
        processes = [engagement.start(), *(following.start() for following in followings)]
        asks: Any = valkey.Valkey.from_url(hashes.url, decode_responses=True)
        yield Stores(engagement, engine, server, asks, followings, processes)
        asks.close()
        engagement.close()
        engine.close()


def now() -> int:
    return int(time.time() * 1000)


def forget(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    code = run(["forget", TENANT, *arguments, "--json"])
    told = capsys.readouterr()
    assert "Мария" not in told.out + told.err
    assert ANNA[1:] not in told.out + told.err
    return code, json.loads(told.out)


def traces(report: dict[str, Any]) -> dict[str, tuple[int | None, int]]:
    """Before and now, of the stores that can be counted and do not age."""
    told = [each for each in report["traces"] if each["until"] is None]
    return {each["store"]: (each["before"], each["now"]) for each in told}


def live(stores: Stores) -> int:
    """Anna comes, and is written to; Boris is answered; a name without a phone turns out Vera.

    Returns when the next ten seconds begin: until then nobody is told what became of the message.
    """
    begin = now()
    rules = [trigger("segment_entered", segments=["312"]), trigger("reply", match=["help"])]
    came: Record = {"status": "attended", "amount_minor": 1_000, "version": 1, "phone": f"+{ANNA}"}
    stores.tell(
        settings(TENANT, begin, triggers=rules, scoring={"monetary": [2_000_000, 1]}, **AWAKE),
        card(TENANT, begin, "crm-1", version=1, phone=f"+{ANNA}", name="Мария"),
        visit(TENANT, begin, "v1", client="crm-1", starts_at=begin - DAY, **came),
        message_in(TENANT, begin, "m0", f"+{BORIS}", "help"),
        writes(TENANT, begin, "m1", None, "1"),
    )
    stores.engagement.wait_committed()
    (command,) = stores.commands(of(BORIS))
    told = {"type": "message_status", "message_id": "s1", "command_id": command["command_id"]}
    told |= {"phone": f"+{BORIS}", "channel": "whatsapp", "status": "delivered"}
    told |= {"at": stamp(begin - 7 * DAY)}
    stores.tell(
        envelope("webhook", TENANT, now(), provider="generic", body=told),
        writes(TENANT, now(), "m2", VERA, "1"),
    )
    told_at = now()
    stores.engagement.wait_committed()
    wait_until(lambda: now() > told_at // 1_000 * 1_000 + 1_000, 2)  # profiles are told by seconds
    stores.tell(message_in(TENANT, now(), "m3", f"+{BORIS}"))
    stores.settle()
    return told_at // 10_000 * 10_000 + 10_000


def test_late_status_merge_withdrawal_and_forgetting_are_followed_through_every_store(
    stores: Stores, capsys: pytest.CaptureFixture[str]
) -> None:
    ten_seconds = live(stores)
    assert stores.profile(ALONE)["merged_into"] == of(VERA)
    assert stores.hash(ALONE)["merged_into"] == of(VERA)
    assert stores.profile(of(VERA))["aliases"] == {BSUID: "KZ.1"}

    assert stores.profile(of(ANNA))["name"] == "Мария"
    assert stores.rows("segment_changes", of(ANNA))
    code, report = forget(capsys, f"8 ({ANNA[1:4]}) {ANNA[4:]}")
    assert (code, report["is_clean"], report["customer_id"]) == (0, True, of(ANNA))
    before = traces(report)
    assert {store: left for store, (_, left) in before.items()} == dict.fromkeys(before, 0)
    assert all((before[store][0] or 0) > 0 for store in ("postgres", "valkey", "clickhouse"))
    assert_forgotten(stores)

    stores.settle()
    assert [each["withdrawn"] for each in stores.commands(of(ANNA))] == [False, True]
    withdrawn = "SELECT trigger FROM flowsell.decisions_now WHERE outcome = 'withdrawn'"
    assert stores.clickhouse.rows(withdrawn) == [("segment_entered",)]

    stores.tell(card(TENANT, now(), "crm-1", version=7, phone=f"+{ANNA}", name="Мария"))
    stores.settle()
    assert_forgotten(stores)
    assert_nothing_older_comes_back(stores)
    code, report = forget(capsys, "--customer-id", of(ANNA))
    assert (code, report["traces"][0]["what"]) == (0, "was forgotten before")
    assert_forgotten(stores)
    assert stores.profile(of(VERA))["segment"] == "000"
    for said in ("forgotten now", "was forgotten before"):
        code, report = forget(capsys, "--customer-id", ALONE)
        assert (code, report["customer_id"]) == (0, of(VERA))
        assert report["traces"][0]["what"] == said
    assert stores.profile(of(VERA))["forgotten"]

    wait_until(lambda: now() > ten_seconds, 11)
    stores.tell(message_in(TENANT, now(), "m4", f"+{BORIS}"))
    stores.settle()
    funnel = "SELECT trigger, delivered, commanded FROM flowsell.message_funnel_daily_now"
    assert sorted(stores.clickhouse.rows(funnel)) == [("reply", 1, 1), ("segment_entered", 0, 1)]
    assert [process.end() for process in reversed(stores.processes)] == [0, 0, 0]


def assert_forgotten(stores: Stores) -> None:
    """An id, a position, and that it is forgotten."""
    row = stores.profile(of(ANNA))
    assert row.keys() == {"tenant", "customer_id", "as_of", "position", "forgotten"}
    assert stores.hash(of(ANNA)).keys() == {"tenant", "position", "forgotten"}
    assert stores.rows("segment_changes", of(ANNA)) == []
    assert all(row[2] == "" for row in stores.rows("customer_segments", of(ANNA)))


def assert_nothing_older_comes_back(stores: Stores) -> None:
    """A process that wakes and writes what it had held shows in no view."""
    engine = WarehouseEngine(stores.server)
    engine.open(Topics({"bootstrap.servers": stores.engagement.kafka.bootstrap}).log())
    said: Record = {
        "tenant": TENANT,
        "customer_id": of(ANNA),
        "from": "000",
        "to": "312",
        "cause": "visit",
    }
    said |= {"at": "2026-03-20T08:00:00Z", "position": 2}
    engine.add("segments", [json.dumps(said).encode()])
    engine.write(engine.take(), {Place("segments", 0): 0})
    engine.close()
    assert stores.rows("segment_changes", of(ANNA))
    assert stores.rows("segment_changes_now", of(ANNA)) == []


def test_a_wish_that_nobody_folds_is_told_and_goes_on_with_the_same_command(
    engagement: Engagement, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in engagement.environment.items():
        monkeypatch.setenv(name, value)
    wish = ["forget", TENANT, "+77011234567"]
    assert run([*wish, "--patience", "1"]) == 3
    assert "the engagement flow has not come to it" in capsys.readouterr().err
    assert run([*wish, "--no-wait"]) == 0
    assert "position 1" in capsys.readouterr().out
    assert run(["forget", TENANT, "8 701 123 45 67"]) == 2
    assert "give it with its +, or --country" in capsys.readouterr().err
    assert run([*wish[:2], "--customer-id", "77011234567"]) == 2
    for arguments in ([], ["8", "701", "12", "3x"], ["+7701123456x", "--customer-id", of(ANNA)]):
        assert run(["forget", TENANT, *arguments, "--country", "KZ"]) == 2
        assert "3x" not in capsys.readouterr().err
