"""``flowsell settings``: a file is checked, put into a log whole or not at all, and shown again."""

from __future__ import annotations

import gzip
import json
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from flows.cli import run
from flows.resolved import duration_text, resolved
from flows.settings_texts import PHRASES, summary
from schemas.durations import parse_duration
from schemas.settings import parse_settings, parse_tenants_file

FULL: dict[str, Any] = {
    "name": "Persona",
    "preset": "beauty_hair_cosmetology",
    "timezone": "Asia/Almaty",
    "country": "KZ",
    "currency": "KZT",
    "locale": "ru",
    "branches": {"358944": {"timezone": "Europe/Moscow"}},
    "scoring": {
        "window_days": 365, "recency_days": [60, 120], "frequency": [6, 3],
        "monetary": [2_000_000, 500_050],
    },
    "average_check_minor": 900_000,
    "quiet_hours": ["21:30", "10:00"],
    "quiet_utility": ["22:00", "08:00"],
    "caps": [{"per_days": 1, "max": 1}],
    "holdout_percent": 0,
    "return_days": 7,
    "consent_default": "allow",
    "channel_policy": {"marketing": ["!whatsapp", "!sms"]},
    "watched": True,
    "offers": {"133": {"template": "winback_vip_ru", "params": {"discount": 20}}},
    "triggers": [
        {"id": "bday", "kind": "birthday", "at": "11:00", "days_before": 3,
         "channels": ["sms"], "template": "bday_ru", "segments": ["332", "333"],
         "params": {"discount": 10, "text": "с \"кавычками\" 🎂"}},
        {"id": "day", "kind": "reminder", "before": "1d12h", "channels": ["sms"], "template": "r"},
        {"id": "soon", "kind": "reminder", "before": "90m", "channels": ["sms"], "template": "r"},
        {"id": "thanks", "kind": "after_visit", "after": "2h", "channels": ["sms"],
         "template": "t", "ttl": "30m", "cooldown_days": 5, "locale": "kk"},
        {"id": "nails", "kind": "rebook", "after_days": 21, "service": "маникюр",
         "channels": ["sms"], "template": "n"},
        {"id": "usual", "kind": "rebook", "interval_factor": 1.5, "channels": ["sms"],
         "template": "n", "priority": -3, "category": "utility"},
        {"id": "gone", "kind": "winback", "after_days": 90, "channels": ["sms"], "template": "g"},
        {"id": "missed", "kind": "no_show", "after": "0m", "channels": ["sms"], "template": "m"},
        {"id": "vip", "kind": "segment_entered", "segments": ["133"], "from": ["333", "233"],
         "channels": ["sms"], "template": "offer"},
        {"id": "stop", "kind": "reply", "match": "hello", "channels": ["sms"], "template": "h"},
        {"id": "any", "kind": "reply", "channels": ["sms"], "template": "h"},
    ],
}  # fmt: skip
"""Every key of the settings, and every kind of trigger."""

TOML = """
[tenants.salon]
preset = "beauty_nails_brows"
timezone = "Asia/Almaty"
currency = "KZT"
triggers = [
  { id = "day_before", kind = "reminder", before = "24h", channels = ["sms"], template = "r" },
]
[tenants."студия 7"]
name = "Студия"
"""


IN_RUSSIAN = """\
t1 · Persona

пресет beauty_hair_cosmetology, окно 365 дн.

зона Asia/Almaty; у филиалов своя: 358944 Europe/Moscow

деньги KZT; телефоны как в KZ

давность 3 до 60 дн., 2 до 120, 1 дольше

частота 3 от 6 дней с визитами, 2 от 3, 1 меньше

сумма 3 от 20 000 KZT, 2 от 5 000.50 KZT, 1 меньше

триггеры

bday Каждый клиент из 333 или 332 получает «bday_ru» по SMS за 3 дня до дня рождения в
11:00, не чаще раза в 300 дней, если согласен на рекламу; позже чем через 12 часов не
отправляется.

day Каждый клиент с записью получает «r» по SMS за 36 часов до визита.

soon Каждый клиент с записью получает «r» по SMS за 1 час 30 минут до визита.

thanks Каждый клиент, который пришёл, получает «t» по SMS через 2 часа после визита, не чаще
раза в 5 дней, если согласен на рекламу; позже чем через 30 минут не отправляется.

nails Каждый клиент, который никуда не записан, получает «n» по SMS через 21 день после
последнего визита на «маникюр», не чаще раза в 14 дней, если согласен на рекламу; позже чем
через 72 часа не отправляется.

usual Каждый клиент, который никуда не записан, получает «n» по SMS через 1,5 своего
обычного промежутка после последнего визита, не чаще раза в 14 дней; позже чем через 72 часа
не отправляется.

gone Каждый клиент, который не был 90 дней и никуда не записан, получает «g» по SMS в 10:00,
не чаще раза в 90 дней, если согласен на рекламу; позже чем через 72 часа не отправляется.

missed Каждый клиент, который не пришёл или отменил визит и никуда не записан, получает «m»
по SMS сразу, не чаще раза в 7 дней, если согласен на рекламу; позже чем через 24 часа не
отправляется.

vip Каждый клиент, который попал в 133 из 333 или 233, получает предложение своего сегмента
по SMS сразу, не чаще раза в 30 дней, если согласен на рекламу; позже чем через 72 часа не
отправляется.

stop Каждый клиент, который пишет «hello», получает «h» по SMS сразу; позже чем через 1 час
не отправляется.

any Каждый клиент, который пишет, получает «h» по SMS сразу; позже чем через 1 час не
отправляется.

для всех

Реклама уходит только с 10:00 до 21:30, остальное время ждёт.

Напоминания и ответы уходят только с 08:00 до 22:00.

Одному клиенту уходит не больше 1 сообщения рекламы в день.

Кто не отказался от рекламы, её получает.
"""
"""A paragraph for each line of the summary."""

THIRDS = "  monetary   thirds of the customers, anew each day; of fewer than 300: "


def written(path: Path, text: str = TOML) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def outcome(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str], str]:
    code = run(["settings", *arguments])
    said = capsys.readouterr()
    return code, said.out.splitlines(), said.err


@pytest.mark.parametrize("given", [{}, FULL, {"average_check_minor": 100, "currency": "KZT"}])
def test_resolved_settings_parse_to_the_same_settings(given: dict[str, Any]) -> None:
    settings = parse_settings(given, "tenants.t")
    again = parse_settings(resolved(settings), "tenants.t")
    assert msgspec.structs.replace(again, source=b"") == msgspec.structs.replace(
        settings, source=b""
    )
    assert resolved(again) == resolved(settings)


@pytest.mark.parametrize("minutes", [0, 1, 59, 60, 90, 1_440, 2_160, 4_320, 5_760, 5_761, 144_000])
def test_a_duration_is_written_as_it_is_read(minutes: int) -> None:
    assert parse_duration(duration_text(minutes * 60_000)) == minutes * 60_000


def test_check_says_what_a_file_comes_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said, errors = outcome(["check", written(tmp_path / "t.toml")], capsys)
    assert (code, errors) == (0, "")
    assert said == [
        "salon",
        "  preset     beauty_nails_brows, window of 365 days",
        "  zone       Asia/Almaty",
        "  money      KZT; phones need a +",
        "  recency    3 within 35 days, 2 within 75, 1 longer ago",
        "  frequency  3 from 8 visit days, 2 from 3, 1 fewer",
        f"{THIRDS}3 from 8 average checks, 2 from 3",
        "  triggers",
        "    day_before  Every customer with a booking gets «r» by SMS, 24 hours before the visit.",
        "  for all",
        "    Marketing is sent from 10:00 to 21:00 only, and waits until then.",
        "    Reminders and answers are sent from 08:00 to 22:00 only.",
        "    One customer gets at most 1 message of marketing a day.",
        "    One customer gets at most 3 messages of marketing in 7 days.",
        "    Who has not agreed to marketing gets none.",
        "    10 of 100 customers get no marketing, so that its effect can be told.",
        "",
        "студия 7 · Студия",
        "  preset     generic, window of 365 days",
        "  zone       UTC",
        "  money      any currency; phones need a +",
        "  recency    3 within 60 days, 2 within 180, 1 longer ago",
        "  frequency  3 from 5 visit days, 2 from 2, 1 fewer",
        f"{THIRDS}3 from 5 average checks, 2 from 2",
        "  triggers   none",
        "",
        "Correct. Tenants: 2, triggers: 1",
    ]


def test_the_summary_is_said_in_russian_too() -> None:
    lines = summary("t1", parse_settings(FULL, "tenants.t1"), PHRASES["ru"])
    told = [" ".join(line.split()) for line in lines]
    assert told == [" ".join(paragraph.split()) for paragraph in IN_RUSSIAN.split("\n\n")]


def test_both_languages_take_every_kind_of_trigger() -> None:
    settings = parse_settings(FULL, "tenants.t1")
    for phrases in PHRASES.values():
        lines = summary("t1", settings, phrases)
        assert len(lines) == 8 + len(settings.triggers) + 5
        assert not any("{" in line for line in lines)


def test_check_prints_the_resolved_settings_as_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "t.json"
    code, said, _ = outcome(
        ["check", written(path, json.dumps({"tenants": {"t": FULL}})), "--json"], capsys
    )
    assert code == 0
    assert json.loads(said[0])["tenants"]["t"]["scoring"] == FULL["scoring"]


MISTAKE = TOML.replace('"24h"', '"1 day"')
WHERE = 'tenants.salon.triggers[0].before: not a duration: "1 day"'


@pytest.mark.parametrize("command", ["check", "apply"])
def test_a_mistake_is_one_line_with_its_path_and_nothing_is_applied(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    out = tmp_path / "log.ndjson"
    rest = ["--out", str(out)] if command == "apply" else []
    bad = written(tmp_path / "bad.toml", MISTAKE)
    code, said, errors = outcome([command, bad, *rest], capsys)
    assert (code, said, errors) == (2, [], f"flowsell: {WHERE}\n")
    good = written(tmp_path / "good.yaml", "tenants: {other: {}}")
    code, said, errors = outcome([command, good, bad, *rest], capsys)
    assert (code, said, errors) == (2, [], f"flowsell: bad.toml: {WHERE}\n")
    assert not out.exists()


def test_a_tenant_stands_in_one_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [written(tmp_path / "a.toml"), written(tmp_path / "b.toml")]
    code, _, errors = outcome(["check", *files], capsys)
    assert (code, errors) == (2, "flowsell: tenants.salon: in b.toml again\n")


def test_a_file_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, errors = outcome(["check", "/nowhere.toml"], capsys)
    assert (code, errors) == (
        2, "flowsell: /nowhere.toml: cannot be read: No such file or directory\n",
    )  # fmt: skip


@pytest.mark.parametrize("name", ["log.ndjson", "log.ndjson.gz"])
def test_what_is_applied_to_a_log_is_shown_from_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    log = tmp_path / name
    start = b'{"kind":"heartbeat","received_at":"2026-03-01T06:00:00Z"}'
    log.write_bytes(gzip.compress(start + b"\n") if name.endswith("gz") else start)
    file = written(tmp_path / "t.toml")
    code, said, errors = outcome(["apply", file, "--out", str(log)], capsys)
    assert (code, errors) == (0, "")
    assert said == [f"salon: in {log}", f"студия 7: in {log}"]
    code, said, errors = outcome(["show", "salon", str(log), "--json", "--given"], capsys)
    assert (code, errors) == (0, "")
    shown = json.loads(said[0])
    assert shown["position"] == 1
    assert shown["settings"] == tomllib.loads(TOML)["tenants"]["salon"]
    code, said, _ = outcome(["show", "студия 7", str(log)], capsys)
    assert code == 0
    again = parse_tenants_file("t.toml", "\n".join(said).encode())
    assert resolved(again["студия 7"]) == resolved(parse_settings({"name": "Студия"}, ""))


def test_the_last_record_that_is_right_is_in_force(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log.ndjson"
    for text in (TOML, TOML.replace('"24h"', '"48h"')):
        outcome(["apply", written(tmp_path / "t.toml", text), "--out", str(log)], capsys)
    code, said, _ = outcome(["show", "salon", str(log), "--json"], capsys)
    assert json.loads(said[0])["settings"]["triggers"][0]["before"] == "48h"
    assert json.loads(said[0])["position"] == 2
    wrong = {"kind": "settings", "tenant": "salon", "received_at": "2026-03-01T06:00:00Z"}
    with log.open("ab") as file:
        file.write(json.dumps(wrong | {"settings": {"preset": "x"}}).encode() + b"\nrubbish\n")
    code, said, errors = outcome(["show", "salon", str(log), "--json"], capsys)
    assert code == 0
    assert json.loads(said[0])["position"] == 2
    assert errors.startswith("flowsell: a later record is not in force: tenants.salon.preset: ")


def test_every_setting_survives_being_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log.ndjson"
    file = written(tmp_path / "t.json", json.dumps({"tenants": {"t": FULL}}))
    outcome(["apply", file, "--out", str(log)], capsys)
    for how in ("--resolved", "--given"):
        code, said, errors = outcome(["show", "t", str(log), how], capsys)
        assert (code, errors) == (0, "")
        again = parse_tenants_file("t.toml", "\n".join(said).encode())["t"]
        assert resolved(again) == resolved(parse_settings(FULL, "t"))


def test_a_null_that_toml_cannot_say_is_shown_as_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log.ndjson"
    nothing = {"offers": {"133": {"template": "x", "params": {"a": None}}}}
    file = written(tmp_path / "t.json", json.dumps({"tenants": {"t": nothing}}))
    outcome(["apply", file, "--out", str(log)], capsys)
    code, _, errors = outcome(["show", "t", str(log)], capsys)
    assert code == 2
    assert "add --json" in errors
    code, said, _ = outcome(["show", "t", str(log), "--json"], capsys)
    assert json.loads(said[0])["settings"]["offers"]["133"]["params"] == {"a": None}


def test_a_tenant_without_settings_is_said_to_have_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = written(tmp_path / "log.ndjson", '{"kind":"heartbeat"}\n')
    code, said, errors = outcome(["show", "t9", log], capsys)
    assert (code, said) == (2, [])
    assert errors.startswith(f"flowsell: no settings of t9 in {log}")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["apply", "t.toml"], "give either --kafka or --out FILE"),
        (["apply", "t.toml", "--kafka", "--out", "x"], "give either --kafka or --out FILE"),
        (["show", "t"], "give either --kafka or the files of a log"),
        (["check"], "Missing argument"),
    ],
)
def test_wrong_usage_is_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], why: str
) -> None:
    code, _, errors = outcome(arguments, capsys)
    assert code == 2
    assert why in errors


def test_kafka_without_servers_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FLOWSELL_KAFKA", raising=False)
    file = written(tmp_path / "t.toml")
    for arguments in (["apply", file, "--kafka"], ["show", "salon", "--kafka"]):
        code, said, errors = outcome(arguments, capsys)
        assert (code, said) == (2, [])
        assert errors.startswith("flowsell: FLOWSELL_KAFKA: not set")
