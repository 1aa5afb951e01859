"""``flowsell dlq`` on a replay's file: nothing is shown or sent that was not asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flows.cli import run
from tests.logs import card, lines_of, settings

NAME, PHONE = "Мария", "+77011234567"
AT = "2026-03-01T10:00:00Z"
LATER = "2026-03-05T10:00:00Z"


def spoiled(tenant: str, at: str, id: str) -> bytes:
    """A card whose kind is misspelt, as a gateway might for a day."""
    [line] = lines_of([card(tenant, at, id, version=1, phone=PHONE, name=NAME)])
    return line.replace(b'"webhook"', b'"webhooks"')


LOG = [
    *lines_of([settings("t1", AT)]),
    spoiled("t1", AT, "c-1"),
    spoiled("t2", AT, "c-2"),
    spoiled("t1", LATER, "c-3"),
    b'{"kind":"webhook","tenant":"t1"',
    *lines_of([settings("t1", LATER)]),
]


@pytest.fixture
def dead(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """What a replay of the log left."""
    log = tmp_path / "log.ndjson"
    log.write_bytes(b"".join(line + b"\n" for line in LOG))
    assert run(["replay", str(log), "--out", str(tmp_path / "out"), "--no-progress"]) == 0
    capsys.readouterr()
    return tmp_path / "out" / "dead_letters.ndjson"


def told(
    capsys: pytest.CaptureFixture[str], *arguments: str | Path, code: int = 0
) -> dict[str, Any]:
    """The JSON object of a command; empty where it is refused."""
    assert run(["dlq", *map(str, arguments), "--json"]) == code, capsys.readouterr().err
    out = capsys.readouterr().out
    return json.loads(out) if code == 0 else {}


def counted(shown: dict[str, Any]) -> dict[str, int]:
    return {heap["reason"]: heap["letters"] for heap in shown["reasons"]}


def test_show_counts_by_reason_and_tells_whose(
    dead: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = told(capsys, "show", dead)
    assert shown["letters"] == 4
    assert counted(shown) == {"envelope": 3, "json": 1}
    envelope = shown["reasons"][0]
    assert envelope["tenants"] == {"t1": 2, "t2": 1}
    assert shown["bytes"] == sum(len(line) for line in LOG[1:5])
    assert (shown["first_at"], shown["last_at"]) == (
        "2026-03-01T10:00:00.000Z",
        "2026-03-05T10:00:00.000Z",
    )
    first = envelope["samples"][0]
    assert (first["offset"], first["tenant"], first["record"]["offset"]) == (0, "t1", 1)


def test_show_has_no_body_unless_it_is_asked_for(
    dead: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for form in ([], ["--json"]):
        assert run(["dlq", "show", str(dead), *form]) == 0
        said = capsys.readouterr().out
        assert "envelope" in said
        assert NAME not in said
        assert PHONE not in said
        assert run(["dlq", "show", str(dead), "--bodies", *form]) == 0
        assert PHONE in capsys.readouterr().out


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (["--reason", "json"], {"json": 1}),
        (["--reason", "json", "--reason", "envelope"], {"envelope": 3, "json": 1}),
        (["--tenant", "t2"], {"envelope": 1}),
        (["--since", "2026-03-03T00:00:00Z"], {"envelope": 1, "json": 1}),
        (["--tenant", "t1", "--since", "2026-03-03T00:00:00+05:00"], {"envelope": 1}),
    ],
)
def test_a_filter_leaves_out_what_is_not_meant(
    filters: list[str], expected: dict[str, int], dead: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert counted(told(capsys, "show", dead, *filters)) == expected


def test_letters_go_to_the_end_of_a_log_as_they_came(
    dead: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = tmp_path / "again.ndjson"
    again.write_bytes(b"{}")
    sent = told(capsys, "replay", dead, "--reason", "envelope", "--out", again)
    assert (sent["sent"], sent["passed"], sent["finished"]) == (3, 1, True)
    assert again.read_bytes().splitlines() == [b"{}", *LOG[1:4]]


def test_a_replay_says_where_it_stopped_and_goes_on_from_there(
    dead: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = tmp_path / "again.ndjson"
    first = told(capsys, "replay", dead, "--limit", "2", "--out", again)
    assert (first["sent"], first["finished"], first["from"]) == (2, False, "0:2")
    second = told(capsys, "replay", dead, "--from", first["from"], "--out", again)
    assert (second["sent"], second["finished"], second["from"]) == (2, True, "0:4")
    assert again.read_bytes().splitlines() == LOG[1:5]


def test_a_dry_run_counts_and_writes_nothing(
    dead: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = tmp_path / "again.ndjson"
    assert told(capsys, "replay", dead, "--dry-run", "--out", again)["sent"] == 4
    assert not again.exists()


def test_replaying_what_was_mended_meanwhile_makes_a_customer(
    dead: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = tmp_path / "again.ndjson"
    told(capsys, "replay", dead, "--tenant", "t1", "--reason", "envelope", "--out", again)
    mended = again.read_bytes().replace(b'"webhooks"', b'"webhook"')
    again.write_bytes(mended)
    assert run(["replay", str(again), "--out", str(tmp_path / "mended"), "--no-progress"]) == 0
    profiles = (tmp_path / "mended" / "profiles.ndjson").read_text().splitlines()
    assert json.loads(profiles[-1])["name"] == NAME


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (["--since", "yesterday"], 2, "neither an instant with a zone"),
        (["--since", "2026-03-03T00:00:00"], 2, "neither an instant with a zone"),
        (["--reason", "bad_luck"], 2, "bad_luck"),
    ],
)
def test_a_mistake_is_one_line(
    arguments: list[str],
    code: int,
    why: str,
    dead: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["dlq", "show", str(dead), *arguments]) == code
    said = capsys.readouterr().err
    assert why in said
    assert len(said.splitlines()) == 1


def test_a_file_that_is_none_and_one_that_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "dead_letters.ndjson"
    assert run(["dlq", "show", str(other)]) == 2
    other.write_bytes(b'{"kind":"heartbeat"}\n')
    assert run(["dlq", "show", str(other)]) == 4
    assert "line 1 is no dead letter" in capsys.readouterr().err
