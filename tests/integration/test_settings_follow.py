"""``flowsell settings follow`` on a real PostgreSQL and a real Kafka: no edit is lost."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest

from flows.cli import run
from flows.environment import Environment
from flows.settings import publish, settings_of
from flows.settings_follow import Cadence, Follower
from flows.stop import Stop
from sinks.postgres_settings import SettingsInPostgres
from state.vitals import Vitals
from tests.kafka_flow import RECORDS, Engagement, FlowProcess, wait_until
from tests.stores import KeptInPostgres, postgres_server

pytestmark = pytest.mark.xdist_group("kafka")

PROMPT = Cadence(scan_seconds=60.0, look_seconds=0.05, again_seconds=0.05, most_again_seconds=0.1)
REMINDER = """
INSERT INTO flowsell.triggers (tenant, id, kind, channels, template, rule)
VALUES ('salon', 'day_before', 'reminder', '{whatsapp,sms}', 'see_you', '{"before": "24h"}')
"""


class Killed(BaseException):
    """The process is no more."""


class Rules:
    """The tables, the log, and a process that follows, in this one."""

    def __init__(self, engagement: Engagement) -> None:
        self.engagement = engagement
        self.url = postgres_server().url
        self.environment = Environment(kafka=engagement.kafka.bootstrap)
        self.stop = Stop()
        self.vitals = Vitals()
        self.tables = SettingsInPostgres(self.url)
        self.begin()

    def begin(self, send: Callable[[Mapping[str, bytes]], None] | None = None) -> None:
        """Another process, after the one before is gone."""
        self.tables.close()
        self.tables = SettingsInPostgres(self.url)
        self.tables.open()
        self.follower = Follower(
            self.tables, send or self.send, "log-1", self.stop, self.vitals, PROMPT
        )

    def send(self, records: Mapping[str, bytes]) -> None:
        publish(self.environment, records)

    def sql(self, *statements: str) -> list[Any]:
        """Statements of an application, in one transaction; what the last one finds."""
        with psycopg.connect(self.url) as connection:
            found = [connection.execute(statement) for statement in statements][-1]
            return found.fetchall() if found.description else []

    def follow(self, times: int = 3) -> None:
        for _ in range(times):
            self.follower.turn()

    def follow_until(self, is_so: Callable[[], bool]) -> None:
        def turned() -> bool:
            self.follower.turn()
            return is_so()

        wait_until(turned, 30)

    def cut(self) -> None:
        """End every connection but the one that does it."""
        self.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'flowsell' AND pid <> pg_backend_pid()"
        )

    def log(self) -> list[tuple[str, Any]]:
        """Tenants and settings, in the order of each lane."""
        records = [json.loads(message.value()) for message in self.engagement.messages(RECORDS)]
        return [(record["tenant"], record["settings"]) for record in records]

    def in_force(self, tenant: str) -> Any:
        """As ``settings show`` has it."""
        lines = [
            (message.offset() or 0, message.value() or b"")
            for message in self.engagement.messages(RECORDS)
        ]
        found, _ = settings_of(tenant, lines)
        return None if found is None else json.loads(found.settings.source)


@pytest.fixture
def rules(engagement: Engagement) -> Iterator[Rules]:
    """A salon without rules, which the log knows of."""
    KeptInPostgres(postgres_server())
    rules = Rules(engagement)
    rules.sql("INSERT INTO flowsell.tenants (tenant, currency) VALUES ('salon', 'KZT')")
    rules.follow(2)
    assert rules.log() == [("salon", {"currency": "KZT"})]
    yield rules
    rules.tables.close()


def test_edits_by_sql_are_in_the_log_each_transaction_as_a_whole(rules: Rules) -> None:
    rules.sql(REMINDER, "UPDATE flowsell.tenants SET locale = 'ru'")
    rules.follow()
    reminder = {
        "id": "day_before",
        "kind": "reminder",
        "before": "24h",
        "channels": ["whatsapp", "sms"],
        "template": "see_you",
    }
    said = {"currency": "KZT", "locale": "ru", "triggers": [reminder]}
    assert rules.log()[1:] == [("salon", said)]
    rules.sql("DELETE FROM flowsell.tenants")
    rules.follow()
    assert rules.log()[2:] == [("salon", {"currency": "KZT", "locale": "ru"})]
    rules.begin()
    rules.follow()
    assert len(rules.log()) == 3


def test_what_was_edited_while_nobody_followed_is_in_the_log_after_the_start(rules: Rules) -> None:
    rules.tables.close()
    rules.sql("UPDATE flowsell.tenants SET currency = 'RUB'")
    rules.sql("INSERT INTO flowsell.tenants (tenant) VALUES ('second')")
    rules.begin()
    rules.follow(1)
    assert sorted(rules.log()[1:], key=str) == [("salon", {"currency": "RUB"}), ("second", {})]


def test_a_connection_that_is_cut_loses_no_edit(rules: Rules) -> None:
    rules.cut()
    rules.sql("UPDATE flowsell.tenants SET currency = 'RUB'")
    rules.follow(1)
    assert "postgres" in rules.vitals.away
    rules.follow_until(lambda: not rules.vitals.away)
    rules.follow()
    assert rules.log()[1:] == [("salon", {"currency": "RUB"})]
    assert rules.vitals.phase == "running"
    rules.sql("UPDATE flowsell.tenants SET currency = 'KZT'")
    rules.follow()
    assert rules.in_force("salon") == {"currency": "KZT"}


@pytest.mark.parametrize("before_delivery", [True, False])
def test_a_process_that_is_killed_on_its_way_has_its_settings_sent_by_the_next(
    rules: Rules, before_delivery: bool
) -> None:
    def die(records: Mapping[str, bytes]) -> None:
        if not before_delivery:
            rules.send(records)
        raise Killed

    rules.sql("UPDATE flowsell.tenants SET currency = 'RUB'")
    rules.begin(die)
    with pytest.raises(Killed):
        rules.follow()
    rules.sql("UPDATE flowsell.tenants SET currency = 'KZT'")
    rules.begin()
    rules.follow()
    on_its_way = [] if before_delivery else [("salon", {"currency": "RUB"})]
    assert rules.log()[1:] == [*on_its_way, ("salon", {"currency": "KZT"})]


def test_a_connection_that_is_cut_between_delivery_and_its_note_repeats_the_record(
    rules: Rules,
) -> None:
    def send_and_cut(records: Mapping[str, bytes]) -> None:
        rules.send(records)
        if len(rules.log()) == 2:
            rules.cut()

    rules.begin(send_and_cut)
    rules.sql("UPDATE flowsell.tenants SET currency = 'RUB'")
    rules.follow_until(lambda: len(rules.log()) == 3)
    rules.follow()
    assert rules.log()[1:] == [("salon", {"currency": "RUB"})] * 2


def test_what_a_process_sends_that_wakes_too_late_is_followed_by_what_is_right(
    rules: Rules,
) -> None:
    tables = SettingsInPostgres(rules.url)
    next_one = Follower(tables, rules.send, "log-1", rules.stop, Vitals(), PROMPT)

    def sleep_and_send(records: Mapping[str, bytes]) -> None:
        rules.cut()
        rules.sql("UPDATE flowsell.tenants SET currency = 'EUR'")
        tables.open()
        next_one.turn()
        assert rules.in_force("salon") == {"currency": "EUR"}
        rules.send(records)

    rules.begin(sleep_and_send)
    rules.sql("UPDATE flowsell.tenants SET currency = 'RUB'")
    rules.follow_until(lambda: rules.vitals.phase == "waiting")
    assert rules.in_force("salon") == {"currency": "RUB"}
    next_one.turn()
    assert rules.in_force("salon") == {"currency": "EUR"}
    tables.close()


def test_kafka_that_takes_nothing_is_tried_again_and_gets_the_last_of_the_edits(
    rules: Rules, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.records.REACH_SECONDS", 0.5)
    there, rules.environment = rules.environment, Environment(kafka="127.0.0.1:1")
    rules.sql("UPDATE flowsell.tenants SET currency = 'RUB'")
    rules.follow()
    assert rules.vitals.away["kafka"].startswith("Kafka at 127.0.0.1:1: ")
    assert rules.vitals.counts["sink_errors", "kafka"] > 0
    rules.sql("UPDATE flowsell.tenants SET currency = 'EUR'")
    rules.environment = there
    rules.follow_until(lambda: not rules.vitals.away)
    assert rules.log()[1:] == [("salon", {"currency": "EUR"})]


def test_a_mistake_stands_beside_its_settings_and_those_before_stay_in_force(
    rules: Rules, capfd: pytest.CaptureFixture[str]
) -> None:
    rules.sql(
        REMINDER,
        'UPDATE flowsell.triggers SET rule = \'{"before": "1 day"}\'',
        "INSERT INTO flowsell.tenants (tenant, timezone) VALUES ('second', 'Mars/Olympus')",
    )
    rules.follow()
    wrong = 'tenants.salon.triggers[0].before: not a duration: "1 day"'
    unknown = 'tenants.second.timezone: unknown timezone: "Mars/Olympus"'
    tenants = "SELECT tenant, mistake FROM flowsell.tenants ORDER BY tenant"
    triggers = "SELECT id, mistake FROM flowsell.triggers"
    assert rules.sql(tenants) == [("salon", wrong), ("second", unknown)]
    assert rules.sql(triggers) == [("day_before", wrong)]
    assert len(rules.log()) == 1
    assert "tenants.second.timezone" in "".join(capfd.readouterr())
    rules.follow(5)
    assert "".join(capfd.readouterr()) == ""
    rules.sql('UPDATE flowsell.triggers SET rule = \'{"before": "2h"}\'')
    rules.follow()
    assert rules.sql(tenants) == [("salon", None), ("second", unknown)]
    assert rules.sql(triggers) == [("day_before", None)]
    assert rules.in_force("salon")["triggers"][0]["before"] == "2h"
    rules.sql("UPDATE flowsell.tenants SET timezone = NULL WHERE tenant = 'second'")
    rules.follow()
    assert rules.sql(tenants) == [("salon", None), ("second", None)]
    assert rules.in_force("second") == {}


def test_a_row_that_somebody_holds_is_not_waited_for(rules: Rules) -> None:
    rules.sql(REMINDER, "UPDATE flowsell.triggers SET rule = '{}'")
    with psycopg.connect(rules.url) as connection:
        connection.execute("UPDATE flowsell.tenants SET locale = 'ru'")
        connection.execute("UPDATE flowsell.triggers SET priority = 3")
        rules.follow()
        assert not rules.vitals.away
        assert rules.sql("SELECT mistake FROM flowsell.tenants") == [(None,)]
    rules.follow()
    assert rules.sql("SELECT mistake FROM flowsell.tenants WHERE locale = 'ru'") == [
        ("tenants.salon.triggers[0].before: missing",)
    ]


def test_an_edit_of_everybody_at_once_is_a_record_each(rules: Rules) -> None:
    rules.sql(
        "INSERT INTO flowsell.tenants (tenant, preset) "
        "SELECT 't' || n, 'restaurant' FROM generate_series(1, 2500) AS n"
    )
    rules.follow()
    rules.sql("UPDATE flowsell.tenants SET holdout_percent = 5")
    rules.follow()
    log = rules.log()
    assert len(log) == 1 + 2_500 + 2_501
    assert dict(log) == {
        "salon": {"currency": "KZT", "holdout_percent": 5},
        **{f"t{n}": {"preset": "restaurant", "holdout_percent": 5} for n in range(1, 2_501)},
    }


def test_two_processes_one_follows_the_other_takes_over_and_a_drain_is_exit_code_0(
    rules: Rules, tmp_path: Path
) -> None:
    rules.tables.close()
    flowsell = str(Path(sys.executable).with_name("flowsell"))
    variables = rules.engagement.environment | {"FLOWSELL_POSTGRES": rules.url}

    def start(name: str) -> FlowProcess:
        process = FlowProcess([flowsell, "settings", "follow"], variables, tmp_path / name)
        rules.engagement.processes.append(process)
        return process

    def wait_for(currency: str) -> None:
        wait_until(lambda: rules.in_force("salon") == {"currency": currency}, 60)

    first = start("first")
    wait_until(lambda: '"follows"' in first.said, 60)
    second = start("second")
    second.wait_started()
    rules.sql("UPDATE flowsell.tenants SET currency = 'RUB'")
    wait_for("RUB")
    assert '"follows"' not in second.said
    first.kill()
    rules.sql("UPDATE flowsell.tenants SET currency = 'EUR'")
    wait_for("EUR")
    assert '"follows"' in second.said
    assert second.end() == 0, second.said


@pytest.mark.parametrize("missing", ["FLOWSELL_KAFKA", "FLOWSELL_POSTGRES"])
def test_without_an_engine_it_does_not_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], missing: str
) -> None:
    monkeypatch.setenv("FLOWSELL_KAFKA", "127.0.0.1:1")
    monkeypatch.setenv("FLOWSELL_POSTGRES", "postgresql://flow:hush@127.0.0.1:1/flowsell")
    monkeypatch.delenv(missing)
    assert run(["settings", "follow"]) == 2
    assert f"{missing}: not set; `settings follow` needs it" in capsys.readouterr().err
