"""``flowsell explain``: what a log and the stores say of one customer, and of nobody else."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flows.cli import run
from schemas.keys import customer_id
from schemas.outputs import instant_ms
from schemas.slices import Place
from tests.agenda import OPEN, came, known, rule, rules, wrote
from tests.engine import ID_KEY
from tests.logs import (
    DAY,
    HOUR,
    MINUTE,
    Record,
    envelope,
    forget,
    heartbeat,
    heartbeats,
    lines_of,
    settings,
    visit,
)
from tests.people import PHONE, TENANT, WHO, ZONE
from tests.stores import kept, postgres_server

START = 1_781_500_000_000  # 15 June 2026
OTHER = "+77019998877"
NAME = "Мария Тайная"
DECISIONS = {"commanded": "sent", "held": "held", "refused": "refused", "holdout": "holdout",
             "withdrawn": "withdrawn"}  # fmt: skip


def life() -> list[Record]:
    """Two visits, one of them because of a message, among the lives of others."""
    other: Record = {"phone": OTHER, "client": "c2", "branch": "secret branch"}
    told = [
        rules(
            rule("segment_entered", segments=["211", "222"], id="cooled"),
            rule("reminder", before="24h", id="day_before"),
            rule("after_visit", after="2h", id="thanks", segments=["333"]),
            at=START - DAY,
            country="KZ",
            scoring={"recency_days": [3, 9], "frequency": [3, 2], "monetary": [900_000, 500_000]},
        ),
        settings("t2", START - DAY, **OPEN),
        known(START, name=NAME, consent={"marketing": True}),
        came(START + HOUR, START, "v1", amount_minor=300_000, branch="b1"),
        came(START + HOUR, START, "w1", amount_minor=7_777_700, **other),
        visit("t2", START + HOUR, "v1", status="attended", phone=PHONE, starts_at=START, version=1),
        came(START + DAY, START, "v1", version=2, amount_minor=400_000, branch="b1"),
        wrote(START + 4 * DAY + HOUR, "m-1", "хочу записаться"),
        came(START + 4 * DAY + 2 * HOUR, START + 6 * DAY, "v2", status="booked"),
        came(START + 6 * DAY + HOUR, START + 6 * DAY, "v2", version=3, amount_minor=250_000),
        came(START + 6 * DAY + HOUR, START + 6 * DAY, "w2", amount_minor=7_777_700, **other),
        wrote(START + 7 * DAY, "m-2", "СТОП"),
        *heartbeats(START, START + 12 * DAY, 30 * MINUTE),
    ]
    return sorted(told, key=lambda each: each["received_at"])


def accepted(log: list[Record], command: Record) -> list[Record]:
    """What a sender and a messenger say of a command, right behind the record that caused it."""
    at = next(n for n, told in enumerate(log) if _ms(told) >= instant_ms(command["created_at"]))
    told = {"command_id": command["command_id"], "message_id": f"wamid.{command['trigger']}"}
    receipt = envelope(
        "receipt", TENANT, _ms(log[at]), status="accepted", channel="whatsapp", **told
    )
    read = {"type": "message_status", "channel": "whatsapp", "status": "read", **told}
    status = envelope("webhook", TENANT, _ms(log[at]), provider="generic", body=read)
    status["body"]["at"] = log[at]["received_at"]
    return [*log[: at + 1], receipt, status, *log[at + 1 :]]


def _ms(record: Record) -> int:
    return instant_ms(record["received_at"])


@dataclass
class Told:
    """A log, and what a replay says of it."""

    log: Path
    out: Path

    def rows(self, stream: str, who: str = WHO) -> list[dict[str, Any]]:
        lines = (self.out / f"{stream}.ndjson").read_bytes().splitlines()
        return [row for row in map(json.loads, lines) if row.get("customer_id") == who]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    folder = tmp_path_factory.mktemp("explain")
    log, out = folder / "log.ndjson", folder / "out"
    records = life()
    for again in range(2):
        log.write_bytes(b"".join(line + b"\n" for line in lines_of(records)))
        out = folder / f"out{again}"
        arguments = ["--out", str(out), "--lanes", "1", "--no-progress"]
        warehouse = ["--clickhouse", str(folder / "clickhouse")] if again else []
        assert run(["replay", str(log), *arguments, *warehouse]) == 0
        if not again:
            for command in Told(log, out).rows("commands"):
                records = accepted(records, command)
    return Told(log, out)


def explain(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> dict[str, Any]:
    capsys.readouterr()
    assert run(["explain", TENANT, *arguments, "--json", "--no-progress"]) == code
    found: dict[str, Any] = json.loads(capsys.readouterr().out) if code == 0 else {}
    return found


def test_every_line_of_the_path_is_what_the_replay_says(
    told: Told, capsys: pytest.CaptureFixture[str]
) -> None:
    found = explain(capsys, "8 (701) 123-45-67", "--log", str(told.log), "--names")
    assert found == explain(capsys, "--customer-id", WHO, "--log", str(told.log), "--names")
    path = found["path"]
    assert [each["at"] for each in path] == sorted(each["at"] for each in path)
    moves = [each for each in path if each["what"] == "segment"]
    assert [(each["from"], each["to"], each["cause"], each["at"]) for each in moves] == [
        (row["from"], row["to"], row["cause"], row["at"]) for row in told.rows("segments")
    ]
    decisions = [each for each in path if each["what"] in DECISIONS]
    assert [
        (each["command_id"], DECISIONS[each["what"]], each["reason"], each["at"])
        for each in decisions
    ] == [
        (row["command_id"], row["outcome"], row["reason"], row["at"])
        for row in told.rows("decisions")
    ]
    commands = {row["command_id"]: row for row in told.rows("commands")}
    for each in decisions:
        if each["what"] == "commanded":
            sent = commands[each["command_id"]]
            assert {name: each[name] for name in ("template", "channels", "segment")} == {
                name: sent[name] for name in ("template", "channels", "segment")
            }
    profile = told.rows("profiles")[-1]
    shown = found["profile"]
    hidden = ("tenant", "customer_id", "birthday", "phone", "name")
    assert {name: shown[name] for name in shown if name not in hidden} == {
        name: profile[name] for name in profile if name not in hidden
    }
    assert (shown["phone"], shown["name"]) == ("+7 *** ** 67", "Мария")


def test_visits_messages_consent_and_the_return_are_told(
    told: Told, capsys: pytest.CaptureFixture[str]
) -> None:
    found = explain(capsys, PHONE, "--log", str(told.log))
    path = found["path"]
    assert [(each["what"], each["money_minor"]) for each in path if "services" in each] == [
        ("attended", 300_000), ("repriced", 400_000), ("booked", None), ("attended", 250_000),
    ]  # fmt: skip
    said = [each["what"] for each in path if each["what"] in ("wrote", "agreed", "denied")]
    assert said == ["agreed", "wrote", "wrote", "denied"]
    (back,) = [each for each in path if each["what"] == "returned"]
    assert (back["trigger"], back["money_minor"]) == ("cooled", 250_000)
    for trigger in ("cooled", "day_before"):
        steps = [each["what"] for each in path if each.get("trigger") == trigger]
        assert steps[:3] == ["commanded", "accepted", "read"]
    refused = {(each["trigger"], each["reason"]) for each in path if each["what"] == "refused"}
    assert {("thanks", "segment"), ("cooled", "consent")} <= refused


@pytest.mark.parametrize("locale", ["en", "ru"])
def test_nothing_of_anybody_else_is_shown(
    told: Told, capsys: pytest.CaptureFixture[str], locale: str
) -> None:
    capsys.readouterr()
    arguments = ["--log", str(told.log), "--locale", locale, "--last", "0", "--no-progress"]
    assert run(["explain", TENANT, PHONE, *arguments]) == 0
    shown = capsys.readouterr().out
    other = customer_id(ID_KEY, TENANT, int(OTHER[1:]))
    for secret in (
        "77,777",
        "77\u00a0777",
        "secret branch",
        OTHER[1:],
        other,
        PHONE[2:],
        "Тайная",
        "Мария",
    ):
        assert secret not in shown
    assert shown.count("7\u00a0777" if locale == "ru" else "7,777") == 0
    assert "4,000 KZT" in shown or "4\u00a0000 KZT" in shown


def test_a_place_or_a_time_of_the_log_is_as_far_as_it_goes(
    told: Told, capsys: pytest.CaptureFixture[str]
) -> None:
    path = explain(capsys, PHONE, "--log", str(told.log))["path"]
    middle = path[len(path) // 2]["at"]
    at = explain(capsys, PHONE, "--log", str(told.log), "--at", middle)
    assert at["path"] == [each for each in path if each["at"] <= middle]
    lines = told.log.read_bytes().splitlines()
    visited = next(each["at"] for each in path if each["what"] == "repriced")
    told_by = [
        n for n, line in enumerate(lines) if json.loads(line)["received_at"][:19] == visited[:19]
    ]
    before = explain(capsys, PHONE, "--log", str(told.log), "--at", str(told_by[0] - 1))
    assert before["path"] == [each for each in path if each["at"] < visited]


def test_a_log_in_two_files_and_its_settings_in_a_third_tell_the_same(
    told: Told, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, *lines = told.log.read_bytes().splitlines(keepends=True)
    (tmp_path / "a.ndjson").write_bytes(b"".join(lines[:40]))
    (tmp_path / "b.ndjson").write_bytes(b"".join(lines[40:]))
    given = json.loads(first)
    assert given["kind"] == "settings"
    tenants = {"tenants": {given["tenant"]: given["settings"]}}
    (tmp_path / "tenants.json").write_text(json.dumps(tenants))
    parts = ["--log", str(tmp_path / "a.ndjson"), "--log", str(tmp_path / "b.ndjson")]
    apart = explain(capsys, PHONE, *parts, "--settings", str(tmp_path / "tenants.json"))
    whole = explain(capsys, PHONE, "--log", str(told.log))
    assert apart["path"] == whole["path"]


def test_of_a_forgotten_customer_nothing_is_told_but_that(
    told: Told, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = lines_of([forget(TENANT, START + 13 * DAY, WHO), heartbeat(START + 14 * DAY)])
    log = tmp_path / "log.ndjson"
    log.write_bytes(told.log.read_bytes() + b"".join(line + b"\n" for line in gone))
    for asked in ([PHONE], ["--customer-id", WHO]):
        found = explain(capsys, *asked, "--log", str(log))
        assert found["profile"] is None
        assert found["forgotten_at"] is not None
        assert [each["what"] for each in found["path"]] == ["forgotten"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([TENANT, "+77010000000"], "no such customer"),
        ([TENANT, "--customer-id", "0" * 32], "no such customer"),
        (["t99", PHONE], "t99: no such tenant"),
        ([TENANT], "either a phone or --customer-id"),
        ([TENANT, PHONE, "--at", "yesterday"], "neither a position nor an instant"),
    ],
)
def test_who_is_not_there_is_one_line_and_exit_2(
    told: Told, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    assert run(["explain", *arguments, "--log", str(told.log), "--no-progress"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line
    assert "7010000000" not in line


def test_without_a_log_and_without_a_store_it_says_what_to_set(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["explain", TENANT, PHONE]) == 2
    assert "FLOWSELL_POSTGRES, FLOWSELL_CLICKHOUSE" in capsys.readouterr().err


def test_the_stores_tell_who_it_is_and_how_the_segment_changed(
    told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = told.log.parent / "clickhouse"
    monkeypatch.setenv("FLOWSELL_CLICKHOUSE", f"chdb:{folder}")
    alone = explain(capsys, PHONE)
    assert (alone["profile"]["segment"], alone["profile"]["phone"]) == (
        told.rows("profiles")[-1]["segment"], None,
    )  # fmt: skip
    assert alone["missing"] == ["phones", "decisions", "visits"]
    with kept("postgres", tmp_path) as postgres:
        engine = postgres.engine()
        engine.open("log")
        engine.add("profiles", (told.out / "profiles.ndjson").read_bytes().splitlines())
        engine.write(engine.take(), {Place("profiles", 0): 1})
        engine.close()
        monkeypatch.setenv("FLOWSELL_POSTGRES", postgres_server().url)
        found = explain(capsys, "8 701 123 45 67", "--settings", str(country(tmp_path)))
        assert found == explain(capsys, "--customer-id", WHO, "--settings", str(country(tmp_path)))
        assert run(["explain", TENANT, "8-33", "--no-progress"]) == 2
        assert "no phone in full" in capsys.readouterr().err
        assert run(["explain", TENANT, "+77010000000", "--no-progress"]) == 2
        assert run(["explain", TENANT, PHONE, "--locale", "ru", "--names"]) == 0
        shown = capsys.readouterr().out
    assert "Мария · +7 *** ** 67" in shown
    assert "--log FILE" in shown
    profile = told.rows("profiles")[-1]
    assert {name: found["profile"][name] for name in ("segment", "consent", "as_of")} == {
        name: profile[name] for name in ("segment", "consent", "as_of")
    }
    assert found["missing"] == ["decisions", "visits"]
    assert [(each["from"], each["to"], each["cause"], each["at"]) for each in found["path"]] == [
        (row["from"], row["to"], row["cause"], row["at"]) for row in told.rows("segments")
    ]


def test_of_who_is_forgotten_the_stores_tell_nothing_but_that(
    told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = lines_of([forget(TENANT, START + 13 * DAY, WHO), heartbeat(START + 14 * DAY)])
    log, out = tmp_path / "log.ndjson", tmp_path / "out"
    log.write_bytes(told.log.read_bytes() + b"".join(line + b"\n" for line in gone))
    arguments = ["--out", str(out), "--clickhouse", str(tmp_path / "clickhouse"), "--no-progress"]
    assert run(["replay", str(log), *arguments]) == 0
    monkeypatch.setenv("FLOWSELL_CLICKHOUSE", f"chdb:{tmp_path / 'clickhouse'}")
    assert run(["explain", TENANT, PHONE, "--no-progress"]) == 2
    assert "no such customer in the stores" in capsys.readouterr().err
    with kept("postgres", tmp_path) as postgres:
        engine = postgres.engine()
        engine.open("log")
        engine.add("profiles", (out / "profiles.ndjson").read_bytes().splitlines())
        engine.write(engine.take(), {Place("profiles", 0): 1})
        engine.close()
        monkeypatch.setenv("FLOWSELL_POSTGRES", postgres_server().url)
        found = explain(capsys, PHONE)
    assert found["forgotten_at"] is not None
    assert (found["profile"], found["path"]) == (None, [])


def country(folder: Path) -> Path:
    """Settings that say how a phone is read."""
    path = folder / "tenants.json"
    path.write_text(json.dumps({"tenants": {TENANT: {"country": "KZ", "timezone": ZONE}}}))
    return path
