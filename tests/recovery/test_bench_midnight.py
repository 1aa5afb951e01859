"""The benchmark of a midnight runs: warm-up, drain and restore on two processes, and the load."""

import json

import pytest

from benchmarks.broker import KafkaUnavailableError, libraries
from flows.cli import run
from flows.environment import PREFIX


@pytest.mark.faults
def test_its_quick_form_restores_two_processes_and_times_commands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        libraries()
    except KafkaUnavailableError as reason:
        pytest.skip(f"no Apache Kafka here: {reason}")
    monkeypatch.delenv(f"{PREFIX}KAFKA", raising=False)
    assert run(["bench", "midnight", "--quick", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["processes"], told["customers"]) == (2, 2_000)
    assert (told["midnight"], told["zone"]) == (None, None)
    assert 0 < told["restore_seconds"] < 60
    assert min(told[f"{when}rss_bytes"] for when in ("warm_", "restored_", "")) > 2 * 50e6
    for when in ("before", "after"):
        assert told[f"{when}_commands"] > 10
        assert 0 < told[f"{when}_p50_ms"] <= told[f"{when}_p99_ms"] <= told[f"{when}_max_ms"]
    assert told["segment_changes"] == sum(told["segment_changes_by_cause"].values()) > 0
