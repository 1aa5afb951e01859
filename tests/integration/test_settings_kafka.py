"""``flowsell settings apply|show --kafka`` on a real Kafka."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flows.cli import run
from schemas.keys import lane_of
from tests.kafka_flow import RECORDS, Engagement

TENANTS = ("salon", "студия 7", 'with "quotes"')


@pytest.fixture
def settings_file(engagement: Engagement, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLOWSELL_KAFKA", engagement.kafka.bootstrap)
    path = tmp_path / "tenants.json"
    tenants = {tenant: {"currency": "KZT", "name": tenant} for tenant in TENANTS}
    path.write_text(json.dumps({"tenants": tenants}), encoding="utf-8")
    return path


def test_what_is_applied_stands_in_each_tenant_s_lane_and_is_shown_again(
    engagement: Engagement, settings_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["settings", "apply", str(settings_file), "--kafka"]) == 0
    assert capsys.readouterr().out.splitlines() == [f"{t}: in {RECORDS}" for t in TENANTS]
    for lane, messages in engagement.read(RECORDS).items():
        for message in messages:
            tenant = message.key().decode()
            record = json.loads(message.value())
            assert (record["kind"], record["tenant"]) == ("settings", tenant)
            assert lane == lane_of(tenant, engagement.lanes)
    for tenant in TENANTS:
        assert run(["settings", "show", tenant, "--kafka", "--json", "--given"]) == 0
        shown = json.loads(capsys.readouterr().out)
        assert shown["settings"] == {"currency": "KZT", "name": tenant}


def test_the_last_settings_of_the_lane_are_in_force(
    settings_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["settings", "apply", str(settings_file), "--kafka"]) == 0
    changed = settings_file.read_text(encoding="utf-8").replace("KZT", "RUB")
    settings_file.write_text(changed, encoding="utf-8")
    assert run(["settings", "apply", str(settings_file), "--kafka"]) == 0
    capsys.readouterr()
    assert run(["settings", "show", "salon", "--kafka", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["settings"]["currency"] == "RUB"
    assert shown["position"] >= 1


@pytest.mark.usefixtures("settings_file")
def test_a_tenant_of_an_empty_lane_has_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["settings", "show", "nobody", "--kafka"]) == 2
    assert f"no settings of nobody in {RECORDS}" in capsys.readouterr().err


def test_a_broker_that_is_down_is_exit_code_3(
    settings_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLOWSELL_KAFKA", "127.0.0.1:1")
    monkeypatch.setattr("flows.records.REACH_SECONDS", 1.0)
    monkeypatch.setenv("FLOWSELL_LOG", "json")
    assert run(["settings", "apply", str(settings_file), "--kafka"]) == 3
    assert "flowsell: Kafka at 127.0.0.1:1: " in capsys.readouterr().err
