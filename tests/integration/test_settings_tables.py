"""Tenants' settings in a real PostgreSQL: what a file becomes there, and what is read of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest

from flows.cli import run
from schemas.settings import TenantSettings, parse_settings
from sinks.postgres_settings import SettingsInPostgres, Wanted
from tests.kafka_flow import wait_until
from tests.stores import KeptInPostgres, postgres_server

LOG = "kafka a b"
EVERYTHING: dict[str, Any] = {
    "name": "Persona", "preset": "beauty_hair_cosmetology", "timezone": "Asia/Almaty",
    "country": "KZ", "currency": "KZT", "locale": "ru",
    "branches": {"358944": {"timezone": "Europe/Moscow"}},
    "scoring": {"window_days": 365, "recency_days": [60, 120], "frequency": [6, 3],
                "monetary": "tertiles"},
    "average_check_minor": 900_000, "quiet_hours": ["21:00", "10:00"],
    "quiet_utility": ["22:00", "08:00"], "caps": [{"per_days": 1, "max": 1}],
    "holdout_percent": 10, "return_days": 14, "consent_default": "deny",
    "channel_policy": {"marketing": ["!whatsapp"]}, "watched": False,
    "offers": {"133": {"template": "winback", "params": {"discount": 20, "gift": None}}},
    "of_a_later_release": {"a": [1, None]},
    "triggers": [
        {"id": "a", "kind": "birthday", "at": "11:00", "days_before": -1, "template": "bday",
         "channels": ["whatsapp", "sms"], "category": "marketing", "priority": -50, "ttl": "12h",
         "segments": ["333", "332"], "params": {"discount": 10, "gift": None}, "locale": "ru",
         "cooldown_days": 3, "of_a_later_release": None},
        {"id": "b", "kind": "segment_entered", "segments": ["133"], "from": ["233"],
         "channels": ["sms"], "template": "offer"},
        {"id": "c", "kind": "rebook", "interval_factor": 1.25, "service": "Стрижка",
         "channels": ["sms"], "template": "again"},
        {"id": "d", "kind": "reply", "match": ["да", "yes"], "channels": ["sms"], "template": "t"},
    ],
}  # fmt: skip
"""Every key that there is, and two that there are not yet."""
ADDED = """
INSERT INTO flowsell.triggers (tenant, id, kind, channels, template, rule)
VALUES ('salon', 'e', 'reminder', '{sms}', 't', '{"before": "2h"}')
"""


@pytest.fixture
def tables() -> Iterator[SettingsInPostgres]:
    """Empty ones."""
    server = postgres_server()
    KeptInPostgres(server)
    found = SettingsInPostgres(server.url)
    found.open()
    yield found
    found.close()


def sql(statement: str) -> list[Any]:
    """What an application's own statement finds."""
    with psycopg.connect(postgres_server().url, autocommit=True) as connection:
        found = connection.execute(statement)
        return found.fetchall() if found.description else []


def settings(said: object) -> TenantSettings:
    return parse_settings(json.dumps(said).encode(), "tenants.salon")


def said_of(wanted: Wanted) -> Any:
    return msgspec.json.decode(wanted.settings)


def send(tables: SettingsInPostgres, log: str = LOG) -> dict[str, bytes]:
    """Note everything that is changed as sent; returns it."""
    changed = {each.tenant: each.settings for each in tables.changed(log, None) if not each.is_sent}
    tables.sending(changed, log)
    tables.sent([*changed])
    return changed


def test_a_file_comes_back_out_of_the_tables_as_it_was(tables: SettingsInPostgres) -> None:
    tables.put({"salon": settings(EVERYTHING), "empty": settings({})})
    empty, salon = tables.changed(LOG, None)
    assert said_of(salon) == EVERYTHING
    assert said_of(empty) == {}


def test_a_file_replaces_the_whole_of_its_tenants_and_nothing_of_others(
    tables: SettingsInPostgres,
) -> None:
    tables.put({"salon": settings(EVERYTHING), "other": settings(EVERYTHING)})
    triggers = EVERYTHING["triggers"][2:4]
    tables.put({"salon": settings({"name": "Salon", "triggers": triggers})})
    other, salon = tables.changed(LOG, None)
    assert said_of(salon) == {"name": "Salon", "triggers": triggers}
    assert said_of(other)["triggers"] == EVERYTHING["triggers"]


def test_what_was_sent_is_no_change_and_an_edit_that_says_the_same_is_none(
    tables: SettingsInPostgres,
) -> None:
    tables.put({"salon": settings(EVERYTHING)})
    assert list(send(tables)) == ["salon"]
    assert tables.changed(LOG, None) == []
    sql("UPDATE flowsell.tenants SET holdout_percent = 10")
    sql("UPDATE flowsell.triggers SET rule = '{\"from\": [\"233\"]}' WHERE id = 'b'")
    assert tables.changed(LOG, None) == []


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE flowsell.tenants SET holdout_percent = 0",
        "UPDATE flowsell.tenants SET scoring = NULL",
        "UPDATE flowsell.triggers SET priority = 1 WHERE id = 'c'",
        "UPDATE flowsell.triggers SET id = 'z' WHERE id = 'c'",
        "DELETE FROM flowsell.triggers WHERE id = 'd'",
        ADDED,
        "DELETE FROM flowsell.tenants",
    ],
)
def test_an_edit_is_a_change_until_it_was_sent_and_is_told_of(
    tables: SettingsInPostgres, edit: str
) -> None:
    tables.put({"salon": settings(EVERYTHING)})
    send(tables)
    assert tables.lead()
    sql(edit)
    assert tables.heard(30) == ["salon"]
    assert [each.tenant for each in tables.changed(LOG, ["salon"])] == ["salon"]
    assert tables.changed(LOG, ["other"]) == []
    assert list(send(tables)) == ["salon"]
    assert tables.changed(LOG, None) == []
    assert tables.heard(0) == []


def test_a_tenant_who_is_renamed_is_two_changes(tables: SettingsInPostgres) -> None:
    tables.put({"salon": settings(EVERYTHING)})
    send(tables)
    tables.lead()
    sql("UPDATE flowsell.tenants SET tenant = 'studio'")
    edited = tables.heard(30)
    assert edited == ["salon", "studio"]
    salon, studio = tables.changed(LOG, edited)
    assert "triggers" not in said_of(salon)
    assert said_of(studio) == EVERYTHING


def test_a_name_that_is_too_long_to_be_told_has_everybody_looked_at(
    tables: SettingsInPostgres,
) -> None:
    tables.lead()
    sql("INSERT INTO flowsell.tenants (tenant) VALUES (repeat('ж', 5000)), ('salon')")
    assert tables.heard(30) is None


def test_a_tenant_who_is_deleted_keeps_its_settings_and_has_no_triggers(
    tables: SettingsInPostgres,
) -> None:
    tables.put({"salon": settings(EVERYTHING), "never sent": settings({})})
    sql("DELETE FROM flowsell.tenants WHERE tenant = 'never sent'")
    send(tables)
    sql("DELETE FROM flowsell.tenants")
    (left,) = send(tables).values()
    assert json.loads(left) == {k: v for k, v in EVERYTHING.items() if k != "triggers"}
    assert tables.changed(LOG, None) == []


def test_what_is_on_its_way_is_changed_even_if_the_edit_is_taken_back(
    tables: SettingsInPostgres,
) -> None:
    tables.put({"salon": settings({"name": "A"})})
    send(tables)
    sql("UPDATE flowsell.tenants SET name = 'B'")
    tables.sending({"salon": b'{"name":"B"}'}, LOG)
    sql("UPDATE flowsell.tenants SET name = 'A'")
    assert [said_of(each) for each in tables.changed(LOG, None)] == [{"name": "A"}]


def test_another_log_has_nothing_yet(tables: SettingsInPostgres) -> None:
    tables.put({"salon": settings({})})
    send(tables)
    assert list(send(tables, "kafka a c")) == ["salon"]


def test_one_connection_leads_and_the_next_when_that_one_is_gone(
    tables: SettingsInPostgres,
) -> None:
    other = SettingsInPostgres(postgres_server().url)
    other.open()
    assert (tables.lead(), other.lead()) == (True, False)
    tables.close()
    wait_until(other.lead, 30)
    other.close()


def test_load_takes_all_or_nothing(
    tables: SettingsInPostgres,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("FLOWSELL_POSTGRES", postgres_server().url)
    file = tmp_path / "tenants.json"
    wrong = {"triggers": [EVERYTHING["triggers"][1] | {"ttl": "1 day"}]}
    file.write_text(json.dumps({"tenants": {"a": {}, "b": wrong}}), encoding="utf-8")
    assert run(["settings", "load", str(file)]) == 2
    told = capsys.readouterr().err
    assert told == 'flowsell: tenants.b.triggers[0].ttl: not a duration: "1 day"\n'
    file.write_text(json.dumps({"tenants": {"a": {}, "b": {"name": "\0"}}}), encoding="utf-8")
    assert run(["settings", "load", str(file)]) == 2
    assert "tenants.b: holds a NUL" in capsys.readouterr().err
    assert tables.changed(LOG, None) == []
    file.write_text(json.dumps({"tenants": {"a": {}, "b": {}}}), encoding="utf-8")
    assert run(["settings", "load", str(file)]) == 0
    assert [line.partition(" in ")[0] for line in capsys.readouterr().out.splitlines()] == [
        "a:",
        "b:",
    ]
    assert [each.tenant for each in tables.changed(LOG, None)] == ["a", "b"]


def test_load_without_postgres_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("FLOWSELL_POSTGRES", raising=False)
    file = tmp_path / "tenants.json"
    file.write_text('{"tenants":{}}', encoding="utf-8")
    assert run(["settings", "load", str(file)]) == 2
    assert "FLOWSELL_POSTGRES: not set; `settings load` needs it" in capsys.readouterr().err
