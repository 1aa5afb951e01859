"""What other settings would send: compared occasion by occasion, and emitted nowhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flows.cli import run
from tests.bookings import START, TOLD, booked
from tests.logs import HOUR, Record, heartbeat, lines_of, settings, trigger
from tests.people import TENANT

AT = TOLD - HOUR
REMINDER = {"id": "day", "channels": ["sms"], "template": "see_you"}


def log_of(path: Path, *records: Record) -> Path:
    path.write_bytes(b"\n".join(lines_of([*records])) + b"\n")
    return path


def new_settings(path: Path, **told: Any) -> Path:
    path.write_text(json.dumps({"tenants": {TENANT: told}}), encoding="utf-8")
    return path


def told_by(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    assert run(["preview", *map(str, arguments), "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return found


@pytest.fixture
def log(tmp_path: Path) -> Path:
    before = trigger("reminder", before="24h", **REMINDER)
    return log_of(
        tmp_path / "log.ndjson",
        settings(TENANT, AT, triggers=[before]),
        booked(TOLD),
        heartbeat(START - 30 * HOUR),
    )


def test_the_same_settings_change_nothing(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    same = new_settings(
        tmp_path / "new.json", triggers=[{"kind": "reminder", "before": "24h"} | REMINDER]
    )
    told = told_by(capsys, log, "--settings", same)
    assert told["sent"] == {"old": 1, "new": 1}
    assert (told["gained"], told["lost"], told["moved"]) == (0, 0, 0)


def test_a_new_trigger_is_seen_before_it_sends_anything(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    triggers = [
        {"kind": "reminder", "before": "24h"} | REMINDER,
        {"kind": "reminder", "before": "2h"} | REMINDER | {"id": "soon"},
    ]
    out = tmp_path / "differences.ndjson"
    told = told_by(
        capsys, log, "--settings", new_settings(tmp_path / "new.json", triggers=triggers),
        "--out", out,
    )  # fmt: skip
    assert (told["sent"], told["gained"]) == ({"old": 1, "new": 2}, 1)
    (line,) = map(json.loads, out.read_bytes().splitlines())
    assert line["trigger"] == "soon"
    assert line["old"] is None
    assert (line["new"]["outcome"], line["new"]["template"]) == ("sent", "see_you")


def test_what_is_planned_after_the_end_of_the_log_is_seen_for_the_days_asked_for(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    same = new_settings(
        tmp_path / "new.json", triggers=[{"kind": "reminder", "before": "24h"} | REMINDER]
    )
    assert told_by(capsys, log, "--settings", same, "--ahead", 0)["sent"] == {"old": 0, "new": 0}


def test_a_message_at_another_time_is_moved_and_one_refused_is_lost_with_its_reason(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    later = [{"kind": "reminder", "before": "3h"} | REMINDER]
    told = told_by(capsys, log, "--settings", new_settings(tmp_path / "later.json", triggers=later))
    assert (told["moved"], told["gained"], told["lost"]) == (1, 0, 0)
    nobody = [{"kind": "reminder", "before": "24h", "segments": ["333"]} | REMINDER]
    told = told_by(
        capsys, log, "--settings", new_settings(tmp_path / "nobody.json", triggers=nobody)
    )
    assert (told["moved"], told["gained"], told["lost"]) == (0, 0, 1)
    assert {"reason": "segment", "old": {}, "new": {"refused": 1}} in told["by_reason"]
    assert {"segment": "000", "old": {"sent": 1}, "new": {"refused": 1}} in told["by_segment"]


def test_other_tenants_are_not_looked_at(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    others = tmp_path / "others.json"
    others.write_text(json.dumps({"tenants": {"somebody": {}}}), encoding="utf-8")
    assert told_by(capsys, log, "--settings", others)["sent"] == {"old": 0, "new": 0}


def test_decisions_before_a_day_are_left_out(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    same = new_settings(
        tmp_path / "new.json", triggers=[{"kind": "reminder", "before": "24h"} | REMINDER]
    )
    assert told_by(capsys, log, "--settings", same, "--since", "2100-01-01")["sent"]["old"] == 0


@pytest.mark.parametrize(
    ("locale", "says"), [("en", "Nothing changes."), ("ru", "Ничего не меняется.")]
)
def test_it_speaks_both_languages(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], locale: str, says: str
) -> None:
    same = new_settings(
        tmp_path / "new.json", triggers=[{"kind": "reminder", "before": "24h"} | REMINDER]
    )
    assert run(["preview", str(log), "--settings", str(same), "--locale", locale]) == 0
    assert says in capsys.readouterr().out


def test_a_mistake_in_the_new_settings_is_one_error_with_its_path(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = new_settings(tmp_path / "new.json", preset="bakery")
    assert run(["preview", str(log), "--settings", str(wrong)]) == 2
    assert f"tenants.{TENANT}.preset" in capsys.readouterr().err
