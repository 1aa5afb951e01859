"""A deployment for some countries alone, from the command line and on a real Kafka."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flows.cli import run
from schemas.topics import TOPICS
from tests.kafka_flow import DEAD, Engagement, wait_until
from tests.logs import MINUTE, Record, heartbeat, lines_of, message_in, ms, settings, visit
from tests.recovery.log import life

AT = ms("2026-03-02T06:00:00Z")
PHONES = {"home": "+77015550001", "away": "+79165550002"}
OURS, WIDER = frozenset({"KZ"}), frozenset({"KZ", "RU"})


def came(tenant: str, n: int, at: int = AT) -> Record:
    return visit(
        tenant, at, f"v{n}", version=1, status="attended", phone=PHONES[tenant],
        starts_at=at, amount_minor=500_000,
    )  # fmt: skip


LOG = [
    settings("home", AT, country="KZ"),
    settings("away", AT, country="RU", currency="RUB"),
    *[came("home", n) for n in range(3)],
    *[came("away", n) for n in range(2)],
]


@pytest.fixture(autouse=True)
def for_kazakhstan(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command of these tests is for one country, until it is told of another."""
    monkeypatch.setenv("FLOWSELL_COUNTRIES", "KZ")


def written(folder: Path, log: list[Record]) -> Path:
    path = folder / "log.ndjson"
    path.write_bytes(b"".join(line + b"\n" for line in lines_of(log)))
    return path


def replayed(log: Path, *arguments: object) -> int:
    out = log.parent / "out"
    return run(["replay", str(log), "--out", str(out), *map(str, arguments), "--no-progress"])


def rows(log: Path, stream: str) -> list[dict[str, Any]]:
    path = log.parent / "out" / f"{stream}.ndjson"
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def tenants(log: Path) -> set[str]:
    return {row["tenant"] for row in rows(log, "profiles")}


def test_a_replay_refuses_tenants_of_other_countries(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = written(tmp_path, LOG)
    assert replayed(log, "--json") == 0
    assert json.loads(capsys.readouterr().out)["dead_letters"] == {"tenant": 3}
    assert tenants(log) == {"home"}
    errors = [row["errors"] for row in rows(log, "dead_letters")]
    assert [(each["offset"], each["stage"], each["reason"]) for each in errors] == [
        (at, "residence", "tenant") for at in (1, 5, 6)
    ]
    assert {each["message"] for each in errors} == {
        "tenant: its country is not among FLOWSELL_COUNTRIES"
    }


def test_dead_letters_come_in_once_the_countries_are_widened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log = written(tmp_path, LOG)
    assert replayed(log) == 0
    monkeypatch.setenv("FLOWSELL_COUNTRIES", "KZ,RU")
    dead = tmp_path / "out" / "dead_letters.ndjson"
    assert run(["dlq", "replay", str(dead), "--reason", "tenant", "--out", str(log)]) == 0
    assert replayed(log) == 0
    assert tenants(log) == {"home", "away"}
    assert len(rows(log, "dead_letters")) == 3
    [away] = [row for row in rows(log, "profiles") if row["tenant"] == "away"][-1:]
    assert (away["currency"], away["monetary_minor"]) == ("RUB", 1_000_000)
    capsys.readouterr()


@pytest.mark.parametrize(("away", "code"), [(20, 0), (40, 4)])
def test_records_from_abroad_count_among_those_that_stop_a_replay(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], away: int, code: int
) -> None:
    later = AT + 10 * MINUTE
    log = LOG[:2] + [came("home", n, later) for n in range(100)]
    log += [came("away", n, later) for n in range(away)]
    assert replayed(written(tmp_path, log)) == code
    error = "more than 20 % are dead letters: 40 of 140 records in the minute 2026-03-02T06:10Z"
    assert (error in capsys.readouterr().err) is (code == 4)


def test_given_settings_of_a_tenant_of_another_country_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = written(tmp_path, [heartbeat(AT)])
    file = tmp_path / "tenants.toml"
    file.write_text('[tenants.home]\ncountry = "KZ"\n[tenants.away]\ncountry = "RU"\n')
    error = "flowsell: tenants.away.country: RU is not among FLOWSELL_COUNTRIES (KZ)\n"
    for arguments in (
        ["replay", str(log), "--settings", str(file), "--out", str(tmp_path / "out")],
        ["preview", str(log), "--settings", str(file)],
        ["explain", "home", PHONES["home"], "--log", str(log), "--settings", str(file)],
        ["settings", "apply", str(file), "--out", str(log)],
        ["settings", "load", str(file)],
    ):
        assert run(arguments) == 2
        assert capsys.readouterr().err == error
    assert len(log.read_bytes().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_explain_tells_what_was_kept_and_nothing_of_what_came_from_abroad(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrote = message_in("home", AT + 2 * MINUTE, "m1", PHONES["home"])
    log = [*LOG[:3], settings("home", AT + MINUTE, country="RU"), wrote, came("home", 9)]
    path = written(tmp_path, log)
    found = {}
    for countries in ("KZ", "KZ,RU"):
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("FLOWSELL_COUNTRIES", countries)
            assert run(["explain", "home", PHONES["home"], "--log", str(path), "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        found[countries] = [moment["what"] for moment in told["path"]]
    assert "wrote" not in found["KZ"]
    assert "wrote" in found["KZ,RU"]
    assert found["KZ"].count("attended") == 1


def test_on_kafka_each_refused_record_is_one_dead_letter_and_comes_in_after_a_drain(
    engagement: Engagement, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in engagement.environment.items():
        monkeypatch.setenv(name, value)
    engagement.environment["FLOWSELL_COUNTRIES"] = "KZ"
    killed = engagement.start()
    engagement.append([*lines_of(LOG[:5]), *life(300, seed=5)], headers=[("source", b"g")])
    wait_until(lambda: sum(at for at, _ in engagement.committed().values()) > 0, 60)
    killed.kill()
    engagement.append(lines_of(LOG[5:]))
    process = engagement.start()
    engagement.wait_committed()
    assert process.end() == 0, process.said
    due = engagement.assert_settled(OURS)
    refused = len(engagement.messages(DEAD))
    assert refused == sum(due.dead.values()) >= 3

    engagement.environment["FLOWSELL_COUNTRIES"] = "KZ,RU"
    process = engagement.start()
    monkeypatch.setenv("FLOWSELL_COUNTRIES", "KZ,RU")
    assert run(["dlq", "replay", "--tenant", "away", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sent"] == 3
    engagement.wait_committed()
    assert process.end() == 0, process.said
    assert len(engagement.messages(DEAD)) == refused
    changes = [json.loads(m.value()) for m in engagement.messages(TOPICS["segments"].name)]
    assert [row["from"] for row in changes if row["tenant"] == "away"][:1] == ["000"]
