"""A log line has no phone, no name and no body, whatever a developer puts into it."""

from __future__ import annotations

import io
import json
import sys
from typing import Any, Literal

import pytest
import structlog

from flows.cli import tell_bug
from flows.logging import PERSONAL, STRUCK, UNSAID, configure, struck


@pytest.fixture(params=["json", "console"])
def written(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What goes to stderr in either form."""
    form: Literal["console", "json"] = request.param
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    configure(form)
    return stderr


@pytest.mark.parametrize("field", sorted(PERSONAL))
def test_a_field_that_could_be_somebodys_is_not_logged(field: str, written: io.StringIO) -> None:
    structlog.get_logger().info("told", **{field: "Мария"}, more={field: ["Мария"]})
    assert "Мария" not in written.getvalue()
    assert written.getvalue().count(UNSAID) == 2


@pytest.mark.parametrize(
    "phone", ["+77011234567", "77011234567", "8 call +7 (701) 123-45-67", "+7 701 1234567"]
)
def test_what_reads_like_a_phone_is_struck_out(phone: str, written: io.StringIO) -> None:
    structlog.get_logger().warning(f"sent to {phone}", error=f"no {phone}!", each=[phone])
    assert "1234567" not in written.getvalue()
    assert "123-45-67" not in written.getvalue()
    assert written.getvalue().count(STRUCK) == 3


def test_bytes_are_not_logged(written: io.StringIO) -> None:
    structlog.get_logger().info("told", raw=b'{"phone":"+77011234567"}')
    assert "7701" not in written.getvalue()


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-22T10:00:00.123456Z",
        "lane-0003/manifest-00000000000000012345.json",
        "sasl_ssl://localhost:59687/bootstrap",
        "a3f01234567890bcdef",
        "lane 3: position 123456789",
    ],
)
def test_times_files_and_addresses_stay_as_they_are(text: str) -> None:
    assert struck(text) == text


def test_numbers_stay_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    configure("json")
    structlog.get_logger().info("lanes", lanes=[0, 1], position=12_345_678_901)
    told: dict[str, Any] = json.loads(stderr.getvalue())
    assert (told["lanes"], told["position"]) == ([0, 1], 12_345_678_901)


def test_the_traceback_of_a_bug_keeps_its_place_and_loses_the_phone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    try:
        raise KeyError("+77011234567")
    except KeyError as bug:
        tell_bug(type(bug), bug, bug.__traceback__)
    said = capsys.readouterr().err
    assert "test_logging.py" in said
    assert f"KeyError: '{STRUCK}'" in said
