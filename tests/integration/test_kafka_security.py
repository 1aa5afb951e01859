"""The flow on a broker with TLS and passwords, and what it says when it is not let in."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.broker import KafkaUnavailableError
from flows.cli import COMMANDS, run
from flows.kafka import without_secrets
from sources.answers import answered
from tests.kafka_flow import Engagement
from tests.kafka_secured import PASSWORD, SecuredKafka, authority
from tests.obligations import assert_exactly_once
from tests.recovery.log import life


@pytest.fixture(scope="module")
def broker() -> Iterator[SecuredKafka]:
    """One for the tests of this module."""
    folder = Path(tempfile.mkdtemp(prefix="flowsell-secured-"))
    try:
        server = SecuredKafka(folder)
        server.start()
    except KafkaUnavailableError as reason:
        pytest.skip(f"no Apache Kafka here: {reason}")
    yield server
    server.kill()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def guarded(broker: SecuredKafka, tmp_path: Path) -> Iterator[Engagement]:
    """The flow's processes come in through TLS, the test itself through the other door."""
    engagement = Engagement(broker, tmp_path)
    answered(engagement.make_topics)
    engagement.environment |= broker.credentials(tmp_path)
    yield engagement
    engagement.close()


def refused(engagement: Engagement, code: int) -> str:
    """The one line of a start that is refused."""
    process = engagement.start()
    assert process.wait() == code, process.said
    [line] = process.said.splitlines()
    return line


def test_the_flow_runs_through_tls_with_a_password_from_a_file(guarded: Engagement) -> None:
    process = guarded.start()
    guarded.append(life(1_000, seed=31))
    guarded.wait_committed()
    assert process.end() == 0, process.said
    assert PASSWORD not in process.said
    owed = guarded.owed()
    assert owed.count("commands")
    assert_exactly_once(guarded.given(), owed)


def test_a_wrong_password_is_told_as_such_and_not_repeated(
    guarded: Engagement, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text("hush-hush")
    line = refused(guarded, 3)
    assert "Authentication failed" in line
    assert "hush" not in line


def test_a_broker_whom_the_authority_does_not_know_is_not_trusted(
    guarded: Engagement, tmp_path: Path
) -> None:
    stranger = authority(tmp_path / "stranger", "stranger")
    guarded.environment["FLOWSELL_KAFKA_SSL_CA_LOCATION"] = str(stranger)
    assert "certificate verify failed" in refused(guarded, 3)


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("SECURITY_PROTOCOL", "carrier pigeon", 'configuration property "security.protocol"'),
        ("NO_SUCH_THING", "hush-hush", 'No such configuration property: "no.such.thing"'),
    ],
)
def test_a_property_that_cannot_be_is_a_mistake_of_the_environment(
    name: str,
    value: str,
    why: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("FLOWSELL_KAFKA", "localhost:1")
    monkeypatch.setenv(f"FLOWSELL_KAFKA_{name}", value)
    assert run(["topics", "create"]) == 2
    said = capsys.readouterr().err
    assert why in said
    assert "hush" not in said


def test_secrets_are_struck_out_of_what_the_client_library_says() -> None:
    given = {"sasl.password": "hush", "ssl.key.pem": "PEM!", "client.id": "flow"}
    told = without_secrets("flow: PEM! is no key, hush no password", given)
    assert told == "flow: *** is no key, *** no password"


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_no_secret_shows_in_the_help(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for variable in ("ID_KEY", "KAFKA_SASL_PASSWORD", "POSTGRES", "VALKEY", "STATE"):
        monkeypatch.setenv(f"FLOWSELL_{variable}", "hush-hush")
    assert run([name, "--help"]) == 0
    assert "hush" not in capsys.readouterr().out


@pytest.mark.parametrize("missing", ["KAFKA", "STATE", "INSTANCE", "ID_KEY"])
def test_run_demands_what_it_cannot_do_without(
    missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("KAFKA", "STATE", "INSTANCE", "ID_KEY"):
        monkeypatch.setenv(f"FLOWSELL_{name}", "" if name == missing else "x")
    assert run(["run", "engagement"]) == 2
    assert f"FLOWSELL_{missing}: not set; `run` needs it" in capsys.readouterr().err
